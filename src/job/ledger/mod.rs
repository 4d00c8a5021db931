//! `ledger`: what the lake knows of its archives, hour by hour, and what waits to be read.
//!
//! In: a lake, and archives to hold against it. Out: an [`Overview`]. Writes nothing: an open commit counts
//! as complete. What can go wrong: no lake, the store, damage of the log. Memory: the ledger, some 200
//! bytes for each hour, and the names of at most [`NAMES_MAX`] failed objects.

pub mod accept;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::bail;
use serde::Serialize;

use crate::archive::discover::DiscoverOptions;
use crate::archive::read::READER_GENERATION;
use crate::finding::identity::IDENTITY_VERSION;
use crate::finding::product::Products;
use crate::job::options::UsageError;
use crate::job::plan::{Archive, Known, survey};
use crate::job::progress::Progress;
use crate::lake::config::LakeConfig;
use crate::lake::ledger::Ledger;
use crate::lake::ledger::overview::HourFigures;
use crate::lake::ledger::read_back::Settle;
use crate::lake::log::Log;
use crate::lake::record::{Limits, Settings, Totals};
use crate::store::Store;

/// Failed objects that are named; all are counted.
pub const NAMES_MAX: usize = 1_000;

const HOUR_MS: i64 = 3_600_000;

/// What to look at.
#[derive(Debug, Clone)]
pub struct LedgerOptions {
    /// The lake.
    pub lake: Arc<dyn Store>,
    /// What to hold against it; may be none.
    pub archives: Vec<Archive>,
    /// What a run would skip.
    pub discover: DiscoverOptions,
    /// Counters to move while listing.
    pub progress: Arc<Progress>,
}

/// What the ledger says.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Overview {
    /// The number of the last commit.
    pub version: u64,
    /// Whose findings are in the lake; none before the first commit.
    pub products: Option<Products>,
    /// Sums over all commits, less what was withdrawn.
    pub totals: Totals,
    /// Sums over the hours below.
    pub sums: Sums,
    /// Every hour with objects, in order.
    pub hours: Vec<HourLine>,
    /// Hours without objects between hours with some.
    pub gaps: Vec<Gap>,
    /// Objects that could not be read and still wait; at most [`NAMES_MAX`] of them.
    pub failed: Vec<FailedLine>,
    /// Objects that somebody gave up.
    pub accepted: Vec<AcceptedLine>,
    /// Files that commits name and that are not rightly in the lake.
    pub damaged_files: u64,
    /// What the archives have; none when none was given.
    pub archives: Option<Listed>,
}

/// Sums over all hours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sums {
    /// Objects that were read; those that were read twice count once.
    pub objects: u64,
    /// Their bytes as stored.
    pub bytes: u64,
    /// Objects that came after their hour had been closed.
    pub late: u64,
    /// Objects that the next run reads again.
    pub reopened: u64,
    /// Objects that could not be read and still wait.
    pub failed: u64,
    /// Hours in the gaps.
    pub gap_hours: u64,
}

/// One arrival hour.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct HourLine {
    /// When it begins, in milliseconds since 1970.
    #[serde(skip)]
    pub hour_ms: i64,
    /// The same as RFC 3339 text.
    pub hour: String,
    /// Objects that were read.
    pub objects: u64,
    /// Their bytes as stored.
    pub bytes: u64,
    /// Rows that were read out of them, duplicates among them.
    pub findings: u64,
    /// Rejects that were read out of them.
    pub rejects: u64,
    /// When the first of them was written, RFC 3339; none without objects.
    pub first_modified: Option<String>,
    /// When the last of them was written.
    pub last_modified: Option<String>,
    /// Objects that came after the hour had been closed.
    pub late: u64,
    /// Whether nothing more is expected of it.
    pub closed: bool,
    /// Objects that the next run reads again.
    pub reopened: u64,
    /// Objects that could not be read and still wait.
    pub failed: u64,
    /// Objects of the archives that wait to be read, failed and reopened ones among them.
    pub waiting: u64,
    /// Their bytes as stored.
    pub waiting_bytes: u64,
}

/// Hours without objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The first of them, RFC 3339.
    pub first: String,
    /// The last of them.
    pub last: String,
    /// How many.
    pub hours: u64,
}

/// An object that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailedLine {
    /// Its full URI.
    pub object: String,
    /// The etag that was listed.
    pub etag: String,
    /// How it failed.
    pub kind: String,
    /// What exactly happened.
    pub message: String,
    /// The commit that says so.
    pub commit: u64,
}

/// An object that was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AcceptedLine {
    /// Its full URI.
    pub object: String,
    /// The etag it had.
    pub etag: String,
    /// Why.
    pub reason: String,
}

/// What the archives have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// All objects listed.
    pub listed: u64,
    /// In the lake, or given up.
    pub in_ledger: u64,
    /// Skipped, by reason.
    pub skipped_by_reason: BTreeMap<&'static str, u64>,
    /// To be read by the next run.
    pub waiting: u64,
    /// Their bytes as stored.
    pub waiting_bytes: u64,
    /// Were read, and the archives no longer have them; as far as closed hours tell.
    pub expired: u64,
}

impl Overview {
    /// Whether something was lost so far.
    pub fn is_wanting(&self) -> bool {
        self.sums.failed > 0 || self.damaged_files > 0
    }
}

/// Looks at the ledger, and at the archives.
///
/// # Errors
/// Where there is no lake, where the store does not answer or a listing cannot be finished, and damage
/// of the log.
pub async fn overview(options: &LedgerOptions) -> anyhow::Result<Overview> {
    let log = open_log(&options.lake).await?;
    let mut ledger = log.load().await?;
    let looked = log.look(&mut ledger).await?;
    looked.notes.iter().for_each(|note| tracing::warn!("{note}"));
    log.settle_hours(&mut ledger, Settle::All).await?;
    let settings = settings(&ledger);
    let mut hours: BTreeMap<i64, HourLine> =
        ledger.hours(&settings).iter().map(|hour| (hour.hour_ms, HourLine::of(hour))).collect();
    let mut archives = None;
    if !options.archives.is_empty() {
        archives = Some(list(options, &log, &mut ledger, &settings, &mut hours).await?);
    }
    let hours: Vec<HourLine> = hours.into_values().collect();
    let gaps = gaps(&hours);
    let sum = |figure: fn(&HourLine) -> u64| hours.iter().map(figure).sum();
    let sums = Sums {
        objects: sum(|hour| hour.objects),
        bytes: sum(|hour| hour.bytes),
        late: sum(|hour| hour.late),
        reopened: sum(|hour| hour.reopened),
        failed: ledger.failed_count(),
        gap_hours: gaps.iter().map(|gap| gap.hours).sum(),
    };
    Ok(Overview {
        version: ledger.version(),
        products: ledger.products(),
        totals: ledger.totals(),
        sums,
        gaps,
        failed: failed(&log, &ledger).await?,
        accepted: accepted(&ledger),
        damaged_files: ledger.damaged().count() as u64,
        archives,
        hours,
    })
}

async fn open_log(lake: &Arc<dyn Store>) -> anyhow::Result<Log> {
    if LakeConfig::open(lake.as_ref(), IDENTITY_VERSION).await?.is_none() {
        let place = lake.base_uri();
        bail!(UsageError(format!("there is no lake in `{place}`; `healthtrail run` makes one")));
    }
    Ok(Log::new(Arc::clone(lake)))
}

/// What a run without options would read with, as far as it reopens objects; its limits depend on its
/// memory, so what these cut off counts as read.
fn settings(ledger: &Ledger) -> Settings {
    let limits = Limits {
        object_bytes_max: 0,
        document_bytes_max: 0,
        depth_max: 0,
        zip_entries_max: 0,
        entities_max: 0,
    };
    let products = ledger.products().unwrap_or(Products::Health);
    Settings { products, limits, reader_generation: READER_GENERATION }
}

async fn list(
    options: &LedgerOptions,
    log: &Log,
    ledger: &mut Ledger,
    settings: &Settings,
    hours: &mut BTreeMap<i64, HourLine>,
) -> anyhow::Result<Listed> {
    let (mut waiting, mut waiting_bytes) = (0, 0);
    let known = Known { ledger, log: Some(log), settings };
    let take = |archive: usize, meta: crate::store::ObjectMeta| {
        let base = options.archives.get(archive).map_or("", |archive| archive.store.base_uri());
        let hour_ms = Ledger::hour_ms(base, &meta.key, meta.last_modified_ms);
        let empty = || HourLine::of(&HourFigures { hour_ms, ..HourFigures::default() });
        let line = hours.entry(hour_ms).or_insert_with(empty);
        line.waiting += 1;
        line.waiting_bytes += meta.size;
        line.closed = false;
        waiting += 1;
        waiting_bytes += meta.size;
    };
    let (archives, discover) = (&options.archives, &options.discover);
    let survey = survey(archives, discover, &options.progress, known, take).await?;
    Ok(Listed {
        listed: survey.listed,
        in_ledger: survey.in_ledger,
        skipped_by_reason: survey.skipped,
        waiting,
        waiting_bytes,
        expired: survey.expired,
    })
}

async fn failed(log: &Log, ledger: &Ledger) -> anyhow::Result<Vec<FailedLine>> {
    let mut room = NAMES_MAX;
    let keep = |_: &str| {
        let has_room = room > 0;
        room = room.saturating_sub(1);
        has_room
    };
    let failed = log.failed_objects(ledger, keep).await?;
    let line = |(commit, failed): (u64, crate::lake::record::FailedObject)| FailedLine {
        object: format!("{}/{}", failed.archive, failed.key),
        etag: failed.etag,
        kind: failed.kind,
        message: failed.message,
        commit,
    };
    Ok(failed.into_iter().map(line).collect())
}

fn accepted(ledger: &Ledger) -> Vec<AcceptedLine> {
    let line = |object: &crate::lake::record::AcceptedObject| AcceptedLine {
        object: format!("{}/{}", object.archive, object.key),
        etag: object.etag.clone(),
        reason: object.reason.clone(),
    };
    ledger.accepted().iter().map(line).collect()
}

impl HourLine {
    fn of(hour: &HourFigures) -> Self {
        let figures = &hour.figures;
        let modified = |at_ms: i64| (figures.objects > 0).then(|| time(at_ms));
        Self {
            hour_ms: hour.hour_ms,
            hour: time(hour.hour_ms),
            objects: figures.objects,
            bytes: figures.bytes,
            findings: figures.findings,
            rejects: figures.rejects,
            first_modified: modified(figures.first_ms),
            last_modified: modified(figures.last_ms),
            late: hour.late,
            closed: hour.is_closed,
            reopened: hour.reopened,
            failed: hour.failed,
            waiting: 0,
            waiting_bytes: 0,
        }
    }
}

fn time(at_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(at_ms).map_or_else(|_| at_ms.to_string(), |at| at.to_string())
}

/// The hours between these that are missing.
fn gaps(hours: &[HourLine]) -> Vec<Gap> {
    let between = hours.windows(2).filter_map(|pair| {
        let [before, after] = pair else { return None };
        let missing = (after.hour_ms - before.hour_ms) / HOUR_MS - 1;
        (missing > 0).then(|| Gap {
            first: time(before.hour_ms + HOUR_MS),
            last: time(after.hour_ms - HOUR_MS),
            hours: missing.unsigned_abs(),
        })
    });
    between.collect()
}
