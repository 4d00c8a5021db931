//! From a stream's description to the archives that it fills.
//!
//! In: a [`StreamDescription`]. Out: a [`Derived`]: places none of which lies in another, without the copy
//! of the source records; the zone; how long an hour takes to be complete; and what will hurt. Wrong: a
//! stream that delivers elsewhere, a zone that nobody knows. Pure. Only the present configuration is told.

use std::collections::BTreeSet;

use anyhow::bail;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::prefix::{ERROR_TYPES, by_error_type, fixed, has_expressions};
use super::{Holds, Place, Remark};
use crate::job::options::UsageError;
use crate::store::firehose::{StreamBackup, StreamDescription, StreamTarget};

/// How long records are held before they are delivered, unless told otherwise
/// (<https://docs.aws.amazon.com/firehose/latest/APIReference/API_BufferingHints.html>).
const BUFFER_SECONDS: u64 = 300;

/// How long records that were put directly are kept while S3 cannot be reached
/// (docs.aws.amazon.com/firehose/latest/dev/basic-deliver.html).
const RETRY_SECONDS: u64 = 24 * 3_600;

const HOUR_MS: i64 = 3_600_000;

/// What puts records into a stream itself.
pub const DIRECT_PUT: &str = "DirectPut";

/// What a stream fills.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Derived {
    /// `firehose://STREAM@REGION`.
    pub stream: String,
    /// The stream's ARN.
    pub arn: String,
    /// The stream's status.
    pub status: String,
    /// The number of the configuration.
    pub version: String,
    /// Where its records come from.
    pub source: String,
    /// What to read; none lies in another.
    pub places: Vec<Place>,
    /// URIs that are not read, whatever lies there.
    pub left_out: Vec<String>,
    /// The prefix as it is configured.
    pub prefix: String,
    /// What the keys of failed records begin with.
    pub failed_prefixes: Vec<String>,
    /// How objects are compressed.
    pub compression: String,
    /// The zone of the times in the keys.
    #[serde(skip)]
    pub zone: TimeZone,
    /// Its name.
    #[serde(rename = "zone")]
    pub zone_name: String,
    /// When an hour is complete.
    pub delivery: Delivery,
    /// What is to be known.
    pub remarks: Vec<Remark>,
}

/// How long after its end an arrival hour is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// While all goes well: what is buffered is delivered.
    pub likely_seconds: u64,
    /// At the latest, if S3 could not be reached meanwhile; `None` where the source keeps records longer.
    pub latest_seconds: Option<u64>,
}

impl Delivery {
    /// The first hour that may still get objects while all goes well, in milliseconds since 1970.
    pub fn likely_until_ms(&self, now_ms: i64) -> i64 {
        hour_before(now_ms, self.likely_seconds)
    }

    /// The first hour that may still get objects at all.
    pub fn latest_until_ms(&self, now_ms: i64) -> Option<i64> {
        self.latest_seconds.map(|seconds| hour_before(now_ms, seconds))
    }
}

fn hour_before(now_ms: i64, seconds: u64) -> i64 {
    let before_ms = i64::try_from(seconds.saturating_mul(1_000)).unwrap_or(i64::MAX);
    now_ms.saturating_sub(before_ms).div_euclid(HOUR_MS) * HOUR_MS
}

/// Derives what a stream fills.
///
/// # Errors
/// When it delivers elsewhere than to S3, or its zone is unknown.
pub fn derive(uri: &str, description: &StreamDescription) -> anyhow::Result<Derived> {
    let Some(target) = &description.target else {
        let message = format!(
            "the stream `{uri}` delivers to `{}`, not to S3; where it keeps a copy in S3, give that \
             prefix as --from s3://bucket/prefix",
            description.destination
        );
        bail!(UsageError(message));
    };
    let zone_name = target.zone.as_deref().unwrap_or("UTC");
    let Ok(zone) = TimeZone::get(zone_name) else {
        let message = format!(
            "the stream `{uri}` writes times of the zone `{zone_name}`, which this program does not know; \
             name its bucket and prefix instead, with --zone"
        );
        bail!(UsageError(message));
    };
    let mut remarks = of_stream(description);
    let failed_prefixes = failed_prefixes(target);
    let mut places = places(target, &failed_prefixes, &mut remarks);
    let left_out = leave_out(target, &failed_prefixes, &mut places, &mut remarks);
    remarks.extend(of_target(target, &places));
    Ok(Derived {
        stream: uri.to_owned(),
        arn: description.arn.clone(),
        status: description.status.clone(),
        version: description.version.clone(),
        source: description.source.clone(),
        places,
        left_out,
        prefix: target.prefix.clone().unwrap_or_default(),
        failed_prefixes,
        compression: target.compression.clone(),
        zone,
        zone_name: zone_name.to_owned(),
        delivery: delivery(description, target),
        remarks,
    })
}

impl Derived {
    /// The places of failed records alone.
    pub fn failed_places(&self) -> Vec<Place> {
        let bucket = self.places.first().map_or_else(String::new, |place| place.bucket.clone());
        let place = |prefix: &String| Place {
            bucket: bucket.clone(),
            prefix: prefix.clone(),
            holds: Holds::Failed,
            rules: Vec::new(),
        };
        self.failed_prefixes.iter().map(place).collect()
    }
}

/// A Lambda function's buffer comes before the stream's own.
fn delivery(description: &StreamDescription, target: &StreamTarget) -> Delivery {
    let buffer = target.buffer_seconds.unwrap_or(BUFFER_SECONDS);
    let likely_seconds = buffer.saturating_add(target.lambda_seconds.unwrap_or(0));
    let is_direct = description.source == DIRECT_PUT;
    let latest_seconds = is_direct.then(|| likely_seconds.saturating_add(RETRY_SECONDS));
    Delivery { likely_seconds, latest_seconds }
}

/// What the keys of failed records begin with, as exactly as can be told.
fn failed_prefixes(target: &StreamTarget) -> Vec<String> {
    let main = target.prefix.as_deref().unwrap_or_default();
    match target.error_prefix.as_deref().filter(|prefix| !prefix.is_empty()) {
        // They go to `<prefix><kind of failure>/`; with expressions in the prefix there must be an
        // error prefix (docs.aws.amazon.com/firehose/latest/dev/s3-prefixes.html).
        None => ERROR_TYPES.iter().map(|kind| format!("{}{kind}", fixed(main))).collect(),
        Some(errors) => {
            let start = fixed(errors);
            // Were it cut here, it would hold what was delivered too.
            let is_wide = fixed(main).starts_with(start);
            let kinds = is_wide.then(|| by_error_type(errors)).flatten();
            kinds.unwrap_or_else(|| vec![start.to_owned()])
        }
    }
}

/// The places to read, none in another.
fn places(target: &StreamTarget, failed: &[String], remarks: &mut Vec<Remark>) -> Vec<Place> {
    let main = fixed(target.prefix.as_deref().unwrap_or_default());
    let place = |prefix: &str, holds| Place {
        bucket: target.bucket.clone(),
        prefix: prefix.to_owned(),
        holds,
        rules: Vec::new(),
    };
    let mut prefixes: Vec<&str> = vec![main];
    prefixes.extend(failed.iter().map(String::as_str));
    let all = prefixes.clone();
    // Of those inside each other only the outermost stays.
    prefixes
        .retain(|one| !all.iter().any(|other| one.len() > other.len() && one.starts_with(other)));
    let mut seen = BTreeSet::new();
    prefixes.retain(|one| seen.insert(*one));
    let holds = |prefix: &str| {
        let has_failed = failed.iter().any(|failed| failed.starts_with(prefix));
        match (main.starts_with(prefix), has_failed) {
            (true, true) => Holds::Both,
            (true, false) => Holds::Delivered,
            (false, _) => Holds::Failed,
        }
    };
    let places: Vec<Place> = prefixes.into_iter().map(|one| place(one, holds(one))).collect();
    let is_wide = |place: &&Place| place.prefix != main && place.holds == Holds::Both;
    if let Some(outer) = places.iter().find(is_wide) {
        let text = format!(
            "the error prefix holds the archive, so all of `{}` is read, whatever else lies there",
            outer.address()
        );
        remarks.push(Remark { kind: "wide_error_prefix", is_trouble: false, text });
    }
    places
}

/// Leaves the copy of the source records out.
fn leave_out(
    target: &StreamTarget,
    failed: &[String],
    places: &mut [Place],
    remarks: &mut Vec<Remark>,
) -> Vec<String> {
    let Some(StreamBackup { bucket, prefix }) = &target.backup else { return Vec::new() };
    let prefix = prefix.as_deref().unwrap_or_default();
    let start = fixed(prefix);
    let mut is_mixed = false;
    for place in places.iter_mut().filter(|place| place.bucket == *bucket) {
        if start.len() > place.prefix.len() && start.starts_with(&place.prefix) {
            let failed = failed.iter().filter(|failed| failed.starts_with(start));
            place.rules.push((start.to_owned(), false));
            place.rules.extend(failed.map(|failed| (failed.clone(), true)));
        } else if place.prefix.starts_with(start) {
            // Without expressions a year follows, so that a longer prefix is another one.
            is_mixed |= start == place.prefix || has_expressions(prefix);
        }
    }
    let copy = Place {
        bucket: bucket.clone(),
        prefix: start.to_owned(),
        holds: Holds::Delivered,
        rules: Vec::new(),
    };
    if !is_mixed {
        return vec![copy.address()];
    }
    let text = format!(
        "the copies of the source records cannot be told from the archive by their keys (`{}`), and are read \
         with it; equal records become one row, those that were transformed two",
        copy.address()
    );
    remarks.push(Remark { kind: "backup_among_archive", is_trouble: false, text });
    Vec::new()
}

/// What is to be known about the stream itself.
fn of_stream(description: &StreamDescription) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let mut add = |kind, is_trouble, text| remarks.push(Remark { kind, is_trouble, text });
    if description.status != "ACTIVE" {
        let why = description.failure.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
        let text =
            format!("the stream is {}{why}: it takes and delivers nothing", description.status);
        add("not_active", true, text);
    }
    if description.source != DIRECT_PUT {
        let text = format!(
            "the stream's source is {}: an hour may get objects for as long as that keeps records, \
             not for a day only",
            description.source
        );
        add("other_source", false, text);
    }
    if !matches!(description.version.as_str(), "1" | "") {
        let when = description.updated_ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        let when =
            when.map_or_else(String::new, |when| format!(" on {}", when.strftime("%Y-%m-%d")));
        let text = format!(
            "the stream was changed{when} (version {}), and only its present prefix is told: if objects of \
             before lie elsewhere, give that place too, as --from s3://bucket/prefix",
            description.version
        );
        add("changed", false, text);
    }
    remarks
}

/// What is to be known about how it delivers.
fn of_target(target: &StreamTarget, places: &[Place]) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let mut add = |kind, is_trouble, text: String| remarks.push(Remark { kind, is_trouble, text });
    if target.is_converted {
        let text = "the stream converts records to Parquet or ORC, which lost fields on the way and is not \
                    read here: turn conversion off, so that the archive holds what was sent";
        add("converted", true, text.to_owned());
    }
    if target.is_partitioned {
        let text = "dynamic partitioning puts records apart by their content: objects are many and small, and \
                    records beyond 500 active partitions go to the error prefix";
        add("partitioned", false, text.to_owned());
    }
    if target.error_prefix.as_deref().unwrap_or_default().is_empty() {
        let text = format!(
            "the stream has no error prefix: failed records lie among the others, below `s3://{}/{}<kind of \
             failure>/`, and are read with them",
            target.bucket,
            fixed(target.prefix.as_deref().unwrap_or_default())
        );
        add("no_error_prefix", false, text);
    }
    if places.iter().any(|place| place.prefix.is_empty()) {
        let text = format!(
            "the keys begin with nothing of their own, so the whole bucket `s3://{}` is read, whatever else \
             lies there; the lake must lie elsewhere",
            target.bucket
        );
        add("whole_bucket", false, text);
    }
    remarks
}

#[cfg(test)]
#[path = "derive_tests.rs"]
mod tests;
