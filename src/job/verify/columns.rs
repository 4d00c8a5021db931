//! Which columns of two equal rows must agree.
//!
//! In: rows of the lake, and the same as their objects give them now. Out: which columns are compared, and
//! where a difference is none: what a state or a version changes, what `--redact` left out. Pure.

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;

use crate::finding::columns::COLUMNS;
use crate::lake::layout::Table;
use crate::lake::rejects::{self, State};

/// Columns of a reject that its state or the version changes.
const REJECT_COLUMNS_APART: [&str; 5] =
    ["state", "state_number", "state_by", "schema_version", "reject_id"];
/// Columns that only a reject that waits keeps as its object gives them.
const REJECT_COLUMNS_WAITING: [&str; 3] = ["detail", "bytes", "bytes_cut"];
/// Those that `--redact` empties.
const REJECT_COLUMNS_REDACTED: [&str; 2] = ["bytes", "bytes_cut"];

/// The columns in which equal rows agree.
pub(super) fn compared(table: Table) -> Vec<&'static str> {
    match table {
        Table::Findings => COLUMNS
            .iter()
            .filter(|spec| !spec.delivery && spec.name != "schema_version")
            .map(|spec| spec.name)
            .collect(),
        Table::Rejects => rejects::COLUMNS
            .iter()
            .map(|column| column.name)
            .filter(|name| !REJECT_COLUMNS_APART.contains(name))
            .collect(),
    }
}

/// Whether a row of the lake may have another value in this column than its object gives.
pub(super) fn may_differ(held: &RecordBatch, column: &str, row: usize) -> bool {
    let is_settled =
        || texts(held, "state").is_some_and(|all| !State::parse(all.value(row)).is_in_object());
    REJECT_COLUMNS_WAITING.contains(&column) && is_settled()
        || REJECT_COLUMNS_REDACTED.contains(&column) && is_redacted(held, row)
}

/// Whether a reject was written without its bytes.
fn is_redacted(held: &RecordBatch, row: usize) -> bool {
    let length = held.column_by_name("bytes_length");
    let length = length.and_then(|column| column.as_primitive_opt::<Int64Type>());
    let bytes = held.column_by_name("bytes").and_then(|column| column.as_binary_opt::<i32>());
    let had_bytes = length.is_some_and(|all| all.value(row) > 0);
    had_bytes && bytes.is_some_and(|all| all.value(row).is_empty())
}

/// Whether two columns differ in this row.
pub(super) fn differs(one: &ArrayRef, two: &ArrayRef, row: usize) -> bool {
    one.slice(row, 1) != two.slice(row, 1)
}

/// A column of texts.
pub(super) fn texts<'a>(batch: &'a RecordBatch, name: &str) -> Option<&'a StringArray> {
    batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>())
}
