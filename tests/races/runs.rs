//! Real processes on one lake: several at once, and one that is stopped at a request while another runs.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, BoxStream, StreamExt};
use healthtrail::store::{Folder, GetOptions, ObjectMeta, Store, StoreResult, open};
use serde_json::Value;

use crate::foreign::python;
use crate::program::{command, health_event, key, number, text, write};
use crate::proxy::{Action, Class, Proxy, Rule};
use crate::races::oracle::look;
use crate::stores::{keys, put, with_s3};

const DAYS: [&str; 3] = ["2026-08-01", "2026-08-02", "2026-08-03"];
const FOLDERS: [&str; 3] = ["a", "b", "c"];
const OBJECTS: u32 = 4;

/// Where archives and lakes lie.
struct Ground {
    name: &'static str,
    /// A folder's path, or `s3://…`.
    base: String,
    endpoint: Option<String>,
    store: Arc<dyn Store>,
}

/// Which of the archive's folders each of some runs at once reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Share {
    Same,
    Overlapping,
}

impl Share {
    fn folders(self, run: usize) -> &'static [&'static str] {
        const PAIRS: [&[&str]; 3] = [&["a", "b"], &["b", "c"], &["c", "a"]];
        match self {
            Self::Same => &FOLDERS,
            Self::Overlapping => PAIRS[run % PAIRS.len()],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Same => "the same",
            Self::Overlapping => "overlapping",
        }
    }
}

/// Three folders of objects. Each object has an event of its own, some that others have too, and every third
/// one something that is no JSON. Gives how many rows they are.
async fn fill(store: &dyn Store, seed: u32) -> usize {
    let mut events = BTreeSet::new();
    for (nth, folder) in (0..).zip(FOLDERS) {
        for number in 0..OBJECTS {
            let day = DAYS[((number + seed) % 3) as usize];
            let own = 1_000 * seed + 10 * nth + number;
            let shared = 100_000 + (number + seed) % 3 + 10 * (seed % 4);
            let mut body = String::new();
            for event in [own, shared] {
                events.insert((event, day));
                body += &health_event(event, day, "111122223333");
            }
            if number % 3 == 0 {
                body += "no json ";
            }
            put(store, &format!("archive/{folder}/{}", key(day, number, own)), body).await;
        }
    }
    events.len()
}

/// A run as a process.
fn runs(ground: &Ground, round: &str, folders: &[&str], wave: u32) -> Command {
    let mut command = command();
    command.arg("run");
    for folder in folders {
        command.args(["--from", &format!("{}/{round}archive/{folder}", ground.base)]);
    }
    command.args(["--to", &format!("{}/{round}lake", ground.base)]);
    command.args(["--threads", "1", "--memory", "128MiB", "--progress", "none", "--summary", "-"]);
    command.args(["--wave-objects", &wave.to_string()]);
    if let Some(endpoint) = &ground.endpoint {
        command.args(["--endpoint-url", endpoint]);
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// How a process ended: its summary, or what it said when it ended with 1.
fn ended(run: Child) -> Result<Value, String> {
    let output = run.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    match output.status.code() {
        Some(0) => Ok(serde_json::from_slice(&output.stdout).unwrap()),
        Some(1) => {
            assert!(said.contains("error: ") && !said.contains("panicked"), "no clear 1: {said}");
            Err(said)
        }
        code => panic!("ended with {code:?}: {said}"),
    }
}

/// What a cell of the table sums up.
#[derive(Debug, Default)]
struct Cell {
    rounds: u32,
    ended_with_0: usize,
    ended_with_1: usize,
    commits: u64,
    rows: usize,
}

/// One round: so many at once, then one more that has nothing left to do.
async fn round(ground: &Ground, count: usize, share: Share, seed: u32, cell: &mut Cell) {
    let prefix = format!("{count}-{}-{seed}/", if share == Share::Same { "same" } else { "over" });
    let store = &ground.store;
    let below: Arc<dyn Store> =
        Arc::new(Below { inner: Arc::clone(store), prefix: prefix.clone() });
    let rows = fill(below.as_ref(), seed).await;
    let told = format!("{} {count} {share:?} {seed}", ground.name);
    let children: Vec<Child> = (0..count)
        .map(|run| {
            let wave = 2 + (seed + u32::try_from(run).unwrap()) % 3;
            runs(ground, &prefix, share.folders(run), wave).spawn().unwrap()
        })
        .collect();
    let outcomes: Vec<Result<Value, String>> = children.into_iter().map(ended).collect();
    let good: Vec<&Value> = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok()).collect();
    let added: u64 = good.iter().map(|summary| number(summary, "findings.added")).sum();
    let all_good = good.len() == count;
    if all_good {
        // Two that overlap read all three folders between them.
        assert_eq!(added, rows as u64, "{told}");
    }
    let last = ended(runs(ground, &prefix, &FOLDERS, 2).spawn().unwrap()).unwrap();
    assert!(!all_good || number(&last, "objects.read") == 0, "{told}: {last}");
    let lake = Below { inner: Arc::clone(store), prefix: format!("{prefix}lake/") };
    let held = look(&lake).await;
    assert_eq!(held.rows.len(), rows, "{told}");
    let uris: BTreeSet<&str> = held.consumed.iter().map(|(uri, _)| uri.as_str()).collect();
    assert_eq!(uris.len(), 3 * OBJECTS as usize, "{told}: an object was lost");
    assert_eq!(held.rejects.len(), 3 * 2, "{told}");
    cell.rounds += 1;
    cell.ended_with_0 += good.len();
    cell.ended_with_1 += count - good.len();
    cell.commits += held.version;
    cell.rows += rows;
}

/// The lakes of a cell once more, by `DuckDB` and `PyArrow`.
async fn count_by_others(ground: &Ground, cell: &Cell) {
    let folder = tempfile::tempdir().unwrap();
    let mut lakes = BTreeSet::new();
    for key in keys(ground.store.as_ref(), "").await {
        let Some((round, rest)) = key.split_once("/lake/findings/") else { continue };
        let bytes = ground.store.get(&key, GetOptions::default()).await.unwrap();
        write(folder.path(), &format!("{round}/findings/{rest}"), &bytes);
        lakes.insert(text(&folder.path().join(round)).to_owned());
    }
    let mut arguments = vec!["count"];
    arguments.extend(lakes.iter().map(String::as_str));
    let Some(seen) = python("foreign/reader.py", &arguments) else { return };
    let seen = seen.as_array().unwrap();
    assert_eq!(seen.len(), cell.rounds as usize);
    for reader in ["duckdb", "pyarrow"] {
        let sum =
            |name: &str| seen.iter().map(|lake| lake[reader][name].as_u64().unwrap()).sum::<u64>();
        assert_eq!((sum("rows"), sum("ids")), (cell.rows as u64, cell.rows as u64), "{reader}");
    }
}

/// A store's objects below a prefix.
#[derive(Debug)]
struct Below {
    inner: Arc<dyn Store>,
    prefix: String,
}

impl Below {
    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }
}

impl Store for Below {
    fn base_uri(&self) -> &str {
        self.inner.base_uri()
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, StoreResult<ObjectMeta>> {
        let listed = async move {
            let all: Vec<_> = self.inner.list(&self.key(prefix)).collect().await;
            let below = |meta: ObjectMeta| {
                let key = meta.key.strip_prefix(&self.prefix).unwrap().to_owned();
                ObjectMeta { key, ..meta }
            };
            stream::iter(all.into_iter().map(move |one| one.map(below)))
        };
        stream::once(listed).flatten().boxed()
    }

    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Option<ObjectMeta>>> {
        async move { self.inner.head(&self.key(key)).await }.boxed()
    }

    fn get<'a>(&'a self, key: &'a str, options: GetOptions) -> BoxFuture<'a, StoreResult<Bytes>> {
        async move { self.inner.get(&self.key(key), options).await }.boxed()
    }

    fn put<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
        sha256: &'a str,
    ) -> BoxFuture<'a, StoreResult<()>> {
        async move { self.inner.put(&self.key(key), bytes, sha256).await }.boxed()
    }

    fn put_new<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
        sha256: &'a str,
    ) -> BoxFuture<'a, StoreResult<()>> {
        async move { self.inner.put_new(&self.key(key), bytes, sha256).await }.boxed()
    }

    fn copy_new<'a>(&'a self, from: &'a str, to: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        async move { self.inner.copy_new(&self.key(from), &self.key(to)).await }.boxed()
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        async move { self.inner.delete(&self.key(key)).await }.boxed()
    }

    fn retries(&self) -> u64 {
        self.inner.retries()
    }
}

#[expect(clippy::print_stdout, reason = "a line of the matrix's table")]
async fn cell(ground: &Ground, count: usize, share: Share, rounds: u32) {
    let begun = Instant::now();
    let mut cell = Cell::default();
    for seed in 0..rounds {
        round(ground, count, share, seed, &mut cell).await;
    }
    count_by_others(ground, &cell).await;
    for key in keys(ground.store.as_ref(), "").await {
        ground.store.delete(&key).await.unwrap();
    }
    println!(
        "| {count} runs on {} archives | {} | {} rounds | {} commits | {} ended with 0, {} with 1 | {:.0} s |",
        share.name(),
        ground.name,
        cell.rounds,
        cell.commits,
        cell.ended_with_0,
        cell.ended_with_1,
        begun.elapsed().as_secs_f64()
    );
}

async fn cells(ground: &Ground, rounds: u32) {
    for count in [2, 4, 8] {
        for share in [Share::Same, Share::Overlapping] {
            cell(ground, count, share, rounds).await;
        }
    }
}

async fn in_folders(rounds: u32) {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Folder::open(folder.path(), true).await.unwrap());
    let base = text(folder.path()).to_owned();
    cells(&Ground { name: "folder", base, endpoint: None, store }, rounds).await;
}

async fn on_s3(rounds: u32) {
    with_s3(|uri, options| async move {
        let store = open(&uri, &options).await.unwrap();
        let endpoint = options.s3.endpoint_url.clone();
        cells(&Ground { name: "s3", base: uri, endpoint, store }, rounds).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_at_once_fill_a_lake_in_a_folder() {
    in_folders(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_at_once_fill_a_lake_on_s3() {
    on_s3(3).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a long matrix: tests/attack races"]
async fn many_rounds_of_processes_at_once() {
    let rounds = std::env::var("ATTACK_CASES").map_or(50, |cases| cases.parse().unwrap());
    in_folders(rounds).await;
    on_s3(rounds).await;
}

#[test]
fn two_that_make_a_lake_at_once_agree() {
    for _ in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("archive");
        write(&archive, &key(DAYS[0], 1, 1), health_event(1, DAYS[0], "111122223333").as_bytes());
        let (from, to) = (text(&archive).to_owned(), folder.path().join("lake"));
        let both = ["day", "month"].map(|partition| {
            let mut command = command();
            command.args(["run", "--from", &from, "--to", text(&to), "--partition", partition]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        });
        let both = both.map(|run| run.wait_with_output().unwrap());
        let mut codes = both.each_ref().map(|output| output.status.code());
        codes.sort_unstable();
        assert_eq!(codes, [Some(0), Some(2)]);
        let refused = both.iter().find(|output| output.status.code() == Some(2)).unwrap();
        assert!(String::from_utf8_lossy(&refused.stderr).contains("--partition"));
    }
}

/// Where a process is stopped while another runs from its beginning to its end.
const STOPS: [(&str, Class, &str, bool); 9] = [
    ("before its first file is staged", Class::PutStaging, "/staging/1/", false),
    ("after its first file is staged", Class::PutStaging, "/staging/1/", true),
    ("before its record", Class::PutLog, "0000000001.json", false),
    ("after its record, whose reply is lost", Class::PutLog, "0000000001.json", true),
    ("before its first copy", Class::Copy, "findings/", false),
    ("after its first copy", Class::Copy, "findings/", true),
    ("before it deletes its staging", Class::Delete, "/staging/1/", false),
    ("before its done mark", Class::PutDone, "0000000001.done", false),
    ("after its done mark, whose reply is lost", Class::PutDone, "0000000001.done", true),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_process_stopped_at_any_step_while_another_runs_ends_well() {
    with_s3(|uri, options| async move {
        let direct = options.s3.endpoint_url.clone().unwrap();
        let store = open(&uri, &options).await.unwrap();
        for (nth, (stop, class, key, is_after)) in STOPS.into_iter().enumerate() {
            let prefix = format!("{nth}/");
            let below: Arc<dyn Store> =
                Arc::new(Below { inner: Arc::clone(&store), prefix: prefix.clone() });
            let rows = fill(below.as_ref(), 7).await;
            let ground = |endpoint: &str| Ground {
                name: "s3",
                base: uri.clone(),
                endpoint: Some(endpoint.to_owned()),
                store: Arc::clone(&store),
            };
            let other = Arc::new((ground(&direct), prefix.clone(), AtomicUsize::new(0)));
            let told = Arc::clone(&other);
            let meanwhile = move || {
                let (ground, prefix, runs_so_far) = told.as_ref();
                let summary = ended(runs(ground, prefix, &["b", "c"], 2).spawn().unwrap()).unwrap();
                assert!(number(&summary, "commits") > 0, "{summary}");
                runs_so_far.fetch_add(1, Ordering::SeqCst);
            };
            let proxy = Proxy::start(&direct);
            let rule = Rule::on(class).key(key);
            proxy.add(match (is_after, class) {
                (false, _) => rule.before(move |_| meanwhile()),
                (true, Class::PutLog | Class::PutDone) => {
                    rule.after(move |_| meanwhile()).does(Action::LoseReply)
                }
                (true, _) => rule.after(move |_| meanwhile()),
            });
            let through = ground(&proxy.endpoint());
            let stopped = ended(runs(&through, &prefix, &["a", "b"], 3).spawn().unwrap());
            let stopped = stopped.unwrap_or_else(|said| panic!("{stop}: {said}"));
            assert_eq!(other.2.load(Ordering::SeqCst), 1, "{stop}");
            assert_eq!(
                number(&stopped, "objects.read") + number(&stopped, "objects.in_ledger"),
                u64::from(2 * OBJECTS),
                "{stop}: {stopped}"
            );
            let lake = Below { inner: Arc::clone(&store), prefix: format!("{prefix}lake/") };
            let seen = look(&lake).await;
            assert_eq!((seen.rows.len(), seen.consumed.len()), (rows, 12), "{stop}");
        }
    })
    .await;
}
