//! Batches whose rows become parts: how large each row is, and rows copied in their new order.
//!
//! In: batches of one schema. Out: the bytes of the values of each row, measured once for each batch that is
//! asked for, and batches of picked rows. Only bad code can make it fail. Memory: 8 bytes a row beside
//! the batches.

use std::sync::OnceLock;

use arrow::array::{Array, ArrayRef, AsArray, new_null_array};
use arrow::compute::interleave;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

use super::dedupe::Pick;

/// Batches of one schema, from which rows are picked.
#[derive(Debug)]
pub struct Batches(Vec<(RecordBatch, OnceLock<Vec<u64>>)>);

impl Batches {
    /// These batches; nothing is measured yet.
    pub fn new(batches: impl IntoIterator<Item = RecordBatch>) -> Self {
        Self(batches.into_iter().map(|batch| (batch, OnceLock::new())).collect())
    }

    /// The schema of a row.
    pub fn schema(&self, pick: Pick) -> Option<SchemaRef> {
        self.0.get(pick.batch as usize).map(|(batch, _)| batch.schema())
    }

    /// The bytes of each picked row's values.
    pub(super) fn row_sizes(&self, picks: &[Pick]) -> Vec<u64> {
        let size = |pick: &Pick| {
            let (batch, sizes) = self.0.get(pick.batch as usize)?;
            sizes.get_or_init(|| batch_sizes(batch)).get(pick.row as usize).copied()
        };
        picks.iter().map(|pick| size(pick).unwrap_or_default()).collect()
    }

    /// Copies these rows into one batch; only the batches they come from are looked at.
    pub(crate) fn gather(&self, picks: &[Pick]) -> Result<RecordBatch, ArrowError> {
        let mut places = vec![usize::MAX; self.0.len()];
        let mut sources: Vec<&RecordBatch> = Vec::new();
        let mut rows = Vec::with_capacity(picks.len());
        for pick in picks {
            let batch = pick.batch as usize;
            let (Some(place), Some((source, _))) = (places.get_mut(batch), self.0.get(batch))
            else {
                continue;
            };
            if *place == usize::MAX {
                *place = sources.len();
                sources.push(source);
            }
            rows.push((*place, pick.row as usize));
        }
        let first = sources.first().ok_or(ArrowError::ComputeError("no row is picked".into()))?;
        let columns = (0..first.num_columns()).map(|column| {
            let values: Vec<&dyn Array> =
                sources.iter().map(|source| source.column(column).as_ref()).collect();
            gather_column(&values, &rows)
        });
        RecordBatch::try_new(first.schema(), columns.collect::<Result<_, _>>()?)
    }
}

/// Most columns are null in all findings of one shape: then there is nothing to copy.
fn gather_column(values: &[&dyn Array], rows: &[(usize, usize)]) -> Result<ArrayRef, ArrowError> {
    match values.first() {
        Some(first) if values.iter().all(|array| array.null_count() == array.len()) => {
            Ok(new_null_array(first.data_type(), rows.len()))
        }
        _ => interleave(values, rows),
    }
}

/// The bytes of each row's values.
pub(super) fn batch_sizes(batch: &RecordBatch) -> Vec<u64> {
    let mut sizes = vec![0; batch.num_rows()];
    batch.columns().iter().for_each(|column| add_sizes(column, &mut sizes));
    sizes
}

/// Adds the bytes of each value of `column` to its row's sum.
fn add_sizes(column: &ArrayRef, sizes: &mut [u64]) {
    let mut add_ranges = |offsets: &[i32], bytes_of: &dyn Fn(i32, i32) -> u64| {
        let ranges = offsets.iter().zip(offsets.iter().skip(1));
        for (size, (start, end)) in sizes.iter_mut().zip(ranges) {
            *size = size.saturating_add(bytes_of(*start, *end));
        }
    };
    let flat = |start: i32, end: i32| u64::from(end.abs_diff(start)) + 4;
    match column.data_type() {
        DataType::Utf8 => add_ranges(column.as_string::<i32>().value_offsets(), &flat),
        DataType::Binary => add_ranges(column.as_binary::<i32>().value_offsets(), &flat),
        DataType::List(_) => {
            let list = column.as_list::<i32>();
            let sums = running_sums(list.values());
            add_ranges(list.value_offsets(), &|start, end| between(&sums, start, end) + 4);
        }
        DataType::Map(..) => {
            let map = column.as_map();
            let entries: ArrayRef = std::sync::Arc::new(map.entries().clone());
            let sums = running_sums(&entries);
            add_ranges(map.value_offsets(), &|start, end| between(&sums, start, end) + 4);
        }
        DataType::Struct(_) => {
            column.as_struct().columns().iter().for_each(|field| add_sizes(field, sizes));
        }
        other => {
            let width = other.primitive_width().unwrap_or(1) as u64;
            for size in sizes.iter_mut() {
                *size = size.saturating_add(width);
            }
        }
    }
}

/// Sums of the sizes before each value, and of all at the end.
fn running_sums(values: &ArrayRef) -> Vec<u64> {
    let mut sizes = vec![0; values.len() + 1];
    if let Some((_, sizes)) = sizes.split_last_mut() {
        add_sizes(values, sizes);
    }
    let mut sum = 0_u64;
    for size in &mut sizes {
        let own = *size;
        *size = sum;
        sum = sum.saturating_add(own);
    }
    sizes
}

fn between(sums: &[u64], start: i32, end: i32) -> u64 {
    let sum = |at: i32| usize::try_from(at).ok().and_then(|at| sums.get(at)).copied();
    sum(end).unwrap_or_default().saturating_sub(sum(start).unwrap_or_default())
}
