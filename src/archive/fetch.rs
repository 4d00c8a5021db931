//! An object's bytes from its store, pinned to the etag that was listed.
//!
//! In: a key, its size and etag. Out: all its bytes at once, or for a large object a [`RangedSource`]:
//! a blocking `Read` that holds two ranges at most and fetches the next while one is being read. A
//! range that does not come is an error of the world and fails the object; an object that was
//! rewritten since it was listed fails as [`StoreErrorKind::Precondition`] and is a new object for
//! the next run.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::store::{GetOptions, Store, StoreError, StoreErrorKind, StoreResult};

/// Fetches a whole object.
///
/// # Errors
/// The store's, and one when fewer or more bytes came than were listed.
pub async fn fetch(store: &dyn Store, key: &str, size: u64, etag: &str) -> StoreResult<Bytes> {
    let options = GetOptions::if_match(etag);
    let bytes = store.get(key, options).await?;
    whole(store, key, bytes, size)
}

fn whole(store: &dyn Store, key: &str, bytes: Bytes, expected: u64) -> StoreResult<Bytes> {
    if u64::try_from(bytes.len()) == Ok(expected) {
        return Ok(bytes);
    }
    let message = format!("got {} bytes where {expected} were promised", bytes.len());
    Err(StoreError::new(StoreErrorKind::Unavailable, "reading", store.uri(key), message))
}

/// A large object as a blocking `Read`, fetched in ranges.
#[derive(Debug)]
pub struct RangedSource {
    runtime: Handle,
    store: Arc<dyn Store>,
    key: String,
    etag: String,
    size: u64,
    range_bytes: u64,
    requested: u64,
    current: Bytes,
    ahead: Option<JoinHandle<StoreResult<Bytes>>>,
}

impl RangedSource {
    /// A source of the object's bytes; it must be read on a thread outside the runtime.
    pub fn new(
        runtime: Handle,
        store: Arc<dyn Store>,
        key: String,
        size: u64,
        etag: String,
        range_bytes: u64,
    ) -> Self {
        let (requested, current) = (0, Bytes::new());
        Self { runtime, store, key, etag, size, range_bytes, requested, current, ahead: None }
    }

    fn request_next(&mut self) {
        if self.requested >= self.size {
            return;
        }
        let end = self.size.min(self.requested.saturating_add(self.range_bytes.max(1)));
        let range = self.requested..end;
        self.requested = end;
        let (store, key, etag) = (Arc::clone(&self.store), self.key.clone(), self.etag.clone());
        self.ahead = Some(self.runtime.spawn(fetch_range(store, key, etag, range)));
    }
}

async fn fetch_range(
    store: Arc<dyn Store>,
    key: String,
    etag: String,
    range: Range<u64>,
) -> StoreResult<Bytes> {
    let expected = range.end - range.start;
    let options = GetOptions::if_match(etag).range(range);
    let bytes = store.get(&key, options).await?;
    whole(store.as_ref(), &key, bytes, expected)
}

impl Read for RangedSource {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.current.is_empty() {
            if self.ahead.is_none() {
                self.request_next();
            }
            let Some(ahead) = self.ahead.take() else { return Ok(0) };
            let joined = self.runtime.block_on(ahead).map_err(io::Error::other)?;
            self.current = joined.map_err(io::Error::other)?;
            self.request_next();
        }
        let count = out.len().min(self.current.len());
        let (target, _) = out.split_at_mut(count);
        self.current.copy_to_slice(target);
        Ok(count)
    }
}

impl Drop for RangedSource {
    fn drop(&mut self) {
        if let Some(ahead) = &self.ahead {
            ahead.abort();
        }
    }
}
