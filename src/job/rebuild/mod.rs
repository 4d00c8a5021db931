//! `rebuild`: the same rows in another place, in large sorted parts with today's columns.
//!
//! In: a lake that is only read, and a place that is empty or a rebuild of it. Out: commits there, and a
//! [`RebuildSummary`]. First come the tombstones, then parts, whole stretches of time in each commit, and
//! only then the objects that they came from: whoever runs into the new lake half-way reads objects
//! again whose rows it has already, and dedupe strikes them out. Each commit says how far it is
//! ([`Carried`]), so a rebuild that was killed goes on, and one that is repeated carries over what the old
//! lake has got since. An `Err` means that the world did not play along; what was committed stays.
//! Memory: see [`cells`]; of the old lake's records a few at a time.

mod cells;
mod known;
mod objects;

use std::sync::Arc;

use anyhow::{Context as _, bail};
use futures::StreamExt as _;
use serde::Serialize;

use crate::finding::identity::IDENTITY_VERSION;
use crate::job::commit::catch_up;
use crate::job::options::UsageError;
use crate::job::rebuild::known::{Carry, Cell, History, longer};
use crate::lake::config::LakeConfig;
use crate::lake::draft::{Draft, Drafted};
use crate::lake::layout::{PartitionBy, Table};
use crate::lake::ledger::{DamagedFile, Ledger};
use crate::lake::log::{Log, random_id};
use crate::lake::record::{Carried, FileRecord, Objects, Purpose, Settings, Tombstone, Withdrawn};
use crate::lake::tombstones::missing;
use crate::store::Store;

/// The least that `--memory` may be: two row groups that are merged, and one that is written.
pub const MEMORY_BYTES_MIN: u64 = 256 << 20;

/// Parts and bytes after which a commit ends, once a stretch of time is whole.
const COMMIT_PARTS_MAX: usize = 500;
const COMMIT_BYTES_MAX: u64 = 256 << 20;

/// What is to be rebuilt.
pub struct RebuildOptions {
    /// The lake, which is only read.
    pub old: Arc<dyn Store>,
    /// Where it is to be rebuilt.
    pub new: Arc<dyn Store>,
    /// The new lake's partition; `None` for the old one's.
    pub partition: Option<PartitionBy>,
    /// Bytes of memory to stay under; at least [`MEMORY_BYTES_MIN`].
    pub memory_bytes: u64,
    /// Is told after each commit how far it is.
    pub told: Box<dyn Fn(Told) + Send + Sync>,
}

impl std::fmt::Debug for RebuildOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RebuildOptions")
            .field("old", &self.old)
            .field("new", &self.new)
            .field("partition", &self.partition)
            .field("memory_bytes", &self.memory_bytes)
            .finish_non_exhaustive()
    }
}

/// How far a rebuild is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Stretches of time whose rows are carried over.
    Partitions {
        /// So many are done.
        done: u64,
        /// Of so many.
        of: u64,
        /// The old lake's version.
        version: u64,
    },
    /// Commits whose objects are carried over.
    Objects {
        /// So many commits are done.
        done: u64,
        /// Of so many.
        of: u64,
    },
}

/// What a table of a lake holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct LakeSize {
    /// Rows of `findings`.
    pub findings: u64,
    /// Rows of `rejects`.
    pub rejects: u64,
    /// Files of both.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What was rebuilt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RebuildSummary {
    /// The old lake's version that the new one is level with.
    pub old_version: u64,
    /// What the old lake holds.
    pub old: LakeSize,
    /// The new lake's version.
    pub version: u64,
    /// What the new lake holds.
    pub new: LakeSize,
    /// The new lake's partition: `day` or `month`.
    pub partition: &'static str,
    /// Whether that is another one than the old lake's.
    pub partition_changed: bool,
    /// Commits made.
    pub commits: u64,
    /// Stretches of time that were carried over or brought up to date.
    pub partitions: u64,
    /// Parts that were merged, of both lakes.
    pub merged_parts: u64,
    /// Parts that were written.
    pub written_parts: u64,
    /// Objects that were carried over.
    pub objects: u64,
    /// Commits of the old lake whose list of objects is lost: these are read again by the next run.
    pub lost_lists: u64,
    /// Tombstones that were carried over.
    pub tombstones: u64,
}

/// A rebuild under way.
pub(super) struct Rebuild<'a> {
    options: &'a RebuildOptions,
    old_log: Log,
    old_ledger: Ledger,
    history: History,
    new_log: Log,
    new_ledger: Ledger,
    carry: Carry,
    /// The new lake's partitions.
    by: PartitionBy,
    cell_by: PartitionBy,
    run: String,
    started_at: String,
    summary: RebuildSummary,
}

/// What one commit is to say.
#[derive(Debug, Default)]
struct Batch {
    objects: Objects,
    files: Vec<FileRecord>,
    withdrawn: Vec<Withdrawn>,
    tombstones: Vec<Tombstone>,
    cells: Vec<Cell>,
    merged_parts: u64,
    /// Up to which commit the old lake's objects are carried over with it, when that moves.
    up_to: Option<u64>,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Done,
    /// Somebody else committed to the new lake: look again what it lacks.
    Overtaken,
}

/// Rebuilds, until the new lake is level with the old one.
///
/// # Errors
/// When the new place is no rebuild of the old lake, when the old one is damaged, or when a store does not
/// answer; the call may be repeated as it is.
pub async fn rebuild(options: &RebuildOptions) -> anyhow::Result<RebuildSummary> {
    check_places(options)?;
    let (old, new) = (options.old.as_ref(), options.new.as_ref());
    let Some(config) = LakeConfig::open(old, IDENTITY_VERSION).await? else {
        bail!(UsageError(format!("there is no lake in `{}`", old.base_uri())));
    };
    let old_log = Log::new(Arc::clone(&options.old));
    let mut old_ledger = old_log.load().await?;
    old_log.follow_done(&mut old_ledger).await?;
    if old_ledger.version() == 0 {
        bail!(UsageError(format!("the lake in `{}` is empty", old.base_uri())));
    }
    check_empty(new).await?;
    let there = LakeConfig::open(new, IDENTITY_VERSION).await?.map(|config| config.partition);
    let wanted = options.partition.or(there).unwrap_or(config.partition);
    let by = LakeConfig::open_or_create(new, Some(wanted), config.identity).await?.partition;
    let new_log = Log::new(Arc::clone(&options.new));
    let new_ledger = new_log.load().await?;
    let summary = RebuildSummary {
        partition: by.name(),
        partition_changed: by != config.partition,
        ..RebuildSummary::default()
    };
    let rebuild = Rebuild {
        options,
        old_log,
        old_ledger,
        history: History::default(),
        new_log,
        new_ledger,
        carry: Carry::default(),
        by,
        cell_by: longer(by, config.partition),
        run: random_id(),
        started_at: jiff::Timestamp::now().to_string(),
        summary,
    };
    Box::pin(rebuild.work()).await
}

/// Neither lake may lie in the other.
fn check_places(options: &RebuildOptions) -> anyhow::Result<()> {
    let (old, new) = (options.old.uri(""), options.new.uri(""));
    if old.starts_with(&new) || new.starts_with(&old) {
        bail!(UsageError(format!("`{old}` and `{new}` overlap; rebuild into a place of its own")));
    }
    Ok(())
}

/// A place without a lake must have no files where a lake's would be.
async fn check_empty(store: &dyn Store) -> anyhow::Result<()> {
    if LakeConfig::open(store, IDENTITY_VERSION).await?.is_some() {
        return Ok(());
    }
    for table in Table::ALL {
        let prefix = format!("{}/", table.name());
        if let Some(found) = store.list(&prefix).next().await {
            bail!(UsageError(format!(
                "`{}` is there already, and no lake is; give an empty place",
                store.uri(&found?.key)
            )));
        }
    }
    Ok(())
}

fn size(ledger: &Ledger) -> LakeSize {
    let totals = ledger.totals();
    LakeSize {
        findings: totals.findings,
        rejects: totals.rejects,
        files: totals.files,
        bytes: totals.bytes,
    }
}

impl Rebuild<'_> {
    async fn work(mut self) -> anyhow::Result<RebuildSummary> {
        loop {
            self.look().await?;
            let round = self.round().await;
            let before = self.new_ledger.version();
            match round {
                Ok(Step::Overtaken) => continue,
                Ok(Step::Done) => {}
                Err(error) => {
                    // Whoever takes the number deletes what was staged for it: then that is why.
                    catch_up(&self.new_log, &mut self.new_ledger).await?;
                    if self.new_ledger.version() == before || error.is::<UsageError>() {
                        return Err(error);
                    }
                    continue;
                }
            }
            let version = self.old_ledger.version();
            self.old_log.follow_done(&mut self.old_ledger).await?;
            if self.old_ledger.version() == version {
                return self.finish().await;
            }
        }
    }

    /// Brings what is known of both lakes up to date.
    async fn look(&mut self) -> anyhow::Result<()> {
        catch_up(&self.new_log, &mut self.new_ledger).await?;
        let version = self.old_ledger.version();
        self.history.read_on(&self.old_log, version, self.cell_by).await?;
        let lake = &self.history.lake;
        self.carry.read_on(&self.new_log, self.new_ledger.version(), lake, self.cell_by).await?;
        if let Some(DamagedFile { file, message }) = self.old_ledger.damaged().next() {
            bail!(
                "damaged lake: `{}` {message}; mend it with `healthtrail verify --repair` before it \
                 is rebuilt",
                self.old_store().uri(&file.key)
            );
        }
        Ok(())
    }

    /// Carries over what the new lake lacks of the old one's version.
    async fn round(&mut self) -> anyhow::Result<Step> {
        let tombstones = missing(self.old_ledger.tombstones(), self.new_ledger.tombstones());
        if !tombstones.is_empty() {
            // Before all rows and objects, so that nothing can bring back what they forbid.
            let batch = Batch { tombstones, ..Batch::default() };
            if self.commit(batch).await? == Step::Overtaken {
                return Ok(Step::Overtaken);
            }
        }
        if self.carry_parts().await? == Step::Overtaken {
            return Ok(Step::Overtaken);
        }
        self.carry_objects().await
    }

    async fn carry_parts(&mut self) -> anyhow::Result<Step> {
        let forgotten = self.forgotten();
        let cells = self.cells();
        let (mut done, of) = (0, cells.len() as u64);
        let mut batch = Batch::default();
        let mut bytes = 0;
        for (cell, plan) in cells {
            let staged = self.stage_cell(cell, plan, &forgotten).await?;
            bytes += staged.files.iter().map(|file| file.bytes).sum::<u64>();
            batch.files.extend(staged.files);
            batch.withdrawn.extend(staged.withdrawn);
            batch.merged_parts += staged.merged_parts;
            batch.cells.push(cell);
            done += 1;
            let is_full = batch.files.len() >= COMMIT_PARTS_MAX || bytes >= COMMIT_BYTES_MAX;
            if is_full || done == of {
                bytes = 0;
                if self.commit(std::mem::take(&mut batch)).await? == Step::Overtaken {
                    return Ok(Step::Overtaken);
                }
                let version = self.old_ledger.version();
                (self.options.told)(Told::Partitions { done, of, version });
            }
        }
        Ok(Step::Done)
    }

    fn settings(&self) -> anyhow::Result<Settings> {
        self.history.settings.context("the old lake has no commits")
    }

    async fn commit(&mut self, batch: Batch) -> anyhow::Result<Step> {
        let settings = self.settings()?;
        self.commit_under(batch, settings).await
    }

    async fn commit_under(&mut self, batch: Batch, settings: Settings) -> anyhow::Result<Step> {
        let carried = Carried {
            lake: self.history.lake.clone(),
            version: self.old_ledger.version(),
            partitions: batch.cells,
            objects: batch.up_to.unwrap_or(self.carry.objects),
        };
        let partitions = carried.partitions.len() as u64;
        let (written_parts, tombstones) = (batch.files.len() as u64, batch.tombstones.len() as u64);
        let objects = batch.objects.len() as u64;
        let draft = Draft {
            run: self.run.clone(),
            purpose: Purpose::Rebuild,
            reason: Some(format!("from {}", self.old_store().base_uri())),
            settings,
            started_at: self.started_at.clone(),
            committed_at: jiff::Timestamp::now().to_string(),
            objects: batch.objects,
            files: batch.files,
            withdrawn: batch.withdrawn,
            tombstones: batch.tombstones,
        };
        let version = self.new_ledger.version();
        match self.new_log.commit_carrying(draft, version, Some(carried)).await? {
            Drafted::Lost => return Ok(Step::Overtaken),
            Drafted::Won(..) => {}
            Drafted::Open(number, error) => {
                return Err(anyhow::Error::from(error).context(format!(
                    "commit {number} is recorded, but not published yet; run again to complete it"
                )));
            }
        }
        catch_up(&self.new_log, &mut self.new_ledger).await?;
        let lake = &self.history.lake;
        self.carry.read_on(&self.new_log, self.new_ledger.version(), lake, self.cell_by).await?;
        let summary = &mut self.summary;
        summary.commits += 1;
        summary.partitions += partitions;
        summary.merged_parts += batch.merged_parts;
        summary.written_parts += written_parts;
        summary.tombstones += tombstones;
        summary.objects += objects;
        Ok(Step::Done)
    }

    async fn finish(mut self) -> anyhow::Result<RebuildSummary> {
        self.new_log.checkpoint(&mut self.new_ledger).await?;
        self.new_log.sweep(self.new_ledger.version()).await?;
        let mut summary = self.summary;
        summary.old_version = self.old_ledger.version();
        summary.version = self.new_ledger.version();
        summary.old = size(&self.old_ledger);
        summary.new = size(&self.new_ledger);
        Ok(summary)
    }
}
