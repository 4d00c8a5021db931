//! SIGKILL at every change of a file or folder that a command makes in a lake on disk.

use std::path::Path;
use std::process::Command;

use super::{Ended, KILLED, Lake, Place, Seeded, Task, asked_for, finish, tell};
use crate::program::files;

/// A lake on disk, and what the task makes of it undisturbed.
struct Matrix {
    folder: tempfile::TempDir,
    place: Place,
    task: Task,
    expected: Lake,
    /// How many changes it made.
    changes: u64,
    lakes: u64,
}

/// `FAILPOINTS` for the `nth` change.
pub(super) fn at_change(nth: u64) -> String {
    match nth - 1 {
        0 => "file::operation=return(kill)".to_owned(),
        before => format!("file::operation={before}*off->return(kill)"),
    }
}

impl Matrix {
    async fn new(task: Task) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::below(folder.path());
        place.fill().await;
        place.prepare(task);
        let journal = folder.path().join("journal");
        let mut command = task.command(&place);
        command.env("HEALTHTRAIL_FILE_JOURNAL", &journal);
        finish(command).assert_code(0, "undisturbed");
        let changes =
            std::fs::read_to_string(journal.join("journal")).unwrap().lines().count() as u64;
        tell(format_args!("{task:?}: {changes} changes undisturbed"));
        let expected = place.lake().await;
        assert!(expected.rows.iter().all(|rows| !rows.is_empty()));
        Self { folder, place, task, expected, changes, lakes: 0 }
    }

    fn lake(&mut self) -> Place {
        self.lakes += 1;
        let name = format!("lake-{}", self.lakes);
        let place = self.place.with_lake(self.folder.path().join(name).to_str().unwrap());
        place.prepare(self.task);
        place
    }

    /// Killed at each of these changes in turn, then run to its end; whether all of them came.
    async fn case(&mut self, kills: &[u64]) -> bool {
        let place = self.lake();
        let (mut told, mut all) = (format!("{:?}", self.task), true);
        for nth in kills {
            let ended = killed_at(self.task.command(&place), *nth);
            told = format!("{told}, killed at change {nth}");
            if ended.signal != Some(KILLED) {
                ended.assert_code(0, &told);
                told += " (it was done before)";
                all = false;
            }
        }
        finish(self.task.command(&place)).assert_code(0, &told);
        place.assert_settled(&self.expected, &told).await;
        std::fs::remove_dir_all(&place.lake).unwrap();
        tell(format_args!("{told}: right"));
        all
    }
}

fn killed_at(mut command: Command, nth: u64) -> Ended {
    command.env("FAILPOINTS", at_change(nth));
    finish(command)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_killed_at_a_change_on_disk_is_completed_or_forgotten_by_the_next() {
    let mut matrix = Matrix::new(Task::Run).await;
    let mut seeded = Seeded::new();
    for nth in seeded.some(12, matrix.changes) {
        assert!(matrix.case(&[nth]).await, "a run makes more changes");
    }
    for _ in 0..8 {
        let pair = [seeded.up_to(matrix.changes), seeded.up_to(matrix.changes)];
        matrix.case(&pair).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_or_forget_that_is_killed_on_disk_is_completed_by_the_same_again() {
    for task in [Task::Redrive, Task::Forget] {
        let mut matrix = Matrix::new(task).await;
        for nth in Seeded::new().some(5, matrix.changes) {
            matrix.case(&[nth]).await;
        }
    }
}

/// What a killed run had begun to write stayed on disk for good: no listing shows temporary files, so
/// nothing ever deleted them.
#[tokio::test(flavor = "multi_thread")]
async fn r022_what_a_killed_run_left_unfinished_goes_away() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::below(folder.path());
    place.fill().await;
    let unfinished = |lake: &str| -> usize {
        let all = files(Path::new(lake));
        all.iter().filter(|path| path.to_str().unwrap().contains(".tmp-")).count()
    };
    let mut most = 0;
    for nth in 12..30 {
        killed_at(place.run(&[]), nth);
        most = most.max(unfinished(&place.lake));
    }
    assert!(most > 0, "no run was killed while it wrote a file");
    finish(place.run(&[])).assert_code(0, "to its end");
    assert_eq!(unfinished(&place.lake), 0);
    place.lake().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: tests/attack crash"]
async fn every_change_of_every_task() {
    for task in [Task::Run, Task::Redrive, Task::Forget] {
        let mut matrix = Matrix::new(task).await;
        let mut nth = 1;
        while matrix.case(&[nth]).await {
            nth += 1;
        }
        assert!(nth > matrix.changes, "{task:?} makes {nth} changes");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: tests/attack crash"]
async fn crashes_within_the_recovery() {
    let mut matrix = Matrix::new(Task::Run).await;
    let mut seeded = Seeded::new();
    for _ in 0..asked_for("ATTACK_CASES", 200) {
        let pair = [seeded.up_to(matrix.changes), seeded.up_to(matrix.changes)];
        matrix.case(&pair).await;
    }
}
