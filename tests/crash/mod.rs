//! Crashes: the program is really killed, stopped, starved of disk and memory, and run again; the lake must
//! then be the one that an undisturbed command makes, told by nothing of the program's own code.

mod limits;
#[cfg(feature = "failpoints")]
mod on_disk;
#[cfg(feature = "failpoints")]
mod points;
#[cfg(feature = "failpoints")]
mod power;
mod signals;
mod wire;

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use healthtrail::job::run::run as run_job;
use healthtrail::job::verify::verify;
use healthtrail::store::{GetOptions, Store, StoreOptions, open, sha256_hex};
use serde_json::Value;

use crate::failing;
use crate::program::{Row, assert_unique, command, files, health_event, key, rows, text, write};
use crate::stores::{keys, put};
use crate::verify::asked;

/// Longer than any command of these tests takes on a busy machine: what takes longer hangs.
const HANGS: Duration = Duration::from_mins(2);
/// SIGKILL.
const KILLED: i32 = 9;
/// An event that most tests forget again.
const FORGOTTEN: &str = "event_arn=arn:aws:health:us-east-1::event/EC2/AWS_EC2_OPERATIONAL_ISSUE/\
                         AWS_EC2_OPERATIONAL_ISSUE_20,account_id=111122223333";

/// What the command under test does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    /// Fills a new lake, in two commits.
    Run,
    /// Reads again what was rejected as too long.
    Redrive,
    /// Erases an event.
    Forget,
}

/// Where an archive and a lake lie, and how to reach them.
#[derive(Debug, Clone)]
struct Place {
    archive: String,
    lake: String,
    options: StoreOptions,
}

/// What a lake holds, without what differs between any two runs.
#[derive(PartialEq, Eq)]
struct Lake {
    /// The visible files with their hashes.
    visible: BTreeMap<String, String>,
    /// Records and done marks.
    log: BTreeMap<String, Value>,
    /// The rows of both tables.
    rows: [Vec<Row>; 2],
}

/// A process that others may kill while it runs.
#[derive(Clone, Default)]
struct Victim(Arc<OnceLock<Mutex<Child>>>);

/// How a process ended.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    signal: Option<i32>,
    stdout: String,
    stderr: String,
}

/// A process under way.
struct Running {
    victim: Victim,
    output: [Receiver<String>; 2],
}

impl Victim {
    fn child(&self) -> MutexGuard<'_, Child> {
        self.0.wait().lock().unwrap()
    }

    /// Kills the process; it is gone when this returns.
    fn kill(&self) {
        let mut child = self.child();
        // One that has ended already is none to kill.
        drop(child.kill());
        child.wait().unwrap();
    }

    /// Sends it a signal, as `kill` does.
    fn signal(&self, name: &str) {
        let id = self.child().id().to_string();
        let kill = format!("kill -{name} {id}");
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success(), "{kill}");
    }

    fn start(&self, mut command: Command) -> Running {
        // The SDK warns of the settings that the tests keep from it.
        command.env("HEALTHTRAIL_LOG", "error");
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let output =
            [read_all(child.stdout.take().unwrap()), read_all(child.stderr.take().unwrap())];
        assert!(self.0.set(Mutex::new(child)).is_ok(), "one victim, one process");
        Running { victim: self.clone(), output }
    }
}

fn read_all(mut pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        drop(pipe.read_to_end(&mut bytes));
        drop(sender.send(String::from_utf8_lossy(&bytes).into_owned()));
    });
    receiver
}

impl Running {
    /// Waits for its end; one that hangs is killed, and the test fails.
    fn end(self) -> Ended {
        let [stdout, stderr] = self.output.map(|output| {
            output.recv_timeout(HANGS).unwrap_or_else(|_| {
                self.victim.kill();
                panic!("the program did not end: {:?}", output.recv())
            })
        });
        let status = self.victim.child().wait().unwrap();
        Ended { code: status.code(), signal: status.signal(), stdout, stderr }
    }
}

impl Ended {
    #[track_caller]
    fn assert_code(&self, code: i32, told: &str) {
        let Self { stdout, stderr, .. } = self;
        assert_eq!(self.code, Some(code), "{told}: {self:?}\n{stdout}{stderr}");
    }
}

fn finish(command: Command) -> Ended {
    Victim::default().start(command).end()
}

impl Task {
    /// What lies in the lake before the command.
    fn before(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Run => None,
            Self::Redrive => Some(&["--document-bytes-max", "2000"]),
            Self::Forget => Some(&[]),
        }
    }

    /// The command, for the lake and archive of this place.
    fn command(self, place: &Place) -> Command {
        let mut command = match self {
            Self::Run => place.run(&[]),
            Self::Redrive => {
                let mut command = command();
                let from = ["--from", &place.archive, "--progress", "none"];
                command.args(["redrive", "--lake", &place.lake]).args(from);
                command.args(["--wave-objects", "2"]);
                command
            }
            Self::Forget => {
                let mut command = command();
                command.args(["forget", "--lake", &place.lake, "--rows", FORGOTTEN]);
                command.args(["--reason", "case 8"]);
                command
            }
        };
        if self != Self::Run {
            place.reach(&mut command);
        }
        command
    }
}

impl Place {
    /// An archive and a lake in a folder of the test.
    fn below(folder: &Path) -> Self {
        let at = |name: &str| text(&folder.join(name)).to_owned();
        Self { archive: at("archive"), lake: at("lake"), options: StoreOptions::default() }
    }

    fn with_lake(&self, lake: impl Into<String>) -> Self {
        Self { lake: lake.into(), ..self.clone() }
    }

    /// By way of this server.
    fn by(&self, endpoint: String) -> Self {
        let mut place = self.clone();
        place.options.s3.endpoint_url = Some(endpoint);
        place
    }

    /// `healthtrail run` in waves of two objects.
    fn run(&self, more: &[&str]) -> Command {
        let mut command = command();
        command.args(["run", "--from", &self.archive, "--to", &self.lake, "--progress", "none"]);
        command.args(["--wave-objects", "2"]).args(more);
        self.reach(&mut command);
        command
    }

    fn reach(&self, command: &mut Command) {
        if let Some(endpoint) = &self.options.s3.endpoint_url {
            command.args(["--endpoint-url", endpoint]);
        }
    }

    async fn open(&self, uri: &str) -> Arc<dyn Store> {
        let options = StoreOptions { create: !uri.starts_with("s3:"), ..self.options.clone() };
        open(uri, &options).await.unwrap()
    }

    /// Fills the archive: four objects on two days, with an event twice, a long one, and a reject.
    async fn fill(&self) {
        self.fill_with(4).await;
    }

    async fn fill_with(&self, objects: u32) {
        let archive = self.open(&self.archive).await;
        for number in 0..objects {
            let day = format!("2026-08-{:02}", 1 + (number / 2) % 28);
            let long = "lorem ipsum ".repeat(200);
            let mut body: String = [number * 10, number * 10 + 1, number.saturating_sub(1) * 10]
                .map(|event| health_event(event, &day, "111122223333"))
                .concat();
            body += &health_event(500 + number, &day, "444455556666").replace("is impaired", &long);
            if number % 2 == 1 {
                body += "no json ";
            }
            put(archive.as_ref(), &key(&day, number % 24, number), body).await;
        }
    }

    /// Makes what the task finds in the lake.
    fn prepare(&self, task: Task) {
        if let Some(more) = task.before() {
            finish(self.run(more)).assert_code(0, "before the task");
        }
    }

    /// The lake as it is, without anything that is left of a killed run.
    async fn lake(&self) -> Lake {
        let store = self.open(&self.lake).await;
        let lake = Lake::of(store.as_ref()).await;
        assert_eq!(keys(store.as_ref(), "_healthtrail/staging/").await, [""; 0], "left behind");
        if !self.lake.starts_with("s3:") {
            let all = files(Path::new(&self.lake));
            let left: Vec<_> = all.iter().filter(|path| text(path).contains(".tmp-")).collect();
            assert!(left.is_empty(), "left behind: {left:?}");
            let staging = Path::new(&self.lake).join("_healthtrail/staging");
            let folders = std::fs::read_dir(staging).map_or(0, Iterator::count);
            assert_eq!(folders, 0, "folders are left behind in the staging");
        }
        lake
    }

    /// The lake is this one, its own program says so, and there is nothing left to do.
    async fn assert_settled(&self, expected: &Lake, told: &str) {
        let found = self.lake().await;
        found.assert_is(expected, told);
        let (archive, lake) = (self.open(&self.archive).await, self.open(&self.lake).await);
        let report = verify(&asked(&archive, &lake)).await.unwrap();
        assert!(report.is_right(), "{told}: {:?}", report.findings);
        let summary = run_job(&failing::options(&archive, &lake)).await.unwrap();
        assert_eq!((summary.objects.read, summary.commits), (0, 0), "{told}");
    }
}

impl Lake {
    async fn of(store: &dyn Store) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (mut visible, mut log) = (BTreeMap::new(), BTreeMap::new());
        for key in keys(store, "").await {
            let is_part = key.starts_with("findings/") || key.starts_with("rejects/");
            if !is_part && !key.starts_with("_healthtrail/log/") {
                continue;
            }
            let bytes = store.get(&key, GetOptions::default()).await.unwrap();
            if is_part {
                write(folder.path(), &key, &bytes);
                visible.insert(key, sha256_hex(&bytes));
            } else {
                log.insert(key, same_for_all(serde_json::from_slice(&bytes).unwrap()));
            }
        }
        assert_unique(folder.path());
        let rows = ["findings", "rejects"].map(|table| rows(folder.path(), table));
        Self { visible, log, rows }
    }

    #[track_caller]
    fn assert_is(&self, expected: &Self, told: &str) {
        assert_eq!(self.visible, expected.visible, "{told}");
        assert_eq!(self.log, expected.log, "{told}");
        assert!(self.rows == expected.rows, "{told}: equal files, other rows");
    }
}

/// A record without what is random, or a time of its own.
fn same_for_all(mut record: Value) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for name in ["run", "commit_id", "started_at", "committed_at", "staged"] {
                    fields.remove(name);
                }
                fields.values_mut().for_each(strip);
            }
            Value::Array(values) => values.iter_mut().for_each(strip),
            _ => {}
        }
    }
    strip(&mut record);
    record
}

/// How many cases a long matrix has, and its seed.
fn asked_for(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Numbers that look random and are the same for the same seed.
struct Seeded(u64);

impl Seeded {
    fn new() -> Self {
        Self(asked_for("ATTACK_SEED", 8))
    }

    /// One of `1..=most`.
    fn up_to(&mut self, most: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % most + 1
    }

    /// So many different ones of `1..=most`.
    fn some(&mut self, count: usize, most: u64) -> Vec<u64> {
        let mut some = std::collections::BTreeSet::new();
        while (some.len() as u64) < most.min(count as u64) {
            some.insert(self.up_to(most));
        }
        some.into_iter().collect()
    }
}

/// A line of a matrix's table; a test that fails shows how far it came.
fn tell(line: impl std::fmt::Display) {
    use std::io::Write as _;
    // The harness catches what `println` says, but for `--nocapture`.
    drop(writeln!(std::io::stdout(), "{line}"));
}
