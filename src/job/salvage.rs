//! Objects that are gone, as far as rejects have kept them.
//!
//! In: whole documents with their offsets, of objects that are no longer in their archive. Out: a plan
//! over archives that give each object back with white space where nothing was kept, so that its
//! documents are read where they were, by the ordinary way. Only well-formed documents are taken: what
//! the bytes around them would have changed cannot be told of others. Memory: the documents.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt as _, ready};
use futures::stream::{BoxStream, StreamExt as _};

use crate::archive::arrival::Arrival;
use crate::job::commit_rejects::Mark;
use crate::job::plan::{Archive, Planned};
use crate::lake::reject_states::Held;
use crate::store::{GetOptions, ObjectMeta, Store, StoreError, StoreErrorKind, StoreResult};

/// What is held of one object: documents by their offset.
pub(crate) type Documents = BTreeMap<u64, Vec<u8>>;

/// What can be read of objects that are not there.
#[derive(Debug, Default)]
pub(crate) struct Salvage {
    /// The archives of the plan.
    pub(crate) archives: Vec<Archive>,
    /// The objects.
    pub(crate) plan: Vec<Planned>,
    /// The offsets of the documents that are there, by place in the plan.
    pub(crate) offsets: HashMap<usize, HashSet<u64>>,
}

/// Whether a reject has kept a document that is whole and well-formed, inside of what may be read.
pub(crate) fn is_whole_document(held: &Held, object_bytes_max: u64) -> bool {
    let length = held.bytes.len() as u64;
    length == held.length
        && length == held.bytes_length
        && held.offset.saturating_add(length) <= object_bytes_max
        && held.bytes.first() == Some(&b'{')
        && serde_json::from_slice::<serde::de::IgnoredAny>(&held.bytes).is_ok()
}

/// The archive that an object lies in, and its key there.
pub(crate) fn place_of<'a>(archives: &[Archive], uri: &'a str) -> Option<(usize, &'a str)> {
    archives.iter().enumerate().find_map(|(index, archive)| {
        let key = uri.strip_prefix(archive.store.base_uri())?.strip_prefix('/')?;
        key.starts_with(&archive.prefix).then_some((index, key))
    })
}

/// Plans what was kept of these objects, and takes its offsets from what is to be marked.
pub(crate) fn plan(from: &[Archive], kept: Vec<(usize, Documents)>, marks: &mut [Mark]) -> Salvage {
    let mut stores: BTreeMap<usize, Kept> = BTreeMap::new();
    let mut found: Vec<(usize, ObjectMeta, i64, HashSet<u64>)> = Vec::new();
    for (index, documents) in kept {
        let Some(mark) = marks.get_mut(index) else { continue };
        let (uri, etag) = &mark.object;
        let Some((archive, key)) = place_of(from, uri) else { continue };
        let key = key.to_owned();
        let documents = apart(documents);
        let end = documents.last_key_value().map(|(offset, bytes)| offset + bytes.len() as u64);
        let Some(size) = end else { continue };
        let offsets: HashSet<u64> = documents.keys().copied().collect();
        mark.except.extend(&offsets);
        let store = stores.entry(archive).or_insert_with(|| Kept {
            base: from.get(archive).map_or_else(String::new, |own| own.store.base_uri().to_owned()),
            objects: BTreeMap::new(),
        });
        store.objects.insert(key.clone(), documents);
        let meta = ObjectMeta {
            key,
            size,
            etag: etag.to_string(),
            last_modified_ms: 0,
            archived: false,
            sha256: None,
        };
        found.push((archive, meta, mark.arrived_hour_ms, offsets));
    }
    let numbers: HashMap<usize, usize> =
        stores.keys().enumerate().map(|(number, archive)| (*archive, number)).collect();
    let mut salvage = Salvage::default();
    for (archive, meta, hour_ms, offsets) in found {
        let Some(archive) = numbers.get(&archive).copied() else { continue };
        salvage.offsets.insert(salvage.plan.len(), offsets);
        let arrival = Arrival { at_ms: hour_ms, hour_ms };
        salvage.plan.push(Planned { archive, meta, arrival });
    }
    let archive = |store| Archive { store: Arc::new(store), prefix: String::new() };
    salvage.archives = stores.into_values().map(archive).collect();
    salvage
}

/// Without documents that begin inside of another one.
fn apart(documents: Documents) -> Documents {
    let mut end = 0;
    let mut apart = Documents::new();
    for (offset, bytes) in documents {
        if offset >= end {
            end = offset + bytes.len() as u64;
            apart.insert(offset, bytes);
        }
    }
    apart
}

/// Kept documents as a store of the objects that they are of.
#[derive(Debug)]
struct Kept {
    base: String,
    objects: BTreeMap<String, Documents>,
}

impl Kept {
    fn read(&self, key: &str, range: Option<Range<u64>>) -> StoreResult<Bytes> {
        let documents = self.objects.get(key).ok_or_else(|| {
            StoreError::new(StoreErrorKind::NotFound, "reading", self.uri(key), "nothing was kept")
        })?;
        let size = documents.last_key_value().map_or(0, |(at, bytes)| at + bytes.len() as u64);
        let range = range.unwrap_or(0..size);
        let range = range.start.min(size)..range.end.min(size);
        let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        let mut out = vec![b' '; length];
        for (offset, bytes) in documents {
            let (start, end) = (*offset, offset + bytes.len() as u64);
            let (from, to) = (start.max(range.start), end.min(range.end));
            if from >= to {
                continue;
            }
            let here = |at: u64, base: u64| usize::try_from(at - base).unwrap_or(usize::MAX);
            let target = out.get_mut(here(from, range.start)..here(to, range.start));
            let source = bytes.get(here(from, start)..here(to, start));
            if let (Some(target), Some(source)) = (target, source) {
                target.copy_from_slice(source);
            }
        }
        Ok(Bytes::from(out))
    }

    fn refuse<T: Send + 'static>(&self, key: &str) -> BoxFuture<'static, StoreResult<T>> {
        let message = "what rejects have kept is only read";
        let uri = self.uri(key);
        ready(Err(StoreError::new(StoreErrorKind::Other, "writing", uri, message))).boxed()
    }
}

impl Store for Kept {
    fn base_uri(&self) -> &str {
        &self.base
    }

    fn list<'a>(&'a self, _prefix: &'a str) -> BoxStream<'a, StoreResult<ObjectMeta>> {
        futures::stream::empty().boxed()
    }

    fn head<'a>(&'a self, _key: &'a str) -> BoxFuture<'a, StoreResult<Option<ObjectMeta>>> {
        ready(Ok(None)).boxed()
    }

    fn get<'a>(&'a self, key: &'a str, options: GetOptions) -> BoxFuture<'a, StoreResult<Bytes>> {
        ready(self.read(key, options.range)).boxed()
    }

    fn put<'a>(
        &'a self,
        key: &'a str,
        _bytes: Bytes,
        _sha256: &'a str,
    ) -> BoxFuture<'a, StoreResult<()>> {
        self.refuse(key)
    }

    fn put_new<'a>(
        &'a self,
        key: &'a str,
        _bytes: Bytes,
        _sha256: &'a str,
    ) -> BoxFuture<'a, StoreResult<()>> {
        self.refuse(key)
    }

    fn copy_new<'a>(&'a self, _from: &'a str, to: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        self.refuse(to)
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        self.refuse(key)
    }

    fn retries(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_stand_where_they_stood() {
        let documents = apart(Documents::from([
            (3, b"{\"a\":1}".to_vec()),
            (5, b"{}".to_vec()),
            (12, b"{}".to_vec()),
        ]));
        let objects = BTreeMap::from([("k".to_owned(), documents)]);
        let kept = Kept { base: "memory://archive".into(), objects };
        let whole = "   {\"a\":1}  {}";
        assert_eq!(kept.read("k", None).unwrap(), whole);
        for start in 0..whole.len() {
            for end in start..whole.len() + 2 {
                let range = start as u64..end as u64;
                let expected = whole.get(start..end.min(whole.len())).unwrap();
                assert_eq!(kept.read("k", Some(range)).unwrap(), expected, "{start} {end}");
            }
        }
        assert_eq!(kept.read("j", None).unwrap_err().kind, StoreErrorKind::NotFound);
    }
}
