//! Findings to rows: the one place where a row is put together.
//!
//! In: a finding as it was found, and its place. Out: Arrow batches with the schema of `columns`,
//! and for each row what dedupe needs. What can go wrong: a finding without identity or without any
//! usable time is a [`Refusal`], and nothing of it is in the batch; a field that cannot be read is
//! null and counted. Limit: the rows of one batch stay below [`BATCH_BYTES_MAX`], because Arrow
//! counts a column's text with 32 bits; the caller asks [`RowsBuilder::bytes`] and finishes in
//! time.

use std::borrow::Cow;
use std::mem::size_of;

use arrow::array::ArrayRef;
use arrow::record_batch::RecordBatch;

use crate::finding::builders::{ColumnBuilder, fixed_bytes};
use crate::finding::columns::{COLUMN_COUNT, COLUMNS, Column, SCHEMA_VERSION, schema};
use crate::finding::envelope::{Envelope, Found, Shape};
use crate::finding::identity::{self, Key};
use crate::finding::json::Object;
use crate::finding::place::{Place, Span};
use crate::finding::reject::Reason;
use crate::finding::row::{Cell, Row};
use crate::finding::tally::Tally;
use crate::finding::{from_asff, from_health, from_ocsf, time};

/// How many bytes of rows a builder takes before it must be finished.
pub const BATCH_BYTES_MAX: usize = 1 << 30;

/// How long before the envelope's time an event's own time may lie to be the row's clock: its
/// entities are refreshed up to 72 hours late (Health User Guide).
const OWN_TIME_BEFORE_MS: i64 = 72 * 3_600_000;
/// How long after the envelope's time it may lie.
const OWN_TIME_AFTER_MS: i64 = 3_600_000;

/// The capacity above which a buffer is not kept for the next row.
const BUFFER_KEPT_MAX: usize = 1 << 20;

/// Why a finding did not become a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// [`Reason::NoIdentity`] or [`Reason::NoTime`].
    pub reason: Reason,
    /// What exactly is missing, for a person.
    pub detail: String,
}

/// What dedupe needs to know of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowKey {
    /// The row's identity.
    pub row_id: u128,
    /// The row's clock, which gives its partition, in milliseconds since 1970 UTC.
    pub reported_at_ms: i64,
    /// Whether it is known to be the copy for the backup Region.
    pub backup: bool,
    /// The envelope's time in milliseconds since 1970 UTC; `i64::MAX` when there is none.
    pub event_time_ms: i64,
    /// Which finding of its document it is, from 0.
    pub ordinal: u32,
}

/// Rows as Arrow columns.
#[derive(Debug, Clone)]
pub struct Rows {
    /// The rows, with the schema of `columns`.
    pub batch: RecordBatch,
    /// One key for each row, in order.
    pub keys: Vec<RowKey>,
}

/// Puts rows together.
#[derive(Debug)]
pub struct RowsBuilder {
    columns: Vec<ColumnBuilder>,
    keys: Vec<RowKey>,
    bytes: usize,
    /// Bytes that every row takes, whatever it holds.
    row_bytes: usize,
    hashed: Vec<u8>,
    leftovers: String,
}

impl Default for RowsBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl RowsBuilder {
    /// A builder without rows.
    pub fn new() -> Self {
        let validity = COLUMN_COUNT.div_ceil(8);
        let fixed: usize = COLUMNS.iter().map(|spec| fixed_bytes(spec.kind)).sum();
        Self {
            columns: COLUMNS.iter().map(|spec| ColumnBuilder::new(spec.kind)).collect(),
            keys: Vec::new(),
            bytes: 0,
            row_bytes: fixed + validity + size_of::<RowKey>(),
            hashed: Vec::new(),
            leftovers: String::new(),
        }
    }

    /// Appends the row of a finding, and counts its shape, its unknown and unreadable fields and an
    /// unknown account.
    ///
    /// # Errors
    /// [`Refusal`] when the finding has no identity or no usable time; then nothing is appended or
    /// counted.
    ///
    /// # Panics
    /// When the rows already take [`BATCH_BYTES_MAX`] bytes.
    pub fn append(
        &mut self,
        found: &Found<'_>,
        place: &Place,
        span: &Span,
        tally: &mut Tally,
    ) -> Result<(), Refusal> {
        assert!(self.bytes < BATCH_BYTES_MAX, "a full batch must be finished first");
        // Filled in place: its cells are some kilobytes.
        let mut row = Row::new(std::mem::take(&mut self.leftovers), tally);
        let assembled = self.assemble(&mut row, found, place, span);
        if let Ok(key) = &assembled {
            self.bytes += self.row_bytes;
            let index = self.keys.len();
            for (column, cell) in self.columns.iter_mut().zip(&row.cells) {
                self.bytes += column.set(index, cell);
            }
            if let Some(text) = row.leftovers.text()
                && let Some(column) = self.columns.get_mut(Column::UnmappedJson as usize)
            {
                self.bytes += column.set(index, &Cell::Text(Cow::Borrowed(text)));
            }
            self.keys.push(*key);
        }
        let buffer = row.leftovers.into_buffer();
        if buffer.capacity() <= BUFFER_KEPT_MAX {
            self.leftovers = buffer;
        }
        assembled.map(|_| ())
    }

    /// Puts one row together, but for what is left over, which stands beside the cells.
    pub(super) fn assemble<'j>(
        &mut self,
        row: &mut Row<'j, '_>,
        found: &Found<'j>,
        place: &'j Place,
        span: &Span,
    ) -> Result<RowKey, Refusal> {
        let body = found.body.as_object().ok_or_else(|| no_identity("the finding is no object"))?;
        let named = name(found, body)?;
        let clock = read_clock(found, body)?;
        row.tally.by_shape.add(found.shape.name(), 1);
        row.tally.account_unknown += u64::from(named.account.is_empty());

        fill_head(row, found, &clock, &named, place, span);
        match found.shape {
            Shape::Native => {
                from_health::fill(row, body, found.envelope.and_then(|event| event.region));
            }
            Shape::Asff => from_asff::fill(row, found.body, body),
            Shape::Ocsf => from_ocsf::fill(row, found.body, body),
        }
        row.leftovers.finish();
        Ok(self.identify(row, found, &clock, &named, span))
    }

    /// Hashes the finding and puts the hashes into its row.
    fn identify(
        &mut self,
        row: &mut Row<'_, '_>,
        found: &Found<'_>,
        clock: &Clock,
        named: &Named<'_>,
        span: &Span,
    ) -> RowKey {
        let hash = identity::content_hash(found.shape, found.body, &mut self.hashed);
        let content_hash = identity::hex(hash);
        let key = Key {
            product: named.product,
            id: &named.id,
            account: named.account,
            second: clock.event_ms.filter(|_| named.has_second).map(|ms| ms.div_euclid(1000)),
        };
        let row_id =
            identity::row_id(clock.reported_ms, &key, content_hash.as_str(), &mut self.hashed);
        row.set(Column::ContentHash, Cell::Id(hash));
        row.set(Column::RowId, Cell::Id(row_id));
        RowKey {
            row_id,
            reported_at_ms: clock.reported_ms,
            backup: *row.cell(Column::Backup) == Cell::Bool(true),
            event_time_ms: clock.event_ms.unwrap_or(i64::MAX),
            ordinal: span.ordinal,
        }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// About how many bytes the rows take as Arrow columns, with their keys: a sum over the rows
    /// that depends on nothing else.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The rows; the builder is empty again.
    #[expect(clippy::expect_used, reason = "each column has a cell of its kind for each row")]
    pub fn finish(&mut self) -> Rows {
        let rows = self.keys.len();
        let arrays: Vec<ArrayRef> =
            self.columns.iter_mut().map(|column| column.finish(rows)).collect();
        let batch = RecordBatch::try_new(schema(), arrays).expect("the columns fit the schema");
        self.bytes = 0;
        Rows { batch, keys: std::mem::take(&mut self.keys) }
    }
}

/// What names a finding.
struct Named<'j> {
    product: Option<&'j str>,
    id: Cow<'j, str>,
    account: &'j str,
    /// Whether the envelope's second is part of its key.
    has_second: bool,
}

fn name<'j>(found: &Found<'j>, body: &'j Object<'j>) -> Result<Named<'j>, Refusal> {
    let (product, id, account, has_second) = match found.shape {
        Shape::Native => {
            let id = from_health::id(body)
                .ok_or_else(|| no_identity("the Health event has no `eventArn`"))?;
            let has_second = !from_health::has_communication(body);
            (None, Cow::Borrowed(id), from_health::account(body), has_second)
        }
        Shape::Asff => {
            let id =
                from_asff::id(body).ok_or_else(|| no_identity("the ASFF finding has no `Id`"))?;
            let product = from_asff::product(body)
                .ok_or_else(|| no_identity("the ASFF finding has no `ProductArn`"))?;
            (Some(product), Cow::Borrowed(id), from_asff::account(body), true)
        }
        Shape::Ocsf => {
            let id = from_ocsf::id(body).ok_or_else(|| {
                no_identity("the OCSF finding has no `finding_info.uid` and no other uid")
            })?;
            let product = from_ocsf::product(body).unwrap_or_default();
            (Some(product), id, from_ocsf::account(body), true)
        }
    };
    let sent_to = || found.envelope?.account.filter(|account| !account.trim_ascii().is_empty());
    let account = account.or_else(sent_to).unwrap_or_default();
    Ok(Named { product, id, account, has_second })
}

fn no_identity(detail: &str) -> Refusal {
    Refusal { reason: Reason::NoIdentity, detail: detail.to_owned() }
}

/// The clocks of a finding.
struct Clock {
    /// The envelope's time.
    event_ms: Option<i64>,
    /// The clock of the row.
    reported_ms: i64,
    /// Which clock that is.
    source: &'static str,
}

/// Reads the clocks of a finding and chooses the row's: the envelope's, except that copies of a
/// native event share its own time where that is near; without an envelope's the finding's own, the
/// best first.
fn read_clock(found: &Found<'_>, body: &Object<'_>) -> Result<Clock, Refusal> {
    let event_ms = found.envelope.and_then(|event| event.time).and_then(time::parse);
    let clock = |reported_ms, source| Ok(Clock { event_ms, reported_ms, source });
    if let Some(event_ms) = event_ms {
        let near = event_ms - OWN_TIME_BEFORE_MS..=event_ms + OWN_TIME_AFTER_MS;
        let is_native = found.shape == Shape::Native;
        let own = if is_native { from_health::updated(body) } else { None };
        return match own.filter(|own| near.contains(own)) {
            Some(own) => clock(own, "updated"),
            None => clock(event_ms, "envelope"),
        };
    }
    let (updated, event, made, names) = match found.shape {
        Shape::Native => (
            from_health::updated(body),
            None,
            from_health::started(body).map(|ms| (ms, "start")),
            "`time` of the envelope, `lastUpdatedTime` and `startTime`",
        ),
        Shape::Asff => (
            from_asff::updated(body),
            None,
            from_asff::created(body).map(|ms| (ms, "created")),
            "`time` of the envelope, `UpdatedAt` and `CreatedAt`",
        ),
        Shape::Ocsf => (
            from_ocsf::updated(body),
            from_ocsf::time_of_event(body),
            from_ocsf::created(body).map(|ms| (ms, "created")),
            "`time` of the envelope, `modified_time`, `time` and `created_time`",
        ),
    };
    let own = updated.map(|ms| (ms, "updated")).or(event.map(|ms| (ms, "time"))).or(made);
    match own {
        Some((ms, source)) => clock(ms, source),
        None => Err(Refusal {
            reason: Reason::NoTime,
            detail: format!("{names} are missing or no times of the years 2015 to 2100"),
        }),
    }
}

/// Fills what does not come from the finding's body, and what its key already tells.
fn fill_head<'j>(
    row: &mut Row<'j, '_>,
    found: &Found<'j>,
    clock: &Clock,
    named: &Named<'j>,
    place: &'j Place,
    span: &Span,
) {
    row.set(Column::ReportedAt, Cell::Time(clock.reported_ms));
    row.set_time(Column::EventTime, clock.event_ms);
    row.set(Column::ArrivedHour, Cell::Time(place.arrived_hour_ms));
    row.set_text(Column::TimeSource, clock.source);
    row.set_text(Column::Shape, found.shape.name());
    let envelope = found.envelope.unwrap_or_default();
    fill_envelope(row, &envelope, clock);
    row.set(Column::FindingId, Cell::Text(named.id.clone()));
    row.set_text(Column::AccountId, named.account);
    row.set_text(Column::SourceObject, place.object.as_ref());
    let length = span.range.end.saturating_sub(span.range.start);
    row.set(Column::SourceOffset, Cell::Long(long(span.range.start)));
    row.set(Column::SourceLength, Cell::Long(long(length)));
    row.set(Column::SchemaVersion, Cell::Int(SCHEMA_VERSION));
}

fn fill_envelope<'j>(row: &mut Row<'j, '_>, envelope: &Envelope<'j>, clock: &Clock) {
    let fields = [
        (Column::DetailType, envelope.detail_type),
        (Column::EventId, envelope.id),
        (Column::SentToAccount, envelope.account),
        (Column::SentToRegion, envelope.region),
    ];
    for (column, text) in fields {
        row.set_some_text(column, text.filter(|text| !text.trim_ascii().is_empty()));
    }
    let is_unreadable = |time: &str| !time.trim_ascii().is_empty() && clock.event_ms.is_none();
    if envelope.time.is_some_and(is_unreadable) {
        row.count_unreadable(Column::EventTime);
    }
}

/// A place in an object as Parquet's signed integer.
fn long(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{Int64Type, TimestampMillisecondType};

    use super::*;
    use crate::finding::json::Json;
    use crate::finding::testing::{ENVELOPE, place, span};

    const EVENT: &str = r#"{"eventArn":"arn:aws:health:us-east-1::event/EC2/X/X_1","service":"EC2",
        "lastUpdatedTime":"2026-11-24T02:00:00Z","backupEvent":"true","personas":["A","B"],
        "affectedEntities":[{"entityValue":"i-1","tags":{"a":"1"}},{"entityValue":"i-2"}],
        "eventMetadata":{"k":"v"}}"#;
    const FINDING: &str = r#"{"Id":"f","ProductArn":"p","UpdatedAt":"2026-11-23T02:00:00Z",
        "Resources":[{"Id":"r","Tags":{},"Details":{"a":1}}]}"#;

    fn append(
        builder: &mut RowsBuilder,
        shape: Shape,
        text: &str,
        tally: &mut Tally,
    ) -> Result<(), Refusal> {
        let body = Json::leaked(text).unwrap();
        let envelope = (shape == Shape::Native).then_some(ENVELOPE);
        let found = Found { shape, body: &body, envelope };
        builder.append(&found, &place(), &span(), tally)
    }

    #[test]
    fn rows_become_a_batch_with_a_key_each() {
        let mut builder = RowsBuilder::new();
        let mut tally = Tally::default();
        append(&mut builder, Shape::Native, EVENT, &mut tally).unwrap();
        append(&mut builder, Shape::Asff, FINDING, &mut tally).unwrap();
        let refusal = append(&mut builder, Shape::Asff, "{}", &mut tally).unwrap_err();
        assert_eq!(refusal.reason, Reason::NoIdentity);
        assert_eq!(
            append(&mut builder, Shape::Asff, "[]", &mut tally).unwrap_err().reason,
            Reason::NoIdentity
        );
        assert_eq!((builder.len(), builder.is_empty()), (2, false));
        let rows = builder.finish();
        assert_eq!((builder.len(), builder.bytes(), builder.is_empty()), (0, 0, true));

        assert_eq!(rows.batch.schema(), schema());
        assert_eq!(rows.batch.num_rows(), 2);
        let [event, finding] = rows.keys.as_slice() else { panic!("two keys") };
        assert!(event.backup && !finding.backup);
        assert_eq!(event.event_time_ms, 1_795_489_445_000);
        assert_eq!(finding.event_time_ms, i64::MAX);
        assert_eq!((event.ordinal, finding.ordinal), (2, 2));
        let column = |column: Column| rows.batch.column(column as usize);
        let ids = column(Column::RowId).as_string::<i32>();
        assert_eq!(ids.value(0), identity::hex(event.row_id).as_str());
        assert_eq!(ids.value(1), identity::hex(finding.row_id).as_str());
        let times = column(Column::ReportedAt).as_primitive::<TimestampMillisecondType>();
        assert_eq!(times.values().to_vec(), [event.reported_at_ms, finding.reported_at_ms]);
        let lengths = column(Column::SourceLength).as_primitive::<Int64Type>();
        assert_eq!(lengths.values().to_vec(), [200, 200]);
        let entities = column(Column::Entities).as_list::<i32>();
        assert_eq!((entities.value_length(0), entities.is_null(1)), (2, true));
        let resources = column(Column::Resources).as_list::<i32>();
        assert_eq!((resources.is_null(0), resources.value_length(1)), (true, 1));
        assert_eq!(tally.by_shape.0.values().sum::<u64>(), 2);
        assert_eq!(tally.account_unknown, 1);
    }

    #[test]
    fn the_estimate_is_a_sum_over_rows_and_near_the_truth() {
        let mut tally = Tally::default();
        let mut builder = RowsBuilder::new();
        let mut bytes_of = |builder: &mut RowsBuilder, shape, text| {
            let before = builder.bytes();
            append(builder, shape, text, &mut tally).unwrap();
            builder.bytes() - before
        };
        let first = bytes_of(&mut builder, Shape::Native, EVENT);
        let second = bytes_of(&mut builder, Shape::Asff, FINDING);
        builder.finish();
        for _ in 0..500 {
            assert_eq!(bytes_of(&mut builder, Shape::Asff, FINDING), second);
            assert_eq!(bytes_of(&mut builder, Shape::Native, EVENT), first);
        }
        let estimate = builder.bytes();
        let arrow = builder.finish().batch.get_array_memory_size();
        assert!((estimate * 8 / 10..estimate * 12 / 10).contains(&arrow), "{estimate} {arrow}");
    }

    #[test]
    fn an_empty_batch_and_small_ones_take_little_room() {
        let mut builder = RowsBuilder::new();
        assert_eq!(builder.finish().batch.num_rows(), 0);
        append(&mut builder, Shape::Native, EVENT, &mut Tally::default()).unwrap();
        assert!(builder.finish().batch.get_array_memory_size() < 32 * 1024);
    }

    #[test]
    fn the_clock_of_a_row() {
        let clock = |shape, time: Option<&str>, text: &str| {
            let body = Json::leaked(text).unwrap();
            let envelope = time.map(|time| Envelope { time: Some(time), ..Envelope::default() });
            let found = Found { shape, body: &body, envelope };
            let clock = read_clock(&found, body.as_object().unwrap()).ok()?;
            Some((clock.source, time::day(clock.reported_ms)))
        };
        let native = |own: &str| {
            format!(r#"{{"lastUpdatedTime":"{own}","startTime":"2026-01-01T00:00:00Z"}}"#)
        };
        let sent = Some("2026-11-24T03:04:05Z");
        let asff = r#"{"UpdatedAt":"2026-11-23T00:00:00Z","CreatedAt":"2026-11-22T00:00:00Z"}"#;
        let ocsf = r#"{"time":1795489445000,"finding_info":{"created_time":1795219200000}}"#;
        let table = [
            (Shape::Native, sent, native("2026-11-23T23:00:00Z"), "updated 2026-11-23"),
            (Shape::Native, sent, native("2026-11-21T03:04:05Z"), "updated 2026-11-21"),
            (Shape::Native, sent, native("2026-11-21T03:04:04Z"), "envelope 2026-11-24"),
            (Shape::Native, sent, native("2026-11-24T04:04:05Z"), "updated 2026-11-24"),
            (Shape::Native, sent, native("2026-11-24T04:04:06Z"), "envelope 2026-11-24"),
            (Shape::Native, sent, native("?"), "envelope 2026-11-24"),
            (Shape::Native, None, native("2020-01-01T00:00:00Z"), "updated 2020-01-01"),
            (Shape::Native, None, native("?"), "start 2026-01-01"),
            (Shape::Native, Some("?"), native("?"), "start 2026-01-01"),
            (Shape::Asff, sent, asff.to_owned(), "envelope 2026-11-24"),
            (Shape::Asff, None, asff.to_owned(), "updated 2026-11-23"),
            (Shape::Asff, None, r#"{"CreatedAt":"2026-11-22"}"#.to_owned(), "created 2026-11-22"),
            (Shape::Ocsf, None, ocsf.to_owned(), "time 2026-11-24"),
            (
                Shape::Ocsf,
                None,
                r#"{"finding":{"modified_time":1795219200000}}"#.to_owned(),
                "updated 2026-11-21",
            ),
            (
                Shape::Ocsf,
                None,
                r#"{"finding_info":{"created_time":1795219200000}}"#.to_owned(),
                "created 2026-11-21",
            ),
        ];
        for (shape, time, text, expected) in table {
            let (source, day) = clock(shape, time, &text).unwrap();
            assert_eq!(format!("{source} {day}"), expected, "{time:?} {text}");
        }
        assert_eq!(clock(Shape::Asff, None, r#"{"FirstObservedAt":"2026-11-22"}"#), None);
    }

    #[test]
    fn the_second_is_part_of_the_key_where_it_should_be() {
        let id = |shape, text: &str, time: &'static str| {
            let body = Json::leaked(text).unwrap();
            let envelope = Some(Envelope { time: Some(time), ..ENVELOPE });
            let found = Found { shape, body: &body, envelope };
            let mut builder = RowsBuilder::new();
            builder.append(&found, &place(), &span(), &mut Tally::default()).unwrap();
            builder.finish().keys[0].row_id
        };
        let with_id = r#"{"eventArn":"a","communicationId":"c"}"#;
        let table = [
            (Shape::Native, with_id, true),
            (Shape::Native, r#"{"eventArn":"a","communicationId":" "}"#, false),
            (Shape::Native, r#"{"eventArn":"a"}"#, false),
            (Shape::Asff, FINDING, false),
            (Shape::Ocsf, r#"{"finding_info":{"uid":"u"}}"#, false),
        ];
        for (shape, text, expected) in table {
            let one = id(shape, text, "2026-11-24T03:04:05Z");
            assert_eq!(one, id(shape, text, "2026-11-24T03:04:05.5Z"), "{text}");
            assert_eq!(one == id(shape, text, "2026-11-24T03:04:06Z"), expected, "{text}");
        }
    }
}
