//! The only door to the outside: folders and S3 buckets behind one trait, and Glue's catalog behind another.
//!
//! A store is a flat set of objects under one base (`s3://bucket/prefix` or `file:///folder`). Keys
//! are relative to the base, with `/` between their segments. All errors name the object and say
//! what kind of trouble it is; retries happen here and nowhere else.

pub mod catalog;
mod disk;
mod facts;
pub(crate) mod fail_point;
mod faulty;
pub mod firehose;
mod folder;
#[cfg(feature = "glue")]
mod glue;
#[cfg(feature = "failpoints")]
mod journal;
mod memory;
mod open;
mod placing;
mod root;
mod s3;
mod uri;
mod walk;

pub use facts::{Identity, Scratch, StoreFacts, identity, scratch};
pub use fail_point::FailPoint;
pub use faulty::{Effect, Fault, Faulty, Operation};
pub use folder::Folder;
pub use memory::Memory;
pub use open::{StoreOptions, open};
pub use s3::{Patience, S3, S3Options};

use std::fmt::Debug;
use std::ops::Range;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use sha2::{Digest as _, Sha256};

/// What a listing or a HEAD tells of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Relative to the store's base.
    pub key: String,
    /// Bytes as stored.
    pub size: u64,
    /// The change token: opaque, never a content hash. In a folder `<size>-<mtime in ns>`.
    pub etag: String,
    /// Milliseconds since 1970 UTC.
    pub last_modified_ms: i64,
    /// The storage class keeps its bytes from being read before a restore.
    pub archived: bool,
    /// The SHA-256 (lower-case hex) in the user metadata that [`Store::put`] and
    /// [`Store::put_new`] write; a listing does not tell it. A folder has none: see [`Store::head`].
    pub sha256: Option<String>,
}

/// How to read an object.
#[derive(Debug, Clone, Default)]
pub struct GetOptions {
    /// Only these bytes, cut at the object's end; a range beyond it gives no bytes and no error.
    pub range: Option<Range<u64>>,
    /// Only if the object still has this etag; else [`StoreErrorKind::Precondition`].
    pub if_match: Option<String>,
    /// It is an object that [`Store::put`] or [`Store::put_new`] wrote: read whole, its bytes must fit
    /// the SHA-256 that is kept with them. For what is read in ranges the caller must know better.
    pub own: bool,
}

/// What a caller can do about a [`StoreError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreErrorKind {
    /// The object, bucket or folder is not there.
    NotFound,
    /// The object exists already, or no longer has the etag asked for (412, or 404 for If-Match).
    Precondition,
    /// A race with another writer (409): the same request may be sent again.
    Conflict,
    /// Permission is missing.
    Denied,
    /// The object lies in an archive storage class.
    Archived,
    /// No answer, a server error, or throttling, after all retries: whether a write took effect is unknown.
    Unavailable,
    /// Anything else.
    Other,
}

/// A store's trouble with one object.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{operation} `{uri}`: {message}")]
pub struct StoreError {
    /// What a caller can do about it.
    pub kind: StoreErrorKind,
    /// What was tried, as `reading`, `listing`, `writing`, `copying`, `deleting`.
    pub operation: &'static str,
    /// The object or prefix.
    pub uri: String,
    /// What happened, lower case, without full stop.
    pub message: String,
}

/// The result of a store's operation.
pub type StoreResult<T> = Result<T, StoreError>;

/// A flat set of objects under one base.
pub trait Store: Debug + Send + Sync {
    /// The base: `s3://bucket/prefix` or `file:///folder`, without a slash at its end.
    fn base_uri(&self) -> &str;

    /// All objects whose key begins with `prefix` (a plain string prefix, `""` for all), in any order.
    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, StoreResult<ObjectMeta>>;

    /// The object's size, etag and `sha256`, or `None` when there is none. A folder reads the file
    /// and computes the hash, since it has no user metadata.
    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Option<ObjectMeta>>>;

    /// The object's bytes, whole or a range of them.
    fn get<'a>(&'a self, key: &'a str, options: GetOptions) -> BoxFuture<'a, StoreResult<Bytes>>;

    /// Writes the object, replacing one of that key; for names that are content addresses or caches.
    /// `sha256` (lower-case hex) is sent as checksum and kept as user metadata.
    fn put<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
        sha256: &'a str,
    ) -> BoxFuture<'a, StoreResult<()>>;

    /// Writes the object only if there is none of that key; else [`StoreErrorKind::Precondition`].
    /// An answer that was lost is not resolved here: `Precondition` may mean one's own write.
    fn put_new<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
        sha256: &'a str,
    ) -> BoxFuture<'a, StoreResult<()>>;

    /// Copies on the server, with the user metadata, only if `to` does not exist yet.
    fn copy_new<'a>(&'a self, from: &'a str, to: &'a str) -> BoxFuture<'a, StoreResult<()>>;

    /// Deletes the object; one that is not there is no error.
    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<()>>;

    /// Makes durable what is seen at this key, whoever wrote it: that it is there does not say that it would
    /// outlast a loss of power, when its writer was killed on the way. A bucket knows no such state.
    fn make_durable<'a>(&'a self, _key: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Deletes what killed writers have left unfinished below a prefix that ends with `/`, and that no
    /// listing shows; gives how much that was. A bucket has none.
    fn clear_unfinished<'a>(&'a self, _prefix: &'a str) -> BoxFuture<'a, StoreResult<u64>> {
        Box::pin(std::future::ready(Ok(0)))
    }

    /// How many requests were sent again so far.
    fn retries(&self) -> u64;

    /// Whether something that was deleted here is known to live on as an older version.
    fn keeps_versions(&self) -> bool {
        false
    }

    /// What the store finds out of itself, for `doctor`, by requests that change nothing.
    fn facts(&self) -> BoxFuture<'_, StoreFacts> {
        Box::pin(async { StoreFacts::default() })
    }

    /// The full URI of a key.
    fn uri(&self, key: &str) -> String {
        format!("{}/{key}", self.base_uri())
    }
}

impl StoreError {
    /// An error of this kind.
    pub fn new(
        kind: StoreErrorKind,
        operation: &'static str,
        uri: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self { kind, operation, uri: uri.into(), message: message.into() }
    }
}

/// The SHA-256 of these bytes, as [`Store::put`] and [`Store::put_new`] take it.
pub fn sha256_hex(bytes: &[u8]) -> String {
    uri::hex(&Sha256::digest(bytes))
}

impl StoreErrorKind {
    /// The same request may succeed when it is sent again later: [`Self::Conflict`] and
    /// [`Self::Unavailable`].
    pub fn is_passing(self) -> bool {
        matches!(self, Self::Conflict | Self::Unavailable)
    }
}

impl GetOptions {
    /// Only if the object still has this etag.
    pub fn if_match(etag: impl Into<String>) -> Self {
        Self { if_match: Some(etag.into()), ..Self::default() }
    }

    /// An object that this program wrote.
    pub fn own() -> Self {
        Self { own: true, ..Self::default() }
    }

    /// The same, and only these bytes.
    #[must_use]
    pub fn range(mut self, range: Range<u64>) -> Self {
        self.range = Some(range);
        self
    }
}

/// The part of `0..size` that a range asks for: `(start, length)`.
fn clamp_range(range: Option<&Range<u64>>, size: u64) -> (u64, u64) {
    range.map_or((0, size), |range| {
        let start = range.start.min(size);
        (start, range.end.min(size).saturating_sub(start))
    })
}
