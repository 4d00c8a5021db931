//! Several actors on one store, one operation at a time, in an order that a test decides.
//!
//! In: actors (futures over a store of their own) and a choice. Out: what they came to. An operation is
//! let through only when every actor that has not ended waits for one, and the next only when that one was
//! carried out: so the order is the choice's alone, however threads run.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use futures::future::{BoxFuture, FutureExt, LocalBoxFuture};
use healthtrail::store::Store;
use tokio::sync::{Notify, oneshot};

use crate::races::hooked::{Hook, Hooked, Operation, PATIENCE, Ticket, beside};

/// Who goes next: of these actors, at this step; counted from 0.
pub(crate) type Choice<'a> = dyn FnMut(&[usize], usize) -> usize + Send + 'a;

/// The table at which all sit.
#[derive(Default)]
pub(crate) struct Turns {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    actors: Vec<Seat>,
    is_busy: bool,
    /// Each actor's operations that were let through.
    steps: Vec<usize>,
}

#[derive(Default)]
struct Seat {
    waiting: VecDeque<oneshot::Sender<Busy>>,
    has_ended: bool,
}

struct Turn {
    turns: Arc<Turns>,
    actor: usize,
}

/// Kept while an operation is carried out: ends it, also when it is given up.
struct Busy(Arc<Turns>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.state.lock().unwrap().is_busy = false;
        self.0.changed.notify_one();
    }
}

impl Hook for Turn {
    fn before<'a>(&'a self, _: &'a Operation) -> BoxFuture<'a, Ticket> {
        async move {
            let (go, wait) = oneshot::channel();
            self.turns.state.lock().unwrap().actors[self.actor].waiting.push_back(go);
            self.turns.changed.notify_one();
            // The driver is gone only when the test has failed.
            let busy = wait.await.ok()?;
            let ticket: Box<dyn std::any::Any + Send> = Box::new(busy);
            Some(ticket)
        }
        .boxed()
    }
}

/// An actor: given its store, what it does.
pub(crate) type Actor<T> = Box<dyn FnOnce(Arc<dyn Store>) -> LocalBoxFuture<'static, T> + Send>;

/// Lets all act on the store; what each came to, and how many operations each was let do.
pub(crate) async fn act<T: Send + 'static>(
    store: &Arc<dyn Store>,
    actors: Vec<Actor<T>>,
    choose: &mut Choice<'_>,
) -> (Vec<T>, Vec<usize>) {
    let turns = Arc::new(Turns::default());
    {
        let mut state = turns.state.lock().unwrap();
        state.actors.extend(actors.iter().map(|_| Seat::default()));
        state.steps.resize(actors.len(), 0);
    }
    let mut tasks = Vec::new();
    for (actor, act) in actors.into_iter().enumerate() {
        let hook = Arc::new(Turn { turns: Arc::clone(&turns), actor });
        let own = Hooked::over(store, hook);
        let turns = Arc::clone(&turns);
        tasks.push(beside(async move || {
            let come_to = std::panic::AssertUnwindSafe(act(own)).catch_unwind().await;
            turns.state.lock().unwrap().actors[actor].has_ended = true;
            turns.changed.notify_one();
            come_to.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        }));
    }
    let driven = tokio::time::timeout(PATIENCE, turns.drive(choose)).await;
    assert!(driven.is_ok(), "an actor waits for something that never comes");
    let mut come_to = Vec::new();
    for task in tasks {
        come_to.push(task.end().await);
    }
    let steps = turns.state.lock().unwrap().steps.clone();
    (come_to, steps)
}

impl Turns {
    async fn drive(self: &Arc<Self>, choose: &mut Choice<'_>) {
        let mut step = 0;
        loop {
            let changed = self.changed.notified();
            match self.turn(choose, &mut step) {
                Next::Ended => return,
                Next::Go(go) => {
                    // Given up meanwhile, it ends at once.
                    drop(go.send(Busy(Arc::clone(self))));
                }
                Next::Wait => changed.await,
            }
        }
    }

    fn turn(&self, choose: &mut Choice<'_>, step: &mut usize) -> Next {
        let mut state = self.state.lock().unwrap();
        if state.is_busy {
            return Next::Wait;
        }
        for seat in &mut state.actors {
            // What was given up before its turn came.
            seat.waiting.retain(|go| !go.is_closed());
        }
        if state.actors.iter().all(|seat| seat.has_ended) {
            return Next::Ended;
        }
        if state.actors.iter().any(|seat| !seat.has_ended && seat.waiting.is_empty()) {
            return Next::Wait;
        }
        let ready: Vec<usize> =
            (0..state.actors.len()).filter(|actor| !state.actors[*actor].has_ended).collect();
        let chosen = choose(&ready, *step);
        let Some(go) = state.actors[chosen].waiting.pop_front() else { return Next::Wait };
        state.is_busy = true;
        state.steps[chosen] += 1;
        *step += 1;
        Next::Go(go)
    }
}

enum Next {
    Ended,
    Go(oneshot::Sender<Busy>),
    Wait,
}

/// Each actor goes on until it has done so many operations in all, in turn; then each to its end.
pub(crate) fn switching(switches: &[(usize, usize)]) -> impl FnMut(&[usize], usize) -> usize + Send {
    let mut left: VecDeque<(usize, usize)> = switches.iter().copied().collect();
    move |ready, _| {
        while let Some((actor, steps)) = left.front_mut() {
            if *steps == 0 || !ready.contains(actor) {
                left.pop_front();
                continue;
            }
            *steps -= 1;
            return *actor;
        }
        ready[0]
    }
}

/// Anybody, as a seed decides.
pub(crate) fn at_random(seed: u64) -> impl FnMut(&[usize], usize) -> usize + Send {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
    move |ready, _| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ready[usize::try_from(state >> 33).unwrap() % ready.len()]
    }
}
