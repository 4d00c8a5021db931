//! What the two logs say about how far one lake is carried over into the other.
//!
//! In: the records of both, each read once. Out: for each stretch of time up to which version it is carried
//! over, which commits did it, and what the old lake has taken out since. Memory: a few numbers for each
//! partition and each commit.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use futures::TryStreamExt as _;

use crate::job::options::UsageError;
use crate::lake::layout::{Partition, PartitionBy, Table, parse_part_key};
use crate::lake::log::Log;
use crate::lake::record::{Purpose, Record, Settings};

/// A stretch of time of a table: the longer of the two lakes' partitions that begins then.
pub(super) type Cell = (Table, Partition);

/// The longer of two kinds of partitions.
pub(super) fn longer(one: PartitionBy, two: PartitionBy) -> PartitionBy {
    one.max(two)
}

/// The partition of this kind, no shorter than `partition`, that it lies in.
pub(super) fn cell_of(partition: Partition, by: PartitionBy) -> Partition {
    Partition::of(partition.times().start, by)
}

/// What the new lake's log says.
#[derive(Debug, Default)]
pub(super) struct Carry {
    read: u64,
    /// Up to which version of the old lake each stretch is carried over.
    pub(super) cells: BTreeMap<Cell, u64>,
    /// Up to which commit its objects are.
    pub(super) objects: u64,
    /// The commits that did it.
    pub(super) ours: BTreeSet<u64>,
    /// Stretches that a repair of the new lake has taken something out of since.
    pub(super) lost: BTreeSet<Cell>,
}

impl Carry {
    /// Reads on to `version`. A lake with commits that is no rebuild of `lake` is refused.
    pub(super) async fn read_on(
        &mut self,
        log: &Log,
        version: u64,
        lake: &str,
        by: PartitionBy,
    ) -> anyhow::Result<()> {
        let records = log.records(self.read + 1, version);
        futures::pin_mut!(records);
        while let Some(record) = records.try_next().await? {
            self.take(&record, lake, by)?;
        }
        self.read = version;
        Ok(())
    }

    fn take(&mut self, record: &Record, lake: &str, by: PartitionBy) -> anyhow::Result<()> {
        for withdrawn in record.withdrawn.iter().filter(|withdrawn| withdrawn.reopen) {
            let Some(name) = parse_part_key(&withdrawn.key) else { continue };
            self.lost.insert((name.table, cell_of(name.partition, by)));
        }
        match &record.carried {
            Some(carried) if carried.lake != lake => bail!(UsageError(format!(
                "commit {} of `--to` carries another lake over; give an empty place",
                record.number
            ))),
            Some(carried) => {
                for cell in &carried.partitions {
                    let version = self.cells.entry(*cell).or_default();
                    *version = carried.version.max(*version);
                    self.lost.remove(cell);
                }
                self.objects = self.objects.max(carried.objects);
                self.ours.insert(record.number);
            }
            None if record.number == 1 => bail!(UsageError(
                "`--to` is a lake of its own, no rebuild of `--lake`; give an empty place".into()
            )),
            None => {}
        }
        Ok(())
    }
}

/// What the old lake's log says.
#[derive(Debug, Default)]
pub(super) struct History {
    read: u64,
    /// The last commit that took something out of a stretch.
    pub(super) withdrawn: BTreeMap<Cell, u64>,
    /// Stretches that lost rows which are read again: the new lake may have them already, from before.
    pub(super) reread: BTreeSet<Cell>,
    /// Commits whose objects are to be read again.
    pub(super) reopened: BTreeSet<u64>,
    /// What the newest of its runs read under.
    pub(super) settings: Option<Settings>,
    /// The commit id of its first record.
    pub(super) lake: String,
}

impl History {
    /// Reads on to `version`.
    pub(super) async fn read_on(
        &mut self,
        log: &Log,
        version: u64,
        by: PartitionBy,
    ) -> anyhow::Result<()> {
        let records = log.records(self.read + 1, version);
        futures::pin_mut!(records);
        while let Some(record) = records.try_next().await? {
            if record.number == 1 {
                self.lake.clone_from(&record.commit_id);
            }
            if record.purpose == Purpose::Run || self.settings.is_none() {
                self.settings = Some(record.settings);
            }
            for withdrawn in &record.withdrawn {
                if withdrawn.reopen {
                    self.reopened.insert(withdrawn.commit);
                }
                let Some(name) = parse_part_key(&withdrawn.key) else { continue };
                let cell = (name.table, cell_of(name.partition, by));
                self.withdrawn.insert(cell, record.number);
                if withdrawn.reopen {
                    self.reread.insert(cell);
                }
            }
        }
        self.read = version;
        Ok(())
    }
}
