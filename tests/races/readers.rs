//! Readers that scan the lake without pause while two runs make a hundred commits.
//!
//! `DuckDB` and `PyArrow`, each a process of its own, must meet no error; what they count never falls, and no
//! row id stands twice. A reader sees the files of one commit appear one after the other: a commit that is
//! half published is seen in part, and in part never doubled. (`forget` and `verify --repair` are the
//! declared exceptions: see `commands::a_reader_beside_an_erasure_misses_rows_and_counts_none_twice`.)

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;

use healthtrail::store::{Folder, Store, StoreOptions, open};
use serde_json::Value;

use crate::foreign::PYTHON;
use crate::program::{command, health_event, key, text};
use crate::races::oracle::look;
use crate::stores::{put, with_s3};

const OBJECTS: u32 = 100;

/// A reader under way.
struct Reader {
    name: &'static str,
    process: Child,
    said: BufReader<ChildStdout>,
}

impl Reader {
    /// Starts one, and waits for its first scan.
    fn start(python: &str, name: &'static str, arguments: &[&str]) -> Self {
        let script = format!("{}/tests/foreign/reader.py", env!("CARGO_MANIFEST_DIR"));
        let mut process = Command::new(python)
            .arg(script)
            .arg(name)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "ready", "{name}");
        Self { name, process, said }
    }

    /// Lets it scan once more, and says what it saw.
    fn end(mut self, rows: u64) -> Value {
        drop(self.process.stdin.take());
        let mut seen = String::new();
        self.said.read_to_string(&mut seen).unwrap();
        assert!(self.process.wait().unwrap().success(), "{}", self.name);
        let seen: Value = serde_json::from_str(&seen).unwrap();
        assert_eq!(seen["wrong"], Value::Array(Vec::new()), "{}: {seen}", self.name);
        let counts = seen["counts"].as_array().unwrap();
        assert_eq!(counts.last().unwrap(), &Value::from(rows), "{}", self.name);
        // It did look while the lake grew.
        assert!(counts.len() >= 4, "{}: {seen}", self.name);
        seen
    }
}

/// Each object has events of two days, one of its own and one that ten share on each; so each commit has
/// files in two partitions.
async fn fill(archive: &dyn Store) -> u64 {
    let days = ["2026-08-01", "2026-08-02", "2026-08-03", "2026-08-04"];
    for number in 0..OBJECTS {
        let (one, two) = (number % 4, (number + 1) % 4);
        let body = [(one, number), (two, 1_000 + number), (one, 2_000 + number / 10 * 4 + one)]
            .map(|(day, number)| health_event(number, days[day as usize], "111122223333"));
        put(archive, &key(days[one as usize], number % 24, number), body.concat()).await;
    }
    // Of ten objects in a row two or three lie on each day, and share an event there.
    let shared = (0..OBJECTS).map(|number| number / 10 * 4 + number % 4);
    u64::from(2 * OBJECTS) + shared.collect::<std::collections::BTreeSet<_>>().len() as u64
}

/// Two runs at once; how many commits they made.
fn two_runs(from: &str, to: &str, endpoint: Option<&str>) -> u64 {
    let runs: Vec<Child> = (0..2)
        .map(|_| {
            let mut command = command();
            command.args(["run", "--from", from, "--to", to, "--wave-objects", "1"]);
            command.args(["--threads", "1", "--progress", "none", "--summary", "-"]);
            if let Some(endpoint) = endpoint {
                command.args(["--endpoint-url", endpoint]);
            }
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let mut commits = 0;
    for run in runs {
        let output = run.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
        commits += summary["commits"].as_u64().unwrap();
    }
    commits
}

/// Tests that need Python say so where there is none.
fn python() -> Option<String> {
    crate::foreign::python("foreign/reader.py", &["count"])?;
    std::env::var(PYTHON).ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_a_folder_see_a_hundred_commits_and_no_error() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (archive, lake) = (folder.path().join("archive"), folder.path().join("lake"));
    let rows = fill(&Folder::open(&archive, true).await.unwrap()).await;
    let store = Folder::open(&lake, true).await.unwrap();
    let readers = ["duckdb", "pyarrow"].map(|name| Reader::start(&python, name, &[text(&lake)]));
    let (from, to) = (text(&archive).to_owned(), text(&lake).to_owned());
    let commits = two_runs(&from, &to, None);
    assert_eq!(commits, u64::from(OBJECTS));
    for reader in readers {
        let (name, seen) = (reader.name, reader.end(rows));
        println!("| {name} | folder | {commits} | {} | {} |", seen["scans"], counts(&seen));
    }
    assert_eq!(look(&store).await.rows.len() as u64, rows);
}

fn counts(seen: &Value) -> usize {
    seen["counts"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_a_bucket_sees_a_hundred_commits_and_no_error() {
    let Some(python) = python() else { return };
    with_s3(|uri, options: StoreOptions| async move {
        let endpoint = options.s3.endpoint_url.clone().unwrap();
        let (from, to) = (format!("{uri}/archive"), format!("{uri}/lake"));
        let archive: Arc<dyn Store> = open(&from, &options).await.unwrap();
        let rows = fill(archive.as_ref()).await;
        let base = to.strip_prefix("s3://").unwrap();
        let reader = Reader::start(&python, "s3", &[&endpoint, base]);
        let commits = two_runs(&from, &to, Some(&endpoint));
        assert_eq!(commits, u64::from(OBJECTS));
        let seen = reader.end(rows);
        println!("| pyarrow | s3 | {commits} | {} | {} |", seen["scans"], counts(&seen));
        let lake = open(&to, &options).await.unwrap();
        assert_eq!(look(lake.as_ref()).await.rows.len() as u64, rows);
    })
    .await;
}
