//! The ids of the rows in visible parts, streamed: what a wave is compared with.
//!
//! In: files that the log names. Out: their ids, a row group at a time, of which only the id column is
//! fetched. A file that is gone, cut, or not what the log says, is [`LakeError::Damaged`] with its key;
//! a reader that panics on damaged bytes counts as that too. Memory: the id column of one row group of
//! each file that is read at once.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use parquet::DecodeResult;
use parquet::arrow::ProjectionMask;
use parquet::arrow::push_decoder::{ParquetPushDecoder, ParquetPushDecoderBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataPushDecoder};

use super::error::{LakeError, LakeResult};
use super::ids::{IdSet, parse_id};
use super::layout::Table;
use super::ledger::LedgerFile;
use crate::store::{GetOptions, Store, StoreErrorKind};

/// How much of a file's end is fetched first: the footer of any part but the largest.
const FOOTER_BYTES: u64 = 64 << 10;
/// Rows decoded at a time.
const BATCH_ROWS: usize = 8_192;

/// Streams the ids of these files past `contains`, at most `concurrency` files at a time, and gives
/// those for which it is true. The answer is bounded by what `contains` knows, not by the files.
pub async fn known_ids(
    store: &dyn Store,
    table: Table,
    files: &[&LedgerFile],
    concurrency: usize,
    contains: &(dyn Fn(u128) -> bool + Sync),
) -> LakeResult<IdSet> {
    stream::iter(files.iter().map(|file| known_of(store, table, file, contains)))
        .buffer_unordered(concurrency.max(1))
        .try_fold(IdSet::default(), |mut all, some| async move {
            all.extend(some);
            Ok(all)
        })
        .await
}

async fn known_of(
    store: &dyn Store,
    table: Table,
    file: &LedgerFile,
    contains: &(dyn Fn(u128) -> bool + Sync),
) -> LakeResult<Vec<u128>> {
    let mut reader = IdReader::open(store, table, file).await?;
    let mut known = Vec::new();
    while let Some(ids) = reader.next().await? {
        known.extend(ids.into_iter().filter(|id| contains(*id)));
    }
    Ok(known)
}

/// Reads the ids of one part.
#[derive(Debug)]
pub struct IdReader<'a> {
    store: &'a dyn Store,
    file: &'a LedgerFile,
    decoder: ParquetPushDecoder,
    rows: u64,
}

impl<'a> IdReader<'a> {
    /// Reads the footer.
    pub async fn open(
        store: &'a dyn Store,
        table: Table,
        file: &'a LedgerFile,
    ) -> LakeResult<Self> {
        let metadata = read_footer(store, file).await?;
        let decoder = guarded(file, || {
            let builder = ParquetPushDecoderBuilder::try_new_decoder(metadata)?;
            let column = table.id_column();
            if builder.schema().column_with_name(column).is_none() {
                return Err(ParquetError::General(format!("it has no column `{column}`")));
            }
            let projection = ProjectionMask::columns(builder.parquet_schema(), [column]);
            builder.with_projection(projection).with_batch_size(BATCH_ROWS).build()
        })?;
        Ok(Self { store, file, decoder, rows: 0 })
    }

    /// The next ids in the order of the rows, or `None` after the last. The log's count is held
    /// against that of the rows read.
    pub async fn next(&mut self) -> LakeResult<Option<Vec<u128>>> {
        loop {
            match guarded(self.file, || self.decoder.try_decode())? {
                DecodeResult::NeedsData(ranges) => {
                    let data = fetch(self.store, self.file, &ranges).await?;
                    guarded(self.file, || self.decoder.push_ranges(ranges, data))?;
                }
                DecodeResult::Data(batch) => {
                    self.rows += batch.num_rows() as u64;
                    return ids_of(self.file, &batch).map(Some);
                }
                DecodeResult::Finished if self.rows == self.file.rows => return Ok(None),
                DecodeResult::Finished => {
                    let message =
                        format!("has {} rows, the log says {}", self.rows, self.file.rows);
                    return Err(LakeError::damaged(&self.file.key, message));
                }
            }
        }
    }
}

fn ids_of(file: &LedgerFile, batch: &RecordBatch) -> LakeResult<Vec<u128>> {
    let column = batch.columns().first().and_then(|column| column.as_string_opt::<i32>());
    let ids = column.into_iter().flatten();
    let ids: Option<Vec<u128>> = ids.map(|id| parse_id(id?.as_bytes())).collect();
    ids.filter(|ids| ids.len() == batch.num_rows())
        .ok_or_else(|| LakeError::damaged(&file.key, "has an id that is not 32 hex digits"))
}

async fn read_footer(store: &dyn Store, file: &LedgerFile) -> LakeResult<Arc<ParquetMetaData>> {
    let mut decoder = guarded(file, || ParquetMetaDataPushDecoder::try_new(file.bytes))?;
    let mut wanted = vec![file.bytes.saturating_sub(FOOTER_BYTES)..file.bytes];
    loop {
        let data = fetch(store, file, &wanted).await?;
        let result = guarded(file, || {
            decoder.push_ranges(wanted, data)?;
            decoder.try_decode()
        })?;
        match result {
            DecodeResult::Data(metadata) => return Ok(Arc::new(metadata)),
            DecodeResult::NeedsData(ranges) => wanted = ranges,
            DecodeResult::Finished => {
                return Err(LakeError::damaged(&file.key, "has no Parquet footer"));
            }
        }
    }
}

async fn fetch(
    store: &dyn Store,
    file: &LedgerFile,
    ranges: &[Range<u64>],
) -> LakeResult<Vec<Bytes>> {
    let mut data = Vec::with_capacity(ranges.len());
    for range in ranges {
        if range.start >= range.end || range.end > file.bytes {
            return Err(LakeError::damaged(&file.key, "has a footer that points outside of it"));
        }
        let options = GetOptions { range: Some(range.clone()), if_match: None };
        let bytes = store.get(&file.key, options).await.map_err(|error| match error.kind {
            StoreErrorKind::NotFound => LakeError::damaged(&file.key, "is gone"),
            _ => LakeError::Store(error),
        })?;
        if bytes.len() as u64 != range.end - range.start {
            return Err(LakeError::damaged(&file.key, "is shorter than the log says"));
        }
        data.push(bytes);
    }
    Ok(data)
}

/// Runs the Parquet reader, which was seen to panic on damaged footers (arrow-rs issues 9705, 9742 and
/// 9874); the half-read state is dropped with the error.
fn guarded<T>(file: &LedgerFile, read: impl FnOnce() -> Result<T, ParquetError>) -> LakeResult<T> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(LakeError::damaged(&file.key, format!("is not readable: {error}"))),
        Err(_) => Err(LakeError::damaged(&file.key, "is not readable as Parquet")),
    }
}
