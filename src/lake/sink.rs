//! Rows in their order become parts, without more of them in memory than one part.
//!
//! In: rows of one partition, one by one, in the order in which they are to lie. Out: staged parts, cut as
//! [`split`](super::part::split) cuts a wave's rows, so that the same rows give the same bytes whoever
//! writes them; and where a part grows to the bound in encoded bytes, there too. What goes wrong is the
//! store's, or a defect. Memory: one slice of rows, one row group's pages and the part's bytes.

use arrow::compute::interleave_record_batch;
use arrow::record_batch::RecordBatch;

use super::error::LakeResult;
use super::layout::{Partition, Table};
use super::log::Log;
use super::part::{
    PART_BYTES_MAX, PART_ROWS_MAX, PartWriter, SLICE_BYTES_MAX, SLICE_ROWS_MAX, broken,
};
use super::record::FileRecord;

/// For which commit parts are staged.
#[derive(Debug, Clone, Copy)]
pub struct Staging<'a> {
    /// The log.
    pub log: &'a Log,
    /// The number of the commit.
    pub number: u64,
    /// The run, which names its staging.
    pub run: &'a str,
    /// Encoded bytes after which a part ends at the next slice.
    pub part_bytes: u64,
}

/// Takes the rows of one partition.
#[derive(Debug)]
pub struct Sink<'a> {
    staging: Staging<'a>,
    table: Table,
    partition: Partition,
    writer: Option<PartWriter>,
    /// Rows and bytes of the part so far, the slice among them.
    part: (usize, u64),
    slice: Slice,
    files: Vec<FileRecord>,
}

/// Rows that wait to be encoded together.
#[derive(Debug, Default)]
struct Slice {
    batches: Vec<RecordBatch>,
    /// For each source which of `batches` is its current one.
    current: Vec<Option<usize>>,
    rows: Vec<(usize, usize)>,
    bytes: u64,
}

impl<'a> Sink<'a> {
    /// A sink for this partition.
    pub fn new(staging: Staging<'a>, table: Table, partition: Partition) -> Self {
        let (slice, files) = (Slice::default(), Vec::new());
        Self { staging, table, partition, writer: None, part: (0, 0), slice, files }
    }

    /// Takes a row of the batch that `source` is at; `bytes` is the size of its values.
    pub async fn add(
        &mut self,
        source: usize,
        batch: &RecordBatch,
        row: usize,
        bytes: u64,
    ) -> LakeResult<()> {
        let (rows, held) = self.part;
        if rows > 0 && (rows >= PART_ROWS_MAX || held.saturating_add(bytes) > PART_BYTES_MAX) {
            self.end_part().await?;
        }
        let slice = &self.slice;
        let is_full = slice.rows.len() >= SLICE_ROWS_MAX
            || slice.bytes.saturating_add(bytes) > SLICE_BYTES_MAX;
        if is_full && !slice.rows.is_empty() {
            self.end_slice().await?;
        }
        let held = self.slice.hold(source, batch);
        self.slice.rows.push((held, row));
        self.slice.bytes = self.slice.bytes.saturating_add(bytes);
        self.part = (self.part.0 + 1, self.part.1.saturating_add(bytes));
        Ok(())
    }

    /// Says that `source` goes on with another batch.
    pub fn changed(&mut self, source: usize) {
        if let Some(current) = self.slice.current.get_mut(source) {
            *current = None;
        }
    }

    /// Stages what is left, and gives all parts in their order.
    pub async fn finish(mut self) -> LakeResult<Vec<FileRecord>> {
        self.end_part().await?;
        Ok(self.files)
    }

    async fn end_slice(&mut self) -> LakeResult<()> {
        let slice = std::mem::take(&mut self.slice);
        if slice.rows.is_empty() {
            return Ok(());
        }
        let table = self.table;
        let batches: Vec<&RecordBatch> = slice.batches.iter().collect();
        let gathered =
            interleave_record_batch(&batches, &slice.rows).map_err(|error| broken(table, error))?;
        if self.writer.is_none() {
            self.writer = Some(PartWriter::new(table, gathered.schema())?);
        }
        let Some(writer) = &mut self.writer else { return Ok(()) };
        writer.push(&gathered)?;
        if writer.encoded_bytes() >= self.staging.part_bytes {
            self.stage().await?;
        }
        Ok(())
    }

    async fn end_part(&mut self) -> LakeResult<()> {
        self.end_slice().await?;
        self.stage().await
    }

    async fn stage(&mut self) -> LakeResult<()> {
        self.part = (0, 0);
        let Some(writer) = self.writer.take() else { return Ok(()) };
        let part = writer.finish()?;
        let Staging { log, number, run, .. } = self.staging;
        self.files.push(log.stage_part(number, run, self.table, self.partition, &part).await?);
        Ok(())
    }
}

impl Slice {
    /// The place of this source's batch among those of the slice.
    fn hold(&mut self, source: usize, batch: &RecordBatch) -> usize {
        if self.current.len() <= source {
            self.current.resize(source + 1, None);
        }
        if let Some(Some(held)) = self.current.get(source) {
            return *held;
        }
        self.batches.push(batch.clone());
        let held = self.batches.len() - 1;
        if let Some(current) = self.current.get_mut(source) {
            *current = Some(held);
        }
        held
    }
}
