//! Losses of power: the changes that runs made on disk are played back up to any moment, what was not synced
//! by then is dropped, and a run on what is left must end in the lake of an undisturbed run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::on_disk::at_change;
use super::{KILLED, Lake, Place, Seeded, asked_for, finish, tell};

/// A change as the program noted it down.
struct Change {
    step: String,
    path: PathBuf,
    to: Option<PathBuf>,
    data: Vec<u8>,
}

/// What survives of that which was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Survives {
    /// Nothing.
    Nothing,
    /// All names, and no bytes: files are there and empty.
    Names,
    /// Some names, and some of the bytes.
    Some(u64),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Node {
    File(usize),
    Folder(usize),
}

#[derive(Default, Clone)]
struct Bytes {
    written: Vec<u8>,
    synced: Vec<u8>,
}

type Names = BTreeMap<String, Node>;

#[derive(Default, Clone)]
struct Folder {
    now: Names,
    synced: Names,
}

/// A disk with one lake: what is there, and what of it is durable.
struct Disk {
    files: Vec<Bytes>,
    /// The first one is the lake itself.
    folders: Vec<Folder>,
    root: PathBuf,
}

impl Disk {
    fn new(root: &Path) -> Self {
        Self { files: Vec::new(), folders: vec![Folder::default()], root: root.to_owned() }
    }

    /// The steps below the lake; `None` outside of it.
    fn steps(&self, path: &Path) -> Option<Vec<String>> {
        let below = path.strip_prefix(&self.root).ok()?;
        Some(below.iter().map(|step| step.to_str().unwrap().to_owned()).collect())
    }

    fn folder(&self, steps: &[String]) -> usize {
        steps.iter().fold(0, |folder, step| match self.folders[folder].now[step] {
            Node::Folder(next) => next,
            Node::File(_) => panic!("{steps:?} leads through a file"),
        })
    }

    fn names(&mut self, steps: &[String]) -> (&mut Names, String) {
        let (name, above) = steps.split_last().unwrap();
        let folder = self.folder(above);
        (&mut self.folders[folder].now, name.clone())
    }

    fn file(&mut self, steps: &[String]) -> usize {
        let (names, name) = self.names(steps);
        match names[&name] {
            Node::File(file) => file,
            Node::Folder(_) => panic!("{steps:?} is a folder"),
        }
    }

    fn play(&mut self, change: &Change) {
        let Some(steps) = self.steps(&change.path) else { return };
        let next = Node::File(self.files.len());
        match change.step.as_str() {
            "create" => {
                let (names, name) = self.names(&steps);
                names.insert(name, next);
                self.files.push(Bytes::default());
            }
            "write" => {
                let file = self.file(&steps);
                self.files[file].written.extend(&change.data);
            }
            "sync" => {
                let file = self.file(&steps);
                let Bytes { written, synced } = &mut self.files[file];
                synced.clone_from(written);
            }
            "link" | "rename" => {
                let node = Node::File(self.file(&steps));
                if change.step == "rename" {
                    let (names, name) = self.names(&steps);
                    names.remove(&name);
                }
                let to = self.steps(change.to.as_ref().unwrap()).unwrap();
                let (names, name) = self.names(&to);
                names.insert(name, node);
            }
            "make_folder" => {
                if steps.is_empty() {
                    return;
                }
                let folder = Node::Folder(self.folders.len());
                let (names, name) = self.names(&steps);
                names.insert(name, folder);
                self.folders.push(Folder::default());
            }
            "remove" | "remove_folder" => {
                let (names, name) = self.names(&steps);
                names.remove(&name).unwrap();
            }
            "sync_folder" => {
                let folder = self.folder(&steps);
                self.folders[folder].synced = self.folders[folder].now.clone();
            }
            other => panic!("no change is called {other}"),
        }
    }

    /// Would a loss of power now leave a visible file and no record of it?
    fn tells_without_a_record(&self) -> bool {
        let below = |folder: usize, name: &str| match self.folders[folder].synced.get(name) {
            Some(Node::Folder(below)) => Some(*below),
            _ => None,
        };
        let has_file = |folder: usize| {
            let files = |node: &Node| matches!(node, Node::File(_));
            self.folders[folder].synced.values().any(files)
        };
        let partitions = ["findings", "rejects"].into_iter().filter_map(|table| below(0, table));
        let mut partitions = partitions.flat_map(|table| {
            let names = self.folders[table].synced.keys();
            names.filter_map(move |name| below(table, name))
        });
        let log = below(0, "_healthtrail").and_then(|state| below(state, "log"));
        partitions.any(has_file) && !log.is_some_and(has_file)
    }

    /// Writes to `target` what a loss of power now would leave.
    fn lose_power(&self, survives: Survives, target: &Path) {
        let seed = if let Survives::Some(seed) = survives { seed } else { 0 };
        self.write_folder(0, survives, &mut Seeded(seed), target);
    }

    fn write_folder(&self, folder: usize, survives: Survives, seeded: &mut Seeded, target: &Path) {
        std::fs::create_dir_all(target).unwrap();
        let Folder { now, synced } = &self.folders[folder];
        let mut names: Vec<&String> = now.keys().chain(synced.keys()).collect();
        names.sort();
        names.dedup();
        for name in names {
            let is_new = match survives {
                Survives::Nothing => false,
                Survives::Names => true,
                Survives::Some(_) => seeded.up_to(2) == 1,
            };
            let node = if is_new { now.get(name) } else { synced.get(name) };
            match node {
                None => {}
                Some(Node::Folder(folder)) => {
                    self.write_folder(*folder, survives, seeded, &target.join(name));
                }
                Some(Node::File(file)) => {
                    let Bytes { written, synced } = &self.files[*file];
                    let bytes = match survives {
                        Survives::Some(_) if seeded.up_to(2) == 1 => {
                            &written[..synced.len() + (written.len() - synced.len()) / 2]
                        }
                        _ => synced,
                    };
                    std::fs::write(target.join(name), bytes).unwrap();
                }
            }
        }
    }
}

/// An archive, the lake that an undisturbed run makes, and the changes that it made.
struct Matrix {
    folder: tempfile::TempDir,
    place: Place,
    expected: Lake,
}

impl Matrix {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::below(folder.path());
        place.fill().await;
        finish(place.run(&[])).assert_code(0, "undisturbed");
        let expected = place.lake().await;
        Self { folder, place, expected }
    }

    fn noted(&self, name: &str) -> (Place, PathBuf) {
        let root = self.folder.path().canonicalize().unwrap();
        let place = self.place.with_lake(root.join(name).to_str().unwrap());
        (place, root.join(format!("{name}-journal")))
    }

    fn noting(command: &mut Command, journal: &Path) {
        command.env("HEALTHTRAIL_FILE_JOURNAL", journal);
    }

    /// What an undisturbed run changes.
    fn undisturbed(&self) -> (Place, Vec<Change>) {
        let (place, journal) = self.noted("undisturbed");
        let mut command = place.run(&[]);
        Self::noting(&mut command, &journal);
        finish(command).assert_code(0, "noted down");
        (place, changes(&journal))
    }

    /// What two runs change, the first of which `kill` has killed at some change; and where the second begins.
    fn killed(&self, told: &str, kill: impl Fn(&mut Command)) -> (Place, Vec<Change>, usize) {
        let (place, journal) = self.noted("killed");
        let mut command = place.run(&[]);
        Self::noting(&mut command, &journal);
        kill(&mut command);
        assert_eq!(finish(command).signal, Some(KILLED), "{told}");
        let first = changes(&journal).len();
        let mut command = place.run(&[]);
        Self::noting(&mut command, &journal);
        finish(command).assert_code(0, "run again");
        (place, changes(&journal), first)
    }

    /// Makes room for the next that is killed.
    fn clear_killed(&self, place: &Place) {
        std::fs::remove_dir_all(&place.lake).unwrap();
        std::fs::remove_dir_all(self.noted("killed").1).unwrap();
    }

    /// Loses power after so many changes, and runs again on what is left.
    async fn case(&self, lake: &str, changes: &[Change], count: usize, survives: Survives) {
        let told = format!("{lake}: power lost after change {count}, {survives:?} survives");
        let mut disk = Disk::new(Path::new(lake));
        changes[..count].iter().for_each(|change| disk.play(change));
        let left = self.folder.path().join("left");
        disk.lose_power(survives, &left);
        let place = self.place.with_lake(left.to_str().unwrap());
        if count == changes.len() {
            // The program had ended and said what it had done: all of it is there.
            let lake = Lake::of(place.open(&place.lake).await.as_ref()).await;
            lake.assert_is(&self.expected, &told);
        }
        finish(place.run(&[])).assert_code(0, &told);
        place.assert_settled(&self.expected, &told).await;
        std::fs::remove_dir_all(&left).unwrap();
    }
}

fn changes(journal: &Path) -> Vec<Change> {
    let text = std::fs::read_to_string(journal.join("journal")).unwrap();
    let read = |(number, line): (usize, &str)| {
        let line: Value = serde_json::from_str(line).unwrap();
        let path = |name: &str| line[name].as_str().map(PathBuf::from);
        Change {
            step: line["step"].as_str().unwrap().to_owned(),
            path: path("path").unwrap(),
            to: path("to"),
            data: std::fs::read(journal.join(format!("{number}.data"))).unwrap_or_default(),
        }
    };
    text.lines().enumerate().map(read).collect()
}

fn all_ways(seed: u64) -> [Survives; 3] {
    [Survives::Nothing, Survives::Names, Survives::Some(seed)]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_loss_of_power_leaves_is_completed_by_the_next_run() {
    let matrix = Matrix::new().await;
    let (place, changes) = matrix.undisturbed();
    for survives in all_ways(1) {
        matrix.case(&place.lake, &changes, changes.len(), survives).await;
    }
    let mut seeded = Seeded::new();
    for count in seeded.some(12, changes.len() as u64) {
        let survives = all_ways(count)[usize::try_from(count % 3).unwrap()];
        matrix.case(&place.lake, &changes, usize::try_from(count).unwrap(), survives).await;
    }
}

/// A run took for durable what a killed run had done and not synced: a folder, a visible file, a record,
/// a done mark. With power lost after it had ended well, they were gone, though the log said that they were there; with
/// power lost before, files were visible of which no record told.
#[tokio::test(flavor = "multi_thread")]
async fn r023_what_a_killed_run_had_not_synced_is_made_durable_by_the_next() {
    let matrix = Matrix::new().await;
    // A name that appears is synced by the next change: a kill in between leaves it at risk.
    for last in [
        "make_folder /findings/dt=",
        "make_folder /rejects/dt=",
        "make_folder /_healthtrail/log",
        "link /findings/dt=",
        "link /rejects/dt=",
        "link /_healthtrail/log/0000000001.json",
        // The last change that matters: nothing is left to do for the next run.
        "link /_healthtrail/log/0000000002.done",
    ] {
        let (place, changes, first) = matrix.killed(last, |command| {
            command.env("HEALTHTRAIL_FILE_JOURNAL_KILL", last);
        });
        matrix.case(&place.lake, &changes, changes.len(), Survives::Nothing).await;
        let mut disk = Disk::new(Path::new(&place.lake));
        for (count, change) in changes.iter().enumerate() {
            disk.play(change);
            assert!(
                count < first || !disk.tells_without_a_record(),
                "killed after {last}: power lost after change {count} takes the record of what is visible"
            );
        }
        matrix.clear_killed(&place);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: tests/attack crash"]
async fn every_moment_of_an_undisturbed_run() {
    let matrix = Matrix::new().await;
    let (place, changes) = matrix.undisturbed();
    for count in 0..=changes.len() {
        for survives in all_ways(count as u64) {
            matrix.case(&place.lake, &changes, count, survives).await;
        }
    }
    tell(format_args!("power lost after each of {} changes, in three ways: right", changes.len()));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: tests/attack crash"]
async fn power_lost_after_a_crash() {
    let matrix = Matrix::new().await;
    let mut seeded = Seeded::new();
    let (_, undisturbed) = matrix.undisturbed();
    let mut cases = 0;
    for nth in 1..=asked_for("ATTACK_CASES", undisturbed.len() as u64) {
        let (place, changes, first) = matrix.killed(&format!("change {nth}"), |command| {
            command.env("FAILPOINTS", at_change(nth));
        });
        matrix.case(&place.lake, &changes, changes.len(), Survives::Nothing).await;
        let later = (changes.len() - first) as u64;
        for count in seeded.some(2, later) {
            let survives = all_ways(count)[usize::try_from(count % 3).unwrap()];
            let count = first + usize::try_from(count).unwrap();
            matrix.case(&place.lake, &changes, count, survives).await;
            cases += 1;
        }
        cases += 1;
        matrix.clear_killed(&place);
    }
    tell(format_args!("power lost in {cases} ways after a crash: right"));
}

/// What the program asked of the system, by `strace`: the name of each change and its last path.
fn traced(trace: &str, root: &str) -> Vec<(String, String)> {
    let mut open: BTreeMap<&str, String> = BTreeMap::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let (id, call) = line.split_once(char::is_whitespace).unwrap();
        let call = call.trim_start();
        if let Some(begun) = call.strip_suffix(" <unfinished ...>") {
            open.insert(id, begun.to_owned());
            continue;
        }
        let call = match call.split_once(" resumed>") {
            Some((_, rest)) => open.remove(id).unwrap() + rest,
            None => call.to_owned(),
        };
        if !call.trim_end().ends_with("= 0") {
            continue;
        }
        // `fsync(7</lake/log>)`, `linkat(AT_FDCWD, "/from", AT_FDCWD, "/to", 0)`, `mkdir("/lake", 0777)`
        let (name, rest) = call.split_once('(').unwrap();
        let quoted = rest.split(['"', '<', '>']).rfind(|part| part.starts_with('/'));
        let name = name.trim_end_matches("at2").trim_end_matches("at");
        let path = quoted.unwrap_or_default();
        if Path::new(path).starts_with(root) {
            calls.push((name.to_owned(), path.to_owned()));
        }
    }
    calls
}

/// The journal says what it was asked to note; this is what the system was asked to do.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs strace: tests/attack crash"]
async fn the_changes_that_are_noted_down_are_those_of_the_system() {
    let matrix = Matrix::new().await;
    let (place, journal) = matrix.noted("traced");
    let trace = matrix.folder.path().join("trace");
    let mut command = Command::new("strace");
    let calls = "trace=?fsync,?link,?linkat,?rename,?renameat,?renameat2,?mkdir,?mkdirat,?unlink,\
                 ?unlinkat,?rmdir";
    command.args(["-f", "-y", "-qq", "-s", "4096", "-e", calls, "-o", trace.to_str().unwrap()]);
    let inner = place.run(&[]);
    command.arg(inner.get_program()).args(inner.get_args());
    Matrix::noting(&mut command, &journal);
    if Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).output().is_err() {
        tell("SKIPPED: there is no strace here");
        return;
    }
    finish(command).assert_code(0, "traced");
    let name = |step: &str| match step {
        "sync" | "sync_folder" => Some("fsync"),
        "make_folder" => Some("mkdir"),
        "remove" => Some("unlink"),
        "remove_folder" => Some("rmdir"),
        "link" => Some("link"),
        "rename" => Some("rename"),
        _ => None,
    };
    let noted: Vec<(String, String)> = changes(&journal)
        .into_iter()
        .filter_map(|change| {
            let path = change.to.unwrap_or(change.path);
            Some((name(&change.step)?.to_owned(), path.to_str()?.to_owned()))
        })
        .filter(|(_, path)| Path::new(path).starts_with(&place.lake))
        .collect();
    let trace = std::fs::read_to_string(trace).unwrap();
    assert_eq!(traced(&trace, &place.lake), noted);
    tell(format_args!("{} changes are as the system saw them", noted.len()));
}
