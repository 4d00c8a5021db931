//! Damage done on purpose: what `verify` calls it, and that `--repair` and one run bring back the lake.

#![allow(clippy::too_many_lines, reason = "a list of cases is as long as it is")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::future::{BoxFuture, LocalBoxFuture};
use futures::stream::BoxStream;
use futures::{FutureExt as _, TryStreamExt as _};
use globset::GlobSet;
use healthtrail::archive::discover::DiscoverOptions;
use healthtrail::finding::limits::CountLimits;
use healthtrail::job::options::RunOptions;
use healthtrail::job::plan::{Archive, Hours};
use healthtrail::job::progress::Progress;
use healthtrail::job::run::run;
use healthtrail::job::summary::Summary;
use healthtrail::job::verify::{VerifyOptions, VerifyReport, verify};
use healthtrail::lake::checkpoint;
use healthtrail::lake::draft::{Draft, Drafted};
use healthtrail::lake::layout::{
    CONFIG, Table, checkpoint_key, done_key, objects_key, part_key, record_key, staged_part_key,
};
use healthtrail::lake::ledger::Ledger;
use healthtrail::lake::log::Log;
use healthtrail::lake::record::{
    FileRecord, ObjectList, Objects, ObjectsFile, Purpose, Record, Withdrawn,
};
use healthtrail::lake::verify::Depth;
use healthtrail::store::{
    Fault, Faulty, Folder, GetOptions, Memory, ObjectMeta, Store, StoreErrorKind, StoreResult, open,
};
use jiff::tz::TimeZone;

use crate::program::{Row, health_event, key, rows, undelivered, write};
use crate::stores::{keys, put, with_s3};

/// The page that shows the command at work.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/verify.md");

/// Two tests write to the page.
static WRITING: Mutex<()> = Mutex::new(());

/// Holds the page against what it should say, or writes it with `UPDATE=1`.
fn hold_page(held: &str, made: &str) {
    if std::env::var_os("UPDATE").is_some() {
        fs::write(PAGE, made).unwrap();
        return;
    }
    assert!(held == made, "`UPDATE=1 cargo test verify` makes docs/verify.md anew");
}

/// What differs from place to place: hashes, sizes and times.
fn filtered(said: &str) -> String {
    let mut shown = String::new();
    let mut digits = String::new();
    for letter in said.chars().chain(['\n']) {
        if letter.is_ascii_digit() || ('a'..='f').contains(&letter) {
            digits.push(letter);
            continue;
        }
        let is_hash = digits.len() == 16;
        shown += if is_hash { "3f9a0c1d2e4b5a67" } else { &digits };
        digits.clear();
        shown.push(letter);
    }
    let line = |line: &str| match line.strip_prefix("  log  ") {
        Some(_) => format!("{} 80 KiB\n", line.rsplitn(3, ' ').nth(2).unwrap()),
        None => format!("{}\n", line.trim_end()),
    };
    shown.trim_end().lines().map(line).collect()
}

/// Each command of the page gives what the page shows.
#[test]
fn the_page_shows_what_the_commands_say() {
    let _writing = WRITING.lock().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/samples");
    std::os::unix::fs::symlink(samples, folder.path().join("samples")).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_healthtrail")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let page = fs::read_to_string(PAGE).unwrap();
    let mut made = String::new();
    let mut within = false;
    for line in page.lines() {
        if within && line != "```" {
            let Some(typed) = line.strip_prefix("$ ") else { continue };
            let mut shell = std::process::Command::new("sh");
            let ran = shell
                .args(["-c", typed])
                .current_dir(folder.path())
                .env("PATH", &path)
                .output()
                .unwrap();
            let said = filtered(&String::from_utf8(ran.stdout).unwrap());
            let complaint = filtered(&String::from_utf8(ran.stderr).unwrap());
            writeln!(made, "{line}").unwrap();
            made += &said;
            made += &complaint;
            if !ran.status.success() {
                writeln!(made, "[exit code {}]", ran.status.code().unwrap()).unwrap();
            }
            continue;
        }
        within = line == "```console";
        writeln!(made, "{line}").unwrap();
    }
    hold_page(&page, &made);
}

fn options(archive: &Arc<dyn Store>, lake: &Arc<dyn Store>) -> RunOptions {
    RunOptions {
        archives: vec![Archive { store: Arc::clone(archive), prefix: String::new() }],
        lake: Some(Arc::clone(lake)),
        products: None,
        partition: None,
        hours: Hours { since_ms: None, until_ms: None },
        discover: DiscoverOptions { exclude: GlobSet::empty(), zone: TimeZone::UTC },
        deadline: None,
        threads: 2,
        memory_bytes: 1 << 30,
        wave_objects: Some(3),
        fetches: 4,
        object_bytes_max: 1 << 30,
        document_bytes_max: 16 << 20,
        counts: CountLimits::DEFAULT,
        redact: false,
        progress: Arc::new(Progress::default()),
    }
}

async fn run_on(archive: &Arc<dyn Store>, lake: &Arc<dyn Store>) -> Summary {
    run(&options(archive, lake)).await.unwrap()
}

pub(crate) fn asked(archive: &Arc<dyn Store>, lake: &Arc<dyn Store>) -> VerifyOptions {
    VerifyOptions {
        lake: Arc::clone(lake),
        depth: Depth::Rows,
        deep: None,
        archives: vec![Archive { store: Arc::clone(archive), prefix: String::new() }],
        repair: false,
        quarantine_foreign: false,
        threads: 2,
        memory_bytes: 1 << 30,
        fetches: 4,
        progress: Arc::new(Progress::default()),
    }
}

/// Ten objects on four days in four waves, with rejects and events that stand in several objects.
async fn archive() -> Arc<dyn Store> {
    archive_of(10).await
}

async fn archive_of(objects: u32) -> Arc<dyn Store> {
    let archive = Memory::new("archive");
    for number in 0..objects {
        let day = format!("2026-08-{:02}", 1 + number / 3);
        let mut events = String::new();
        for event in [number * 10, number * 10 + 1, number.saturating_sub(1) * 10] {
            events += &health_event(event, &day, "111122223333");
        }
        if number.is_multiple_of(2) {
            events += "no json ";
        }
        put(&archive, &key(&day, number, number), events).await;
    }
    Arc::new(archive)
}

/// What must be the same again: rows without their delivery, rejects by id and state.
#[derive(Debug, PartialEq, Eq)]
struct Content {
    findings: Vec<Row>,
    rejects: BTreeSet<(String, String)>,
    rejects_count: usize,
}

async fn content(lake: &dyn Store) -> Content {
    let folder = tempfile::tempdir().unwrap();
    for table in ["findings/", "rejects/"] {
        for key in keys(lake, table).await {
            let bytes = lake.get(&key, GetOptions::default()).await.unwrap();
            write(folder.path(), &key, &bytes);
        }
    }
    let rejects = rows(folder.path(), "rejects");
    Content {
        findings: undelivered(folder.path()),
        rejects_count: rejects.len(),
        rejects: rejects
            .into_iter()
            .map(|row| (row["reject_id"].clone(), row["state"].clone()))
            .collect(),
    }
}

async fn bytes_of(lake: &dyn Store, key: &str) -> Bytes {
    lake.get(key, GetOptions::default()).await.unwrap()
}

pub(crate) async fn record_of(lake: &dyn Store, number: u64) -> Record {
    serde_json::from_slice(&bytes_of(lake, &record_key(number)).await).unwrap()
}

pub(crate) async fn put_record(lake: &dyn Store, number: u64, record: &Record) {
    put(lake, &record_key(number), serde_json::to_vec(record).unwrap()).await;
}

/// The first file of a commit in a table.
async fn file_of(lake: &dyn Store, number: u64, table: Table) -> FileRecord {
    let record = record_of(lake, number).await;
    record.files.into_iter().find(|file| file.table == table).unwrap()
}

pub(crate) async fn version_of(lake: &Arc<dyn Store>) -> u64 {
    let mut ledger = Ledger::default();
    Log::new(Arc::clone(lake)).look(&mut ledger).await.unwrap();
    ledger.version()
}

/// Flips a byte of an object, counted from its end when negative.
pub(crate) async fn flip(lake: &dyn Store, key: &str, at: isize) {
    let mut bytes = bytes_of(lake, key).await.to_vec();
    let length = bytes.len();
    let at = if at < 0 { length - at.unsigned_abs() } else { at.unsigned_abs() };
    bytes[at] ^= 0x55;
    put(lake, key, bytes).await;
}

/// Commits by hand what no run would: these files, these withdrawals, objects that no archive has.
async fn commit_by_hand(
    lake: &Arc<dyn Store>,
    files: Vec<(FileRecord, Bytes)>,
    withdrawn: Vec<Withdrawn>,
) {
    let number = version_of(lake).await + 1;
    let mut staged = Vec::new();
    for (file, bytes) in files {
        let sha256 = healthtrail::store::sha256_hex(&bytes);
        let key = staged_part_key(number, "hand", &sha256);
        put(lake.as_ref(), &key, bytes.clone()).await;
        staged.push(FileRecord {
            staged: key,
            key: part_key(file.table, file.partition, number, &sha256),
            bytes: bytes.len() as u64,
            sha256,
            ..file
        });
    }
    let first = record_of(lake.as_ref(), 1).await;
    let ObjectList::Inline(mut objects) = first.objects else { panic!("inline") };
    for object in &mut objects.consumed {
        object.key = format!("expired/{}", object.key);
    }
    let draft = Draft {
        run: "hand".into(),
        purpose: Purpose::Run,
        reason: None,
        settings: first.settings,
        started_at: String::new(),
        committed_at: String::new(),
        objects,
        files: staged,
        withdrawn,
        tombstones: Vec::new(),
    };
    let log = Log::new(Arc::clone(lake));
    assert!(matches!(log.commit(draft, number - 1).await.unwrap(), Drafted::Won(..)));
}

/// Moves the objects of commit 1 into a list beside it, as commits of very many objects have it.
pub(crate) async fn list_beside(lake: &dyn Store) -> String {
    let mut record = record_of(lake, 1).await;
    let ObjectList::Inline(objects) = &record.objects else { panic!("inline") };
    let bytes = serde_json::to_vec::<Objects>(objects).unwrap();
    let sha256 = healthtrail::store::sha256_hex(&bytes);
    let key = objects_key(&sha256);
    let staged = "_healthtrail/staging/1/x/y.json".to_owned();
    let length = bytes.len() as u64;
    put(lake, &key, bytes).await;
    record.objects =
        ObjectList::File(ObjectsFile { staged, key: key.clone(), bytes: length, sha256 });
    put_record(lake, 1, &record).await;
    key
}

/// A part's rows with one value of a text column replaced, as a part of its own.
fn forged(bytes: &Bytes, column: &str, value: &str) -> Bytes {
    use arrow::array::{ArrayRef, AsArray as _, StringArray};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).unwrap().build().unwrap();
    let batches: Vec<_> = reader.map(Result::unwrap).collect();
    let batch = arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap();
    let at = batch.schema().index_of(column).unwrap();
    let texts = batch.column(at).as_string::<i32>();
    let changed: StringArray = texts
        .iter()
        .enumerate()
        .map(|(row, text)| if row == 0 { Some(value) } else { text })
        .collect();
    let mut columns = batch.columns().to_vec();
    columns[at] = Arc::new(changed) as ArrayRef;
    let batch = arrow::record_batch::RecordBatch::try_new(batch.schema(), columns).unwrap();
    let picks: Vec<_> = (0..u32::try_from(batch.num_rows()).unwrap())
        .map(|row| healthtrail::lake::dedupe::Pick { batch: 0, row })
        .collect();
    healthtrail::lake::part::encode(Table::Findings, &[batch], &picks).unwrap().bytes
}

/// What becomes of a damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// `--repair` and one run bring the lake back.
    Mended,
    /// The same with `--quarantine-foreign`.
    Quarantined,
    /// No damage at all.
    Note(&'static str),
    /// Nothing brings it back; this is what a person is told.
    Lost(&'static str),
}

type Damage = fn(Arc<dyn Store>) -> LocalBoxFuture<'static, ()>;

struct Case {
    name: &'static str,
    /// What is done before the lake counts as undamaged.
    before: Option<Damage>,
    damage: Damage,
    kinds: &'static [&'static str],
    deep: bool,
    end: End,
}

macro_rules! damage {
    (|$lake:ident| $body:expr) => {{
        fn damage($lake: Arc<dyn Store>) -> LocalBoxFuture<'static, ()> {
            async move { $body }.boxed_local()
        }
        damage as Damage
    }};
}

fn case(name: &'static str, damage: Damage, kinds: &'static [&'static str], end: End) -> Case {
    Case { name, before: None, damage, kinds, deep: false, end }
}

const ANEW: &str = "nothing can compute it anew: restore the object from a version or a backup";

fn damaged_parts() -> Vec<Case> {
    vec![
        case(
            "a part is deleted",
            damage!(|lake| {
                let file = file_of(lake.as_ref(), 2, Table::Findings).await;
                lake.delete(&file.key).await.unwrap();
            }),
            &["part_missing"],
            End::Mended,
        ),
        case(
            "a part is cut",
            damage!(|lake| {
                let file = file_of(lake.as_ref(), 2, Table::Findings).await;
                let bytes = bytes_of(lake.as_ref(), &file.key).await;
                put(lake.as_ref(), &file.key, bytes.slice(..bytes.len() - 100)).await;
            }),
            &["part_altered"],
            End::Mended,
        ),
        case(
            "a byte of a part's data is altered",
            damage!(|lake| {
                let file = file_of(lake.as_ref(), 1, Table::Findings).await;
                flip(lake.as_ref(), &file.key, 600).await;
            }),
            &["part_altered"],
            End::Mended,
        ),
        case(
            "a byte of a part's footer is altered",
            damage!(|lake| {
                let file = file_of(lake.as_ref(), 3, Table::Findings).await;
                flip(lake.as_ref(), &file.key, -30).await;
            }),
            &["part_altered"],
            End::Mended,
        ),
        case(
            "a part of rejects is cut",
            damage!(|lake| {
                let file = file_of(lake.as_ref(), 1, Table::Rejects).await;
                let bytes = bytes_of(lake.as_ref(), &file.key).await;
                put(lake.as_ref(), &file.key, bytes.slice(..bytes.len() / 2)).await;
            }),
            &["part_altered"],
            End::Mended,
        ),
        case(
            "a done mark without files",
            damage!(|lake| {
                for file in record_of(lake.as_ref(), 2).await.files {
                    lake.delete(&file.key).await.unwrap();
                }
            }),
            &["done_without_files", "part_missing"],
            End::Mended,
        ),
        case(
            "all parts are deleted",
            damage!(|lake| {
                for table in ["findings/", "rejects/"] {
                    for key in keys(lake.as_ref(), table).await {
                        lake.delete(&key).await.unwrap();
                    }
                }
            }),
            &["done_without_files", "part_missing"],
            End::Mended,
        ),
        case(
            "an unknown part is added",
            damage!(|lake| {
                put(lake.as_ref(), "findings/dt=2026-08-01/copied.parquet", "no Parquet").await;
            }),
            &["part_foreign"],
            End::Quarantined,
        ),
        case(
            "a copy of a part under another name",
            damage!(|lake| {
                let file = file_of(lake.as_ref(), 1, Table::Findings).await;
                let copy = part_key(file.table, file.partition, 1, "0123456789abcdef");
                lake.copy_new(&file.key, &copy).await.unwrap();
            }),
            &["part_foreign"],
            End::Quarantined,
        ),
        case(
            "a file of another lake",
            damage!(|lake| {
                let (other, archive) = (Memory::new("other"), Memory::new("elsewhere"));
                let event = health_event(77, "2026-08-02", "999922223333");
                put(&archive, &key("2026-08-02", 1, 1), event).await;
                let (other, archive): (Arc<dyn Store>, Arc<dyn Store>) =
                    (Arc::new(other), Arc::new(archive));
                run_on(&archive, &other).await;
                let file = file_of(other.as_ref(), 1, Table::Findings).await;
                put(lake.as_ref(), &file.key, bytes_of(other.as_ref(), &file.key).await).await;
            }),
            &["part_foreign"],
            End::Quarantined,
        ),
    ]
}

fn damaged_log() -> Vec<Case> {
    vec![
        case(
            "a record is gone",
            damage!(|lake| lake.delete(&record_key(2)).await.unwrap()),
            &["part_unrecorded", "record_missing"],
            End::Lost(ANEW),
        ),
        case(
            "the last record is gone",
            damage!(|lake| lake.delete(&record_key(4)).await.unwrap()),
            &["part_unrecorded", "record_missing"],
            End::Lost(ANEW),
        ),
        case(
            "a record is cut",
            damage!(|lake| {
                let bytes = bytes_of(lake.as_ref(), &record_key(2)).await;
                put(lake.as_ref(), &record_key(2), bytes.slice(..bytes.len() / 2)).await;
            }),
            &["part_unrecorded", "record_unreadable"],
            End::Lost(ANEW),
        ),
        case(
            "a record is altered",
            damage!(|lake| {
                let mut record = record_of(lake.as_ref(), 2).await;
                record.totals.findings += 1;
                put_record(lake.as_ref(), 2, &record).await;
            }),
            &["record_contradicts"],
            End::Lost(ANEW),
        ),
        case(
            "a record is copied to the next number",
            damage!(|lake| {
                let bytes = bytes_of(lake.as_ref(), &record_key(2)).await;
                put(lake.as_ref(), &record_key(3), bytes).await;
            }),
            &["part_unrecorded", "record_contradicts"],
            End::Lost(ANEW),
        ),
        case(
            "a done mark is gone",
            damage!(|lake| lake.delete(&done_key(2)).await.unwrap()),
            &["done_missing"],
            End::Mended,
        ),
        case(
            "a done mark and a part are gone",
            damage!(|lake| {
                let file = file_of(lake.as_ref(), 2, Table::Findings).await;
                lake.delete(&file.key).await.unwrap();
                lake.delete(&done_key(2)).await.unwrap();
            }),
            &["done_missing", "part_missing"],
            End::Mended,
        ),
        case(
            "a done mark is overwritten",
            damage!(|lake| put(lake.as_ref(), &done_key(3), "{").await),
            &["done_unreadable"],
            End::Mended,
        ),
        Case {
            before: Some(damage!(|lake| drop(list_beside(lake.as_ref()).await))),
            ..case(
                "a list of objects is gone",
                damage!(|lake| {
                    for key in keys(lake.as_ref(), "_healthtrail/objects/").await {
                        lake.delete(&key).await.unwrap();
                    }
                }),
                &["objects_missing"],
                End::Mended,
            )
        },
        Case {
            before: Some(damage!(|lake| drop(list_beside(lake.as_ref()).await))),
            ..case(
                "a list of objects is altered",
                damage!(|lake| {
                    for key in keys(lake.as_ref(), "_healthtrail/objects/").await {
                        flip(lake.as_ref(), &key, 40).await;
                    }
                }),
                &["objects_altered"],
                End::Mended,
            )
        },
        case(
            "lake.json is gone",
            damage!(|lake| lake.delete(CONFIG).await.unwrap()),
            &["config_missing"],
            End::Mended,
        ),
        case(
            "lake.json is overwritten",
            damage!(|lake| put(lake.as_ref(), CONFIG, "no JSON").await),
            &["config_unreadable"],
            End::Mended,
        ),
        case(
            "a checkpoint that lies",
            damage!(|lake| {
                let other: Arc<dyn Store> = Arc::new(Memory::new("other"));
                for key in keys(lake.as_ref(), "_healthtrail/log/").await {
                    put(other.as_ref(), &key, bytes_of(lake.as_ref(), &key).await).await;
                }
                let mut record = record_of(lake.as_ref(), 2).await;
                let ObjectList::Inline(objects) = &mut record.objects else { panic!("inline") };
                objects.consumed[0].key += "x";
                put_record(other.as_ref(), 2, &record).await;
                let mut ledger = Ledger::default();
                Log::new(other).look(&mut ledger).await.unwrap();
                let bytes = checkpoint::encode(&ledger).unwrap();
                put(lake.as_ref(), &checkpoint_key(ledger.version()), bytes).await;
            }),
            &["ledger_lies"],
            End::Mended,
        ),
        case(
            "a checkpoint is overwritten",
            damage!(|lake| put(lake.as_ref(), &checkpoint_key(2), "no checkpoint").await),
            &["checkpoint_unreadable"],
            End::Mended,
        ),
    ]
}

fn damaged_rows() -> Vec<Case> {
    vec![
        case(
            "a row stands twice",
            damage!(|lake| {
                let file = file_of(lake.as_ref(), 1, Table::Findings).await;
                let bytes = bytes_of(lake.as_ref(), &file.key).await;
                commit_by_hand(&lake, vec![(file, bytes)], Vec::new()).await;
            }),
            &["row_doubled"],
            End::Mended,
        ),
        case(
            "a state of a reject stands twice",
            damage!(|lake| {
                let file = file_of(lake.as_ref(), 1, Table::Rejects).await;
                let bytes = bytes_of(lake.as_ref(), &file.key).await;
                commit_by_hand(&lake, vec![(file, bytes)], Vec::new()).await;
            }),
            &["row_doubled"],
            End::Mended,
        ),
        case(
            "rows lie in the wrong partition",
            damage!(|lake| {
                let mut file = file_of(lake.as_ref(), 1, Table::Findings).await;
                let bytes = bytes_of(lake.as_ref(), &file.key).await;
                file.partition = "2026-09-09".parse().unwrap();
                let start = file.partition.times().start;
                file.time_ms = (start, start);
                commit_by_hand(&lake, vec![(file, bytes)], Vec::new()).await;
            }),
            &["part_altered", "row_misplaced"],
            End::Mended,
        ),
        case(
            "a part that was withdrawn is back",
            damage!(|lake| {
                let file = file_of(lake.as_ref(), 2, Table::Findings).await;
                let bytes = bytes_of(lake.as_ref(), &file.key).await;
                let withdrawn = Withdrawn { key: file.key.clone(), commit: 2, reopen: false };
                let key = file.key.clone();
                commit_by_hand(&lake, vec![(file, bytes.clone())], vec![withdrawn]).await;
                put(lake.as_ref(), &key, bytes).await;
            }),
            &["part_withdrawn"],
            End::Mended,
        ),
        Case {
            deep: true,
            ..case(
                "rows were taken out and nothing replaced them",
                damage!(|lake| {
                    let file = file_of(lake.as_ref(), 2, Table::Findings).await;
                    let withdrawn = Withdrawn { key: file.key, commit: 2, reopen: false };
                    commit_by_hand(&lake, Vec::new(), vec![withdrawn]).await;
                }),
                &["row_missing"],
                End::Mended,
            )
        },
        Case {
            deep: true,
            ..case(
                "a row has another title than its object gives",
                damage!(|lake| {
                    let file = file_of(lake.as_ref(), 2, Table::Findings).await;
                    let bytes = bytes_of(lake.as_ref(), &file.key).await;
                    let bytes = forged(&bytes, "title", "all is well");
                    let key = file.key.clone();
                    let withdrawn = Withdrawn { key, commit: 2, reopen: false };
                    commit_by_hand(&lake, vec![(file, bytes)], vec![withdrawn]).await;
                }),
                &["row_differs"],
                End::Mended,
            )
        },
        Case {
            deep: true,
            ..case(
                "a row that no object gives",
                damage!(|lake| {
                    let file = file_of(lake.as_ref(), 2, Table::Findings).await;
                    let bytes = bytes_of(lake.as_ref(), &file.key).await;
                    let id = file.ids.0.clone();
                    let forged_id = format!("{}{}", &id[..31], u8::from(id.ends_with('0')));
                    let bytes = forged(&bytes, "row_id", &forged_id);
                    let ids = ids_in(&bytes);
                    let key = file.key.clone();
                    let withdrawn = Withdrawn { key, commit: 2, reopen: false };
                    let file = FileRecord { ids, ..file };
                    commit_by_hand(&lake, vec![(file, bytes)], vec![withdrawn]).await;
                }),
                &["row_missing", "row_unexplained"],
                End::Mended,
            )
        },
    ]
}

fn ids_in(bytes: &Bytes) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "findings/x.parquet", bytes);
    let ids: BTreeSet<String> =
        rows(folder.path(), "findings").into_iter().map(|row| row["row_id"].clone()).collect();
    (ids.first().unwrap().clone(), ids.last().unwrap().clone())
}

fn no_damage() -> Vec<Case> {
    vec![
        case(
            "staging that is not swept",
            damage!(|lake| put(lake.as_ref(), "_healthtrail/staging/2/x/y.parquet", "x").await),
            &[],
            End::Note("staging_unswept"),
        ),
        case(
            "a commit that is open",
            damage!(|lake| lake.delete(&done_key(4)).await.unwrap()),
            &[],
            End::Note("commit_open"),
        ),
        case(
            "an unknown object beside the tables",
            damage!(|lake| put(lake.as_ref(), "_healthtrail/notes.txt", "x").await),
            &[],
            End::Note("object_unknown"),
        ),
        case(
            "a hidden object in a table",
            damage!(|lake| put(lake.as_ref(), "findings/dt=2026-08-01/_SUCCESS", "x").await),
            &[],
            End::Note("object_hidden"),
        ),
    ]
}

fn kinds(report: &VerifyReport) -> Vec<&'static str> {
    report.by_kind.keys().copied().collect()
}

/// One damage from beginning to end; gives a line of the matrix.
async fn go_through(case: &Case, lake: Arc<dyn Store>) -> String {
    let name = case.name;
    let archive = archive().await;
    run_on(&archive, &lake).await;
    if let Some(before) = case.before {
        before(Arc::clone(&lake)).await;
    }
    let whole = content(lake.as_ref()).await;
    let mut asked = asked(&archive, &lake);
    asked.deep = case.deep.then_some(1.0);
    let right = verify(&asked).await.unwrap();
    assert!(right.findings.is_empty(), "{name}: before: {:#?}", right.findings);

    (case.damage)(Arc::clone(&lake)).await;
    let keys_before = keys(lake.as_ref(), "").await;
    let report = verify(&asked).await.unwrap();
    assert_eq!(kinds(&report), case.kinds, "{name}: {:#?}", report.findings);
    assert_eq!(keys(lake.as_ref(), "").await, keys_before, "{name}: verify writes nothing");

    asked.repair = true;
    let (after, how) = match case.end {
        End::Mended | End::Quarantined => {
            if case.end == End::Quarantined {
                let report = verify(&asked).await.unwrap();
                assert!(!report.is_right(), "{name}: a stranger is not touched unasked");
                assert_eq!(kinds(&report), case.kinds, "{name}");
            }
            asked.quarantine_foreign = case.end == End::Quarantined;
            let report = verify(&asked).await.unwrap();
            assert!(report.is_right(), "{name}: {:#?}", report.repaired);
            run_on(&archive, &lake).await;
            assert_eq!(content(lake.as_ref()).await, whole, "{name}");
            let again = run_on(&archive, &lake).await;
            assert_eq!((again.objects.read, again.commits), (0, 0), "{name}");
            let how = if case.end == End::Quarantined {
                "mended with `--quarantine-foreign`"
            } else {
                "mended by `--repair` and one run"
            };
            (verify(&VerifyOptions { deep: Some(1.0), ..asked.clone() }).await.unwrap(), how)
        }
        End::Note(kind) => {
            assert!(report.notes.iter().any(|note| note.kind == kind), "{name}: {report:#?}");
            run_on(&archive, &lake).await;
            assert_eq!(content(lake.as_ref()).await, whole, "{name}");
            (verify(&asked).await.unwrap(), "no damage")
        }
        End::Lost(message) => {
            let report = verify(&asked).await.unwrap();
            assert!(!report.is_right(), "{name}");
            assert!(
                report.findings.iter().any(|finding| finding.remedy.contains(message)),
                "{name}: {:#?}",
                report.findings
            );
            return format!("| {name} | {} | {message} |", named(case.kinds));
        }
    };
    assert!(after.findings.is_empty(), "{name}: after: {:#?}", after.findings);
    let kinds = if let End::Note(kind) = case.end { named(&[kind]) } else { named(case.kinds) };
    format!("| {name} | {kinds} | {how} |")
}

fn named(kinds: &[&str]) -> String {
    kinds.iter().map(|kind| format!("`{kind}`")).collect::<Vec<_>>().join(", ")
}

fn matrix() -> Vec<Case> {
    let mut cases = damaged_parts();
    cases.extend(damaged_log());
    cases.extend(damaged_rows());
    cases.extend(no_damage());
    cases
}

#[tokio::test(flavor = "multi_thread")]
async fn every_damage_has_its_name_and_is_mended_or_said_to_be_lost() {
    let (mut table, mut failed) = (String::new(), Vec::new());
    for case in matrix() {
        let lake = Arc::new(Memory::new("lake"));
        match AssertUnwindSafe(go_through(&case, lake)).catch_unwind().await {
            Ok(line) => writeln!(table, "{line}").unwrap(),
            Err(_) => failed.push(case.name),
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
    let head = "| what was done | findings (or note) | then |\n| --- | --- | --- |\n";
    let _writing = WRITING.lock().unwrap();
    let page = fs::read_to_string(PAGE).unwrap();
    let (start, end) = ("<!-- matrix -->\n", "<!-- end of matrix -->");
    let (before, rest) = page.split_once(start).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    hold_page(&page, &format!("{before}{start}{head}{table}{end}{after}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_holds_in_a_folder() {
    for case in matrix() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Arc::new(Folder::open(folder.path(), true).await.unwrap());
        go_through(&case, lake).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_holds_on_s3() {
    with_s3(|uri, options| async move {
        for (number, case) in matrix().into_iter().enumerate() {
            let lake = open(&format!("{uri}/{number}"), &options).await.unwrap();
            go_through(&case, lake).await;
        }
    })
    .await;
}

/// A store that lets something else happen before its n-th operation.
pub(crate) struct Meddler {
    pub(crate) inner: Arc<dyn Store>,
    pub(crate) left: AtomicI64,
    pub(crate) other: Box<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for Meddler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meddler")
    }
}

impl Meddler {
    fn turn(&self) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            (self.other)();
        }
    }
}

impl Store for Meddler {
    fn base_uri(&self) -> &str {
        self.inner.base_uri()
    }
    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, StoreResult<ObjectMeta>> {
        self.turn();
        self.inner.list(prefix)
    }
    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Option<ObjectMeta>>> {
        self.turn();
        self.inner.head(key)
    }
    fn get<'a>(&'a self, key: &'a str, options: GetOptions) -> BoxFuture<'a, StoreResult<Bytes>> {
        self.turn();
        self.inner.get(key, options)
    }
    fn put<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
        sha256: &'a str,
    ) -> BoxFuture<'a, StoreResult<()>> {
        self.turn();
        self.inner.put(key, bytes, sha256)
    }
    fn put_new<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
        sha256: &'a str,
    ) -> BoxFuture<'a, StoreResult<()>> {
        self.turn();
        self.inner.put_new(key, bytes, sha256)
    }
    fn copy_new<'a>(&'a self, from: &'a str, to: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        self.turn();
        self.inner.copy_new(from, to)
    }
    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        self.turn();
        self.inner.delete(key)
    }
    fn retries(&self) -> u64 {
        0
    }
}

/// Runs to its end in the middle of something else.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(future))
}

/// An archive with more objects than the first.
async fn larger(archive: &Arc<dyn Store>) -> Arc<dyn Store> {
    let larger = Memory::new("archive");
    // In the same order, so that etags are the same.
    let mut listed: Vec<_> = archive.list("").try_collect().await.unwrap();
    listed.sort_by_key(|meta| meta.etag.trim_start_matches('w').parse::<u64>().unwrap());
    for meta in listed {
        put(&larger, &meta.key, bytes_of(archive.as_ref(), &meta.key).await).await;
    }
    for number in 20..22 {
        let event = health_event(number, "2026-08-02", "111122223333");
        put(&larger, &key("2026-08-02", 20, number), event + "no json").await;
    }
    Arc::new(larger)
}

/// Everything of a lake, in memory.
pub(crate) async fn copy_of(lake: &dyn Store) -> Arc<dyn Store> {
    let copy = Memory::new("lake");
    for key in keys(lake, "").await {
        put(&copy, &key, bytes_of(lake, &key).await).await;
    }
    Arc::new(copy)
}

/// Replaces the first file of commit 2 as an erasure would: by a file that has its rows.
async fn replace(lake: &Arc<dyn Store>, purpose: Purpose) -> String {
    let number = version_of(lake).await + 1;
    let old = file_of(lake.as_ref(), 2, Table::Findings).await;
    let bytes = bytes_of(lake.as_ref(), &old.key).await;
    let staged = staged_part_key(number, "hand", &old.sha256);
    put(lake.as_ref(), &staged, bytes).await;
    let key = part_key(old.table, old.partition, number, &old.sha256);
    let settings = record_of(lake.as_ref(), 1).await.settings;
    let draft = Draft {
        run: "hand".into(),
        purpose,
        reason: None,
        settings,
        started_at: String::new(),
        committed_at: String::new(),
        objects: Objects::default(),
        files: vec![FileRecord { staged, key: key.clone(), ..old.clone() }],
        withdrawn: vec![Withdrawn { key: old.key, commit: 2, reopen: false }],
        tombstones: Vec::new(),
    };
    let log = Log::new(Arc::clone(lake));
    assert!(matches!(log.commit(draft, number - 1).await.unwrap(), Drafted::Won(..)));
    key
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_and_erasures_do_meanwhile_is_no_damage() {
    let small = archive_of(5).await;
    let large = larger(&small).await;
    let lake: Arc<dyn Store> = Arc::new(Memory::new("lake"));
    run_on(&small, &lake).await;
    for erases in [false, true] {
        for nth in 1.. {
            let copy = copy_of(lake.as_ref()).await;
            let (inner, large) = (Arc::clone(&copy), Arc::clone(&large));
            let other = Box::new(move || {
                if erases {
                    at_once(replace(&inner, Purpose::Forget));
                } else {
                    at_once(run_on(&large, &inner));
                }
            });
            let meddler = Arc::new(Meddler { inner: copy, left: AtomicI64::new(nth), other });
            let watched: Arc<dyn Store> = meddler.clone();
            let mut asked = asked(&small, &watched);
            asked.deep = Some(1.0);
            let report = verify(&asked).await.unwrap();
            assert!(report.findings.is_empty(), "{erases} {nth}: {:#?}", report.findings);
            if meddler.left.load(Ordering::Relaxed) > 0 {
                assert!(nth > 40, "{nth}");
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_beside_a_run_and_a_run_beside_a_repair_start_over() {
    let small = archive_of(5).await;
    let large = larger(&small).await;
    let lake: Arc<dyn Store> = Arc::new(Memory::new("lake"));
    run_on(&small, &lake).await;
    let whole: Arc<dyn Store> = Arc::new(Memory::new("lake"));
    run_on(&large, &whole).await;
    let expected = content(whole.as_ref()).await;
    let file = file_of(lake.as_ref(), 2, Table::Findings).await;
    flip(lake.as_ref(), &file.key, 300).await;
    for run_meddles in [true, false] {
        for nth in 1.. {
            let copy = copy_of(lake.as_ref()).await;
            let (inner, archive) = (Arc::clone(&copy), Arc::clone(&large));
            let other = Box::new(move || {
                if run_meddles {
                    // It may meet the damage, and end.
                    drop(at_once(run(&options(&archive, &inner))));
                } else {
                    let asked = VerifyOptions { repair: true, ..asked(&archive, &inner) };
                    at_once(verify(&asked)).unwrap();
                }
            });
            let left = AtomicI64::new(nth);
            let meddler = Arc::new(Meddler { inner: Arc::clone(&copy), left, other });
            let watched: Arc<dyn Store> = meddler.clone();
            if run_meddles {
                let asked = VerifyOptions { repair: true, ..asked(&large, &watched) };
                let report = verify(&asked).await.unwrap();
                assert!(report.is_right(), "{nth}: {:#?}", report.repaired);
            } else {
                drop(run(&options(&large, &watched)).await);
                let asked = VerifyOptions { repair: true, ..asked(&large, &copy) };
                assert!(verify(&asked).await.unwrap().is_right(), "{nth}");
            }
            run_on(&large, &copy).await;
            assert_eq!(content(copy.as_ref()).await, expected, "{run_meddles} {nth}");
            if meddler.left.load(Ordering::Relaxed) > 0 {
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_that_dies_at_any_operation_is_completed_by_the_next() {
    let archive = archive_of(5).await;
    let lake: Arc<dyn Store> = Arc::new(Memory::new("lake"));
    run_on(&archive, &lake).await;
    let expected = content(lake.as_ref()).await;
    let file = file_of(lake.as_ref(), 2, Table::Findings).await;
    flip(lake.as_ref(), &file.key, 300).await;
    put(lake.as_ref(), &checkpoint_key(2), "no checkpoint").await;
    put(lake.as_ref(), &done_key(1), "{").await;
    put(lake.as_ref(), "findings/dt=2026-08-01/stranger.parquet", "x").await;
    lake.delete(CONFIG).await.unwrap();
    let dying = |lake: Arc<dyn Store>| VerifyOptions {
        repair: true,
        quarantine_foreign: true,
        ..asked(&archive, &lake)
    };
    // A read that fails leaves what the writes before it left, so dying at every write is dying at all.
    let golden = Arc::new(Faulty::new(copy_of(lake.as_ref()).await));
    verify(&dying(golden.clone())).await.unwrap();
    let operations = golden.operations();
    let mut tried = 0;
    for (nth, operation) in (1..).zip(&operations) {
        let is_write = ["put", "put_new", "copy_new", "delete"].contains(&operation.name);
        for answer_lost in [false, true].into_iter().filter(|_| is_write) {
            tried += 1;
            let copy = copy_of(lake.as_ref()).await;
            let fault = Fault::at(nth, StoreErrorKind::Unavailable).forever();
            let fault = if answer_lost { fault.answer_lost() } else { fault };
            let faulty = Arc::new(Faulty::new(Arc::clone(&copy)).with(fault));
            assert!(verify(&dying(faulty)).await.is_err(), "{operation:?}");
            let report = verify(&dying(Arc::clone(&copy))).await.unwrap();
            assert!(report.is_right(), "{operation:?} {answer_lost}: {:#?}", report.repaired);
            run_on(&archive, &copy).await;
            assert_eq!(content(copy.as_ref()).await, expected, "{operation:?} {answer_lost}");
            let report = verify(&asked(&archive, &copy)).await.unwrap();
            assert!(report.findings.is_empty(), "{operation:?}: {:#?}", report.findings);
        }
    }
    assert!(tried >= 20, "{tried}");
}

/// Repairs, runs once, and holds the lake against what it was.
async fn mends(archive: &Arc<dyn Store>, lake: &Arc<dyn Store>, whole: &Content) -> VerifyReport {
    let asked = asked(archive, lake);
    let report = verify(&VerifyOptions { repair: true, ..asked.clone() }).await.unwrap();
    assert!(report.is_right() && !report.findings.is_empty(), "{report:#?}");
    run_on(archive, lake).await;
    assert_eq!(content(lake.as_ref()).await, *whole);
    let deep = VerifyOptions { deep: Some(1.0), depth: Depth::Full, ..asked };
    let right = verify(&deep).await.unwrap();
    assert!(right.findings.is_empty(), "{:#?}", right.findings);
    report
}

/// An object that wider products made a later commit read again is that commit's in the ledger: reopening
/// the first alone would have left its rows out for good.
#[tokio::test(flavor = "multi_thread")]
async fn objects_that_were_read_again_since_are_reopened_too() {
    let archive = Memory::new("archive");
    let other = r#"{"version":"0","id":"x","detail-type":"Security Hub Findings - Imported","source":"aws.securityhub","account":"111122223333","time":"2026-08-01T10:00:00Z","region":"us-east-1","resources":[],"detail":{"findings":[{"SchemaVersion":"2018-10-08","Id":"f-1","ProductArn":"arn:aws:securityhub:us-east-1::product/aws/guardduty","GeneratorId":"g","AwsAccountId":"111122223333","CreatedAt":"2026-08-01T09:00:00Z","UpdatedAt":"2026-08-01T09:30:00Z","Title":"t","Description":"d","Severity":{"Label":"LOW"},"Types":[],"Resources":[]}]}}"#;
    let health = health_event(1, "2026-08-01", "111122223333");
    put(&archive, &key("2026-08-01", 1, 1), health + other).await;
    let archive: Arc<dyn Store> = Arc::new(archive);
    let lake: Arc<dyn Store> = Arc::new(Memory::new("lake"));
    run_on(&archive, &lake).await;
    let mut wider = options(&archive, &lake);
    wider.products = Some(healthtrail::finding::product::Products::All);
    assert_eq!(run(&wider).await.unwrap().findings.added, 1);
    let whole = content(lake.as_ref()).await;
    let file = file_of(lake.as_ref(), 1, Table::Findings).await;
    lake.delete(&file.key).await.unwrap();
    let report = mends(&archive, &lake, &whole).await;
    let reopened = report.repaired.unwrap().reopened;
    assert_eq!(reopened.into_iter().collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_replaced_others_reopens_the_commits_that_they_came_of() {
    for purpose in [Purpose::Forget, Purpose::Redrive] {
        let archive = archive().await;
        let lake: Arc<dyn Store> = Arc::new(Memory::new("lake"));
        run_on(&archive, &lake).await;
        let whole = content(lake.as_ref()).await;
        let key = replace(&lake, purpose).await;
        assert_eq!(content(lake.as_ref()).await, whole);
        lake.delete(&key).await.unwrap();
        let report = mends(&archive, &lake, &whole).await;
        assert!(report.repaired.unwrap().reopened.contains(&2), "{purpose:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_rebuilt_lake_reopens_every_commit_that_brought_objects_over() {
    let archive = archive().await;
    let lake: Arc<dyn Store> = Arc::new(Memory::new("lake"));
    run_on(&archive, &lake).await;
    for number in 1..=4 {
        let mut record = record_of(lake.as_ref(), number).await;
        record.purpose = Purpose::Rebuild;
        put_record(lake.as_ref(), number, &record).await;
    }
    let whole = content(lake.as_ref()).await;
    let file = file_of(lake.as_ref(), 3, Table::Findings).await;
    lake.delete(&file.key).await.unwrap();
    let report = mends(&archive, &lake, &whole).await;
    let repaired = report.repaired.unwrap();
    assert_eq!(repaired.reopened.into_iter().collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!((repaired.withdrawn, repaired.objects), (vec![file.key], 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_without_metadata_is_hashed_and_a_full_pass_trusts_no_metadata() {
    let archive = archive().await;
    let memory = Arc::new(Memory::new("lake"));
    let lake: Arc<dyn Store> = memory.clone();
    run_on(&archive, &lake).await;
    let file = file_of(lake.as_ref(), 2, Table::Findings).await;
    let bytes = bytes_of(lake.as_ref(), &file.key).await;
    // A tool wrote it again: same content, no metadata.
    memory.insert(file.key.clone(), bytes.clone());
    for depth in [Depth::Quick, Depth::Rows, Depth::Full] {
        let asked = VerifyOptions { depth, ..asked(&archive, &lake) };
        let report = verify(&asked).await.unwrap();
        assert!(report.findings.is_empty(), "{:#?}", report.findings);
        assert_eq!(report.notes[0].kind, "metadata_missing");
    }
    // Another content, no metadata: also the quick pass hashes it.
    let mut altered = bytes.to_vec();
    altered[600] ^= 1;
    memory.insert(file.key.clone(), altered.clone());
    let asked = VerifyOptions { depth: Depth::Quick, ..asked(&archive, &lake) };
    assert_eq!(kinds(&verify(&asked).await.unwrap()), ["part_altered"]);
    // Another content under metadata that says otherwise: only the full pass sees it for sure.
    lake.put(&file.key, altered.into(), &file.sha256).await.unwrap();
    assert!(verify(&asked).await.unwrap().findings.is_empty());
    let full = VerifyOptions { depth: Depth::Full, ..asked };
    assert_eq!(kinds(&verify(&full).await.unwrap()), ["part_altered"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_objects_are_counted_and_are_no_damage() {
    let archive = archive().await;
    let lake: Arc<dyn Store> = Arc::new(Memory::new("lake"));
    run_on(&archive, &lake).await;
    for key in keys(archive.as_ref(), "").await.into_iter().take(4) {
        archive.delete(&key).await.unwrap();
    }
    let asked = VerifyOptions { deep: Some(1.0), ..asked(&archive, &lake) };
    let report = verify(&asked).await.unwrap();
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
    let deep = report.deep.unwrap();
    assert_eq!((deep.objects, deep.read, deep.expired), (10, 6, 4));
    assert!(deep.rows_unverified > 0);
    let share = VerifyOptions { deep: Some(0.01), ..asked };
    let deep = verify(&share).await.unwrap().deep.unwrap();
    assert_eq!(deep.objects, 4, "one of each commit");
}

/// A run in a lake that lost its settings made new ones, of days, whatever the lake had.
#[tokio::test(flavor = "multi_thread")]
async fn r013_a_run_gives_a_lake_without_settings_no_other_ones() {
    let archive = archive_of(3).await;
    let lake: Arc<dyn Store> = Arc::new(Memory::new("lake"));
    let mut month = options(&archive, &lake);
    month.partition = Some(healthtrail::lake::layout::PartitionBy::Month);
    run(&month).await.unwrap();
    lake.delete(CONFIG).await.unwrap();
    let error = run(&options(&archive, &lake)).await.unwrap_err();
    assert!(error.to_string().contains("verify --repair"), "{error}");
    let whole = content(lake.as_ref()).await;
    mends(&archive, &lake, &whole).await;
    assert!(bytes_of(lake.as_ref(), CONFIG).await.starts_with(b"{"));
    let again = run(&month).await.unwrap();
    assert_eq!(again.objects.read, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_without_a_lake_is_said_to_be_none() {
    let archive = archive_of(1).await;
    let lake: Arc<dyn Store> = Arc::new(Memory::new("lake"));
    let error = verify(&asked(&archive, &lake)).await.unwrap_err();
    assert!(error.to_string().contains("there is no lake here"), "{error}");
}
