//! Columns of visible parts, streamed: those that a report reads, or all of them for a copy.
//!
//! In: files that the log names, columns, a span of time. Out: batches of those columns in the order
//! asked for, a row group at a time, with null where an older file lacks a column; and the span of
//! time that a file says it covers. A file that is gone, cut, or not what the log says, is
//! [`LakeError::Damaged`] with its key; a reader that panics on damaged bytes counts as that too.
//! Memory: the chosen columns of one row group of each file that is open.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::new_null_array;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use parquet::DecodeResult;
use parquet::arrow::ProjectionMask;
use parquet::arrow::push_decoder::{ParquetPushDecoder, ParquetPushDecoderBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::statistics::Statistics;

use super::error::{LakeError, LakeResult};
use super::layout::Table;
use super::ledger::LedgerFile;
use super::part_guard::guarded;
use super::part_ids::{fetch, read_footer};
use super::rejects;
use crate::finding::columns;
use crate::store::Store;

/// Rows decoded at a time.
const BATCH_ROWS: usize = 8_192;
/// The same where each row may have a MiB of bytes.
const BATCH_ROWS_WITH_BYTES: usize = 16;
/// Bytes of all columns decoded at a time, as far as a footer tells.
const WHOLE_BATCH_BYTES: u64 = 1 << 20;
/// The least and most rows of that.
const WHOLE_BATCH_ROWS: Range<usize> = 1..1_024;
/// Ranges that lie this close are fetched as one: a request costs more than these bytes.
const GAP_BYTES: u64 = 256 << 10;
/// Requests for one row group at once.
const CONCURRENCY: usize = 4;

/// Rows and bytes of a file that is read whole at once.
const SMALL_ROWS_MAX: usize = 256;
const SMALL_BYTES_MAX: u64 = 256 << 10;

/// What its footer may say of its decoded bytes then.
const SMALL_DECODED_BYTES_MAX: u64 = 4 << 20;

/// What the columns take once they are decoded, at least, as far as a footer tells: a value that repeats
/// may be stored once.
fn decoded_bytes(groups: &[RowGroupMetaData]) -> u64 {
    let columns = groups.iter().flat_map(RowGroupMetaData::columns);
    let bytes = columns.map(|column| {
        let texts = column.unencoded_byte_array_data_bytes().unwrap_or_default();
        column.uncompressed_size().max(texts).unsigned_abs()
    });
    bytes.fold(0, u64::saturating_add)
}

/// Whether a file is of few rows and bytes, all of which come in one batch when they stay few once they
/// are decoded.
pub(super) fn is_small(file: &LedgerFile) -> bool {
    file.rows <= SMALL_ROWS_MAX as u64 && file.bytes <= SMALL_BYTES_MAX
}

/// The columns of a table, as this version writes them.
pub fn schema(table: Table) -> SchemaRef {
    match table {
        Table::Findings => columns::schema(),
        Table::Rejects => rejects::schema(),
    }
}

/// Reads columns of one part.
#[derive(Debug)]
pub struct RowReader<'a> {
    store: &'a dyn Store,
    file: &'a LedgerFile,
    schema: SchemaRef,
    decoder: ParquetPushDecoder,
    rows_left: u64,
    ahead: Option<RecordBatch>,
}

impl<'a> RowReader<'a> {
    /// Reads the footer. Of the row groups only those are read
    /// whose statistics allow a row inside `times`, of the table's clock.
    pub async fn open(
        store: &'a dyn Store,
        table: Table,
        file: &'a LedgerFile,
        columns: &[&str],
        times: &Range<i64>,
    ) -> LakeResult<Self> {
        let large = columns.contains(&"bytes");
        let batch_rows = if large { BATCH_ROWS_WITH_BYTES } else { BATCH_ROWS };
        Self::open_in(store, table, file, columns, times, batch_rows).await
    }

    /// The same, with at most so many rows in a batch: for columns that may be large.
    pub async fn open_in(
        store: &'a dyn Store,
        table: Table,
        file: &'a LedgerFile,
        columns: &[&str],
        times: &Range<i64>,
        batch_rows: usize,
    ) -> LakeResult<Self> {
        let metadata = read_footer(store, file).await?;
        let schema = chosen(table, columns);
        Self::build(store, table, file, metadata, schema, times, batch_rows)
    }

    /// Reads all columns, as this version writes them: null where an older file lacks one. A file with a
    /// column that this version does not know is refused, since it would be lost in a copy.
    pub async fn whole(
        store: &'a dyn Store,
        table: Table,
        file: &'a LedgerFile,
    ) -> LakeResult<Self> {
        let metadata = read_footer(store, file).await?;
        let schema = schema(table);
        let fields = metadata.file_metadata().schema().get_fields();
        let unknown = fields.iter().find(|field| schema.field_with_name(field.name()).is_err());
        if let Some(column) = unknown {
            let message = format!("this part has a column `{}` of a later version", column.name());
            return Err(LakeError::refused(&file.key, message, "update healthtrail"));
        }
        // Values that repeat are stored once and decoded often, hence the little that is taken at a time.
        let groups = metadata.row_groups();
        let bytes = decoded_bytes(groups);
        let row_bytes = (bytes / file.rows.max(1)).max(512);
        let rows = usize::try_from(WHOLE_BATCH_BYTES / row_bytes).unwrap_or(BATCH_ROWS);
        let rows = if is_small(file) && decoded_bytes(groups) <= SMALL_DECODED_BYTES_MAX {
            SMALL_ROWS_MAX
        } else {
            rows.clamp(WHOLE_BATCH_ROWS.start, WHOLE_BATCH_ROWS.end)
        };
        Self::build(store, table, file, metadata, schema, &(i64::MIN..i64::MAX), rows)
    }

    fn build(
        store: &'a dyn Store,
        table: Table,
        file: &'a LedgerFile,
        metadata: Arc<ParquetMetaData>,
        schema: SchemaRef,
        times: &Range<i64>,
        batch_rows: usize,
    ) -> LakeResult<Self> {
        let column = position(&metadata, table.time_column());
        let groups: Vec<usize> = metadata
            .row_groups()
            .iter()
            .enumerate()
            .filter(|(_, group)| {
                let span = column.and_then(|column| span_of(group, column));
                span.is_none_or(|(first, last)| first < times.end && last >= times.start)
            })
            .map(|(index, _)| index)
            .collect();
        let rows_left = groups.iter().filter_map(|index| metadata.row_groups().get(*index));
        let rows_left = rows_left.map(|group| group.num_rows().unsigned_abs()).sum();
        let decoder = guarded(file, || {
            let builder = ParquetPushDecoderBuilder::try_new_decoder(metadata)?;
            check_types(&schema, builder.schema())?;
            let names = schema.fields().iter().map(|field| field.name().as_str());
            let projection = ProjectionMask::columns(builder.parquet_schema(), names);
            builder
                .with_projection(projection)
                .with_row_groups(groups)
                .with_batch_size(batch_rows)
                .build()
        })?;
        Ok(Self { store, file, schema, decoder, rows_left, ahead: None })
    }

    /// Whether all rows were given out: there is no need to keep it open.
    pub(super) fn is_at_end(&self) -> bool {
        self.rows_left == 0 && self.ahead.is_none()
    }

    /// Fetches what the next rows need, so that [`RowReader::next`] does not wait for it.
    pub async fn fetch_ahead(&mut self) -> LakeResult<()> {
        if self.ahead.is_none() {
            self.ahead = self.next().await?;
        }
        Ok(())
    }

    /// The next rows, or `None` after the last.
    pub async fn next(&mut self) -> LakeResult<Option<RecordBatch>> {
        if let Some(batch) = self.ahead.take() {
            return Ok(Some(batch));
        }
        loop {
            match guarded(self.file, || self.decoder.try_decode())? {
                DecodeResult::NeedsData(ranges) => {
                    let data = fetch_near(self.store, self.file, &ranges).await?;
                    guarded(self.file, || self.decoder.push_ranges(ranges, data))?;
                }
                DecodeResult::Data(batch) => {
                    let rows = batch.num_rows() as u64;
                    self.rows_left = self.rows_left.checked_sub(rows).ok_or_else(|| {
                        LakeError::damaged(&self.file.key, "has more rows than its footer says")
                    })?;
                    return self.arrange(&batch).map(Some);
                }
                DecodeResult::Finished if self.rows_left == 0 => return Ok(None),
                DecodeResult::Finished => {
                    let message = "has fewer rows than its footer says";
                    return Err(LakeError::damaged(&self.file.key, message));
                }
            }
        }
    }

    /// The columns in the order asked for, and nulls for those that the file lacks.
    fn arrange(&self, batch: &RecordBatch) -> LakeResult<RecordBatch> {
        let column = |field: &Arc<Field>| {
            let read = batch.column_by_name(field.name()).map(Arc::clone);
            read.unwrap_or_else(|| new_null_array(field.data_type(), batch.num_rows()))
        };
        let columns = self.schema.fields().iter().map(column).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options).map_err(
            |error| LakeError::damaged(&self.file.key, format!("is not readable: {error}")),
        )
    }
}

/// The first and last moment of the table's clock in a file by its footer; `None` when it does not say.
pub async fn time_span(
    store: &dyn Store,
    table: Table,
    file: &LedgerFile,
) -> LakeResult<Option<(i64, i64)>> {
    let metadata = read_footer(store, file).await?;
    let Some(column) = position(&metadata, table.time_column()) else { return Ok(None) };
    let spans: Option<Vec<(i64, i64)>> =
        metadata.row_groups().iter().map(|group| span_of(group, column)).collect();
    let spans = spans.unwrap_or_default();
    Ok(spans.into_iter().reduce(|one, two| (one.0.min(two.0), one.1.max(two.1))))
}

/// All columns that this version of the program knows, in the order asked for; nullable, because
/// a file may be older than a column.
fn chosen(table: Table, columns: &[&str]) -> SchemaRef {
    let schema = schema(table);
    let fields = columns.iter().filter_map(|name| schema.field_with_name(name).ok());
    let fields: Vec<Field> = fields.map(|field| field.clone().with_nullable(true)).collect();
    Arc::new(Schema::new(fields))
}

fn check_types(wanted: &Schema, found: &Schema) -> Result<(), ParquetError> {
    for field in wanted.fields() {
        let column = found.field_with_name(field.name()).ok();
        if let Some(column) = column.filter(|column| column.data_type() != field.data_type()) {
            let (name, data_type) = (field.name(), column.data_type());
            return Err(ParquetError::General(format!("column `{name}` has type {data_type}")));
        }
    }
    Ok(())
}

fn position(metadata: &ParquetMetaData, column: &str) -> Option<usize> {
    let columns = metadata.file_metadata().schema_descr().columns();
    columns.iter().position(|found| found.path().string() == column)
}

fn span_of(group: &RowGroupMetaData, column: usize) -> Option<(i64, i64)> {
    match group.columns().get(column)?.statistics()? {
        Statistics::Int64(values) => Some((*values.min_opt()?, *values.max_opt()?)),
        _ => None,
    }
}

/// Fetches ranges, those that lie close to each other with one request.
async fn fetch_near(
    store: &dyn Store,
    file: &LedgerFile,
    ranges: &[Range<u64>],
) -> LakeResult<Vec<Bytes>> {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable_by_key(|range| (range.start, range.end));
    let mut spans: Vec<Range<u64>> = Vec::new();
    for range in sorted {
        match spans.last_mut() {
            Some(span) if range.start <= span.end.saturating_add(GAP_BYTES) => {
                span.end = span.end.max(range.end);
            }
            _ => spans.push(range),
        }
    }
    let fetched: Vec<(u64, Bytes)> = stream::iter(spans)
        .map(|span| async move {
            let start = span.start;
            let bytes = fetch(store, file, &[span]).await?.pop().unwrap_or_default();
            Ok::<_, LakeError>((start, bytes))
        })
        .buffered(CONCURRENCY)
        .try_collect()
        .await?;
    let part = |range: &Range<u64>| {
        let index = fetched.partition_point(|(start, _)| *start <= range.start);
        let (start, bytes) = fetched.get(index.checked_sub(1)?)?;
        let from = usize::try_from(range.start - start).ok()?;
        let to = usize::try_from(range.end.checked_sub(*start)?).ok()?;
        (from <= to && to <= bytes.len()).then(|| bytes.slice(from..to))
    };
    let parts: Option<Vec<Bytes>> = ranges.iter().map(part).collect();
    parts.ok_or_else(|| LakeError::damaged(&file.key, "has a footer that points outside of it"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::dedupe::Pick;
    use crate::lake::part::encode;
    use crate::lake::testing::{TestRow, rows_of};
    use crate::store::Memory;
    use arrow::array::AsArray;
    use arrow::datatypes::TimestampMillisecondType;
    use parquet::arrow::ArrowWriter;
    use parquet::file::properties::WriterProperties;

    fn batch(count: u32) -> RecordBatch {
        let row = |id| TestRow { id: u128::from(id), time: i64::from(id), ..TestRow::default() };
        rows_of(&(0..count).map(row).collect::<Vec<_>>()).batch
    }

    fn stored(bytes: impl Into<Bytes>, rows: u64) -> (Memory, LedgerFile) {
        let (store, bytes) = (Memory::new("lake"), bytes.into());
        let (key, length) = ("findings/x.parquet".to_owned(), bytes.len() as u64);
        store.insert(key.clone(), bytes);
        (store, LedgerFile { commit: 1, key, rows, bytes: length, sha256: String::new() })
    }

    fn part(count: u32) -> Bytes {
        let picks: Vec<Pick> = (0..count).map(|row| Pick { batch: 0, row }).collect();
        encode(Table::Findings, &[batch(count)], &picks).unwrap().bytes
    }

    fn groups_of(count: u32, rows: usize) -> Vec<u8> {
        let limit = WriterProperties::builder().set_max_row_group_row_count(Some(rows)).build();
        let batch = batch(count);
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(limit)).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap()
    }

    async fn read(
        store: &Memory,
        file: &LedgerFile,
        columns: &[&str],
        times: Range<i64>,
    ) -> LakeResult<Vec<RecordBatch>> {
        let mut reader = RowReader::open(store, Table::Findings, file, columns, &times).await?;
        let mut all = Vec::new();
        reader.fetch_ahead().await?;
        while let Some(batch) = reader.next().await? {
            all.push(batch);
        }
        Ok(all)
    }

    fn times(batches: &[RecordBatch]) -> Vec<i64> {
        let column = |batch: &RecordBatch| batch.column_by_name("reported_at").unwrap().clone();
        let values = batches.iter().flat_map(|batch| {
            column(batch).as_primitive::<TimestampMillisecondType>().values().to_vec()
        });
        values.collect()
    }

    #[tokio::test]
    async fn columns_come_in_the_order_asked_for_and_old_files_give_nulls() {
        let (store, file) = stored(part(20), 20);
        let columns = ["account_id", "title", "reported_at"];
        let batches = read(&store, &file, &columns, 0..99).await.unwrap();
        let schema = batches[0].schema();
        let names: Vec<&String> = schema.fields().iter().map(|field| field.name()).collect();
        assert_eq!(names, columns);
        assert_eq!(times(&batches), (0..20).collect::<Vec<i64>>());
        assert_eq!(batches[0].column(1).null_count(), 20);
    }

    /// Bytes that compress to nothing made a part small, and all of them were decoded at once.
    #[tokio::test]
    async fn r014_what_compresses_well_is_not_decoded_at_once() {
        use crate::finding::reject::{Reason, Reject, Stage};
        let each = 256 << 10;
        let reject = |start: u64| rejects::RejectRow {
            place: crate::lake::testing::place("o"),
            reject: Reject {
                stage: Stage::Split,
                reason: Reason::NotJson,
                detail: String::new(),
                range: start..start + 1,
                ordinal: None,
                bytes: vec![b'x'; each],
            },
        };
        let rows: Vec<rejects::RejectRow> = (0..64).map(reject).collect();
        let lines: Vec<rejects::RejectLine<'_>> =
            rows.iter().map(rejects::RejectRow::line).collect();
        let (store, file) = stored(rejects::encode(&lines).unwrap().bytes, 64);
        assert!(is_small(&file), "{file:?}");
        let mut reader = RowReader::whole(&store, Table::Rejects, &file).await.unwrap();
        let mut seen = 0;
        while let Some(batch) = reader.next().await.unwrap() {
            seen += batch.num_rows();
            assert!(batch.num_rows() * each <= 2 << 20, "{} rows", batch.num_rows());
        }
        assert_eq!(seen, 64);
    }

    #[tokio::test]
    async fn only_row_groups_that_may_hold_the_times_are_read() {
        let (store, file) = stored(groups_of(100, 10), 100);
        let batches = read(&store, &file, &["reported_at"], 25..41).await.unwrap();
        assert_eq!(times(&batches), (20..50).collect::<Vec<i64>>());
        let nothing = read(&store, &file, &["reported_at"], 200..300).await.unwrap();
        assert!(nothing.is_empty());
        assert_eq!(time_span(&store, Table::Findings, &file).await.unwrap(), Some((0, 99)));
    }

    #[tokio::test]
    async fn a_file_that_is_not_what_the_log_says_is_named() {
        let whole = part(100);
        let cases = [
            ("cut", whole.slice(..whole.len() - 1), 100),
            ("empty", Bytes::new(), 100),
            ("no Parquet", Bytes::from(vec![b'x'; 300]), 100),
            ("more rows than the log says", whole.clone(), 99),
        ];
        for (case, bytes, rows) in cases {
            let (store, file) = stored(bytes, rows);
            let error = read(&store, &file, &["account_id"], 0..99).await.unwrap_err();
            assert!(matches!(error, LakeError::Damaged { .. }), "{case}: {error}");
            assert_eq!(error.key(), file.key, "{case}");
        }
    }

    #[tokio::test]
    async fn no_flipped_byte_can_make_it_panic() {
        let whole = part(50);
        for at in (0..whole.len()).step_by(whole.len() / 97) {
            let mut bytes = whole.to_vec();
            bytes[at] ^= 0x5a;
            let (store, file) = stored(bytes, 50);
            drop(read(&store, &file, &["account_id", "reported_at"], 0..99).await);
        }
    }
}
