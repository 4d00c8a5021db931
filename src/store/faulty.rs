//! A store that fails on purpose, for tests: at a chosen operation, before or after it takes effect.
//!
//! In: a store and faults. Out: that store's answers, but for the faults; and the list of all
//! operations, so that a test can first count them and then fail each in turn.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, BoxStream, StreamExt};

use super::{GetOptions, ObjectMeta, Store, StoreError, StoreErrorKind, StoreResult};

/// One operation that was asked of a [`Faulty`] store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The trait's method: `list`, `head`, `get`, `put`, `put_new`, `copy_new` or `delete`.
    pub name: &'static str,
    /// The key or prefix; of a copy the target.
    pub key: String,
}

/// What becomes of the operation that a fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It is never carried out.
    Nothing,
    /// It is carried out, and the answer is lost. A listing gives all its entries, then fails.
    AnswerLost,
}

/// When to fail, and how.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Counts only operations of this name; `None` counts all.
    pub name: Option<&'static str>,
    /// Counts only operations whose key contains this text.
    pub key_part: String,
    /// The first operation that fails, counted from 1 among those that match.
    pub nth: u64,
    /// How many matching operations in a row fail; `u64::MAX` for a store that died.
    pub times: u64,
    /// The error's kind.
    pub kind: StoreErrorKind,
    /// Whether the operation is carried out all the same.
    pub effect: Effect,
}

/// A store with faults. Operations are numbered in the order in which they are started, so a test
/// that starts one after the other is repeatable.
#[derive(Debug)]
pub struct Faulty {
    inner: Arc<dyn Store>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    operations: Vec<Operation>,
    faults: Vec<(Fault, u64)>,
}

impl Fault {
    /// The `nth` operation of all, counted from 1, is not carried out and fails with this kind.
    pub fn at(nth: u64, kind: StoreErrorKind) -> Self {
        let key_part = String::new();
        Self { name: None, key_part, nth, times: 1, kind, effect: Effect::Nothing }
    }

    /// Only operations of this name, on keys that contain this text, are counted.
    #[must_use]
    pub fn only(mut self, name: &'static str, key_part: &str) -> Self {
        self.name = Some(name);
        key_part.clone_into(&mut self.key_part);
        self
    }

    /// The operation is carried out, but its answer is lost.
    #[must_use]
    pub fn answer_lost(mut self) -> Self {
        self.effect = Effect::AnswerLost;
        self
    }

    /// All later operations fail too, without effect: what a killed program leaves behind.
    #[must_use]
    pub fn forever(mut self) -> Self {
        self.times = u64::MAX;
        self
    }

    fn matches(&self, operation: &Operation) -> bool {
        self.name.is_none_or(|name| name == operation.name)
            && operation.key.contains(&self.key_part)
    }
}

impl Faulty {
    /// A wrapper without faults: it only records.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, state: Mutex::default() }
    }

    /// Adds a fault; its count begins now. Of several that hit one operation the first added wins.
    pub fn add(&self, fault: Fault) {
        self.lock().faults.push((fault, 0));
    }

    /// The same store with this fault.
    #[must_use]
    pub fn with(self, fault: Fault) -> Self {
        self.add(fault);
        self
    }

    /// Forgets all faults; the record of operations stays.
    pub fn heal(&self) {
        self.lock().faults.clear();
    }

    /// All operations so far, in the order in which they were started.
    pub fn operations(&self) -> Vec<Operation> {
        self.lock().operations.clone()
    }

    /// How many operations were started so far.
    pub fn count(&self) -> u64 {
        self.lock().operations.len() as u64
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the operation; the error and effect when it is to fail.
    fn start(&self, name: &'static str, key: &str) -> Option<(Effect, StoreError)> {
        let operation = Operation { name, key: key.to_owned() };
        let mut state = self.lock();
        let number = state.operations.len() + 1;
        let mut hit = None;
        for (fault, seen) in &mut state.faults {
            if !fault.matches(&operation) {
                continue;
            }
            *seen += 1;
            let first = *seen == fault.nth;
            if *seen >= fault.nth && *seen - fault.nth < fault.times && hit.is_none() {
                // A store that died answers one operation late at most.
                let dead = fault.times == u64::MAX && !first;
                let effect = if dead { Effect::Nothing } else { fault.effect };
                hit = Some((effect, fault.kind));
            }
        }
        state.operations.push(operation);
        let (effect, kind) = hit?;
        let message = format!("a fault was injected at operation {number} ({name})");
        Some((effect, StoreError::new(kind, verb(name), self.inner.uri(key), message)))
    }

    fn run<'a, T: Send + 'a>(
        &'a self,
        name: &'static str,
        key: &'a str,
        operation: impl FnOnce() -> BoxFuture<'a, StoreResult<T>> + Send + 'a,
    ) -> BoxFuture<'a, StoreResult<T>> {
        async move {
            match self.start(name, key) {
                None => operation().await,
                Some((Effect::Nothing, error)) => Err(error),
                Some((Effect::AnswerLost, error)) => {
                    operation().await?;
                    Err(error)
                }
            }
        }
        .boxed()
    }
}

fn verb(name: &str) -> &'static str {
    match name {
        "list" => "listing",
        "put" | "put_new" => "writing",
        "copy_new" => "copying",
        "delete" => "deleting",
        _ => "reading",
    }
}

impl Store for Faulty {
    fn base_uri(&self) -> &str {
        self.inner.base_uri()
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, StoreResult<ObjectMeta>> {
        let listed = async move {
            match self.start("list", prefix) {
                None => self.inner.list(prefix),
                Some((Effect::Nothing, error)) => stream::iter([Err(error)]).boxed(),
                Some((Effect::AnswerLost, error)) => {
                    self.inner.list(prefix).chain(stream::iter([Err(error)])).boxed()
                }
            }
        };
        stream::once(listed).flatten().boxed()
    }

    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Option<ObjectMeta>>> {
        self.run("head", key, move || self.inner.head(key))
    }

    fn get<'a>(&'a self, key: &'a str, options: GetOptions) -> BoxFuture<'a, StoreResult<Bytes>> {
        self.run("get", key, move || self.inner.get(key, options))
    }

    fn put<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
        sha256: &'a str,
    ) -> BoxFuture<'a, StoreResult<()>> {
        self.run("put", key, move || self.inner.put(key, bytes, sha256))
    }

    fn put_new<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
        sha256: &'a str,
    ) -> BoxFuture<'a, StoreResult<()>> {
        self.run("put_new", key, move || self.inner.put_new(key, bytes, sha256))
    }

    fn copy_new<'a>(&'a self, from: &'a str, to: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        self.run("copy_new", to, move || self.inner.copy_new(from, to))
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        self.run("delete", key, move || self.inner.delete(key))
    }

    fn make_durable<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        self.inner.make_durable(key)
    }

    fn clear_unfinished<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, StoreResult<u64>> {
        self.inner.clear_unfinished(prefix)
    }

    fn retries(&self) -> u64 {
        self.inner.retries()
    }

    fn keeps_versions(&self) -> bool {
        self.inner.keeps_versions()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Memory;
    use super::*;

    const SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn faulty(fault: Fault) -> Faulty {
        Faulty::new(Arc::new(Memory::new("lake"))).with(fault)
    }

    async fn put_new(store: &Faulty, key: &str) -> Option<StoreErrorKind> {
        store.put_new(key, Bytes::new(), SHA256).await.err().map(|error| error.kind)
    }

    #[tokio::test]
    async fn the_nth_operation_fails_and_is_not_carried_out() {
        let store = faulty(Fault::at(2, StoreErrorKind::Denied));
        assert_eq!(put_new(&store, "a").await, None);
        assert_eq!(put_new(&store, "b").await, Some(StoreErrorKind::Denied));
        assert_eq!(store.head("b").await.unwrap(), None);
        assert_eq!(put_new(&store, "b").await, None);
        let operations = store.operations();
        assert_eq!(operations[2], Operation { name: "head", key: "b".to_owned() });
        assert_eq!(store.count(), 4);
    }

    #[tokio::test]
    async fn a_lost_answer_leaves_the_object_behind() {
        let store = faulty(Fault::at(1, StoreErrorKind::Unavailable).answer_lost());
        assert_eq!(put_new(&store, "a").await, Some(StoreErrorKind::Unavailable));
        assert!(store.head("a").await.unwrap().is_some());
        assert_eq!(put_new(&store, "a").await, Some(StoreErrorKind::Precondition));
    }

    #[tokio::test]
    async fn a_dead_store_answers_nothing_more_until_it_is_healed() {
        let fault = Fault::at(1, StoreErrorKind::Unavailable).answer_lost().forever();
        let store = faulty(fault.only("put_new", "log/"));
        assert_eq!(put_new(&store, "a").await, None);
        assert_eq!(put_new(&store, "log/1").await, Some(StoreErrorKind::Unavailable));
        assert_eq!(put_new(&store, "log/2").await, Some(StoreErrorKind::Unavailable));
        store.heal();
        assert!(store.head("log/1").await.unwrap().is_some());
        assert_eq!(store.head("log/2").await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_listing_fails_at_its_start_or_at_its_end() {
        let store = Faulty::new(Arc::new(Memory::new("lake")));
        assert_eq!(put_new(&store, "a").await, None);
        store.add(Fault::at(1, StoreErrorKind::Unavailable).only("list", ""));
        store.add(Fault::at(2, StoreErrorKind::Unavailable).only("list", "").answer_lost());
        let first: Vec<_> = store.list("").collect().await;
        assert_eq!(first.iter().map(Result::is_ok).collect::<Vec<_>>(), [false]);
        let second: Vec<_> = store.list("").collect().await;
        assert_eq!(second.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false]);
    }
}
