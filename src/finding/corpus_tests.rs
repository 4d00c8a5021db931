//! Real events through the builder; they lie outside the project and are skipped where absent.

use std::path::PathBuf;
use std::sync::Arc;

use crate::finding::envelope::{Envelope, Found, Shape};
use crate::finding::json::{Arena, Json};
use crate::finding::place::{Place, Span};
use crate::finding::rows::RowsBuilder;
use crate::finding::tally::Tally;

fn corpus() -> Option<PathBuf> {
    let folder = std::env::var_os("HEALTHTRAIL_CORPUS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"),
        PathBuf::from,
    );
    folder.is_dir().then_some(folder)
}

/// The findings of a document, told apart as simply as a test needs.
fn unwrap<'j>(json: &'j Json<'j>) -> Vec<Found<'j>> {
    let text = |name| json.get(name).and_then(Json::as_str);
    let envelope = json.get("detail-type").map(|_| Envelope {
        id: text("id"),
        detail_type: text("detail-type"),
        source: text("source"),
        account: text("account"),
        time: text("time"),
        region: text("region"),
    });
    let body = if envelope.is_some() { json.get("detail").unwrap_or(json) } else { json };
    let bodies = match body.get("findings").and_then(Json::as_array) {
        Some(findings) => findings.iter().collect(),
        None => vec![body],
    };
    let shape = |body: &Json<'_>| {
        if body.get("eventArn").is_some() || body.get("eventTypeCode").is_some() {
            Some(Shape::Native)
        } else if body.get("class_uid").is_some() {
            Some(Shape::Ocsf)
        } else if body.get("ProductArn").is_some() || body.get("SchemaVersion").is_some() {
            Some(Shape::Asff)
        } else {
            None
        }
    };
    let found = |body: &'j Json<'j>| Some(Found { shape: shape(body)?, body, envelope });
    bodies.into_iter().filter_map(found).collect()
}

#[test]
fn every_real_finding_is_a_row_or_a_refusal_with_a_reason() {
    let Some(folder) = corpus() else { return };
    let place =
        Place { object: Arc::from("file:///corpus"), etag: Arc::from("0"), arrived_hour_ms: 0 };
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    for path in files.iter().filter(|path| path.extension().is_some_and(|e| e == "ndjson")) {
        let mut builder = RowsBuilder::new();
        let mut tally = Tally::default();
        let (mut found_count, mut refused) = (0, 0);
        let file = path.file_name().unwrap().to_string_lossy();
        for (line, text) in (1..).zip(std::fs::read_to_string(path).unwrap().lines()) {
            let (one, two) = (Arena::default(), Arena::default());
            let quick = Json::parse_first(text.trim_end(), &one).map(|(json, _)| json);
            assert_eq!(quick.ok(), Json::parse_reference(text, &two).ok(), "{file}:{line}");
            let Ok(json) = Json::leaked(text) else { continue };
            for (ordinal, found) in (0..).zip(unwrap(&json)) {
                found_count += 1;
                let span = Span { range: 0..text.len() as u64, ordinal };
                let before = builder.bytes();
                if let Err(refusal) = builder.append(&found, &place, &span, &mut tally) {
                    println!("{file}:{line} {}: {}", refusal.reason.name(), refusal.detail);
                    assert_eq!(builder.bytes(), before);
                    refused += 1;
                }
            }
        }
        assert_eq!(builder.len() + refused, found_count);
        let estimate = builder.bytes();
        let rows = builder.finish();
        assert_eq!(rows.batch.num_rows(), rows.keys.len());
        println!(
            "{file}: {} rows, {refused} refused, {:?} unknown {:?} unreadable {:?} no account {}",
            rows.keys.len(),
            tally.by_shape.0,
            tally.unknown_fields.0,
            tally.unreadable_fields.0,
            tally.account_unknown,
        );
        println!("  estimate {estimate}, arrow {}", rows.batch.get_array_memory_size());
    }
}
