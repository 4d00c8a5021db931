//! Every fail point: killed there, broken there by a panic, stopped there by a signal, and run again.

use std::process::Command;

use healthtrail::store::FailPoint;

use super::{Ended, KILLED, Lake, Place, Task, finish, tell};

/// Commits after which a checkpoint is written.
const CHECKPOINT: u32 = 16;

struct Points {
    folder: tempfile::TempDir,
    place: Place,
    expected: Lake,
    lakes: u32,
}

impl Points {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::below(folder.path());
        place.fill().await;
        finish(place.run(&[])).assert_code(0, "undisturbed");
        let expected = place.lake().await;
        Self { folder, place, expected, lakes: 0 }
    }

    fn lake(&mut self) -> Place {
        self.lakes += 1;
        let name = format!("lake-{}", self.lakes);
        self.place.with_lake(self.folder.path().join(name).to_str().unwrap())
    }

    async fn assert_settled(&self, place: &Place, told: &str) {
        finish(place.run(&[])).assert_code(0, told);
        place.assert_settled(&self.expected, told).await;
    }
}

fn at(mut command: Command, point: FailPoint, action: &str) -> Ended {
    command.env("FAILPOINTS", format!("{}={action}", point.name()));
    finish(command)
}

/// Each wave reaches them; the checkpoint has a test of its own.
fn points() -> impl Iterator<Item = FailPoint> {
    FailPoint::ALL.into_iter().filter(|point| *point != FailPoint::Checkpointed)
}

/// Whether a run reaches it more than once.
fn is_reached_again(point: FailPoint) -> bool {
    !matches!(point, FailPoint::Opened | FailPoint::Listed | FailPoint::Planned | FailPoint::Swept)
}

/// Whether a commit is under way there.
fn is_in_a_commit(point: FailPoint) -> bool {
    matches!(
        point,
        FailPoint::BeforeRecord
            | FailPoint::Recorded
            | FailPoint::Withdrawn
            | FailPoint::Copied
            | FailPoint::BeforeUnstage
            | FailPoint::Unstaged
            | FailPoint::Done
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_killed_at_a_step_is_completed_or_forgotten_by_the_next() {
    let mut points_of = Points::new().await;
    for point in points() {
        for action in ["return(kill)", "1*off->return(kill)"] {
            if action.starts_with('1') && !is_reached_again(point) {
                continue;
            }
            let place = points_of.lake();
            let told = format!("{} {action}", point.name());
            let ended = at(place.run(&[]), point, action);
            assert_eq!(ended.signal, Some(KILLED), "{told}: {ended:?}");
            points_of.assert_settled(&place, &told).await;
            tell(format_args!("{told}: right"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_killed_after_a_checkpoint_goes_on_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::below(folder.path());
    place.fill_with(CHECKPOINT).await;
    let waves = ["--wave-objects", "1"];
    let killed = place.with_lake(folder.path().join("killed").to_str().unwrap());
    let run = |place: &Place| {
        let mut command = crate::program::command();
        command.args(["run", "--from", &place.archive, "--to", &place.lake]);
        command.args(["--progress", "none"]).args(waves);
        command
    };
    finish(run(&place)).assert_code(0, "undisturbed");
    let ended = at(run(&killed), FailPoint::Checkpointed, "return(kill)");
    assert_eq!(ended.signal, Some(KILLED), "{ended:?}");
    finish(run(&killed)).assert_code(0, "run again");
    killed.assert_settled(&place.lake().await, "killed after a checkpoint").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_anywhere_ends_the_run_with_a_message_and_harms_nothing() {
    let mut points_of = Points::new().await;
    for point in points() {
        let place = points_of.lake();
        let told = format!("{} panics", point.name());
        let ended = at(place.run(&[]), point, "panic");
        ended.assert_code(1, &told);
        assert!(ended.stderr.contains("error: panicked at "), "{told}: {}", ended.stderr);
        let told_of = ended.stderr.contains(", which is a defect of healthtrail");
        assert!(told_of, "{told}: {}", ended.stderr);
        let names_object = ended.stderr.contains("panicked at `file://");
        assert_eq!(names_object, point == FailPoint::Reading, "{told}: {}", ended.stderr);
        points_of.assert_settled(&place, &told).await;
    }
}

/// A panic in a task that fetches an object closed the queue of results, which the run took for the end of
/// its plan: it ended well, with exit code 0, and had read nothing.
#[tokio::test(flavor = "multi_thread")]
async fn r024_a_panic_while_an_object_is_fetched_is_not_the_end_of_the_plan() {
    let points_of = Points::new().await;
    let place = points_of.place.with_lake(format!("{}-r024", points_of.place.lake));
    let ended = at(place.run(&[]), FailPoint::Fetching, "2*off->panic");
    ended.assert_code(1, "two of four objects are fetched");
    let said = "fetching objects panicked, which is a defect of healthtrail";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
    points_of.assert_settled(&place, "run again").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_that_writes_finishes_its_commit_at_a_signal() {
    for task in [Task::Redrive, Task::Forget] {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::below(folder.path());
        place.fill().await;
        place.prepare(task);
        let before = place.lake().await.log.len();
        let ended = at(task.command(&place), FailPoint::BeforeRecord, "1*return(term)");
        ended.assert_code(1, &format!("{task:?}"));
        let said = "error: stopped by SIGTERM: 1 commit was made and is whole";
        assert!(ended.stderr.starts_with(said), "{task:?}: {}", ended.stderr);
        assert_eq!(
            place.lake().await.log.len(),
            before + 2,
            "{task:?}: a record and its done mark"
        );
        finish(task.command(&place)).assert_code(0, "again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_at_a_step_gives_the_wave_up_or_finishes_its_commit() {
    let mut points_of = Points::new().await;
    // Where all threads of the runtime fetch, and wait for the signal, none is left to see it.
    for point in points().filter(|point| *point != FailPoint::Fetching) {
        let place = points_of.lake();
        let (action, signal) = match point {
            FailPoint::Listed | FailPoint::Copied => ("1*return(int)", "SIGINT"),
            _ => ("1*return(term)", "SIGTERM"),
        };
        let told = format!("{signal} at {}", point.name());
        let ended = at(place.run(&[]), point, action);
        if point == FailPoint::Swept && ended.code == Some(0) {
            // Nothing was left to do.
        } else {
            ended.assert_code(1, &told);
            let message = format!("error: stopped by {signal}: ");
            assert!(ended.stderr.starts_with(&message), "{told}: {}", ended.stderr);
            assert_eq!(ended.stderr.lines().count(), 1, "{told}: {}", ended.stderr);
            let commits = match point {
                FailPoint::Folded => "1 commit was made and is whole",
                FailPoint::Swept => "2 commits were made and are whole",
                point if is_in_a_commit(point) => "1 commit was made and is whole",
                _ => "nothing was committed",
            };
            assert!(ended.stderr.contains(commits), "{told}: {}", ended.stderr);
            let log = std::path::Path::new(&place.lake).join("_healthtrail/log");
            let names = std::fs::read_dir(log).map_or(0, Iterator::count);
            assert_eq!(names % 2, 0, "{told}: a record without its done mark");
        }
        points_of.assert_settled(&place, &told).await;
        tell(format_args!("{told}: right"));
    }
}
