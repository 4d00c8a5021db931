//! The lake's rows, as far as a report looks at them.
//!
//! In: batches of [`COLUMNS`]. Out: small rows whose texts are numbers. Pure; a null is an empty text
//! or no time. Memory: some hundred bytes a row.

use std::cmp::Ordering;

use arrow::array::{Array, AsArray, PrimitiveArray, StringArray};
use arrow::datatypes::TimestampMillisecondType;
use arrow::record_batch::RecordBatch;
use xxhash_rust::xxh3::xxh3_128;

use super::names::{NONE, Name, Names};
use crate::finding::columns::{self, Column};

/// The columns of `findings` that are read, in this order.
pub(crate) const COLUMNS: [Column; 24] = [
    Column::ReportedAt,
    Column::EventTime,
    Column::ArrivedHour,
    Column::CreatedAt,
    Column::FirstObservedAt,
    Column::StartTime,
    Column::EndTime,
    Column::TimeSource,
    Column::FindingId,
    Column::EventArn,
    Column::Service,
    Column::EventTypeCode,
    Column::EventTypeCategory,
    Column::StatusCode,
    Column::AccountId,
    Column::Region,
    Column::ProductArn,
    Column::ProductName,
    Column::GeneratorId,
    Column::SeverityLabel,
    Column::Title,
    Column::WorkflowStatus,
    Column::RecordState,
    Column::Shape,
];

/// No time.
pub(crate) const NO_TIME: i64 = i64::MIN;

/// Whether a row says that its finding is open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    #[default]
    Unknown,
    Open,
    Closed,
}

impl State {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// What is exposed by a finding, if anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExposureKind {
    Credentials,
    Abuse,
    Risk,
}

impl ExposureKind {
    /// As the view `exposure` has it; what is no Health event exposes nothing.
    pub(crate) fn of(is_event: bool, service: &str, event_type: &str) -> Option<Self> {
        let has = |words: &[&str]| words.iter().any(|word| event_type.contains(word));
        let named = ["ABUSE", "RISK"].contains(&service)
            || has(&["ABUSE", "CREDENTIAL", "EXPOSED", "COMPROMISE", "OPEN_ACCESS"]);
        match () {
            () if !is_event || !named => None,
            () if has(&["CREDENTIAL", "ACCESS_KEY"]) => Some(Self::Credentials),
            () if service == "ABUSE" || has(&["ABUSE"]) => Some(Self::Abuse),
            () => Some(Self::Risk),
        }
    }
}

/// One row. Fields are compared in this order, texts by what they say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// What the versions, pages and copies of one finding share.
    pub(crate) key: u128,
    pub(crate) reported: i64,
    event_time: i64,
    /// The earliest time that the row gives for the beginning, whatever it calls it.
    pub(crate) began: i64,
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) state: State,
    /// AWS Health itself speaks, and not Security Hub: its status goes before the other's.
    pub(crate) by_health: bool,
    /// It is about a Health event.
    pub(crate) is_event: bool,
    pub(crate) account: Name,
    pub(crate) service: Name,
    pub(crate) event_type: Name,
    pub(crate) category: Name,
    pub(crate) severity: Name,
    pub(crate) region: Name,
    pub(crate) title: Name,
}

impl Row {
    /// The order in which versions of a finding follow each other. Rows that are equal in it differ
    /// in nothing that a report shows.
    pub(crate) fn order(&self, other: &Self, names: &Names) -> Ordering {
        let times = |row: &Self| {
            let state = (row.state, row.by_health);
            (row.key, row.reported, row.event_time, state, row.start, row.end, row.began)
        };
        let texts = |row: &Self| {
            [row.severity, row.category, row.service, row.event_type, row.region, row.title]
        };
        times(self).cmp(&times(other)).then_with(|| {
            let (one, two) = (texts(self), texts(other));
            let differing = one.iter().zip(&two).find(|(one, two)| one != two);
            differing.map_or(Ordering::Equal, |(one, two)| names.text(*one).cmp(names.text(*two)))
        })
    }
}

/// What only the data's quality is told by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delivery<'a> {
    pub(crate) reported: i64,
    /// When EventBridge was handed the event, else when it was reported.
    pub(crate) happened: i64,
    pub(crate) arrived_hour: i64,
    pub(crate) clock: &'a str,
    pub(crate) account: &'a str,
}

/// A batch of [`COLUMNS`]; its arrays stand at the place that their column has in the table.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    times: Vec<Option<&'a PrimitiveArray<TimestampMillisecondType>>>,
    texts: Vec<Option<&'a StringArray>>,
    rows: usize,
}

impl<'a> Batch<'a> {
    pub(crate) fn of(batch: &'a RecordBatch) -> Self {
        let columns = columns::COLUMNS.iter().map(|spec| batch.column_by_name(spec.name));
        let times = columns.clone().map(|column| column.and_then(|c| c.as_primitive_opt()));
        let texts = columns.map(|column| column.and_then(|c| c.as_string_opt::<i32>()));
        Self { times: times.collect(), texts: texts.collect(), rows: batch.num_rows() }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    fn time(&self, column: Column, row: usize) -> i64 {
        let array = self.times.get(column as usize).copied().flatten();
        array.filter(|array| array.is_valid(row)).map_or(NO_TIME, |array| array.value(row))
    }

    fn text(&self, column: Column, row: usize) -> &'a str {
        let array = self.texts.get(column as usize).copied().flatten();
        array.filter(|array| array.is_valid(row)).map_or("", |array| array.value(row))
    }

    pub(crate) fn delivery(&self, row: usize) -> Delivery<'a> {
        let (reported, event_time) =
            (self.time(Column::ReportedAt, row), self.time(Column::EventTime, row));
        Delivery {
            reported,
            happened: if event_time == NO_TIME { reported } else { event_time },
            arrived_hour: self.time(Column::ArrivedHour, row),
            clock: self.text(Column::TimeSource, row),
            account: self.text(Column::AccountId, row),
        }
    }

    /// The service, or the product of a finding that is of no service.
    pub(crate) fn service(&self, row: usize) -> &'a str {
        first([self.text(Column::Service, row), self.text(Column::ProductName, row)])
    }

    pub(crate) fn account(&self, row: usize) -> &'a str {
        self.text(Column::AccountId, row)
    }

    pub(crate) fn row(&self, row: usize, names: &mut Names) -> Row {
        let (start, end) = (self.time(Column::StartTime, row), self.time(Column::EndTime, row));
        let began =
            [start, self.time(Column::CreatedAt, row), self.time(Column::FirstObservedAt, row)];
        let began = began.into_iter().filter(|time| *time != NO_TIME).min().unwrap_or(NO_TIME);
        let event_type =
            first([self.text(Column::EventTypeCode, row), self.text(Column::GeneratorId, row)]);
        Row {
            key: self.key(row),
            reported: self.time(Column::ReportedAt, row),
            event_time: self.time(Column::EventTime, row),
            began,
            start,
            end,
            state: self.state(row),
            by_health: self.by_health(row),
            is_event: !self.text(Column::EventArn, row).is_empty(),
            account: names.number(self.account(row)),
            service: names.number(self.service(row)),
            event_type: names.number(event_type),
            category: names.number(self.text(Column::EventTypeCategory, row)),
            severity: names.number(self.text(Column::SeverityLabel, row)),
            region: names.number(self.text(Column::Region, row)),
            title: self.title(row, names),
        }
    }

    /// Titles of the others fill memory and are shown nowhere.
    fn title(&self, row: usize, names: &mut Names) -> Name {
        let is_event = !self.text(Column::EventArn, row).is_empty();
        if is_event { names.number(self.text(Column::Title, row)) } else { NONE }
    }

    fn by_health(&self, row: usize) -> bool {
        self.text(Column::Shape, row) == "native"
    }

    /// As the views have it.
    fn state(&self, row: usize) -> State {
        let closed = if self.by_health(row) {
            self.text(Column::StatusCode, row) == "CLOSED"
        } else {
            self.text(Column::RecordState, row) == "ARCHIVED"
                || ["RESOLVED", "SUPPRESSED"].contains(&self.text(Column::WorkflowStatus, row))
        };
        if closed { State::Closed } else { State::Open }
    }

    /// A Health event is one per event ARN and account, whichever schema told of it; any other
    /// finding one per product, id and account.
    fn key(&self, row: usize) -> u128 {
        let (event_arn, account) = (self.text(Column::EventArn, row), self.account(row));
        // Both versions of Security Hub name a product in their own way.
        let product = self.text(Column::ProductArn, row).replace("::productv2/", "::product/");
        let finding = ["finding", &product, self.text(Column::FindingId, row), account];
        let parts = if event_arn.is_empty() { finding } else { ["event", event_arn, "", account] };
        let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
        for part in parts {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        xxh3_128(&bytes)
    }
}

fn first(texts: [&str; 2]) -> &str {
    let [one, two] = texts;
    if one.is_empty() { two } else { one }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_exposes() {
        let table = [
            ("RISK", "AWS_RISK_CREDENTIALS_EXPOSED", Some(ExposureKind::Credentials)),
            ("RISK", "AWS_RISK_IAM_QUARANTINE", Some(ExposureKind::Risk)),
            ("ABUSE", "AWS_ABUSE_DOS_REPORT", Some(ExposureKind::Abuse)),
            ("S3", "AWS_S3_OPEN_ACCESS_BUCKET_NOTIFICATION", Some(ExposureKind::Risk)),
            ("IAM", "AWS_IAM_ACCESS_KEY_ROTATION", None),
            ("EC2", "AWS_EC2_OPERATIONAL_ISSUE", None),
        ];
        for (service, code, expected) in table {
            assert_eq!(ExposureKind::of(true, service, code), expected, "{code}");
            assert_eq!(ExposureKind::of(false, service, code), None, "{code}");
        }
    }
}
