//! How a stream does, judged by what it delivered.
//!
//! In: the archives that a stream fills, and the time. Out: a [`Health`]: objects by hour against the same
//! hours of the other weeks, hours in which nothing came although it should have, failed records, and what
//! is wrong. Nothing is written. Only the keys of the last weeks are listed where the prefix puts days
//! apart, else the whole archive. What can go wrong: the store. Memory: some 100 bytes for each hour.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::sync::Arc;

use futures::TryStreamExt as _;
use jiff::Timestamp;
use serde::Serialize;

use super::derive::Derived;
use super::prefix::{fixed, of_day};
use super::{Holds, Place, Remark};
use crate::archive::arrival::{arrival, version};
use crate::archive::documents::Documents;
use crate::archive::fetch::fetch;
use crate::archive::split::{Piece, SplitLimits};
use crate::finding::limits::CountLimits;
use crate::job::plan::Archive;
use crate::job::progress::Progress;
use crate::store::{ObjectMeta, StoreResult};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const WEEK_HOURS: i64 = 168;

/// So many objects must have been expected of a stretch of hours in which none came before it counts as a
/// gap: if objects come independently of each other, one in three thousand such stretches is chance.
const EXPECTED_MIN: f64 = 8.0;

/// Objects of failed records that are read to count the records in them.
const FAILED_OBJECTS_READ: usize = 100;

/// A larger object of failed records is not read.
const FAILED_OBJECT_BYTES: u64 = 16 << 20;

/// What an object may decompress to, and how long a document may be, while records are counted.
const OBJECT_BYTES_MAX: u64 = 1 << 30;
const DOCUMENT_BYTES_MAX: usize = 16 << 20;

/// What to look at.
#[derive(Debug)]
pub struct HealthOptions<'a> {
    /// The stream.
    pub derived: &'a Derived,
    /// Its archives, in the order of its places.
    pub archives: &'a [Archive],
    /// The time, in milliseconds since 1970.
    pub now_ms: i64,
    /// How many weeks to look back.
    pub weeks: u32,
    /// How many hours to show.
    pub hours: u32,
    /// Counters to move while listing.
    pub progress: Arc<Progress>,
}

/// How a stream does.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Health {
    /// Objects of the period.
    pub objects: u64,
    /// Their bytes as stored.
    pub bytes: u64,
    /// The first hour of the period, RFC 3339.
    pub since: String,
    /// The first hour that may still get objects while all goes well.
    pub complete_until: String,
    /// The first hour that may still get objects at all; none where that cannot be told.
    pub closed_until: Option<String>,
    /// The object that arrived last.
    pub newest: Option<Newest>,
    /// Objects by the version of the stream that wrote them.
    pub versions: BTreeMap<u32, u64>,
    /// The last hours.
    pub hours: Vec<HealthHour>,
    /// Stretches of hours without objects that should have had some, the oldest first.
    pub gaps: Vec<HealthGap>,
    /// Failed records, by kind of failure.
    pub failed: BTreeMap<String, FailedRecords>,
    /// What is wrong.
    pub remarks: Vec<Remark>,
}

/// The object that arrived last.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Newest {
    /// Its URI.
    pub object: String,
    /// The time in its name, RFC 3339.
    pub arrived: String,
    /// Minutes since.
    pub minutes_ago: i64,
}

/// One arrival hour.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct HealthHour {
    /// RFC 3339.
    pub hour: String,
    /// What was delivered, failed records left out.
    pub objects: u64,
    /// Bytes as stored.
    pub bytes: u64,
    /// The mean of the same hour in the other weeks; none where there are none.
    pub usual: Option<f64>,
    /// Objects of failed records.
    pub failed: u64,
    /// Far fewer than usual.
    pub is_low: bool,
}

/// Hours without objects.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct HealthGap {
    /// The first of them, RFC 3339.
    pub first: String,
    /// The last of them.
    pub last: String,
    /// How many.
    pub hours: u64,
    /// Objects that other weeks had in them, on average.
    pub expected: f64,
    /// It reaches to now.
    pub is_open: bool,
}

/// Failed records of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FailedRecords {
    /// Objects.
    pub objects: u64,
    /// Their bytes as stored.
    pub bytes: u64,
    /// The newest, RFC 3339.
    pub newest: String,
    /// Records in the objects that were read.
    pub records: u64,
    /// Objects that were read to count records: the newest ones.
    pub read: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    objects: u64,
    bytes: u64,
    failed: u64,
}

/// What was listed.
#[derive(Debug, Default)]
struct Listed {
    cells: BTreeMap<i64, Cell>,
    newest: Option<(i64, String)>,
    versions: BTreeMap<u32, u64>,
    failed: BTreeMap<String, FailedRecords>,
    /// The newest objects of failed records: time, archive, kind, and what was listed.
    to_read: BTreeMap<(i64, usize, String), (String, ObjectMeta)>,
}

impl Health {
    /// Whether something is lost, or wrong with the stream.
    pub fn is_troubled(&self) -> bool {
        self.remarks.iter().any(|remark| remark.is_trouble)
    }
}

/// Looks at what a stream delivered.
///
/// # Errors
/// The store's, when a listing cannot be finished. Objects of failed records that cannot be read are only
/// not counted as read.
pub async fn health(options: &HealthOptions<'_>) -> anyhow::Result<Health> {
    let until_ms = options.derived.delivery.likely_until_ms(options.now_ms);
    let since_ms = until_ms - i64::from(options.weeks) * WEEK_HOURS * HOUR_MS;
    let mut listed = Listed::default();
    for (index, prefix) in scans(options.derived, since_ms, options.now_ms) {
        let Some(archive) = options.archives.get(index) else { continue };
        let mut listing = archive.store.list(&prefix);
        while let Some(meta) = listing.try_next().await? {
            Progress::add(&options.progress.objects_listed, 1);
            listed.take(options, index, since_ms, meta);
        }
    }
    listed.count_records(options).await;
    Ok(listed.judge(options, since_ms, until_ms))
}

/// What to list, by archive: the days of the period where they can be told apart, and failed records.
fn scans(derived: &Derived, since_ms: i64, now_ms: i64) -> BTreeSet<(usize, String)> {
    let places = &derived.places;
    let main = fixed(&derived.prefix);
    let find = |key: &str| {
        let fits = |place: &&Place| key.starts_with(&place.prefix);
        let (index, place) = places.iter().enumerate().find(|(_, place)| fits(place))?;
        let skipped = place.prefix.len() - place.cut().1.len();
        Some((index, key.get(skipped..)?.to_owned()))
    };
    let days = days(derived, since_ms, now_ms);
    let failed = &derived.failed_prefixes;
    let is_apart = !days.is_empty() && failed.iter().all(|one| !main.starts_with(one.as_str()));
    if is_apart {
        return days.iter().chain(failed).filter_map(|key| find(key)).collect();
    }
    let whole = |(index, place): (usize, &Place)| (index, place.cut().1.to_owned());
    places.iter().enumerate().map(whole).collect()
}

/// What keys of the period begin with, a day more on both sides; none where days are not put apart.
fn days(derived: &Derived, since_ms: i64, now_ms: i64) -> Vec<String> {
    let (mut days, mut at_ms) = (Vec::new(), since_ms - DAY_MS);
    while at_ms <= now_ms + DAY_MS {
        let Ok(at) = Timestamp::from_millisecond(at_ms) else { return Vec::new() };
        let day = derived.zone.to_datetime(at).date();
        let Some(prefix) = of_day(&derived.prefix, day) else { return Vec::new() };
        days.push(prefix);
        at_ms += DAY_MS;
    }
    days
}

/// The object that a stream delivered last: of the last two days, else of all that there are.
///
/// # Errors
/// The store's.
pub async fn newest(
    derived: &Derived,
    archives: &[Archive],
    now_ms: i64,
) -> anyhow::Result<Option<String>> {
    let whole = derived.places.iter().enumerate();
    let whole = whole.map(|(index, place)| (index, place.cut().1.to_owned())).collect();
    for scans in [scans(derived, now_ms - DAY_MS, now_ms), whole] {
        let mut newest: Option<(i64, String)> = None;
        for (index, prefix) in scans {
            let (Some(archive), Some(place)) = (archives.get(index), derived.places.get(index))
            else {
                continue;
            };
            let mut listing = archive.store.list(&prefix);
            while let Some(meta) = listing.try_next().await? {
                let at_ms = arrival(&meta.key, meta.last_modified_ms, &derived.zone).at_ms;
                let is_object = meta.size > 0 && !meta.key.ends_with('/') && !meta.archived;
                let is_newest = newest.as_ref().is_none_or(|(newest_ms, _)| at_ms > *newest_ms);
                if is_object && is_newest && failed_kind(derived, place, &meta.key).is_none() {
                    newest = Some((at_ms, archive.store.uri(&meta.key)));
                }
            }
        }
        if let Some((_, uri)) = newest {
            return Ok(Some(uri));
        }
    }
    Ok(None)
}

/// The kind of failure that an object of a place tells of, by its key below the folder.
fn failed_kind(derived: &Derived, place: &Place, key: &str) -> Option<String> {
    let skipped = place.prefix.len() - place.cut().1.len();
    let whole = format!("{}{key}", place.prefix.get(..skipped).unwrap_or_default());
    let kind = failure(derived, &whole);
    kind.or((place.holds == Holds::Failed).then_some("unknown")).map(str::to_owned)
}

/// The kind of failure that a key tells of; none for what was delivered.
fn failure<'a>(derived: &Derived, key: &'a str) -> Option<&'a str> {
    let main = fixed(&derived.prefix);
    let prefix = derived.failed_prefixes.iter().find(|prefix| key.starts_with(prefix.as_str()))?;
    // `errors/processing-failed/…` has its kind behind the prefix; the prefix itself may end with it.
    let from = prefix.trim_end_matches('/').rfind('/').map_or(0, |slash| slash + 1);
    let mut names = key.get(from..).unwrap_or_default().split('/');
    let kind = names.find(|name| name.ends_with("-failed") || name.ends_with("_failed"));
    // Where the archive lies below, only the kind tells.
    kind.or_else(|| (!main.starts_with(prefix.as_str())).then_some("unknown"))
}

fn text(at_ms: i64) -> String {
    Timestamp::from_millisecond(at_ms).map(|at| at.to_string()).unwrap_or_default()
}

impl Listed {
    fn take(&mut self, options: &HealthOptions<'_>, index: usize, since_ms: i64, meta: ObjectMeta) {
        let arrival = arrival(&meta.key, meta.last_modified_ms, &options.derived.zone);
        if meta.size == 0 || meta.key.ends_with('/') || arrival.hour_ms < since_ms {
            return;
        }
        let Some(place) = options.derived.places.get(index) else { return };
        let cell = self.cells.entry(arrival.hour_ms).or_default();
        if let Some(kind) = failed_kind(options.derived, place, &meta.key) {
            cell.failed += 1;
            let records = self.failed.entry(kind.clone()).or_default();
            records.objects += 1;
            records.bytes += meta.size;
            records.newest = text(arrival.at_ms).max(std::mem::take(&mut records.newest));
            if meta.size <= FAILED_OBJECT_BYTES && !meta.archived {
                let name = (arrival.at_ms, index, meta.key.clone());
                self.to_read.insert(name, (kind, meta));
            }
            if self.to_read.len() > FAILED_OBJECTS_READ {
                self.to_read.pop_first();
            }
            return;
        }
        cell.objects += 1;
        cell.bytes += meta.size;
        if let Some(version) = version(&meta.key) {
            *self.versions.entry(version).or_default() += 1;
        }
        if self.newest.as_ref().is_none_or(|(at_ms, _)| arrival.at_ms > *at_ms)
            && let Some(archive) = options.archives.get(index)
        {
            self.newest = Some((arrival.at_ms, archive.store.uri(&meta.key)));
        }
    }

    /// Reads the newest objects of failed records, and counts what is in them.
    async fn count_records(&mut self, options: &HealthOptions<'_>) {
        for ((_, index, key), (kind, meta)) in std::mem::take(&mut self.to_read) {
            let Some(archive) = options.archives.get(index) else { continue };
            let store = archive.store.as_ref();
            let bytes: StoreResult<_> = fetch(store, &key, meta.size, &meta.etag).await;
            let Ok(bytes) = bytes else { continue };
            let counted = tokio::task::spawn_blocking(move || documents(Cursor::new(bytes))).await;
            if let (Ok(records), Some(failed)) = (counted, self.failed.get_mut(&kind)) {
                failed.records += records;
                failed.read += 1;
            }
        }
    }

    fn judge(self, options: &HealthOptions<'_>, since_ms: i64, until_ms: i64) -> Health {
        let first_ms = self.cells.keys().next().copied().unwrap_or(until_ms).max(since_ms);
        let usual = |hour_ms: i64| self.usual(hour_ms, first_ms, until_ms);
        let hour = |at_ms: i64| {
            let cell = self.cells.get(&at_ms).copied().unwrap_or_default();
            let usual = usual(at_ms);
            let is_low = usual
                .is_some_and(|usual| usual >= EXPECTED_MIN && cell.objects as f64 * 4.0 < usual);
            HealthHour {
                hour: text(at_ms),
                objects: cell.objects,
                bytes: cell.bytes,
                usual,
                failed: cell.failed,
                is_low,
            }
        };
        let shown = (1..=i64::from(options.hours)).rev().map(|back| until_ms - back * HOUR_MS);
        let mut health = Health {
            objects: self.cells.values().map(|cell| cell.objects).sum(),
            bytes: self.cells.values().map(|cell| cell.bytes).sum(),
            since: text(since_ms),
            complete_until: text(until_ms),
            closed_until: options.derived.delivery.latest_until_ms(options.now_ms).map(text),
            newest: None,
            versions: self.versions.clone(),
            hours: shown.filter(|at_ms| *at_ms >= first_ms).map(hour).collect(),
            gaps: self.gaps(first_ms, until_ms),
            failed: BTreeMap::new(),
            remarks: options.derived.remarks.clone(),
        };
        health.newest = self.newest.map(|(at_ms, object)| Newest {
            object,
            arrived: text(at_ms),
            minutes_ago: (options.now_ms - at_ms).div_euclid(60_000),
        });
        health.failed = self.failed;
        health.remark();
        health
    }

    /// The mean of the same hour in the other weeks of the period.
    fn usual(&self, hour_ms: i64, first_ms: i64, until_ms: i64) -> Option<f64> {
        let week_ms = WEEK_HOURS * HOUR_MS;
        let (mut weeks, mut objects) = (0_u32, 0);
        let mut at_ms = first_ms + (hour_ms - first_ms).rem_euclid(week_ms);
        while at_ms < until_ms {
            if at_ms != hour_ms {
                weeks += 1;
                objects += self.cells.get(&at_ms).map_or(0, |cell| cell.objects);
            }
            at_ms += week_ms;
        }
        (weeks > 0).then(|| objects as f64 / f64::from(weeks))
    }

    fn gaps(&self, first_ms: i64, until_ms: i64) -> Vec<HealthGap> {
        let mut gaps = Vec::new();
        let mut at_ms = first_ms;
        while at_ms < until_ms {
            let (start_ms, mut expected) = (at_ms, 0.0);
            while at_ms < until_ms && self.cells.get(&at_ms).is_none_or(|cell| cell.objects == 0) {
                expected += self.usual(at_ms, first_ms, until_ms).unwrap_or(0.0);
                at_ms += HOUR_MS;
            }
            if expected >= EXPECTED_MIN {
                gaps.push(HealthGap {
                    first: text(start_ms),
                    last: text(at_ms - HOUR_MS),
                    hours: u64::try_from((at_ms - start_ms) / HOUR_MS).unwrap_or_default(),
                    expected,
                    is_open: at_ms >= until_ms,
                });
            }
            at_ms += HOUR_MS;
        }
        gaps
    }
}

impl Health {
    /// Says what is wrong.
    fn remark(&mut self) {
        let mut add = |kind, text: String| {
            self.remarks.push(Remark { kind, is_trouble: true, text });
        };
        if self.newest.is_none() {
            add("silent", format!("nothing was delivered since {}", self.since));
        }
        if let (Some(oldest), count) = (self.gaps.first(), self.gaps.len()) {
            let open = if self.gaps.iter().any(|gap| gap.is_open) { ", one to now" } else { "" };
            add(
                "gaps",
                format!(
                    "{count} {} without objects that other weeks had{open}; the oldest from {} to {} \
                     ({} hours, {:.0} objects expected)",
                    if count == 1 { "stretch" } else { "stretches" },
                    oldest.first,
                    oldest.last,
                    oldest.hours,
                    oldest.expected
                ),
            );
        }
        let low = self.hours.iter().filter(|hour| hour.is_low && hour.objects > 0).count();
        if low > 0 {
            add(
                "low",
                format!("{low} of the last hours had less than a quarter of the usual objects"),
            );
        }
        let failed: u64 = self.failed.values().map(|failed| failed.objects).sum();
        if failed > 0 {
            add(
                "failed_records",
                format!(
                    "{failed} objects of failed records: they never reached the archive; a run reads them, \
                     `healthtrail replay` sends them again"
                ),
            );
        }
    }
}

fn documents(bytes: Cursor<bytes::Bytes>) -> u64 {
    let limits =
        SplitLimits { document_bytes_max: DOCUMENT_BYTES_MAX, counts: CountLimits::DEFAULT };
    let mut documents = Documents::new(Box::new(bytes), OBJECT_BYTES_MAX, limits);
    let mut count = 0;
    while let Ok(Some(is_document)) =
        documents.next(|_, piece| matches!(piece, Piece::Document { .. }))
    {
        count += u64::from(is_document);
    }
    count
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
