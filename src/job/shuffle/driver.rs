//! The driver of a run whose halves lie apart: plans waves, and writes the one record of each.
//!
//! In: the options of a run, and what came out of the second half. Out: tasks for the first, files of the lake
//! for the second, commits, and the same summary as of a run. A wave whose number another run has taken is
//! planned anew, less what that run consumed. Wrong is what is wrong with a run; a wave of which an object is
//! missing is a defect of the carrier, and nothing of it is committed. Memory: the plan, and the outcomes of
//! one wave.

use std::collections::{BTreeMap, HashSet};

use anyhow::{Context as _, bail};

use super::parcel::{Group, Kind, Parcel};
use super::reduce::part;
use super::task::{Context, Counts, End, Outcome, PROGRAM, TaskObject, parse};
use crate::job::commit::{Report, Settled, Staged};
use crate::job::conductor::Conductor;
use crate::job::options::RunOptions;
use crate::job::run::begin;
use crate::job::summary::Summary;
use crate::job::wave::Wave;
use crate::lake::layout::{Partition, Table};
use crate::lake::rejects::State;

/// Objects of a wave, unless `--wave-objects` says otherwise.
pub const WAVE_OBJECTS: usize = 100_000;
/// Objects of a task: each costs a request, and a task should not take an hour.
const TASK_OBJECTS_MAX: usize = 4_096;
/// How many bytes of rows a byte of an object as stored becomes, until the first wave has told: JSON that was
/// compressed ten times.
const ROWS_PER_STORED_BYTE: u64 = 10;
/// A partition is cut into so many slices at most.
const SLICE_BITS_MAX: u8 = 12;

/// What a driver hands to its carrier for one wave.
#[derive(Debug)]
pub struct WavePlan {
    /// What all tasks are told.
    pub context: Vec<u8>,
    /// The objects of each task.
    pub tasks: Vec<Vec<u8>>,
    /// The files of the lake, for the second half.
    pub files: Vec<Parcel>,
    /// How many groups there will be, about.
    pub groups: usize,
    /// How many objects.
    pub objects: usize,
    /// Their bytes as stored.
    pub bytes: u64,
    /// The commit that is aimed at.
    pub number: u64,
}

/// How a wave ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// Its rows are in the lake.
    Done,
    /// Another run has its number: plan again.
    Lost,
}

/// The driver of one run.
#[derive(Debug)]
pub struct Driver {
    conductor: Conductor,
    /// Where in the plan the next wave begins.
    next: usize,
    /// Places in the plan of the wave that is under way.
    wave: Vec<usize>,
    version: u64,
}

impl Driver {
    /// Opens the lake, and plans what it lacks.
    ///
    /// # Errors
    /// As of a run.
    pub async fn begin(options: &RunOptions) -> anyhow::Result<Self> {
        let conductor = begin(options).await?;
        Ok(Self { conductor, next: 0, wave: Vec::new(), version: 0 })
    }

    /// How many objects the lake lacks.
    pub fn objects_planned(&self) -> usize {
        self.conductor.committer.plan.len()
    }

    /// Plans the next wave, whose tasks read at most so many bytes as stored; `None` at the plan's end or past
    /// the deadline.
    ///
    /// # Errors
    /// Trouble of the lake's store.
    pub async fn next_wave(&mut self, task_bytes: u64) -> anyhow::Result<Option<WavePlan>> {
        if self.next > 0 && self.conductor.past_deadline() {
            return Ok(None);
        }
        let committer = &mut self.conductor.committer;
        committer.catch_up().await?;
        let objects_max = self.conductor.options.wave_objects.unwrap_or(WAVE_OBJECTS);
        let mut elsewhere = Vec::new();
        self.wave.clear();
        for index in self.next..committer.plan.len() {
            if self.wave.len() >= objects_max {
                break;
            }
            if committer.is_consumed_elsewhere(index) {
                elsewhere.push(index);
            } else {
                self.wave.push(index);
            }
        }
        if !elsewhere.is_empty() {
            // Told again where a wave is planned anew, so each counts once.
            let news = elsewhere.iter().filter(|index| !self.conductor.is_settled(**index)).count();
            let report =
                Report { consumed_elsewhere: news as u64, settled: elsewhere, ..Report::default() };
            self.conductor.take(report)?;
        }
        self.version = self.conductor.committer.ledger.version();
        if self.wave.is_empty() { Ok(None) } else { self.plan_wave(task_bytes).map(Some) }
    }

    fn plan_wave(&self, task_bytes: u64) -> anyhow::Result<WavePlan> {
        let committer = &self.conductor.committer;
        let reread = committer.reread(self.wave.iter().copied());
        let (mut tasks, mut task, mut held, mut bytes) = (Vec::new(), Vec::new(), 0, 0);
        let mut by_partition: BTreeMap<Partition, u64> = BTreeMap::new();
        for index in &self.wave {
            let planned = committer.plan.get(*index).context("a plan that has changed")?;
            let size = planned.meta.size;
            let is_full = task.len() >= TASK_OBJECTS_MAX || held + size > task_bytes;
            if is_full && !task.is_empty() {
                tasks.push(serde_json::to_vec(&(tasks.len(), std::mem::take(&mut task)))?);
                held = 0;
            }
            (held, bytes) = (held + size, bytes + size);
            let partition = Partition::of(planned.arrival.hour_ms, committer.partition);
            *by_partition.entry(partition).or_default() += size;
            task.push(TaskObject::of(*index, planned, reread.contains(index)));
        }
        tasks.push(serde_json::to_vec(&(tasks.len(), task))?);
        let groups = by_partition.len();
        let context = self.context(by_partition);
        let slices: u32 = context.slice_bits.keys().map(|one| context.slices(*one) - 1).sum();
        Ok(WavePlan {
            files: self.files(&context)?,
            context: serde_json::to_vec(&context)?,
            tasks,
            groups: 2 * groups + slices as usize,
            objects: self.wave.len(),
            bytes,
            number: self.version + 1,
        })
    }

    /// Rows arrive about when they are reported, so the bytes of a partition's objects tell how large it is.
    fn context(&self, by_partition: BTreeMap<Partition, u64>) -> Context {
        let committer = &self.conductor.committer;
        let piece = committer.budget.piece_bytes as u64;
        let read = self.conductor.summary.bytes;
        let rows_per_byte =
            read.decompressed.checked_div(read.compressed).map_or(ROWS_PER_STORED_BYTE, |r| r + 1);
        let bits = |bytes: u64| {
            let slices = (bytes.saturating_mul(rows_per_byte) / piece.max(1)).max(1);
            u8::try_from(slices.next_power_of_two().trailing_zeros()).unwrap_or(SLICE_BITS_MAX)
        };
        let bits = by_partition.into_iter().map(|(one, bytes)| (one, bits(bytes)));
        let archives = committer.archives.iter();
        Context {
            program: PROGRAM.to_owned(),
            version: self.version,
            run: committer.run.clone(),
            partition: committer.partition,
            settings: committer.settings,
            archives: archives
                .map(|archive| (archive.store.base_uri().to_owned(), archive.prefix.clone()))
                .collect(),
            lake: committer.lake.base_uri().to_owned(),
            tombstones: committer.ledger.tombstones().iter().cloned().collect(),
            slice_bits: bits
                .map(|(one, bits)| (one, bits.min(SLICE_BITS_MAX)))
                .filter(|(_, bits)| *bits > 0)
                .collect(),
        }
    }

    /// What the lake has: each partition's files go to each of its slices.
    fn files(&self, context: &Context) -> anyhow::Result<Vec<Parcel>> {
        let mut parcels = Vec::new();
        for ((table, partition), files) in self.conductor.committer.ledger.partitions() {
            let payload = serde_json::to_vec(&files)?;
            let slices = if table == Table::Findings { context.slices(partition) } else { 1 };
            parcels.extend((0..slices).map(|slice| Parcel {
                group: Group { table, partition, slice },
                kind: Kind::Files,
                ordinal: 0,
                payload: payload.clone(),
            }));
        }
        Ok(parcels)
    }

    /// Commits the wave whose tasks are all done, from what they say: payloads with their kinds.
    ///
    /// # Errors
    /// Trouble of the lake's store, or when something of the wave is missing.
    pub async fn commit<P: AsRef<[u8]>>(
        &mut self,
        told: Vec<(Kind, P)>,
    ) -> anyhow::Result<Committed> {
        let (mut wave, mut staged) = (Wave::default(), Staged::at(self.version));
        let mut report = Report::default();
        for (kind, payload) in &told {
            let payload = payload.as_ref();
            match kind {
                Kind::Part => staged.files.push(part(payload)?),
                Kind::Objects => {
                    for one in parse::<Vec<Outcome>>(payload)? {
                        match one.end {
                            End::Read(tally) => wave.finished.push((one.index, *tally)),
                            End::Failed(why) => wave.failed.push((one.index, why.into())),
                        }
                    }
                }
                Kind::Counts => count(parse(payload)?, &mut staged, &mut report),
                Kind::Files | Kind::Rows | Kind::Rejects => {
                    bail!("what comes back of a wave has a parcel of {kind:?}")
                }
            }
        }
        self.check_whole(&wave)?;
        wave.finished.sort_unstable_by_key(|(index, _)| *index);
        wave.failed.sort_unstable_by_key(|(index, _)| *index);
        staged.files.sort_by(|one, two| (one.table, &one.key).cmp(&(two.table, &two.key)));
        match self.conductor.committer.commit_staged(wave, staged, report).await? {
            Settled::Done(report) => {
                self.conductor.take(*report)?;
                self.next = self.wave.last().map_or(self.next, |last| last + 1);
                Ok(Committed::Done)
            }
            Settled::Replan => Ok(Committed::Lost),
        }
    }

    /// Each object of the wave must be told of once.
    fn check_whole(&self, wave: &Wave) -> anyhow::Result<()> {
        let finished = wave.finished.iter().map(|(index, _)| *index);
        let told: Vec<usize> =
            finished.chain(wave.failed.iter().map(|(index, _)| *index)).collect();
        let wanted: HashSet<usize> = self.wave.iter().copied().collect();
        let once: HashSet<usize> = told.iter().copied().collect();
        if told.len() == wanted.len() && once == wanted {
            return Ok(());
        }
        bail!(
            "of {} objects of the wave {} were told of, so nothing of it is committed; run again",
            wanted.len(),
            told.len()
        )
    }

    /// Tidies up, checks the sums, and ends the run.
    ///
    /// # Errors
    /// As of a run.
    pub async fn finish(self) -> anyhow::Result<Summary> {
        self.conductor.finish().await
    }
}

fn count(counts: Counts, staged: &mut Staged, report: &mut Report) {
    staged.duplicates += counts.duplicates;
    staged.rejects_known += counts.rejects_known;
    for (state, count) in counts.states {
        *staged.states.entry(State::parse(&state).name()).or_default() += count;
    }
    report.forgotten.rows += counts.forgotten_rows;
    report.forgotten.rejects += counts.forgotten_rejects;
}
