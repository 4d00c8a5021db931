//! Registering a lake in a catalog into which others reach at any moment.

use super::*;
use crate::archive::discover::DiscoverOptions;
use crate::finding::limits::CountLimits;
use crate::job::options::RunOptions;
use crate::job::plan::{Archive, Hours};
use crate::job::run::run;
use crate::lake::layout::PartitionBy;
use crate::store::Memory;
use crate::store::catalog::CatalogColumn;
use crate::store::catalog::testing::{Holding, MemoryCatalog};

const DAYS: i64 = 250;

/// A lake with a finding on each of many days, and one reject.
async fn lake(by: PartitionBy) -> Arc<dyn Store> {
    let first: jiff::civil::Date = "2026-01-01".parse().unwrap();
    let events: Vec<String> = (0..DAYS)
        .map(|day| {
            let date = first + jiff::Span::new().days(day);
            format!(
                r#"{{"version":"0","id":"e{day}","detail-type":"AWS Health Event","source":"aws.health",
                "account":"111122223333","time":"{date}T10:00:00Z","region":"us-east-1","resources":[],
                "detail":{{"eventArn":"arn:aws:health:us-east-1::event/EC2/X/X_{day}","service":"EC2",
                "eventTypeCode":"X","eventTypeCategory":"issue","eventScopeCode":"PUBLIC",
                "communicationId":"c{day}-1","statusCode":"open","eventRegion":"us-east-1",
                "page":"1","totalPages":"1","affectedAccount":"111122223333"}}}}"#
            )
        })
        .collect();
    let archive = Arc::new(Memory::new("archive"));
    archive.insert("2026/09/10/05/events", events.concat() + r#"{"source":"aws.health","detail":"#);
    let lake: Arc<dyn Store> = Arc::new(Memory::new("lake"));
    let options = RunOptions {
        archives: vec![Archive { store: archive, prefix: String::new() }],
        lake: Some(Arc::clone(&lake)),
        products: None,
        partition: Some(by),
        hours: Hours { since_ms: None, until_ms: None },
        discover: DiscoverOptions {
            exclude: globset::GlobSet::empty(),
            zone: jiff::tz::TimeZone::UTC,
        },
        deadline: None,
        threads: 1,
        memory_bytes: 256 << 20,
        wave_objects: None,
        fetches: 2,
        object_bytes_max: 1 << 30,
        document_bytes_max: 1 << 20,
        counts: CountLimits::DEFAULT,
        redact: false,
        progress: Arc::default(),
    };
    let summary = run(&options).await.unwrap();
    assert_eq!((summary.findings.added, summary.rejects()), (DAYS.unsigned_abs(), 1));
    lake
}

fn options(lake: &Arc<dyn Store>, catalog: &Arc<MemoryCatalog>) -> RegisterOptions {
    RegisterOptions {
        lake: Arc::clone(lake),
        catalog: Arc::<MemoryCatalog>::clone(catalog),
        database: "security".into(),
        location: Some("s3://my-lake/health".into()),
        prefix: String::new(),
        tables: Table::ALL.to_vec(),
        partitions: false,
        create_database: false,
        force_location: false,
        dry_run: false,
    }
}

fn place(table: &str) -> (String, String) {
    ("security".to_owned(), table.to_owned())
}

async fn refusal(options: &RegisterOptions) -> String {
    let error = register(options).await.unwrap_err();
    assert!(error.is::<UsageError>(), "{error:?}");
    error.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn registering_twice_is_registering_once() {
    for by in [PartitionBy::Day, PartitionBy::Month] {
        let lake = lake(by).await;
        let catalog = Arc::new(MemoryCatalog::default());
        let mut options = options(&lake, &catalog);
        assert!(refusal(&options).await.contains("give `--create-database`"));
        options.create_database = true;
        options.dry_run = true;
        let foretold = register(&options).await.unwrap();
        assert_eq!(catalog.holding(), Holding::default());
        assert!(catalog.take_writes().is_empty());

        options.dry_run = false;
        let done = register(&options).await.unwrap();
        assert_eq!(Registered { dry_run: false, ..foretold }, done);
        assert!(done.database_created && !done.is_current);
        assert!(done.tables.iter().all(|table| table.created && table.projection));
        let writes = ["create database security", "create findings", "create rejects"];
        assert_eq!(catalog.take_writes(), writes);

        let again = register(&options).await.unwrap();
        assert!(again.is_current, "{again:?}");
        assert!(catalog.take_writes().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ddl_prints_is_what_the_catalog_holds() {
    let lake = lake(PartitionBy::Month).await;
    let catalog = Arc::new(MemoryCatalog::with_database("security"));
    let options = RegisterOptions { prefix: "health_".into(), ..options(&lake, &catalog) };
    register(&options).await.unwrap();
    let (facts, _) = lake_facts(&options).await.unwrap();
    for (table, name) in [(Table::Findings, "health_findings"), (Table::Rejects, "health_rejects")]
    {
        let input = facts.table_input(table, Catalog::Projection);
        let held = catalog.holding().tables[&place(name)].clone();
        assert_eq!(held, crate::store::catalog::testing::made(&input));
        assert_eq!(held.partition_keys[0].name, "month");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_registered_by_the_hundred_and_only_once() {
    let lake = lake(PartitionBy::Day).await;
    let catalog = Arc::new(MemoryCatalog::with_database("security"));
    let mut options = options(&lake, &catalog);
    (options.partitions, options.dry_run) = (true, true);
    let foretold = register(&options).await.unwrap();
    assert_eq!(foretold.tables[0].partitions_added, 250);
    options.dry_run = false;
    let done = register(&options).await.unwrap();
    assert_eq!(Registered { dry_run: false, ..foretold }, done);
    let writes = catalog.take_writes();
    assert_eq!(
        writes,
        [
            "create findings",
            "100 partitions of findings",
            "100 partitions of findings",
            "50 partitions of findings",
            "create rejects",
            "1 partitions of rejects",
        ]
    );
    let first = catalog.holding().partitions[&place("findings")][0].clone();
    assert_eq!(first.values, ["2026-01-01"]);
    assert_eq!(first.location.as_deref(), Some("s3://my-lake/health/findings/dt=2026-01-01/"));

    // Without the option a table that has no range keeps being told of its partitions, and no other.
    options.partitions = false;
    catalog.meddle(|holding| {
        let own = holding.partitions.get_mut(&place("findings")).unwrap();
        own.retain(|one| one.values[0] != "2026-03-01");
        own[0].location = Some("s3://elsewhere/".into());
        own.push(CatalogPartition { values: vec!["theirs".into()], location: None });
    });
    let again = register(&options).await.unwrap();
    assert_eq!(catalog.take_writes(), ["1 partitions of findings"]);
    assert_eq!((again.tables[0].partitions_added, again.tables[0].partitions_present), (1, 249));
    assert_eq!(again.tables[0].notes.len(), 1);
    assert!(again.tables[0].notes[0].contains("lies in `s3://elsewhere/`"), "{again:?}");
    assert!(register(&options).await.unwrap().is_current);
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_are_refused_are_named_and_those_of_others_count_as_there() {
    let lake = lake(PartitionBy::Day).await;
    let catalog = Arc::new(MemoryCatalog::with_database("security"));
    let options = RegisterOptions { partitions: true, ..options(&lake, &catalog) };
    catalog.refuse("2026-02-03");
    // Another program registers a day between the listing and the first batch.
    catalog.meddle_next(|_| ());
    catalog.meddle_next(|holding| {
        let theirs = CatalogPartition { values: vec!["2026-01-02".into()], location: None };
        holding.partitions.entry(place("findings")).or_default().push(theirs);
    });
    let done = register(&options).await.unwrap();
    let findings = &done.tables[0];
    assert_eq!(
        (findings.partitions_added, findings.partitions_present, done.failed()),
        (248, 1, 1)
    );
    assert_eq!(findings.partitions_failed[0].partition, "2026-02-03");
    assert!(!done.is_current);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_changed_meanwhile_is_compared_again() {
    let lake = lake(PartitionBy::Day).await;
    let catalog = Arc::new(MemoryCatalog::with_database("security"));
    let options = options(&lake, &catalog);
    // Somebody makes the table between the look and the making, with a column fewer.
    let (facts, _) = lake_facts(&options).await.unwrap();
    let mut theirs = facts.table_input(Table::Findings, Catalog::Projection);
    theirs.storage_descriptor.columns.pop();
    catalog.meddle_next(move |holding| {
        let made = crate::store::catalog::testing::made(&theirs);
        holding.tables.insert(place("findings"), made);
    });
    // And changes it once more between the next look and the change.
    let extra = CatalogColumn { name: "mood".into(), r#type: "string".into(), comment: None };
    let added = extra.clone();
    catalog.meddle_next(move |holding| {
        let change = TableChange { columns: vec![added], ..TableChange::default() };
        let table = holding.tables.get_mut(&place("findings")).unwrap();
        crate::store::catalog::testing::changed(table, &change);
    });
    let done = register(&options).await.unwrap();
    assert!(!done.tables[0].created);
    assert_eq!(done.tables[0].columns_added, ["metadata"]);
    let held = catalog.holding().tables[&place("findings")].clone();
    assert!(held.columns.contains(&extra), "what the other added is there");
    assert_eq!(held.columns.last().unwrap().name, "metadata");
    assert!(register(&options).await.unwrap().is_current);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_changed_without_end_ends_the_attempt() {
    let lake = lake(PartitionBy::Month).await;
    let catalog = Arc::new(MemoryCatalog::with_database("security"));
    let options = options(&lake, &catalog);
    register(&options).await.unwrap();
    catalog.take_writes();
    catalog.meddle(|holding| {
        holding.tables.get_mut(&place("findings")).unwrap().columns.pop();
    });
    for _ in 0..ATTEMPTS {
        catalog.meddle_next(|holding| {
            holding.tables.get_mut(&place("findings")).unwrap().version = Some("99".into());
        });
        catalog.meddle_next(|holding| {
            holding.tables.get_mut(&place("findings")).unwrap().version = Some("98".into());
        });
    }
    let error = register(&options).await.unwrap_err();
    assert!(error.to_string().contains("somebody changed it"), "{error}");
    assert_eq!(catalog.take_writes().len(), ATTEMPTS as usize);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_when_one_table_is_none_of_the_lakes() {
    let lake = lake(PartitionBy::Month).await;
    let catalog = Arc::new(MemoryCatalog::with_database("security"));
    let mut options = options(&lake, &catalog);
    register(&options).await.unwrap();
    catalog.take_writes();
    catalog.meddle(|holding| {
        holding.tables.get_mut(&place("findings")).unwrap().columns.pop();
        holding.tables.get_mut(&place("rejects")).unwrap().location = Some("s3://other/".into());
    });
    let before = catalog.holding();
    let said = refusal(&options).await;
    assert!(
        said.starts_with("nothing was changed: table `security.rejects`: it lies in"),
        "{said}"
    );
    assert_eq!(catalog.holding(), before);
    // One table alone may be registered.
    options.tables = vec![Table::Findings];
    assert_eq!(register(&options).await.unwrap().tables[0].columns_added, ["metadata"]);
    options.tables = vec![Table::Rejects];
    options.force_location = true;
    let moved = register(&options).await.unwrap();
    assert_eq!(moved.tables[0].moved_to.as_deref(), Some("s3://my-lake/health/rejects/"));
    options.tables = Table::ALL.to_vec();
    assert!(register(&options).await.unwrap().is_current);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_athena_does_not_read_is_refused() {
    let catalog = Arc::new(MemoryCatalog::with_database("security"));
    let empty: Arc<dyn Store> = Arc::new(Memory::new("empty"));
    let mut options = options(&empty, &catalog);
    assert!(refusal(&options).await.contains("there is no lake"));
    options.location = None;
    assert!(refusal(&options).await.contains("`--location s3://bucket/prefix`"));
    options.location = Some("s3://b/a//c".into());
    assert!(refusal(&options).await.contains("two slashes"));
}
