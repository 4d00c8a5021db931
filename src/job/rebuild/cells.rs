//! The parts of a stretch of time, carried over.
//!
//! In: what the old lake has of it and what the new one has already. Out: staged parts in the order and
//! size of one great wave, and the parts that they replace. Where the old lake has only added rows since the
//! last time, only these are merged; where it has taken some out, the stretch is written anew from both
//! lakes, without what is forgotten. Memory: that of [`Merger`], and the ids of rows that runs have
//! brought into the new lake themselves, which have a bound.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::bail;

use crate::job::options::UsageError;
use crate::job::rebuild::Rebuild;
use crate::job::rebuild::known::{Cell, cell_of};
use crate::lake::ids::IdSet;
use crate::lake::layout::{Partition, PartitionBy, Table};
use crate::lake::ledger::{Ledger, LedgerFile};
use crate::lake::merge::{Merged, Merger, Run};
use crate::lake::part_ids::known_ids;
use crate::lake::record::{FileRecord, Withdrawn};
use crate::lake::sink::Staging;
use crate::lake::tombstones::Forgotten;

/// What a row's id takes in a set.
const ID_BYTES: u64 = 48;
/// Parts whose ids are read at once.
const CONCURRENCY: usize = 4;
/// A full part is of the 128 MB that Athena's advice on performance asks for, at most.
const PART_BYTES_MAX: u64 = 128 << 20;

/// What is to be done about a stretch of time.
#[derive(Debug, Clone, Default)]
pub(super) struct CellPlan {
    /// Parts of the old lake that are merged.
    old: Vec<LedgerFile>,
    /// Parts of the new lake that are merged too and withdrawn.
    new: Vec<LedgerFile>,
    /// Parts of the new lake whose rows stay, and may be in the old one too: of runs of its own.
    foreign: Vec<LedgerFile>,
}

/// A stretch that is staged.
#[derive(Debug, Default)]
pub(super) struct Staged {
    pub(super) files: Vec<FileRecord>,
    pub(super) withdrawn: Vec<Withdrawn>,
    pub(super) merged_parts: u64,
}

fn by_cell(ledger: &Ledger, by: PartitionBy) -> BTreeMap<Cell, Vec<&LedgerFile>> {
    let mut cells: BTreeMap<Cell, Vec<&LedgerFile>> = BTreeMap::new();
    for (table, partition, file) in ledger.all_files() {
        cells.entry((table, cell_of(partition, by))).or_default().push(file);
    }
    cells
}

impl Rebuild<'_> {
    /// What the new lake lacks, by stretch of time, in order.
    pub(super) fn cells(&self) -> Vec<(Cell, CellPlan)> {
        let old = by_cell(&self.old_ledger, self.cell_by);
        let new = by_cell(&self.new_ledger, self.cell_by);
        let mut names: Vec<Cell> = old.keys().copied().collect();
        names.extend(self.history.withdrawn.keys().filter(|cell| !old.contains_key(*cell)));
        names.sort_unstable();
        let of = |files: Option<&Vec<&LedgerFile>>| -> Vec<LedgerFile> {
            files.into_iter().flatten().map(|file| (*file).clone()).collect()
        };
        let mut cells = Vec::new();
        for cell in names {
            let base = self.carry.cells.get(&cell).copied();
            let has_lost = base.is_some_and(|base| {
                self.history.withdrawn.get(&cell).is_some_and(|commit| *commit > base)
            });
            let mut plan = CellPlan { old: of(old.get(&cell)), ..CellPlan::default() };
            let here = of(new.get(&cell));
            let has_lost = has_lost || (base.is_some() && self.carry.lost.contains(&cell));
            // A row that was read again may come from another copy, and lie elsewhere in the order.
            let is_reread = self.history.reread.contains(&cell);
            let foreign = here.iter().filter(|file| is_reread || !self.is_ours(file));
            plan.foreign = foreign.cloned().collect();
            let has_new = plan.old.iter().any(|file| file.commit > base.unwrap_or(0));
            // The same reject may have several states, so ids alone do not tell what is there already.
            if has_lost || (cell.0 == Table::Rejects && has_new && !plan.foreign.is_empty()) {
                plan.new = here;
            } else if has_new {
                plan.old.retain(|file| file.commit > base.unwrap_or(0));
            } else {
                continue;
            }
            cells.push((cell, plan));
        }
        cells
    }

    fn is_ours(&self, file: &LedgerFile) -> bool {
        self.carry.ours.contains(&file.commit)
    }

    /// Merges a stretch into parts that are staged for the new lake's next commit.
    pub(super) async fn stage_cell(
        &self,
        (table, cell): Cell,
        plan: CellPlan,
        forgotten: &Forgotten,
    ) -> anyhow::Result<Staged> {
        let known = self.known(table, &plan).await?;
        let staging = Staging {
            log: &self.new_log,
            number: self.new_ledger.version() + 1,
            run: &self.run,
            part_bytes: (self.options.memory_bytes / 8).min(PART_BYTES_MAX),
        };
        let memory_bytes = self.options.memory_bytes;
        let merger = Merger { staging, table, forgotten, known: &known, memory_bytes };
        let mut staged = Staged {
            withdrawn: plan.new.iter().map(withdrawn).collect(),
            merged_parts: (plan.old.len() + plan.new.len()) as u64,
            ..Staged::default()
        };
        let (mut by_partition, old) = self.runs(table, cell, plan);
        for run in old {
            for (partition, pieces) in merger.sort(&run, self.by).await? {
                by_partition.entry(partition).or_default().extend(pieces);
            }
        }
        for (partition, runs) in by_partition {
            self.new_ledger.check(table, partition)?;
            staged.files.extend(merge(&merger, partition, runs).await?);
        }
        Ok(staged)
    }

    /// The runs by the new lake's partitions, and those that have to be cut first.
    fn runs(
        &self,
        table: Table,
        cell: Partition,
        plan: CellPlan,
    ) -> (BTreeMap<Partition, Vec<Run>>, Vec<Run>) {
        let mut runs: BTreeMap<Partition, Vec<Run>> = BTreeMap::new();
        let old = &self.options.old;
        let old = plan.old.into_iter().map(|file| Run::of(old, file, table == Table::Findings));
        let to_cut = if cell.by() == self.by {
            runs.entry(cell).or_default().extend(old);
            Vec::new()
        } else {
            old.collect()
        };
        for file in plan.new {
            let Some(name) = crate::lake::layout::parse_part_key(&file.key) else { continue };
            let run = Run::of(&self.options.new, file, false);
            runs.entry(name.partition).or_default().push(run);
        }
        (runs, to_cut)
    }

    /// The ids of rows that the new lake may have got another way: the first that came stays.
    async fn known(&self, table: Table, plan: &CellPlan) -> anyhow::Result<IdSet> {
        if table == Table::Rejects || plan.foreign.is_empty() {
            return Ok(IdSet::default());
        }
        let rows: u64 = plan.foreign.iter().map(|file| file.rows).sum();
        let needed = rows.saturating_mul(ID_BYTES);
        if needed > self.options.memory_bytes / 4 {
            bail!(UsageError(format!(
                "one stretch of `--to` holds {rows} rows that are to be told apart by their ids, which \
                 takes `--memory {}MiB` at least",
                (needed * 4).div_ceil(1 << 20)
            )));
        }
        let files: Vec<&LedgerFile> = plan.foreign.iter().collect();
        let store = self.options.new.as_ref();
        Ok(known_ids(store, table, &files, CONCURRENCY, &|_| true).await?)
    }
}

fn withdrawn(file: &LedgerFile) -> Withdrawn {
    Withdrawn { key: file.key.clone(), commit: file.commit, reopen: false }
}

/// Merges, and sorts first what proves to be out of order.
async fn merge(
    merger: &Merger<'_>,
    partition: Partition,
    mut runs: Vec<Run>,
) -> anyhow::Result<Vec<FileRecord>> {
    loop {
        let key = match merger.merge(partition, runs.clone()).await? {
            Merged::Files(files) => return Ok(files),
            Merged::Unsorted(key) => key,
        };
        let holds = |run: &Run| run.files.iter().any(|file| file.key == key);
        let Some(at) = runs.iter().position(holds) else {
            bail!("part `{key}` is not in order, though it was sorted, which is a defect");
        };
        tracing::info!("part `{key}` is not in order, so it is sorted first");
        let unsorted = runs.swap_remove(at);
        let sorted = merger.sort(&unsorted, partition.by()).await?;
        runs.extend(sorted.into_values().flatten());
    }
}

impl Rebuild<'_> {
    /// What neither lake may hold.
    pub(super) fn forgotten(&self) -> Forgotten {
        let old = self.old_ledger.tombstones();
        Forgotten::of(old.iter().chain(self.new_ledger.tombstones()))
    }

    pub(super) fn old_store(&self) -> &Arc<dyn crate::store::Store> {
        &self.options.old
    }
}
