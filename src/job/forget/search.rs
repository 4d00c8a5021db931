//! Which rows, rejects and parts are to go.
//!
//! In: what is wanted, and the ledger's files. Out: for each part how many of its rows go, and the
//! tombstones that keep them out. A second look at the lake may need only the files that others have added
//! since the first. Memory: a few columns of a row group of each part that is open, a line for each part
//! that holds something, and the tombstones, which have a bound.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use arrow::array::{Array as _, AsArray as _};
use arrow::record_batch::RecordBatch;
use futures::{StreamExt as _, TryStreamExt as _};

use crate::job::forget::quarantine;
use crate::job::forget::selector::{Named, Wanted};
use crate::job::options::UsageError;
use crate::lake::erase::look_through;
use crate::lake::layout::{Partition, Table};
use crate::lake::ledger::{Ledger, LedgerFile};
use crate::lake::part_bloom::may_hold;
use crate::lake::record::Tombstone;
use crate::lake::tombstones::Forgotten;
use crate::store::Store;

/// Tombstones of one call: what stands in one record.
const TOMBSTONES_MAX: usize = 200_000;
/// A part below this is read sooner than its bloom filters are.
const FILTERED_BYTES_MIN: u64 = 1 << 20;
/// Parts that are open at once.
pub(super) const CONCURRENCY: usize = 8;

/// A part that holds something that is to go.
#[derive(Debug, Clone)]
pub(super) struct Hit {
    pub(super) table: Table,
    pub(super) partition: Partition,
    pub(super) file: LedgerFile,
    /// How many of its rows go.
    pub(super) rows: u64,
}

/// What was found so far.
#[derive(Debug)]
pub(super) struct Search {
    wanted: Wanted,
    /// The version up to which files were looked through.
    looked: u64,
    /// By key.
    pub(super) hits: BTreeMap<String, Hit>,
    pub(super) tombstones: BTreeSet<Tombstone>,
    /// Copies in the quarantine that hold something that is to go, or cannot be read.
    pub(super) quarantined: BTreeSet<String>,
}

impl Search {
    pub(super) fn new(wanted: Wanted) -> Self {
        let tombstones = wanted.exact.clone();
        let (hits, quarantined) = (BTreeMap::new(), BTreeSet::new());
        Self { wanted, looked: 0, hits, tombstones, quarantined }
    }

    /// Looks through what the ledger has got since the last time.
    pub(super) async fn look(&mut self, store: &dyn Store, ledger: &Ledger) -> anyhow::Result<()> {
        if let Some(damaged) = ledger.damaged().next() {
            let (table, partition) = part_of(&damaged.file);
            if let (Some(table), Some(partition)) = (table, partition) {
                ledger.check(table, partition)?;
            }
        }
        let current: BTreeSet<&str> =
            ledger.all_files().map(|(_, _, file)| file.key.as_str()).collect();
        self.hits.retain(|key, _| current.contains(key.as_str()));
        let wanted = &self.wanted;
        let found = |table: Table, batch: &RecordBatch| wanted.found(table, batch);
        let filters = wanted.in_filters();
        let new = ledger.all_files().filter(|(_, _, file)| file.commit > self.looked);
        let (hits, tombstones) = look_through_all(store, new, filters.as_deref(), &found).await?;
        self.hits.extend(hits);
        self.tombstones.extend(tombstones);
        self.looked = ledger.version();
        // Their objects may be read again, so what only a copy names is kept out of the lake too.
        self.look_in_quarantine(store, ledger).await?;
        self.check_bound()?;
        self.widen(store, ledger).await
    }

    /// Finds the copies that hold what is wanted, or what was forgotten before.
    pub(super) async fn look_in_quarantine(
        &mut self,
        store: &dyn Store,
        ledger: &Ledger,
    ) -> anyhow::Result<()> {
        let forgotten = Forgotten::of(ledger.tombstones().iter().chain(&self.tombstones));
        let found = |table: Table, batch: &RecordBatch| {
            let (rows, tombstones) = self.wanted.found(table, batch);
            (rows + forgotten_in(&forgotten, table, batch), tombstones)
        };
        let quarantine = quarantine::look(store, &found).await?;
        self.quarantined = quarantine.keys;
        self.tombstones.extend(quarantine.tombstones);
        Ok(())
    }

    /// Finds what the tombstones forbid and no selector names: the other versions of findings that lie in
    /// wanted objects, and all states of a reject.
    async fn widen(&mut self, store: &dyn Store, ledger: &Ledger) -> anyhow::Result<()> {
        let is_reject = |one: &Tombstone| matches!(one, Tombstone::Reject(_));
        let has_rejects = self.tombstones.iter().any(is_reject);
        let forgotten = Forgotten::of(&self.tombstones);
        let found = |table: Table, batch: &RecordBatch| {
            (forgotten_in(&forgotten, table, batch), Vec::new())
        };
        let widened = |table: Table| match table {
            Table::Findings => self.wanted.has_objects(),
            Table::Rejects => has_rejects,
        };
        let files = ledger.all_files().filter(|(table, ..)| widened(*table));
        let (hits, _) = look_through_all(store, files, None, &found).await?;
        self.hits.extend(hits);
        Ok(())
    }

    fn check_bound(&self) -> anyhow::Result<()> {
        if self.tombstones.len() > TOMBSTONES_MAX {
            bail!(UsageError(format!(
                "this names more than {TOMBSTONES_MAX} findings and rejects; forget fewer at a time"
            )));
        }
        Ok(())
    }
}

/// How many rows of a batch are forgotten.
fn forgotten_in(forgotten: &Forgotten, table: Table, batch: &RecordBatch) -> u64 {
    let kept = forgotten.kept(table, batch);
    kept.map_or(0, |kept| (kept.len() - kept.true_count()) as u64)
}

fn part_of(file: &LedgerFile) -> (Option<Table>, Option<Partition>) {
    let name = crate::lake::layout::parse_part_key(&file.key);
    (name.map(|name| name.table), name.map(|name| name.partition))
}

/// Values of a column.
type Filter<'a> = (&'static str, Vec<&'a str>);

pub(super) type Found<'a> = dyn Fn(Table, &RecordBatch) -> (u64, Vec<Tombstone>) + Sync + 'a;

async fn look_through_all(
    store: &dyn Store,
    files: impl Iterator<Item = (Table, Partition, &LedgerFile)>,
    filters: Option<&[Filter<'_>]>,
    found: &Found<'_>,
) -> anyhow::Result<(BTreeMap<String, Hit>, BTreeSet<Tombstone>)> {
    let files: Vec<(Table, Partition, &LedgerFile)> = files.collect();
    let each = files.into_iter().map(|(table, partition, file)| async move {
        let (mut rows, mut tombstones) = (0, BTreeSet::new());
        if table == Table::Findings
            && file.bytes >= FILTERED_BYTES_MIN
            && let Some(filters) = filters
            && !may_hold(store, file, filters).await?
        {
            return Ok((None, tombstones));
        }
        look_through(store, table, file, columns(table), &mut |batch| {
            let (more, named) = found(table, batch);
            rows += more;
            tombstones.extend(named);
        })
        .await?;
        let hit = (rows > 0).then(|| Hit { table, partition, file: file.clone(), rows });
        anyhow::Ok((hit, tombstones))
    });
    futures::stream::iter(each)
        .buffer_unordered(CONCURRENCY)
        .try_fold((BTreeMap::new(), BTreeSet::new()), |mut all, (hit, named)| async move {
            all.0.extend(hit.map(|hit| (hit.file.key.clone(), hit)));
            all.1.extend(named);
            Ok(all)
        })
        .await
}

pub(super) fn columns(table: Table) -> &'static [&'static str] {
    match table {
        Table::Findings => &["shape", "finding_id", "event_arn", "account_id", "source_object"],
        Table::Rejects => &["reject_id", "source_object", "detail", "bytes"],
    }
}

impl Wanted {
    /// How many rows of a batch are wanted, and what keeps them out.
    fn found(&self, table: Table, batch: &RecordBatch) -> (u64, Vec<Tombstone>) {
        let text = |name: &str, row: usize| -> &str {
            let column =
                batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
            column.filter(|column| column.is_valid(row)).map_or("", |column| column.value(row))
        };
        let bytes = batch.column_by_name("bytes").and_then(|column| column.as_binary_opt::<i32>());
        let tombstone = |row: usize| match table {
            Table::Findings => {
                let named = Named {
                    shape: text("shape", row),
                    finding_id: text("finding_id", row),
                    event_arn: text("event_arn", row),
                    account_id: text("account_id", row),
                    source_object: text("source_object", row),
                };
                let Named { shape, finding_id, account_id, .. } = named;
                self.has_row(named).then(|| Tombstone::finding(shape, finding_id, account_id))
            }
            Table::Rejects => {
                let bytes = bytes.map_or(&[][..], |bytes| bytes.value(row));
                let texts = [bytes, text("detail", row).as_bytes()];
                let is_wanted = self.has_reject(text("source_object", row), texts);
                is_wanted.then(|| Tombstone::Reject(text("reject_id", row).to_owned()))
            }
        };
        let tombstones: Vec<Tombstone> = (0..batch.num_rows()).filter_map(tombstone).collect();
        (tombstones.len() as u64, tombstones)
    }
}
