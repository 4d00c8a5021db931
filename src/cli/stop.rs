//! How a command ends before its time: by SIGTERM, SIGINT (Ctrl-C), or a panic.
//!
//! In: a command's future. Out: what came of it, or an error that says how far it was. The first signal
//! gives up what is under way, unless that is a commit: this one is finished, which is short. Whoever
//! cannot end within [`GRACE`], and whoever gets a second signal, ends at once, as if it were killed; that
//! is safe at any moment, since the next run completes or forgets what was left. No lock is held.

use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use futures::FutureExt as _;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::{Outcome, printer};
use crate::job::panics::{self, Panic};
use crate::lake::under_way::Commits;
use crate::store::fail_point;

/// How long a command may take to end after a signal. Container runtimes kill after ten seconds.
const GRACE: Duration = Duration::from_secs(8);

/// A runtime whose work ends at a signal.
#[derive(Debug)]
pub(super) struct Stoppable {
    runtime: Runtime,
    /// The command changes nothing, or nothing that a later command would not.
    only_reads: bool,
}

/// How the work ended.
enum Ended {
    Ran(Result<anyhow::Result<Outcome>, Panic>),
    Stopped(&'static str),
}

impl Stoppable {
    /// The work of a command that changes something unless it `only_reads`.
    pub(super) fn new(runtime: Runtime, only_reads: bool) -> Self {
        Self { runtime, only_reads }
    }

    /// Runs the command to its end, or to a signal.
    pub(super) fn block_on(
        self,
        work: impl Future<Output = anyhow::Result<Outcome>>,
    ) -> anyhow::Result<Outcome> {
        let commits = Commits::new();
        let (asked, mut stop) = watch::channel(None);
        let signals = {
            let _inside = self.runtime.enter();
            Signals::listen()?
        };
        self.runtime.spawn(end_when_asked(signals, asked, Arc::clone(&commits), self.only_reads));
        let work = Box::pin(AssertUnwindSafe(commits.watch(work)).catch_unwind());
        let ended = self.runtime.block_on(async {
            tokio::select! {
                biased;
                signal = may_stop(&mut stop, &commits) => Ended::Stopped(signal),
                ran = work => Ended::Ran(ran),
            }
        });
        let error = match ended {
            Ended::Ran(Ok(outcome)) => return outcome,
            Ended::Ran(Err(panic)) => panics::error("the program", &panic),
            Ended::Stopped(signal) => anyhow!(said(signal, &commits, self.only_reads)),
        };
        // Its threads may be at work still, and need not be waited for: the process ends.
        std::mem::forget(self.runtime);
        Err(error)
    }
}

/// Waits for a signal, and then until no commit is under way.
async fn may_stop(
    stop: &mut watch::Receiver<Option<&'static str>>,
    commits: &Commits,
) -> &'static str {
    let signal = stop.wait_for(Option::is_some).await.ok().and_then(|signal| *signal);
    let Some(signal) = signal else { return std::future::pending().await };
    commits.settled().await;
    signal
}

/// Passes the first signal on; a second one, or that nothing came of the first, ends the program.
async fn end_when_asked(
    mut signals: Signals,
    asked: watch::Sender<Option<&'static str>>,
    commits: Arc<Commits>,
    only_reads: bool,
) {
    let signal = signals.next().await;
    asked.send_replace(Some(signal));
    fail_point::stop_was_asked_for();
    tokio::select! {
        _ = signals.next() => {}
        () = tokio::time::sleep(GRACE) => {}
    }
    printer::error(&anyhow!(said(signal, &commits, only_reads)));
    #[expect(clippy::exit, reason = "the command does not end by itself")]
    std::process::exit(1);
}

/// What a signal ended, and what to do.
fn said(signal: &str, commits: &Commits, only_reads: bool) -> String {
    if only_reads {
        return format!("stopped by {signal}; nothing was changed");
    }
    let made = match commits.made() {
        0 => "nothing was committed".to_owned(),
        1 => "1 commit was made and is whole".to_owned(),
        made => format!("{made} commits were made and are whole"),
    };
    match commits.under_way() {
        None => format!(
            "stopped by {signal}: {made}, what was under way is given up; run the same command again \
             to go on"
        ),
        Some(number) => format!(
            "stopped by {signal} while commit {number} was under way: {made}; run the same command \
             again, which completes or forgets it"
        ),
    }
}

#[cfg(unix)]
#[derive(Debug)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let (interrupt, terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

#[cfg(not(unix))]
#[derive(Debug)]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
    fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> &'static str {
        match tokio::signal::ctrl_c().await {
            Ok(()) => "Ctrl-C",
            Err(_) => std::future::pending().await,
        }
    }
}
