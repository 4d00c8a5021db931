//! The first half of a run: objects to rows by group.
//!
//! In: the objects of one task, and the archives. Out: parcels of rows and rejects for their groups, what
//! became of each object, and counts. An object that cannot be read is an outcome; one that breaks off after
//! rows of it were handed over fails the task, since nobody could take them back, and the carrier does the
//! task again. Memory: that of a wave, less its parts, and one payload.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use anyhow::anyhow;

use super::parcel::{Group, Kind, Parcel};
use super::payload::{encode_rejects, encode_rows};
use super::task::{Context, Counts, End, Failure, Outcome, TaskObject, parse};
use crate::archive::read::{self, ReadOptions};
use crate::job::commit::Committer;
use crate::job::conductor::UNANSWERED_MAX;
use crate::job::options::RunOptions;
use crate::job::plan::{Planned, chunks};
use crate::job::reading::{ChunkRows, Reading, ReadingContext};
use crate::job::wave::Wave;
use crate::lake::dedupe::{self, Pick};
use crate::lake::ids::IdSet;
use crate::lake::layout::{Partition, Table};
use crate::lake::ledger::Ledger;
use crate::lake::log::Log;
use crate::lake::part::cut_rows;
use crate::lake::part_gather::Batches;
use crate::lake::rejects::RejectRow;
use crate::store::StoreErrorKind;

/// Bytes of the values of a payload; a single row may be larger.
const PAYLOAD_BYTES_MAX: u64 = 8 << 20;
/// Outcomes of one payload.
const OUTCOMES_MAX: usize = 1_024;
/// Parcels of one task are numbered from its own number times this.
const PARCELS_MAX: i64 = 1 << 32;

/// Takes what a half hands over; an error ends the half.
pub type Emit<'a> = dyn FnMut(Vec<Parcel>) -> anyhow::Result<()> + Send + 'a;

/// A committer for a worker, which commits nothing: it knows the log as far as the driver tells.
pub(super) fn committer(context: &Context, options: &RunOptions) -> anyhow::Result<Committer> {
    let lake = options.lake.clone().ok_or_else(|| anyhow!("a worker needs a lake"))?;
    let (log, ledger) = (Log::new(lake), Ledger::default());
    let plan: Arc<[Planned]> = Arc::new([]);
    let mut committer =
        Committer::new(options, log, ledger, context.partition, context.settings, plan)?;
    committer.run.clone_from(&context.run);
    committer.reread = Some(HashSet::new());
    Ok(committer)
}

/// Reads the objects of one task.
///
/// # Errors
/// When an object broke off too late, when no object was answered for, or for a defect; the task may be done
/// again.
pub async fn read(
    context: &Context,
    options: &RunOptions,
    task: &[u8],
    emit: &mut Emit<'_>,
) -> anyhow::Result<()> {
    let (number, objects): (i64, Vec<TaskObject>) = parse(task)?;
    let plan: Vec<Planned> = objects.iter().map(TaskObject::planned).collect();
    let committer = committer(context, options)?;
    let chunks = chunks(&plan, &committer.budget, None);
    let mut reading = Reading::start(reading_context(&committer, options), &plan, &chunks);
    let reread = objects.iter().enumerate().filter(|(_, object)| object.reread);
    let reread: HashSet<usize> = reread.map(|(index, _)| index).collect();
    let mut half = Half {
        context,
        objects,
        plan,
        committer,
        reread,
        wave: Wave::default(),
        counts: Counts::default(),
        next: number * PARCELS_MAX,
    };
    while let Some(chunk) = reading.next().await? {
        half.take_chunk(&reading, chunk, emit).await?;
    }
    half.finish(emit)
}

fn reading_context(committer: &Committer, options: &RunOptions) -> ReadingContext {
    let limits = committer.settings.limits;
    let read = ReadOptions {
        products: committer.settings.products,
        object_bytes_max: limits.object_bytes_max,
        document_bytes_max: usize::try_from(limits.document_bytes_max).unwrap_or(usize::MAX),
        counts: limits.counts(),
    };
    ReadingContext {
        archives: Arc::clone(&committer.archives),
        options: Arc::new(read),
        budget: committer.budget,
        fetches: options.fetches,
        pool: Arc::clone(&committer.pool),
    }
}

/// The first half of one task.
struct Half<'a> {
    context: &'a Context,
    objects: Vec<TaskObject>,
    plan: Vec<Planned>,
    committer: Committer,
    /// Objects that the lake may have rejects of, by their place in the task.
    reread: HashSet<usize>,
    wave: Wave,
    counts: Counts,
    next: i64,
}

impl Half<'_> {
    async fn take_chunk(
        &mut self,
        reading: &Reading,
        mut chunk: ChunkRows,
        emit: &mut Emit<'_>,
    ) -> anyhow::Result<()> {
        let mut is_handed_over = false;
        loop {
            let rest = chunk.rest.take();
            if chunk.broke_off {
                if let (true, Some((_, error))) = (is_handed_over, chunk.failed.last()) {
                    return Err(anyhow::Error::from(error.clone()).context(
                        "an object broke off after some of its rows were handed over; the task has to be done \
                         again",
                    ));
                }
                self.wave.break_off(chunk.failed.iter().map(|(index, _)| *index));
            }
            self.wave.add(chunk, &self.committer.archives, &self.plan);
            if self.wave.bytes >= self.committer.budget.wave_bytes {
                self.hand_over(emit)?;
                is_handed_over = true;
            }
            let Some(rest) = rest else { return Ok(()) };
            chunk = reading.resume(rest).await?;
        }
    }

    fn parcel(&mut self, group: Group, kind: Kind, payload: Vec<u8>) -> Parcel {
        self.next += 1;
        Parcel { group, kind, ordinal: self.next, payload }
    }

    /// Hands over the rows and rejects that are held. Of equal rows only the best goes on its way.
    fn hand_over(&mut self, emit: &mut Emit<'_>) -> anyhow::Result<()> {
        let mut wave = std::mem::take(&mut self.wave);
        wave.forget(&self.context.tombstones.iter().cloned().collect())?;
        let owners = wave.owners();
        let is_broken =
            |pick: Pick| owners.of(pick).is_some_and(|owner| wave.broken.contains(&owner));
        let selection = dedupe::Wave::gather(&wave.batches, &is_broken)
            .select(&IdSet::default(), self.context.partition);
        self.counts.duplicates += selection.duplicates_in_wave;
        let batches = Batches::new(wave.batches.iter().map(|rows| rows.batch.clone()));
        let key = |pick: &Pick| {
            wave.batches.get(pick.batch as usize)?.keys.get(pick.row as usize).copied()
        };
        for rows in selection.partitions {
            let mut slices: BTreeMap<u32, Vec<Pick>> = BTreeMap::new();
            for pick in rows.picks {
                let id = key(&pick).map_or(0, |key| key.row_id);
                slices.entry(self.context.slice(rows.partition, id)).or_default().push(pick);
            }
            for (slice, picks) in slices {
                let group = Group { table: Table::Findings, partition: rows.partition, slice };
                for range in cut_rows(&batches, &picks, PAYLOAD_BYTES_MAX) {
                    let picks = picks.get(range).unwrap_or_default();
                    let ordinals = picks.iter().filter_map(|pick| Some(key(pick)?.ordinal));
                    let payload = encode_rows(&batches.gather(picks)?, ordinals.collect())?;
                    let parcel = self.parcel(group, Kind::Rows, payload);
                    emit(vec![parcel])?;
                }
            }
        }
        self.hand_over_rejects(&wave.rejects, emit)?;
        wave.release(&self.reread, &IdSet::default());
        self.wave = wave;
        Ok(())
    }

    fn hand_over_rejects(
        &mut self,
        rejects: &[RejectRow],
        emit: &mut Emit<'_>,
    ) -> anyhow::Result<()> {
        let mut groups: BTreeMap<Group, Vec<&RejectRow>> = BTreeMap::new();
        for row in rejects {
            groups.entry(self.arrival_group(row.place.arrived_hour_ms)).or_default().push(row);
        }
        for (group, mut rows) in groups {
            while !rows.is_empty() {
                let mut bytes = 0;
                let fits = rows.iter().take_while(|row| {
                    let before = bytes;
                    bytes += row.reject.bytes.len() as u64;
                    before < PAYLOAD_BYTES_MAX
                });
                let rest = rows.split_off(fits.count());
                let parcel = self.parcel(group, Kind::Rejects, encode_rejects(&rows)?);
                emit(vec![parcel])?;
                rows = rest;
            }
        }
        Ok(())
    }

    /// Where rejects go, and the outcomes of objects, which settle them.
    fn arrival_group(&self, hour_ms: i64) -> Group {
        let partition = Partition::of(hour_ms, self.context.partition);
        Group { table: Table::Rejects, partition, slice: 0 }
    }

    fn finish(mut self, emit: &mut Emit<'_>) -> anyhow::Result<()> {
        self.check_answers()?;
        self.hand_over(emit)?;
        let forgotten = self.wave.forgotten();
        self.counts.forgotten_rows = forgotten.rows;
        self.counts.forgotten_rejects = forgotten.rejects;
        let mut groups: BTreeMap<Group, Vec<Outcome>> = BTreeMap::new();
        for (index, outcome) in self.outcomes()? {
            let hour_ms = self.plan.get(index).map_or(0, |planned| planned.arrival.hour_ms);
            groups.entry(self.arrival_group(hour_ms)).or_default().push(outcome);
        }
        let mut first = None;
        for (group, outcomes) in groups {
            first.get_or_insert(group);
            for some in outcomes.chunks(OUTCOMES_MAX) {
                let parcel = self.parcel(group, Kind::Objects, serde_json::to_vec(some)?);
                emit(vec![parcel])?;
            }
        }
        if let Some(group) = first {
            let parcel = self.parcel(group, Kind::Counts, serde_json::to_vec(&self.counts)?);
            emit(vec![parcel])?;
        }
        Ok(())
    }

    fn outcomes(&mut self) -> anyhow::Result<Vec<(usize, Outcome)>> {
        let mut rows = self.wave.rows_of(&self.reread, &IdSet::default());
        let (finished, failed) =
            (std::mem::take(&mut self.wave.finished), std::mem::take(&mut self.wave.failed));
        let mut all = Vec::with_capacity(finished.len() + failed.len());
        for (index, tally) in finished {
            read::check(&tally)
                .map_err(|broken| anyhow!("sums of an object differ, a defect: {broken}"))?;
            all.push((index, End::Read(Box::new(tally))));
        }
        all.extend(failed.iter().map(|(index, e)| (*index, End::Failed(Failure::from(e)))));
        let outcome = |(index, end): (usize, End)| {
            let object = self.objects.get(index)?;
            let reread = object.reread.then(|| {
                let places = rows.remove(&index).unwrap_or_default();
                let places = places.iter().map(|place| (place.offset, place.ordinal)).collect();
                (object.clone(), places)
            });
            Some((index, Outcome { index: object.index, end, reread }))
        };
        Ok(all.into_iter().filter_map(outcome).collect())
    }

    /// A task none of whose many objects was answered for says nothing of them, but of the store.
    fn check_answers(&self) -> anyhow::Result<()> {
        let is_unanswered = |kind: StoreErrorKind| kind == StoreErrorKind::Unavailable;
        let failed = &self.wave.failed;
        if !self.wave.finished.is_empty()
            || failed.len() < UNANSWERED_MAX
            || !failed.iter().all(|(_, error)| is_unanswered(error.kind))
        {
            return Ok(());
        }
        let Some((_, last)) = failed.last() else { return Ok(()) };
        Err(anyhow::Error::from(last.clone()).context(format!(
            "none of the {} objects of a task had an answer; run again when the store answers",
            failed.len()
        )))
    }
}
