//! Moves a run from wave to wave.
//!
//! In: a [`Committer`] with its plan. Out: commits, and the [`Summary`]. What is read goes into the open
//! wave, in plan order; a full wave is committed; a wave that cannot be used as it was read (another
//! run took the number its pieces were staged for, or an object broke off after some of it was
//! staged) is read again. Memory: the open wave, and what [`Reading`] holds ahead.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use anyhow::anyhow;

use crate::archive::read::{self, ReadOptions};
use crate::job::commit::{Committer, Report, Settled, Staged};
use crate::job::options::RunOptions;
use crate::job::plan::chunks;
use crate::job::progress::Progress;
use crate::job::reading::{ChunkRows, Reading, ReadingContext};
use crate::job::salvage::Salvage;
use crate::job::summary::{FAILED_OBJECTS_MAX, FailedObject, Summary};
use crate::job::wave::Wave;
use crate::job::{lag, memory};
use crate::lake::error::{LakeError, LakeResult};
use crate::lake::layout::Table;
use crate::store::StoreError;
use crate::store::StoreErrorKind::Unavailable;

/// So many objects in a row without an answer from their store end the run: each of them took all its
/// retries, and a million more would take weeks.
pub(super) const UNANSWERED_MAX: usize = 64;

/// Moves a run from wave to wave.
#[derive(Debug)]
pub(super) struct Conductor {
    pub(super) options: RunOptions,
    pub(super) begun: Instant,
    pub(super) committer: Committer,
    pub(super) summary: Summary,
    /// For each place in the plan whether its object is settled.
    settled: Vec<bool>,
    /// How many were left of plans before this one.
    left: u64,
    /// Chunks of a wave that has to be read again.
    again: VecDeque<Vec<usize>>,
    /// Objects that broke off after pieces of theirs were staged: not tried again in this run.
    broken: HashMap<usize, StoreError>,
    /// How many objects in a row were not answered for.
    unanswered: usize,
}

/// What is read and not committed yet.
#[derive(Default)]
struct Open {
    wave: Wave,
    /// What was staged early of it.
    staged: Staged,
    /// Its chunks, by their places in the plan.
    chunks: Vec<Vec<usize>>,
}

impl Conductor {
    /// A conductor of the committer's plan.
    pub(super) fn new(
        options: &RunOptions,
        begun: Instant,
        committer: Committer,
        summary: Summary,
    ) -> Self {
        let settled = vec![false; committer.plan.len()];
        let (again, broken) = (VecDeque::new(), HashMap::new());
        let (left, unanswered, options) = (0, 0, options.clone());
        Self { options, begun, committer, summary, settled, left, again, broken, unanswered }
    }

    /// Takes another plan, when the first was read: what rejects have kept of objects that are gone.
    pub(super) fn replan(&mut self, salvage: Salvage) {
        self.left += self.unsettled();
        self.summary.objects.listed += salvage.plan.len() as u64;
        self.settled = vec![false; salvage.plan.len()];
        self.again.clear();
        self.broken.clear();
        self.committer.archives = salvage.archives.into();
        self.committer.plan = salvage.plan.into();
        if let Some(again) = &mut self.committer.again {
            again.salvaged = salvage.offsets;
        }
    }

    /// Whether an object of the plan is settled.
    pub(super) fn is_settled(&self, index: usize) -> bool {
        self.settled.get(index).is_some_and(|settled| *settled)
    }

    fn unsettled(&self) -> u64 {
        self.settled.iter().filter(|settled| !**settled).count() as u64
    }

    /// Reads the plan to its end or to the deadline.
    pub(super) async fn waves(&mut self) -> anyhow::Result<()> {
        let plan = Arc::clone(&self.committer.plan);
        let chunks = chunks(&plan, &self.committer.budget, self.options.wave_objects);
        let mut reading = Reading::start(self.reading_context(), &plan, &chunks);
        let mut open = Open::default();
        loop {
            let Some(chunk) = self.next(&mut reading).await? else {
                if open.wave.is_empty() {
                    return Ok(());
                }
                // It may have to be read again, so this need not be the end.
                self.commit(std::mem::take(&mut open)).await?;
                continue;
            };
            let silence = self.silence(&chunk);
            if !self.take_chunk(&reading, &mut open, chunk).await? {
                self.read_again(std::mem::take(&mut open));
            } else if self.is_full(&open.wave) {
                self.commit(std::mem::take(&mut open)).await?;
                if self.past_deadline() {
                    return Ok(());
                }
            }
            if let Some(error) = silence {
                // What was read before is kept.
                if !open.wave.is_empty() {
                    self.commit(open).await?;
                }
                return Err(error);
            }
        }
    }

    /// The run's end, when a store no longer answers for its objects.
    fn silence(&mut self, chunk: &ChunkRows) -> Option<anyhow::Error> {
        let unanswered = |(_, error): &&(usize, StoreError)| error.kind == Unavailable;
        if chunk.failed.iter().all(|failed| !unanswered(&failed)) || !chunk.finished.is_empty() {
            self.unanswered = 0;
            return None;
        }
        self.unanswered += chunk.failed.iter().filter(unanswered).count();
        if self.unanswered < UNANSWERED_MAX {
            return None;
        }
        let (_, last) = chunk.failed.iter().rfind(unanswered)?;
        Some(anyhow::Error::from(last.clone()).context(format!(
            "the last {} objects in a row had no answer, so the run ends here; what was read before is \
             committed; run again when the store answers",
            self.unanswered
        )))
    }

    /// Reads a chunk to its end into the open wave. What is more than a wave may hold is sorted and
    /// staged in pieces. `false` means that the pieces are of no use: read the wave again.
    async fn take_chunk(
        &mut self,
        reading: &Reading,
        open: &mut Open,
        mut chunk: ChunkRows,
    ) -> anyhow::Result<bool> {
        open.chunks.push(chunk.objects.clone());
        loop {
            let rest = chunk.rest.take();
            if chunk.broke_off {
                if !open.staged.is_empty() {
                    self.broken.extend(chunk.failed);
                    return Ok(false);
                }
                open.wave.break_off(chunk.failed.iter().map(|(index, _)| *index));
            }
            open.wave.add(chunk, &self.committer.archives, &self.committer.plan);
            let Some(rest) = rest else { return Ok(true) };
            if open.wave.bytes >= self.committer.budget.piece_bytes
                && !self.committer.stage_piece(&mut open.wave, &mut open.staged).await?
            {
                return Ok(false);
            }
            chunk = reading.resume(rest).await?;
            self.show(&chunk);
        }
    }

    /// Puts the chunks of a wave in front of all others, but for what cannot be read.
    fn read_again(&mut self, open: Open) {
        for chunk in open.chunks.into_iter().rev() {
            self.again.push_front(chunk);
        }
    }

    fn reading_context(&self) -> ReadingContext {
        let read = ReadOptions {
            products: self.committer.settings.products,
            object_bytes_max: self.options.object_bytes_max,
            document_bytes_max: self.committer.budget.document_bytes,
            counts: self.options.counts,
        };
        ReadingContext {
            archives: Arc::clone(&self.committer.archives),
            options: Arc::new(read),
            budget: self.committer.budget,
            fetches: self.options.fetches,
            pool: Arc::clone(&self.committer.pool),
        }
    }

    async fn next(&mut self, reading: &mut Reading) -> anyhow::Result<Option<ChunkRows>> {
        let waiting = Instant::now();
        let chunk = match self.again.pop_front() {
            Some(objects) => Some(self.read_chunk_again(reading, objects).await?),
            None => reading.next().await?,
        };
        self.summary.seconds.read += waiting.elapsed().as_secs_f64();
        if let Some(chunk) = &chunk {
            self.show(chunk);
        }
        Ok(chunk)
    }

    async fn read_chunk_again(
        &self,
        reading: &Reading,
        objects: Vec<usize>,
    ) -> anyhow::Result<ChunkRows> {
        let plan = &self.committer.plan;
        let (broken, whole): (Vec<usize>, Vec<usize>) =
            objects.iter().partition(|index| self.broken.contains_key(index));
        let planned = whole.iter().filter_map(|index| Some((*index, plan.get(*index)?.clone())));
        let mut chunk = reading.again(planned.collect()).await?;
        let failed =
            broken.iter().filter_map(|index| Some((*index, self.broken.get(index)?.clone())));
        chunk.failed.extend(failed);
        chunk.objects = objects;
        Ok(chunk)
    }

    fn show(&self, chunk: &ChunkRows) {
        let progress = &self.options.progress;
        let read = chunk.finished.iter().map(|(index, _)| *index);
        let failed = chunk.failed.iter().map(|(index, _)| *index);
        let ended: Vec<usize> = read.chain(failed).collect();
        let size =
            |index: &usize| self.committer.plan.get(*index).map_or(0, |planned| planned.meta.size);
        Progress::add(&progress.objects_read, ended.len() as u64);
        Progress::add(&progress.bytes_read, ended.iter().map(size).sum());
        Progress::add(&progress.rows_read, chunk.rows.keys.len() as u64);
    }

    /// Where a wave ends depends on what its objects hold, in plan order, and on nothing else.
    fn is_full(&self, wave: &Wave) -> bool {
        wave.bytes + wave.released_bytes >= self.committer.budget.wave_bytes
            || self.options.wave_objects.is_some_and(|most| wave.objects() >= most)
    }

    pub(super) fn past_deadline(&mut self) -> bool {
        let past = self.options.deadline.is_some_and(|deadline| self.begun.elapsed() >= deadline);
        self.summary.deadline_reached |= past;
        past
    }

    async fn commit(&mut self, open: Open) -> anyhow::Result<()> {
        let Open { wave, staged, chunks } = open;
        match self.committer.commit(wave, staged).await? {
            Settled::Done(report) => self.take(*report),
            Settled::Replan => {
                self.read_again(Open { chunks, ..Open::default() });
                Ok(())
            }
        }
    }

    /// Adds a commit to the summary.
    pub(super) fn take(&mut self, report: Report) -> anyhow::Result<()> {
        let summary = &mut self.summary;
        for tally in &report.consumed {
            read::check(tally)
                .map_err(|broken| anyhow!("sums of an object differ, a defect: {broken}"))?;
            summary.add_tally(tally);
        }
        for index in &report.settled {
            if let Some(settled) = self.settled.get_mut(*index) {
                *settled = true;
            }
        }
        summary.objects.read += report.consumed.len() as u64;
        summary.objects.in_ledger += report.consumed_elsewhere;
        summary.objects.failed += report.failed.len() as u64;
        for (failed, still_failing) in report.failed {
            summary.objects.still_failing += u64::from(still_failing);
            if summary.failed_objects.len() < FAILED_OBJECTS_MAX {
                let object = format!("{}/{}", failed.archive, failed.key);
                let (kind, message) = (failed.kind, failed.message);
                summary.failed_objects.push(FailedObject { object, kind, message, still_failing });
            }
        }
        summary.findings.duplicates += report.duplicates;
        summary.rejects_known += report.rejects_known;
        for (state, count) in report.states {
            *summary.rejects_by_state.entry(state).or_default() += count;
        }
        summary.findings.forgotten += report.forgotten.rows;
        summary.rejects_forgotten += report.forgotten.rejects;
        for file in &report.files {
            if file.table == Table::Findings {
                summary.findings.added += file.rows;
            }
            summary.parts.written += 1;
            summary.parts.bytes += file.bytes;
        }
        summary.commits += u64::from(report.committed);
        Progress::add(&self.options.progress.commits, u64::from(report.committed));
        summary.publish_ms = summary.publish_ms.max(report.publish_ms);
        let [dedupe, stage, publish] = report.seconds;
        summary.seconds.dedupe += dedupe;
        summary.seconds.stage += stage;
        summary.seconds.publish += publish;
        Ok(())
    }

    /// Tidies up, checks the sums, and ends the run.
    pub(super) async fn finish(mut self) -> anyhow::Result<Summary> {
        let left = self.left + self.unsettled();
        let committer = &mut self.committer;
        // All is in the lake by now, and the next run does both.
        passing(
            committer.log.checkpoint(&mut committer.ledger).await,
            "a checkpoint is not written",
        )?;
        let swept = committer.log.sweep(committer.ledger.version()).await;
        passing(swept, "what is staged of finished commits is not deleted")?;
        let summary = &mut self.summary;
        summary.objects.left += left;
        summary.deadline_reached &= left > 0;
        summary.version = committer.ledger.version();
        let stores = self.options.archives.iter().map(|archive| archive.store.retries());
        summary.retries = stores.sum::<u64>() + committer.lake.retries();
        summary.peak_memory_bytes = memory::peak_bytes();
        summary.lag_seconds = lag::seconds(&committer.ledger, &self.options);
        summary.seconds.total = self.begun.elapsed().as_secs_f64();
        summary.check().map_err(|broken| {
            anyhow!(
                "the sums of this run do not hold, which is a defect of healthtrail: {}",
                broken.join("; ")
            )
        })?;
        Ok(self.summary)
    }
}

/// Trouble of the store with what is only tidied up is a warning.
fn passing<T>(tidied: LakeResult<T>, what: &str) -> LakeResult<()> {
    match tidied {
        Err(LakeError::Store(error)) => tracing::warn!("{what}; the next run does it: {error}"),
        Err(error) => return Err(error),
        Ok(_) => {}
    }
    Ok(())
}
