//! A store whose listing leaves some keys out: the copies that a stream makes of its records.
//!
//! In: a store, and what keys begin with. Out: the same store, those keys unlisted. What can go wrong and
//! what bounds it is the store's own. Reading a key by its name goes through, so that what a lake has read
//! before is found again.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt as _};

use crate::store::{GetOptions, ObjectMeta, Store, StoreResult};

/// A store without some of its keys.
#[derive(Debug)]
pub(super) struct Without {
    store: Arc<dyn Store>,
    /// Of all that a key begins with, the longest says whether it is kept.
    rules: Vec<(String, bool)>,
}

impl Without {
    pub(super) fn new(store: Arc<dyn Store>, rules: Vec<(String, bool)>) -> Self {
        Self { store, rules }
    }

    fn keeps(&self, key: &str) -> bool {
        let fits = self.rules.iter().filter(|(start, _)| key.starts_with(start.as_str()));
        fits.max_by_key(|(start, _)| start.len()).is_none_or(|(_, kept)| *kept)
    }
}

impl Store for Without {
    fn base_uri(&self) -> &str {
        self.store.base_uri()
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, StoreResult<ObjectMeta>> {
        let is_kept = move |listed: &StoreResult<ObjectMeta>| {
            let kept = listed.as_ref().map_or(true, |meta| self.keeps(&meta.key));
            futures::future::ready(kept)
        };
        self.store.list(prefix).filter(is_kept).boxed()
    }

    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Option<ObjectMeta>>> {
        self.store.head(key)
    }

    fn get<'a>(&'a self, key: &'a str, options: GetOptions) -> BoxFuture<'a, StoreResult<Bytes>> {
        self.store.get(key, options)
    }

    fn put<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
        sha256: &'a str,
    ) -> BoxFuture<'a, StoreResult<()>> {
        self.store.put(key, bytes, sha256)
    }

    fn put_new<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
        sha256: &'a str,
    ) -> BoxFuture<'a, StoreResult<()>> {
        self.store.put_new(key, bytes, sha256)
    }

    fn copy_new<'a>(&'a self, from: &'a str, to: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        self.store.copy_new(from, to)
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        self.store.delete(key)
    }

    fn retries(&self) -> u64 {
        self.store.retries()
    }
}
