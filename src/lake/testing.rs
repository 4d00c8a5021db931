//! What the lake's tests share: rows of a few columns, and a store in memory that fails on order.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, TimeUnit};
use arrow::record_batch::RecordBatch;

use super::ids::id_text;
use crate::finding::rows::{RowKey, Rows};

/// A row, as far as the lake looks at rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TestRow {
    pub(super) id: u128,
    pub(super) time: i64,
    pub(super) account: &'static str,
    pub(super) backup: bool,
    pub(super) event_time: i64,
    pub(super) event_id: &'static str,
    pub(super) object: &'static str,
    pub(super) offset: i64,
    pub(super) ordinal: u32,
}

impl Default for TestRow {
    fn default() -> Self {
        Self {
            id: 0,
            time: 0,
            account: "111122223333",
            backup: false,
            event_time: 0,
            event_id: "e",
            object: "o",
            offset: 0,
            ordinal: 0,
        }
    }
}

impl TestRow {
    /// Reads a row back; texts are leaked, since tests are short.
    pub(super) fn of(rows: &Rows, row: usize) -> Self {
        let text = |name: &str| -> &'static str {
            let column = rows.batch.column_by_name(name).unwrap().as_string::<i32>();
            column.value(row).to_owned().leak()
        };
        let offset = rows.batch.column_by_name("source_offset").unwrap();
        let key = rows.keys[row];
        Self {
            id: key.row_id,
            time: key.reported_at_ms,
            account: text("account_id"),
            backup: key.backup,
            event_time: key.event_time_ms,
            event_id: text("event_id"),
            object: text("source_object"),
            offset: offset.as_primitive::<Int64Type>().value(row),
            ordinal: key.ordinal,
        }
    }
}

/// A batch of these rows.
pub(super) fn rows_of(rows: &[TestRow]) -> Rows {
    let texts = |text: fn(&TestRow) -> String| -> ArrayRef {
        Arc::new(rows.iter().map(|row| Some(text(row))).collect::<StringArray>())
    };
    let times = rows.iter().map(|row| row.time).collect::<Vec<i64>>();
    let columns: Vec<ArrayRef> = vec![
        texts(|row| id_text(row.id)),
        Arc::new(TimestampMillisecondArray::from(times).with_timezone("UTC")),
        texts(|row| row.account.to_owned()),
        texts(|row| row.event_id.to_owned()),
        texts(|row| row.object.to_owned()),
        Arc::new(rows.iter().map(|row| row.offset).collect::<Int64Array>()),
    ];
    let time = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let schema = Schema::new(vec![
        Field::new("row_id", DataType::Utf8, false),
        Field::new("reported_at", time, false),
        Field::new("account_id", DataType::Utf8, false),
        Field::new("event_id", DataType::Utf8, true),
        Field::new("source_object", DataType::Utf8, false),
        Field::new("source_offset", DataType::Int64, false),
    ]);
    let key = |row: &TestRow| RowKey {
        row_id: row.id,
        reported_at_ms: row.time,
        backup: row.backup,
        event_time_ms: row.event_time,
        ordinal: row.ordinal,
    };
    let batch = RecordBatch::try_new(Arc::new(schema), columns).unwrap();
    Rows { batch, keys: rows.iter().map(key).collect() }
}
