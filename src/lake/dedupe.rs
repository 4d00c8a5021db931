//! Which rows of a wave are new, and in which order they lie in their partitions.
//!
//! In: batches of rows with their keys, in any order and packing. Out: for each partition the places
//! of its new rows, sorted; and how many rows were duplicates. Pure and single-threaded; nothing can
//! go wrong. Memory: some 70 bytes a row beside the batches.

use super::ids::IdSet;
use super::layout::{Partition, PartitionBy};
use crate::finding::rows::Rows;

/// One row of a wave: which batch, and which row in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pick {
    /// The index of the batch.
    pub batch: u32,
    /// The index of the row in the batch.
    pub row: u32,
}

/// The new rows of one partition, in the order in which they are to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionRows {
    /// The partition.
    pub partition: Partition,
    /// Its rows, sorted by (account, time, row id).
    pub picks: Vec<Pick>,
}

/// A wave's rows, each identity once.
#[derive(Debug)]
pub struct Wave<'a> {
    rows: &'a [Rows],
}

/// What of a wave is to be written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// The new rows, in ascending order of partitions.
    pub partitions: Vec<PartitionRows>,
    /// Rows that an equal one of the same wave stands for; counted when one beats the other.
    pub duplicates_in_wave: u64,
    /// Rows that are in the lake already; counted when they are struck out.
    pub duplicates_in_lake: u64,
    /// Rows of objects that another run has consumed meanwhile; they count nowhere else.
    pub dropped: u64,
}

impl<'a> Wave<'a> {
    /// Keeps of all rows with the same id the best one: the primary beats the backup copy, then the
    /// earliest event time, then the least event id, then the least object URI, offset and ordinal.
    /// Rows for which `dropped` is true are left out (a loser drops what the winner consumed).
    pub fn gather(rows: &'a [Rows], dropped: &dyn Fn(Pick) -> bool) -> Self {
        let _ = dropped;
        todo!("{rows:?}")
    }

    /// Whether the wave has a row of this id. The ids of existing files are asked one by one; those
    /// for which this is true make up the `known` of [`Wave::select`].
    pub fn contains(&self, row_id: u128) -> bool {
        todo!("{row_id} {:?}", self.rows)
    }

    /// The partitions that the wave's rows belong to, ascending: whose files are to be compared.
    pub fn partitions(&self, by: PartitionBy) -> Vec<Partition> {
        todo!("{by:?}")
    }

    /// The rows whose ids are not known yet, by partition, each partition sorted by (`account_id`,
    /// `reported_at`, `row_id`).
    pub fn select(&self, known: &IdSet, by: PartitionBy) -> Selection {
        todo!("{known:?} {by:?}")
    }
}
