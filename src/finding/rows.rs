//! Findings to rows: the one place where a row is put together.
//!
//! In: a finding as it was found, and its place. Out: Arrow batches with the schema of `columns`, and
//! for each row what dedupe needs. What can go wrong: a finding without identity or without any
//! usable time is a [`Refusal`], and nothing of it is in the batch; a field that cannot be read is
//! null and counted. Limit: the rows of one batch stay below [`BATCH_BYTES_MAX`], because Arrow
//! counts a column's text with 32 bits; the caller asks [`RowsBuilder::bytes`] and finishes in time.

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
        let (cells, key) = self.assemble(found, place, span, tally)?;
        self.bytes += self.row_bytes;
        for (column, cell) in self.columns.iter_mut().zip(&cells) {
            self.bytes += column.append(cell);
        }
        self.keys.push(key);
        Ok(())
    }

    /// Puts one row together.
    pub(super) fn assemble<'j>(
        &mut self,
        found: &Found<'j>,
        place: &Place,
        span: &Span,
        tally: &mut Tally,
    ) -> Result<([Cell<'j>; COLUMN_COUNT], RowKey), Refusal> {
        let body = found.body.as_object().ok_or_else(|| no_identity("the finding is no object"))?;
        let named = name(found, body)?;
        let clock = read_clock(found, body)?;
        tally.by_shape.add(found.shape.name(), 1);
        tally.account_unknown += u64::from(named.account.is_empty());

        let mut row = Row::new(std::mem::take(&mut self.leftovers), tally);
        fill_head(&mut row, found, &clock, &named, place, span);
        match found.shape {
            Shape::Native => {
                from_health::fill(&mut row, body, found.envelope.and_then(|event| event.region));
            }
            Shape::Asff => from_asff::fill(&mut row, found.body, body),
            Shape::Ocsf => from_ocsf::fill(&mut row, found.body, body),
        }
        let key = self.identify(&mut row, found, &clock, &named, span);
        Ok((self.take_leftovers(row), key))
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
        let row_id = identity::row_id(clock.reported_ms, &key, &content_hash, &mut self.hashed);
        row.set_text(Column::ContentHash, content_hash);
        row.set_text(Column::RowId, identity::hex(row_id));
        RowKey {
            row_id,
            reported_at_ms: clock.reported_ms,
            backup: *row.cell(Column::Backup) == Cell::Bool(true),
            event_time_ms: clock.event_ms.unwrap_or(i64::MAX),
            ordinal: span.ordinal,
        }
    }

    /// The cells of a row with what is left over among them; its buffer is used again.
    fn take_leftovers<'j>(&mut self, row: Row<'j, '_>) -> [Cell<'j>; COLUMN_COUNT] {
        let Row { mut cells, leftovers, .. } = row;
        let (text, buffer) = leftovers.finish();
        if buffer.capacity() <= BUFFER_KEPT_MAX {
            self.leftovers = buffer;
        }
        if let (Some(text), Some(cell)) = (text, cells.get_mut(Column::UnmappedJson as usize)) {
            *cell = Cell::Text(Cow::Owned(text));
        }
        cells
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// About how many bytes the rows take as Arrow columns, with their keys: a sum over the rows that
    /// depends on nothing else.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The rows; the builder is empty again.
    #[expect(clippy::expect_used, reason = "each column has a cell of its kind for each row")]
    pub fn finish(&mut self) -> Rows {
        let arrays: Vec<ArrayRef> = self.columns.iter_mut().map(ColumnBuilder::finish).collect();
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

/// Reads the clocks of a finding and chooses the row's: the envelope's, except that copies of a native
/// event share its own time where that is near; without an envelope's the finding's own, the best first.
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
    place: &Place,
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
    row.set_text(Column::SourceObject, place.object.to_string());
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
