//! Parts without the rows that are to be forgotten.
//!
//! In: visible parts and what is forgotten. Out: what of them must go, and the same part written anew
//! without it, in the same order. The old part is left as it is: a commit withdraws it. A part that cannot
//! be read is [`LakeError::Damaged`](super::LakeError::Damaged) with its key. Memory: one row group of the
//! old part and the whole new one.

use std::ops::Range;

use arrow::record_batch::RecordBatch;

use super::error::LakeResult;
use super::layout::{Partition, Table};
use super::ledger::LedgerFile;
use super::merge::without;
use super::part_gather::batch_sizes;
use super::part_ids::read_unknown_footer;
use super::part_rows::RowReader;
use super::record::FileRecord;
use super::sink::{Sink, Staging};
use super::tombstones::Forgotten;
use crate::store::{ObjectMeta, Store};

/// Any moment.
const ALWAYS: Range<i64> = i64::MIN..i64::MAX;

/// An object that no commit names any more, as readers of parts take it: its rows are told by its footer.
pub async fn as_file(store: &dyn Store, meta: &ObjectMeta) -> LakeResult<LedgerFile> {
    let (key, bytes) = (meta.key.clone(), meta.size);
    let mut file = LedgerFile { commit: 0, key, rows: 0, bytes, sha256: String::new() };
    let footer = read_unknown_footer(store, &file).await?;
    file.rows = footer.file_metadata().num_rows().unsigned_abs();
    Ok(file)
}

/// Shows some columns of a part to `visit`, batch by batch.
pub async fn look_through(
    store: &dyn Store,
    table: Table,
    file: &LedgerFile,
    columns: &[&str],
    visit: &mut (dyn FnMut(&RecordBatch) + Send),
) -> LakeResult<()> {
    let mut reader = RowReader::open(store, table, file, columns, &ALWAYS).await?;
    while let Some(batch) = reader.next().await? {
        visit(&batch);
    }
    Ok(())
}

/// Stages a part anew without what is forgotten. Nothing is staged when nothing is left.
pub async fn erase(
    staging: Staging<'_>,
    table: Table,
    partition: Partition,
    file: &LedgerFile,
    forgotten: &Forgotten,
) -> LakeResult<Vec<FileRecord>> {
    let mut reader = RowReader::whole(staging.log.store.as_ref(), table, file).await?;
    let mut sink = Sink::new(staging, table, partition);
    while let Some(batch) = reader.next().await? {
        let batch = without(forgotten, table, batch)?;
        sink.changed(0);
        for (row, bytes) in batch_sizes(&batch).into_iter().enumerate() {
            sink.add(0, &batch, row, bytes).await?;
        }
    }
    sink.finish().await
}
