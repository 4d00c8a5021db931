//! One wave: what was read and waits to be committed.
//!
//! In: [`ChunkRows`] in plan order. Out: rows, rejects and tallies, each with the object they are of,
//! so that what another run has consumed meanwhile can be dropped without reading again. A wave
//! holds at most [`Budget::wave_bytes`](crate::job::budget::Budget) and one task's result more.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::AsArray as _;
use arrow::datatypes::Int64Type;

use crate::finding::place::Place;
use crate::finding::rows::Rows;
use crate::finding::tally::Tally;
use crate::job::forgotten::ForgottenCounts;
use crate::job::plan::{Archive, Planned};
use crate::job::reading::ChunkRows;
use crate::lake::dedupe::Pick;
use crate::lake::ids::IdSet;
use crate::lake::rejects::{RejectRow, reject_id};
use crate::store::StoreError;

/// What a wave holds.
#[derive(Debug, Default)]
pub(crate) struct Wave {
    /// The rows, batch by batch.
    pub(crate) batches: Vec<Rows>,
    /// For each batch: up to which row (exclusive) its rows are of which object, ascending.
    pub(super) owners: Vec<Vec<(usize, usize)>>,
    /// The rejects.
    pub(crate) rejects: Vec<RejectRow>,
    /// For each reject its object.
    pub(super) reject_owners: Vec<usize>,
    /// Rows and rejects that were left out because they are forgotten, by object.
    pub(super) forgotten: HashMap<usize, ForgottenCounts>,
    /// Objects read to their end.
    pub(crate) finished: Vec<(usize, Tally)>,
    /// Objects that could not be read.
    pub(crate) failed: Vec<(usize, StoreError)>,
    /// The memory that rows, rejects and tallies hold.
    pub(crate) bytes: usize,
    /// What rows and rejects weighed that were staged early and are no longer held.
    pub(crate) released_bytes: usize,
    /// The rejects of pieces that are no longer held.
    pub(crate) released_rejects: IdSet,
    /// The places of their rows, for objects that are read again.
    released_rows: HashMap<usize, Vec<RowPlace>>,
    /// Objects that broke off in the middle: no row of theirs counts.
    pub(crate) broken: HashSet<usize>,
}

/// Where in its object a row was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RowPlace {
    /// The first byte of its document.
    pub(crate) offset: u64,
    /// Which finding of the document it is.
    pub(crate) ordinal: u32,
    /// Whether the lake is known to have had an equal row.
    pub(crate) in_lake: bool,
}

impl Wave {
    /// Takes in what was read.
    pub(crate) fn add(&mut self, chunk: ChunkRows, archives: &[Archive], plan: &[Planned]) {
        // Objects that hold nothing for the table fill a wave too, or it would have no end.
        let tallies = chunk.finished.iter().map(|(_, tally)| tally.held_bytes());
        self.bytes += chunk.bytes + tallies.sum::<usize>();
        self.finished.extend(chunk.finished);
        self.failed.extend(chunk.failed);
        let mut last: Option<(usize, Place)> = None;
        for (index, reject) in chunk.rejects {
            // Rejects of one object share its place.
            if last.as_ref().is_none_or(|(of, _)| *of != index) {
                last = place(index, archives, plan).map(|place| (index, place));
            }
            let Some((_, place)) = &last else { continue };
            self.rejects.push(RejectRow { place: place.clone(), reject });
            self.reject_owners.push(index);
        }
        if chunk.rows.keys.is_empty() {
            return;
        }
        let mut end = 0;
        let ends = chunk.row_counts.iter().map(|(index, count)| {
            end += count;
            (end, *index)
        });
        self.owners.push(ends.collect());
        self.batches.push(chunk.rows);
    }

    /// Whether nothing was read, and nothing failed.
    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty()
            && self.rejects.is_empty()
            && self.finished.is_empty()
            && self.failed.is_empty()
    }

    /// How many objects it has.
    pub(crate) fn objects(&self) -> usize {
        self.finished.len() + self.failed.len()
    }

    /// Forgets the objects that another run has consumed: their rejects and tallies here; their
    /// rows are told by [`Wave::owners`].
    pub(crate) fn drop_objects(&mut self, consumed: &HashSet<usize>) {
        self.finished.retain(|(index, _)| !consumed.contains(index));
        self.failed.retain(|(index, _)| !consumed.contains(index));
        self.drop_rejects(consumed);
    }

    /// Forgets what was read of an object that then could not be read to its end.
    pub(crate) fn break_off(&mut self, objects: impl Iterator<Item = usize>) {
        self.broken.extend(objects);
        let broken = std::mem::take(&mut self.broken);
        self.drop_rejects(&broken);
        self.broken = broken;
    }

    /// The objects that it holds rows or rejects of, some of them often.
    pub(crate) fn objects_held(&self) -> impl Iterator<Item = usize> {
        self.owners().all().chain(self.reject_owners.iter().copied())
    }

    /// Forgets the rejects of these objects.
    pub(crate) fn drop_rejects(&mut self, consumed: &HashSet<usize>) {
        let owners = std::mem::take(&mut self.reject_owners);
        let mut kept = owners.iter().map(|owner| !consumed.contains(owner));
        self.rejects.retain(|_| kept.next().unwrap_or(true));
        self.reject_owners = owners.into_iter().filter(|owner| !consumed.contains(owner)).collect();
    }

    /// Gives up the rows and rejects, which were staged, and keeps counting. Of the objects that are
    /// read again it is remembered which places became rows, and of all which rejects there were.
    pub(crate) fn release(&mut self, reread: &HashSet<usize>, known: &IdSet) {
        let places: Vec<_> = self.row_places(reread, known).collect();
        for (index, place) in places {
            self.released_rows.entry(index).or_default().push(place);
        }
        let ids = self.rejects.iter().map(|row| reject_id(&row.place, &row.reject));
        self.released_rejects.extend(ids);
        self.batches.clear();
        self.owners.clear();
        self.rejects.clear();
        self.reject_owners.clear();
        self.released_bytes += self.bytes;
        self.bytes = 0;
    }

    /// Takes in rows of objects that others have read, none of which can be consumed elsewhere.
    pub(crate) fn add_rows(&mut self, rows: Rows) {
        self.bytes += rows.batch.get_array_memory_size();
        self.owners.push(vec![(rows.keys.len(), usize::MAX)]);
        self.batches.push(rows);
    }

    /// Takes in where in an object, which others have read, its rows were.
    pub(crate) fn remember_rows(&mut self, object: usize, places: Vec<RowPlace>) {
        self.released_rows.entry(object).or_default().extend(places);
    }

    /// The ids of its rows, but for those of objects that broke off: these are written nowhere, so
    /// an equal row that comes later must not count as a duplicate of them.
    pub(crate) fn row_ids(&self) -> impl Iterator<Item = u128> {
        let objects = self.owners.iter().map(|ends| {
            let mut start = 0;
            ends.iter().flat_map(move |(end, index)| {
                let count = end - std::mem::replace(&mut start, *end);
                std::iter::repeat_n(*index, count)
            })
        });
        let rows = self.batches.iter().map(|rows| rows.keys.iter().map(|key| key.row_id));
        let owned = rows.zip(objects).flat_map(|(ids, objects)| ids.zip(objects));
        owned.filter(|(_, index)| !self.broken.contains(index)).map(|(id, _)| id)
    }

    /// The places of the rows of these objects, each object's in their order, staged pieces included.
    pub(crate) fn rows_of(
        &self,
        objects: &HashSet<usize>,
        known: &IdSet,
    ) -> HashMap<usize, Vec<RowPlace>> {
        let mut all = self.released_rows.clone();
        for (index, place) in self.row_places(objects, known) {
            all.entry(index).or_default().push(place);
        }
        for places in all.values_mut() {
            places.sort_unstable();
        }
        all
    }

    fn row_places<'a>(
        &'a self,
        objects: &'a HashSet<usize>,
        known: &'a IdSet,
    ) -> impl Iterator<Item = (usize, RowPlace)> + 'a {
        self.batches.iter().zip(&self.owners).flat_map(move |(rows, ends)| {
            let offsets = rows.batch.column_by_name("source_offset");
            let offsets = offsets.and_then(|column| column.as_primitive_opt::<Int64Type>());
            let mut start = 0;
            ends.iter().flat_map(move |(end, index)| {
                let own = std::mem::replace(&mut start, *end)..*end;
                let own = if objects.contains(index) { own } else { 0..0 };
                own.filter_map(move |row| {
                    let key = rows.keys.get(row)?;
                    let offset = u64::try_from(*offsets?.values().get(row)?).ok()?;
                    let in_lake = known.contains(&key.row_id);
                    Some((*index, RowPlace { offset, ordinal: key.ordinal, in_lake }))
                })
            })
        })
    }

    /// For each batch its rows' objects, to be asked while the batches are borrowed.
    pub(crate) fn owners(&self) -> Owners<'_> {
        Owners(&self.owners)
    }
}

/// Which object each row of a wave is of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owners<'a>(&'a [Vec<(usize, usize)>]);

impl<'a> Owners<'a> {
    /// All objects that have rows.
    pub(crate) fn all(self) -> impl Iterator<Item = usize> + 'a {
        self.0.iter().flatten().map(|(_, index)| *index)
    }

    /// The object that a row is of.
    pub(crate) fn of(self, pick: Pick) -> Option<usize> {
        let ends = self.0.get(pick.batch as usize)?;
        let at = ends.partition_point(|(end, _)| *end <= pick.row as usize);
        ends.get(at).map(|(_, index)| *index)
    }
}

fn place(index: usize, archives: &[Archive], plan: &[Planned]) -> Option<Place> {
    let planned = plan.get(index)?;
    let archive = archives.get(planned.archive)?;
    Some(Place {
        object: Arc::from(archive.store.uri(&planned.meta.key)),
        etag: Arc::from(planned.meta.etag.as_str()),
        arrived_hour_ms: planned.arrival.hour_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::rows::RowsBuilder;

    /// A wave of objects without rows was never full: it grew with the archive, and nothing was
    /// committed before the end.
    #[test]
    fn r011_objects_without_rows_fill_a_wave() {
        let mut wave = Wave::default();
        let mut bytes = 0;
        for index in 0..3 {
            let mut tally = Tally::default();
            tally.passed_over_by_kind.add("other_product", 1);
            wave.add(
                ChunkRows {
                    rows: RowsBuilder::new().finish(),
                    row_counts: vec![(index, 0)],
                    rejects: Vec::new(),
                    bytes: 0,
                    finished: vec![(index, tally)],
                    failed: Vec::new(),
                    objects: vec![index],
                    broke_off: false,
                    rest: None,
                },
                &[],
                &[],
            );
            assert!(wave.bytes > bytes + 100, "{}", wave.bytes);
            bytes = wave.bytes;
        }
    }
}
