//! Which objects a run reads, and in which order.
//!
//! In: the archives' listings and the ledger's word on each object. Out: a [`Plan`]: the objects to
//! read, ordered by the time in their names so that a wave touches few partitions, and the count of
//! all others by what became of them. Objects that the ledger has leave nothing behind here, so that
//! a nightly run over an archive of millions of keys stays small.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::archive::arrival::Arrival;
use crate::archive::discover::{DiscoverOptions, Skip, discover};
use crate::job::budget::Budget;
use crate::job::progress::Progress;
use crate::store::{ObjectMeta, Store, StoreResult};

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
    /// All that were listed.
    pub listed: u64,
    /// In the lake already.
    pub in_ledger: u64,
    /// Skipped, by reason.
    pub skipped: BTreeMap<&'static str, u64>,
    /// Outside `--since` and `--until`.
    pub outside_hours: u64,
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
    fn contain(self, hour_ms: i64) -> bool {
        self.since_ms.is_none_or(|since| hour_ms >= since)
            && self.until_ms.is_none_or(|until| hour_ms < until)
    }
}

/// Lists the archives and plans what `is_known` does not know.
///
/// # Errors
/// The store's, when a listing cannot be finished.
pub async fn plan(
    archives: &[Archive],
    options: &DiscoverOptions,
    hours: Hours,
    progress: &Progress,
    is_known: impl Fn(usize, &ObjectMeta) -> bool,
) -> StoreResult<Plan> {
    let mut plan = Plan::default();
    for (index, archive) in archives.iter().enumerate() {
        let take = |meta: ObjectMeta, verdict: Result<Arrival, Skip>| {
            Progress::add(&progress.objects_listed, 1);
            plan.take(index, meta, verdict, hours, |meta| is_known(index, meta));
        };
        discover(archive.store.as_ref(), &archive.prefix, options, take).await?;
    }
    plan.objects.sort_unstable_by(|a, b| {
        let key = |planned: &Planned| (planned.arrival.at_ms, planned.archive);
        key(a).cmp(&key(b)).then_with(|| a.meta.key.cmp(&b.meta.key))
    });
    Ok(plan)
}

impl Plan {
    fn take(
        &mut self,
        archive: usize,
        meta: ObjectMeta,
        verdict: Result<Arrival, Skip>,
        hours: Hours,
        is_known: impl Fn(&ObjectMeta) -> bool,
    ) {
        self.listed += 1;
        match verdict {
            Err(skip) => *self.skipped.entry(skip.name()).or_default() += 1,
            Ok(_) if is_known(&meta) => self.in_ledger += 1,
            Ok(arrival) if !hours.contain(arrival.hour_ms) => self.outside_hours += 1,
            Ok(arrival) => self.objects.push(Planned { archive, meta, arrival }),
        }
    }

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
