//! Which rows are forgotten: what no commit may bring (back) into the lake.
//!
//! In: the ledger's tombstones, and batches of either table. Out: for each batch which rows may stay.
//! Pure; a batch without the columns that name a finding holds nothing that is forgotten. Memory: 17
//! bytes and some for each tombstone. A row costs a SHA-256 of some 150 bytes, and only where there are
//! tombstones.

use std::collections::BTreeSet;

use arrow::array::{Array, AsArray, BooleanArray, StringArray};
use arrow::record_batch::RecordBatch;

use super::ids::{IdSet, parse_id};
use super::layout::Table;
use super::record::Tombstone;

/// Tombstones, to be asked row by row.
#[derive(Debug, Clone, Default)]
pub struct Forgotten {
    findings: IdSet,
    rejects: IdSet,
}

impl Forgotten {
    /// These tombstones. One that is no hash, as a later program may write them, matches nothing here.
    pub fn of<'a>(tombstones: impl IntoIterator<Item = &'a Tombstone>) -> Self {
        let mut forgotten = Self::default();
        for tombstone in tombstones {
            forgotten.add(tombstone);
        }
        forgotten
    }

    /// One more.
    pub fn add(&mut self, tombstone: &Tombstone) {
        let (ids, text) = match tombstone {
            Tombstone::Finding(text) => (&mut self.findings, text),
            Tombstone::Reject(text) => (&mut self.rejects, text),
        };
        ids.extend(parse_id(text.as_bytes()));
    }

    /// Whether there is nothing to ask for.
    pub fn is_empty(&self) -> bool {
        self.findings.is_empty() && self.rejects.is_empty()
    }

    /// Whether this finding is forgotten.
    pub fn has_finding(&self, shape: &str, finding_id: &str, account_id: &str) -> bool {
        if self.findings.is_empty() {
            return false;
        }
        match Tombstone::finding(shape, finding_id, account_id) {
            Tombstone::Finding(text) | Tombstone::Reject(text) => {
                parse_id(text.as_bytes()).is_some_and(|id| self.findings.contains(&id))
            }
        }
    }

    /// Whether this reject is forgotten.
    pub fn has_reject(&self, reject_id: u128) -> bool {
        self.rejects.contains(&reject_id)
    }

    /// Which rows of a batch may stay; `None` when all may.
    pub fn kept(&self, table: Table, batch: &RecordBatch) -> Option<BooleanArray> {
        let forgotten: Vec<bool> = match table {
            Table::Findings if !self.findings.is_empty() => self.findings_of(batch)?,
            Table::Rejects if !self.rejects.is_empty() => {
                let ids = texts(batch, table.id_column())?;
                let is_forgotten = |id: Option<&str>| {
                    let id = id.and_then(|id| parse_id(id.as_bytes()));
                    id.is_some_and(|id| self.rejects.contains(&id))
                };
                ids.iter().map(is_forgotten).collect()
            }
            _ => return None,
        };
        if !forgotten.contains(&true) {
            return None;
        }
        Some(forgotten.into_iter().map(|forgotten| Some(!forgotten)).collect())
    }

    fn findings_of(&self, batch: &RecordBatch) -> Option<Vec<bool>> {
        let shapes = texts(batch, "shape")?;
        let ids = texts(batch, "finding_id")?;
        let accounts = texts(batch, "account_id")?;
        let named = shapes.iter().zip(ids).zip(accounts);
        let is_forgotten =
            |((shape, id), account): ((Option<&str>, Option<&str>), Option<&str>)| {
                let (shape, account) = (shape.unwrap_or_default(), account.unwrap_or_default());
                id.is_some_and(|id| self.has_finding(shape, id, account))
            };
        Some(named.map(is_forgotten).collect())
    }
}

/// The tombstones that one ledger has and another lacks.
pub fn missing(have: &BTreeSet<Tombstone>, lack: &BTreeSet<Tombstone>) -> Vec<Tombstone> {
    have.difference(lack).cloned().collect()
}

/// A column of texts, when there is one.
pub(super) fn texts<'a>(batch: &'a RecordBatch, name: &str) -> Option<&'a StringArray> {
    batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>())
}

/// The text in a row; blank where there is none.
pub(super) fn text_at(column: Option<&StringArray>, row: usize) -> &str {
    column.filter(|column| row < column.len() && column.is_valid(row)).map_or("", |c| c.value(row))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::testing::findings;

    #[test]
    fn only_the_named_finding_of_the_named_account_is_forgotten() {
        let batch = findings(0..70).batch;
        let event = "arn:aws:health:us-east-1::event/EC2/T/E_1";
        let tombstone = Tombstone::finding("native", event, "111122220001");
        let forgotten = Forgotten::of([&tombstone]);
        let kept = forgotten.kept(Table::Findings, &batch).unwrap();
        let expected = |row: usize| !(row % 5 == 1 && row % 7 == 1);
        assert_eq!(kept, BooleanArray::from((0..70).map(expected).collect::<Vec<_>>()));
        let others = [
            Tombstone::finding("asff", event, "111122220001"),
            Tombstone::finding("native", event, "111122220009"),
            Tombstone::Reject("00".repeat(16)),
            Tombstone::Finding("later programs may hash otherwise".into()),
        ];
        assert_eq!(Forgotten::of(&others).kept(Table::Findings, &batch), None);
        assert_eq!(Forgotten::default().kept(Table::Rejects, &batch), None);
    }
}
