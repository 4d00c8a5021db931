//! Points at which tests end, break or stop the program. Without the feature `failpoints`, as in all
//! that is shipped, [`reach`] is empty and nothing of them is left.
//!
//! In: the variable `FAILPOINTS`, as the crate `fail` reads it: `commit::recorded=return(kill)`, or
//! `file::operation=12*off->return(kill)` for the thirteenth one. Out: nothing, or what was asked
//! for: `panic`; `return(kill)`, the process ends by SIGKILL; `return(term)` and `return(int)`, that
//! signal reaches the process before the point is left. What is asked for wrongly is a panic.

/// Every point, in the order in which a run reaches them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailPoint {
    /// The lake has its settings, new or old.
    Opened,
    /// An archive was listed to its end.
    Listed,
    /// What is to be read is known.
    Planned,
    /// On the runtime's thread that fetches an object.
    Fetching,
    /// On a rayon thread that reads objects.
    Reading,
    /// On a rayon thread that encodes a part.
    Encoding,
    /// A part lies in the staging.
    PartStaged,
    /// A record is to be created now.
    BeforeRecord,
    /// A record is in the log.
    Recorded,
    /// The files that a record withdraws are gone.
    Withdrawn,
    /// A file lies at its final key.
    Copied,
    /// All files of a commit are visible, and its staging is still there.
    BeforeUnstage,
    /// The staging of a commit is gone, and it is not marked done.
    Unstaged,
    /// A commit is marked done.
    Done,
    /// A commit is folded into the ledger.
    Folded,
    /// A checkpoint is written, and old ones are still there.
    Checkpointed,
    /// What was staged and never recorded is gone.
    Swept,
    /// A change of a folder or file is made next, in a lake that is a folder.
    FileOperation,
}

impl FailPoint {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Opened,
        Self::Listed,
        Self::Planned,
        Self::Fetching,
        Self::Reading,
        Self::Encoding,
        Self::PartStaged,
        Self::BeforeRecord,
        Self::Recorded,
        Self::Withdrawn,
        Self::Copied,
        Self::BeforeUnstage,
        Self::Unstaged,
        Self::Done,
        Self::Folded,
        Self::Checkpointed,
        Self::Swept,
        Self::FileOperation,
    ];

    /// Its name in `FAILPOINTS`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opened => "lake::opened",
            Self::Listed => "archive::listed",
            Self::Planned => "run::planned",
            Self::Fetching => "object::fetching",
            Self::Reading => "object::reading",
            Self::Encoding => "part::encoding",
            Self::PartStaged => "part::staged",
            Self::BeforeRecord => "commit::before_record",
            Self::Recorded => "commit::recorded",
            Self::Withdrawn => "commit::withdrawn",
            Self::Copied => "commit::copied",
            Self::BeforeUnstage => "commit::before_unstage",
            Self::Unstaged => "commit::unstaged",
            Self::Done => "commit::done",
            Self::Folded => "ledger::folded",
            Self::Checkpointed => "ledger::checkpointed",
            Self::Swept => "staging::swept",
            Self::FileOperation => "file::operation",
        }
    }
}

#[cfg(feature = "failpoints")]
pub(crate) use armed::{arm, kill, reach, stop_was_asked_for};

/// Nothing, in all that is shipped.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub(crate) fn reach(_: FailPoint) {}

/// Nothing, in all that is shipped.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub(crate) fn arm() {}

/// Nothing, in all that is shipped.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub(crate) fn stop_was_asked_for() {}

#[cfg(feature = "failpoints")]
mod armed {
    use std::process::Command;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};

    use super::FailPoint;

    static STOP_WAS_ASKED_FOR: AtomicBool = AtomicBool::new(false);
    /// How long a signal may take to reach the program that sent it to itself.
    const SIGNAL: Duration = Duration::from_secs(30);

    /// Takes what `FAILPOINTS` asks for, for as long as the program runs.
    pub(crate) fn arm() {
        std::mem::forget(fail::FailScenario::setup());
    }

    /// A point is reached.
    pub(crate) fn reach(point: FailPoint) {
        fail::eval(point.name(), |action| match action.as_deref() {
            Some("kill") => kill(),
            Some("term") => signal("TERM"),
            Some("int") => signal("INT"),
            action => panic!("the fail point `{}` knows no `{action:?}`", point.name()),
        });
    }

    /// The program has seen a signal.
    pub(crate) fn stop_was_asked_for() {
        STOP_WAS_ASKED_FOR.store(true, Ordering::SeqCst);
    }

    /// SIGKILL, which nothing can be done about.
    pub(crate) fn kill() {
        send("KILL");
        loop {
            std::thread::park();
        }
    }

    fn signal(name: &str) {
        send(name);
        let begun = Instant::now();
        while !STOP_WAS_ASKED_FOR.load(Ordering::SeqCst) {
            assert!(begun.elapsed() < SIGNAL, "SIG{name} did not reach the program");
            std::thread::yield_now();
        }
    }

    /// The shell's own `kill`, for there is no safe call of it here.
    fn send(name: &str) {
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} $PPID")]).status();
        assert!(sent.as_ref().is_ok_and(std::process::ExitStatus::success), "kill: {sent:?}");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::FailPoint;

    #[test]
    fn each_point_has_a_name_of_its_own() {
        let names: BTreeSet<&str> = FailPoint::ALL.into_iter().map(FailPoint::name).collect();
        assert_eq!(names.len(), FailPoint::ALL.len());
    }
}
