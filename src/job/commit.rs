//! How a wave becomes a commit.
//!
//! In: a [`Wave`]. Out: a commit in the lake's log with its files published, and what it added. The
//! steps and the rules by which runs race are those of [`crate::lake::log`]; here they are put in
//! order: catch up, drop what others consumed, compare with the lake, encode, stage, record,
//! publish. Whoever loses a number does it again with what the winner left, without reading an
//! object twice. Memory: one encoder's row group for each of [`Budget::encoders`], and the encoded
//! parts that wait to be staged.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use futures::{StreamExt as _, TryStreamExt as _};
use rayon::ThreadPool;
use tokio::sync::Semaphore;
use tokio::task::block_in_place;

use crate::finding::tally::Tally;
use crate::job::budget::{Budget, threads};
use crate::job::forgotten::ForgottenCounts;
use crate::job::options::{RunOptions, budget};
use crate::job::panics;
use crate::job::plan::{Archive, Planned};
use crate::job::wave::Wave;
use crate::lake::dedupe::{self, PartitionRows, Pick};
use crate::lake::ids::IdSet;
use crate::lake::layout::{Partition, PartitionBy, Table};
use crate::lake::ledger::{Ledger, LedgerFile, Status};
use crate::lake::log::{Log, random_id};
use crate::lake::part::{self, EncodedPart};
use crate::lake::part_gather::Batches;
use crate::lake::part_ids::known_ids;
use crate::lake::record::{FailedObject, FileRecord, Settings};
use crate::lake::reject_states::{By, States};
use crate::store::Store;
use crate::store::fail_point::{self, FailPoint};

/// What commits need to know, and the ledger that they move on.
#[derive(Debug)]
pub(crate) struct Committer {
    pub(crate) lake: Arc<dyn Store>,
    pub(crate) log: Log,
    pub(crate) ledger: Ledger,
    pub(crate) again: Option<Again>,
    /// Which objects of the plan the lake may have rejects of, where the ledger at hand is of one partition
    /// alone and cannot tell.
    pub(crate) reread: Option<HashSet<usize>>,
    pub(crate) partition: PartitionBy,
    pub(crate) settings: Settings,
    /// Who gives rejects their state.
    pub(crate) state_by: By,
    /// Rejects are written without their bytes.
    pub(crate) redact: bool,
    pub(crate) run: String,
    pub(crate) started_at: String,
    pub(crate) pool: Arc<ThreadPool>,
    pub(crate) budget: Budget,
    pub(crate) archives: Arc<[Archive]>,
    pub(crate) plan: Arc<[Planned]>,
}

/// What is different when the plan holds objects that the lake has already, on purpose.
#[derive(Debug, Default)]
pub(crate) struct Again {
    /// Whether to record that objects were read even when nothing came of it.
    pub(crate) record_unchanged: bool,
    /// Objects of which there is only what rejects had kept, and the offsets of these documents: the
    /// rest of such an object stays as it is.
    pub(crate) salvaged: HashMap<usize, HashSet<u64>>,
}

/// Files staged for a commit that does not exist yet, and what was found on the way to them.
#[derive(Debug, Default)]
pub(crate) struct Staged {
    /// The version that they were compared with; their commit is the next one.
    pub(super) version: u64,
    pub(super) files: Vec<FileRecord>,
    /// Row ids in them, when more of the same wave follows.
    row_ids: IdSet,
    pub(super) duplicates: u64,
    pub(super) rejects_known: u64,
    /// Rows for the rejects table, by state.
    pub(super) states: BTreeMap<&'static str, u64>,
}

/// What a commit added.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Places in the plan that are settled now, one way or another.
    pub(crate) settled: Vec<usize>,
    /// What the bytes of the objects became.
    pub(crate) consumed: Vec<Tally>,
    /// Objects that another run consumed meanwhile.
    pub(crate) consumed_elsewhere: u64,
    /// Objects that failed, with whether they did so before.
    pub(crate) failed: Vec<(FailedObject, bool)>,
    /// Rows that were there already.
    pub(crate) duplicates: u64,
    /// Rejects that were there already.
    pub(crate) rejects_known: u64,
    /// Rows of the rejects table, by state.
    pub(crate) states: BTreeMap<&'static str, u64>,
    /// Rows and rejects that may not come into the lake.
    pub(crate) forgotten: ForgottenCounts,
    /// The record's files.
    pub(crate) files: Vec<FileRecord>,
    /// Whether there was anything to record.
    pub(crate) committed: bool,
    /// How long files were visible while others of the commit were not.
    pub(crate) publish_ms: u64,
    /// Seconds spent comparing, staging, publishing.
    pub(crate) seconds: [f64; 3],
}

/// How an attempt to commit ended.
#[derive(Debug)]
pub(crate) enum Settled {
    /// In the lake.
    Done(Box<Report>),
    /// Pieces of the wave were staged early, and another run took the number they were compared
    /// for: the wave has to be read again.
    Replan,
}

impl Staged {
    /// Nothing yet, for the commit after `version`.
    pub(crate) fn at(version: u64) -> Self {
        Self { version, ..Self::default() }
    }

    /// Whether nothing of the wave was given up yet. Rows that the lake had already make no file, but
    /// they are counted here and no longer held.
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.row_ids.is_empty() && self.rejects_known == 0
    }
}

/// Folds what other runs have committed, and tells the log's reader of what was found on the way.
pub(crate) async fn catch_up(log: &Log, ledger: &mut Ledger) -> anyhow::Result<()> {
    let caught = log.catch_up(ledger).await?;
    if let Some(number) = caught.rolled_forward {
        tracing::info!("commit {number} was left open by another run and is complete now");
    }
    for note in caught.notes {
        tracing::warn!("{note}");
    }
    Ok(())
}

impl Committer {
    /// A committer of this plan, for a lake whose log is folded up to now.
    pub(crate) fn new(
        options: &RunOptions,
        log: Log,
        mut ledger: Ledger,
        partition: PartitionBy,
        settings: Settings,
        plan: Arc<[Planned]>,
    ) -> anyhow::Result<Self> {
        let threads = threads(options.memory_bytes, options.threads);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        let run = random_id();
        ledger.watch(&run);
        Ok(Self {
            lake: Arc::clone(log.store()),
            log,
            ledger,
            again: None,
            reread: None,
            partition,
            settings,
            state_by: By::of(&settings),
            redact: options.redact,
            run,
            started_at: jiff::Timestamp::now().to_string(),
            pool: Arc::new(pool),
            budget: budget(options),
            archives: options.archives.clone().into(),
            plan,
        })
    }

    pub(super) async fn catch_up(&mut self) -> anyhow::Result<()> {
        catch_up(&self.log, &mut self.ledger).await
    }

    /// Stages what the wave holds so far, so that its memory is free for the rest of a large object.
    /// `false` means that another run has committed since the first piece: read the wave again.
    pub(crate) async fn stage_piece(
        &mut self,
        wave: &mut Wave,
        staged: &mut Staged,
    ) -> anyhow::Result<bool> {
        self.catch_up().await?;
        if !staged.is_empty() && staged.version != self.ledger.version() {
            return Ok(false);
        }
        staged.version = self.ledger.version();
        wave.forget(self.ledger.tombstones())?;
        // What others consumed before the first piece is counted by nobody, neither now nor at the end,
        // when the wave drops these objects.
        let consumed: HashSet<usize> =
            wave.objects_held().filter(|index| self.is_consumed_elsewhere(*index)).collect();
        wave.drop_rejects(&consumed);
        if let Err(error) = self.stage_held(wave, staged, &consumed).await {
            self.unless_withdrawn(staged.version, error).await?;
            return Ok(false);
        }
        Ok(true)
    }

    /// Stages what the wave holds and that is not of `consumed` objects, and gives up its memory.
    pub(crate) async fn stage_held(
        &self,
        wave: &mut Wave,
        staged: &mut Staged,
        consumed: &HashSet<usize>,
    ) -> anyhow::Result<()> {
        let mut known = Known::default();
        known.in_pieces(staged);
        let mut report = Report::default();
        let dropped: HashSet<usize> = wave.broken.union(consumed).copied().collect();
        self.compare_and_stage(wave, staged, &mut known, &dropped, &mut report, false).await?;
        staged.row_ids.extend(wave.row_ids());
        let reread = self.reread(wave.owners().all());
        wave.release(&reread, &known.rows);
        Ok(())
    }

    /// Stages the rest of a wave whose objects are all read, on top of the pieces of it in `staged`.
    pub(crate) async fn stage_end(&self, wave: &Wave, staged: &mut Staged) -> anyhow::Result<()> {
        let mut known = Known::default();
        known.in_pieces(staged);
        let (dropped, mut report) = (HashSet::new(), Report::default());
        self.compare_and_stage(wave, staged, &mut known, &dropped, &mut report, true).await
    }

    /// Commits what was staged elsewhere of a wave's objects, all of it compared with `staged.version`.
    pub(crate) async fn commit_staged(
        &mut self,
        wave: Wave,
        staged: Staged,
        mut report: Report,
    ) -> anyhow::Result<Settled> {
        self.catch_up().await?;
        let is_current = staged.version == self.ledger.version();
        if !is_current || !self.record(&wave, &staged, &mut report).await? {
            return Ok(Settled::Replan);
        }
        Ok(done(wave, staged, report))
    }

    /// Commits the wave, on top of whatever other runs commit meanwhile.
    pub(crate) async fn commit(
        &mut self,
        mut wave: Wave,
        pieces: Staged,
    ) -> anyhow::Result<Settled> {
        let mut report = Report::default();
        let mut known = Known { dropped: wave.broken.clone(), ..Known::default() };
        loop {
            self.catch_up().await?;
            if !pieces.is_empty() && pieces.version != self.ledger.version() {
                return Ok(Settled::Replan);
            }
            if self.ledger.last_withdrawal() > known.version {
                // What was seen in a file that is no longer there is not known to be in the lake.
                known = Known { dropped: known.dropped, ..Known::default() };
            }
            wave.forget(self.ledger.tombstones())?;
            let consumed = self.consumed_elsewhere(&wave);
            // Their rows stay in the batches, but are left out of every selection from now on.
            known.dropped.extend(consumed.iter().copied());
            report.consumed_elsewhere += consumed.len() as u64;
            report.settled.extend(consumed.iter().copied());
            wave.drop_objects(&consumed);
            let mut staged = Staged { version: self.ledger.version(), ..Staged::default() };
            staged.files.clone_from(&pieces.files);
            (staged.duplicates, staged.rejects_known) = (pieces.duplicates, pieces.rejects_known);
            staged.states.clone_from(&pieces.states);
            let dropped = known.dropped.clone();
            known.in_pieces(&pieces);
            let known = &mut known;
            let compared =
                self.compare_and_stage(&wave, &mut staged, known, &dropped, &mut report, true);
            if let Err(error) = compared.await {
                self.unless_withdrawn(staged.version, error).await?;
                continue;
            }
            if self.record(&wave, &staged, &mut report).await? {
                report.forgotten = wave.forgotten();
                return Ok(done(wave, staged, report));
            }
        }
    }

    /// A file may be taken out of the lake while it is read: then that is why, and not damage.
    pub(super) async fn unless_withdrawn(
        &mut self,
        version: u64,
        error: anyhow::Error,
    ) -> anyhow::Result<()> {
        self.catch_up().await?;
        if self.ledger.last_withdrawal() > version { Ok(()) } else { Err(error) }
    }

    /// Objects of the wave that are in the lake by another run's commit.
    fn consumed_elsewhere(&self, wave: &Wave) -> HashSet<usize> {
        let finished = wave.finished.iter().map(|(index, _)| *index);
        let failed = wave.failed.iter().map(|(index, _)| *index);
        finished.chain(failed).filter(|index| self.is_consumed_elsewhere(*index)).collect()
    }

    /// What another has done meanwhile with an object that is read again on purpose is told by its rows
    /// and rejects themselves.
    pub(super) fn is_consumed_elsewhere(&self, index: usize) -> bool {
        self.again.is_none() && self.status(index) == Status::Consumed
    }

    pub(super) fn status(&self, index: usize) -> Status<'_> {
        let Some(planned) = self.plan.get(index) else { return Status::Unknown };
        let Some(archive) = self.archives.get(planned.archive) else { return Status::Unknown };
        let meta = &planned.meta;
        let base = archive.store.base_uri();
        self.ledger.status(base, &meta.key, &meta.etag, meta.last_modified_ms, &self.settings)
    }

    /// Compares the wave with the lake, and stages what is new. `is_end` says that all of the wave is
    /// here or staged, so that what its objects no longer hold can be told.
    async fn compare_and_stage(
        &self,
        wave: &Wave,
        staged: &mut Staged,
        known: &mut Known,
        dropped: &HashSet<usize>,
        report: &mut Report,
        is_end: bool,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        let owners = wave.owners();
        let is_dropped = |pick: Pick| owners.of(pick).is_some_and(|owner| dropped.contains(&owner));
        let gathered = block_in_place(|| dedupe::Wave::gather(&wave.batches, &is_dropped));
        let partitions = block_in_place(|| gathered.partitions(self.partition));
        let contains = |id: u128| gathered.contains(id);
        self.compare(Table::Findings, &partitions, known.version, &contains, &mut known.rows)
            .await?;
        let selection = block_in_place(|| gathered.select(&known.rows, self.partition));
        staged.duplicates += selection.duplicates_in_wave + selection.duplicates_in_lake;

        let reread = if is_end { self.reread_objects(wave) } else { HashMap::new() };
        self.compare_rejects(wave, &reread, known).await?;
        known.version = staged.version;
        let [compare, stage, _] = &mut report.seconds;
        *compare += begun.elapsed().as_secs_f64();

        let begun = Instant::now();
        let batches = Arc::new(Batches::new(wave.batches.iter().map(|rows| rows.batch.clone())));
        self.stage_findings(selection.partitions, batches, staged).await?;
        self.stage_rejects(wave, &reread, known, staged).await?;
        *stage += begun.elapsed().as_secs_f64();
        Ok(())
    }

    /// Streams the ids of the files that these partitions have got since `after` past the wave.
    async fn compare(
        &self,
        table: Table,
        partitions: &[Partition],
        after: u64,
        contains: &(dyn Fn(u128) -> bool + Sync),
        known: &mut IdSet,
    ) -> anyhow::Result<()> {
        let mut files: Vec<&LedgerFile> = Vec::new();
        for partition in partitions {
            self.ledger.check(table, *partition)?;
            files.extend(self.ledger.files(table, *partition, after));
        }
        let concurrency = self.budget.encoders * 2;
        known.extend(known_ids(self.lake.as_ref(), table, &files, concurrency, contains).await?);
        Ok(())
    }

    async fn stage_findings(
        &self,
        partitions: Vec<PartitionRows>,
        batches: Arc<Batches>,
        staged: &mut Staged,
    ) -> anyhow::Result<()> {
        let jobs = partitions.into_iter().flat_map(|PartitionRows { partition, picks }| {
            let picks: Arc<[Pick]> = picks.into();
            let ranges = part::split(&batches, &picks);
            ranges.into_iter().map(move |range| (partition, Arc::clone(&picks), range))
        });
        let encoding = Semaphore::new(self.budget.encoders);
        let encoded = jobs.map(|(partition, picks, range)| {
            let batches = Arc::clone(&batches);
            let encode = move || {
                let picks = picks.get(range).unwrap_or_default();
                part::encode_rows(Table::Findings, &batches, picks).map_err(anyhow::Error::from)
            };
            self.stage(partition, encode, staged.version + 1, &encoding)
        });
        let most = self.budget.encoders + self.budget.parts_waiting;
        let files = futures::stream::iter(encoded).buffered(most).try_collect::<Vec<_>>().await?;
        staged.files.extend(files);
        Ok(())
    }

    /// Encodes, when its turn has come, and puts the part into the staging of commit `number`, while the
    /// next may be encoded.
    async fn stage(
        &self,
        partition: Partition,
        encode: impl FnOnce() -> anyhow::Result<EncodedPart> + Send + 'static,
        number: u64,
        encoding: &Semaphore,
    ) -> anyhow::Result<FileRecord> {
        let turn = encoding.acquire().await?;
        let part = self.encode(partition, encode).await?;
        drop(turn);
        Ok(self.log.stage_part(number, &self.run, Table::Findings, partition, &part).await?)
    }

    /// Encodes on a rayon thread.
    async fn encode(
        &self,
        partition: Partition,
        encode: impl FnOnce() -> anyhow::Result<EncodedPart> + Send + 'static,
    ) -> anyhow::Result<EncodedPart> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        self.pool.spawn(move || {
            let run = std::panic::AssertUnwindSafe(|| {
                fail_point::reach(FailPoint::Encoding);
                encode()
            });
            // Nobody waits any more when the run has ended.
            drop(sender.send(std::panic::catch_unwind(run)));
        });
        let part = receiver
            .await?
            .map_err(|panic| panics::error(&format!("encoding partition {partition}"), &panic))??;
        Ok(part)
    }
}

/// What became of a wave that is recorded.
fn done(wave: Wave, staged: Staged, mut report: Report) -> Settled {
    let settled = wave.finished.iter().map(|(index, _)| *index);
    report.settled.extend(settled.chain(wave.failed.iter().map(|(index, _)| *index)));
    report.consumed = wave.finished.into_iter().map(|(_, tally)| tally).collect();
    (report.duplicates, report.rejects_known) = (staged.duplicates, staged.rejects_known);
    report.states = staged.states;
    Settled::Done(Box::new(report))
}

/// What of a wave the lake is known to have, up to a version, over all attempts to commit it.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(super) version: u64,
    pub(super) rows: IdSet,
    pub(super) rejects: States,
    dropped: HashSet<usize>,
}

impl Known {
    fn in_pieces(&mut self, pieces: &Staged) {
        self.rows.extend(pieces.row_ids.iter().copied());
    }
}
