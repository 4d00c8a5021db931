//! The ids of the rows in visible parts, streamed: what a wave is compared with.
//!
//! In: files that the log names. Out: their ids, a row group at a time, of which only the id column is
//! fetched. A file that is gone, cut, or not what the log says, is [`LakeError::Damaged`] with its key
//! ([`super::part_guard`]). Memory: the id column of one row group of
//! each file that is read at once.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use parquet::DecodeResult;
use parquet::arrow::ProjectionMask;
use parquet::arrow::push_decoder::{ParquetPushDecoder, ParquetPushDecoderBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataPushDecoder};

use super::error::{LakeError, LakeResult};
use super::ids::{IdSet, parse_id};
use super::layout::Table;
use super::ledger::LedgerFile;
use super::part_guard::{TAIL_BYTES, check_footer, check_metadata, footer_bytes, guarded};
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

/// Reads what a part says of itself; a part that is gone or cut is [`LakeError::Damaged`].
pub(super) async fn read_footer(
    store: &dyn Store,
    file: &LedgerFile,
) -> LakeResult<Arc<ParquetMetaData>> {
    let metadata = read_unknown_footer(store, file).await?;
    check_metadata(file, &metadata)?;
    Ok(Arc::new(metadata))
}

/// The same of a file of whose rows no log tells: they are not held against `file`.
pub(super) async fn read_unknown_footer(
    store: &dyn Store,
    file: &LedgerFile,
) -> LakeResult<ParquetMetaData> {
    let mut range = file.bytes.saturating_sub(FOOTER_BYTES)..file.bytes;
    let mut end = fetch(store, file, std::slice::from_ref(&range)).await?.pop().unwrap_or_default();
    let length = footer_bytes(file, &end)?;
    let start = file.bytes - TAIL_BYTES - length;
    if start < range.start {
        range.start = start;
        end = fetch(store, file, std::slice::from_ref(&range)).await?.pop().unwrap_or_default();
    }
    let from = usize::try_from(start - range.start).unwrap_or(usize::MAX);
    let footer = end.get(from..end.len().saturating_sub(8)).unwrap_or_default();
    check_footer(file, footer)?;
    let result = guarded(file, || {
        // No row is chosen by its page.
        let decoder = ParquetMetaDataPushDecoder::try_new(file.bytes)?;
        let mut decoder = decoder.with_page_index_policy(PageIndexPolicy::Skip);
        decoder.push_range(range, end.clone())?;
        decoder.try_decode()
    })?;
    let DecodeResult::Data(metadata) = result else {
        return Err(LakeError::damaged(&file.key, "has no whole Parquet footer"));
    };
    Ok(metadata)
}

pub(super) async fn fetch(
    store: &dyn Store,
    file: &LedgerFile,
    ranges: &[Range<u64>],
) -> LakeResult<Vec<Bytes>> {
    let mut data = Vec::with_capacity(ranges.len());
    for range in ranges {
        if range.start >= range.end || range.end > file.bytes {
            return Err(LakeError::damaged(&file.key, "has a footer that points outside of it"));
        }
        let options = GetOptions::default().range(range.clone());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::dedupe::Pick;
    use crate::lake::part::encode;
    use crate::lake::testing::{TestRow, rows_of};
    use crate::store::Memory;
    use parquet::arrow::ArrowWriter;
    use parquet::file::properties::WriterProperties;

    fn batch(count: u128) -> RecordBatch {
        let rows: Vec<TestRow> =
            (0..count).map(|id| TestRow { id, ..TestRow::default() }).collect();
        rows_of(&rows).batch
    }

    fn part(count: u128) -> Bytes {
        let picks: Vec<Pick> =
            (0..u32::try_from(count).unwrap()).map(|row| Pick { batch: 0, row }).collect();
        encode(Table::Findings, &[batch(count)], &picks).unwrap().bytes
    }

    fn stored(bytes: impl Into<Bytes>, rows: u64) -> (Memory, LedgerFile) {
        let (store, bytes) = (Memory::new("lake"), bytes.into());
        let (key, length) = ("findings/x.parquet".to_owned(), bytes.len() as u64);
        store.insert(key.clone(), bytes);
        (store, LedgerFile { commit: 1, key, rows, bytes: length, sha256: String::new() })
    }

    async fn read(store: &Memory, file: &LedgerFile) -> LakeResult<Vec<u128>> {
        let mut reader = IdReader::open(store, Table::Findings, file).await?;
        let mut all = Vec::new();
        while let Some(ids) = reader.next().await? {
            all.extend(ids);
        }
        Ok(all)
    }

    #[tokio::test]
    async fn ids_are_read_in_order_from_all_row_groups() {
        let (store, file) = stored(part(100), 100);
        assert_eq!(read(&store, &file).await.unwrap(), (0..100).collect::<Vec<u128>>());
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(7)).build();
        let batch = batch(100);
        let mut writer =
            ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        let (store, file) = stored(writer.into_inner().unwrap(), 100);
        assert_eq!(read(&store, &file).await.unwrap(), (0..100).collect::<Vec<u128>>());
    }

    #[tokio::test]
    async fn only_asked_ids_are_kept() {
        let (store, file) = stored(part(100), 100);
        let even = |id: u128| id < 10 && id.is_multiple_of(2);
        let known = known_ids(&store, Table::Findings, &[&file, &file], 2, &even).await.unwrap();
        let mut known: Vec<u128> = known.into_iter().collect();
        known.sort_unstable();
        assert_eq!(known, [0, 2, 4, 6, 8]);
    }

    #[tokio::test]
    async fn a_file_that_is_not_what_the_log_says_is_named() {
        let whole = part(100);
        let cases = [
            ("cut", whole.slice(..whole.len() - 1), 100, None),
            ("empty", Bytes::new(), 100, None),
            ("no Parquet", Bytes::from(vec![b'x'; 300]), 100, None),
            ("shorter than the log says", whole.clone(), 100, Some(whole.len() as u64 + 9)),
            ("more rows than the log says", whole.clone(), 99, None),
            ("of another table", crate::lake::rejects::tests::part(), 1, None),
        ];
        for (case, bytes, rows, length) in cases {
            let (store, mut file) = stored(bytes, rows);
            file.bytes = length.unwrap_or(file.bytes);
            let error = read(&store, &file).await.unwrap_err();
            assert!(matches!(error, LakeError::Damaged { .. }), "{case}: {error}");
            assert_eq!(error.key(), file.key, "{case}");
        }
        let (store, file) = stored(whole, 100);
        store.delete(&file.key).await.unwrap();
        let error = read(&store, &file).await.unwrap_err();
        assert!(error.to_string().contains("is gone"), "{error}");
    }

    #[tokio::test]
    async fn damaged_bytes_never_panic_and_never_pass_as_other_rows_than_the_log_says() {
        let whole = part(20);
        // Every byte of the footer, and a sample of the pages.
        let footer = whole.len().saturating_sub(1_500);
        for at in (0..footer).step_by(29).chain(footer..whole.len()) {
            for flip in [0x01_u8, 0x80, 0xff] {
                let mut bytes = whole.to_vec();
                bytes[at] ^= flip;
                let (store, file) = stored(bytes, 20);
                match read(&store, &file).await {
                    Ok(ids) => assert_eq!(ids.len(), 20, "byte {at}"),
                    Err(error) => assert_eq!(error.key(), file.key, "byte {at}"),
                }
            }
        }
    }
}
