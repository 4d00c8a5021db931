//! Where a row or a reject comes from.

use std::ops::Range;
use std::sync::Arc;

/// One object of an archive, as its rows remember it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The full URI: `s3://bucket/key` or `file:///folder/key`.
    pub object: Arc<str>,
    /// The change token that the store gave it.
    pub etag: Arc<str>,
    /// The hour it arrived, in milliseconds since 1970 UTC.
    pub arrived_hour_ms: i64,
}

/// One finding's place inside an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The byte range of the outermost document in the decompressed object.
    pub range: Range<u64>,
    /// Which finding of its document it is, from 0.
    pub ordinal: u32,
}
