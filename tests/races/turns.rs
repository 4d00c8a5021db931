//! Several actors on one store, one operation at a time, in an order that a test decides.
//!
//! In: actors (futures over a store of their own) and a choice. Out: what they came to. A turn is given only
//! when every actor that has not ended waits for one, and the next only when the operation was carried out:
//! so the order is the choice's alone, however threads run. Of an actor's operations that wait, the one that
//! is polled first takes the turn (others may be read ahead, by a future that nobody polls for now); so the
//! store must be one that answers at once, in memory.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use futures::future::{BoxFuture, FutureExt, LocalBoxFuture};
use healthtrail::store::Store;
use tokio::sync::Notify;

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
    /// Whose turn it is; nobody has taken it yet.
    turn: Option<usize>,
    /// An operation is carried out.
    is_busy: bool,
    waiters: u64,
}

#[derive(Default)]
struct Seat {
    waiting: BTreeMap<u64, Waker>,
    has_ended: bool,
    /// Operations that were carried out.
    steps: usize,
}

struct Turn {
    turns: Arc<Turns>,
    actor: usize,
}

/// An operation that waits for its turn.
struct Waiting {
    turns: Arc<Turns>,
    actor: usize,
    number: Option<u64>,
}

/// Kept while an operation is carried out: ends it, also when it is given up.
struct Busy(Arc<Turns>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.lock().is_busy = false;
        self.0.changed.notify_one();
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.turns.lock().actors[self.actor].waiting.remove(&number);
            self.turns.changed.notify_one();
        }
    }
}

impl Future for Waiting {
    type Output = Busy;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Busy> {
        let turns = Arc::clone(&self.turns);
        let mut state = turns.lock();
        if state.turn == Some(self.actor) {
            state.turn = None;
            state.is_busy = true;
            let seat = &mut state.actors[self.actor];
            seat.steps += 1;
            if let Some(number) = self.number.take() {
                seat.waiting.remove(&number);
            }
            drop(state);
            return Poll::Ready(Busy(turns));
        }
        let number = *self.number.get_or_insert_with(|| {
            state.waiters += 1;
            state.waiters
        });
        state.actors[self.actor].waiting.insert(number, context.waker().clone());
        drop(state);
        turns.changed.notify_one();
        Poll::Pending
    }
}

impl Hook for Turn {
    fn before<'a>(&'a self, _: &'a Operation) -> BoxFuture<'a, Ticket> {
        async move {
            let turns = Arc::clone(&self.turns);
            let busy = Waiting { turns, actor: self.actor, number: None }.await;
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
    turns.lock().actors.extend(actors.iter().map(|_| Seat::default()));
    let mut tasks = Vec::new();
    for (actor, act) in actors.into_iter().enumerate() {
        let hook = Arc::new(Turn { turns: Arc::clone(&turns), actor });
        let own = Hooked::over(store, hook);
        let turns = Arc::clone(&turns);
        tasks.push(beside(async move || {
            let come_to = std::panic::AssertUnwindSafe(act(own)).catch_unwind().await;
            turns.lock().actors[actor].has_ended = true;
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
    let steps = turns.lock().actors.iter().map(|seat| seat.steps).collect();
    (come_to, steps)
}

impl Turns {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn drive(&self, choose: &mut Choice<'_>) {
        let mut step = 0;
        loop {
            let changed = self.changed.notified();
            let (wakers, have_all_ended) = self.turn(choose, &mut step);
            if have_all_ended {
                return;
            }
            wakers.into_iter().for_each(Waker::wake);
            changed.await;
        }
    }

    /// Gives the next turn, if it can be given now; who is to be woken, and whether all have ended.
    fn turn(&self, choose: &mut Choice<'_>, step: &mut usize) -> (Vec<Waker>, bool) {
        let mut state = self.lock();
        if state.actors.iter().all(|seat| seat.has_ended) {
            return (Vec::new(), true);
        }
        if let Some(actor) = state.turn
            && state.actors[actor].has_ended
        {
            // What was read ahead was given up.
            state.turn = None;
        }
        let is_waited_for = |seat: &Seat| seat.has_ended || !seat.waiting.is_empty();
        if state.is_busy || state.turn.is_some() || !state.actors.iter().all(is_waited_for) {
            return (Vec::new(), false);
        }
        let ready: Vec<usize> =
            (0..state.actors.len()).filter(|actor| !state.actors[*actor].has_ended).collect();
        let chosen = choose(&ready, *step);
        *step += 1;
        state.turn = Some(chosen);
        (state.actors[chosen].waiting.values().cloned().collect(), false)
    }
}

/// Each actor goes on until it has done so many operations in all, in turn; then each to its end.
pub(crate) fn switching(
    switches: &[(usize, usize)],
) -> impl FnMut(&[usize], usize) -> usize + Send {
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
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ready[usize::try_from(state >> 33).unwrap() % ready.len()]
    }
}
