//! The lake's own files, damaged: every command says which file is wrong and what to do, or does without
//! it; none panics, is killed, or takes what it reads for good. Parts are read through every reader with
//! each byte changed. The whole matrix is `tests/attack damaged`; the ordinary tests take a part of it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use healthtrail::lake::LakeError;
use healthtrail::lake::checkpoint;
use healthtrail::lake::config::LakeConfig;
use healthtrail::lake::layout::{CONFIG, Table, checkpoint_key, done_key, record_key};
use healthtrail::lake::ledger::{Ledger, LedgerFile};
use healthtrail::lake::log::Log;
use healthtrail::lake::part_bloom::may_hold;
use healthtrail::lake::part_ids::IdReader;
use healthtrail::lake::part_rows::{RowReader, time_span};
use healthtrail::lake::verify::answers::compare;
use healthtrail::lake::verify::history::History;
use healthtrail::lake::verify::visible::look;
use healthtrail::store::{Folder, Memory};

use crate::program::{command, files, rows, run, text, write};

/// A lake of two commits over the samples, with a checkpoint.
struct Lake {
    folder: tempfile::TempDir,
    archive: PathBuf,
    place: PathBuf,
    /// A row of it, as `forget` takes it.
    row: String,
    /// What is damaged, by what it is.
    victims: Vec<(&'static str, PathBuf)>,
}

impl Lake {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (archive, lake) = (folder.path().join("archive"), folder.path().join("lake"));
        let samples =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/archive/health/2026/11/21");
        for file in files(&samples) {
            write(&archive, text(&file), &fs::read(samples.join(&file)).unwrap());
        }
        run(text(&archive), text(&lake), &["--products", "all"], 0);
        write(&archive, "2026/11/22/01/x", b"{\"not\": \"ended");
        run(text(&archive), text(&lake), &["--products", "all"], 0);
        write_checkpoint(&lake);
        let found = rows(&lake, "findings").remove(0);
        let row = format!("finding_id={},account_id={}", found["finding_id"], found["account_id"]);
        let part = |table: &str| {
            let of =
                |file: &PathBuf| text(file).starts_with(table) && text(file).ends_with(".parquet");
            files(&lake).into_iter().find(of).unwrap()
        };
        let log = |name: &str| PathBuf::from(format!("_healthtrail/log/{name}"));
        let victims = vec![
            ("findings part", part("findings")),
            ("rejects part", part("rejects")),
            ("first record", log("0000000001.json")),
            ("last record", log("0000000002.json")),
            ("first done mark", log("0000000001.done")),
            ("last done mark", log("0000000002.done")),
            ("checkpoint", PathBuf::from(checkpoint_key(2))),
            ("settings", PathBuf::from("_healthtrail/lake.json")),
        ];
        Self { folder, archive, place: lake, row, victims }
    }

    /// A copy in which one file has other bytes.
    fn with(&self, file: &Path, bytes: &[u8]) -> PathBuf {
        let copy = self.folder.path().join("copy");
        drop(fs::remove_dir_all(&copy));
        for file in files(&self.place) {
            let to = copy.join(&file);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(self.place.join(&file), to).unwrap();
        }
        fs::write(copy.join(file), bytes).unwrap();
        copy
    }

    fn commands(&self, lake: &Path) -> [Vec<String>; COMMANDS] {
        let (lake, archive) = (text(lake), text(&self.archive));
        let other = format!("{lake}-rebuilt");
        drop(fs::remove_dir_all(&other));
        [
            vec!["run", "--from", archive, "--to", lake, "--progress", "none"],
            vec!["verify", "--lake", lake, "--progress", "none"],
            vec!["verify", "--lake", lake, "--full", "--progress", "none"],
            vec!["rejects", "--lake", lake, "--list"],
            vec!["redrive", "--lake", lake, "--from", archive, "--again", "--progress", "none"],
            vec!["report", "--lake", lake, "--format", "json"],
            vec!["ledger", "--lake", lake, "--from", archive],
            vec!["forget", "--lake", lake, "--rows", &self.row, "--reason", "x"],
            vec!["rebuild", "--lake", lake, "--to", &other, "--progress", "none"],
        ]
        .map(|words| words.into_iter().map(str::to_owned).collect())
    }
}

/// Writes what a run writes every so many commits.
fn write_checkpoint(lake: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bytes = runtime.block_on(async {
        let store = std::sync::Arc::new(Folder::open(lake, false).await.unwrap());
        let (log, mut ledger) = (Log::new(store), Ledger::default());
        log.look(&mut ledger).await.unwrap();
        checkpoint::encode(&ledger).unwrap()
    });
    write(lake, &checkpoint_key(2), &bytes);
}

/// How many commands are tried on each damage.
const COMMANDS: usize = 9;

const DAMAGES: [&str; 12] = [
    "emptied",
    "one byte short",
    "half of it",
    "twice",
    "zeros",
    "text",
    "bytes of another file",
    "a byte changed at the front",
    "a byte changed in the middle",
    "a byte changed at the end",
    "numbers as large as can be",
    "all of another type",
];

/// The bytes with that damage.
fn damage(name: &str, bytes: &[u8], other: &[u8]) -> Vec<u8> {
    let flipped = |at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 0x55;
        bytes
    };
    match name {
        "emptied" => Vec::new(),
        "one byte short" => bytes[..bytes.len() - 1].to_vec(),
        "half of it" => bytes[..bytes.len() / 2].to_vec(),
        "twice" => bytes.repeat(2),
        "zeros" => vec![0; bytes.len()],
        "text" => b"<Error><Code>AccessDenied</Code></Error>".to_vec(),
        "bytes of another file" => other.to_vec(),
        "a byte changed at the front" => flipped(3.min(bytes.len() - 1)),
        "a byte changed in the middle" => flipped(bytes.len() / 2),
        "a byte changed at the end" => flipped(bytes.len() - 5.min(bytes.len())),
        "numbers as large as can be" => large_numbers(bytes),
        "all of another type" => b"[{\"format\":\"1\"},null,7]".to_vec(),
        _ => unreachable!("{name}"),
    }
}

/// JSON with its numbers replaced; of a part, the footer's length and what is before it.
fn large_numbers(bytes: &[u8]) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        let at = bytes.len().saturating_sub(8);
        return [&bytes[..at], &u32::MAX.to_le_bytes(), b"PAR1"].concat();
    };
    let mut out = String::new();
    let mut is_value = false;
    for letter in text.chars() {
        match letter {
            ':' => is_value = true,
            '0'..='9' if is_value => {
                out.push_str("18446744073709551615");
                is_value = false;
                continue;
            }
            '0'..='9' if out.ends_with("18446744073709551615") => continue,
            _ => is_value = false,
        }
        out.push(letter);
    }
    out.into_bytes()
}

/// What one command makes of it: its exit code and what it says.
fn answer(words: &[String]) -> (Option<i32>, String) {
    let output = command().args(words).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// What is wrong with an answer, if something is.
fn fault(code: Option<i32>, told: &str, key: &Path) -> Option<&'static str> {
    let name = text(key).rsplit('/').next().unwrap();
    let helps = ["healthtrail", "restore", "; "].iter().any(|help| told.contains(help));
    match code {
        None => Some("was killed"),
        Some(_) if told.contains("panicked") => Some("panicked"),
        Some(1 | 2) if !told.contains(name) => Some("does not name the file"),
        Some(1 | 2) if !helps => Some("does not say what to do"),
        Some(0..=3) => None,
        Some(_) => Some("has an exit code of its own"),
    }
}

/// Settings that differ at most in the program that made the lake.
fn same_but_maker(one: &[u8], other: &[u8]) -> bool {
    let settings = |bytes| {
        let mut settings: serde_json::Value = serde_json::from_slice(bytes).ok()?;
        settings["created_by"].as_str()?.starts_with("healthtrail").then_some(())?;
        settings["created_by"].take();
        Some(settings)
    };
    settings(one).is_some_and(|one| Some(one) == settings(other))
}

/// Every `step`th case from `first` on; the cases that were run.
fn matrix(first: usize, step: usize, is_told: bool) -> usize {
    let lake = Lake::new();
    let mut wrong = String::new();
    let (mut cases, mut number) = (0, 0);
    for (index, (what, victim)) in lake.victims.iter().enumerate() {
        let bytes = fs::read(lake.place.join(victim)).unwrap();
        let (_, other) = &lake.victims[(index + 1) % lake.victims.len()];
        let other = fs::read(lake.place.join(other)).unwrap();
        for name in DAMAGES {
            let damaged = damage(name, &bytes, &other);
            let mut codes = Vec::new();
            for nth in 0..COMMANDS {
                number += 1;
                if number % step != first {
                    continue;
                }
                cases += 1;
                let copy = lake.with(victim, &damaged);
                let words = &lake.commands(&copy)[nth];
                let (code, told) = answer(words);
                codes.push(format!("{} {}", words[0], code.unwrap_or(-1)));
                // A checkpoint is a cache, white space behind JSON says nothing, and nobody can know which
                // program made a lake but from these very words.
                let is_same = damaged.trim_ascii() == bytes.trim_ascii();
                let is_same = is_same || *what == "settings" && same_but_maker(&damaged, &bytes);
                let may_pass = *what == "checkpoint" || is_same;
                let passes = words[0] == "verify" && code == Some(0) && !may_pass;
                let fault = fault(code, &told, victim);
                if let Some(fault) = fault.or(passes.then_some("takes it for good")) {
                    let command = words.join(" ");
                    writeln!(wrong, "{what}, {name}: {fault}: {command}\n    {told}").unwrap();
                }
            }
            if is_told {
                println!("damaged  {what:<16} {name:<30} {}", codes.join(", "));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    cases
}

#[test]
fn damaged_files_of_the_lake_are_told_by_every_command() {
    assert!(matrix(5, 13, false) > 50);
}

/// Part of `tests/attack damaged`.
#[test]
#[ignore = "takes minutes"]
fn matrix_of_files_and_commands() {
    let cases = matrix(0, 1, true);
    println!("damaged  {cases} cases");
}

const KEY: &str = "findings/dt=2026-11-24/0000000001-0000000000000000.parquet";

fn told<T>(result: Result<T, LakeError>, what: &str) -> bool {
    match result {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.key(), KEY, "{what}: {error}");
            false
        }
    }
}

/// Reads a part through all readers; how many of them took it.
async fn read_part(table: Table, rows: u64, bytes: Vec<u8>, all: bool, what: &str) -> usize {
    let store = Memory::new("lake");
    let (key, length) = (KEY.to_owned(), bytes.len() as u64);
    store.insert(KEY, Bytes::from(bytes));
    let file = LedgerFile { commit: 1, key, rows, bytes: length, sha256: String::new() };
    let ids = async {
        let mut reader = IdReader::open(&store, table, &file).await?;
        let mut count = 0;
        while let Some(ids) = reader.next().await? {
            count += ids.len() as u64;
        }
        assert_eq!(count, rows, "{what}");
        Ok(())
    };
    let mut took = usize::from(told(ids.await, what));
    took += usize::from(told(time_span(&store, table, &file).await, what));
    if all {
        let whole = async {
            let mut reader = RowReader::whole(&store, table, &file).await?;
            while reader.next().await?.is_some() {}
            Ok(())
        };
        took += usize::from(told(whole.await, what));
        let wanted = [("finding_id", vec!["x"]), ("reject_id", vec!["x"])];
        took += usize::from(told(may_hold(&store, &file, &wanted).await, what));
    }
    took
}

/// The parts of the seeds of the fuzzers: a table, how many rows, and the bytes.
fn seeds() -> Vec<(Table, u64, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/part");
    let read = |file: PathBuf| {
        let bytes = fs::read(folder.join(file)).unwrap();
        let table = if bytes[0] == 0 { Table::Findings } else { Table::Rejects };
        (table, u64::from(u16::from_le_bytes([bytes[1], bytes[2]])), bytes[3..].to_vec())
    };
    files(&folder).into_iter().map(read).collect()
}

/// Changes bytes of parts: each `step`th by each of `flips`; how many files were read.
fn flip_bytes(step: usize, flips: &[u8], all: bool) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut count = 0;
    for (table, rows, bytes) in seeds() {
        for at in (0..bytes.len()).step_by(step) {
            for flip in flips {
                let mut changed = bytes.clone();
                changed[at] ^= flip;
                let what = format!("{} byte {at} ^ {flip}", table.name());
                runtime.block_on(read_part(table, rows, changed, all, &what));
                count += 1;
            }
        }
    }
    count
}

#[test]
fn a_part_with_a_changed_byte_is_read_or_named() {
    assert!(flip_bytes(67, &[0xff, 0xe0], true) > 500);
}

#[test]
fn a_part_cut_anywhere_is_named() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for (table, rows, bytes) in seeds() {
        for end in (0..bytes.len()).step_by(53) {
            let cut = bytes[..end].to_vec();
            let took =
                runtime.block_on(read_part(table, rows, cut, true, &format!("cut at {end}")));
            assert_eq!(took, 0, "{} cut at {end}", table.name());
        }
    }
}

/// Part of `tests/attack damaged`.
#[test]
#[ignore = "takes minutes"]
fn matrix_of_bytes() {
    let count = flip_bytes(1, &[0x01, 0x80, 0xe0, 0xff], true);
    println!("damaged  {count} parts with a changed byte, each read or named");
}

/// Everything that reads a log; what is wrong is an error with a key.
async fn read_log(store: &Arc<Memory>) {
    fn told<T>(result: Result<T, LakeError>) -> Option<T> {
        result.map_err(|error| assert!(!error.key().is_empty(), "{error}")).ok()
    }
    told(LakeConfig::open_or_create(&**store, None, 1).await);
    let log = Log::new(store.clone());
    let mut ledger = told(log.load().await).unwrap_or_default();
    if told(log.look(&mut ledger).await).is_some() {
        ledger.failed_count();
        if let Some(record) = told(log.record(1).await).flatten() {
            ledger.hours(&record.settings);
        }
        told(log.failed_objects(&ledger, |_| true).await);
        let written = checkpoint::encode(&ledger).unwrap();
        drop(checkpoint::decode(&written, ledger.version()));
    }
    told(log.follow_done(&mut Ledger::default()).await);
    told(log.visit_records(1, |_, _| {}).await);
    if let Some(history) = told(History::read(&log).await) {
        told(look(&**store, &history).await);
        told(compare(&log, &history).await);
    }
    // The last, since it writes.
    let mut ledger = told(log.load().await).unwrap_or_default();
    if told(log.catch_up(&mut ledger).await).is_some() {
        told(log.checkpoint(&mut ledger).await);
    }
}

/// A lake of one commit, whose record is a seed of the fuzzers, with one object of the log replaced.
fn lake_with(kind: u8, bytes: &[u8]) -> Arc<Memory> {
    let store = Memory::new("lake");
    let record = seed("record");
    let put = |key: String, own: u8, usual: &[u8]| {
        store.insert(key, Bytes::copy_from_slice(if kind == own { bytes } else { usual }));
    };
    let settings = br#"{"format":1,"identity":1,"partition":"day","created_by":"x"}"#;
    put(CONFIG.to_owned(), b'c', settings);
    put(record_key(1), b'r', &record[1..]);
    put(done_key(1), b'd', b"{}");
    if kind == b'l' {
        store.insert(checkpoint_key(1), zstd::bulk::compress(bytes, 1).unwrap());
    }
    Arc::new(store)
}

fn seed(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/log").join(name)).unwrap()
}

/// What takes the place of a value.
const VALUES: [&str; 8] = [
    "18446744073709551615",
    "9223372036854775807",
    "-9223372036854775808",
    "0",
    "1e400",
    "null",
    "[]",
    "\"\"",
];

/// The places of the values of JSON that are no objects and no lists.
fn values(text: &str) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        match bytes[at] {
            b'"' => {
                at += 1;
                while bytes[at] != b'"' {
                    at += 1 + usize::from(bytes[at] == b'\\');
                }
                at += 1;
                if bytes.get(at) != Some(&b':') {
                    found.push(start..at);
                }
            }
            b'-' | b'0'..=b'9' => {
                while matches!(bytes.get(at), Some(b'-' | b'0'..=b'9')) {
                    at += 1;
                }
                found.push(start..at);
            }
            _ => at += 1,
        }
    }
    found
}

#[test]
fn r030_no_value_of_the_log_can_make_it_panic() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (mut cases, mut wrong) = (0, String::new());
    for name in ["record", "repair", "done", "config", "lines"] {
        let seed = seed(name);
        let text = std::str::from_utf8(&seed[1..]).unwrap();
        let mut places = values(text);
        // All numbers of one size at once make sums agree that overflow.
        places.push(0..0);
        for place in places {
            for value in VALUES {
                let changed = if place.is_empty() {
                    text.replace("\"rows\":", &format!("\"rows\":{value},\"was\":"))
                } else {
                    format!("{}{value}{}", &text[..place.start], &text[place.end..])
                };
                let store = lake_with(seed[0], changed.as_bytes());
                cases += 1;
                let read = || runtime.block_on(read_log(&store));
                if std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)).is_err() {
                    let from = place.start.saturating_sub(30);
                    writeln!(wrong, "{name}: {value} at …{}", &text[from..place.end]).unwrap();
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(cases > 500, "{cases}");
}
