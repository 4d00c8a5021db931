//! The figures of a report: what `--format json` prints, and all that text and page show.
//!
//! In: nothing. Out: plain data; every list is sorted and bounded. Nothing can go wrong here.

use serde::Serialize;

/// The version of the form below; it counts up when a figure changes its meaning or goes away.
pub const REPORT_FORMAT: u32 = 1;

/// All figures of one report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// [`REPORT_FORMAT`].
    pub format: u32,
    /// Where the lake is.
    pub lake: String,
    /// The last commit that was looked at.
    pub commit: u64,
    /// When the lake's newest row was reported.
    pub newest: String,
    /// "Now" for what is upcoming: the lake's newest row, or the end of the period before it.
    pub as_of: String,
    /// The time that the figures are about.
    pub period: Period,
    /// The time just before, of the same length, that changes are measured against; `None` when the
    /// lake begins later, or it was not asked for.
    pub previous: Option<Previous>,
    /// Only findings of these accounts and services; empty for all.
    pub filter: Filter,
    /// What was read for it.
    pub read: Read,
    /// The sums.
    pub totals: Totals,
    /// Findings by severity over time, each in the bucket in which the period first reports it.
    pub severities: Series,
    /// The same by category.
    pub categories: Series,
    /// Opened and closed over time.
    pub flow: Vec<Flow>,
    /// How long closed findings had been open.
    pub time_to_close: TimeToClose,
    /// The services with the most findings.
    pub services: Top,
    /// The accounts with the most findings.
    pub accounts: Top,
    /// The event types with the most findings.
    pub event_types: Top,
    /// How many findings were reported each day, a finding once a day.
    pub calendar: Vec<Day>,
    /// Scheduled changes that lie ahead.
    pub upcoming: Upcoming,
    /// Abuse, risk and leaked credentials.
    pub exposure: Exposure,
    /// What is known of the data itself; the filter does not apply to it.
    pub quality: Quality,
}

/// A stretch of whole days, UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Period {
    /// Its first day.
    pub since: String,
    /// The day after its last.
    pub until: String,
    /// How many days it has.
    pub days: u64,
    /// What a bucket of the figures over time is: `day`, `week` (from Monday) or `month`.
    pub bucket: &'static str,
}

/// The stretch before the period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Previous {
    /// Its first day.
    pub since: String,
    /// The day after its last.
    pub until: String,
    /// Whether the lake reaches back to its first day; else changes are against less than a whole period.
    pub covered: bool,
}

/// What findings were chosen by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Filter {
    /// Accounts.
    pub accounts: Vec<String>,
    /// Services, or products of findings that are of no service.
    pub services: Vec<String>,
}

/// What was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Read {
    /// Parts of both tables that were opened.
    pub parts: u64,
    /// Parts of both tables in the lake.
    pub parts_in_lake: u64,
    /// Parts that commits name and that are damaged: their rows are missing here.
    pub parts_damaged: u64,
    /// Rows of `findings` in the period and the one before.
    pub rows: u64,
}

/// A count in the period and in the one before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Change {
    /// In the period.
    pub now: u64,
    /// In the period before; `None` when it was not looked at.
    pub before: Option<u64>,
}

/// The sums.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Findings and events that the period reports, each once per account.
    pub findings: Change,
    /// How often one was opened in it, for the first time or again.
    pub opened: Change,
    /// How often one was closed in it that had been open.
    pub closed: Change,
    /// Of the period's findings those whose latest state is open.
    pub open: u64,
    /// Rows in the period: versions, pages and copies, each as it was reported.
    pub rows: u64,
}

/// Counts over time, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Series {
    /// The names, in the order of `counts`.
    pub names: Vec<String>,
    /// The sum for each name.
    pub totals: Vec<u64>,
    /// The buckets, oldest first, none left out.
    pub buckets: Vec<Bucket>,
}

/// One bucket of [`Series`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bucket {
    /// Its first day.
    pub from: String,
    /// A count for each name.
    pub counts: Vec<u64>,
}

/// One bucket of what was opened and closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Flow {
    /// Its first day.
    pub from: String,
    /// How many were opened.
    pub opened: u64,
    /// How many were closed.
    pub closed: u64,
}

/// How long findings that were closed in the period had been open.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TimeToClose {
    /// How many.
    pub closed: u64,
    /// Half of them took at most so long (nearest rank).
    pub median_seconds: Option<u64>,
    /// Nine of ten took at most so long.
    pub p90_seconds: Option<u64>,
    /// The longest.
    pub longest_seconds: Option<u64>,
    /// The distribution.
    pub spans: Vec<Span>,
}

/// One step of a distribution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Span {
    /// What lies in it, in words.
    pub name: &'static str,
    /// How many.
    pub count: u64,
}

/// The names with the highest counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Top {
    /// How many names there are in the period.
    pub names: u64,
    /// The first of them, by count, then by name.
    pub first: Vec<Ranked>,
    /// Findings of all other names.
    pub others: u64,
}

/// One name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ranked {
    /// The name.
    pub name: String,
    /// Findings in the period.
    pub now: u64,
    /// Findings in the period before; `None` when it was not looked at.
    pub before: Option<u64>,
    /// Of the period's findings those that are open.
    pub open: u64,
}

/// One day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Day {
    /// The day.
    pub day: String,
    /// How many.
    pub count: u64,
}

/// What lies ahead.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Upcoming {
    /// How many.
    pub total: u64,
    /// The first of them, by start.
    pub first: Vec<Event>,
}

/// A finding in a list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Event {
    /// When it starts or started; `None` when it does not say.
    pub start: Option<String>,
    /// When it ends or ended.
    pub end: Option<String>,
    /// When it was last reported.
    pub last_reported: String,
    /// Its account.
    pub account: String,
    /// Its Region.
    pub region: String,
    /// Its service or product.
    pub service: String,
    /// Its type.
    pub event_type: String,
    /// Its severity.
    pub severity: String,
    /// `open` or `closed`.
    pub state: &'static str,
    /// Its title, if it has one: text of whoever made the finding.
    pub title: String,
}

/// Abuse, risk and leaked credentials.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Exposure {
    /// How many findings.
    pub total: u64,
    /// By account, the most exposed first.
    pub accounts: Vec<Exposed>,
    /// The latest of them.
    pub latest: Vec<Event>,
}

/// One account's exposure.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Exposed {
    /// The account.
    pub account: String,
    /// Events about credentials or access keys that leaked or are suspected to.
    pub credentials: u64,
    /// Other events about abuse.
    pub abuse: u64,
    /// Other events about risk.
    pub risk: u64,
    /// Of all these the open ones.
    pub open: u64,
}

/// What is known of the data itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Quality {
    /// Rejects that arrived in the period.
    pub rejects: u64,
    /// Rows that tell of a reject which was mended since.
    pub redriven: u64,
    /// Rejects over time, by reason.
    pub rejects_by_reason: Series,
    /// From event to arrival in the archive, by row.
    pub lag: Lag,
    /// Rows that arrived a day or more after their event, by day of arrival; days without are left out.
    pub late: Vec<Day>,
    /// Days on which nothing arrived, as stretches.
    pub gaps: Vec<Gap>,
    /// Rows whose account is not known.
    pub account_unknown: u64,
    /// Rows by the clock that places them in time.
    pub clocks: Vec<Clock>,
    /// Names that were not kept apart because there were too many of them.
    pub names_merged: u64,
}

/// How long rows were on their way, in whole hours.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Lag {
    /// Rows that were measured.
    pub rows: u64,
    /// Half of them took at most so many hours.
    pub median_hours: Option<u64>,
    /// Nine of ten.
    pub p90_hours: Option<u64>,
    /// Ninety-nine of a hundred.
    pub p99_hours: Option<u64>,
    /// The longest.
    pub longest_hours: Option<u64>,
    /// The distribution.
    pub spans: Vec<Span>,
}

/// Days on which nothing arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The first such day.
    pub from: String,
    /// The last.
    pub to: String,
    /// How many days.
    pub days: u64,
}

/// Rows of one clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Clock {
    /// As the column `time_source` says.
    pub name: String,
    /// How many rows.
    pub rows: u64,
}
