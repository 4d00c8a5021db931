//! The table of what could not become a finding: one row a reject, with its place and its bytes.
//!
//! In: rejects of a wave and the objects they come from. Out: which of them are new, by partition of
//! their arrival, and their parts. Pure; only bad code can make it fail. The bytes stay binary, as
//! they were: a reject is often just what is no text. Memory: one slice of rows beside the rejects.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use arrow::array::{
    ArrayRef, BinaryArray, Int32Array, Int64Array, StringArray, TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use xxhash_rust::xxh3::xxh3_128;

use super::dedupe::{PartitionRows, Pick, Selection};
use super::error::LakeResult;
use super::ids::{IdSet, id_text};
use super::layout::{Partition, PartitionBy, Table};
use super::part::{EncodedPart, PART_BYTES_MAX, PART_ROWS_MAX, PartWriter, cut};
use crate::finding::place::Place;
use crate::finding::reject::{REJECT_BYTES_MAX, Reject};

/// The version of the columns below; each row carries it in `schema_version`.
pub const REJECTS_SCHEMA_VERSION: i32 = 1;

/// The state of a reject that nothing was done about yet; redriving appends the same id with another.
pub const OPEN: &str = "open";

/// Rows and bytes turned into columns at a time.
const SLICE_ROWS_MAX: usize = 1_024;
const SLICE_BYTES_MAX: u64 = 8 << 20;

/// A reject and the object it comes from.
#[derive(Debug, Clone)]
pub struct RejectRow {
    /// The object.
    pub place: Place,
    /// The reject.
    pub reject: Reject,
}

/// One column of the rejects table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RejectColumn {
    /// Its name.
    pub name: &'static str,
    /// Its type for Athena and Glue.
    pub athena: &'static str,
    /// Whether it may be null.
    pub nullable: bool,
    /// What it means, in one sentence.
    pub meaning: &'static str,
}

const fn column(
    name: &'static str,
    athena: &'static str,
    nullable: bool,
    meaning: &'static str,
) -> RejectColumn {
    RejectColumn { name, athena, nullable, meaning }
}

/// All columns, in the order of the table.
pub const COLUMNS: [RejectColumn; 15] = [
    column("reject_id", "string", false, "Identity of this reject; unique together with state"),
    column("arrived_hour", "timestamp", false, "The hour in which the object arrived"),
    column("state", "string", false, "`open`, or what a redrive made of it"),
    column("stage", "string", false, "Where it arose: unpack, split, recognize or normalize"),
    column("reason", "string", false, "Why it could not become a finding"),
    column("detail", "string", false, "What exactly is wrong"),
    column("source_object", "string", false, "URI of the object"),
    column("source_etag", "string", false, "Change token of the object"),
    column("source_offset", "bigint", false, "First byte in the decompressed object"),
    column("source_length", "bigint", false, "How many bytes of the decompressed object it covers"),
    column(
        "ordinal",
        "int",
        true,
        "Which finding of its document it is; null for a whole document",
    ),
    column("bytes_length", "bigint", false, "How many bytes there were before `bytes` was cut"),
    column("bytes_cut", "boolean", false, "Whether `bytes` holds the beginning only"),
    column("schema_version", "int", false, "Version of the list of columns"),
    column("bytes", "binary", false, "Its bytes as they were, at most 1 MiB of them"),
];

/// The columns of the rejects table.
pub fn schema() -> SchemaRef {
    static SCHEMA: OnceLock<SchemaRef> = OnceLock::new();
    let build = || {
        let field = |column: &RejectColumn| {
            let data_type = match column.athena {
                "timestamp" => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
                "bigint" => DataType::Int64,
                "int" => DataType::Int32,
                "boolean" => DataType::Boolean,
                "binary" => DataType::Binary,
                _ => DataType::Utf8,
            };
            Field::new(column.name, data_type, column.nullable)
        };
        Arc::new(Schema::new(COLUMNS.iter().map(field).collect::<Vec<_>>()))
    };
    Arc::clone(SCHEMA.get_or_init(build))
}

/// The id of a reject: XXH3-128, seed 0, over object URI, etag, byte range, ordinal and reason, each
/// text with its length before it.
pub fn reject_id(place: &Place, reject: &Reject) -> u128 {
    let texts = [place.object.as_ref(), place.etag.as_ref(), reject.reason.name()];
    let mut bytes = Vec::with_capacity(texts.iter().map(|text| text.len() + 8).sum::<usize>() + 24);
    for text in texts {
        bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes.extend_from_slice(&reject.range.start.to_le_bytes());
    bytes.extend_from_slice(&reject.range.end.to_le_bytes());
    // A whole document differs from its first finding.
    let ordinal = reject.ordinal.map_or(0, |ordinal| u64::from(ordinal) + 1);
    bytes.extend_from_slice(&ordinal.to_le_bytes());
    xxh3_128(&bytes)
}

/// The ids of these rejects: what the files of their partitions are compared with.
pub fn ids(rows: &[RejectRow]) -> IdSet {
    rows.iter().map(|row| reject_id(&row.place, &row.reject)).collect()
}

/// The partitions that these rejects belong to, ascending.
pub fn partitions(rows: &[RejectRow], by: PartitionBy) -> Vec<Partition> {
    let of = |row: &RejectRow| Partition::of(row.place.arrived_hour_ms, by);
    let mut partitions: Vec<_> = rows.iter().map(of).collect::<HashSet<_>>().into_iter().collect();
    partitions.sort_unstable();
    partitions
}

/// The rejects whose ids are not known yet, by partition of their arrival, each partition sorted by
/// (object, offset, ordinal, reason), as one would look through an object. Batch 0 is `rows`.
///
/// An id that is known in any state was `open` before, so the state does not matter here. An object
/// that is read again (reopened, or its commit's list of objects was lost) gives the same ids, so the
/// files of the touched partitions are to be compared each time.
pub fn select(rows: &[RejectRow], known: &IdSet, by: PartitionBy) -> Selection {
    let mut selection = Selection::default();
    let mut seen = IdSet::with_capacity_and_hasher(rows.len(), super::ids::IdState::default());
    let mut order = Vec::with_capacity(rows.len());
    for (index, row) in (0_u32..).zip(rows) {
        let id = reject_id(&row.place, &row.reject);
        if known.contains(&id) {
            selection.duplicates_in_lake += 1;
        } else if seen.insert(id) {
            order.push((Partition::of(row.place.arrived_hour_ms, by), sort_key(row), id, index));
        } else {
            selection.duplicates_in_wave += 1;
        }
    }
    order.sort_unstable();
    selection.partitions = order
        .chunk_by(|one, two| one.0 == two.0)
        .filter_map(|chunk| {
            let partition = chunk.first()?.0;
            let picks = chunk.iter().map(|(.., index)| Pick { batch: 0, row: *index }).collect();
            Some(PartitionRows { partition, picks })
        })
        .collect();
    selection
}

fn sort_key(row: &RejectRow) -> (&str, u64, Option<u32>, &'static str) {
    let reject = &row.reject;
    (row.place.object.as_ref(), reject.range.start, reject.ordinal, reject.reason.name())
}

/// Cuts a partition's rejects into those of one part each.
pub fn split(rows: &[RejectRow], picks: &[Pick]) -> Vec<std::ops::Range<usize>> {
    let picked: Vec<&RejectRow> = picked(rows, picks).collect();
    cut(&sizes(&picked), PART_ROWS_MAX, PART_BYTES_MAX)
}

/// Encodes these rejects, in this order, as one part.
pub fn encode(rows: &[RejectRow], picks: &[Pick]) -> LakeResult<EncodedPart> {
    let picked: Vec<&RejectRow> = picked(rows, picks).collect();
    let mut writer = PartWriter::new(Table::Rejects, schema())?;
    for slice in cut(&sizes(&picked), SLICE_ROWS_MAX, SLICE_BYTES_MAX) {
        let batch = batch(picked.get(slice).unwrap_or_default())
            .map_err(|error| super::part::broken(Table::Rejects, error))?;
        writer.push(&batch)?;
    }
    writer.finish()
}

fn picked<'a>(rows: &'a [RejectRow], picks: &'a [Pick]) -> impl Iterator<Item = &'a RejectRow> {
    picks.iter().filter_map(|pick| rows.get(pick.row as usize))
}

fn sizes(rows: &[&RejectRow]) -> Vec<u64> {
    let size = |row: &&RejectRow| (row.reject.bytes.len() + row.reject.detail.len() + 256) as u64;
    rows.iter().map(size).collect()
}

/// These rejects as columns of the table, open.
pub fn batch(rows: &[&RejectRow]) -> Result<RecordBatch, ArrowError> {
    fn texts<'a>(rows: &[&'a RejectRow], text: impl Fn(&'a RejectRow) -> &'a str) -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| text(row))))
    }
    fn longs(rows: &[&RejectRow], long: impl Fn(&RejectRow) -> u64) -> ArrayRef {
        let long = |row: &&RejectRow| i64::try_from(long(row)).unwrap_or(i64::MAX);
        Arc::new(Int64Array::from_iter_values(rows.iter().map(long)))
    }
    let ids = rows.iter().map(|row| id_text(reject_id(&row.place, &row.reject)));
    let hours = rows.iter().map(|row| row.place.arrived_hour_ms);
    let ordinal = |row: &&RejectRow| row.reject.ordinal.and_then(|n| i32::try_from(n).ok());
    let cut = |row: &&RejectRow| Some(kept(row) < whole(row));
    let versions = rows.iter().map(|_| REJECTS_SCHEMA_VERSION);
    let bytes = rows.iter().map(|row| row.reject.bytes.get(..kept(row)).unwrap_or_default());
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(ids)),
        Arc::new(TimestampMillisecondArray::from_iter_values(hours).with_timezone("UTC")),
        texts(rows, |_| OPEN),
        texts(rows, |row| row.reject.stage.name()),
        texts(rows, |row| row.reject.reason.name()),
        texts(rows, |row| &row.reject.detail),
        texts(rows, |row| &row.place.object),
        texts(rows, |row| &row.place.etag),
        longs(rows, |row| row.reject.range.start),
        longs(rows, |row| row.reject.range.end.saturating_sub(row.reject.range.start)),
        Arc::new(rows.iter().map(ordinal).collect::<Int32Array>()),
        longs(rows, |row| whole(row) as u64),
        Arc::new(rows.iter().map(cut).collect::<arrow::array::BooleanArray>()),
        Arc::new(Int32Array::from_iter_values(versions)),
        Arc::new(BinaryArray::from_iter_values(bytes)),
    ];
    RecordBatch::try_new(schema(), columns)
}

/// How many bytes are written.
fn kept(row: &RejectRow) -> usize {
    row.reject.bytes.len().min(REJECT_BYTES_MAX)
}

/// How many bytes there were. A finding inside a wrapper is shorter than the range of its document,
/// so only for bytes that reach the limit is the range what is known of the rest.
fn whole(row: &RejectRow) -> usize {
    let Reject { range, ordinal, bytes, .. } = &row.reject;
    let covered = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
    if ordinal.is_none() || bytes.len() >= REJECT_BYTES_MAX {
        covered.max(bytes.len())
    } else {
        bytes.len()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::finding::reject::{Reason, Stage};
    use crate::lake::testing::{place, read_part};
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::Int64Type;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn reject(start: u64, bytes: &[u8]) -> Reject {
        Reject {
            stage: Stage::Split,
            reason: Reason::NotJson,
            detail: "a brace is missing".into(),
            range: start..start + bytes.len() as u64,
            ordinal: None,
            bytes: bytes.to_vec(),
        }
    }

    fn row(object: &str, start: u64, bytes: &[u8]) -> RejectRow {
        RejectRow { place: place(object), reject: reject(start, bytes) }
    }

    /// A part of one reject, for the tests of readers.
    pub(in crate::lake) fn part() -> Bytes {
        encode(&[row("o", 0, b"x")], &[Pick { batch: 0, row: 0 }]).unwrap().bytes
    }

    #[test]
    fn everything_that_names_a_reject_is_in_its_id() {
        let (base, at) = (reject(5, b"{"), place("o"));
        let id = reject_id(&at, &base);
        let others = [
            (place("p"), base.clone()),
            (Place { etag: "2".into(), ..at.clone() }, base.clone()),
            (at.clone(), Reject { range: 4..6, ..base.clone() }),
            (at.clone(), Reject { range: 5..7, ..base.clone() }),
            (at.clone(), Reject { ordinal: Some(0), ..base.clone() }),
            (at.clone(), Reject { reason: Reason::TooDeep, ..base.clone() }),
        ];
        for (place, reject) in others {
            assert_ne!(reject_id(&place, &reject), id, "{place:?} {reject:?}");
        }
        // What the program says of it may change with its version.
        let same = Reject { detail: "else".into(), stage: Stage::Recognize, ..base };
        assert_eq!(reject_id(&at, &same), id);
    }

    #[test]
    fn the_id_is_frozen() {
        let id = id_text(reject_id(&place("s3://bucket/key"), &reject(5, b"{")));
        assert_eq!(id, FROZEN);
    }

    /// Computed by another program (Python's `xxhash`). Changing this doubles the rejects of every lake.
    const FROZEN: &str = "ac70ce005f8c3ba282a2aed2cf9d7981";

    #[test]
    fn a_part_holds_all_that_is_known() {
        let big = vec![b'x'; REJECT_BYTES_MAX];
        let mut cut = row("a", 10, &big);
        cut.reject.range.end += 7;
        let mut inner = row("b", 0, b"{}");
        inner.reject.range = 0..900;
        inner.reject.ordinal = Some(3);
        let rows = [inner, cut, row("a", 3, b"\xff\x00")];
        let selection = select(&rows, &IdSet::default(), PartitionBy::Day);
        let [PartitionRows { partition, picks }] = &selection.partitions[..] else { panic!() };
        assert_eq!(partition.to_string(), "2026-11-24");
        let part = encode(&rows, picks).unwrap();
        assert_eq!((part.rows, part.time_ms), (3, (1_795_518_000_000, 1_795_518_000_000)));
        let read = read_part(&part.bytes);
        assert_eq!(read.schema().fields().len(), COLUMNS.len());
        let long = |name: &str| {
            let column = read.column_by_name(name).unwrap().as_primitive::<Int64Type>();
            column.values().to_vec()
        };
        let mebibyte = 1 << 20;
        assert_eq!(long("source_offset"), [3, 10, 0]);
        assert_eq!(long("source_length"), [2, mebibyte + 7, 900]);
        assert_eq!(long("bytes_length"), [2, mebibyte + 7, 2]);
        let bytes = read.column_by_name("bytes").unwrap().as_binary::<i32>();
        assert_eq!((bytes.value(0), bytes.value(1).len()), (&b"\xff\x00"[..], REJECT_BYTES_MAX));
        let flags = read.column_by_name("bytes_cut").unwrap().as_boolean();
        assert_eq!(flags.iter().flatten().collect::<Vec<_>>(), [false, true, false]);
        assert_eq!(read.column_by_name("ordinal").unwrap().null_count(), 2);
    }

    #[test]
    fn known_and_repeated_rejects_are_counted_apart() {
        let rows = [row("a", 0, b"x"), row("a", 0, b"x"), row("b", 0, b"x")];
        let known = ids(&rows[2..]);
        let selection = select(&rows, &known, PartitionBy::Month);
        assert_eq!((selection.duplicates_in_wave, selection.duplicates_in_lake), (1, 1));
        assert_eq!(selection.partitions[0].picks, [Pick { batch: 0, row: 0 }]);
        assert_eq!(partitions(&rows, PartitionBy::Month).len(), 1);
        assert!(select(&[], &known, PartitionBy::Day).partitions.is_empty());
    }

    #[test]
    fn the_types_for_athena_are_the_types_in_the_file() {
        for (field, column) in schema().fields().iter().zip(COLUMNS) {
            let expected = match field.data_type() {
                DataType::Utf8 => "string",
                DataType::Int64 => "bigint",
                DataType::Int32 => "int",
                DataType::Boolean => "boolean",
                DataType::Binary => "binary",
                _ => "timestamp",
            };
            assert_eq!((field.name().as_str(), expected), (column.name, column.athena));
            assert_eq!(field.is_nullable(), column.nullable);
        }
    }

    proptest! {
        #[test]
        fn the_part_does_not_depend_on_the_order_of_rejects(
            rows in prop::collection::vec((0_u64..9, "[abc]", 0_usize..4), 1..12),
            swap in any::<prop::sample::Index>(),
        ) {
            let rows: Vec<RejectRow> = rows
                .iter()
                .map(|(start, object, length)| row(object, *start, &b"{{{"[..*length]))
                .collect();
            let mut others = rows.clone();
            others.rotate_left(swap.index(rows.len()));
            let parts: Vec<Vec<Bytes>> = [&rows, &others].map(|rows| {
                let selection = select(rows, &IdSet::default(), PartitionBy::Day);
                let parts = selection.partitions.iter();
                parts.map(|part| encode(rows, &part.picks).unwrap().bytes).collect()
            }).into();
            prop_assert_eq!(&parts[0], &parts[1]);
        }
    }
}
