//! The only file that encodes Parquet: rows in an order, a part's bytes out.
//!
//! In: batches of one schema and the places of their rows in the order in which they are to lie.
//! Out: one part in memory, with what the commit record says of it. The bytes depend on the table's
//! schema, the rows and their order alone: there is no clock, no run and no place of this machine in
//! them, and every limit below counts rows or the bytes of their values. Only bad code can make it
//! fail. Memory: one slice of rows, one row group's pages, and the part's bytes.

use std::borrow::Borrow;
use std::ops::Range;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, SchemaRef, TimestampMillisecondType};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;
use sha2::{Digest, Sha256};

use super::dedupe::Pick;
use super::error::{LakeError, LakeResult};
use super::ids::{hex, parse_id};
use super::layout::Table;
use super::part_gather::Batches;

/// Rows of one part. With [`PART_BYTES_MAX`] the rule by which [`split`] cuts large partitions.
pub const PART_ROWS_MAX: usize = 1 << 20;
/// Bytes of a part's values before encoding; JSON and ids come out some ten times smaller, so that
/// a full part is of the 128 MB that Athena's advice on performance asks for, at most.
pub const PART_BYTES_MAX: u64 = 1 << 30;

/// Rows gathered at a time.
pub(super) const SLICE_ROWS_MAX: usize = 8_192;
/// Bytes of the values gathered at a time; a single row may be larger. Each encoder holds one slice.
pub(super) const SLICE_BYTES_MAX: u64 = 2 << 20;
/// Rows of a row group: few enough that an account's row groups are a fraction of a large part.
const ROW_GROUP_ROWS_MAX: usize = 1 << 17;
/// Encoded bytes at which a row group is closed; what it may hold in memory.
const ROW_GROUP_BYTES_MAX: usize = 32 << 20;
/// Rows of a page, the smallest thing that the page index skips.
const PAGE_ROWS_MAX: usize = 8_192;
/// Bytes of a page before compression.
const PAGE_BYTES_MAX: usize = 1 << 20;
/// Values handed to a column's encoder between two looks at the page's size.
const WRITE_BATCH_ROWS: usize = 1_024;
/// Bytes of least and greatest values; ARNs differ late.
const STATISTICS_BYTES_MAX: usize = 128;
/// On 132,000 rows of a generated archive level 3 gives files 2 % smaller than level 1 and takes a fifth
/// more time for all of the encoding.
const ZSTD_LEVEL: i32 = 1;
const BLOOM_FALSE_POSITIVES: f64 = 0.01;

/// Readers parse this as `<program> version <version>`; older ones distrust statistics if they cannot.
/// It names the layout of this file, not the program's version, which would change the bytes.
const CREATED_BY: &str = "healthtrail version 1";

/// Columns whose point look-ups are worth a bloom filter. Rows are sorted by account, so that statistics find
/// one; and nobody asks for a row id but this program, which reads the column.
const BLOOM: [&str; 3] = ["finding_id", "event_arn", "reject_id"];
/// Columns whose values hardly ever repeat within a row group: a dictionary would be as large. Long
/// descriptions are not among them: one event's text comes to hundreds of accounts, and where it does
/// not repeat the writer gives up the dictionary at 1 MiB, which cost nothing measurable.
const DISTINCT: [&str; 8] = [
    "row_id",
    "reject_id",
    "content_hash",
    "event_id",
    "unmapped_json",
    "bytes",
    "detail",
    "details_json",
];
/// Long texts and random ids, that nobody compares by order: their least and greatest values say nothing.
const UNORDERED: [&str; 10] = [
    "content_hash",
    "event_id",
    "communication_id",
    "description",
    "remediation_text",
    "note_text",
    "unmapped_json",
    "bytes",
    "detail",
    "details_json",
];
/// Numbers that grow within an account or object, stored as differences. Each such column takes a MiB while it
/// is encoded, so that other times, which do not grow, are not among them.
const GROWING: [&str; 6] =
    ["reported_at", "event_time", "processed_at", "source_offset", "source_length", "bytes_length"];

/// One encoded part, not yet stored anywhere.
#[derive(Debug, Clone)]
pub struct EncodedPart {
    /// The whole Parquet file.
    pub bytes: Bytes,
    /// How many rows it has.
    pub rows: u64,
    /// Its content, lower-case hex.
    pub sha256: String,
    /// The least and greatest value of the column that gives the partition, in milliseconds.
    pub time_ms: (i64, i64),
    /// The least and greatest identity.
    pub ids: (u128, u128),
}

/// Encodes these rows, in this order, as one part. The bytes depend on the rows and their order only,
/// not on how they are packed into batches.
pub fn encode<B: Borrow<RecordBatch>>(
    table: Table,
    batches: &[B],
    picks: &[Pick],
) -> LakeResult<EncodedPart> {
    let batches = batches.iter().map(|batch| batch.borrow().clone());
    encode_rows(table, &Batches::new(batches), picks)
}

/// As [`encode`], of batches that several parts are made of.
pub fn encode_rows(table: Table, batches: &Batches, picks: &[Pick]) -> LakeResult<EncodedPart> {
    let schema = picks.first().and_then(|pick| batches.schema(*pick));
    let schema = schema.ok_or_else(|| broken(table, "a part needs a row"))?;
    let mut writer = PartWriter::new(table, schema)?;
    for slice in cut(&batches.row_sizes(picks), SLICE_ROWS_MAX, SLICE_BYTES_MAX) {
        let picks = picks.get(slice).unwrap_or_default();
        let gathered = batches.gather(picks).map_err(|error| broken(table, error))?;
        writer.push(&gathered)?;
    }
    writer.finish()
}

/// Cuts a partition's rows into those of one part each, by rows and bytes of their values, so that the
/// same rows always make the same parts.
pub fn split(batches: &Batches, picks: &[Pick]) -> Vec<Range<usize>> {
    cut(&batches.row_sizes(picks), PART_ROWS_MAX, PART_BYTES_MAX)
}

/// Cuts rows, in their order, into ranges of at most so many bytes of their values; a larger row stands alone.
pub(crate) fn cut_rows(batches: &Batches, picks: &[Pick], bytes_max: u64) -> Vec<Range<usize>> {
    cut(&batches.row_sizes(picks), PART_ROWS_MAX, bytes_max)
}

/// Cuts a sequence of sizes into ranges of at most so many items and bytes; a larger item stands alone.
pub(super) fn cut(sizes: &[u64], items_max: usize, bytes_max: u64) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let (mut start, mut bytes) = (0, 0_u64);
    for (index, size) in sizes.iter().enumerate() {
        let full = index - start >= items_max || bytes.saturating_add(*size) > bytes_max;
        if full && index > start {
            ranges.push(start..index);
            (start, bytes) = (index, 0);
        }
        bytes = bytes.saturating_add(*size);
    }
    if start < sizes.len() {
        ranges.push(start..sizes.len());
    }
    ranges
}

/// Encodes one part from batches that are in order already.
#[derive(Debug)]
pub(super) struct PartWriter {
    table: Table,
    writer: ArrowWriter<Vec<u8>>,
    rows: u64,
    time_ms: (i64, i64),
    ids: (u128, u128),
}

impl PartWriter {
    pub(super) fn new(table: Table, schema: SchemaRef) -> LakeResult<Self> {
        // The Arrow schema in the footer would be a second truth beside Parquet's own.
        let options = ArrowWriterOptions::new()
            .with_properties(properties(table, &schema))
            .with_schema_root(table.name().to_owned())
            .with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(Vec::new(), schema, options)
            .map_err(|error| broken(table, error))?;
        let (time_ms, ids) = ((i64::MAX, i64::MIN), (u128::MAX, 0));
        Ok(Self { table, writer, rows: 0, time_ms, ids })
    }

    pub(super) fn push(&mut self, batch: &RecordBatch) -> LakeResult<()> {
        self.look_at_keys(batch)?;
        self.rows += batch.num_rows() as u64;
        let table = self.table;
        self.writer.write(batch).map_err(|error| broken(table, error))?;
        if self.writer.in_progress_size() >= ROW_GROUP_BYTES_MAX {
            self.writer.flush().map_err(|error| broken(table, error))?;
        }
        Ok(())
    }

    /// How long the part is so far, about.
    pub(super) fn encoded_bytes(&self) -> u64 {
        (self.writer.bytes_written() + self.writer.in_progress_size()) as u64
    }

    pub(super) fn finish(self) -> LakeResult<EncodedPart> {
        let bytes = self.writer.into_inner().map_err(|error| broken(self.table, error))?;
        let sha256 = hex(&Sha256::digest(&bytes));
        let bytes = Bytes::from(bytes);
        Ok(EncodedPart { bytes, rows: self.rows, sha256, time_ms: self.time_ms, ids: self.ids })
    }

    fn look_at_keys(&mut self, batch: &RecordBatch) -> LakeResult<()> {
        let table = self.table;
        let ids = batch
            .column_by_name(table.id_column())
            .and_then(|column| column.as_string_opt::<i32>())
            .ok_or_else(|| broken(table, "the id column is missing"))?;
        for id in ids {
            let id = id.and_then(|id| parse_id(id.as_bytes()));
            let id = id.ok_or_else(|| broken(table, "an id is not 32 hex digits"))?;
            self.ids = (self.ids.0.min(id), self.ids.1.max(id));
        }
        let times = batch
            .column_by_name(table.time_column())
            .and_then(|column| column.as_primitive_opt::<TimestampMillisecondType>())
            .ok_or_else(|| broken(table, "the time column is missing"))?;
        for time in times.iter().flatten() {
            self.time_ms = (self.time_ms.0.min(time), self.time_ms.1.max(time));
        }
        Ok(())
    }
}

/// Rows that do not fit their table are an error of this program.
pub(super) fn broken(table: Table, error: impl std::fmt::Display) -> LakeError {
    LakeError::Damaged {
        key: format!("{}/", table.name()),
        message: format!("cannot be encoded: {error}"),
        hint: "this is an error in healthtrail, please report it; nothing was committed".into(),
    }
}

fn properties(table: Table, schema: &SchemaRef) -> WriterProperties {
    let version = match table {
        Table::Findings => crate::finding::columns::SCHEMA_VERSION,
        Table::Rejects => super::rejects::REJECTS_SCHEMA_VERSION,
    };
    let version = version.to_string();
    let metadata = [("healthtrail.table", table.name()), ("healthtrail.schema_version", &version)];
    let metadata = metadata.map(|(key, value)| KeyValue::new(key.to_owned(), value.to_owned()));
    let zstd = ZstdLevel::try_new(ZSTD_LEVEL).unwrap_or_default();
    let mut builder = WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_key_value_metadata(Some(metadata.to_vec()))
        .set_compression(Compression::ZSTD(zstd))
        .set_coerce_types(true)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS_MAX))
        .set_data_page_row_count_limit(PAGE_ROWS_MAX)
        .set_data_page_size_limit(PAGE_BYTES_MAX)
        .set_write_batch_size(WRITE_BATCH_ROWS)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_statistics_truncate_length(Some(STATISTICS_BYTES_MAX))
        .set_column_index_truncate_length(Some(STATISTICS_BYTES_MAX))
        .set_sorting_columns(Some(sorting_columns(table, schema)));
    let mut path = Vec::new();
    for field in schema.fields() {
        builder = column_properties(builder, field.name(), field.data_type(), &mut path);
    }
    builder.build()
}

/// Sets what the leaves below this field need, by the name of the field nearest to the leaf.
fn column_properties(
    mut builder: WriterPropertiesBuilder,
    name: &str,
    data_type: &DataType,
    path: &mut Vec<String>,
) -> WriterPropertiesBuilder {
    path.push(name.to_owned());
    match data_type {
        DataType::List(element) => {
            path.push("list".into());
            builder = column_properties(builder, "element", element.data_type(), path);
            path.pop();
        }
        DataType::Struct(fields) => {
            for field in fields {
                builder = column_properties(builder, field.name(), field.data_type(), path);
            }
        }
        // Keys and values of maps repeat; but for their statistics the defaults fit them.
        DataType::Map(entries, _) => {
            path.push(entries.name().to_owned());
            for leaf in ["key", "value"] {
                path.push(leaf.to_owned());
                let leaf = ColumnPath::new(path.clone());
                builder = builder.set_column_statistics_enabled(leaf, EnabledStatistics::None);
                path.pop();
            }
            path.pop();
        }
        _ => builder = leaf_properties(builder, name, ColumnPath::new(path.clone())),
    }
    path.pop();
    builder
}

fn leaf_properties(
    mut builder: WriterPropertiesBuilder,
    name: &str,
    path: ColumnPath,
) -> WriterPropertiesBuilder {
    if BLOOM.contains(&name) {
        // The bound on distinct values sizes the filter while it is built; it is folded to what it holds.
        builder = builder
            .set_column_bloom_filter_enabled(path.clone(), true)
            .set_column_bloom_filter_fpp(path.clone(), BLOOM_FALSE_POSITIVES)
            .set_column_bloom_filter_max_ndv(path.clone(), ROW_GROUP_ROWS_MAX as u64);
    }
    // Rows are in no order of what their lists hold, so that no reader could skip any by it.
    let is_nested = path.parts().len() > 1;
    if is_nested || UNORDERED.contains(&name) {
        builder = builder.set_column_statistics_enabled(path.clone(), EnabledStatistics::None);
    }
    if GROWING.contains(&name) {
        builder = builder
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
    } else if DISTINCT.contains(&name) {
        builder = builder.set_column_dictionary_enabled(path, false);
    }
    builder
}

/// The order in which rows lie, as Parquet says it: by the indices of leaves.
fn sorting_columns(table: Table, schema: &SchemaRef) -> Vec<SortingColumn> {
    let order: &[&str] = match table {
        Table::Findings => &["account_id", "reported_at", "row_id"],
        Table::Rejects => &["source_object", "source_offset"],
    };
    let leaf = |name: &str| -> Option<i32> {
        let position = schema.fields().iter().position(|field| field.name() == name)?;
        let before = schema.fields().iter().take(position);
        i32::try_from(before.map(|field| leaves(field.data_type())).sum::<usize>()).ok()
    };
    let column = |name: &&str| {
        let column_idx = leaf(name)?;
        Some(SortingColumn { column_idx, descending: false, nulls_first: true })
    };
    // A later column sorts only within equal values of all earlier ones.
    order.iter().map_while(column).collect()
}

fn leaves(data_type: &DataType) -> usize {
    match data_type {
        DataType::List(field) | DataType::Map(field, _) => leaves(field.data_type()),
        DataType::Struct(fields) => fields.iter().map(|field| leaves(field.data_type())).sum(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::rows::Rows;
    use crate::lake::part_gather::batch_sizes;
    use crate::lake::testing::{TestRow, findings, read_part, rows_of};
    use arrow::array::{Array, StringArray};
    use parquet::arrow::arrow_reader::ArrowReaderOptions;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use parquet::basic::PageType;
    use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use proptest::prelude::*;
    use std::sync::Arc;

    fn all(rows: &[Rows]) -> (Vec<&RecordBatch>, Vec<Pick>) {
        let picks = (0_u32..).zip(rows).flat_map(|(batch, rows)| {
            (0..u32::try_from(rows.keys.len()).unwrap()).map(move |row| Pick { batch, row })
        });
        (rows.iter().map(|rows| &rows.batch).collect(), picks.collect())
    }

    fn encoded(rows: &[Rows]) -> EncodedPart {
        let (batches, picks) = all(rows);
        encode(Table::Findings, &batches, &picks).unwrap()
    }

    fn metadata(part: &EncodedPart) -> Arc<ParquetMetaData> {
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
        let bytes = part.bytes.clone();
        let builder =
            ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options).unwrap();
        Arc::clone(builder.metadata())
    }

    #[test]
    fn bytes_depend_on_the_rows_and_not_on_their_batches() {
        let whole = encoded(&[findings(0..40)]);
        for size in [1, 7, 39] {
            let packed: Vec<Rows> = (0..40)
                .step_by(size)
                .map(|n| findings(n..(n + u32::try_from(size).unwrap()).min(40)))
                .collect();
            assert_eq!(encoded(&packed).bytes, whole.bytes, "{size}");
        }
        // Taken from among other rows, in batches that are used only in part.
        let others = [findings(100..120), findings(0..40)];
        let (batches, picks) = all(&others);
        let part = encode(Table::Findings, &batches, &picks[20..]).unwrap();
        assert_eq!((part.bytes, &part.sha256), (whole.bytes.clone(), &whole.sha256));
    }

    #[test]
    fn rows_come_back_as_they_were() {
        let rows = findings(0..40);
        let part = encoded(std::slice::from_ref(&rows));
        let read = read_part(&part.bytes);
        assert_eq!(read.num_columns(), rows.batch.num_columns());
        for (field, column) in rows.batch.schema().fields().iter().zip(rows.batch.columns()) {
            let held = read.column_by_name(field.name()).unwrap();
            assert_eq!(held.to_data(), column.to_data(), "{}", field.name());
        }
        let ids: Vec<u128> = rows.keys.iter().map(|key| key.row_id).collect();
        assert_eq!(part.ids, (*ids.iter().min().unwrap(), *ids.iter().max().unwrap()));
        let times: Vec<i64> = rows.keys.iter().map(|key| key.reported_at_ms).collect();
        assert_eq!(part.time_ms, (*times.iter().min().unwrap(), *times.iter().max().unwrap()));
        assert_eq!(part.rows, 40);
    }

    #[test]
    fn the_footer_says_what_readers_look_for() {
        let metadata = metadata(&encoded(&[findings(0..40)]));
        let file = metadata.file_metadata();
        assert_eq!(file.created_by(), Some(CREATED_BY));
        let pairs = file.key_value_metadata().unwrap();
        let pairs: Vec<_> =
            pairs.iter().map(|pair| (pair.key.as_str(), pair.value.as_deref())).collect();
        let expected =
            [("healthtrail.table", Some("findings")), ("healthtrail.schema_version", Some("1"))];
        assert_eq!(pairs, expected);
        let group = metadata.row_group(0);
        let path = |leaf: usize| group.column(leaf).column_path().string();
        let sorted = group.sorting_columns().unwrap().iter();
        let sorted: Vec<String> =
            sorted.map(|column| path(usize::try_from(column.column_idx).unwrap())).collect();
        assert_eq!(sorted, ["account_id", "reported_at", "row_id"]);
        let paths: Vec<String> = (0..group.num_columns()).map(path).collect();
        for nested in [
            "personas.list.element",
            "resources.list.element.id",
            "resources.list.element.tags.key_value.key",
            "entities.list.element.tags.key_value.value",
            "product_fields.key_value.value",
        ] {
            assert!(paths.iter().any(|path| path == nested), "{nested} is not in {paths:?}");
        }
        let offsets = metadata.offset_index().unwrap();
        assert_eq!((metadata.column_index().unwrap().len(), offsets.len()), (1, 1));
    }

    #[test]
    fn columns_are_stored_as_they_are_asked_for() {
        let metadata = metadata(&encoded(&[findings(0..40)]));
        for column in metadata.row_group(0).columns() {
            let name = column.column_path().string();
            assert!(matches!(column.compression(), Compression::ZSTD(_)), "{name}");
            assert_eq!(
                column.bloom_filter_offset().is_some(),
                BLOOM.contains(&name.as_str()),
                "{name}"
            );
            let dictionary = column.dictionary_page_offset().is_some();
            let distinct = DISTINCT.iter().chain(&GROWING).any(|distinct| name.ends_with(distinct));
            assert!(!(dictionary && distinct), "{name}");
            let statistics = column.statistics().is_some();
            let unordered = name.contains('.') || UNORDERED.contains(&name.as_str());
            assert_eq!(statistics, !unordered, "{name}");
        }
    }

    #[test]
    fn bloom_filters_are_folded_to_what_they_hold() {
        let part = encoded(&[findings(0..40)]);
        let metadata = metadata(&part);
        for column in metadata.row_group(0).columns() {
            let length = column.bloom_filter_length().unwrap_or_default();
            assert!(length < 1_024, "{} takes {length} bytes", column.column_path());
        }
    }

    #[test]
    fn large_values_are_cut_into_slices_pages_and_row_groups() {
        let rows: Vec<TestRow> = (0..40).map(|id| TestRow { id, ..TestRow::default() }).collect();
        let Rows { batch, keys } = rows_of(&rows);
        // Values of 2 MiB that do not compress.
        let noise = |row: u64| -> String {
            let mut state = row + 1;
            let mut text = String::new();
            while text.len() < 2 << 20 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                text.push_str(&hex(&(state >> 32).to_be_bytes()[4..]));
            }
            text
        };
        let texts: StringArray = (0..40).map(|row| Some(noise(row % 5))).collect();
        let mut fields: Vec<_> = batch.schema().fields().iter().cloned().collect();
        fields.push(Arc::new(arrow::datatypes::Field::new("unmapped_json", DataType::Utf8, true)));
        let mut columns = batch.columns().to_vec();
        columns.push(Arc::new(texts));
        let schema = Arc::new(arrow::datatypes::Schema::new(fields));
        let batch = RecordBatch::try_new(schema, columns).unwrap();
        let part = encoded(&[Rows { batch, keys }]);
        let reader = SerializedFileReader::new(part.bytes.clone()).unwrap();
        assert!(reader.num_row_groups() > 1);
        let column = reader.metadata().row_group(0).columns().len() - 1;
        let mut pages = reader.get_row_group(0).unwrap().get_column_page_reader(column).unwrap();
        let mut count = 0;
        while let Some(page) = pages.get_next_page().unwrap() {
            assert_eq!(page.page_type(), PageType::DATA_PAGE);
            count += 1;
        }
        assert!(count > 1, "{count} pages");
    }

    #[test]
    fn sequences_are_cut_by_items_and_bytes() {
        let cases: [(&[u64], &[Range<usize>]); 5] = [
            (&[], &[]),
            (&[1, 1, 1, 1, 1], &[0..3, 3..5]),
            (&[4, 6, 1], &[0..2, 2..3]),
            (&[99, 1, 99], &[0..1, 1..2, 2..3]),
            (&[u64::MAX, u64::MAX], &[0..1, 1..2]),
        ];
        for (sizes, ranges) in cases {
            assert_eq!(cut(sizes, 3, 10), ranges, "{sizes:?}");
        }
    }

    #[test]
    fn rows_that_do_not_fit_are_an_error_with_the_table() {
        let rows = rows_of(&[TestRow::default()]);
        let error = encode(Table::Findings, &[&rows.batch], &[]).unwrap_err();
        assert!(error.to_string().contains("`findings/` cannot be encoded"), "{error}");
        let pick = Pick { batch: 0, row: 0 };
        assert!(encode(Table::Rejects, &[&rows.batch], &[pick]).is_err());
    }

    proptest! {
        /// A row's size is its own: whatever stands around it.
        #[test]
        fn sizes_do_not_depend_on_the_batch(start in 0_u32..20, length in 1_u32..20) {
            let whole = findings(0..40);
            let part = findings(start..start + length);
            let cut = whole.batch.slice(start as usize, length as usize);
            let sizes = batch_sizes(&whole.batch);
            let expected = &sizes[start as usize..(start + length) as usize];
            prop_assert_eq!(batch_sizes(&part.batch), expected);
            prop_assert_eq!(batch_sizes(&cut), expected);
        }
    }
}
