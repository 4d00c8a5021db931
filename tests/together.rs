//! All commands on one lake, one after the other, as operators use them over the years.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use futures::StreamExt as _;
use healthtrail::finding::product::Products;
use healthtrail::job::forget::selector::Selector;
use healthtrail::job::forget::{ForgetOptions, ForgetSummary, forget};
use healthtrail::job::ledger::accept::{AcceptOptions, accept};
use healthtrail::job::options::RunOptions;
use healthtrail::job::plan::Archive;
use healthtrail::job::rebuild::{RebuildOptions, RebuildSummary, rebuild};
use healthtrail::job::redrive::{RedriveOptions, Redriven, redrive};
use healthtrail::job::run::run;
use healthtrail::job::summary::Summary;
use healthtrail::job::verify::{VerifyOptions, VerifyReport, verify};
use healthtrail::lake::checkpoint;
use healthtrail::lake::layout::PartitionBy;
use healthtrail::lake::layout::{Table, checkpoint_key, done_key, part_key};
use healthtrail::lake::ledger::Ledger;
use healthtrail::lake::log::Log;
use healthtrail::lake::record::{ObjectList, ObjectRecord, Record};
use healthtrail::lake::reject_rows::RejectFilter;
use healthtrail::lake::verify::Depth;
use healthtrail::store::{Folder, GetOptions, Memory, Store, open};

use crate::failing;
use crate::program::{Row, assert_unique, health_event, healthtrail, key, rows, text, write};
use crate::stores::{keys, put, with_s3};
use crate::verify::{Meddler, asked, at_once, copy_of, flip, put_record, record_of, version_of};

const QUARANTINE: &str = "_healthtrail/quarantine/";

/// What readers see of a lake.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// Row ids.
    rows: BTreeSet<String>,
    /// Rejects that wait, by their latest state.
    waiting: BTreeSet<String>,
}

async fn tables(lake: &dyn Store) -> [Vec<Row>; 2] {
    let folder = tempfile::tempdir().unwrap();
    for table in ["findings/", "rejects/"] {
        for key in keys(lake, table).await {
            let bytes = lake.get(&key, GetOptions::default()).await.unwrap();
            write(folder.path(), &key, &bytes);
        }
    }
    assert_unique(folder.path());
    ["findings", "rejects"].map(|table| rows(folder.path(), table))
}

async fn seen(lake: &dyn Store) -> Seen {
    let [findings, rejects] = tables(lake).await;
    let rows = findings.into_iter().map(|row| row["row_id"].clone()).collect();
    let mut latest: BTreeMap<String, (u32, bool)> = BTreeMap::new();
    let mut states = BTreeSet::new();
    for row in rejects {
        let number = row.get("state_number").map_or(0, |number| number.parse().unwrap());
        assert!(states.insert((row["reject_id"].clone(), number)), "a state twice: {row:?}");
        let held = latest.entry(row["reject_id"].clone()).or_default();
        *held = (*held).max((number, row["state"] != "redriven"));
    }
    let waiting = latest.into_iter().filter(|(_, (_, waits))| *waits);
    Seen { rows, waiting: waiting.map(|(id, _)| id).collect() }
}

fn options(archive: &Arc<dyn Store>, lake: &Arc<dyn Store>, narrow: bool) -> RunOptions {
    let mut options = failing::options(archive, lake);
    options.products = Some(Products::Health);
    options.wave_objects = Some(3);
    if narrow {
        (options.document_bytes_max, options.object_bytes_max) = (2_000, 30_000);
    }
    options
}

async fn fill(archive: &Arc<dyn Store>, lake: &Arc<dyn Store>) -> Summary {
    run(&options(archive, lake, false)).await.unwrap()
}

async fn redrive_all(archive: &Arc<dyn Store>, lake: &Arc<dyn Store>) -> Redriven {
    let read = options(archive, lake, false);
    let (filter, passed_over) = (RejectFilter::default(), Vec::new());
    redrive(&RedriveOptions { read, filter, passed_over, again: false }).await.unwrap()
}

async fn forget_rows(lake: &Arc<dyn Store>, selectors: &[String]) -> ForgetSummary {
    let options = ForgetOptions {
        lake: Arc::clone(lake),
        selectors: selectors.iter().map(|text| text.parse::<Selector>().unwrap()).collect(),
        objects: Vec::new(),
        reason: "case 8".into(),
        dry_run: false,
    };
    forget(&options).await.unwrap()
}

async fn rebuild_to(old: &Arc<dyn Store>, new: &Arc<dyn Store>) -> RebuildSummary {
    let (old, new, partition) = (Arc::clone(old), Arc::clone(new), Some(PartitionBy::Month));
    let told = Box::new(|_| {});
    rebuild(&RebuildOptions { old, new, partition, memory_bytes: 1 << 30, told }).await.unwrap()
}

async fn repair(archive: &Arc<dyn Store>, lake: &Arc<dyn Store>) -> VerifyReport {
    let asked = VerifyOptions { repair: true, ..asked(archive, lake) };
    let report = verify(&asked).await.unwrap();
    assert!(report.is_right() && !report.findings.is_empty(), "{report:#?}");
    report
}

/// Nothing is wrong, and no object waits.
async fn is_right(archive: &Arc<dyn Store>, lake: &Arc<dyn Store>, told: &str) {
    let deep = VerifyOptions { deep: Some(1.0), depth: Depth::Full, ..asked(archive, lake) };
    let report = verify(&deep).await.unwrap();
    assert!(report.findings.is_empty(), "{told}: {:#?}", report.findings);
    let waits = report.notes.iter().any(|note| note.kind == "objects_waiting");
    assert!(!waits, "{told}: {:#?}", report.notes);
    assert_eq!(report.deep.unwrap().pending, 0, "{told}");
}

/// A lake that one run fills.
async fn fresh(archive: &Arc<dyn Store>) -> Arc<dyn Store> {
    let lake: Arc<dyn Store> = Arc::new(Memory::new("fresh"));
    fill(archive, &lake).await;
    lake
}

/// Damages a part of each table: one is gone, one has another byte.
async fn damage(lake: &dyn Store) {
    let findings = keys(lake, "findings/").await;
    lake.delete(&findings[findings.len() / 2]).await.unwrap();
    let rejects = keys(lake, "rejects/").await;
    flip(lake, &rejects[rejects.len() / 2], 200).await;
}

fn selector(row: &Row) -> String {
    format!("finding_id={},account_id={}", row["finding_id"], row["account_id"])
}

fn generated(folder: &Path) {
    let made = healthtrail(&[
        "generate",
        "--to",
        text(folder),
        "--objects",
        "24",
        "--events",
        "500",
        "--days",
        "4",
        "--seed",
        "11",
        "--compression",
        "mix",
        "--bad-bytes",
        "0.03",
        "--error-records",
        "0.02",
        "--duplicates",
        "0.1",
    ]);
    assert_eq!(made.code, 0, "{}", made.stderr);
}

/// Everything that is done to a lake in ten years, in one order or the other.
async fn go_through(
    archive: &Arc<dyn Store>,
    lake: &Arc<dyn Store>,
    rebuilt: &Arc<dyn Store>,
    rebuild_first: bool,
) {
    let whole = fresh(archive).await;
    run(&options(archive, lake, true)).await.unwrap();
    assert_ne!(seen(lake.as_ref()).await, seen(whole.as_ref()).await);
    redrive_all(archive, lake).await;
    assert_eq!(seen(lake.as_ref()).await, seen(whole.as_ref()).await, "after the redrive");
    is_right(archive, lake, "after the redrive").await;

    let [all, _] = tables(whole.as_ref()).await;
    let chosen: Vec<&Row> = [all.len() / 3, 2 * all.len() / 3].map(|at| &all[at]).into();
    let selectors: Vec<String> = chosen.iter().map(|row| selector(row)).collect();
    forget_rows(&whole, &selectors).await;
    let expected = seen(whole.as_ref()).await;
    assert!(expected.rows.len() < all.len());

    let mut at = lake;
    if rebuild_first {
        rebuild_to(lake, rebuilt).await;
        at = rebuilt;
        is_right(archive, at, "after the rebuild").await;
    }
    let forgotten = forget_rows(at, &selectors).await;
    assert!(forgotten.rows >= 2, "{forgotten:?}");
    assert_eq!(seen(at.as_ref()).await, expected, "after the erasure");
    damage(at.as_ref()).await;
    repair(archive, at).await;
    assert!(fill(archive, at).await.objects.read > 0);
    assert_eq!(seen(at.as_ref()).await, expected, "after the repair");
    is_right(archive, at, "after the repair").await;
    if !rebuild_first {
        rebuild_to(lake, rebuilt).await;
        assert_eq!(seen(rebuilt.as_ref()).await, expected, "after the rebuild");
    }
    let last = fill(archive, rebuilt).await;
    assert_eq!((last.findings.added, last.objects.read), (0, 0), "{last:?}");
    assert_eq!(seen(rebuilt.as_ref()).await, expected, "at the end");
    is_right(archive, rebuilt, "at the end").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_command_after_the_other_leaves_the_lake_right() {
    let folder = tempfile::tempdir().unwrap();
    generated(folder.path());
    let archive: Arc<dyn Store> = Arc::new(Folder::open(folder.path(), false).await.unwrap());
    for rebuild_first in [false, true] {
        let lake: Arc<dyn Store> = Arc::new(Memory::new("lake"));
        let rebuilt: Arc<dyn Store> = Arc::new(Memory::new("rebuilt"));
        go_through(&archive, &lake, &rebuilt, rebuild_first).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_command_after_the_other_leaves_a_lake_on_s3_right() {
    with_s3(|uri, s3| async move {
        let folder = tempfile::tempdir().unwrap();
        generated(folder.path());
        let archive: Arc<dyn Store> = Arc::new(Folder::open(folder.path(), false).await.unwrap());
        let lake = open(&format!("{uri}/lake"), &s3).await.unwrap();
        let rebuilt = open(&format!("{uri}/rebuilt"), &s3).await.unwrap();
        go_through(&archive, &lake, &rebuilt, false).await;
    })
    .await;
}

/// Ten objects on four old days, so that their hours are closed; every other one holds what is no JSON.
async fn old_archive() -> Arc<dyn Store> {
    old_archive_of(10).await
}

async fn old_archive_of(objects: u32) -> Arc<dyn Store> {
    let archive = Memory::new("archive");
    for number in 0..objects {
        let day = format!("2026-08-{:02}", 1 + number / 3);
        let mut body = health_event(number * 10, &day, "111122223333");
        body += &health_event(number * 10 + 1, &day, "444455556666");
        if number % 2 == 0 {
            body += "no json ";
        }
        let key = key(&day, number, number);
        put(&archive, &key, body).await;
        archive.set_last_modified(&key, 1_795_518_000_000 + i64::from(number));
    }
    Arc::new(archive)
}

async fn filled(archive: &Arc<dyn Store>) -> Arc<dyn Store> {
    let lake: Arc<dyn Store> = Arc::new(Memory::new("lake"));
    fill(archive, &lake).await;
    lake
}

async fn closed_hours(lake: &Arc<dyn Store>) -> usize {
    let log = Log::new(Arc::clone(lake));
    let mut ledger = Ledger::default();
    log.look(&mut ledger).await.unwrap();
    let record = record_of(lake.as_ref(), 1).await;
    let hours = ledger.hours(&record.settings);
    hours.iter().filter(|hour| hour.is_closed).count()
}

type Forge = fn(&mut Record);

fn first(record: &mut Record) -> &mut ObjectRecord {
    let ObjectList::Inline(objects) = &mut record.objects else { panic!("inline") };
    &mut objects.consumed[0]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_lies_of_a_closed_hour_is_found() {
    let archive = old_archive().await;
    let lake = filled(&archive).await;
    assert!(closed_hours(&lake).await > 3);
    let lies: [(&str, Forge); 6] = [
        ("another object", |record| first(record).key += "x"),
        ("another etag", |record| first(record).etag += "x"),
        ("another size", |record| first(record).size += 1),
        ("another number of rows", |record| first(record).tally.findings.rows += 1),
        ("something passed over", |record| {
            first(record).tally.passed_over_by_kind.add("other_product", 1);
        }),
        ("an object twice", |record| {
            let ObjectList::Inline(objects) = &mut record.objects else { panic!("inline") };
            objects.consumed[0] = objects.consumed[1].clone();
        }),
    ];
    for (lie, forge) in lies {
        let lake = copy_of(lake.as_ref()).await;
        let other: Arc<dyn Store> = Arc::new(Memory::new("other"));
        for key in keys(lake.as_ref(), "_healthtrail/log/").await {
            let bytes = lake.get(&key, GetOptions::default()).await.unwrap();
            put(other.as_ref(), &key, bytes).await;
        }
        let mut record = record_of(lake.as_ref(), 2).await;
        forge(&mut record);
        put_record(other.as_ref(), 2, &record).await;
        let mut ledger = Ledger::default();
        Log::new(other).look(&mut ledger).await.unwrap();
        let bytes = checkpoint::encode(&ledger).unwrap();
        put(lake.as_ref(), &checkpoint_key(ledger.version()), bytes).await;
        let report = verify(&asked(&archive, &lake)).await.unwrap();
        let kinds: Vec<&str> = report.by_kind.keys().copied().collect();
        assert_eq!(kinds, ["ledger_lies"], "{lie}: {:#?}", report.findings);
        repair(&archive, &lake).await;
        assert_eq!(fill(&archive, &lake).await.objects.read, 0, "{lie}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reopened_objects_of_closed_hours_wait_until_a_run_reads_them() {
    let archive = old_archive().await;
    let lake = filled(&archive).await;
    let whole = seen(lake.as_ref()).await;
    let part = record_of(lake.as_ref(), 2).await.files.remove(0).key;
    lake.delete(&part).await.unwrap();
    repair(&archive, &lake).await;
    let looked = VerifyOptions { deep: Some(1.0), ..asked(&archive, &lake) };
    let report = verify(&looked).await.unwrap();
    let waiting: Vec<&str> = report
        .notes
        .iter()
        .filter(|note| note.kind == "objects_waiting")
        .map(|note| note.message.as_str())
        .collect();
    assert!(waiting.len() == 1 && waiting[0].contains("read them again: 3;"), "{waiting:?}");
    assert_eq!(report.deep.unwrap().pending, 3);
    assert_eq!(fill(&archive, &lake).await.objects.read, 3);
    assert_eq!(seen(lake.as_ref()).await, whole);
    is_right(&archive, &lake, "after the run").await;
}

/// Each part of such a lake in turn is lost, and comes back.
async fn each_part_comes_back(archive: &Arc<dyn Store>, lake: &Arc<dyn Store>, told: &str) {
    let whole = seen(lake.as_ref()).await;
    let mut parts = keys(lake.as_ref(), "findings/").await;
    parts.extend(keys(lake.as_ref(), "rejects/").await);
    for part in parts {
        let lake = copy_of(lake.as_ref()).await;
        let told = format!("{told}: {part}");
        lake.delete(&part).await.unwrap();
        repair(archive, &lake).await;
        fill(archive, &lake).await;
        assert_eq!(seen(lake.as_ref()).await, whole, "{told}");
        is_right(archive, &lake, &told).await;
    }
}

fn arn(number: u32) -> String {
    let code = "AWS_EC2_OPERATIONAL_ISSUE";
    format!("arn:aws:health:us-east-1::event/EC2/{code}/{code}_{number}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_any_origin_that_is_lost_comes_back() {
    let archive = old_archive().await;

    let forgotten = filled(&archive).await;
    let gone = [10, 41, 90].map(|number| format!("finding_id={}", arn(number)));
    assert_eq!(forget_rows(&forgotten, &gone).await.rows, 3);
    each_part_comes_back(&archive, &forgotten, "forgotten").await;

    let rebuilt: Arc<dyn Store> = Arc::new(Memory::new("rebuilt"));
    rebuild_to(&forgotten, &rebuilt).await;
    each_part_comes_back(&archive, &rebuilt, "rebuilt").await;

    let lake: Arc<dyn Store> = Arc::new(Memory::new("lake"));
    let mut narrow = options(&archive, &lake, false);
    narrow.document_bytes_max = 300;
    run(&narrow).await.unwrap();
    assert!(seen(lake.as_ref()).await.rows.is_empty());
    redrive_all(&archive, &lake).await;
    assert_eq!(seen(lake.as_ref()).await, seen(filled(&archive).await.as_ref()).await);
    each_part_comes_back(&archive, &lake, "redriven").await;
}

/// What was read out of rejects has no object to come back from; it comes back with another redrive.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_salvaged_and_lost_is_salvaged_again() {
    let archive = old_archive().await;
    let lake: Arc<dyn Store> = Arc::new(Memory::new("lake"));
    let mut narrow = options(&archive, &lake, false);
    narrow.document_bytes_max = 300;
    run(&narrow).await.unwrap();
    let expired = key("2026-08-02", 4, 4);
    archive.delete(&expired).await.unwrap();
    redrive_all(&archive, &lake).await;
    let whole = seen(lake.as_ref()).await;
    let [findings, _] = tables(lake.as_ref()).await;
    let salvaged = findings.iter().find(|row| row["source_object"].ends_with(&expired));
    let Some(salvaged) = salvaged else { panic!("nothing was salvaged") };
    let mut parts = keys(lake.as_ref(), "findings/dt=2026-08-02/").await;
    parts.extend(keys(lake.as_ref(), "rejects/dt=2026-08-02/").await);
    for part in parts {
        let lake = copy_of(lake.as_ref()).await;
        lake.delete(&part).await.unwrap();
        repair(&archive, &lake).await;
        fill(&archive, &lake).await;
        redrive_all(&archive, &lake).await;
        let now = seen(lake.as_ref()).await;
        if !part.starts_with("rejects/") {
            assert_eq!(now.rows, whole.rows, "{part}");
        }
        let report = verify(&asked(&archive, &lake)).await.unwrap();
        assert!(report.findings.is_empty(), "{part}: {:#?}", report.findings);
    }

    // Once it is forgotten, no further redrive brings it back.
    let forgotten = forget_rows(&lake, &[selector(salvaged)]).await;
    assert_eq!(forgotten.rows, 1);
    let left = seen(lake.as_ref()).await;
    let again = RedriveOptions {
        read: options(&archive, &lake, false),
        filter: RejectFilter::default(),
        passed_over: Vec::new(),
        again: true,
    };
    redrive(&again).await.unwrap();
    assert_eq!(seen(lake.as_ref()).await.rows, left.rows);
}

/// A reject that was forgotten may stand in what was read of the lake before.
#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_after_an_erasure_brings_nothing_back() {
    for is_gone in [false, true] {
        let archive = old_archive().await;
        let lake: Arc<dyn Store> = Arc::new(Memory::new("lake"));
        let mut narrow = options(&archive, &lake, false);
        narrow.document_bytes_max = 300;
        run(&narrow).await.unwrap();
        if is_gone {
            archive.delete(&key("2026-08-01", 1, 1)).await.unwrap();
        }
        let chosen = format!("finding_id={},account_id=111122223333", arn(10));
        let forgotten = forget_rows(&lake, &[chosen]).await;
        assert_eq!((forgotten.rows, forgotten.rejects), (0, 1), "{is_gone}");
        redrive_all(&archive, &lake).await;
        assert!(!holds(lake.as_ref(), 10).await, "{is_gone}");
    }
}

/// The same when the erasure comes while the redrive is at work, whatever it has read by then.
#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_beside_a_redrive_is_final() {
    for is_gone in [false, true] {
        let archive = old_archive_of(3).await;
        let before: Arc<dyn Store> = Arc::new(Memory::new("lake"));
        let mut narrow = options(&archive, &before, false);
        narrow.document_bytes_max = 300;
        run(&narrow).await.unwrap();
        if is_gone {
            archive.delete(&key("2026-08-01", 1, 1)).await.unwrap();
        }
        for nth in (1..).step_by(2) {
            let lake = copy_of(before.as_ref()).await;
            let to = Arc::clone(&lake);
            let chosen = format!("finding_id={},account_id=111122223333", arn(10));
            let other = Box::new(move || {
                at_once(forget_rows(&to, std::slice::from_ref(&chosen)));
            });
            let (inner, left) = (Arc::clone(&lake), AtomicI64::new(nth));
            let meddler = Arc::new(Meddler { inner, left, other });
            let watched: Arc<dyn Store> = meddler.clone();
            redrive_all(&archive, &watched).await;
            if meddler.left.load(Ordering::Relaxed) > 0 {
                assert!(nth > 30, "{nth}");
                break;
            }
            assert!(!holds(lake.as_ref(), 10).await, "{is_gone} {nth}");
            let report = verify(&asked(&archive, &lake)).await.unwrap();
            assert!(report.findings.is_empty(), "{is_gone} {nth}: {:#?}", report.findings);
        }
    }
}

/// Whether a row or the bytes of a reject tell of this event.
async fn holds(lake: &dyn Store, number: u32) -> bool {
    let [findings, rejects] = tables(lake).await;
    assert!(!findings.is_empty());
    let bytes = format!("{:?}", Bytes::from(arn(number)).to_vec());
    let bytes = bytes.trim_matches(['[', ']']);
    findings.iter().any(|row| row["finding_id"] == arn(number))
        || rejects.iter().any(|row| row["bytes"].contains(bytes))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_reaches_the_quarantine() {
    let archive = old_archive().await;
    let lake = filled(&archive).await;
    // Two parts are repaired away: one can be read and holds the row, one cannot; a third holds others.
    let file = |record: Record| record.files.into_iter().find(|one| one.table == Table::Findings);
    let held = file(record_of(lake.as_ref(), 2).await).unwrap();
    let other = file(record_of(lake.as_ref(), 1).await).unwrap();
    let copied = |key: &str| format!("{QUARANTINE}{key}");
    for key in [&held.key, &other.key] {
        let bytes = lake.get(key, GetOptions::default()).await.unwrap();
        put(lake.as_ref(), &copied(key), bytes).await;
    }
    put(lake.as_ref(), &copied("findings/dt=2026-08-01/cut.parquet"), "PAR1").await;
    lake.delete(&held.key).await.unwrap();
    repair(&archive, &lake).await;
    assert_eq!(keys(lake.as_ref(), QUARANTINE).await.len(), 3);

    // The lake does not hold the row now, but its object waits to be read again.
    let number = [30, 40, 50].into_iter().find(|n| held.key.contains(&format!("-0{}", 1 + n / 30)));
    let chosen = format!("finding_id={}", arn(number.unwrap()));
    let options = ForgetOptions {
        lake: Arc::clone(&lake),
        selectors: vec![chosen.parse().unwrap()],
        objects: Vec::new(),
        reason: "case 9".into(),
        dry_run: true,
    };
    let would = forget(&options).await.unwrap();
    assert_eq!((would.rows, would.quarantined, would.tombstones), (0, 2, 1), "{would:?}");
    assert_eq!(keys(lake.as_ref(), QUARANTINE).await.len(), 3);
    let done = forget_rows(&lake, std::slice::from_ref(&chosen)).await;
    assert_eq!((done.rows, done.quarantined, done.tombstones), (0, 2, 1), "{done:?}");
    assert_eq!(keys(lake.as_ref(), QUARANTINE).await, [copied(&other.key)]);
    fill(&archive, &lake).await;
    let [findings, _] = tables(lake.as_ref()).await;
    assert_eq!(findings.len(), 19);
    assert!(findings.iter().all(|row| row["finding_id"] != arn(number.unwrap())));
    assert_eq!(forget_rows(&lake, &[chosen]).await.quarantined, 0);

    // A part that an erasure replaced comes back from a backup: it is deleted, and not kept.
    let part = record_of(lake.as_ref(), 1).await.files.remove(0);
    let bytes = lake.get(&part.key, GetOptions::default()).await.unwrap();
    assert_eq!(forget_rows(&lake, &[format!("finding_id={}", arn(10))]).await.rows, 1);
    let kept = keys(lake.as_ref(), QUARANTINE).await;
    put(lake.as_ref(), &part.key, bytes).await;
    repair(&archive, &lake).await;
    assert!(lake.head(&part.key).await.unwrap().is_none());
    assert_eq!(keys(lake.as_ref(), QUARANTINE).await, kept);
    is_right(&archive, &lake, "after the erasure").await;
}

/// A part of the rejects table as older programs wrote it, without the columns of later states.
async fn age_rejects(lake: &dyn Store, number: u64) {
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    let mut record = record_of(lake, number).await;
    for file in record.files.iter_mut().filter(|file| file.table == Table::Rejects) {
        let bytes = lake.get(&file.key, GetOptions::default()).await.unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
        let batches: Vec<_> = reader.map(Result::unwrap).collect();
        let kept: Vec<usize> = (0..batches[0].num_columns())
            .filter(|index| !batches[0].schema().field(*index).name().starts_with("state_"))
            .collect();
        let schema = Arc::new(batches[0].schema().project(&kept).unwrap());
        let mut writer = ArrowWriter::try_new(Vec::new(), schema, None).unwrap();
        for batch in &batches {
            writer.write(&batch.project(&kept).unwrap()).unwrap();
        }
        let bytes = writer.into_inner().unwrap();
        lake.delete(&file.key).await.unwrap();
        file.sha256 = healthtrail::store::sha256_hex(&bytes);
        file.bytes = bytes.len() as u64;
        file.key = part_key(file.table, file.partition, number, &file.sha256);
        put(lake, &file.key, bytes).await;
    }
    record.totals.bytes = record.files.iter().map(|file| file.bytes).sum();
    put_record(lake, number, &record).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_carries_all_states_of_rejects_old_parts_among_them() {
    let archive = old_archive().await;
    let lake: Arc<dyn Store> = Arc::new(Memory::new("lake"));
    let mut narrow = options(&archive, &lake, false);
    narrow.document_bytes_max = 300;
    run(&narrow).await.unwrap();
    for number in 1..=version_of(&lake).await {
        age_rejects(lake.as_ref(), number).await;
    }
    redrive_all(&archive, &lake).await;
    let [_, expected] = tables(lake.as_ref()).await;
    assert!(expected.iter().any(|row| row["state"] == "redriven"));
    let rebuilt: Arc<dyn Store> = Arc::new(Memory::new("rebuilt"));
    rebuild_to(&lake, &rebuilt).await;
    assert_eq!(tables(rebuilt.as_ref()).await[1], expected);
    is_right(&archive, &lake, "the old lake").await;
    is_right(&archive, &rebuilt, "the rebuilt lake").await;
    assert_eq!(closed_hours(&rebuilt).await, closed_hours(&lake).await);
    assert_eq!(fill(&archive, &rebuilt).await.commits, 0);
    let chosen = format!("finding_id={},account_id=111122223333", arn(10));
    forget_rows(&lake, &[chosen]).await;
    is_right(&archive, &lake, "the old lake, without a row").await;
}

/// A reject that is settled, comes back, and is settled again has the same state twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_reject_that_comes_back_is_no_doubled_row_and_all_its_states_are_carried_over() {
    let archive = old_archive().await;
    let lake: Arc<dyn Store> = Arc::new(Memory::new("lake"));
    let mut narrow = options(&archive, &lake, false);
    narrow.document_bytes_max = 300;
    run(&narrow).await.unwrap();
    redrive_all(&archive, &lake).await;
    for part in keys(lake.as_ref(), "findings/").await {
        lake.delete(&part).await.unwrap();
    }
    repair(&archive, &lake).await;
    run(&narrow).await.unwrap();
    let states = async |lake: &dyn Store| {
        let [_, rejects] = tables(lake).await;
        let mut states: BTreeMap<String, BTreeMap<u32, String>> = BTreeMap::new();
        for row in rejects {
            let number = row.get("state_number").map_or(0, |number| number.parse().unwrap());
            states
                .entry(row["reject_id"].clone())
                .or_default()
                .insert(number, row["state"].clone());
        }
        states
    };
    let held = states(lake.as_ref()).await;
    let same = |states: &BTreeMap<u32, String>| {
        states.values().map(String::as_str).eq(["open", "redriven", "open"])
    };
    assert!(held.values().any(same), "{held:#?}");
    let report = verify(&asked(&archive, &lake)).await.unwrap();
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
    let rebuilt: Arc<dyn Store> = Arc::new(Memory::new("rebuilt"));
    rebuild_to(&lake, &rebuilt).await;
    assert_eq!(states(rebuilt.as_ref()).await, held);
    for lake in [&lake, &rebuilt] {
        fill(&archive, lake).await;
        assert_eq!(seen(lake.as_ref()).await, seen(fresh(&archive).await.as_ref()).await);
        is_right(&archive, lake, "at the end").await;
    }
}

/// What a repair takes out of a rebuilt lake is in the old one still.
#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_rebuild_mends_the_new_lake_from_the_old_one() {
    let archive = old_archive().await;
    let lake = filled(&archive).await;
    let rebuilt: Arc<dyn Store> = Arc::new(Memory::new("rebuilt"));
    rebuild_to(&lake, &rebuilt).await;
    let whole = seen(rebuilt.as_ref()).await;
    for table in ["findings/", "rejects/"] {
        let part = keys(rebuilt.as_ref(), table).await.remove(0);
        rebuilt.delete(&part).await.unwrap();
        repair(&archive, &rebuilt).await;
        rebuild_to(&lake, &rebuilt).await;
        assert_eq!(seen(rebuilt.as_ref()).await, whole, "{part}");
        assert_eq!(rebuild_to(&lake, &rebuilt).await.commits, 0, "{part}");
        assert_eq!(fill(&archive, &rebuilt).await.findings.added, 0, "{part}");
        is_right(&archive, &rebuilt, &part).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_a_rebuilt_lake_can_be_given_up() {
    let archive = old_archive().await;
    let lake = filled(&archive).await;
    let rebuilt: Arc<dyn Store> = Arc::new(Memory::new("rebuilt"));
    rebuild_to(&lake, &rebuilt).await;
    let broken = key("2026-08-01", 20, 77);
    put(archive.as_ref(), &broken, "{").await;
    let read = key("2026-08-01", 1, 1);
    let accepting = |key: &str| AcceptOptions {
        lake: Arc::clone(&rebuilt),
        archives: vec![Archive { store: Arc::clone(&archive), prefix: String::new() }],
        objects: vec![archive.uri(key)],
        reason: "cut off by its writer".into(),
    };
    let refused = accept(&accepting(&read)).await.unwrap_err();
    assert!(refused.to_string().contains("is in the lake"), "{refused}");
    assert_eq!(accept(&accepting(&broken)).await.unwrap().accepted.len(), 1);
    assert_eq!(fill(&archive, &rebuilt).await.objects.read, 0);
    // Also when the ledger is folded anew.
    for key in keys(rebuilt.as_ref(), "_healthtrail/checkpoints/").await {
        rebuilt.delete(&key).await.unwrap();
    }
    assert_eq!(fill(&archive, &rebuilt).await.objects.read, 0);
    let version = version_of(&rebuilt).await;
    assert!(rebuilt.head(&done_key(version)).await.unwrap().is_some());
    assert!(rebuilt.list("_healthtrail/staging/").next().await.is_none());
}
