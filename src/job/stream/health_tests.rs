//! Streams that do well and badly, in memory.

use super::*;
use crate::job::stream::derive::derive;
use crate::store::firehose::{StreamDescription, StreamTarget};
use crate::store::{Memory, Store as _, sha256_hex};

/// 2026-11-24T05:30Z.
const NOW_MS: i64 = 1_795_478_400_000 + 5 * HOUR_MS + 30 * 60_000;
const UUID: &str = "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0";

fn derived(prefix: Option<&str>, errors: Option<&str>) -> Derived {
    let target = StreamTarget {
        bucket: "b".into(),
        prefix: prefix.map(str::to_owned),
        error_prefix: errors.map(str::to_owned),
        ..StreamTarget::default()
    };
    let description = StreamDescription {
        status: "ACTIVE".into(),
        source: "DirectPut".into(),
        version: "1".into(),
        destination: "s3",
        target: Some(target),
        ..StreamDescription::default()
    };
    derive("firehose://s@r", &description).unwrap()
}

fn key(hour_ms: i64, minute: u32) -> String {
    let at = Timestamp::from_millisecond(hour_ms + i64::from(minute) * 60_000).unwrap();
    format!("{}s-2-{}-{UUID}", at.strftime("%Y/%m/%d/%H/"), at.strftime("%Y-%m-%d-%H-%M-%S"))
}

async fn put(store: &Memory, key: &str, bytes: &[u8]) {
    store.put(key, bytes.to_vec().into(), &sha256_hex(bytes)).await.unwrap();
}

/// Twelve objects in each hour of four weeks, but for those that `skip` names.
async fn stream(store: &Memory, skip: impl Fn(i64) -> bool) {
    for back in 1..=4 * WEEK_HOURS {
        let hour_ms = NOW_MS.div_euclid(HOUR_MS) * HOUR_MS - back * HOUR_MS;
        for minute in (0..60).step_by(5) {
            if !skip(back) {
                put(store, &key(hour_ms, minute), b"{}").await;
            }
        }
    }
}

async fn look(derived: &Derived, stores: &[Arc<Memory>]) -> Health {
    let archive =
        |(place, store): (&Place, &Arc<Memory>)| place.archive(Arc::<Memory>::clone(store));
    let archives: Vec<Archive> = derived.places.iter().zip(stores).map(archive).collect();
    let options = HealthOptions {
        derived,
        archives: &archives,
        now_ms: NOW_MS,
        weeks: 4,
        hours: 24,
        progress: Arc::new(Progress::default()),
    };
    health(&options).await.unwrap()
}

fn kinds(health: &Health) -> Vec<&str> {
    health.remarks.iter().map(|remark| remark.kind).collect()
}

#[tokio::test]
async fn a_stream_that_does_well() {
    let derived = derived(Some("health/"), Some("errors/"));
    let (store, errors) = (Arc::new(Memory::new("b")), Arc::new(Memory::new("e")));
    stream(&store, |_| false).await;
    // Long ago: not looked at.
    put(&store, &key(NOW_MS - 60 * DAY_MS, 0), b"{}").await;
    let health = look(&derived, &[store, errors]).await;
    assert_eq!(kinds(&health), [""; 0]);
    assert!(!health.is_troubled());
    assert_eq!(health.objects, 12 * 4 * 168);
    assert_eq!(health.versions, BTreeMap::from([(2, 12 * 4 * 168)]));
    assert_eq!(health.complete_until, "2026-11-24T05:00:00Z");
    assert_eq!(health.closed_until.as_deref(), Some("2026-11-23T05:00:00Z"));
    assert_eq!(health.newest.as_ref().unwrap().minutes_ago, 35);
    assert_eq!((health.hours.len(), health.hours[0].usual), (24, Some(12.0)));
    assert_eq!(health.hours[23].hour, "2026-11-24T04:00:00Z");
}

#[tokio::test]
async fn gaps_and_low_hours_are_told_and_nights_without_objects_are_not() {
    let derived = derived(Some("health/"), Some("errors/"));
    let (store, errors) = (Arc::new(Memory::new("b")), Arc::new(Memory::new("e")));
    // A gap of three hours two weeks ago; one to now; every week's first ten hours are quiet.
    let is_quiet = |back: i64| back % WEEK_HOURS >= 158;
    stream(&store, |back| is_quiet(back) || (300..303).contains(&back) || back <= 2).await;
    let at = NOW_MS.div_euclid(HOUR_MS) * HOUR_MS;
    put(&store, &key(at - 3 * HOUR_MS, 1), b"{}").await;
    let health = look(&derived, &[store, errors]).await;
    assert_eq!(kinds(&health), ["gaps"]);
    assert_eq!(health.gaps.len(), 2);
    assert_eq!((health.gaps[0].hours, health.gaps[0].is_open), (3, false));
    assert_eq!((health.gaps[1].hours, health.gaps[1].is_open), (2, true));
    assert!((health.gaps[0].expected - 36.0).abs() < 0.001);
    assert!(health.is_troubled());
}

#[tokio::test]
async fn few_objects_are_no_gap_and_none_at_all_is_silence() {
    let derived = derived(None, None);
    let store = Arc::new(Memory::new("b"));
    for day in 1..28 {
        put(&store, &key(NOW_MS - day * DAY_MS, 0), b"{}").await;
    }
    let health = look(&derived, &[store]).await;
    assert_eq!(kinds(&health), ["no_error_prefix", "whole_bucket"]);
    assert_eq!((health.objects, health.gaps.len()), (27, 0));
    let health = look(&derived, &[Arc::new(Memory::new("b"))]).await;
    assert_eq!(kinds(&health), ["no_error_prefix", "whole_bucket", "silent"]);
}

#[tokio::test]
async fn failed_records_are_counted_by_kind_wherever_they_lie() {
    let record = br#"{"attemptsMade":4,"errorCode":"x","rawData":"e30="}"#;
    let two = [&record[..], record].concat();
    let at = NOW_MS - DAY_MS;
    for (prefix, errors, places, folder) in [
        (Some("health/"), Some("errors/!{firehose:error-output-type}/"), 2, ""),
        (None, None, 1, ""),
        (Some("health/"), Some("health/bad/"), 1, "bad/"),
    ] {
        let derived = derived(prefix, errors);
        let stores: Vec<Arc<Memory>> = (0..places).map(|_| Arc::new(Memory::new("b"))).collect();
        put(&stores[0], &key(at, 0), b"{}").await;
        let last = stores.last().unwrap();
        put(last, &format!("{folder}processing-failed/{}", key(at, 1)), &two).await;
        put(last, &format!("{folder}format-conversion-failed/{}", key(at, 2)), record).await;
        let health = look(&derived, &stores).await;
        assert!(kinds(&health).contains(&"failed_records"), "{prefix:?} {errors:?}");
        assert_eq!(health.objects, 1, "{prefix:?} {errors:?}");
        let counts = |kind: &str| (health.failed[kind].objects, health.failed[kind].records);
        assert_eq!(counts("processing-failed"), (1, 2));
        assert_eq!(counts("format-conversion-failed"), (1, 1));
    }
}
