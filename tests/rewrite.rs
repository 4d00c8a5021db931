//! `rebuild` and `forget`: the same rows elsewhere, all rows but those, after being killed anywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt as _, TryStreamExt as _};
use healthtrail::finding::product::Products;
use healthtrail::job::forget::selector::Selector;
use healthtrail::job::forget::{ForgetOptions, ForgetSummary, forget};
use healthtrail::job::options::UsageError;
use healthtrail::job::rebuild::{RebuildOptions, RebuildSummary, rebuild};
use healthtrail::job::run::run as run_job;
use healthtrail::job::summary::Summary;
use healthtrail::lake::draft::{Draft, Drafted};
use healthtrail::lake::layout::PartitionBy;
use healthtrail::lake::ledger::Ledger;
use healthtrail::lake::log::Log;
use healthtrail::lake::record::{Objects, Purpose, Withdrawn};
use healthtrail::store::{
    Fault, Faulty, GetOptions, Memory, ObjectMeta, Store, StoreErrorKind, StoreResult, sha256_hex,
};

use crate::failing::options;
use crate::foreign::python;
use crate::program::{
    Row, assert_unique, health_event, healthtrail, key, number, parts, rows, run, text,
    undelivered, write,
};
use crate::stores::{keys, put, with_s3};

/// All objects of a store below a prefix.
async fn contents(store: &dyn Store, prefix: &str) -> BTreeMap<String, Bytes> {
    let mut contents = BTreeMap::new();
    for key in keys(store, prefix).await {
        let bytes = store.get(&key, GetOptions::default()).await.unwrap();
        contents.insert(key, bytes);
    }
    contents
}

/// The rows of both tables as readers see them.
async fn visible(store: &dyn Store) -> [Vec<Row>; 2] {
    let folder = tempfile::tempdir().unwrap();
    for table in ["findings/", "rejects/"] {
        for (key, bytes) in contents(store, table).await {
            write(folder.path(), &key, &bytes);
        }
    }
    assert_unique(folder.path());
    ["findings", "rejects"].map(|table| rows(folder.path(), table))
}

/// Two lakes' rows are the same; says shortly which are not.
#[track_caller]
fn assert_same(found: &[Vec<Row>; 2], expected: &[Vec<Row>; 2], told: &str) {
    for (found, expected) in found.iter().zip(expected) {
        let names = |rows: &[Row], others: &[Row]| -> Vec<String> {
            let others: BTreeSet<&Row> = others.iter().collect();
            let left = rows.iter().filter(|row| !others.contains(row));
            left.map(|row| row.get("row_id").unwrap_or_else(|| &row["reject_id"]).clone()).collect()
        };
        assert!(
            found == expected,
            "{told}: {} rows, expected {}; too many {:?}, missing {:?}",
            found.len(),
            expected.len(),
            names(found, expected),
            names(expected, found)
        );
    }
}

/// The same but for how rows were delivered.
#[track_caller]
fn assert_alike(found: &[Vec<Row>; 2], expected: &[Vec<Row>; 2], told: &str) {
    let bare = |rows: &[Vec<Row>; 2]| [without_delivery(&rows[0]), rows[1].clone()];
    assert_same(&bare(found), &bare(expected), told);
}

async fn fill(archive: &Arc<dyn Store>, lake: &Arc<dyn Store>, wave: usize) -> Summary {
    let mut options = options(archive, lake);
    options.wave_objects = Some(wave);
    run_job(&options).await.unwrap()
}

async fn try_rebuild(
    old: &Arc<dyn Store>,
    new: &Arc<dyn Store>,
    partition: Option<PartitionBy>,
) -> anyhow::Result<RebuildSummary> {
    let (old, new) = (Arc::clone(old), Arc::clone(new));
    rebuild(&RebuildOptions { old, new, partition, memory_bytes: 1 << 30, told: Box::new(|_| {}) })
        .await
}

async fn try_forget(
    lake: &Arc<dyn Store>,
    selectors: &[&str],
    objects: &[&str],
) -> anyhow::Result<ForgetSummary> {
    forget(&ForgetOptions {
        lake: Arc::clone(lake),
        selectors: selectors.iter().map(|text| text.parse::<Selector>().unwrap()).collect(),
        objects: objects.iter().map(|uri| (*uri).to_owned()).collect(),
        reason: "case 8".into(),
        dry_run: false,
    })
    .await
}

const ACCOUNTS: [&str; 2] = ["111122223333", "444455556666"];

fn arn(number: u32) -> String {
    format!(
        "arn:aws:health:us-east-1::event/EC2/AWS_EC2_OPERATIONAL_ISSUE/AWS_EC2_OPERATIONAL_ISSUE_{number}"
    )
}

/// A version of event `number` in another state, which is a row of its own.
fn version(number: u32, day: &str, account: &str, entity: &str) -> String {
    health_event(number, day, account).replace("IMPAIRED", entity)
}

/// Some days in two months: each object has two events for each account, in two versions, and what cannot
/// be read: among it the beginning of an event that is cut off.
async fn archive() -> Arc<dyn Store> {
    archive_of(&["2026-08-30", "2026-08-31", "2026-09-01"]).await
}

async fn archive_of(days: &[&str]) -> Arc<dyn Store> {
    let archive = Memory::new("archive");
    for (index, day) in (0..).zip(days) {
        for hour in 0..2 {
            let event = 2 * index + hour;
            let mut body = String::new();
            for account in ACCOUNTS {
                body.push_str(&health_event(event, day, account));
                body.push_str(&version(event, day, account, "PENDING"));
                body.push_str(&health_event(100, day, account));
            }
            body.push_str(r#"{"source":"aws.health","detail":{}}"#);
            let cut = health_event(event, day, ACCOUNTS[0]);
            body.push_str(&cut[..cut.len() - 20]);
            put(&archive, &key(day, hour, event), body).await;
        }
    }
    Arc::new(archive)
}

fn memory() -> Arc<dyn Store> {
    Arc::new(Memory::new("lake"))
}

fn elsewhere() -> Arc<dyn Store> {
    Arc::new(Memory::new("rebuilt"))
}

async fn reads_nothing(archive: &Arc<dyn Store>, lake: &Arc<dyn Store>) {
    let before = keys(lake.as_ref(), "").await;
    let summary = run_job(&options(archive, lake)).await.unwrap();
    assert_eq!((summary.objects.read, summary.commits), (0, 0), "{summary:?}");
    assert_eq!(keys(lake.as_ref(), "").await, before);
}

#[test]
fn a_rebuilt_lake_has_the_same_rows_whatever_the_partition() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let archive = at("archive");
    let made = healthtrail(&[
        "generate",
        "--to",
        text(&archive),
        "--objects",
        "40",
        "--events",
        "1500",
        "--days",
        "40",
        "--duplicates",
        "0.05",
        "--bad-bytes",
        "0.01",
        "--oddities",
        "0.1",
        "--pages",
        "0.05",
    ]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let lake = at("lake");
    run(text(&archive), text(&lake), &["--products", "all", "--wave-objects", "3"], 0);
    let tables = |lake: &Path| ["findings", "rejects"].map(|table| rows(lake, table));
    let expected = tables(&lake);
    assert!(expected.iter().all(|rows| rows.len() > 1));
    let hashes = |lake: &Path| parts(lake).into_values().collect::<BTreeSet<String>>();

    let steps = [("lake", "month", "month"), ("month", "day", "day"), ("day", "day", "again")];
    for (from, partition, to) in steps {
        let before = parts(&at(from));
        let (from, to) = (at(from), at(to));
        let arguments = [
            "rebuild",
            "--lake",
            text(&from),
            "--to",
            text(&to),
            "--partition",
            partition,
            "--json",
        ];
        let ran = healthtrail(&arguments);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert_eq!(parts(&from), before, "the old lake is only read");
        assert!(tables(&to) == expected, "{partition}");
        assert_unique(&to);
        let summary = run(text(&archive), text(&to), &[], 0);
        assert_eq!((number(&summary, "objects.read"), number(&summary, "commits")), (0, 0));
    }
    assert!(parts(&at("day")).len() < parts(&lake).len());
    let statements = |lake: &str| {
        let lake = at(lake);
        let ran =
            healthtrail(&["ddl", "--lake", text(&lake), "--engine", "duckdb", "--views", "--json"]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let path = lake.with_extension("json");
        std::fs::write(&path, ran.stdout).unwrap();
        text(&path).to_owned()
    };
    for other in ["month", "day"] {
        let Some(told) = python("foreign/alike.py", &[&statements("lake"), &statements(other)])
        else {
            return;
        };
        assert_eq!(told.as_object().unwrap().len(), 9, "{told}");
        assert!(number(&told, "services_this_year.rows") > 0, "{told}");
    }
    // The same rows make the same bytes, however they were packed.
    assert_eq!(hashes(&at("day")), hashes(&at("again")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_dies_at_any_operation_goes_on() {
    let archive = archive_of(&["2026-08-31", "2026-09-01"]).await;
    let old = memory();
    fill(&archive, &old, 1).await;
    try_forget(&old, &[&format!("finding_id={},account_id={}", arn(3), ACCOUNTS[0])], &[])
        .await
        .unwrap();
    let expected = visible(old.as_ref()).await;
    let before = contents(old.as_ref(), "").await;
    for partition in [PartitionBy::Day, PartitionBy::Month] {
        let golden = Arc::new(Faulty::new(elsewhere()));
        let as_store: Arc<dyn Store> = golden.clone();
        try_rebuild(&old, &as_store, Some(partition)).await.unwrap();
        let operations = golden.count();
        assert!(operations > 20, "{operations}");
        assert_same(&visible(golden.as_ref()).await, &expected, "not killed");
        let golden_parts = hashes(golden.as_ref()).await;
        for (nth, answer_lost) in (1..=operations).flat_map(|nth| [(nth, false), (nth, true)]) {
            let told = format!("{partition:?} after {nth}, {answer_lost}");
            let new = elsewhere();
            let mut fault = Fault::at(nth, StoreErrorKind::Unavailable).forever();
            if answer_lost {
                fault = fault.answer_lost();
            }
            let dying: Arc<dyn Store> = Arc::new(Faulty::new(Arc::clone(&new)).with(fault));
            let died = try_rebuild(&old, &dying, Some(partition)).await;
            assert!(died.is_err() || nth == operations, "operation {nth} was not needed");
            // Every fourth time somebody runs into it half-way, if it is a rebuild already.
            let is_run_into = nth % 4 == 0 && !keys(new.as_ref(), "findings/").await.is_empty();
            if is_run_into {
                run_job(&options(&archive, &new)).await.unwrap();
            }
            let rebuilt = try_rebuild(&old, &new, Some(partition)).await;
            rebuilt.unwrap_or_else(|error| panic!("{told}: {error:#}"));
            if is_run_into {
                assert_alike(&visible(new.as_ref()).await, &expected, &told);
            } else {
                // The same bytes are the same rows.
                assert_eq!(hashes(new.as_ref()).await, golden_parts, "{told}");
            }
            assert!(keys(new.as_ref(), "_healthtrail/staging/").await.is_empty(), "{told}");
            reads_nothing(&archive, &new).await;
        }
    }
    assert!(contents(old.as_ref(), "").await == before, "the old lake is only read");
}

/// The content of all parts.
async fn hashes(store: &dyn Store) -> BTreeSet<String> {
    let mut hashes = BTreeSet::new();
    for table in ["findings/", "rejects/"] {
        hashes.extend(contents(store, table).await.values().map(|bytes| sha256_hex(bytes)));
    }
    hashes
}

fn without_delivery(rows: &[Row]) -> Vec<Row> {
    let mut rows = rows.to_vec();
    for row in &mut rows {
        row.retain(|name, _| !crate::program::DELIVERY_COLUMNS.contains(&name.as_str()));
    }
    rows.sort();
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_cannot_read_the_old_lake_leaves_nothing_wrong() {
    let archive = archive().await;
    let old = memory();
    fill(&archive, &old, 2).await;
    let expected = visible(old.as_ref()).await;
    let counted: Arc<Faulty> = Arc::new(Faulty::new(Arc::clone(&old)));
    let as_store: Arc<dyn Store> = counted.clone();
    try_rebuild(&as_store, &elsewhere(), None).await.unwrap();
    for nth in (1..=counted.count()).step_by(3) {
        let new = elsewhere();
        let fault = Fault::at(nth, StoreErrorKind::Unavailable).forever();
        let dying: Arc<dyn Store> = Arc::new(Faulty::new(Arc::clone(&old)).with(fault));
        assert!(try_rebuild(&dying, &new, None).await.is_err(), "operation {nth}");
        try_rebuild(&old, &new, None).await.unwrap();
        assert_same(&visible(new.as_ref()).await, &expected, &format!("operation {nth}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_rebuild_carries_over_what_came_since() {
    let archive = archive().await;
    let (old, new) = (memory(), elsewhere());
    fill(&archive, &old, 2).await;
    let first = try_rebuild(&old, &new, None).await.unwrap();
    assert_eq!((first.old_version, first.partitions), (3, 6));
    let again = try_rebuild(&old, &new, None).await.unwrap();
    assert_eq!((again.commits, again.version), (0, first.version));

    // Rows are added to one day.
    let more = health_event(300, "2026-08-31", ACCOUNTS[0]);
    put(archive.as_ref(), &key("2026-08-31", 5, 300), more).await;
    fill(&archive, &old, 2).await;
    let added = try_rebuild(&old, &new, None).await.unwrap();
    assert_eq!((added.partitions, added.merged_parts, added.objects), (1, 1, 1));
    assert_same(&visible(new.as_ref()).await, &visible(old.as_ref()).await, "");
    reads_nothing(&archive, &new).await;

    // Rows are erased.
    try_forget(&old, &[&format!("finding_id={}", arn(2))], &[]).await.unwrap();
    let erased = try_rebuild(&old, &new, None).await.unwrap();
    assert!(erased.tombstones > 0 && erased.partitions == 2, "{erased:?}");
    assert_same(&visible(new.as_ref()).await, &visible(old.as_ref()).await, "");

    // Runs go into both, and something is erased from the new one alone.
    let both = health_event(301, "2026-08-31", ACCOUNTS[1])
        + &health_event(302, "2026-09-01", ACCOUNTS[1]);
    put(archive.as_ref(), &key("2026-09-01", 6, 301), both).await;
    fill(&archive, &new, 1).await;
    try_forget(&new, &[&format!("finding_id={},account_id={}", arn(302), ACCOUNTS[1])], &[])
        .await
        .unwrap();
    fill(&archive, &old, 1).await;
    let rows_of_old = visible(old.as_ref()).await;
    try_rebuild(&old, &new, None).await.unwrap();
    let [mut expected, rejects] = rows_of_old;
    expected.retain(|row| row["finding_id"] != arn(302));
    assert_same(&visible(new.as_ref()).await, &[expected, rejects], "");
    reads_nothing(&archive, &new).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_empty_place_or_a_rebuild_of_the_same_lake_is_taken() {
    let archive = archive().await;
    let (old, other) = (memory(), elsewhere());
    fill(&archive, &old, 6).await;
    fill(&archive, &other, 6).await;
    let foreign = elsewhere();
    try_rebuild(&other, &memory(), None).await.unwrap();
    put(foreign.as_ref(), "findings/theirs.parquet", "x").await;
    let of_other = Arc::new(Memory::new("third")) as Arc<dyn Store>;
    try_rebuild(&other, &of_other, None).await.unwrap();
    let cases = [
        (&other, "no rebuild of"),
        (&foreign, "is there already"),
        (&of_other, "another lake"),
        (&old, "overlap"),
    ];
    for (place, expected) in cases {
        let before = contents(place.as_ref(), "").await;
        let error = try_rebuild(&old, place, None).await.unwrap_err();
        assert!(error.is::<UsageError>() && error.to_string().contains(expected), "{error:#}");
        assert!(contents(place.as_ref(), "").await == before);
    }
    let new = elsewhere();
    try_rebuild(&old, &new, Some(PartitionBy::Month)).await.unwrap();
    assert!(try_rebuild(&old, &new, Some(PartitionBy::Day)).await.is_err());
    try_rebuild(&old, &new, None).await.unwrap();
}

/// Which rows a selector names.
type Selected = Box<dyn Fn(&Row) -> bool>;

/// Takes a part out of the lake and has the objects read again that may be in it, as a repair does.
async fn lose(lake: &Arc<dyn Store>, nth: usize) {
    let log = Log::new(Arc::clone(lake));
    let mut ledger = log.load().await.unwrap();
    log.catch_up(&mut ledger).await.unwrap();
    let file = ledger.all_files().nth(nth).unwrap().2.clone();
    let is_reread = |commit: &u64| file.commit > 3 || file.commit == *commit;
    let withdrawn = (1..=3).filter(is_reread).map(|commit| {
        let key = file.key.clone();
        Withdrawn { key, commit, reopen: true }
    });
    let draft = Draft {
        run: "repair".into(),
        purpose: Purpose::Repair,
        reason: None,
        settings: log.record(1).await.unwrap().unwrap().settings,
        started_at: String::new(),
        committed_at: String::new(),
        objects: Objects::default(),
        files: Vec::new(),
        withdrawn: withdrawn.collect(),
        tombstones: Vec::new(),
    };
    let drafted = log.commit(draft, ledger.version()).await.unwrap();
    assert!(matches!(drafted, Drafted::Won(..)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_old_lake_is_to_read_again_the_new_one_reads_again() {
    let archive = archive().await;
    let old = memory();
    fill(&archive, &old, 2).await;
    let whole = visible(old.as_ref()).await;
    let (carried_before, carried_after) = (elsewhere(), elsewhere());
    try_rebuild(&old, &carried_before, None).await.unwrap();
    lose(&old, 0).await;
    // The rows that are lost in the old lake are there still.
    try_rebuild(&old, &carried_before, None).await.unwrap();
    assert_alike(&visible(carried_before.as_ref()).await, &whole, "");
    reads_nothing(&archive, &carried_before).await;
    // Where they never were, they are read.
    try_rebuild(&old, &carried_after, None).await.unwrap();
    let summary = run_job(&options(&archive, &carried_after)).await.unwrap();
    assert_eq!(summary.objects.read, 2);
    assert_alike(&visible(carried_after.as_ref()).await, &whole, "");
    // And when the old lake has read them again, all are level.
    fill(&archive, &old, 2).await;
    for new in [&carried_before, &carried_after] {
        try_rebuild(&old, new, None).await.unwrap();
        assert_alike(&visible(new.as_ref()).await, &whole, "");
        reads_nothing(&archive, new).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_the_selected_is_forgotten_and_stays_so() {
    let event = arn(2);
    let table: [(Vec<String>, Selected); 4] = [
        (
            vec![format!("finding_id={event},account_id={}", ACCOUNTS[0])],
            Box::new(|row| row["finding_id"] == arn(2) && row["account_id"] == ACCOUNTS[0]),
        ),
        (vec![format!("finding_id={event}")], Box::new(|row| row["finding_id"] == arn(2))),
        (
            vec![
                format!("event_arn={event},account_id={}", ACCOUNTS[1]),
                format!("finding_id={},account_id={},shape=native", arn(100), ACCOUNTS[1]),
                format!("finding_id={},account_id={},shape=asff", arn(1), ACCOUNTS[1]),
            ],
            Box::new(|row| {
                row["account_id"] == ACCOUNTS[1]
                    && (row["finding_id"] == arn(2) || row["finding_id"] == arn(100))
            }),
        ),
        (vec!["finding_id=nothing".into()], Box::new(|_| false)),
    ];
    let archive = archive().await;
    for (selectors, is_selected) in table {
        let lake = memory();
        fill(&archive, &lake, 2).await;
        let [findings, rejects] = visible(lake.as_ref()).await;
        let selectors: Vec<&str> = selectors.iter().map(String::as_str).collect();
        let summary = try_forget(&lake, &selectors, &[]).await.unwrap();
        let expected: Vec<Row> = findings.iter().filter(|row| !is_selected(row)).cloned().collect();
        let [left, rejects_left] = visible(lake.as_ref()).await;
        assert_eq!(left, expected, "{selectors:?}");
        assert_eq!(summary.rows, (findings.len() - expected.len()) as u64, "{selectors:?}");
        assert_eq!(summary.rejects, (rejects.len() - rejects_left.len()) as u64, "{selectors:?}");
        // Again there is nothing to do.
        let before = contents(lake.as_ref(), "").await;
        let again = try_forget(&lake, &selectors, &[]).await.unwrap();
        assert_eq!((again.commits, again.rows, again.tombstones), (0, 0, 0), "{selectors:?}");
        assert!(contents(lake.as_ref(), "").await == before);
        // All is read again, and nothing comes back: neither rows nor rejects.
        for nth in 0..3 {
            lose(&lake, nth).await;
        }
        let reread = run_job(&options(&archive, &lake)).await.unwrap();
        assert!(reread.objects.read > 0 && reread.findings.added > 0, "{reread:?}");
        assert_alike(&visible(lake.as_ref()).await, &[expected, rejects_left], selectors[0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_that_hold_the_id_and_the_account_go_too() {
    let archive = archive().await;
    let lake = memory();
    fill(&archive, &lake, 2).await;
    let [_, before] = visible(lake.as_ref()).await;
    let named = |row: &Row, text: &str| {
        let bytes = format!("{:?}", text.as_bytes());
        row["bytes"].contains(bytes.trim_matches(['[', ']']))
    };
    let expected: Vec<&Row> = before.iter().filter(|row| !named(row, &arn(2))).collect();
    assert_eq!(before.len() - expected.len(), 1);
    let other = format!("finding_id={},account_id={}", arn(2), ACCOUNTS[1]);
    assert_eq!(try_forget(&lake, &[&other], &[]).await.unwrap().rejects, 0);
    let selector = format!("finding_id={},account_id={}", arn(2), ACCOUNTS[0]);
    assert_eq!(try_forget(&lake, &[&selector], &[]).await.unwrap().rejects, 1);
    let [_, after] = visible(lake.as_ref()).await;
    assert_eq!(after.iter().collect::<Vec<_>>(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_forgotten_with_all_versions_of_their_findings_and_never_read_again() {
    let archive = archive().await;
    let lake = memory();
    fill(&archive, &lake, 2).await;
    let uri = archive.uri(&key("2026-08-31", 0, 2));
    let [findings, rejects] = visible(lake.as_ref()).await;
    let of_object: BTreeSet<&String> = findings
        .iter()
        .filter(|row| row["source_object"] == uri)
        .map(|row| &row["finding_id"])
        .collect();
    assert!(of_object.contains(&arn(2)), "{of_object:?}");
    let left: Vec<Row> =
        findings.iter().filter(|row| !of_object.contains(&row["finding_id"])).cloned().collect();
    let summary = try_forget(&lake, &[], &[&uri]).await.unwrap();
    assert_eq!((summary.objects, summary.commits), (1, 1));
    let rejects: Vec<Row> = rejects.into_iter().filter(|row| row["source_object"] != uri).collect();
    assert_same(&visible(lake.as_ref()).await, &[left.clone(), rejects.clone()], "");
    assert_eq!(try_forget(&lake, &[], &[&uri]).await.unwrap().commits, 0);
    // Not even when everything is: it was given up, and what it held may come from no other object.
    let copy = archive.get(&key("2026-08-31", 0, 2), GetOptions::default()).await.unwrap();
    put(archive.as_ref(), &key("2026-08-31", 9, 2), copy).await;
    let mut wider = options(&archive, &lake);
    wider.products = Some(Products::All);
    let run = run_job(&wider).await.unwrap();
    assert_eq!((run.objects.read, run.findings.added), (1, 0));
    assert!(run.findings.forgotten > 0, "{run:?}");
    assert_eq!(visible(lake.as_ref()).await[0], left);
    let error = try_forget(&lake, &[], &["memory://archive/never"]).await.unwrap_err();
    assert!(error.is::<UsageError>(), "{error:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wider_products_do_not_bring_it_back() {
    let other = |id: &str, account: &str| {
        format!(
            r#"{{"version":"0","id":"e-{id}-{account}","detail-type":"Security Hub Findings - Imported","source":"aws.securityhub","account":"{account}","time":"2026-08-30T10:00:00Z","region":"us-east-1","resources":[],"detail":{{"findings":[{{"SchemaVersion":"2018-10-08","Id":"{id}","ProductArn":"arn:aws:securityhub:us-east-1::product/aws/guardduty","GeneratorId":"g","AwsAccountId":"{account}","CreatedAt":"2026-08-30T09:00:00Z","UpdatedAt":"2026-08-30T09:00:00Z","Severity":{{"Label":"LOW"}},"Title":"t","Description":"d","Types":[],"Resources":[]}}]}}}}"#
        )
    };
    let archive: Arc<dyn Store> = Arc::new(Memory::new("archive"));
    let body = other("a", ACCOUNTS[0])
        + &other("a", ACCOUNTS[1])
        + &health_event(1, "2026-08-30", ACCOUNTS[0]);
    put(archive.as_ref(), &key("2026-08-30", 1, 1), body).await;
    let lake = memory();
    assert_eq!(fill(&archive, &lake, 1).await.findings.added, 1);
    // It is not in the lake yet, and is kept out all the same.
    let selector = format!("finding_id=a,account_id={}", ACCOUNTS[0]);
    let summary = try_forget(&lake, &[&selector], &[]).await.unwrap();
    assert_eq!((summary.rows, summary.tombstones, summary.commits), (0, 3, 1));
    let mut wider = options(&archive, &lake);
    wider.products = Some(Products::All);
    let run = run_job(&wider).await.unwrap();
    assert_eq!((run.objects.read, run.findings.added, run.findings.forgotten), (1, 1, 1));
    let [findings, _] = visible(lake.as_ref()).await;
    let ids: Vec<(&str, &str)> = findings
        .iter()
        .filter(|row| row["finding_id"] == "a")
        .map(|row| (row["finding_id"].as_str(), row["account_id"].as_str()))
        .collect();
    assert_eq!(ids, [("a", ACCOUNTS[1])]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forget_that_dies_at_any_operation_is_completed_by_the_same_call() {
    let archive = archive_of(&["2026-08-30", "2026-08-31"]).await;
    let selector = format!("finding_id={},account_id={}", arn(100), ACCOUNTS[0]);
    let uri = archive.uri(&key("2026-08-30", 0, 0));
    let counted = Arc::new(Faulty::new(memory()));
    let as_store: Arc<dyn Store> = counted.clone();
    fill(&archive, &as_store, 2).await;
    let before = counted.count();
    try_forget(&as_store, &[&selector], &[&uri]).await.unwrap();
    let operations = counted.count() - before;
    let names = |keys: Vec<String>| -> Vec<String> {
        keys.into_iter().filter(|key| !key.contains("checkpoints")).collect()
    };
    let expected_keys = names(keys(counted.as_ref(), "").await);
    assert!(operations > 20, "{operations}");
    for nth in 1..=operations {
        for answer_lost in [false, true] {
            let lake = memory();
            fill(&archive, &lake, 2).await;
            let mut fault = Fault::at(nth, StoreErrorKind::Unavailable).forever();
            if answer_lost {
                fault = fault.answer_lost();
            }
            let dying: Arc<dyn Store> = Arc::new(Faulty::new(Arc::clone(&lake)).with(fault));
            let died = try_forget(&dying, &[&selector], &[&uri]).await;
            assert!(died.is_err() || nth == operations, "operation {nth} was not needed");
            try_forget(&lake, &[&selector], &[&uri]).await.unwrap();
            let told = format!("after {nth}, {answer_lost}");
            // The names of parts say what is in them.
            assert_eq!(names(keys(lake.as_ref(), "").await), expected_keys, "{told}");
        }
    }
}

/// Somebody else's turn, just before the first part is staged.
#[derive(Debug)]
struct Interrupted {
    inner: Arc<dyn Store>,
    selector: Mutex<Option<String>>,
}

impl Store for Interrupted {
    fn base_uri(&self) -> &str {
        self.inner.base_uri()
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, StoreResult<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Option<ObjectMeta>>> {
        self.inner.head(key)
    }

    fn get<'a>(&'a self, key: &'a str, options: GetOptions) -> BoxFuture<'a, StoreResult<Bytes>> {
        self.inner.get(key, options)
    }

    fn put<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
        sha256: &'a str,
    ) -> BoxFuture<'a, StoreResult<()>> {
        async move {
            let selector = self.selector.lock().unwrap().take();
            if let Some(selector) = selector {
                let inner = Arc::clone(&self.inner);
                let other = std::thread::spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                    runtime.block_on(try_forget(&inner, &[&selector], &[])).unwrap();
                });
                other.join().unwrap();
            }
            self.inner.put(key, bytes, sha256).await
        }
        .boxed()
    }

    fn put_new<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
        sha256: &'a str,
    ) -> BoxFuture<'a, StoreResult<()>> {
        self.inner.put_new(key, bytes, sha256)
    }

    fn copy_new<'a>(&'a self, from: &'a str, to: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        self.inner.copy_new(from, to)
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        self.inner.delete(key)
    }

    fn retries(&self) -> u64 {
        self.inner.retries()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_has_read_it_already_does_not_bring_it_in_after() {
    let archive = archive().await;
    let lake = memory();
    fill(&archive, &lake, 6).await;
    let [before, _] = visible(lake.as_ref()).await;
    let day = "2026-09-02";
    let body = version(2, day, ACCOUNTS[0], "RESOLVED") + &health_event(500, day, ACCOUNTS[0]);
    put(archive.as_ref(), &key(day, 1, 500), body).await;
    let selector = format!("finding_id={},account_id={}", arn(2), ACCOUNTS[0]);
    let interrupted: Arc<dyn Store> =
        Arc::new(Interrupted { inner: Arc::clone(&lake), selector: Mutex::new(Some(selector)) });
    let summary = run_job(&options(&archive, &interrupted)).await.unwrap();
    assert_eq!((summary.findings.added, summary.findings.forgotten), (1, 1), "{summary:?}");
    let [after, _] = visible(lake.as_ref()).await;
    let gone = |row: &Row| row["finding_id"] == arn(2) && row["account_id"] == ACCOUNTS[0];
    assert!(before.iter().any(gone) && !after.iter().any(gone));
    assert!(after.iter().any(|row| row["finding_id"] == arn(500)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_is_overtaken_looks_again() {
    let archive = archive().await;
    let (old, new) = (memory(), elsewhere());
    fill(&archive, &old, 2).await;
    try_rebuild(&old, &new, None).await.unwrap();
    put(archive.as_ref(), &key("2026-08-31", 7, 7), health_event(7, "2026-08-31", ACCOUNTS[0]))
        .await;
    fill(&archive, &old, 2).await;
    let selector = format!("finding_id={}", arn(2));
    let interrupted: Arc<dyn Store> =
        Arc::new(Interrupted { inner: Arc::clone(&new), selector: Mutex::new(Some(selector)) });
    try_rebuild(&old, &interrupted, None).await.unwrap();
    let [mut expected, _] = visible(old.as_ref()).await;
    expected.retain(|row| row["finding_id"] != arn(2));
    assert_eq!(visible(new.as_ref()).await[0], expected);
    let mut ledger = Ledger::default();
    Log::new(Arc::clone(&new)).look(&mut ledger).await.unwrap();
    assert_eq!(ledger.damaged().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_commands_do_the_same_on_s3() {
    with_s3(|uri, options| async move {
        let endpoint = options.s3.endpoint_url.clone().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().join("lake");
        let (archive, lake) = ("samples/archive", format!("{uri}/lake"));
        let ran = |arguments: &[&str]| {
            let output = crate::program::command()
                .current_dir(env!("CARGO_MANIFEST_DIR"))
                .args(arguments)
                .args(["--endpoint-url", &endpoint])
                .output()
                .unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(0), "{arguments:?}: {stderr}");
            String::from_utf8(output.stdout).unwrap()
        };
        let selector = "finding_id=arn:aws:health:us-east-1::event/RDS/AWS_RDS_MAINTENANCE_SCHEDULED/\
                        AWS_RDS_MAINTENANCE_SCHEDULED_RDS_91c44bd0e7a2";
        for to in [text(&here), &lake] {
            ran(&["run", "--from", archive, "--to", to, "--wave-objects", "2", "--progress", "none"]);
            let forget = ["forget", "--lake", to, "--rows", selector, "--reason", "case 8", "--json"];
            let said: serde_json::Value = serde_json::from_str(&ran(&forget)).unwrap();
            assert_eq!((number(&said, "rows"), number(&said, "commits")), (2, 1));
            let said: serde_json::Value = serde_json::from_str(&ran(&forget)).unwrap();
            assert_eq!(number(&said, "commits"), 0);
            let new = format!("{to}-2");
            for partition in ["month", "month"] {
                ran(&[
                    "rebuild", "--lake", to, "--to", &new, "--partition", partition, "--progress", "none",
                ]);
            }
            let again = ran(&["run", "--from", archive, "--to", &new, "--progress", "none", "--summary", "-"]);
            let again: serde_json::Value = serde_json::from_str(&again).unwrap();
            assert_eq!(number(&again, "objects.read"), 0);
        }
        let store = healthtrail::store::open(&format!("{uri}/lake-2"), &options).await.unwrap();
        let from_s3 = folder.path().join("from-s3");
        let listed: Vec<_> = store.list("").try_collect().await.unwrap();
        for meta in listed {
            let bytes = store.get(&meta.key, GetOptions::default()).await.unwrap();
            write(&from_s3, &meta.key, &bytes);
        }
        assert_eq!(undelivered(&from_s3), undelivered(&folder.path().join("lake-2")));
    })
    .await;
}
