//! A store with hooks before and after each operation, and a gate that holds a named one.
//!
//! In: a store and a [`Hook`]. Out: that store's answers. A listing is taken whole between its hooks, so
//! that what it tells is of one moment.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use healthtrail::store::{GetOptions, ObjectMeta, Store, StoreResult};
use tokio::sync::oneshot;

/// How long a test waits for what must happen; only a defect makes it wait so long.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// One operation.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    /// The trait's method.
    pub(crate) name: &'static str,
    /// The key or prefix; of a copy the target.
    pub(crate) key: String,
    /// Of a copy the source.
    pub(crate) from: Option<String>,
    /// What is written.
    pub(crate) bytes: Option<Bytes>,
}

/// Kept while an operation is carried out; does something when it ends, or is given up.
pub(crate) type Ticket = Option<Box<dyn std::any::Any + Send>>;

/// What happens around operations.
pub(crate) trait Hook: Send + Sync {
    fn before<'a>(&'a self, operation: &'a Operation) -> BoxFuture<'a, Ticket>;

    fn after<'a>(&'a self, operation: &'a Operation) -> BoxFuture<'a, ()> {
        let _ = operation;
        async {}.boxed()
    }
}

/// A store with a hook.
pub(crate) struct Hooked {
    inner: Arc<dyn Store>,
    hook: Arc<dyn Hook>,
}

impl std::fmt::Debug for Hooked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Hooked").field(&self.inner).finish()
    }
}

impl Hooked {
    pub(crate) fn over(inner: &Arc<dyn Store>, hook: Arc<dyn Hook>) -> Arc<dyn Store> {
        Arc::new(Self { inner: Arc::clone(inner), hook })
    }

    fn run<'a, T: Send + 'a>(
        &'a self,
        operation: Operation,
        carry_out: impl FnOnce() -> BoxFuture<'a, StoreResult<T>> + Send + 'a,
    ) -> BoxFuture<'a, StoreResult<T>> {
        async move {
            let ticket = self.hook.before(&operation).await;
            let result = carry_out().await;
            self.hook.after(&operation).await;
            drop(ticket);
            result
        }
        .boxed()
    }
}

fn of(name: &'static str, key: &str) -> Operation {
    Operation { name, key: key.to_owned(), from: None, bytes: None }
}

impl Store for Hooked {
    fn base_uri(&self) -> &str {
        self.inner.base_uri()
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, StoreResult<ObjectMeta>> {
        let listed = self.run(of("list", prefix), move || {
            async move {
                let all: Vec<_> = self.inner.list(prefix).collect().await;
                Ok(all)
            }
            .boxed()
        });
        stream::once(listed).map_ok(stream::iter).try_flatten().boxed()
    }

    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Option<ObjectMeta>>> {
        self.run(of("head", key), move || self.inner.head(key))
    }

    fn get<'a>(&'a self, key: &'a str, options: GetOptions) -> BoxFuture<'a, StoreResult<Bytes>> {
        self.run(of("get", key), move || self.inner.get(key, options))
    }

    fn put<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
        sha256: &'a str,
    ) -> BoxFuture<'a, StoreResult<()>> {
        let operation = Operation { bytes: Some(bytes.clone()), ..of("put", key) };
        self.run(operation, move || self.inner.put(key, bytes, sha256))
    }

    fn put_new<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
        sha256: &'a str,
    ) -> BoxFuture<'a, StoreResult<()>> {
        let operation = Operation { bytes: Some(bytes.clone()), ..of("put_new", key) };
        self.run(operation, move || self.inner.put_new(key, bytes, sha256))
    }

    fn copy_new<'a>(&'a self, from: &'a str, to: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        let operation = Operation { from: Some(from.to_owned()), ..of("copy_new", to) };
        self.run(operation, move || self.inner.copy_new(from, to))
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        self.run(of("delete", key), move || self.inner.delete(key))
    }

    fn retries(&self) -> u64 {
        self.inner.retries()
    }
}

/// On which side of an operation its caller is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// It has not reached the store yet.
    Before,
    /// It was carried out, and its answer is under way.
    After,
}

/// Holds named operations until a test lets them go.
#[derive(Default)]
pub(crate) struct Gate {
    holds: Mutex<Vec<Hold>>,
}

struct Hold {
    when: When,
    name: &'static str,
    key_part: String,
    arrived: oneshot::Sender<String>,
    released: oneshot::Receiver<()>,
}

/// An operation that will be held, or is.
pub(crate) struct Held {
    told: String,
    arrived: oneshot::Receiver<String>,
    release: oneshot::Sender<()>,
}

impl Gate {
    /// A store through a gate of its own.
    pub(crate) fn over(inner: &Arc<dyn Store>) -> (Arc<dyn Store>, Arc<Self>) {
        let gate = Arc::new(Self::default());
        (Hooked::over(inner, Arc::clone(&gate) as Arc<dyn Hook>), gate)
    }

    /// Holds the next operation of this name on a key that contains this text.
    pub(crate) fn hold(&self, when: When, name: &'static str, key_part: &str) -> Held {
        let (arrived, arrival) = oneshot::channel();
        let (release, released) = oneshot::channel();
        let key_part = key_part.to_owned();
        let told = format!("{when:?} {name} {key_part}");
        self.holds.lock().unwrap().push(Hold { when, name, key_part, arrived, released });
        Held { told, arrived: arrival, release }
    }

    async fn pass(&self, when: When, operation: &Operation) {
        let hold = {
            let mut holds = self.holds.lock().unwrap();
            let at = holds.iter().position(|hold| {
                hold.when == when
                    && hold.name == operation.name
                    && operation.key.contains(&hold.key_part)
            });
            at.map(|at| holds.remove(at))
        };
        if let Some(Hold { arrived, released, .. }) = hold {
            // A test that has ended waits no more, and holds nobody.
            let _ = arrived.send(operation.key.clone());
            let _ = released.await;
        }
    }
}

impl Hook for Gate {
    fn before<'a>(&'a self, operation: &'a Operation) -> BoxFuture<'a, Ticket> {
        async move {
            self.pass(When::Before, operation).await;
            None
        }
        .boxed()
    }

    fn after<'a>(&'a self, operation: &'a Operation) -> BoxFuture<'a, ()> {
        self.pass(When::After, operation).boxed()
    }
}

impl Held {
    /// Waits until somebody is held here; the key.
    pub(crate) async fn arrived(&mut self) -> String {
        let arrived = tokio::time::timeout(PATIENCE, &mut self.arrived).await;
        arrived.unwrap_or_else(|_| panic!("nobody came: {}", self.told)).unwrap()
    }

    /// Lets it go on.
    pub(crate) fn release(self) {
        let _ = self.release.send(());
    }
}

/// Something that goes on beside the test, on a thread of its own, as a process would.
pub(crate) struct Beside<T> {
    ended: oneshot::Receiver<T>,
    kill: oneshot::Sender<()>,
}

/// Begins it; it needs the test's runtime to have several threads.
pub(crate) fn beside<T, Doing>(doing: impl FnOnce() -> Doing + Send + 'static) -> Beside<T>
where
    T: Send + 'static,
    Doing: Future<Output = T>,
{
    let runtime = tokio::runtime::Handle::current();
    let (end, ended) = oneshot::channel();
    let (kill, killed) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        runtime.block_on(async move {
            let doing = std::pin::pin!(doing());
            // Without a word nobody kills it, also when the test has gone on.
            let killed = std::pin::pin!(async {
                if killed.await.is_err() {
                    std::future::pending::<()>().await;
                }
            });
            if let futures::future::Either::Left((ended, _)) =
                futures::future::select(doing, killed).await
            {
                let _ = end.send(ended);
            }
        });
    });
    Beside { ended, kill }
}

impl<T> Beside<T> {
    /// What it came to.
    pub(crate) async fn end(self) -> T {
        let Self { ended, kill: _kill } = self;
        let ended = tokio::time::timeout(PATIENCE, ended).await;
        ended.expect("it does not end").expect("it panicked")
    }

    /// It does nothing more, as a killed process does.
    pub(crate) async fn kill(self) {
        let _ = self.kill.send(());
        assert!(self.ended.await.is_err(), "it had ended");
    }
}
