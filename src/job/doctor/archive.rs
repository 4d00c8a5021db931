//! Can an archive be read, and is it one?
//!
//! In: an opened archive. Out: checks of listing, reading, the names and the content of its newest object. The
//! newest is looked for under the days of today and yesterday, as Firehose names them, else among the first
//! [`LISTED_MAX`] objects; a whole listing of years would take minutes.

use std::collections::BTreeMap;
use std::io::Cursor;

use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{DoctorOptions, Notes};
use crate::archive::arrival::arrival;
use crate::archive::fetch::fetch;
use crate::archive::read::{ObjectReader, Outcome, ReadOptions};
use crate::finding::limits::CountLimits;
use crate::finding::place::Place;
use crate::finding::product::Products;
use crate::finding::rows::{BATCH_BYTES_MAX, RowsBuilder};
use crate::job::plan::Archive;
use crate::store::{GetOptions, ObjectMeta, StoreResult};

/// The largest object that is read as a sample.
pub(super) const SAMPLE_BYTES_MAX: u64 = 16 << 20;
/// How much of it is decompressed.
const UNPACKED_BYTES_MAX: u64 = 64 << 20;
const DOCUMENT_BYTES_MAX: usize = 16 << 20;
/// How many objects are listed to find the newest one.
const LISTED_MAX: usize = 10_000;
/// Without an object for so long somebody should look.
const QUIET_HOURS: i64 = 7 * 24;

/// Looks at an archive.
pub(super) async fn look(notes: &mut Notes<'_>, archive: &Archive, options: &DoctorOptions) {
    let newest = match newest(archive, &options.zone).await {
        Err(error) => return notes.refused("list", &error),
        Ok(None) => {
            let to_do = "check the prefix (`--from`), and whether Firehose delivers there";
            return notes.warn("list", "no object lies there", to_do);
        }
        Ok(Some(newest)) => newest,
    };
    notes.ok("list", format!("it can be listed; the newest object found is `{}`", newest.key));
    age(notes, &newest, &options.zone);
    if newest.archived {
        let to_do = "restore what is to be read; runs skip such objects and count them";
        return notes.warn("get", "the newest object lies in an archive storage class", to_do);
    }
    let range = GetOptions::if_match(newest.etag.clone()).range(0..1);
    match archive.store.get(&newest.key, range).await {
        Ok(_) => notes.ok("get", "its objects can be read"),
        Err(error) => return notes.refused("get", &error),
    }
    sample(notes, archive, &newest, options.products).await;
}

/// Looks at the place of failed records: none is the best there can be, and what is there must be readable.
pub(super) async fn look_at_failed(notes: &mut Notes<'_>, archive: &Archive, zone: &TimeZone) {
    let newest = match newest(archive, zone).await {
        Err(error) => return notes.refused("list", &error),
        Ok(None) => return notes.ok("list", "no record has failed"),
        Ok(Some(newest)) => newest,
    };
    notes.ok("list", format!("records have failed; the newest object found is `{}`", newest.key));
    let range = GetOptions::if_match(newest.etag.clone()).range(0..1);
    match archive.store.get(&newest.key, range).await {
        Ok(_) => notes.ok("get", "its objects can be read"),
        Err(error) => notes.refused("get", &error),
    }
}

/// The newest object, as far as a few requests tell.
async fn newest(archive: &Archive, zone: &TimeZone) -> StoreResult<Option<ObjectMeta>> {
    let today = zone.to_datetime(Timestamp::now());
    for days in 0..2 {
        let Ok(day) = today.checked_sub(jiff::Span::new().days(days)) else { continue };
        let prefix = format!("{}{}", archive.prefix, day.strftime("%Y/%m/%d/"));
        if let Some(newest) = newest_below(archive, &prefix, zone).await? {
            return Ok(Some(newest));
        }
    }
    newest_below(archive, &archive.prefix, zone).await
}

async fn newest_below(
    archive: &Archive,
    prefix: &str,
    zone: &TimeZone,
) -> StoreResult<Option<ObjectMeta>> {
    let listed = archive.store.list(prefix).take(LISTED_MAX);
    listed
        .try_fold(None, |newest: Option<ObjectMeta>, next| async move {
            if next.size == 0 || next.key.ends_with('/') {
                return Ok(newest);
            }
            let at = |meta: &ObjectMeta| arrival(&meta.key, meta.last_modified_ms, zone).at_ms;
            Ok(match newest {
                Some(newest) if at(&newest) >= at(&next) => Some(newest),
                _ => Some(next),
            })
        })
        .await
}

fn age(notes: &mut Notes<'_>, newest: &ObjectMeta, zone: &TimeZone) {
    let at = |modified_ms| arrival(&newest.key, modified_ms, zone).at_ms;
    // Two answers to two times mean that the key tells none.
    let tells = at(0) == at(1);
    let hours = (Timestamp::now().as_millisecond() - at(newest.last_modified_ms)) / 3_600_000;
    if !tells {
        let to_do = "it works: LastModified is taken; for `--since` and `--until` to mean what they say, \
                     keep the time in the name, as Firehose does";
        notes.warn("arrival", "its key does not tell when it arrived", to_do);
    } else if hours < -1 {
        let to_do =
            "name the zone of the keys (`--zone`, Firehose's CustomTimeZone), or set the clock";
        notes.warn("arrival", format!("it arrived {} h in the future", -hours), to_do);
    } else if hours > QUIET_HOURS {
        let days = hours / 24;
        let to_do =
            "fine for an old archive; else look at the delivery stream and the EventBridge rule";
        notes.warn("arrival", format!("it arrived {days} days ago, nothing since"), to_do);
    } else {
        notes.ok("arrival", format!("its key tells when it arrived: {} h ago", hours.max(0)));
    }
}

async fn sample(
    notes: &mut Notes<'_>,
    archive: &Archive,
    newest: &ObjectMeta,
    products: Option<Products>,
) {
    if newest.size > SAMPLE_BYTES_MAX {
        return notes.ok("sample", "the newest object is too large for a sample");
    }
    let bytes = match fetch(archive.store.as_ref(), &newest.key, newest.size, &newest.etag).await {
        Ok(bytes) => bytes,
        Err(error) => return notes.refused("sample", &error),
    };
    let place = Place {
        object: archive.store.uri(&newest.key).as_str().into(),
        etag: newest.etag.clone().into(),
        arrived_hour_ms: 0,
    };
    let options = ReadOptions {
        products: products.unwrap_or(Products::Health),
        object_bytes_max: UNPACKED_BYTES_MAX,
        document_bytes_max: DOCUMENT_BYTES_MAX,
        counts: CountLimits::DEFAULT,
    };
    let mut reader = ObjectReader::new(Box::new(Cursor::new(bytes)), place, &options);
    let (mut rows, mut rejects) = (RowsBuilder::new(), Vec::new());
    let mut found = Found::default();
    // The bytes are in memory, so that reading cannot fail; more rows than a batch are sample enough.
    while let Ok(Some(document)) = reader.step(&mut rows, &mut rejects) {
        found.add(document.envelope, document.outcome);
        rejects.clear();
        if rows.bytes() >= BATCH_BYTES_MAX / 2 {
            break;
        }
    }
    let formats: Vec<&str> = reader
        .formats()
        .iter()
        .map(|format| format.name())
        .filter(|name| *name != "none")
        .collect();
    found.judge(notes, &formats);
}

/// What the documents of the sample are.
#[derive(Debug, Default)]
struct Found {
    documents: u64,
    with_findings: u64,
    rejected: u64,
    envelopes: BTreeMap<&'static str, u64>,
    passed_over: BTreeMap<&'static str, u64>,
}

impl Found {
    fn add(&mut self, envelope: &'static str, outcome: Outcome) {
        self.documents += 1;
        *self.envelopes.entry(envelope).or_default() += 1;
        match outcome {
            Outcome::WithFindings => self.with_findings += 1,
            Outcome::PassedOver(kind) => *self.passed_over.entry(kind).or_default() += 1,
            Outcome::Rejected(_) => self.rejected += 1,
        }
    }

    fn judge(&self, notes: &mut Notes<'_>, formats: &[&str]) {
        let named = |map: &BTreeMap<&str, u64>| {
            map.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
        };
        let packed =
            if formats.is_empty() { "not compressed".to_owned() } else { formats.join(" in ") };
        let mut message = format!(
            "{packed}, {} documents ({}): {} with findings, {} rejected",
            self.documents,
            named(&self.envelopes),
            self.with_findings,
            self.rejected
        );
        if !self.passed_over.is_empty() {
            message = format!("{message}, passed over: {}", named(&self.passed_over));
        }
        let of_others = self.passed_over.keys().all(|kind| *kind == "other_product");
        if self.with_findings > 0 && self.rejected == 0 {
            notes.ok("sample", message);
        } else if self.with_findings > 0 {
            let to_do = "run, then look at the reasons: `healthtrail rejects`";
            notes.warn("sample", message, to_do);
        } else if self.documents > 0 && self.rejected == 0 && of_others {
            let to_do = "if these products are to be rows too, give `--products all`";
            notes.warn("sample", message, to_do);
        } else {
            let to_do = "nothing in the newest object would become a row: is this the archive of Health \
                         events? `healthtrail inspect` shows an object";
            notes.warn("sample", message, to_do);
        }
    }
}
