//! What the halves are told, and what they tell: small values as JSON.
//!
//! In and out: [`Context`], which is the same for all tasks of a wave; the objects of one task
//! ([`TaskObject`]); what became of each ([`Outcome`]); what was counted on the way ([`Counts`]). A text of
//! another version of the program is refused.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::archive::arrival::Arrival;
use crate::finding::tally::Tally;
use crate::job::commit_record::kind_name;
use crate::job::plan::Planned;
use crate::lake::layout::{Partition, PartitionBy};
use crate::lake::record::{Settings, Tombstone};
use crate::store::{ObjectMeta, StoreError, StoreErrorKind};

/// What all tasks of a wave need to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Context {
    /// The program that planned the wave; no other reads it.
    pub(super) program: String,
    /// The version of the lake that the wave is compared with.
    pub(super) version: u64,
    /// The run, which names its staging.
    pub(super) run: String,
    /// The partitions of the lake.
    pub(super) partition: PartitionBy,
    /// What objects are read under.
    pub(super) settings: Settings,
    /// The archives, by base URI and prefix.
    pub archives: Vec<(String, String)>,
    /// The lake's base URI.
    pub lake: String,
    /// What may not come into the lake.
    pub(super) tombstones: Vec<Tombstone>,
    /// How many bits of the row id tell the slice, for partitions that have more than one.
    pub(super) slice_bits: BTreeMap<Partition, u8>,
}

/// The program, as a context names it.
pub(super) const PROGRAM: &str = concat!("healthtrail ", env!("CARGO_PKG_VERSION"));

impl Context {
    /// Reads what a driver wrote.
    ///
    /// # Errors
    /// When it was another version of the program.
    pub fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        let context: Self = parse(bytes)?;
        anyhow::ensure!(
            context.program == PROGRAM,
            "the driver is {}, and this worker is {PROGRAM}; they must be of one version",
            context.program
        );
        Ok(context)
    }

    /// The slice of its partition that a row belongs to.
    pub(super) fn slice(&self, partition: Partition, row_id: u128) -> u32 {
        let bits = self.slice_bits.get(&partition).copied().unwrap_or_default();
        u32::try_from(row_id.checked_shr(128 - u32::from(bits)).unwrap_or_default())
            .unwrap_or_default()
    }

    /// How many slices a partition has.
    pub(super) fn slices(&self, partition: Partition) -> u32 {
        1 << self.slice_bits.get(&partition).copied().unwrap_or_default()
    }
}

/// One object to be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TaskObject {
    /// Its place in the driver's plan.
    pub(super) index: usize,
    archive: usize,
    key: String,
    size: u64,
    etag: String,
    last_modified_ms: i64,
    at_ms: i64,
    hour_ms: i64,
    /// The lake may have rejects of it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) reread: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_false(value: &bool) -> bool {
    !*value
}

impl TaskObject {
    pub(super) fn of(index: usize, planned: &Planned, reread: bool) -> Self {
        let Planned { archive, meta, arrival } = planned;
        Self {
            index,
            archive: *archive,
            key: meta.key.clone(),
            size: meta.size,
            etag: meta.etag.clone(),
            last_modified_ms: meta.last_modified_ms,
            at_ms: arrival.at_ms,
            hour_ms: arrival.hour_ms,
            reread,
        }
    }

    pub(super) fn planned(&self) -> Planned {
        let Self { archive, last_modified_ms, at_ms, hour_ms, .. } = *self;
        let meta = ObjectMeta {
            key: self.key.clone(),
            size: self.size,
            etag: self.etag.clone(),
            last_modified_ms,
            archived: false,
            sha256: None,
        };
        Planned { archive, meta, arrival: Arrival { at_ms, hour_ms } }
    }
}

/// What became of one object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Outcome {
    /// Its place in the driver's plan.
    pub(super) index: usize,
    pub(super) end: End,
    /// It, with the offsets and ordinals of its rows, where the lake may have rejects of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reread: Option<(TaskObject, Vec<(u64, u32)>)>,
}

/// How reading an object ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum End {
    Read(Box<Tally>),
    Failed(Failure),
}

/// A [`StoreError`] on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failure {
    kind: String,
    operation: String,
    uri: String,
    message: String,
}

impl From<&StoreError> for Failure {
    fn from(error: &StoreError) -> Self {
        Self {
            kind: kind_name(error.kind).to_owned(),
            operation: error.operation.to_owned(),
            uri: error.uri.clone(),
            message: error.message.clone(),
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        let kinds = [
            StoreErrorKind::NotFound,
            StoreErrorKind::Precondition,
            StoreErrorKind::Conflict,
            StoreErrorKind::Denied,
            StoreErrorKind::Archived,
            StoreErrorKind::Unavailable,
        ];
        let kind = kinds.into_iter().find(|kind| kind_name(*kind) == failure.kind);
        let operation = ["listing", "opening"].into_iter().find(|word| *word == failure.operation);
        let kind = kind.unwrap_or(StoreErrorKind::Other);
        Self::new(kind, operation.unwrap_or("reading"), failure.uri, failure.message)
    }
}

/// What was counted on the way to the parts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    /// Rows that an equal one stands for.
    pub(super) duplicates: u64,
    /// Rejects that the lake had.
    pub(super) rejects_known: u64,
    /// Rows of the rejects table, by state.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) states: BTreeMap<String, u64>,
    /// Rows that may not come into the lake.
    pub(super) forgotten_rows: u64,
    /// Rejects that may not.
    pub(super) forgotten_rejects: u64,
}

pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> anyhow::Result<T> {
    serde_json::from_slice(bytes).context("what the driver and its workers tell each other")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::product::Products;
    use crate::lake::record::Limits;

    fn context(bits: &[(&str, u8)]) -> Context {
        let limits = Limits {
            object_bytes_max: 1,
            document_bytes_max: 1,
            depth_max: 1,
            zip_entries_max: 1,
            entities_max: 1,
        };
        Context {
            program: PROGRAM.to_owned(),
            version: 0,
            run: "r".to_owned(),
            partition: PartitionBy::Day,
            settings: Settings { products: Products::Health, limits, reader_generation: 1 },
            archives: Vec::new(),
            lake: String::new(),
            tombstones: Vec::new(),
            slice_bits: bits.iter().map(|(name, bits)| (name.parse().unwrap(), *bits)).collect(),
        }
    }

    #[test]
    fn the_first_bits_of_a_row_id_tell_its_slice() {
        let context = context(&[("2026-11-24", 2)]);
        let (cut, whole) = ("2026-11-24".parse().unwrap(), "2026-11-25".parse().unwrap());
        assert_eq!((context.slices(cut), context.slices(whole)), (4, 1));
        for slice in 0..4_u32 {
            let first = u128::from(slice) << 126;
            assert_eq!(context.slice(cut, first), slice);
            assert_eq!(context.slice(cut, first + ((1 << 126) - 1)), slice);
        }
        assert_eq!(context.slice(whole, u128::MAX), 0);
        let bytes = serde_json::to_vec(&context).unwrap();
        assert_eq!(Context::parse(&bytes).unwrap(), context);
    }

    #[test]
    fn a_failure_is_told_as_it_was() {
        let error = StoreError::new(StoreErrorKind::Denied, "reading", "s3://b/k", "no access");
        let back = StoreError::from(Failure::from(&error));
        assert_eq!(back.to_string(), error.to_string());
        assert_eq!((back.kind, back.operation), (error.kind, error.operation));
    }
}
