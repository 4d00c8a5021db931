//! The table of what could not become a finding.

use super::dedupe::Pick;
use super::error::LakeResult;
use super::ids::IdSet;
use super::layout::PartitionBy;
use super::part::EncodedPart;
use crate::finding::place::Place;
use crate::finding::reject::Reject;
use arrow::datatypes::SchemaRef;

/// A reject and the object it comes from.
#[derive(Debug, Clone)]
pub struct RejectRow {
    /// The object.
    pub place: Place,
    /// The reject.
    pub reject: Reject,
}

/// The columns of the rejects table.
pub fn schema() -> SchemaRef {
    todo!()
}

/// The id of a reject: 128 bits over object URI, etag, byte range, ordinal and reason.
pub fn reject_id(place: &Place, reject: &Reject) -> u128 {
    todo!("{place:?} {reject:?}")
}

/// The new rejects by partition of their arrival, sorted by (object, offset, ordinal, reason). Picks
/// are of batch 0.
pub fn select(rows: &[RejectRow], known: &IdSet, by: PartitionBy) -> super::dedupe::Selection {
    todo!("{rows:?} {known:?} {by:?}")
}

/// Encodes these rejects, in this order, as one part.
pub fn encode(rows: &[RejectRow], picks: &[Pick]) -> LakeResult<EncodedPart> {
    todo!("{rows:?} {picks:?}")
}
