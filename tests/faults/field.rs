//! Where the cases take place: an archive, a lake to begin with, the program, and the tests' own reading
//! of what it made.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use healthtrail::store::{GetOptions, Store, StoreOptions, open, sha256_hex};
use serde_json::Value;

use crate::program::{DELIVERY_COLUMNS, Row, command, gzip, health_event, key, rows, write};
use crate::stores::put;

const ACCOUNT: &str = "111122223333";
/// Commits of the lake that each case begins with; a checkpoint is due with the next.
const BASE_COMMITS: u32 = 15;

/// The program, with the proxy (or the server itself) before it.
pub(super) struct Program {
    pub(super) endpoint: String,
    pub(super) answer_seconds: u32,
}

/// How it ended.
pub(super) struct Ended {
    pub(super) code: i32,
    pub(super) seconds: f64,
    pub(super) stdout: String,
    pub(super) stderr: String,
    /// What the summary says, when there is one.
    pub(super) retries: u64,
    pub(super) failed: Vec<String>,
}

impl Ended {
    pub(super) fn all(&self) -> String {
        // The SDK has words about the configuration that `tests/run` points away.
        let lines = self.stderr.lines().filter(|line| !line.contains(" WARN aws_"));
        format!("{}{}", self.stdout, lines.collect::<Vec<_>>().join("\n"))
    }

    /// In a few words.
    pub(super) fn said(&self) -> String {
        let lines = || self.stderr.lines().filter(|line| !line.contains(" WARN aws_"));
        let error = lines().find(|line| line.starts_with("error"));
        let text = self.failed.first().map(String::as_str).or(error).or(lines().next());
        let told = text.unwrap_or_default();
        // Where it happened differs from case to case; what happened is told after it.
        let start = told.rfind("`: ").map_or(0, |at| at + 3);
        told[start..].chars().take(90).collect()
    }
}

impl Program {
    /// `healthtrail run`, ended by force when it takes longer.
    pub(super) async fn run(&self, archive: &str, lake: &str, deadline: Duration) -> Ended {
        let run = ["run", "--from", archive, "--to", lake, "--progress", "none", "--summary", "-"];
        self.start(&[&run[..], &["--wave-objects", "1"]].concat(), deadline).await
    }

    pub(super) async fn verify(&self, lake: &str) -> Ended {
        self.start(&["verify", "--lake", lake, "--full"], Duration::from_mins(2)).await
    }

    async fn start(&self, arguments: &[&str], deadline: Duration) -> Ended {
        let mut command = command();
        command.args(arguments).args(["--endpoint-url", &self.endpoint, "--s3-pause-ms", "1"]);
        command.args(["--s3-answer-seconds", &self.answer_seconds.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let begun = Instant::now();
        let child = command.spawn().unwrap();
        let id = child.id().to_string();
        let ended = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
        tokio::pin!(ended);
        let output = if let Ok(output) = tokio::time::timeout(deadline, &mut ended).await {
            output.unwrap()
        } else {
            // The test's own child, which would wait for ever.
            std::process::Command::new("kill").args(["-KILL", &id]).status().unwrap();
            ended.await.unwrap()
        };
        let seconds = begun.elapsed().as_secs_f64();
        let stdout = String::from_utf8(output.stdout).unwrap();
        let summary: Value = serde_json::from_str(&stdout).unwrap_or_default();
        let failed = summary["failed_objects"].as_array().into_iter().flatten();
        Ended {
            code: output.status.code().unwrap_or(-1),
            seconds,
            retries: summary["retries"].as_u64().unwrap_or(0),
            failed: failed.map(|one| one["message"].as_str().unwrap().to_owned()).collect(),
            stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// A lake, read with nothing of the program's own.
#[derive(Default)]
pub(super) struct Held {
    /// Final keys and hashes.
    pub(super) parts: BTreeMap<String, String>,
    pub(super) rows: Vec<Row>,
    pub(super) rejects: Vec<Row>,
    /// Key and etag of what the log says is in the lake, once for each time it says so.
    pub(super) consumed: Vec<(String, String)>,
    /// What the records name.
    committed: BTreeMap<String, String>,
    /// Numbers of records, and of done marks.
    records: Vec<u64>,
    done: Vec<u64>,
    /// Done marks that tell of damage.
    damaged: Vec<String>,
    staged: Vec<String>,
}

impl Held {
    /// What holds of every lake that is at rest.
    pub(super) fn check(&self, name: &str) {
        assert_eq!(self.parts, self.committed, "{name}: visible is what is committed");
        assert_eq!(self.staged, [""; 0], "{name}: something is staged");
        assert_eq!(self.damaged, [""; 0], "{name}: a commit is damaged");
        let numbers: Vec<u64> = (1..=self.records.len() as u64).collect();
        assert_eq!(self.records, numbers, "{name}: the records");
        assert_eq!(self.done, numbers, "{name}: the done marks");
        let ids = |rows: &[Row], id: &str| -> BTreeSet<String> {
            rows.iter().map(|row| row[id].clone()).collect()
        };
        assert_eq!(ids(&self.rows, "row_id").len(), self.rows.len(), "{name}: a row twice");
        assert_eq!(ids(&self.rejects, "reject_id").len(), self.rejects.len(), "{name}: a reject");
        let once: BTreeSet<_> = self.consumed.iter().collect();
        assert_eq!(once.len(), self.consumed.len(), "{name}: an object was consumed twice");
    }

    /// Its rows without what depends on which copy of a finding came first.
    pub(super) fn undelivered(&self) -> Vec<Row> {
        let mut rows = self.rows.clone();
        for row in &mut rows {
            row.retain(|name, _| !DELIVERY_COLUMNS.contains(&name.as_str()));
        }
        rows.sort();
        rows
    }

    /// The numbers of its records.
    pub(super) fn records(&self) -> &[u64] {
        &self.records
    }

    fn take(&mut self, folder: &Path, key: &str, bytes: &[u8]) {
        let number =
            |name: &str| name.trim_start_matches("_healthtrail/log/")[..10].parse().unwrap();
        if key.starts_with("_healthtrail/staging/") {
            self.staged.push(key.to_owned());
        } else if key.starts_with("_healthtrail/log/") && key.ends_with(".done") {
            self.done.push(number(key));
            let mark: Value = serde_json::from_slice(bytes).unwrap();
            self.damaged.extend((!mark["damaged"].is_null()).then(|| mark.to_string()));
        } else if key.starts_with("_healthtrail/log/") {
            self.records.push(number(key));
            let record: Value = serde_json::from_slice(bytes).unwrap();
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            for file in record["files"].as_array().unwrap() {
                self.committed.insert(text(&file["key"]), text(&file["sha256"]));
            }
            let consumed = record["objects"]["inline"]["consumed"].as_array().unwrap();
            self.consumed
                .extend(consumed.iter().map(|one| (text(&one["key"]), text(&one["etag"]))));
        } else if key.ends_with(".parquet") {
            self.parts.insert(key.to_owned(), sha256_hex(bytes));
            write(folder, key, bytes);
        }
    }
}

/// The archive and lakes of a bucket.
pub(super) struct Field {
    pub(super) endpoint: String,
    pub(super) archive: String,
    uri: String,
    pub(super) store: Arc<dyn Store>,
    /// The lake to begin with, by key.
    base: BTreeMap<String, Bytes>,
    /// What an undisturbed run makes of it.
    pub(super) wanted: Held,
    /// What one makes of the archive alone.
    pub(super) wanted_fresh: Held,
}

/// An event of this number on this day of August.
fn event(number: u32, day: u32) -> String {
    health_event(number, &format!("2026-08-{day:02}"), ACCOUNT)
}

/// The objects that are new in each case: a row that is there already, new rows on days that are there, the
/// same row twice, and something that is no document.
pub(super) fn new_objects() -> [(String, Vec<u8>); 3] {
    let name = |hour| key("2026-08-20", hour, 100 + hour);
    [
        (name(3), [event(1, 1), event(101, 1)].concat().into_bytes()),
        (name(4), gzip([event(102, 2), event(101, 1)].concat().as_bytes())),
        (name(5), [event(103, 20), "no document".to_owned()].concat().into_bytes()),
    ]
}

impl Field {
    pub(super) async fn new(uri: &str, options: &StoreOptions) -> Self {
        let endpoint = options.s3.endpoint_url.clone().unwrap();
        let mut field = Self {
            archive: format!("{uri}/archive"),
            uri: uri.to_owned(),
            store: open(uri, options).await.unwrap(),
            base: BTreeMap::new(),
            wanted: Held::default(),
            wanted_fresh: Held::default(),
            endpoint,
        };
        for number in 1..=BASE_COMMITS {
            let object = format!("archive/{}", key(&format!("2026-08-{number:02}"), 3, number));
            put(&*field.store, &object, event(number, number)).await;
        }
        let program = field.undisturbed();
        let patience = Duration::from_mins(5);
        let base = format!("{uri}/base");
        let made = program.run(&field.archive, &base, patience).await;
        assert_eq!(made.code, 0, "{}", made.all());
        field.base = field.objects("base/").await;
        for (object, bytes) in new_objects() {
            put(&*field.store, &format!("archive/{object}"), bytes).await;
        }
        let made = program.run(&field.archive, &base, patience).await;
        assert_eq!(made.code, 0, "{}", made.all());
        field.wanted = field.read(&base).await;
        field.wanted.check("undisturbed");
        // Four more events, and a part for each new row's day and the reject.
        assert_eq!((field.wanted.rows.len(), field.wanted.rejects.len()), (18, 1));
        let fresh = format!("{uri}/fresh");
        let made = program.run(&field.archive, &fresh, patience).await;
        assert_eq!(made.code, 0, "{}", made.all());
        field.wanted_fresh = field.read(&fresh).await;
        field.wanted_fresh.check("undisturbed, anew");
        field
    }

    /// The program with nothing before the server.
    pub(super) fn undisturbed(&self) -> Program {
        Program { endpoint: self.endpoint.clone(), answer_seconds: 60 }
    }

    /// A lake to begin with; a fresh one is empty.
    pub(super) async fn lake(&self, index: usize, is_fresh: bool) -> String {
        let name = format!("case-{index}");
        if !is_fresh {
            let written = self.base.iter().map(|(key, bytes)| {
                let key = format!("{name}/{key}");
                async move { put(&*self.store, &key, bytes.clone()).await }
            });
            futures::stream::iter(written).buffer_unordered(8).collect::<Vec<()>>().await;
        }
        format!("{}/{name}", self.uri)
    }

    /// Deletes a lake.
    pub(super) async fn forget(&self, lake: &str) {
        let prefix = self.prefix(lake);
        for key in crate::stores::keys(&*self.store, &prefix).await {
            self.store.delete(&key).await.unwrap();
        }
    }

    fn prefix(&self, lake: &str) -> String {
        format!("{}/", lake.strip_prefix(&self.uri).unwrap().trim_start_matches('/'))
    }

    /// Every object below a prefix, by the key below it.
    async fn objects(&self, prefix: &str) -> BTreeMap<String, Bytes> {
        let listed: Vec<_> = self.store.list(prefix).try_collect().await.unwrap();
        let read = listed.into_iter().map(|meta| async move {
            let bytes = self.store.get(&meta.key, GetOptions::default()).await.unwrap();
            (meta.key.strip_prefix(prefix).unwrap().to_owned(), bytes)
        });
        futures::stream::iter(read).buffer_unordered(8).collect().await
    }

    /// Reads a lake.
    pub(super) async fn read(&self, lake: &str) -> Held {
        let folder = tempfile::tempdir().unwrap();
        let mut held = Held::default();
        for (key, bytes) in self.objects(&self.prefix(lake)).await {
            held.take(folder.path(), &key, &bytes);
        }
        held.consumed.sort();
        held.rows = rows(folder.path(), "findings");
        held.rejects = rows(folder.path(), "rejects");
        held
    }
}
