//! `healthtrail inspect`: what one object holds, and what becomes of it.

use std::io::Cursor;

use anyhow::{Context as _, anyhow, bail};
use arrow::array::RecordBatch;
use clap::Args;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::cells;
use super::options::{CountArgs, StoreArgs};
use super::sources::newest_of_stream;
use super::values::{self, printable, show_bytes};
use super::{Outcome, printer};
use crate::archive::arrival::arrival;
use crate::archive::fetch::fetch;
use crate::archive::read::{self, DocumentReport, ObjectReader, ReadOptions};
use crate::finding::place::Place;
use crate::finding::product::Products;
use crate::finding::reject::Reject;
use crate::finding::rows::{BATCH_BYTES_MAX, RowsBuilder};
use crate::store::open;

/// Show what one object holds: its compression, documents, and the rows or rejects they become
///
/// Reads the object as `run` would, and writes nothing.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    healthtrail inspect samples/archive/health/2026/11/21/07/by-hand-2026-11-21.json\n  \
    healthtrail inspect --json s3://my-archive/health/2026/11/24/03/stream-1-….gz | jq .documents")]
pub(super) struct InspectArgs {
    /// The object: a file, `s3://bucket/key`, or `firehose://STREAM[@REGION]` for the one it delivered last
    #[arg(value_name = "OBJECT")]
    object: String,

    /// Print JSON: every document, row and reject, whole
    #[arg(long)]
    json: bool,

    /// Show the findings of AWS Health only; others as passed over
    #[arg(long)]
    health: bool,

    /// Most decompressed bytes to read
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = values::size)]
    object_bytes_max: u64,

    /// Longest document
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = values::size)]
    document_bytes_max: u64,

    #[command(flatten)]
    counts: CountArgs,

    #[command(flatten)]
    stores: StoreArgs,
}

/// What an object became.
struct Inspected {
    uri: String,
    formats: Vec<&'static str>,
    documents: Vec<DocumentReport>,
    rows: RecordBatch,
    rejects: Vec<Reject>,
    tally: crate::finding::tally::Tally,
}

/// Runs the command.
pub(super) async fn inspect(args: InspectArgs) -> anyhow::Result<Outcome> {
    let inspected = read(&args).await?;
    if args.json {
        printer::data(serde_json::to_string_pretty(&as_json(&inspected))?)?;
    } else {
        for line in describe(&inspected) {
            printer::data(line)?;
        }
    }
    read::check(&inspected.tally)
        .map_err(|broken| anyhow!("{broken}, which is a defect of healthtrail"))?;
    Ok(Outcome::Done)
}

async fn read(args: &InspectArgs) -> anyhow::Result<Inspected> {
    let object = newest_of_stream(&args.object, &args.stores).await?;
    let (base, key) = match object.rsplit_once('/') {
        Some(("", key)) => ("/", key),
        Some((base, key)) => (base, key),
        None => (".", object.as_str()),
    };
    let store = open(base, &args.stores.archive(base)).await?;
    let meta = store.head(key).await?.with_context(|| format!("there is no object `{object}`"))?;
    let bytes = fetch(store.as_ref(), key, meta.size, &meta.etag).await?;
    let arrival = arrival(&object, meta.last_modified_ms, &TimeZone::UTC);
    let uri = store.uri(key);
    let place = Place {
        object: uri.as_str().into(),
        etag: meta.etag.into(),
        arrived_hour_ms: arrival.hour_ms,
    };
    let options = ReadOptions {
        products: if args.health { Products::Health } else { Products::All },
        object_bytes_max: args.object_bytes_max,
        document_bytes_max: usize::try_from(args.document_bytes_max)?,
        counts: args.counts.limits(),
    };
    let mut reader = ObjectReader::new(Box::new(Cursor::new(bytes)), place, &options);
    let (mut rows, mut rejects, mut documents) = (RowsBuilder::new(), Vec::new(), Vec::new());
    while let Some(document) = reader.step(&mut rows, &mut rejects)? {
        documents.push(document);
        if rows.bytes() >= BATCH_BYTES_MAX / 2 {
            bail!(
                "`{object}` becomes more rows than can be shown; hint: give a smaller --object-bytes-max"
            );
        }
    }
    let formats = reader.formats().iter().map(|format| format.name()).collect();
    let tally = reader.into_tally();
    Ok(Inspected { uri, formats, documents, rows: rows.finish().batch, rejects, tally })
}

/// The columns that the picture for people shows of each row.
const SHOWN: [&str; 6] =
    ["shape", "account_id", "service", "event_type_code", "status_code", "reported_at"];

fn describe(inspected: &Inspected) -> Vec<String> {
    let tally = &inspected.tally;
    let mut lines = vec![
        printable(&inspected.uri),
        format!(
            "{}: {} stored, {} unpacked",
            layers(&inspected.formats),
            show_bytes(tally.bytes.compressed),
            show_bytes(tally.bytes.decompressed),
        ),
        format!(
            "{} documents: {} with findings, {} passed over, {} rejected",
            tally.documents.read,
            tally.documents.with_findings,
            tally.documents.passed_over,
            tally.documents.rejected,
        ),
        String::new(),
    ];
    let columns: Vec<_> =
        SHOWN.iter().filter_map(|name| inspected.rows.column_by_name(name)).collect();
    for document in &inspected.documents {
        lines.push(format!(
            "{:>9} +{:<7} {:<28} {}",
            document.range.start,
            document.range.end - document.range.start,
            document.envelope,
            outcome(document),
        ));
        for row in document.rows.clone() {
            let cells: Vec<String> =
                columns.iter().map(|column| cut(&cells::text(column, row))).collect();
            lines.push(format!("{:19}row     {}", "", cells.join("  ")));
        }
        for reject in inspected.rejects.get(document.rejects.clone()).unwrap_or_default() {
            let text =
                format!("{} in {}: {}", reject.reason.name(), reject.stage.name(), reject.detail);
            lines.push(format!("{:19}reject  {}", "", cut(&text)));
        }
    }
    lines
}

/// The layers of compression, the inmost first.
fn layers(formats: &[&str]) -> String {
    let named: Vec<&str> = formats.iter().rev().copied().filter(|name| *name != "none").collect();
    if named.is_empty() { "not compressed".to_owned() } else { named.join(" in ") }
}

/// As much of an object's text as fits a line.
fn cut(text: &str) -> String {
    printable(text).chars().take(160).collect()
}

fn outcome(document: &DocumentReport) -> String {
    match document.outcome {
        read::Outcome::WithFindings => "with findings".to_owned(),
        read::Outcome::PassedOver(kind) => format!("passed over: {kind}"),
        read::Outcome::Rejected(reason) => format!("rejected: {}", reason.name()),
    }
}

fn as_json(inspected: &Inspected) -> Value {
    let documents = inspected.documents.iter().map(|document| {
        let rows = document.rows.clone().map(|row| row_json(&inspected.rows, row));
        let rejects = inspected.rejects.get(document.rejects.clone()).unwrap_or_default();
        json!({
            "offset": document.range.start,
            "length": document.range.end - document.range.start,
            "envelope": document.envelope,
            "outcome": outcome(document),
            "repaired_text": document.repairs,
            "rows": rows.collect::<Vec<Value>>(),
            "rejects": rejects.iter().map(reject_json).collect::<Vec<Value>>(),
        })
    });
    json!({
        "object": inspected.uri,
        "compression": inspected.formats,
        "documents": documents.collect::<Vec<Value>>(),
        "tally": inspected.tally,
    })
}

/// A row by column, nulls left out.
fn row_json(rows: &RecordBatch, row: usize) -> Value {
    let schema = rows.schema();
    let cells = schema.fields().iter().zip(rows.columns());
    let cells = cells.map(|(field, column)| (field.name().clone(), cells::value(column, row)));
    Value::Object(cells.filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>())
}

fn reject_json(reject: &Reject) -> Value {
    json!({
        "stage": reject.stage.name(),
        "reason": reject.reason.name(),
        "detail": reject.detail,
        "ordinal": reject.ordinal,
        "offset": reject.range.start,
        "length": reject.range.end - reject.range.start,
        "text": String::from_utf8_lossy(&reject.bytes),
    })
}
