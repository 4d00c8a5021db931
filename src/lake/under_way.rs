//! Which commit is under way, for whoever wants to end the program.
//!
//! In: a future that may commit ([`Commits::watch`]). Out: whether giving it up now would leave a commit
//! half-way, and how many it has made. Nothing goes wrong here, and nothing waits but who asks. A commit
//! that is given up half-way is no damage, since the next run completes or forgets it; but that takes a next
//! run, and what was committed is not seen before.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::watch;

tokio::task_local! {
    static WATCHED: Arc<Commits>;
}

/// The commits of a future that is watched.
#[derive(Debug)]
pub struct Commits(watch::Sender<State>);

#[derive(Debug, Clone, Copy, Default)]
struct State {
    under_way: Option<u64>,
    made: u64,
}

impl Commits {
    /// None yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Self(watch::Sender::default()))
    }

    /// Runs the future; only commits that it makes itself, not in a task of their own, are seen.
    pub async fn watch<F: Future>(self: &Arc<Self>, work: F) -> F::Output {
        WATCHED.scope(Arc::clone(self), work).await
    }

    /// The number of the commit that is under way: its record may be in the log, and it is not done.
    pub fn under_way(&self) -> Option<u64> {
        self.0.borrow().under_way
    }

    /// How many were made, from the record to the done mark.
    pub fn made(&self) -> u64 {
        self.0.borrow().made
    }

    /// Waits until none is under way.
    pub async fn settled(&self) {
        // The sender is here, so there is always a state to come.
        let mut states = self.0.subscribe();
        let _ = states.wait_for(|state| state.under_way.is_none()).await;
    }
}

/// A commit is under way for as long as this is there.
#[derive(Debug)]
pub(super) struct UnderWay(Option<Arc<Commits>>);

/// From here on commit `number` is under way.
pub(super) fn begin(number: u64) -> UnderWay {
    let commits = WATCHED.try_with(Arc::clone).ok();
    if let Some(commits) = &commits {
        commits.0.send_modify(|state| state.under_way = Some(number));
    }
    UnderWay(commits)
}

impl UnderWay {
    /// The commit is this program's own, and done.
    pub(super) fn made(self) {
        if let Some(commits) = &self.0 {
            commits.0.send_modify(|state| state.made += 1);
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(commits) = &self.0 {
            commits.0.send_modify(|state| state.under_way = None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_commit_is_under_way_until_it_is_made_or_given_up() {
        let commits = Commits::new();
        let seen = Arc::clone(&commits);
        let work = async move {
            let one = begin(4);
            assert_eq!((seen.under_way(), seen.made()), (Some(4), 0));
            one.made();
            assert_eq!((seen.under_way(), seen.made()), (None, 1));
            let given_up = begin(5);
            assert_eq!(seen.under_way(), Some(5));
            drop(given_up);
            seen.settled().await;
        };
        commits.watch(work).await;
        assert_eq!((commits.under_way(), commits.made()), (None, 1));
    }

    #[test]
    fn where_nobody_watches_there_is_nothing_to_tell() {
        begin(1).made();
    }
}
