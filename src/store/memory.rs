//! A store in memory, for tests and dry work: the semantics of a bucket without a network.
//!
//! In: keys and bytes. Out: what was put. Wrong: only what a bucket can say too. Its clock counts
//! writes, so that nothing in it depends on the time of day.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};

use super::{
    GetOptions, ObjectMeta, Store, StoreError, StoreErrorKind, StoreResult, clamp_range, uri,
};

/// The first write's time: 2026-01-01T00:00:00Z.
const FIRST_WRITE_MS: i64 = 1_767_225_600_000;

/// Objects in memory. Writes are serialised, so of many `put_new` for one key exactly one wins.
#[derive(Debug)]
pub struct Memory {
    base_uri: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, Object>,
    writes: i64,
}

#[derive(Debug, Clone)]
struct Object {
    bytes: Bytes,
    etag: String,
    last_modified_ms: i64,
    archived: bool,
    sha256: Option<String>,
}

impl Memory {
    /// An empty store whose base is `memory://<name>`.
    pub fn new(name: &str) -> Self {
        Self { base_uri: format!("memory://{name}"), state: Mutex::default() }
    }

    /// Puts an object as a foreign writer would: no metadata, replacing what is there.
    pub fn insert(&self, key: impl Into<String>, bytes: impl Into<Bytes>) {
        self.lock().write(key.into(), bytes.into(), None);
    }

    /// Sets when an object was last written, in milliseconds since 1970 UTC; its etag stays.
    pub fn set_last_modified(&self, key: &str, last_modified_ms: i64) {
        if let Some(object) = self.lock().objects.get_mut(key) {
            object.last_modified_ms = last_modified_ms;
        }
    }

    /// Moves an object into (or out of) an archive storage class.
    pub fn set_archived(&self, key: &str, archived: bool) {
        if let Some(object) = self.lock().objects.get_mut(key) {
            object.archived = archived;
        }
    }

    /// Every key with its bytes, in the order of the keys.
    pub fn objects(&self) -> Vec<(String, Bytes)> {
        let state = self.lock();
        state.objects.iter().map(|(key, object)| (key.clone(), object.bytes.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No operation leaves the state half changed, so a poisoned lock is as good as any.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(
        &self,
        kind: StoreErrorKind,
        operation: &'static str,
        key: &str,
        message: &str,
    ) -> StoreError {
        StoreError::new(kind, operation, self.uri(key), message)
    }

    fn check_write(&self, key: &str, sha256: &str) -> StoreResult<()> {
        let wrong = if key.is_empty() {
            "the key is empty"
        } else if uri::sha256_bytes(sha256).is_none() {
            "the sha256 is not 64 lower-case hex digits"
        } else {
            return Ok(());
        };
        Err(self.error(StoreErrorKind::Other, "writing", key, wrong))
    }

    fn get_now(&self, key: &str, options: &GetOptions) -> StoreResult<Bytes> {
        let fail = |kind, message| Err(self.error(kind, "reading", key, message));
        let state = self.lock();
        let Some(object) = state.objects.get(key) else {
            return match options.if_match {
                Some(_) => fail(StoreErrorKind::Precondition, "the object is gone"),
                None => fail(StoreErrorKind::NotFound, "there is no such object"),
            };
        };
        if options.if_match.as_ref().is_some_and(|etag| *etag != object.etag) {
            return fail(
                StoreErrorKind::Precondition,
                "the object was changed since it was listed",
            );
        }
        if object.archived {
            return fail(StoreErrorKind::Archived, "the object lies in an archive storage class");
        }
        let (start, length) = clamp_range(options.range.as_ref(), object.bytes.len() as u64);
        let (Ok(start), Ok(length)) = (usize::try_from(start), usize::try_from(length)) else {
            return fail(StoreErrorKind::Other, "the range does not fit into memory");
        };
        Ok(object.bytes.slice(start..start + length))
    }

    fn copy_now(&self, from: &str, to: &str) -> StoreResult<()> {
        let mut state = self.lock();
        let Some(source) = state.objects.get(from) else {
            let message = "there is no such object";
            return Err(self.error(StoreErrorKind::NotFound, "copying", from, message));
        };
        let (bytes, sha256) = (source.bytes.clone(), source.sha256.clone());
        if state.objects.contains_key(to) {
            let message = "the object exists already";
            return Err(self.error(StoreErrorKind::Precondition, "copying", to, message));
        }
        state.write(to.to_owned(), bytes, sha256);
        Ok(())
    }
}

impl State {
    fn write(&mut self, key: String, bytes: Bytes, sha256: Option<String>) {
        self.writes += 1;
        let object = Object {
            bytes,
            etag: format!("w{}", self.writes),
            last_modified_ms: FIRST_WRITE_MS + self.writes,
            archived: false,
            sha256,
        };
        self.objects.insert(key, object);
    }
}

impl Object {
    fn meta(&self, key: &str, sha256: Option<String>) -> ObjectMeta {
        ObjectMeta {
            key: key.to_owned(),
            size: self.bytes.len() as u64,
            etag: self.etag.clone(),
            last_modified_ms: self.last_modified_ms,
            archived: self.archived,
            sha256,
        }
    }
}

impl Store for Memory {
    fn base_uri(&self) -> &str {
        &self.base_uri
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, StoreResult<ObjectMeta>> {
        // Taken when the stream is first polled, as a bucket's listing is.
        let listed = async move {
            let state = self.lock();
            let under = state.objects.range(prefix.to_owned()..);
            let listed: Vec<_> = under
                .take_while(|(key, _)| key.starts_with(prefix))
                .map(|(key, object)| Ok(object.meta(key, None)))
                .collect();
            stream::iter(listed)
        };
        stream::once(listed).flatten().boxed()
    }

    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Option<ObjectMeta>>> {
        Box::pin(async move {
            let state = self.lock();
            Ok(state.objects.get(key).map(|object| object.meta(key, object.sha256.clone())))
        })
    }

    fn get<'a>(&'a self, key: &'a str, options: GetOptions) -> BoxFuture<'a, StoreResult<Bytes>> {
        Box::pin(async move { self.get_now(key, &options) })
    }

    fn put<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
        sha256: &'a str,
    ) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            self.check_write(key, sha256)?;
            self.lock().write(key.to_owned(), bytes, Some(sha256.to_owned()));
            Ok(())
        })
    }

    fn put_new<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
        sha256: &'a str,
    ) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            self.check_write(key, sha256)?;
            let mut state = self.lock();
            if state.objects.contains_key(key) {
                let message = "the object exists already";
                return Err(self.error(StoreErrorKind::Precondition, "writing", key, message));
            }
            state.write(key.to_owned(), bytes, Some(sha256.to_owned()));
            Ok(())
        })
    }

    fn copy_new<'a>(&'a self, from: &'a str, to: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move { self.copy_now(from, to) })
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            self.lock().objects.remove(key);
            Ok(())
        })
    }

    fn retries(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    use super::*;

    #[tokio::test]
    async fn archived_objects_are_listed_but_not_read() {
        let store = Memory::new("archive");
        store.insert("a", "1");
        store.set_archived("a", true);
        let listed: Vec<_> = store.list("").try_collect().await.unwrap();
        assert!(listed[0].archived);
        let error = store.get("a", GetOptions::default()).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Archived);
        assert_eq!(error.uri, "memory://archive/a");
    }

    #[tokio::test]
    async fn rewriting_changes_the_etag_even_with_equal_bytes() {
        let store = Memory::new("archive");
        store.insert("a", "1");
        let before = store.head("a").await.unwrap().unwrap();
        store.insert("a", "1");
        let error = store.get("a", GetOptions::if_match(&before.etag)).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Precondition);
    }
}
