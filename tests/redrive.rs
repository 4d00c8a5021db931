//! What was rejected is read again: `redrive`, `rejects`, and what `run` settles on its way.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use globset::GlobSet;
use healthtrail::archive::discover::DiscoverOptions;
use healthtrail::finding::limits::CountLimits;
use healthtrail::finding::product::Products;
use healthtrail::job::options::RunOptions;
use healthtrail::job::plan::{Archive, Hours};
use healthtrail::job::progress::Progress;
use healthtrail::job::redrive::{RedriveOptions, Redriven, redrive};
use healthtrail::job::run::run as run_job;
use healthtrail::lake::reject_rows::RejectFilter;
use healthtrail::store::{Fault, Faulty, Folder, GetOptions, Memory, Store, StoreErrorKind};
use jiff::tz::TimeZone;

use crate::foreign::python;
use crate::program::{
    Row, assert_unique, command, files, health_event, healthtrail, key, number, parts, rows, run,
    text, undelivered, write,
};
use crate::stores::{keys, put, with_s3};

/// Limits of a reader that takes less than it should.
const NARROW: [&str; 4] = ["--document-bytes-max", "2000", "--object-bytes-max", "30000"];

fn generated(archive: &Path) {
    let ran = healthtrail(&[
        "generate",
        "--to",
        text(archive),
        "--objects",
        "24",
        "--events",
        "700",
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
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

/// The rejects of a lake in their latest states.
fn states(lake: &Path) -> BTreeMap<String, Row> {
    let number = |row: &Row| row.get("state_number").map_or(0, |n| n.parse::<u32>().unwrap());
    let mut latest: BTreeMap<String, Row> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for row in rows(lake, "rejects") {
        let id = row["reject_id"].clone();
        assert!(seen.insert((id.clone(), number(&row))), "a state stands twice: {row:?}");
        if latest.get(&id).is_none_or(|held| number(held) < number(&row)) {
            latest.insert(id, row);
        }
    }
    latest
}

/// Those that wait, with what names them and their bytes.
fn waiting(lake: &Path) -> BTreeSet<(String, String)> {
    let states = states(lake).into_values().filter(|row| row["state"] != "redriven");
    states.map(|row| (row["reject_id"].clone(), row["bytes"].clone())).collect()
}

fn redriven(lake: &Path, archive: &Path, options: &[&str], code: i32) -> serde_json::Value {
    let mut arguments = vec![
        "redrive",
        "--lake",
        text(lake),
        "--from",
        text(archive),
        "--progress",
        "none",
        "--json",
    ];
    arguments.extend(options);
    let ran = healthtrail(&arguments);
    assert_eq!(ran.code, code, "{arguments:?}\n{}\n{}", ran.stdout, ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn what_a_narrower_reader_rejected_becomes_what_this_one_reads() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    generated(&archive);
    let right = folder.path().join("right");
    run(text(&archive), text(&right), &[], 0);
    let by_run = folder.path().join("by-run");
    let by_redrive = folder.path().join("by-redrive");
    for lake in [&by_run, &by_redrive] {
        run(text(&archive), text(lake), &NARROW, 0);
        assert_ne!(undelivered(lake), undelivered(&right));
        assert_ne!(waiting(lake), waiting(&right));
    }

    // A run with wider limits reopens the objects, and settles in the same commit what is no more.
    let reopened = run(text(&archive), text(&by_run), &[], 0);
    assert!(reopened["rejects_by_state"]["redriven"].as_u64().unwrap() > 0, "{reopened}");
    assert_eq!(undelivered(&by_run), undelivered(&right));
    assert_eq!(waiting(&by_run), waiting(&right));

    // A redrive does it at once, a few objects a wave.
    let seen = redriven(&by_redrive, &archive, &["--wave-objects", "3"], 0);
    assert!(number(&seen, "rejects.by_state.redriven") > 0, "{seen}");
    assert!(number(&seen, "read.commits") > 2, "{seen}");
    assert_eq!(undelivered(&by_redrive), undelivered(&right));
    assert_eq!(waiting(&by_redrive), waiting(&right));
    assert_unique(&by_redrive);
    let details: BTreeSet<String> = states(&by_redrive)
        .into_values()
        .filter(|row| row["state"] == "redriven")
        .map(|row| row["detail"].split(' ').next().unwrap().to_owned())
        .collect();
    assert!(details.contains("became"), "{details:?}");

    // Once more, by either, is nothing more.
    let before = parts(&by_redrive);
    let second = redriven(&by_redrive, &archive, &[], 0);
    assert_eq!((number(&second, "objects.matched"), number(&second, "read.commits")), (0, 0));
    let again = redriven(&by_redrive, &archive, &["--again"], 0);
    assert_eq!(number(&again, "read.commits"), 0, "{again}");
    let third = run(text(&archive), text(&by_redrive), &[], 0);
    assert_eq!((number(&third, "objects.read"), number(&third, "commits")), (0, 0));
    assert_eq!(parts(&by_redrive), before);
}

#[test]
fn a_large_object_is_read_again_in_pieces() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, lake) = (folder.path().join("archive"), folder.path().join("lake"));
    let filler = "lorem ipsum ".repeat(500);
    let events = (0..4_000).map(|number| {
        health_event(number, "2026-08-01", "111122223333").replace("is impaired", &filler)
    });
    write(&archive, &key("2026-08-01", 1, 1), (events.collect::<String>() + "{]").as_bytes());
    let first = run(text(&archive), text(&lake), &["--object-bytes-max", "1000000"], 0);
    assert!(number(&first, "findings.added") < 4_000);
    let seen = redriven(&lake, &archive, &["--memory", "128MiB"], 0);
    assert_eq!(number(&seen, "rejects.by_state.redriven"), 1, "{seen}");
    assert!(number(&seen, "read.parts.written") > 2, "it was staged in pieces: {seen}");
    assert_eq!(rows(&lake, "findings").len(), 4_000);
    let states = states(&lake);
    let rest = states.values().find(|row| row["reason"] == "object_too_large").unwrap();
    assert!(rest["detail"].starts_with("became "), "{rest:?}");
    assert_eq!(rest["state"], "redriven");
    assert_eq!(waiting(&lake).len(), 1, "{states:?}");
}

#[test]
fn what_was_passed_over_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    generated(&archive);
    let (right, lake) = (folder.path().join("right"), folder.path().join("lake"));
    run(text(&archive), text(&right), &["--products", "all"], 0);
    let first = run(text(&archive), text(&lake), &[], 0);
    assert!(number(&first, "passed_over_by_kind.other_product") > 0);
    let same = redriven(&lake, &archive, &["--passed-over", "other_product"], 0);
    assert_eq!(number(&same, "objects.matched"), 0, "read by this version with these products");
    let options = ["--passed-over", "other_product,unheard_of", "--products", "all"];
    let seen = redriven(&lake, &archive, &options, 0);
    assert!(number(&seen, "read.findings.added") > 0, "{seen}");
    assert_eq!(undelivered(&lake), undelivered(&right));
    assert_eq!(waiting(&lake), waiting(&right));
    let second = redriven(&lake, &archive, &options, 0);
    assert_eq!((number(&second, "objects.matched"), number(&second, "read.commits")), (0, 0));
    let wrong =
        ["redrive", "--lake", "x", "--from", "y", "--passed-over", "z", "--reason", "no_time"];
    assert_eq!(healthtrail(&wrong).code, 2);
}

#[test]
fn filters_choose_and_duckdb_agrees_which_are_open() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, lake) = (folder.path().join("archive"), folder.path().join("lake"));
    generated(&archive);
    run(text(&archive), text(&lake), &["--object-bytes-max", "40000"], 0);
    // One reason is tried, of the others those of the same objects.
    redriven(&lake, &archive, &["--reason", "object_too_large", "--until", "2026-08-03"], 0);
    let listed = |options: &[&str]| -> BTreeMap<String, serde_json::Value> {
        let arguments = [&["rejects", "--lake", text(&lake), "--list", "--json"], options].concat();
        let ran = healthtrail(&arguments);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let lines = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap());
        let by_id =
            |line: serde_json::Value| (line["reject_id"].as_str().unwrap().to_owned(), line);
        lines.map(by_id).collect()
    };
    let states = states(&lake);
    let all = listed(&["--state", "all"]);
    assert_eq!(all.len(), states.len());
    assert!(all.iter().all(|(id, line)| states[id]["state"] == line["state"]));
    let open = listed(&[]);
    assert_eq!(
        open.keys().collect::<Vec<_>>(),
        waiting(&lake).iter().map(|(id, _)| id).collect::<Vec<_>>()
    );
    let redriven = listed(&["--state", "redriven"]);
    assert_eq!(open.len() + redriven.len(), all.len());
    assert!(!redriven.is_empty() && open.values().any(|line| line["state"] == "still_failing"));
    let few = listed(&["--reason", "object_too_large", "--since", "2026-08-03", "--limit", "2"]);
    assert_eq!(few.len(), 2);
    assert!(few.values().all(|line| line["reason"] == "object_too_large"));
    assert!(few.values().all(|line| line["arrived_hour"].as_str().unwrap() >= "2026-08-03"));

    let ran =
        healthtrail(&["ddl", "--lake", text(&lake), "--engine", "duckdb", "--views", "--json"]);
    let file = folder.path().join("duckdb.json");
    fs::write(&file, ran.stdout).unwrap();
    let Some(seen) = python("foreign/views.py", &["rejects", text(&lake), text(&file)]) else {
        return;
    };
    let seen = seen.as_object().unwrap();
    assert_eq!(seen.len(), open.len());
    for (id, line) in &open {
        assert_eq!(seen[id][0], line["state"], "{id}");
        // The latest row of what waits has the bytes.
        let kept = line["bytes_length"].as_u64().unwrap().min(1 << 20);
        assert_eq!(seen[id][1].as_u64().unwrap(), kept, "{id}");
    }
}

#[test]
fn objects_that_are_gone_or_changed_lose_nothing_and_give_what_was_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, lake) = (folder.path().join("archive"), folder.path().join("lake"));
    let event = |number| health_event(number, "2026-08-01", "111122223333");
    let (gone, changed) = (key("2026-08-01", 1, 1), key("2026-08-01", 2, 2));
    write(&archive, &gone, format!("{} [1, {}, {{oops", event(1), event(2)).as_bytes());
    write(&archive, &changed, (event(3) + "{oops").as_bytes());
    write(&archive, &key("2026-08-02", 1, 1), event(5).as_bytes());
    run(text(&archive), text(&lake), &["--document-bytes-max", "300"], 0);
    assert!(rows(&lake, "findings").is_empty());
    let before = states(&lake);
    fs::remove_file(archive.join(&gone)).unwrap();
    write(&archive, &changed, event(4).as_bytes());

    let seen = redriven(&lake, &archive, &[], 3);
    let objects = |name: &str| number(&seen, &format!("objects.{name}"));
    assert_eq!((objects("matched"), objects("gone"), objects("changed")), (3, 1, 1), "{seen}");
    assert_eq!((objects("salvaged"), objects("failed")), (2, 0), "{seen}");
    // Whole documents were read from their rejects, with the place and the time they had.
    let found: BTreeSet<(String, String)> = rows(&lake, "findings")
        .into_iter()
        .map(|row| {
            (
                row["source_object"].rsplit('/').next().unwrap().to_owned(),
                row["source_offset"].clone(),
            )
        })
        .collect();
    let name = |key: &str| key.rsplit('/').next().unwrap().to_owned();
    assert!(found.contains(&(name(&gone), "0".to_owned())), "{found:?}");
    assert!(found.contains(&(name(&changed), "0".to_owned())), "{found:?}");
    let after = states(&lake);
    for (id, row) in &before {
        let now = &after[id];
        if now["state"] != "redriven" {
            let expected = if row["source_object"].ends_with(&name(&gone)) {
                "object_gone"
            } else {
                "object_changed"
            };
            assert_eq!(now["state"], expected, "{now:?}");
            assert_eq!(now["bytes"], row["bytes"], "nothing is lost");
        }
    }
    assert!(after.values().any(|row| row["state"] == "object_gone"));

    // The same as what the present reader makes of the same bytes.
    let second = redriven(&lake, &archive, &[], 0);
    assert_eq!((number(&second, "objects.matched"), number(&second, "read.commits")), (0, 0));
    let again = redriven(&lake, &archive, &["--again"], 3);
    assert_eq!(number(&again, "read.commits"), 0, "{again}");
    assert_unique(&lake);
    let later = run(text(&archive), text(&lake), &[], 0);
    assert_eq!(number(&later, "findings.added"), 1, "the object that was rewritten is another one");
}

#[test]
fn one_reject_is_shown_with_its_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, lake) = (folder.path().join("archive"), folder.path().join("lake"));
    write(&archive, &key("2026-08-01", 1, 1), b"{}\n{\"a\x1b[31m\xff");
    run(text(&archive), text(&lake), &[], 0);
    let (id, row) = states(&lake).into_iter().next().unwrap();
    let output =
        command().args(["rejects", "--lake", text(&lake), "--bytes", &id]).output().unwrap();
    assert_eq!(format!("{:?}", output.stdout), row["bytes"]);
    let shown = healthtrail(&["rejects", "--lake", text(&lake), "--show", &id]);
    assert!(shown.stdout.contains(" 1b 5b 33 31 6d ff"), "{}", shown.stdout);
    assert!(!shown.stdout.contains('\u{1b}'));
    let missing = healthtrail(&["rejects", "--lake", text(&lake), "--show", &"0".repeat(32)]);
    assert_eq!(missing.code, 1);
    assert!(missing.stderr.contains("has no reject"), "{}", missing.stderr);
    for wrong in [&["--show", "x"][..], &["--reason", "bad_luck"], &["--state", "odd"]] {
        let ran = healthtrail(&[&["rejects", "--lake", text(&lake)], wrong].concat());
        assert_eq!(ran.code, 2, "{wrong:?}");
    }
    let nowhere = healthtrail(&["rejects", "--lake", text(folder.path())]);
    assert_eq!((nowhere.code, nowhere.stderr.contains("there is no lake")), (2, true));
}

fn options(archive: &Arc<dyn Store>, lake: &Arc<dyn Store>, narrow: bool) -> RunOptions {
    RunOptions {
        archives: vec![Archive { store: Arc::clone(archive), prefix: String::new() }],
        lake: Some(Arc::clone(lake)),
        products: Some(Products::Health),
        partition: None,
        hours: Hours { since_ms: None, until_ms: None },
        discover: DiscoverOptions { exclude: GlobSet::empty(), zone: TimeZone::UTC },
        deadline: None,
        threads: 2,
        memory_bytes: 1 << 30,
        wave_objects: None,
        fetches: 4,
        object_bytes_max: 1 << 30,
        document_bytes_max: if narrow { 300 } else { 16 << 20 },
        counts: CountLimits::DEFAULT,
        redact: false,
        progress: Arc::new(Progress::default()),
    }
}

async fn redrive_once(archive: &Arc<dyn Store>, lake: &Arc<dyn Store>) -> anyhow::Result<Redriven> {
    let read = options(archive, lake, false);
    let (filter, passed_over) = (RejectFilter::default(), Vec::new());
    redrive(&RedriveOptions { read, filter, passed_over, again: false }).await
}

/// Four objects, one of which holds nothing that can be read, and one that is gone later.
async fn archive() -> Arc<Memory> {
    let archive = Arc::new(Memory::new("archive"));
    for number in 0..4 {
        let event = health_event(number, "2026-08-01", "111122223333");
        let event = if number == 2 { "{oops".to_owned() } else { event + "{oops" };
        put(archive.as_ref(), &key("2026-08-01", number, number), event).await;
    }
    archive
}

/// A copy of what a lake in memory holds.
async fn copy(lake: &dyn Store) -> Arc<dyn Store> {
    let copy = Memory::new("lake");
    for key in keys(lake, "").await {
        let bytes = lake.get(&key, GetOptions::default()).await.unwrap();
        put(&copy, &key, bytes).await;
    }
    Arc::new(copy)
}

async fn visible(lake: &dyn Store) -> Vec<String> {
    let mut visible = keys(lake, "findings/").await;
    visible.extend(keys(lake, "rejects/").await);
    visible
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_that_dies_at_any_operation_on_the_lake_is_completed_or_done_again() {
    let archive = archive().await;
    let as_archive: Arc<dyn Store> = archive.clone();
    let narrow: Arc<dyn Store> = Arc::new(Memory::new("lake"));
    run_job(&options(&as_archive, &narrow, true)).await.unwrap();
    archive.delete(&key("2026-08-01", 3, 3)).await.unwrap();

    let golden = Arc::new(Faulty::new(copy(narrow.as_ref()).await));
    let as_store: Arc<dyn Store> = golden.clone();
    let seen = redrive_once(&as_archive, &as_store).await.unwrap();
    assert_eq!((seen.objects.read, seen.objects.salvaged, seen.read.findings.added), (4, 1, 3));
    let operations = golden.count();
    let expected = visible(golden.as_ref()).await;
    for nth in 1..=operations {
        for answer_lost in [false, true] {
            let memory = copy(narrow.as_ref()).await;
            let mut fault = Fault::at(nth, StoreErrorKind::Unavailable).forever();
            if answer_lost {
                fault = fault.answer_lost();
            }
            let dying: Arc<dyn Store> = Arc::new(Faulty::new(Arc::clone(&memory)).with(fault));
            let died = redrive_once(&as_archive, &dying).await;
            assert!(died.is_err() || nth == operations, "operation {nth} was not needed");
            redrive_once(&as_archive, &memory)
                .await
                .unwrap_or_else(|error| panic!("after {nth}, {answer_lost}: {error:#}"));
            let found = visible(memory.as_ref()).await;
            assert_eq!(found, expected, "after {nth}, {answer_lost}");
            assert!(keys(memory.as_ref(), "_healthtrail/staging/").await.is_empty(), "after {nth}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redrives_beside_runs_add_every_row_and_state_once() {
    let archive = Arc::new(Memory::new("archive"));
    let as_archive: Arc<dyn Store> = archive.clone();
    for number in 0..20 {
        let event = health_event(number, "2026-08-01", "111122223333") + "{oops";
        put(archive.as_ref(), &key("2026-08-01", number, number), event).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let lake: Arc<dyn Store> = Arc::new(Folder::open(folder.path(), true).await.unwrap());
    run_job(&options(&as_archive, &lake, true)).await.unwrap();
    for number in 20..30 {
        let event = health_event(number, "2026-08-01", "111122223333");
        put(archive.as_ref(), &key("2026-08-01", 3, number), event).await;
    }
    let redrives = (0..2).map(|_| redrive_once(&as_archive, &lake));
    let runs =
        (0..2).map(|_| async { run_job(&options(&as_archive, &lake, false)).await.unwrap() });
    let (redrives, runs) =
        futures::join!(futures::future::join_all(redrives), futures::future::join_all(runs));
    let added: u64 = redrives.iter().map(|seen| seen.as_ref().unwrap().read.findings.added).sum();
    let by_runs: u64 = runs.iter().map(|summary| summary.findings.added).sum();
    assert_eq!(added + by_runs, 30);
    assert_unique(folder.path());
    assert_eq!(rows(folder.path(), "findings").len(), 30);
    let states = states(folder.path());
    let settled = states.values().filter(|row| row["state"] == "redriven").count();
    assert_eq!((states.len(), settled), (40, 20), "{states:?}");
    let last = redrive_once(&as_archive, &lake).await.unwrap();
    let before = files(folder.path());
    redrive_once(&as_archive, &lake).await.unwrap();
    assert_eq!(files(folder.path()), before, "{last:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_s3_it_is_the_same() {
    with_s3(|uri, store| async move {
        let endpoint = store.s3.endpoint_url.clone().unwrap();
        let (archive, lake) = (format!("{uri}/archive"), format!("{uri}/lake"));
        let program = |arguments: &[&str]| {
            let output =
                command().args(arguments).args(["--endpoint-url", &endpoint]).output().unwrap();
            let (out, error) = (String::from_utf8(output.stdout), String::from_utf8(output.stderr));
            assert_eq!(output.status.code(), Some(0), "{arguments:?}\n{error:?}");
            out.unwrap()
        };
        program(&[
            "generate",
            "--to",
            &archive,
            "--objects",
            "8",
            "--events",
            "200",
            "--days",
            "2",
        ]);
        let narrow =
            [&["run", "--from", &archive, "--to", &lake, "--progress", "none"], &NARROW[..]];
        program(&narrow.concat());
        let again =
            ["redrive", "--from", &archive, "--lake", &lake, "--progress", "none", "--json"];
        let seen: serde_json::Value = serde_json::from_str(&program(&again)).unwrap();
        assert!(number(&seen, "rejects.by_state.redriven") > 0, "{seen}");
        let second: serde_json::Value = serde_json::from_str(&program(&again)).unwrap();
        assert_eq!(number(&second, "read.commits"), 0);
        let right = format!("{uri}/right");
        let whole =
            ["run", "--from", &archive, "--to", &right, "--progress", "none", "--summary", "-"];
        let whole: serde_json::Value = serde_json::from_str(&program(&whole)).unwrap();
        let listed = |lake: &str| {
            let listed = program(&["rejects", "--lake", lake, "--list"]);
            let ids = listed.lines().map(|line| line.split(' ').next().unwrap().to_owned());
            ids.collect::<BTreeSet<String>>()
        };
        assert_eq!(listed(&lake), listed(&right));
        assert_eq!(
            listed(&right).len() as u64,
            whole["by_reason"]
                .as_object()
                .unwrap()
                .values()
                .map(|n| n.as_u64().unwrap())
                .sum::<u64>()
        );
    })
    .await;
}

/// Text that is the same wherever and whenever it is said: no ids, no etags, no place of this machine.
fn steady(said: &str) -> String {
    let is_id = |word: &str| word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let line = |line: &str| -> String {
        if line.trim_start().starts_with("etag ") {
            return "etag\n".to_owned();
        }
        let words = line.split(' ').map(|word| if is_id(word) { "[ID]" } else { word });
        words.collect::<Vec<_>>().join(" ").trim_end().to_owned() + "\n"
    };
    said.replace(env!("CARGO_MANIFEST_DIR"), "/healthtrail").lines().map(line).collect()
}

/// Runs what a page shows, line by line, and compares what it says; `UPDATE=1` writes it anew.
fn check_page(name: &str) {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    let written = fs::read_to_string(&page).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let mut made = String::new();
    let mut lines = written.lines().peekable();
    let mut last_id = String::new();
    while let Some(line) = lines.next() {
        made += line;
        made += "\n";
        let Some(typed) = line.strip_prefix("    $ healthtrail ") else { continue };
        while lines
            .next_if(|next| next.starts_with("    ") && !next.starts_with("    $ "))
            .is_some()
        {}
        let words = typed.split_whitespace().map(|word| match word {
            "lake" => text(&lake).to_owned(),
            "lake-2" => text(&lake).to_owned() + "-2",
            id if id.len() == 32 => last_id.clone(),
            other => other.to_owned(),
        });
        let mut command = command();
        command.current_dir(env!("CARGO_MANIFEST_DIR")).args(words);
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.stderr, b"", "{typed}");
        if let Some(id) = said.split_whitespace().find(|word| word.len() == 32) {
            id.clone_into(&mut last_id);
        }
        let said = said.replace(text(&lake), "lake");
        for line in said.replace(env!("CARGO_MANIFEST_DIR"), "/healthtrail").lines() {
            let line =
                if line.trim_start().starts_with("took ") { "  took       0.1 s" } else { line };
            let line = if line.trim_start().starts_with("parts ") {
                "  parts      4 written"
            } else {
                line
            };
            made += &["    ", line, "\n"].concat();
        }
    }
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&page, made).unwrap();
    } else {
        assert_eq!(
            steady(&made),
            steady(&written),
            "`UPDATE=1 cargo test redrive` writes {name} anew"
        );
    }
}

#[test]
fn the_pages_show_what_the_program_says() {
    check_page("rejects.md");
    check_page("redrive.md");
}
