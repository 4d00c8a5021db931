//! What is to be sent: the documents of archives, or what rejects have kept, record by record.
//!
//! In: objects in the order of their last change, or the rejects of a lake. Out: [`Item`]s over a queue, each
//! with its place and with the [`Cursor`] behind it. A document that is Firehose's own record of a failure
//! gives the record that it held. What cannot be sent is an item too. Wrong: an object that is gone, or was
//! rewritten, is an item; a store that does not answer ends it all, so that a repetition goes on there.
//! Memory: one object of 16 MiB or two ranges of it, one document, and [`QUEUE`] chunks of [`CHUNK_BYTES`].

use std::io::{Cursor as Bytewise, Read};
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::sync::mpsc::Sender;

use crate::archive::documents::Documents;
use crate::archive::fetch::{RangedSource, fetch};
use crate::archive::recognize::original_record;
use crate::archive::split::{Piece, SplitLimits, parse};
use crate::finding::json::{Arena, Json};
use crate::finding::limits::CountLimits;
use crate::job::plan::Archive;
use crate::lake::ledger::Ledger;
use crate::lake::reject_rows::{
    COLUMNS_AND_BYTES, Latest, RejectFilter, RejectView, files_by_partition,
};
use crate::store::firehose::RECORD_BYTES_MAX;
use crate::store::{ObjectMeta, Store, StoreError, StoreErrorKind};

/// Chunks that wait to be taken.
pub(super) const QUEUE: usize = 4;
/// Bytes after which a chunk is handed over.
const CHUNK_BYTES: usize = 1 << 20;
/// Items after which it is.
const CHUNK_ITEMS: usize = 500;
/// A larger object is fetched in ranges of half of it.
const WHOLE_OBJECT_BYTES: u64 = 16 << 20;
const RANGE_BYTES: u64 = 8 << 20;

/// What to do with Firehose's own records of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorRecords {
    /// Send the record that it holds, as it was put in the first place.
    Original,
    /// Send it as it stands.
    Whole,
    /// Leave it out.
    Skip,
}

/// How far a replay is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cursor {
    /// In archives.
    Archive {
        /// When the object was changed last.
        last_modified_ms: i64,
        /// Its URI.
        object: String,
        /// Its etag.
        etag: String,
        /// Documents that begin before it are done; none when all are.
        offset: Option<u64>,
        /// How many objects of that very moment had their turn, this one too: if another repetition counts
        /// differently, objects came that nobody saw, and those of that moment are sent again.
        turns: u64,
    },
    /// In the rejects of a lake.
    Lake {
        /// The commit that the lake was read at.
        version: u64,
        /// How many of its rejects are done.
        rejects: u64,
    },
}

/// Where a record comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) object: Arc<str>,
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// What becomes of a document.
#[derive(Debug, Clone)]
pub(super) enum What {
    /// To be sent.
    Record(Bytes),
    /// Not to be sent, for this reason.
    Skip(&'static str, String),
    /// An object that cannot be read; no document.
    FailedObject(StoreError),
    /// The end of an object; no document.
    End,
}

/// One document.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) origin: Origin,
    pub(super) what: What,
    /// How far one is with it.
    pub(super) cursor: Cursor,
}

/// An object to be read.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) archive: usize,
    pub(super) meta: ObjectMeta,
    pub(super) uri: String,
    /// Documents that begin before it were done before.
    pub(super) from: u64,
    pub(super) turns: u64,
}

/// How to read.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReadAs {
    pub(super) error_records: ErrorRecords,
    pub(super) object_bytes_max: u64,
    pub(super) document_bytes_max: usize,
}

/// Items in the making.
struct Chunks<'a> {
    sender: &'a Sender<Vec<Item>>,
    items: Vec<Item>,
    bytes: usize,
}

/// Nobody takes items any more.
struct Gone;

impl Chunks<'_> {
    /// `true` when they are to be handed over.
    fn push(&mut self, item: Item) -> bool {
        if let What::Record(bytes) = &item.what {
            self.bytes += bytes.len();
        }
        self.items.push(item);
        self.items.len() >= CHUNK_ITEMS || self.bytes >= CHUNK_BYTES
    }

    fn take(&mut self) -> Vec<Item> {
        self.bytes = 0;
        std::mem::take(&mut self.items)
    }

    async fn flush(&mut self) -> Result<(), Gone> {
        let items = self.take();
        self.sender.send(items).await.map_err(|_| Gone)
    }

    fn flush_blocking(&mut self) -> Result<(), Gone> {
        let items = self.take();
        self.sender.blocking_send(items).map_err(|_| Gone)
    }
}

/// Reads objects one after the other.
pub(super) async fn read_archives(
    archives: Vec<Archive>,
    sources: Vec<Source>,
    read_as: ReadAs,
    sender: Sender<Vec<Item>>,
) -> anyhow::Result<()> {
    for source in sources {
        let Some(archive) = archives.get(source.archive) else { continue };
        match open_object(archive, &source.meta).await {
            Ok(body) => {
                let (sender, uri) = (sender.clone(), source.uri.clone());
                let read = move || read_object(body, &source, read_as, &sender);
                let ended = tokio::task::spawn_blocking(read).await?;
                match ended.with_context(|| format!("reading `{uri}`"))? {
                    Ok(()) => {}
                    Err(Gone) => return Ok(()),
                }
            }
            Err(error) if error.kind.is_passing() => return Err(error.into()),
            Err(error) => {
                let item = source.item(0..0, What::FailedObject(error), None);
                if sender.send(vec![item]).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

async fn open_object(
    archive: &Archive,
    meta: &ObjectMeta,
) -> Result<Box<dyn Read + Send>, StoreError> {
    let store = &archive.store;
    if meta.archived {
        let message = "the object lies in an archive storage class; hint: restore it first";
        let uri = store.uri(&meta.key);
        return Err(StoreError::new(StoreErrorKind::Archived, "reading", uri, message));
    }
    if meta.size <= WHOLE_OBJECT_BYTES {
        let bytes = fetch(store.as_ref(), &meta.key, meta.size, &meta.etag).await?;
        return Ok(Box::new(Bytewise::new(bytes)));
    }
    let (key, etag) = (meta.key.clone(), meta.etag.clone());
    let store = Arc::clone(store);
    Ok(Box::new(RangedSource::new(Handle::current(), store, key, meta.size, etag, RANGE_BYTES)))
}

impl Source {
    fn item(&self, range: std::ops::Range<u64>, what: What, offset: Option<u64>) -> Item {
        Item {
            origin: Origin {
                object: self.uri.as_str().into(),
                offset: range.start,
                length: range.end - range.start,
            },
            what,
            cursor: Cursor::Archive {
                last_modified_ms: self.meta.last_modified_ms,
                object: self.uri.clone(),
                etag: self.meta.etag.clone(),
                offset,
                turns: self.turns,
            },
        }
    }
}

fn read_object(
    body: Box<dyn Read + Send>,
    source: &Source,
    read_as: ReadAs,
    sender: &Sender<Vec<Item>>,
) -> std::io::Result<Result<(), Gone>> {
    let limits = SplitLimits {
        document_bytes_max: read_as.document_bytes_max,
        counts: CountLimits::DEFAULT,
    };
    let mut documents = Documents::new(body, read_as.object_bytes_max, limits);
    let mut chunks = Chunks { sender, items: Vec::new(), bytes: 0 };
    loop {
        let next = documents.next(|_, piece| match piece {
            Piece::Document { range, .. } if range.start < source.from => None,
            Piece::Reject { range, .. } if range.start < source.from => None,
            Piece::Document { range, bytes, parsed } => {
                let what = record(bytes, &parsed.json, read_as.error_records);
                let end = range.end;
                Some(source.item(range, what, Some(end)))
            }
            Piece::Reject { range, reason, detail, .. } => {
                let what = What::Skip("unreadable", format!("{}: {detail}", reason.name()));
                let end = range.end;
                Some(source.item(range, what, Some(end)))
            }
        })?;
        let is_full = match next {
            Some(Some(item)) => chunks.push(item),
            Some(None) => false,
            None => break,
        };
        if is_full && chunks.flush_blocking().is_err() {
            return Ok(Err(Gone));
        }
    }
    let end = documents.decompressed_bytes();
    chunks.push(source.item(end..end, What::End, None));
    Ok(chunks.flush_blocking())
}

/// What is sent of a document.
fn record(bytes: &[u8], json: &Json<'_>, error_records: ErrorRecords) -> What {
    let whole = || sized(Bytes::copy_from_slice(bytes));
    if error_records == ErrorRecords::Whole {
        return whole();
    }
    match original_record(json) {
        None => whole(),
        Some(_) if error_records == ErrorRecords::Skip => What::Skip("error_record", String::new()),
        Some(Ok(original)) => sized(original.into()),
        Some(Err(why)) => What::Skip("unreadable", why.to_owned()),
    }
}

fn sized(bytes: Bytes) -> What {
    match bytes.len() {
        0 => What::Skip("empty", "the record holds nothing".to_owned()),
        length if length > RECORD_BYTES_MAX => {
            let detail =
                format!("{length} bytes, where Firehose takes {RECORD_BYTES_MAX} in a record");
            What::Skip("too_large", detail)
        }
        _ => What::Record(bytes),
    }
}

/// Reads what the rejects of a lake have kept, at one version, from the `done`th on.
pub(super) async fn read_rejects(
    lake: Arc<dyn Store>,
    ledger: Ledger,
    version: u64,
    done: u64,
    filter: RejectFilter,
    error_records: ErrorRecords,
    sender: Sender<Vec<Item>>,
) -> anyhow::Result<()> {
    let mut chunks = Chunks { sender: &sender, items: Vec::new(), bytes: 0 };
    let mut count = 0;
    for (_, mut files) in files_by_partition(&ledger, &filter.times()) {
        // Later commits neither add rejects nor settle any, so that they are counted as before.
        files.retain(|file| file.commit <= version);
        let mut latest = Latest::open(lake.as_ref(), &files, &COLUMNS_AND_BYTES).await?;
        loop {
            let mut is_full = false;
            let goes_on = latest
                .visit_some(|row| {
                    if !row.state.waits() || !filter.takes(row) {
                        return;
                    }
                    count += 1;
                    if count > done {
                        let cursor = Cursor::Lake { version, rejects: count };
                        let what = of_reject(row, error_records);
                        let origin = Origin {
                            object: row.object.into(),
                            offset: row.offset,
                            length: row.length,
                        };
                        is_full |= chunks.push(Item { origin, what, cursor });
                    }
                })
                .await?;
            if is_full && chunks.flush().await.is_err() {
                return Ok(());
            }
            if !goes_on {
                break;
            }
        }
    }
    drop(chunks.flush().await);
    Ok(())
}

fn of_reject(row: &RejectView<'_>, error_records: ErrorRecords) -> What {
    if row.bytes.is_empty() && row.length > 0 {
        // The first reject of a document keeps its bytes; the others are of the same document.
        return What::Skip("same_document", String::new());
    }
    if row.bytes_cut || row.bytes.len() as u64 != row.length {
        let detail = format!("{} of its {} bytes are kept", row.bytes.len(), row.length);
        return What::Skip("cut", detail);
    }
    let (mut repaired, arena) = (String::new(), Arena::default());
    match parse(row.bytes, &mut repaired, &arena) {
        Ok(parsed) => record(row.bytes, &parsed.json, error_records),
        Err(_) => sized(Bytes::copy_from_slice(row.bytes)),
    }
}
