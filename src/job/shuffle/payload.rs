//! Rows and rejects as bytes, and back.
//!
//! In: rows of one group in the order of their parts, or rejects. Out: Arrow's stream format with one more
//! column, what of a row's key no column has; rejects as JSON. Wrong is what another version of the program
//! wrote, or what was changed on the way: an error that says so, never a row that differs.

use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use arrow::array::{Array, ArrayRef, AsArray, UInt32Array};
use arrow::datatypes::{DataType, Field, Schema, TimestampMillisecondType, UInt32Type};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::finding::columns;
use crate::finding::place::Place;
use crate::finding::reject::{Reason, Reject, Stage};
use crate::finding::rows::{RowKey, Rows};
use crate::lake::ids::parse_id;
use crate::lake::rejects::RejectRow;

/// The name of the column that only payloads have.
const ORDINAL: &str = "ordinal";

const FOREIGN: &str =
    "rows of another version of healthtrail; the driver and all workers must be of one";

/// Encodes rows with which finding of its document each was.
///
/// # Errors
/// Only bad code can make it fail.
pub fn encode_rows(batch: &RecordBatch, ordinals: Vec<u32>) -> anyhow::Result<Vec<u8>> {
    let mut fields = batch.schema().fields().to_vec();
    fields.push(Arc::new(Field::new(ORDINAL, DataType::UInt32, false)));
    let mut columns = batch.columns().to_vec();
    columns.push(Arc::new(UInt32Array::from(ordinals)));
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
    let mut writer = StreamWriter::try_new(Vec::new(), batch.schema_ref())?;
    writer.write(&batch)?;
    Ok(writer.into_inner()?)
}

/// Reads them back.
///
/// # Errors
/// When they are no rows of this version.
pub fn decode_rows(payload: &[u8]) -> anyhow::Result<Rows> {
    let mut reader = StreamReader::try_new(payload, None).context(FOREIGN)?;
    let batch = reader.next().ok_or_else(|| anyhow!("a payload without rows"))??;
    if reader.next().is_some() {
        bail!("a payload has more than one batch of rows");
    }
    let schema = batch.schema();
    let names = schema.fields().iter().map(|field| field.name().as_str());
    let expected = columns::schema();
    let expected = expected.fields().iter().map(|field| field.name().as_str());
    anyhow::ensure!(names.eq(expected.chain([ORDINAL])), FOREIGN);
    let mut columns = batch.columns().to_vec();
    let ordinals = columns.pop().context(FOREIGN)?;
    let batch = RecordBatch::try_new(columns::schema(), columns).context(FOREIGN)?;
    let keys = keys(&batch, &ordinals).context(FOREIGN)?;
    Ok(Rows { batch, keys })
}

fn keys(batch: &RecordBatch, ordinals: &ArrayRef) -> Option<Vec<RowKey>> {
    let ids = batch.column_by_name("row_id")?.as_string_opt::<i32>()?;
    let times = |name: &str| {
        batch.column_by_name(name)?.as_primitive_opt::<TimestampMillisecondType>().cloned()
    };
    let (reported, events) = (times("reported_at")?, times("event_time")?);
    let backups = batch.column_by_name("backup")?.as_boolean_opt()?;
    let ordinals = ordinals.as_primitive_opt::<UInt32Type>()?;
    let key = |row: usize| {
        Some(RowKey {
            row_id: parse_id(ids.value(row).as_bytes())?,
            reported_at_ms: *reported.values().get(row)?,
            backup: backups.is_valid(row) && backups.value(row),
            event_time_ms: if events.is_valid(row) { events.value(row) } else { i64::MAX },
            ordinal: *ordinals.values().get(row)?,
        })
    };
    (0..batch.num_rows()).map(key).collect()
}

#[derive(Serialize, Deserialize)]
struct Carried {
    object: String,
    etag: String,
    hour_ms: i64,
    stage: String,
    reason: String,
    detail: String,
    range: (u64, u64),
    ordinal: Option<u32>,
    bytes: String,
}

/// Encodes rejects.
///
/// # Errors
/// Only bad code can make it fail.
pub fn encode_rejects(rejects: &[&RejectRow]) -> anyhow::Result<Vec<u8>> {
    let carried = rejects.iter().map(|RejectRow { place, reject }| Carried {
        object: place.object.as_ref().to_owned(),
        etag: place.etag.as_ref().to_owned(),
        hour_ms: place.arrived_hour_ms,
        stage: reject.stage.name().to_owned(),
        reason: reject.reason.name().to_owned(),
        detail: reject.detail.clone(),
        range: (reject.range.start, reject.range.end),
        ordinal: reject.ordinal,
        bytes: BASE64.encode(&reject.bytes),
    });
    Ok(serde_json::to_vec(&carried.collect::<Vec<_>>())?)
}

/// Reads them back.
///
/// # Errors
/// When they are no rejects of this version.
pub fn decode_rejects(payload: &[u8]) -> anyhow::Result<Vec<RejectRow>> {
    let all: Vec<Carried> = serde_json::from_slice(payload).context(FOREIGN)?;
    let row = |carried: Carried| {
        let stage = Stage::ALL.into_iter().find(|stage| stage.name() == carried.stage);
        let reason = Reason::ALL.into_iter().find(|reason| reason.name() == carried.reason);
        let (stage, reason) = stage.zip(reason).context(FOREIGN)?;
        Ok(RejectRow {
            place: Place {
                object: carried.object.into(),
                etag: carried.etag.into(),
                arrived_hour_ms: carried.hour_ms,
            },
            reject: Reject {
                stage,
                reason,
                detail: carried.detail,
                range: carried.range.0..carried.range.1,
                ordinal: carried.ordinal,
                bytes: BASE64.decode(carried.bytes).context(FOREIGN)?,
            },
        })
    };
    all.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::read::{DOCUMENT_BYTES_MAX, ObjectReader, ReadOptions};
    use crate::finding::limits::CountLimits;
    use crate::finding::product::Products;
    use crate::finding::rows::RowsBuilder;

    /// A native event with and without an envelope, and bytes that are none.
    const OBJECT: &str = r#"{"id":"7","detail-type":"AWS Health Event","source":"aws.health","account":"111122223333",
        "time":"2026-11-24T05:00:00Z","region":"eu-west-1","detail":{"eventArn":"arn:aws:health:eu-west-1::event/EC2/T/E_1",
        "service":"EC2","eventTypeCode":"T","eventTypeCategory":"issue","backupEvent":"true",
        "startTime":"Tue, 24 Nov 2026 04:00:00 GMT"}}
        {"eventArn":"arn:aws:health:eu-west-1::event/EC2/T/E_2","service":"EC2","eventTypeCode":"T",
        "eventTypeCategory":"issue","startTime":"Tue, 24 Nov 2026 04:00:00 GMT"}
        {oops"#;

    fn read() -> (Rows, Vec<RejectRow>) {
        let place =
            Place { object: "file:///o".into(), etag: "1".into(), arrived_hour_ms: 3_600_000 };
        let options = ReadOptions {
            products: Products::All,
            object_bytes_max: 1 << 20,
            document_bytes_max: DOCUMENT_BYTES_MAX,
            counts: CountLimits::DEFAULT,
        };
        let source = Box::new(OBJECT.as_bytes());
        let mut reader = ObjectReader::new(source, place.clone(), &options);
        let (mut rows, mut rejects) = (RowsBuilder::new(), Vec::new());
        assert!(reader.read_into(&mut rows, &mut rejects, usize::MAX).unwrap());
        let with_place = |reject| RejectRow { place: place.clone(), reject };
        (rows.finish(), rejects.into_iter().map(with_place).collect())
    }

    #[test]
    fn rows_come_back_with_their_keys() {
        let (rows, _) = read();
        assert_eq!(rows.keys.len(), 2);
        assert!(rows.keys[0].backup && !rows.keys[1].backup);
        assert_eq!(rows.keys[1].event_time_ms, i64::MAX);
        let ordinals = rows.keys.iter().map(|key| key.ordinal).collect();
        let back = decode_rows(&encode_rows(&rows.batch, ordinals).unwrap()).unwrap();
        assert_eq!((back.batch, back.keys), (rows.batch, rows.keys));
    }

    #[test]
    fn rows_of_other_columns_are_refused() {
        let (rows, _) = read();
        let some: Vec<usize> = (0..rows.batch.num_columns() - 1).collect();
        let fewer = encode_rows(&rows.batch.project(&some).unwrap(), vec![0, 0]).unwrap();
        let mut order: Vec<usize> = (0..rows.batch.num_columns()).collect();
        let texts: Vec<usize> = (0..order.len())
            .filter(|at| rows.batch.column(*at).data_type() == &DataType::Utf8)
            .collect();
        order.swap(texts[0], texts[1]);
        let swapped = encode_rows(&rows.batch.project(&order).unwrap(), vec![0, 0]).unwrap();
        let cut = encode_rows(&rows.batch, vec![0, 0]).unwrap();
        for payload in [&fewer[..], &swapped, &cut[..cut.len() / 2], b"", b"no Arrow at all"] {
            decode_rows(payload).unwrap_err();
        }
    }

    #[test]
    fn rejects_come_back_as_they_were() {
        let (_, mut rejects) = read();
        assert_eq!(rejects.len(), 1);
        let mut part = rejects[0].clone();
        (part.reject.ordinal, part.reject.bytes) = (Some(3), vec![0, 0xff]);
        rejects.push(part);
        let back = decode_rejects(&encode_rejects(&rejects.iter().collect::<Vec<_>>()).unwrap());
        let back = back.unwrap();
        assert_eq!(back.len(), rejects.len());
        for (one, two) in rejects.iter().zip(&back) {
            assert_eq!((&one.place, &one.reject), (&two.place, &two.reject));
            assert_eq!(one.line(), two.line());
        }
        decode_rejects(b"[{}]").unwrap_err();
    }
}
