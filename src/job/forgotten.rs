//! What a wave must not bring into the lake: rows and rejects that were erased from it.
//!
//! In: a wave that was read before or after somebody erased, and the ledger's tombstones. Out: the wave
//! without them, and how many there were by object, so that the sums of a run hold whichever of its
//! objects other runs take. Bad data is no concern here. Memory: a copy of each batch that holds such a row.

use std::collections::{BTreeSet, HashMap};

use arrow::compute::filter_record_batch;

use crate::job::wave::Wave;
use crate::lake::layout::Table;
use crate::lake::record::Tombstone;
use crate::lake::rejects::reject_id;
use crate::lake::tombstones::Forgotten;

/// Rows and rejects of one object that were left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ForgottenCounts {
    /// Rows.
    pub(crate) rows: u64,
    /// Rejects.
    pub(crate) rejects: u64,
}

impl Wave {
    /// Takes out what is forgotten. May be done again with more tombstones; costs nothing without any.
    pub(crate) fn forget(&mut self, tombstones: &BTreeSet<Tombstone>) -> anyhow::Result<()> {
        if tombstones.is_empty() {
            return Ok(());
        }
        let forgotten = Forgotten::of(tombstones);
        for (rows, ends) in self.batches.iter_mut().zip(&mut self.owners) {
            let Some(kept) = forgotten.kept(Table::Findings, &rows.batch) else { continue };
            let mut stays = kept.iter().map(|kept| kept == Some(true));
            rows.batch = filter_record_batch(&rows.batch, &kept)?;
            let (mut start, mut left) = (0, 0);
            for (end, owner) in ends.iter_mut() {
                let all = *end - std::mem::replace(&mut start, *end);
                let staying = stays.by_ref().take(all).filter(|stays| *stays).count();
                left += staying;
                *end = left;
                self.forgotten.entry(*owner).or_default().rows += (all - staying) as u64;
            }
            let mut stays = kept.iter().map(|kept| kept == Some(true));
            rows.keys.retain(|_| stays.next().unwrap_or(true));
        }
        let owners = std::mem::take(&mut self.reject_owners);
        let mut next = owners.into_iter();
        let (stay, counts) = (&mut self.reject_owners, &mut self.forgotten);
        self.rejects.retain(|row| {
            let Some(owner) = next.next() else { return true };
            if forgotten.has_reject(reject_id(&row.place, &row.reject)) {
                counts.entry(owner).or_default().rejects += 1;
                return false;
            }
            stay.push(owner);
            true
        });
        Ok(())
    }

    /// What was left out of the objects that were read to their end and are still the wave's own.
    pub(crate) fn forgotten(&self) -> ForgottenCounts {
        sum(&self.forgotten, self.finished.iter().map(|(index, _)| *index))
    }
}

fn sum(
    counts: &HashMap<usize, ForgottenCounts>,
    objects: impl Iterator<Item = usize>,
) -> ForgottenCounts {
    let counts = objects.filter_map(|index| counts.get(&index));
    counts.fold(ForgottenCounts::default(), |sum, one| ForgottenCounts {
        rows: sum.rows + one.rows,
        rejects: sum.rejects + one.rejects,
    })
}
