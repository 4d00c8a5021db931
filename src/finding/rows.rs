//! Rows of the table, with the keys by which they are deduplicated and sorted.

use arrow::record_batch::RecordBatch;

/// A batch of rows and the key of each.
#[derive(Debug, Clone)]
pub struct Rows {
    /// The columns.
    pub batch: RecordBatch,
    /// One key a row.
    pub keys: Vec<RowKey>,
}

/// What decides on a row's identity, its partition, and which of equal rows stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowKey {
    /// The identity.
    pub row_id: u128,
    /// The row's clock, in milliseconds since 1970 UTC.
    pub reported_at_ms: i64,
    /// Whether it is the copy that the backup Region sent.
    pub backup: bool,
    /// The envelope's time in milliseconds since 1970 UTC; `i64::MAX` when there is none.
    pub event_time_ms: i64,
    /// Which finding of its document it is.
    pub ordinal: u32,
}
