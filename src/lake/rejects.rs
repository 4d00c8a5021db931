//! The table of what could not become a finding: one row a reject, with its place and its bytes.
//!
//! In: rejects and the objects they come from, each in one of its states. Out: their parts. Which states
//! are to be written is for [`super::reject_states`] to say. Pure; only bad code can make it fail. The
//! bytes stay binary, as they were: a reject is often just what is no text. Memory: one slice of rows
//! beside the rejects.
//!
//! The table only grows, so what becomes of a reject is a further row of the same id, with the next
//! `state_number`: the row with the greatest one counts.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use arrow::array::{
    ArrayRef, BinaryArray, Int32Array, Int64Array, StringArray, TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use xxhash_rust::xxh3::xxh3_128;

use super::error::LakeResult;
use super::ids::id_text;
use super::layout::{Partition, PartitionBy, Table};
use super::part::{EncodedPart, PART_BYTES_MAX, PART_ROWS_MAX, PartWriter, cut};
use crate::finding::place::Place;
use crate::finding::reject::{REJECT_BYTES_MAX, Reject};

/// The version of the columns below; each row carries it in `schema_version`.
pub const REJECTS_SCHEMA_VERSION: i32 = 2;

/// Where a reject stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Nothing was done about it yet, or it came back.
    Open,
    /// A redrive read it again, and it is rejected still.
    StillFailing,
    /// A redrive found its object gone.
    ObjectGone,
    /// A redrive found another object under its key.
    ObjectChanged,
    /// Its bytes were read again, and are no reject of this kind any more.
    Redriven,
    /// What a later version of the program has made of it.
    Other,
}

impl State {
    /// Those that this version writes.
    pub const ALL: [Self; 5] =
        [Self::Open, Self::StillFailing, Self::ObjectGone, Self::ObjectChanged, Self::Redriven];

    /// The name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::StillFailing => "still_failing",
            Self::ObjectGone => "object_gone",
            Self::ObjectChanged => "object_changed",
            Self::Redriven => "redriven",
            Self::Other => "other",
        }
    }

    /// The state of this name.
    pub fn parse(name: &str) -> Self {
        Self::ALL.into_iter().find(|state| state.name() == name).unwrap_or(Self::Other)
    }

    /// Whether its object, when it is read again as it was, gives the reject.
    pub fn is_in_object(self) -> bool {
        matches!(self, Self::Open | Self::StillFailing)
    }

    /// Whether the reject is no finding yet: all but [`State::Redriven`].
    pub fn waits(self) -> bool {
        self != Self::Redriven
    }
}

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
pub const COLUMNS: [RejectColumn; 17] = [
    column(
        "reject_id",
        "string",
        false,
        "Identity of this reject; unique together with `state_number`",
    ),
    column("arrived_hour", "timestamp", false, "The hour in which the object arrived"),
    column("state", "string", false, "`open`, or what a later reading made of it"),
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
    column(
        "state_number",
        "int",
        true,
        "How many states came before; the row with the greatest one counts, null is the first",
    ),
    column(
        "state_by",
        "string",
        true,
        "The program and the settings that gave the state; null where a run found it first",
    ),
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

impl RejectRow {
    /// Its row in the table when nobody has seen it before.
    pub fn line(&self) -> RejectLine<'_> {
        let Self { place, reject } = self;
        let kept = reject.bytes.len().min(REJECT_BYTES_MAX);
        let whole = whole(reject) as u64;
        RejectLine {
            id: reject_id(place, reject),
            state: State::Open,
            state_number: 0,
            state_by: None,
            arrived_hour_ms: place.arrived_hour_ms,
            stage: reject.stage.name(),
            reason: reject.reason.name(),
            detail: Cow::Borrowed(&reject.detail),
            object: &place.object,
            etag: &place.etag,
            offset: reject.range.start,
            length: reject.range.end.saturating_sub(reject.range.start),
            ordinal: reject.ordinal.and_then(|ordinal| i32::try_from(ordinal).ok()),
            bytes_length: whole,
            bytes_cut: (kept as u64) < whole,
            bytes: reject.bytes.get(..kept).unwrap_or_default(),
        }
    }
}

/// One row of the table: a reject in one of its states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectLine<'a> {
    /// The reject.
    pub id: u128,
    /// Its state.
    pub state: State,
    /// How many states came before.
    pub state_number: i32,
    /// What gave it the state, but for the first.
    pub state_by: Option<&'a str>,
    /// When the object arrived, which gives the partition.
    pub arrived_hour_ms: i64,
    /// Where it arose.
    pub stage: &'a str,
    /// Why.
    pub reason: &'a str,
    /// What exactly is wrong, or became of it.
    pub detail: Cow<'a, str>,
    /// URI of the object.
    pub object: &'a str,
    /// Its etag.
    pub etag: &'a str,
    /// First byte in the decompressed object.
    pub offset: u64,
    /// How many bytes it covers.
    pub length: u64,
    /// Which finding of its document it is.
    pub ordinal: Option<i32>,
    /// How many bytes there were.
    pub bytes_length: u64,
    /// Whether `bytes` holds the beginning only.
    pub bytes_cut: bool,
    /// Its bytes.
    pub bytes: &'a [u8],
}

impl RejectLine<'_> {
    /// The same without its bytes. A row that waits has lost them this way when there were any and `bytes` is empty.
    #[must_use]
    pub fn redacted(self) -> Self {
        Self { bytes_cut: self.bytes_length > 0, bytes: &[], ..self }
    }

    fn sort_key(&self) -> (&str, u64, Option<i32>, &str, u128, i32) {
        (self.object, self.offset, self.ordinal, self.reason, self.id, self.state_number)
    }
}

/// These rows by partition of their arrival, ascending, each partition sorted by (object, offset,
/// ordinal, reason), as one would look through an object.
pub fn by_partition(
    mut lines: Vec<RejectLine<'_>>,
    by: PartitionBy,
) -> Vec<(Partition, Vec<RejectLine<'_>>)> {
    let partition = |line: &RejectLine<'_>| Partition::of(line.arrived_hour_ms, by);
    lines.sort_unstable_by(|one, two| {
        partition(one).cmp(&partition(two)).then_with(|| one.sort_key().cmp(&two.sort_key()))
    });
    let mut all: Vec<(Partition, Vec<RejectLine<'_>>)> = Vec::new();
    for line in lines {
        let own = partition(&line);
        match all.last_mut() {
            Some((last, lines)) if *last == own => lines.push(line),
            _ => all.push((own, vec![line])),
        }
    }
    all
}

/// The partitions that these rejects belong to, ascending.
pub fn partitions(rows: &[RejectRow], by: PartitionBy) -> Vec<Partition> {
    let mut partitions = std::collections::BTreeSet::new();
    partitions.extend(rows.iter().map(|row| Partition::of(row.place.arrived_hour_ms, by)));
    partitions.into_iter().collect()
}

/// Cuts a partition's rejects into those of one part each.
pub fn split(lines: &[RejectLine<'_>]) -> Vec<std::ops::Range<usize>> {
    cut(&sizes(lines), PART_ROWS_MAX, PART_BYTES_MAX)
}

/// Encodes these rejects, in this order, as one part.
pub fn encode(lines: &[RejectLine<'_>]) -> LakeResult<EncodedPart> {
    let mut writer = PartWriter::new(Table::Rejects, schema())?;
    for slice in cut(&sizes(lines), SLICE_ROWS_MAX, SLICE_BYTES_MAX) {
        let batch = batch(lines.get(slice).unwrap_or_default())
            .map_err(|error| super::part::broken(Table::Rejects, error))?;
        writer.push(&batch)?;
    }
    writer.finish()
}

fn sizes(lines: &[RejectLine<'_>]) -> Vec<u64> {
    lines.iter().map(|line| (line.bytes.len() + line.detail.len() + 256) as u64).collect()
}

/// These rows as columns of the table.
pub fn batch(lines: &[RejectLine<'_>]) -> Result<RecordBatch, ArrowError> {
    fn texts<'a>(
        lines: &'a [RejectLine<'_>],
        text: impl Fn(&'a RejectLine<'_>) -> &'a str,
    ) -> ArrayRef {
        Arc::new(StringArray::from_iter_values(lines.iter().map(text)))
    }
    fn longs(lines: &[RejectLine<'_>], long: impl Fn(&RejectLine<'_>) -> u64) -> ArrayRef {
        let long = |line| i64::try_from(long(line)).unwrap_or(i64::MAX);
        Arc::new(Int64Array::from_iter_values(lines.iter().map(long)))
    }
    let ids = lines.iter().map(|line| id_text(line.id));
    let hours = lines.iter().map(|line| line.arrived_hour_ms);
    let versions = lines.iter().map(|_| REJECTS_SCHEMA_VERSION);
    let number = |line: &RejectLine<'_>| Some(line.state_number).filter(|number| *number > 0);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(ids)),
        Arc::new(TimestampMillisecondArray::from_iter_values(hours).with_timezone("UTC")),
        texts(lines, |line| line.state.name()),
        texts(lines, |line| line.stage),
        texts(lines, |line| line.reason),
        texts(lines, |line| line.detail.as_ref()),
        texts(lines, |line| line.object),
        texts(lines, |line| line.etag),
        longs(lines, |line| line.offset),
        longs(lines, |line| line.length),
        Arc::new(lines.iter().map(|line| line.ordinal).collect::<Int32Array>()),
        longs(lines, |line| line.bytes_length),
        Arc::new(
            lines.iter().map(|line| Some(line.bytes_cut)).collect::<arrow::array::BooleanArray>(),
        ),
        Arc::new(Int32Array::from_iter_values(versions)),
        Arc::new(BinaryArray::from_iter_values(lines.iter().map(|line| line.bytes))),
        Arc::new(lines.iter().map(number).collect::<Int32Array>()),
        Arc::new(lines.iter().map(|line| line.state_by).collect::<StringArray>()),
    ];
    RecordBatch::try_new(schema(), columns)
}

/// How many bytes there were. A finding inside a wrapper is shorter than the range of its document,
/// so only for bytes that reach the limit is the range what is known of the rest.
fn whole(reject: &Reject) -> usize {
    let Reject { range, ordinal, bytes, .. } = reject;
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
        encode(&[row("o", 0, b"x").line()]).unwrap().bytes
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
        let lines = by_partition(rows.iter().map(RejectRow::line).collect(), PartitionBy::Day);
        let [(partition, lines)] = &lines[..] else { panic!() };
        assert_eq!(partition.to_string(), "2026-11-24");
        let part = encode(lines).unwrap();
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
    fn a_later_state_says_so_and_the_first_says_nothing() {
        let first = row("a", 0, b"x");
        let later = RejectLine {
            state: State::StillFailing,
            state_number: 2,
            state_by: Some("us"),
            ..first.line()
        };
        let read = read_part(&encode(&[first.line(), later]).unwrap().bytes);
        let numbers = read.column_by_name("state_number").unwrap().clone();
        let numbers = numbers.as_primitive::<arrow::datatypes::Int32Type>();
        assert_eq!(numbers.iter().collect::<Vec<_>>(), [None, Some(2)]);
        let states = read.column_by_name("state").unwrap().as_string::<i32>();
        assert_eq!(states.iter().flatten().collect::<Vec<_>>(), ["open", "still_failing"]);
        for state in State::ALL {
            assert_eq!(State::parse(state.name()), state);
        }
        assert_eq!(State::parse("something new"), State::Other);
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
                let lines: Vec<_> = rows.iter().map(RejectRow::line).collect();
                let parts = by_partition(lines, PartitionBy::Day);
                parts.iter().map(|(_, lines)| encode(lines).unwrap().bytes).collect()
            }).into();
            prop_assert_eq!(&parts[0], &parts[1]);
        }
    }
}
