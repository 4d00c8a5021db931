//! Which rows of the lake some object gave, on a pass over all objects.
//!
//! In: rows as they are found, and objects that could not be read. Out: for each part the rows that no
//! object gave, told apart from those whose object is out of reach. A part that cannot be read gives
//! nothing here; that is told elsewhere. Memory: one bit a row, and 16 bytes an object that was not read.

use std::collections::BTreeMap;

use arrow::array::AsArray as _;
use xxhash_rust::xxh3::xxh3_128;

use crate::lake::LakeError;
use crate::lake::error::LakeResult;
use crate::lake::ids::IdSet;
use crate::lake::layout::Table;
use crate::lake::part_rows::RowReader;
use crate::lake::verify::{History, Part};
use crate::store::Store;

/// The rows that are accounted for.
#[derive(Debug, Default)]
pub(super) struct Explained {
    /// For each part a bit a row.
    bits: BTreeMap<String, Vec<u64>>,
    /// Hashes of the URIs of objects that were not read.
    unread: IdSet,
    /// Some commit's objects are not known at all.
    knows_not_all: bool,
}

/// The rows of a part that no object gave.
#[derive(Debug, Default)]
pub(super) struct Rest {
    /// Of objects that were not read.
    pub(super) unverified: u64,
    /// Of objects that were read, or that no commit names.
    pub(super) unexplained: u64,
    /// The first of these: its id and its object.
    pub(super) first: Option<(String, String)>,
}

impl Explained {
    /// An object gave this row.
    pub(super) fn explain(&mut self, part: &Part, row: usize) {
        if !self.bits.contains_key(&part.file.key) {
            let words = usize::try_from(part.file.rows.div_ceil(64)).unwrap_or(0);
            self.bits.insert(part.file.key.clone(), vec![0; words]);
        }
        let word = self.bits.get_mut(&part.file.key).and_then(|bits| bits.get_mut(row / 64));
        if let Some(word) = word {
            *word |= 1 << (row % 64);
        }
    }

    /// Rows of this object can be neither confirmed nor doubted.
    pub(super) fn cannot_verify(&mut self, uri: &str) {
        self.unread.insert(xxh3_128(uri.as_bytes()));
    }

    /// The objects of some commit are not known, so a row may well be of one of them.
    pub(super) fn know_not_all(&mut self) {
        self.knows_not_all = true;
    }

    /// The parts that have rows which no object gave.
    pub(super) fn unfinished<'h>(&self, history: &'h History) -> Vec<&'h Part> {
        let parts = history.all_parts().filter(|part| {
            let bits = self.bits.get(&part.file.key).into_iter().flatten();
            let set: u64 = bits.map(|word| u64::from(word.count_ones())).sum();
            part.table == Table::Findings
                && part.unpublished.is_none()
                && !history.is_open(part.file.commit)
                && set < part.file.rows
        });
        parts.collect()
    }

    /// The rows of a part that no object gave.
    pub(super) async fn rest(&self, lake: &dyn Store, part: &Part) -> LakeResult<Rest> {
        let mut rest = Rest::default();
        match self.read(lake, part, &mut rest).await {
            Ok(()) => Ok(rest),
            Err(LakeError::Damaged { .. }) => Ok(Rest::default()),
            Err(error) => Err(error),
        }
    }

    async fn read(&self, lake: &dyn Store, part: &Part, rest: &mut Rest) -> LakeResult<()> {
        let bits = self.bits.get(&part.file.key).map(Vec::as_slice).unwrap_or_default();
        let (names, times) = (["row_id", "source_object"], i64::MIN..i64::MAX);
        let mut reader = RowReader::open(lake, part.table, &part.file, &names, &times).await?;
        let mut start = 0;
        while let Some(batch) = reader.next().await? {
            let text = |column: usize| batch.columns().get(column)?.as_string_opt::<i32>();
            let (Some(ids), Some(objects)) = (text(0), text(1)) else { return Ok(()) };
            for row in 0..batch.num_rows() {
                let at = start + row;
                if bits.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1) {
                    continue;
                }
                let object = objects.value(row);
                if self.knows_not_all || self.unread.contains(&xxh3_128(object.as_bytes())) {
                    rest.unverified += 1;
                } else {
                    rest.unexplained += 1;
                    let first = || (ids.value(row).to_owned(), object.to_owned());
                    rest.first.get_or_insert_with(first);
                }
            }
            start += batch.num_rows();
        }
        Ok(())
    }
}
