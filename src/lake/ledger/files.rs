//! Which files make up the lake: added by commits, taken out by later ones, or damaged.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{DamagedFile, Ledger, LedgerFile};
use crate::lake::error::{LakeError, LakeResult};
use crate::lake::layout::{Partition, Table, parse_part_key};
use crate::lake::record::{FileRecord, Tombstone};

/// What the ledger knows of one partition of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionFiles {
    /// Its files, oldest first.
    pub files: Vec<LedgerFile>,
    /// Those that commits name and that are not rightly there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<DamagedFile>,
}

impl Ledger {
    /// What it knows of each partition.
    pub fn partitions(&self) -> impl Iterator<Item = ((Table, Partition), PartitionFiles)> {
        let places: BTreeSet<_> = self.files.keys().chain(self.damaged.keys()).copied().collect();
        places.into_iter().map(|place| {
            let files = self.files.get(&place).cloned().unwrap_or_default();
            let damaged = self.damaged.get(&place).cloned().unwrap_or_default();
            (place, PartitionFiles { files, damaged })
        })
    }

    /// A ledger that knows of one partition alone, and of no object: enough to compare rows with.
    pub fn of_partition(
        version: u64,
        place: (Table, Partition),
        known: PartitionFiles,
        tombstones: BTreeSet<Tombstone>,
    ) -> Self {
        let mut ledger = Self { version, tombstones, ..Self::default() };
        ledger.files.insert(place, known.files);
        if !known.damaged.is_empty() {
            ledger.damaged.insert(place, known.damaged);
        }
        ledger
    }

    /// The files of a partition that were added after commit `after` (0 for all), oldest first.
    pub fn files(
        &self,
        table: Table,
        partition: Partition,
        after: u64,
    ) -> impl Iterator<Item = &LedgerFile> {
        let files = self.files.get(&(table, partition)).map(Vec::as_slice).unwrap_or_default();
        files.iter().filter(move |file| file.commit > after)
    }

    /// All files, by table, partition and commit.
    pub fn all_files(&self) -> impl Iterator<Item = (Table, Partition, &LedgerFile)> {
        self.files.iter().flat_map(|((table, partition), files)| {
            files.iter().map(|file| (*table, *partition, file))
        })
    }

    /// Files that commits name and that are not rightly in the lake.
    pub fn damaged(&self) -> impl Iterator<Item = &DamagedFile> {
        self.damaged.values().flatten()
    }

    /// Refuses a run that touches a partition where a file is damaged or missing: what is new there
    /// cannot be told.
    pub fn check(&self, table: Table, partition: Partition) -> LakeResult<()> {
        let damaged = self.damaged.get(&(table, partition)).and_then(|files| files.first());
        damaged.map_or(Ok(()), |damaged| {
            let message = format!(
                "of commit {} {}, so partition `{}/{partition:?}` cannot be added to",
                damaged.file.commit,
                damaged.message,
                table.name()
            );
            Err(LakeError::damaged(&damaged.file.key, message))
        })
    }

    pub(super) fn add_file(&mut self, commit: u64, file: &FileRecord, damage: Option<&String>) {
        let place = (file.table, file.partition);
        let (rows, bytes) = (file.rows, file.bytes);
        let (key, sha256) = (file.key.clone(), file.sha256.clone());
        let file = LedgerFile { commit, key, rows, bytes, sha256 };
        match damage {
            None => self.files.entry(place).or_default().push(file),
            Some(message) => {
                let damaged = DamagedFile { file, message: message.clone() };
                self.damaged.entry(place).or_default().push(damaged);
            }
        }
    }

    pub(super) fn withdraw(&mut self, key: &str) {
        let Some(name) = parse_part_key(key) else { return };
        let place = (name.table, name.partition);
        let mut gone: Vec<LedgerFile> = Vec::new();
        if let Some(files) = self.files.get_mut(&place) {
            gone.extend(files.extract_if(.., |file| file.key == key));
        }
        if let Some(damaged) = self.damaged.get_mut(&place) {
            gone.extend(damaged.extract_if(.., |one| one.file.key == key).map(|one| one.file));
        }
        self.files.retain(|_, files| !files.is_empty());
        self.damaged.retain(|_, files| !files.is_empty());
        for file in gone {
            let rows = match name.table {
                Table::Findings => &mut self.totals.findings,
                Table::Rejects => &mut self.totals.rejects,
            };
            *rows = rows.saturating_sub(file.rows);
            self.totals.files = self.totals.files.saturating_sub(1);
            self.totals.bytes = self.totals.bytes.saturating_sub(file.bytes);
        }
    }
}
