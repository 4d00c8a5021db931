//! Which objects a run reads, and in which order.
//!
//! In: the archives' listings and the ledger's word on each object. Out: a [`Plan`]: the objects to
//! read, ordered by the time in their names so that a wave touches few partitions, and the count of
//! all others by what became of them. Each run lists its archives to the end, so that no late object
//! stays unseen, and every closed hour is proven each time. Hours that differ are listed a second
//! time, by what their keys begin with, and compared object by object. Objects that the ledger has
//! leave nothing behind here, so that a nightly run over an archive of millions of keys stays small.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::archive::arrival::Arrival;
use crate::archive::discover::{DiscoverOptions, Skip, discover};
use crate::job::budget::Budget;
use crate::job::progress::Progress;
use crate::lake::error::LakeResult;
use crate::lake::ledger::Ledger;
use crate::lake::ledger::compare::{Compared, Comparison, Verdict};
use crate::lake::log::Log;
use crate::lake::record::Settings;
use crate::store::fail_point::{self, FailPoint};
use crate::store::{ObjectMeta, Store};

/// One source of a run.
#[derive(Debug, Clone)]
pub struct Archive {
    /// Where it lies.
    pub store: Arc<dyn Store>,
    /// Only keys that begin with this; `""` for all.
    pub prefix: String,
}

impl Archive {
    /// What every URI of its objects begins with.
    pub fn uri_prefix(&self) -> String {
        self.store.uri(&self.prefix)
    }
}

/// An object to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Which of the run's archives it lies in.
    pub archive: usize,
    /// What the listing said.
    pub meta: ObjectMeta,
    /// When it arrived.
    pub arrival: Arrival,
}

/// The objects of a run.
#[derive(Debug, Default)]
pub struct Plan {
    /// In the order they are read.
    pub objects: Vec<Planned>,
    /// Outside `--since` and `--until`.
    pub outside_hours: u64,
    /// All that were listed.
    pub survey: Survey,
}

/// What archives have, held against the ledger.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Survey {
    /// All that were listed.
    pub listed: u64,
    /// In the lake already.
    pub in_ledger: u64,
    /// Skipped, by reason.
    pub skipped: BTreeMap<&'static str, u64>,
    /// Were read once, and the archives no longer have them; as far as closed hours tell.
    pub expired: u64,
    /// Closed hours that had to be compared object by object.
    pub hours_compared: u64,
}

/// What a plan is held against.
#[derive(Debug)]
pub struct Known<'a> {
    /// The ledger; what the comparison finds out about closed hours is noted in it.
    pub ledger: &'a mut Ledger,
    /// The log that it folds; `None` for a lake that is not there yet.
    pub log: Option<&'a Log>,
    /// What the run would read with.
    pub settings: &'a Settings,
}

/// The arrival hours that a run reads: from the first to before the last, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    /// The first hour.
    pub since_ms: Option<i64>,
    /// The first hour that is left out again.
    pub until_ms: Option<i64>,
}

impl Hours {
    pub(crate) fn contain(self, hour_ms: i64) -> bool {
        self.since_ms.is_none_or(|since| hour_ms >= since)
            && self.until_ms.is_none_or(|until| hour_ms < until)
    }
}

/// Lists the archives and plans what the ledger does not know.
///
/// # Errors
/// As [`survey`].
pub async fn plan(
    archives: &[Archive],
    options: &DiscoverOptions,
    hours: Hours,
    progress: &Progress,
    known: Known<'_>,
) -> LakeResult<Plan> {
    let (mut objects, mut outside_hours) = (Vec::new(), 0);
    let take = |archive: usize, meta: ObjectMeta| {
        let arrival = options.arrival(&meta);
        if hours.contain(arrival.hour_ms) {
            objects.push(Planned { archive, meta, arrival });
        } else {
            outside_hours += 1;
        }
    };
    let survey = survey(archives, options, progress, known, take).await?;
    objects.sort_unstable_by(|a, b| {
        let key = |planned: &Planned| (planned.arrival.at_ms, planned.archive);
        key(a).cmp(&key(b)).then_with(|| a.meta.key.cmp(&b.meta.key))
    });
    Ok(Plan { objects, outside_hours, survey })
}

/// Lists the archives to their end, and hands each object over that the ledger does not know and that
/// may be read, with its archive, in no order.
///
/// # Errors
/// The store's, when a listing cannot be finished, and damage of the log.
pub async fn survey(
    archives: &[Archive],
    options: &DiscoverOptions,
    progress: &Progress,
    known: Known<'_>,
    mut take: impl FnMut(usize, ObjectMeta),
) -> LakeResult<Survey> {
    let mut survey = Survey::default();
    let mut comparison = Comparison::new(known.ledger, known.settings);
    for (index, archive) in archives.iter().enumerate() {
        let base = archive.store.base_uri();
        let visit = |meta: ObjectMeta, skip: Option<Skip>| {
            Progress::add(&progress.objects_listed, 1);
            survey.listed += 1;
            match (comparison.take(base, &meta, skip.is_none()), skip) {
                (_, Some(skip)) => *survey.skipped.entry(skip.name()).or_default() += 1,
                (Verdict::Known, None) => survey.in_ledger += 1,
                (Verdict::New, None) => take(index, meta),
                (Verdict::Later, None) => {}
            }
        };
        discover(archive.store.as_ref(), &archive.prefix, options, visit).await?;
        fail_point::reach(FailPoint::Listed);
    }
    let below: Vec<String> = archives.iter().map(Archive::uri_prefix).collect();
    let compared = comparison.finish(&below);
    survey.in_ledger += compared.known;
    survey.expired += compared.expired;
    survey.hours_compared = compared.doubts.len() as u64;
    survey.resolve(archives, options, &compared, known, take).await?;
    Ok(survey)
}

impl Survey {
    /// Compares the hours object by object that their sums could not settle.
    async fn resolve(
        &mut self,
        archives: &[Archive],
        options: &DiscoverOptions,
        compared: &Compared,
        Known { ledger, log, settings }: Known<'_>,
        mut take: impl FnMut(usize, ObjectMeta),
    ) -> LakeResult<()> {
        let Some(log) = log else { return Ok(()) };
        // They count as the second listing has them.
        self.listed -= compared.listed_in_doubt();
        for doubts in compared.batches() {
            let mut batch = log.batch(ledger, doubts, settings).await?;
            for (index, archive) in archives.iter().enumerate() {
                let (store, base) = (archive.store.as_ref(), archive.store.base_uri());
                for prefix in batch.prefixes(base, &archive.prefix) {
                    let visit = |meta: ObjectMeta, skip: Option<Skip>| {
                        let verdict = batch.take(ledger, base, &meta, skip.is_none());
                        if skip.is_some() || verdict == Verdict::Later {
                            return;
                        }
                        self.listed += 1;
                        match verdict {
                            Verdict::New => take(index, meta),
                            Verdict::Known | Verdict::Later => self.in_ledger += 1,
                        }
                    };
                    discover(store, &prefix, options, visit).await?;
                }
            }
            self.expired += batch.note(ledger);
        }
        Ok(())
    }
}

impl Plan {
    /// Their bytes as stored.
    pub fn bytes(&self) -> u64 {
        self.objects.iter().map(|planned| planned.meta.size).sum()
    }
}

/// Cuts the plan into the stretches that one task reads together. The cut depends on the plan and
/// the bounds alone, so the waves that are made of such stretches depend on nothing else either.
pub fn chunks(
    objects: &[Planned],
    budget: &Budget,
    wave_objects: Option<usize>,
) -> Vec<Range<usize>> {
    // A wave that is counted in objects has to be able to end after any of them.
    let objects_max = if wave_objects.is_some() { 1 } else { budget.chunk_objects };
    let mut chunks = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (index, planned) in objects.iter().enumerate() {
        let full = index - start >= objects_max || bytes + planned.meta.size > budget.chunk_bytes;
        if full && index > start {
            chunks.push(start..index);
            (start, bytes) = (index, 0);
        }
        bytes += planned.meta.size;
    }
    if start < objects.len() {
        chunks.push(start..objects.len());
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(size: u64) -> Planned {
        let meta = ObjectMeta {
            key: format!("{size}"),
            size,
            etag: String::new(),
            last_modified_ms: 0,
            archived: false,
            sha256: None,
        };
        Planned { archive: 0, meta, arrival: Arrival { at_ms: 0, hour_ms: 0 } }
    }

    #[test]
    fn chunks_cover_the_plan_and_keep_their_bounds() {
        let mut budget = Budget::new(1 << 30, 2, 1 << 20);
        (budget.chunk_bytes, budget.chunk_objects) = (10, 3);
        let table: [(&[u64], &[Range<usize>]); 5] = [
            (&[], &[]),
            (&[1, 1, 1, 1], &[0..3, 3..4]),
            (&[6, 6, 6], &[0..1, 1..2, 2..3]),
            (&[100, 1, 1], &[0..1, 1..3]),
            (&[1, 100, 1], &[0..1, 1..2, 2..3]),
        ];
        for (sizes, expected) in table {
            let objects: Vec<Planned> = sizes.iter().map(|size| planned(*size)).collect();
            assert_eq!(chunks(&objects, &budget, None), expected, "{sizes:?}");
            let singles = chunks(&objects, &budget, Some(2));
            assert!(singles.iter().all(|chunk| chunk.len() == 1));
        }
    }
}
