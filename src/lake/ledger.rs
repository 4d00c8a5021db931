//! The log, folded: which objects are in the lake, and which files make it up.

use super::error::LakeResult;
use super::layout::{Partition, Table};
use super::record::{DoneMark, Objects, Record, Settings, Totals};
use crate::finding::product::Products;

/// Where an object stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status<'a> {
    /// The log does not know it: to be read.
    Unknown,
    /// Its findings are in the lake.
    Consumed,
    /// It was read under settings that passed over what these would keep, or its commit lost a
    /// file: to be read again.
    Reopened,
    /// It could not be read, in this way; to be tried again.
    Failed(&'a str),
}

/// One visible file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerFile {
    /// The commit that added it.
    pub commit: u64,
    /// Its key.
    pub key: String,
    /// How many rows it has.
    pub rows: u64,
    /// Its length.
    pub bytes: u64,
}

/// The log folded up to [`Ledger::version`].
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    version: u64,
}

impl Ledger {
    /// The number of the last commit in it; 0 for an empty lake.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Where this object stands for a run of these settings.
    pub fn status(&self, archive: &str, key: &str, etag: &str, settings: &Settings) -> Status<'_> {
        todo!("{archive} {key} {etag} {settings:?}")
    }

    /// The widest products of any commit; `None` for an empty lake.
    pub fn products(&self) -> Option<Products> {
        todo!()
    }

    /// Refuses a run whose products are narrower than those in force.
    pub fn admit(&self, settings: &Settings) -> LakeResult<()> {
        todo!("{settings:?}")
    }

    /// The files of a partition that were added after commit `after` (0 for all), oldest first.
    pub fn files(
        &self,
        table: Table,
        partition: Partition,
        after: u64,
    ) -> impl Iterator<Item = &LedgerFile> {
        let _ = (table, partition, after);
        [].into_iter()
    }

    /// Refuses a run that touches a partition where a file is damaged or missing.
    pub fn check(&self, table: Table, partition: Partition) -> LakeResult<()> {
        todo!("{table:?} {partition:?}")
    }

    /// Sums over all commits.
    pub fn totals(&self) -> Totals {
        todo!()
    }

    /// Adds the next commit.
    pub fn fold(&mut self, record: &Record, objects: &Objects, done: &DoneMark) -> LakeResult<()> {
        todo!("{record:?} {objects:?} {done:?}")
    }
}
