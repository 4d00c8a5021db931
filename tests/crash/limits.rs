//! A disk that is full, files that may not grow, and memory that the system takes away.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

use super::{Ended, KILLED, Place, finish};
use crate::program::{healthtrail, text};

/// Bytes of blocks that `ulimit -f` counts in.
const BLOCK: u64 = 512;
/// Cgroups of version 1, of memory alone.
const MEMORY_V1: &str = "/sys/fs/cgroup/memory";
/// Cgroups of version 2.
const CGROUPS_V2: &str = "/sys/fs/cgroup";

/// Past the harness, which shows what a test prints only when it fails.
fn say_skipped(said: &Once, why: &str) {
    said.call_once(|| {
        use std::io::Write as _;
        drop(writeln!(std::io::stderr(), "SKIPPED: {why}"));
    });
}

fn sh(script: &str) -> bool {
    Command::new("sh").args(["-c", script]).output().is_ok_and(|output| output.status.success())
}

/// A small file system in memory, gone when it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: PathBuf, kib: u64) -> Option<Self> {
        fs::create_dir_all(&path).unwrap();
        let mounted = sh(&format!("mount -t tmpfs -o size={kib}k tmpfs '{}'", path.display()));
        mounted.then_some(Self(path))
    }

    fn grow(&self, kib: u64) {
        assert!(sh(&format!("mount -o remount,size={kib}k '{}'", self.0.display())));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        sh(&format!("umount '{}'", self.0.display()));
    }
}

/// What is said of a disk that is full: the file, the trouble, and what to do.
fn assert_told(ended: &Ended, lake: &str, trouble: &str, to_do: &str, told: &str) {
    ended.assert_code(1, told);
    for part in [&format!("file://{lake}/"), trouble, to_do] {
        assert!(ended.stderr.contains(part), "{told}: no `{part}` in {}", ended.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_and_a_run_with_room_completes() {
    static SAID: Once = Once::new();
    let folder = tempfile::tempdir().unwrap();
    let place = Place::below(&folder.path().canonicalize().unwrap());
    place.fill().await;
    finish(place.run(&[])).assert_code(0, "undisturbed");
    let expected = place.lake().await;
    let mut full = 0;
    for kib in (4..).step_by(12) {
        let disk = SmallDisk::mount(folder.path().join(format!("disk-{kib}")), kib);
        let Some(disk) = disk else {
            say_skipped(&SAID, "no tmpfs can be mounted here, so no disk is full");
            return;
        };
        let place = place.with_lake(text(&disk.0.canonicalize().unwrap()));
        let told = format!("{kib} KiB");
        let ended = finish(place.run(&[]));
        if ended.code == Some(0) {
            break;
        }
        full += 1;
        assert_told(&ended, &place.lake, "No space left on device", "free some space", &told);
        disk.grow(64 << 10);
        finish(place.run(&[])).assert_code(0, &told);
        place.assert_settled(&expected, &told).await;
    }
    assert!(full > 3, "only {full} disks were too small");
}

/// The command after a line of shell.
fn after(line: &str, inner: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{line}; exec \"$0\" \"$@\"")]);
    shell.arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

/// As `ulimit -f` says; the signal that would end the program is left out.
fn with_files_of(blocks: u64, inner: &Command) -> Command {
    after(&format!("trap '' XFSZ; ulimit -f {blocks}"), inner)
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_may_not_grow_are_said_and_a_run_without_the_limit_completes() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::below(&folder.path().canonicalize().unwrap());
    place.fill().await;
    finish(place.run(&[])).assert_code(0, "undisturbed");
    let expected = place.lake().await;
    let sizes = expected.visible.keys().map(|key| Path::new(&place.lake).join(key));
    let largest = sizes.map(|path| fs::metadata(path).unwrap().len()).max().unwrap();
    for blocks in [0, 1, largest / BLOCK / 2, largest / BLOCK] {
        let place = place.with_lake(text(&folder.path().join(format!("lake-{blocks}"))));
        let told = format!("files of {blocks} blocks");
        let ended = finish(with_files_of(blocks, &place.run(&[])));
        assert_told(&ended, &place.lake, "File too large", "ulimit -f", &told);
        finish(place.run(&[])).assert_code(0, &told);
        place.assert_settled(&expected, &told).await;
    }
}

/// A group of processes that may have only so much memory, gone when it is dropped.
struct MemoryGroup(PathBuf);

impl MemoryGroup {
    fn new(bytes: u64) -> Option<Self> {
        let name = format!("healthtrail-test-{}-{bytes}", std::process::id());
        let (parent, limit) = if Path::new(MEMORY_V1).is_dir() {
            (MEMORY_V1, "memory.limit_in_bytes")
        } else {
            (CGROUPS_V2, "memory.max")
        };
        let group = Self(Path::new(parent).join(name));
        fs::create_dir(&group.0).ok()?;
        // Else what does not fit is swapped out; there may be no swap to forbid.
        drop(fs::write(group.0.join("memory.swap.max"), "0"));
        fs::write(group.0.join(limit), bytes.to_string()).ok()?;
        drop(fs::write(group.0.join("memory.memsw.limit_in_bytes"), bytes.to_string()));
        Some(group)
    }

    fn run(&self, inner: &Command) -> Command {
        let procs = self.0.join("cgroup.procs");
        after(&format!("echo $$ > '{}' || exit 99", procs.display()), inner)
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        drop(fs::remove_dir(&self.0));
    }
}

/// What is shipped is built without the fail points.
#[cfg(not(feature = "failpoints"))]
#[tokio::test(flavor = "multi_thread")]
async fn what_is_shipped_knows_no_fail_points() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::below(folder.path());
    place.fill().await;
    let mut command = place.run(&[]);
    command.env("FAILPOINTS", "run::planned=panic;file::operation=return(kill)");
    command.env("HEALTHTRAIL_FILE_JOURNAL", folder.path().join("journal"));
    finish(command).assert_code(0, "all is as ever");
    assert!(!folder.path().join("journal").exists());
}

/// A run stays under `--memory` and this much, the program itself and what the system keeps for it.
const BESIDE_MEMORY: u64 = 64 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn out_of_memory_is_a_crash_like_any_other() {
    static SAID: Once = Once::new();
    let folder = tempfile::tempdir().unwrap();
    let place = Place::below(folder.path());
    let made = healthtrail(&[
        "generate",
        "--to",
        &place.archive,
        "--objects",
        "12",
        "--events",
        "3000",
        "--days",
        "3",
    ]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let memory = ["--memory", "128MiB"];
    finish(place.run(&memory)).assert_code(0, "undisturbed");
    let expected = place.lake().await;
    let starved = place.with_lake(text(&folder.path().join("starved")));
    let groups = (MemoryGroup::new(24 << 20), MemoryGroup::new((128 << 20) + BESIDE_MEMORY));
    let (Some(small), Some(large)) = groups else {
        say_skipped(&SAID, "no cgroup with a limit of memory can be made here");
        return;
    };
    let ended = finish(small.run(&starved.run(&memory)));
    assert_eq!(ended.signal, Some(KILLED), "{ended:?}");
    finish(large.run(&starved.run(&memory))).assert_code(0, "enough");
    starved.assert_settled(&expected, "out of memory").await;
}
