//! Gathers a report: which parts, which rows, in which order.
//!
//! In: a lake and a period. Out: its figures. Parts outside of the period and the one before are not
//! opened; of the others only the columns that count are fetched, and only row groups that may hold the
//! time. Nothing is written. Wrong: no lake, no rows, too long a period, too many findings, damage.
//! Memory: the rows of one slice of time, at most [`SLICE_ROWS_MAX`], beside the findings.

use std::ops::Range;
use std::sync::Arc;

use futures::stream::{self, StreamExt};

use super::days::{Buckets, DAY_MS, DAYS_MAX, day_name, day_of, moment_name};
use super::figures::{Filter, Period, Previous, REPORT_FORMAT, Read, Report};
use super::items::{ITEMS_MAX, Items};
use super::names::Names;
use super::quality::{self, Measured};
use super::rows::{Batch, COLUMNS, Row};
use super::sums::{self, Spans};
use crate::finding::columns::Column;
use crate::finding::identity::IDENTITY_VERSION;
use crate::lake::config::LakeConfig;
use crate::lake::error::{LakeError, LakeResult};
use crate::lake::layout::{CONFIG, Partition, Table};
use crate::lake::ledger::{Ledger, LedgerFile};
use crate::lake::log::Log;
use crate::lake::part_rows::{RowReader, time_span};
use crate::store::Store;

/// Rows that are sorted at once; a slice of time with more is cut in two.
const SLICE_ROWS_MAX: usize = 400_000;
/// Partitions that are opened ahead, so that a slow store is waited for but once.
const PARTITIONS_AHEAD: usize = 6;
/// Of such a partition the parts that are opened ahead, and the largest of them.
const PARTS_AHEAD: usize = 8;
const PART_AHEAD_BYTES: u64 = 1 << 20;

/// What to report about.
#[derive(Debug, Clone)]
pub struct ReportOptions {
    /// When.
    pub times: Times,
    /// Only these accounts; empty for all.
    pub accounts: Vec<String>,
    /// Only these services or products, in any case; empty for all.
    pub services: Vec<String>,
    /// Whether to read the period before as well, and tell changes.
    pub previous: bool,
}

/// The period, in days since 1970.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// Its first day; else it has `days` days.
    pub since: Option<i64>,
    /// The day after its last; else it ends with the day of the lake's newest row.
    pub until: Option<i64>,
    /// How many days it has when `since` is not given.
    pub days: i64,
}

/// Reads the lake and counts.
pub async fn report(store: Arc<dyn Store>, options: &ReportOptions) -> LakeResult<Report> {
    report_in_slices(store, options, SLICE_ROWS_MAX).await
}

/// The same, with at most so many rows sorted at once, which changes nothing but memory and time.
pub async fn report_in_slices(
    store: Arc<dyn Store>,
    options: &ReportOptions,
    slice_rows_max: usize,
) -> LakeResult<Report> {
    let ledger = load(&store).await?;
    let newest = newest(store.as_ref(), &ledger).await?;
    let (days, mut spans) = spans(options, newest)?;
    let first = ledger.all_files().find(|(table, ..)| *table == Table::Findings);
    let first = first.map_or(newest, |(_, partition, _)| partition.times().start);
    if first >= spans.now.start {
        spans.before = None;
    }
    let mut gathered = Gathered { slice_rows_max, ..Gathered::default() };
    gathered.read.parts_in_lake = ledger.all_files().count() as u64;
    gathered.read.parts_damaged = ledger.damaged().count() as u64;
    let whole = spans.before.as_ref().map_or(spans.now.start, |before| before.start)..spans.now.end;
    gathered.findings(store.as_ref(), &ledger, &whole, &spans, options).await?;
    gathered.rejects(store.as_ref(), &ledger, &spans.now).await?;
    let mut report = gathered.finish(days, &spans, first, newest);
    store.base_uri().clone_into(&mut report.lake);
    report.commit = ledger.version();
    report.filter.accounts.clone_from(&options.accounts);
    report.filter.services.clone_from(&options.services);
    Ok(report)
}

async fn load(store: &Arc<dyn Store>) -> LakeResult<Ledger> {
    if LakeConfig::open(store.as_ref(), IDENTITY_VERSION).await?.is_none() {
        let hint = "give the folder or prefix that `healthtrail run --to` filled";
        let message = format!("there is no lake at `{}`", store.base_uri());
        return Err(LakeError::refused(CONFIG, message, hint));
    }
    let log = Log::new(Arc::clone(store));
    let mut ledger = log.load().await?;
    log.look(&mut ledger).await?;
    Ok(ledger)
}

/// When the lake's newest row was reported.
async fn newest(store: &dyn Store, ledger: &Ledger) -> LakeResult<i64> {
    let last = ledger.all_files().filter(|(table, ..)| *table == Table::Findings).last();
    let Some((table, partition, _)) = last else {
        let hint = "fill it with `healthtrail run`";
        return Err(LakeError::refused(CONFIG, "this lake has no findings yet", hint));
    };
    let mut newest = partition.times().start;
    for file in ledger.files(table, partition, 0) {
        let span = time_span(store, table, file).await?;
        newest = newest.max(span.map_or(partition.times().end - 1, |(_, last)| last));
    }
    Ok(newest)
}

fn spans(options: &ReportOptions, newest: i64) -> LakeResult<(Range<i64>, Spans)> {
    let Times { since, until, days } = options.times;
    let until = until.unwrap_or(day_of(newest).saturating_add(1));
    let since = since.unwrap_or(until.saturating_sub(days));
    let length = until.saturating_sub(since);
    if length <= 0 {
        let message =
            format!("the period from {} until {} has no day", day_name(since), day_name(until));
        let hint = "`--until` is the day after the last one, and must lie after `--since`";
        return Err(LakeError::refused(CONFIG, message, hint));
    }
    if length > DAYS_MAX {
        let message = format!("a period of {length} days is too long");
        return Err(LakeError::refused(CONFIG, message, "choose at most a hundred years"));
    }
    let now = since.saturating_mul(DAY_MS)..until.saturating_mul(DAY_MS);
    let before = now.start - (now.end - now.start)..now.start;
    let as_of = newest.min(now.end - 1);
    Ok((since..until, Spans { now, before: options.previous.then_some(before), as_of }))
}

/// The parts of one partition, and the rows wanted of them.
struct Job<'a> {
    files: Vec<&'a LedgerFile>,
    times: Range<i64>,
}

fn jobs<'a>(ledger: &'a Ledger, table: Table, times: &Range<i64>) -> Vec<Job<'a>> {
    let mut jobs: Vec<(Partition, Job<'a>)> = Vec::new();
    for (_, partition, file) in ledger.all_files().filter(|(own, ..)| *own == table) {
        let own = partition.times();
        let times = own.start.max(times.start)..own.end.min(times.end);
        if times.is_empty() {
            continue;
        }
        match jobs.last_mut() {
            Some((last, job)) if *last == partition => job.files.push(file),
            _ => jobs.push((partition, Job { files: vec![file], times })),
        }
    }
    jobs.into_iter().map(|(_, job)| job).collect()
}

/// Opens the first small parts of a job.
async fn open_ahead<'a>(
    store: &'a dyn Store,
    table: Table,
    columns: &[&str],
    job: Job<'a>,
) -> LakeResult<(Job<'a>, Vec<RowReader<'a>>)> {
    let mut opened = Vec::new();
    for file in job.files.iter().take(PARTS_AHEAD) {
        if file.bytes > PART_AHEAD_BYTES {
            break;
        }
        let mut reader = RowReader::open(store, table, file, columns, &job.times).await?;
        reader.fetch_ahead().await?;
        opened.push(reader);
    }
    Ok((job, opened))
}

#[derive(Debug, Default)]
struct Gathered {
    slice_rows_max: usize,
    read: Read,
    names: Names,
    items: Items,
    measured: Measured,
    rows: u64,
}

/// What one slice of time gave.
#[derive(Default)]
struct Slice {
    rows: Vec<Row>,
    measured: Measured,
}

impl Gathered {
    async fn findings(
        &mut self,
        store: &dyn Store,
        ledger: &Ledger,
        whole: &Range<i64>,
        spans: &Spans,
        options: &ReportOptions,
    ) -> LakeResult<()> {
        let columns = COLUMNS.map(Column::name);
        let jobs = jobs(ledger, Table::Findings, whole);
        let mut opened = stream::iter(jobs)
            .map(|job| open_ahead(store, Table::Findings, &columns, job))
            .buffered(PARTITIONS_AHEAD);
        while let Some(next) = opened.next().await {
            let (job, mut readers) = next?;
            self.read.parts += job.files.len() as u64;
            let mut left = vec![job.times.clone()];
            while let Some(times) = left.pop() {
                let ready = std::mem::take(&mut readers);
                let slice = self.slice(store, &job, ready, &times, spans, options).await?;
                if let Some(slice) = slice {
                    self.fold(slice, spans)?;
                    continue;
                }
                let middle = times.start + (times.end - times.start) / 2;
                if middle == times.start {
                    return Err(too_many());
                }
                left.extend([middle..times.end, times.start..middle]);
            }
        }
        Ok(())
    }

    /// Reads the rows of a slice of time, or gives `None` when they are too many; `ready` are the first
    /// of the job's parts.
    async fn slice(
        &mut self,
        store: &dyn Store,
        job: &Job<'_>,
        ready: Vec<RowReader<'_>>,
        times: &Range<i64>,
        spans: &Spans,
        options: &ReportOptions,
    ) -> LakeResult<Option<Slice>> {
        let columns = COLUMNS.map(Column::name);
        let (mut slice, mut ready) = (Slice::default(), ready.into_iter());
        for file in &job.files {
            let mut reader = match ready.next() {
                Some(reader) => reader,
                None => RowReader::open(store, Table::Findings, file, &columns, times).await?,
            };
            while let Some(batch) = reader.next().await? {
                slice.add(&Batch::of(&batch), times, spans, options, &mut self.names);
                if slice.rows.len() > self.slice_rows_max {
                    return Ok(None);
                }
            }
        }
        Ok(Some(slice))
    }

    fn fold(&mut self, slice: Slice, spans: &Spans) -> LakeResult<()> {
        let Slice { mut rows, measured } = slice;
        self.read.rows += rows.len() as u64;
        self.rows += rows.iter().filter(|row| row.reported >= spans.now.start).count() as u64;
        rows.sort_unstable_by(|one, two| one.order(two, &self.names));
        self.measured.merge(measured);
        self.items.add(&rows, spans.now.start).map_err(|_| too_many())
    }

    async fn rejects(
        &mut self,
        store: &dyn Store,
        ledger: &Ledger,
        now: &Range<i64>,
    ) -> LakeResult<()> {
        let columns = quality::COLUMNS;
        let jobs = jobs(ledger, Table::Rejects, now);
        let mut opened = stream::iter(jobs)
            .map(|job| open_ahead(store, Table::Rejects, &columns, job))
            .buffered(PARTITIONS_AHEAD);
        while let Some(next) = opened.next().await {
            let (job, readers) = next?;
            self.read.parts += job.files.len() as u64;
            let later = job.files.get(readers.len()..).unwrap_or_default();
            for mut reader in readers {
                while let Some(batch) = reader.next().await? {
                    self.measured.rejects(&batch, &job.times);
                }
            }
            for file in later {
                let mut reader =
                    RowReader::open(store, Table::Rejects, file, &columns, &job.times).await?;
                while let Some(batch) = reader.next().await? {
                    self.measured.rejects(&batch, &job.times);
                }
            }
        }
        Ok(())
    }

    fn finish(self, days: Range<i64>, spans: &Spans, first: i64, newest: i64) -> Report {
        let Self { read, names, items, measured, rows, slice_rows_max: _ } = self;
        let (items, names) = (&items, &names);
        let buckets = Buckets::of(days.clone());
        let covered = days.start.max(day_of(first))..days.end.min(day_of(newest).saturating_add(1));
        Report {
            format: REPORT_FORMAT,
            lake: String::new(),
            commit: 0,
            newest: moment_name(newest),
            as_of: moment_name(spans.as_of),
            period: Period {
                since: day_name(days.start),
                until: day_name(days.end),
                days: u64::try_from(days.end - days.start).unwrap_or(0),
                bucket: buckets.unit(),
            },
            previous: spans.before.as_ref().map(|before| Previous {
                since: day_name(day_of(before.start)),
                until: day_name(day_of(before.end)),
                covered: first <= before.start,
            }),
            filter: Filter::default(),
            read,
            totals: sums::totals(items, spans, rows),
            severities: sums::severities(items, names, &buckets),
            categories: sums::categories(items, names, &buckets),
            flow: sums::flow(items, spans, &buckets),
            time_to_close: sums::time_to_close(items, spans),
            services: sums::top(items, names, spans, |item| item.service),
            accounts: sums::top(items, names, spans, |item| item.account),
            event_types: sums::top(items, names, spans, |item| item.event_type),
            calendar: sums::calendar(items, days),
            upcoming: sums::upcoming(items, names, spans),
            exposure: sums::exposure(items, names),
            quality: measured.finish(&buckets, &covered, names.merged()),
        }
    }
}

impl Slice {
    fn add(
        &mut self,
        batch: &Batch<'_>,
        times: &Range<i64>,
        spans: &Spans,
        options: &ReportOptions,
        names: &mut Names,
    ) {
        for row in 0..batch.len() {
            let delivery = batch.delivery(row);
            if !times.contains(&delivery.reported) {
                continue;
            }
            if spans.now.contains(&delivery.reported) {
                self.measured.row(&delivery);
            } else {
                self.measured.arrival(&delivery);
            }
            let service = batch.service(row);
            let any = |wanted: &[String], own: &str| {
                wanted.is_empty() || wanted.iter().any(|name| name.eq_ignore_ascii_case(own))
            };
            if any(&options.services, service) && any(&options.accounts, delivery.account) {
                self.rows.push(batch.row(row, names));
            }
        }
    }
}

fn too_many() -> LakeError {
    LakeError::refused(
        CONFIG,
        format!("the period has more than {ITEMS_MAX} findings, or too many at one moment"),
        "shorten it with `--days`, leave the period before out with `--no-previous`, or choose with \
         `--service` or `--account`",
    )
}
