//! The log: numbered commits, one at a time, over a store that other runs write to as well.

use std::sync::Arc;

use bytes::Bytes;

use super::error::LakeResult;
use super::layout::{Partition, Table};
use super::ledger::Ledger;
use super::part::EncodedPart;
use super::record::{DoneMark, FileRecord, ObjectList, Objects, Record};
use crate::store::Store;

/// The log of one lake.
#[derive(Debug, Clone)]
pub struct Log {
    store: Arc<dyn Store>,
}

/// Who has a commit number now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// This record: publish it.
    Won,
    /// Another run's record: catch up, drop what it consumed, compare with its files, stage again.
    Lost,
}

/// What [`Log::catch_up`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CaughtUp {
    /// How many commits were folded.
    pub commits: u64,
    /// The commit that another run had left open and that was completed here.
    pub rolled_forward: Option<u64>,
}

/// What [`Log::publish`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Published {
    /// Files that were copied to their final keys here.
    pub copied: usize,
    /// Files that lay there already.
    pub present: usize,
    /// What the done mark says; a damaged file stops only runs that touch its partition.
    pub done: DoneMark,
}

impl Log {
    /// The log of the lake in this store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// The ledger of the newest readable checkpoint, or an empty one; then [`Log::catch_up`].
    pub async fn load(&self) -> LakeResult<Ledger> {
        todo!("{:?}", self.store)
    }

    /// Folds all commits that the ledger lacks. An open one is completed first (published and
    /// marked done).
    pub async fn catch_up(&self, ledger: &mut Ledger) -> LakeResult<CaughtUp> {
        todo!("{ledger:?}")
    }

    /// Like [`Log::catch_up`], but writes nothing: an open commit is folded as if it were complete.
    pub async fn look(&self, ledger: &mut Ledger) -> LakeResult<CaughtUp> {
        todo!("{ledger:?}")
    }

    /// Stages a part for commit `number`.
    pub async fn stage_part(
        &self,
        number: u64,
        run: &str,
        table: Table,
        partition: Partition,
        part: &EncodedPart,
    ) -> LakeResult<FileRecord> {
        todo!("{number} {run} {table:?} {partition:?} {part:?}")
    }

    /// Stages the list of objects if it is long.
    pub async fn stage_objects(
        &self,
        number: u64,
        run: &str,
        objects: Objects,
    ) -> LakeResult<ObjectList> {
        todo!("{number} {run} {objects:?}")
    }

    /// Tries to make this record the log's next.
    pub async fn try_commit(&self, record: &Record) -> LakeResult<Committed> {
        todo!("{record:?} {:?}", Bytes::new())
    }

    /// Publishes the files of a record that is in the log, deletes its staging, marks it done.
    pub async fn publish(&self, record: &Record) -> LakeResult<Published> {
        todo!("{record:?}")
    }

    /// Deletes what is staged under numbers up to `done`, all of which are done; gives the count.
    pub async fn sweep(&self, done: u64) -> LakeResult<u64> {
        todo!("{done}")
    }

    /// Writes the ledger as a checkpoint when enough commits came since the last.
    pub async fn checkpoint(&self, ledger: &Ledger) -> LakeResult<bool> {
        todo!("{ledger:?}")
    }
}

/// A random id of 32 hex digits, for commits and runs.
pub fn random_id() -> String {
    todo!()
}
