//! Whole archives, made in memory and read back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::*;
use crate::store::{Fault, Faulty, Memory, StoreErrorKind};

/// Enough for some of every kind.
const MESSAGES: u64 = 900;

fn options() -> GenerateOptions {
    GenerateOptions {
        objects: 24,
        events: MESSAGES,
        days: 5,
        seed: 11,
        ..GenerateOptions::default()
    }
}

async fn made(options: &GenerateOptions) -> (BTreeMap<String, Bytes>, GenerateReport) {
    let store = Memory::new("made");
    let report = generate(&store, options).await.expect("a store that keeps");
    (store.objects().into_iter().collect(), report)
}

/// The documents of plain objects without bad bytes.
fn documents(objects: &BTreeMap<String, Bytes>) -> Vec<Value> {
    objects
        .values()
        .flat_map(|bytes| serde_json::Deserializer::from_slice(bytes).into_iter::<Value>())
        .map(|document| document.expect("JSON"))
        .collect()
}

/// The event that a document holds, out of its error record where it lies in one.
fn event(document: &Value) -> Value {
    use base64::Engine as _;
    let Some(raw) = document["rawData"].as_str() else { return document.clone() };
    let bytes = base64::engine::general_purpose::STANDARD.decode(raw).expect("base64");
    serde_json::from_slice(&bytes).expect("JSON")
}

#[tokio::test]
async fn the_same_seed_gives_the_same_archive_and_another_seed_another() {
    let (first, report) = made(&options()).await;
    let world = World::new(&options()).expect("good options");
    let mut tally = Tally::default();
    let mut alone = BTreeMap::new();
    for plan in Plan::new(&world) {
        let object = object::make(&world, &plan).expect("memory");
        alone.insert(object.key, object.bytes);
        tally += object.tally;
    }
    assert_eq!(first, alone, "one after the other is as all at once");
    assert_eq!(report, tally.report());
    let (other, _) = made(&GenerateOptions { seed: 12, ..options() }).await;
    assert!(first.keys().all(|key| !other.contains_key(key)));
}

#[tokio::test]
async fn the_report_tells_the_truth() {
    let plain = GenerateOptions { compression: Compression::None, bad_bytes: 0.0, ..options() };
    let (objects, report) = made(&plain).await;
    assert_eq!(report.objects, objects.len() as u64);
    assert_eq!(report.stored_bytes, objects.values().map(|b| b.len() as u64).sum::<u64>());
    assert_eq!(report.stored_bytes, report.raw_bytes);
    assert_eq!(report.documents(), MESSAGES);
    let documents = documents(&objects);
    assert_eq!(documents.len() as u64, MESSAGES);
    let records = documents.iter().filter(|d| d["rawData"].is_string()).count();
    assert_eq!(records as u64, report.error_records);
    let events: Vec<Value> = documents.iter().map(event).collect();
    let mut sent: BTreeMap<&str, u64> = BTreeMap::new();
    let mut distinct: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for event in &events {
        let (kind, identity) = identity(event);
        *sent.entry(kind).or_default() += 1;
        distinct.entry(kind).or_default().insert(identity);
    }
    for (name, messages) in report.messages() {
        assert_eq!(sent.get(name).copied().unwrap_or(0), messages.sent, "{name}");
        let identities = distinct.get(name).map_or(0, BTreeSet::len) as u64;
        assert_eq!(identities, messages.distinct, "{name}");
        assert!(messages.sent > 0, "{name}");
    }
    assert!(report.documents() > report.all_rows());
}

/// The kind of an event, and a text that is equal for equal rows only.
fn identity(event: &Value) -> (&'static str, String) {
    let time = event["time"].as_str().expect("time");
    let mut detail = event["detail"].clone();
    let mut nothing = Value::Null;
    let kind = event["detail-type"].as_str().expect("a kind");
    if kind.contains("Health") {
        detail.as_object_mut().expect("detail").remove("backupEvent");
        // A detail without communication id is told apart by its envelope's second.
        let told = detail["communicationId"].as_str().is_none().then_some(time);
        return ("native Health events", format!("{told:?} {detail}"));
    }
    match (kind, detail.pointer_mut("/findings/0").unwrap_or(&mut nothing)) {
        ("Security Hub Findings - Imported", finding) => {
            finding.as_object_mut().expect("a finding").remove("ProcessedAt");
            let health = finding["ProductName"] == "Health";
            let kind = if health { "Health findings in ASFF" } else { "other findings in ASFF" };
            (kind, format!("{time} {finding}"))
        }
        ("Findings Imported V2", finding) => {
            let metadata = finding["metadata"].as_object_mut().expect("metadata");
            metadata.remove("processed_time");
            metadata.remove("processed_time_dt");
            let health = finding["metadata"]["product"]["name"] == "Health";
            let kind = if health { "Health findings in OCSF" } else { "other findings in OCSF" };
            (kind, format!("{time} {finding}"))
        }
        ("Security Hub Insight Results", _) => ("Insight Results", event["id"].to_string()),
        ("AWS API Call via CloudTrail", _) => ("API calls", event["id"].to_string()),
        (other, _) => panic!("{other}"),
    }
}

#[tokio::test]
async fn bad_pieces_stand_before_events_and_never_first() {
    let spoiled = GenerateOptions {
        compression: Compression::None,
        bad_bytes: 0.2,
        error_records: 0.0,
        ..options()
    };
    let (objects, report) = made(&spoiled).await;
    assert!(report.bad_pieces > 90);
    let mut events = 0;
    for bytes in objects.values() {
        assert!(bytes.starts_with(b"{\"version\":\"0\""));
        let text = String::from_utf8_lossy(bytes);
        let starts: Vec<usize> =
            text.match_indices("{\"version\":\"0\"").map(|(at, _)| at).collect();
        for at in starts {
            let mut rest =
                serde_json::Deserializer::from_str(text.split_at(at).1).into_iter::<Value>();
            events += u64::from(matches!(rest.next(), Some(Ok(_))));
        }
    }
    assert_eq!(events, report.documents());
}

#[tokio::test]
async fn keys_are_firehoses() {
    let (objects, report) = made(&GenerateOptions { error_records: 0.05, ..options() }).await;
    let mut versions = BTreeSet::new();
    for key in objects.keys() {
        let name = key.rsplit('/').next().expect("a name");
        let folder = key.strip_suffix(name).expect("a suffix");
        let rest = name.strip_prefix("health-events-").expect("the stream");
        let (version, rest) = rest.split_once('-').expect("a version");
        versions.insert(version.to_owned());
        let stamp = rest.split_at(19).0;
        let hour = format!("{}/", stamp.split_at(13).0.replace('-', "/"));
        let expected =
            ["health/", "error/processing-failed/"].map(|prefix| format!("{prefix}{hour}"));
        assert!(expected.contains(&folder.to_owned()), "{key}");
        assert!(("2026-08-01".."2026-08-06").contains(&stamp), "{key}");
        assert_eq!(rest.as_bytes()[19], b'-');
    }
    assert_eq!(versions.len(), 2);
    let errors = objects.keys().filter(|key| key.starts_with("error/")).count();
    assert_eq!(errors as u64, report.error_objects);
    assert!(errors > 0);
}

#[tokio::test]
async fn a_store_that_fails_ends_it() {
    let memory = Arc::new(Memory::new("refusing"));
    let refusal = Fault::at(3, StoreErrorKind::Denied).only("put", "").forever();
    let store = Faulty::new(memory).with(refusal);
    let error = generate(&store, &options()).await.expect_err("the store refuses");
    assert!(matches!(error, GenerateError::Store(_)), "{error}");
}

#[tokio::test]
async fn options_that_make_no_sense_are_refused() {
    let good = options;
    let table = [
        GenerateOptions { objects: 0, ..good() },
        GenerateOptions { events: 0, ..good() },
        GenerateOptions { days: 0, ..good() },
        GenerateOptions { duplicates: 1.5, ..good() },
        GenerateOptions { late: f64::NAN, ..good() },
        GenerateOptions { native: -1.0, ..good() },
        GenerateOptions { accounts: 0, ..good() },
        GenerateOptions { regions: 17, ..good() },
        GenerateOptions { prefix: "x".to_owned(), ..good() },
        GenerateOptions { start: jiff::civil::date(1999, 1, 1), ..good() },
    ];
    for options in table {
        let error = generate(&Memory::new("none"), &options).await.expect_err("refused");
        assert!(matches!(error, GenerateError::Options(_)), "{error}");
    }
}

#[tokio::test]
async fn few_events_and_one_object_are_an_archive_too() {
    for (objects, events) in [(1, 1), (3, 2), (2, 50), (100, 7)] {
        let small = GenerateOptions { objects, events, days: 1, accounts: 1, ..options() };
        let (made, report) = made(&small).await;
        assert_eq!(report.documents(), events);
        assert!((1..=objects).contains(&(made.len() as u64)));
    }
}

/// Raw bytes do not depend on any compressor, so they stay the same from version to version. Who
/// changes what is generated counts on new bytes, and writes their hash here.
#[tokio::test]
async fn the_bytes_of_a_seed_are_frozen() {
    use sha2::Digest as _;
    let plain = GenerateOptions { compression: Compression::None, bad_bytes: 0.01, ..options() };
    let (objects, _) = made(&plain).await;
    let mut hash = sha2::Sha256::new();
    for (key, bytes) in &objects {
        hash.update(key);
        hash.update(bytes);
    }
    let head = u64::from_be_bytes(hash.finalize()[..8].try_into().expect("eight bytes"));
    assert_eq!(format!("{head:016x}"), "ffb539b95905755f");
}
