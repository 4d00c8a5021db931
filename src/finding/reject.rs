//! What could not become a finding: a value with its reason and place, never an error.

use std::ops::Range;

/// How many bytes of a reject are kept with it; its range keeps the whole length.
pub const REJECT_BYTES_MAX: usize = 1 << 20;

/// Where on the way from bytes to rows a reject arose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Decompression.
    Unpack,
    /// Finding the documents in the bytes.
    Split,
    /// Telling what a document is.
    Recognize,
    /// Turning a finding into a row.
    Normalize,
}

/// Why something was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The compressed stream ends too early.
    TruncatedCompression,
    /// The compressed stream is damaged.
    CorruptCompression,
    /// The object holds more decompressed bytes than the limit allows.
    ObjectTooLarge,
    /// The zip archive has more entries than the limit allows.
    TooManyEntries,
    /// The object is of a format that is no archive of events (Parquet, ORC, bzip2, …).
    ForeignFormat,
    /// Bytes that are no JSON document.
    NotJson,
    /// A document that the end of the object cuts off.
    CutDocument,
    /// A document longer than the limit.
    DocumentTooLarge,
    /// A document nested deeper than the limit.
    TooDeep,
    /// A finding with more entities or resources than the limit allows.
    TooManyEntities,
    /// A run of top-level numbers, strings, `true`, `false` or `null`.
    Scalars,
    /// A wrapper (SNS, Firehose error record) whose content cannot be read.
    UnreadableWrapper,
    /// A finding or Health event of a known shape without its identity.
    NoIdentity,
    /// A finding or Health event without any usable time.
    NoTime,
}

impl Stage {
    /// All of them, on the way from bytes to rows.
    pub const ALL: [Self; 4] = [Self::Unpack, Self::Split, Self::Recognize, Self::Normalize];

    /// The name in the rejects table and in summaries.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Unpack => "unpack",
            Stage::Split => "split",
            Stage::Recognize => "recognize",
            Stage::Normalize => "normalize",
        }
    }
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::TruncatedCompression,
        Self::CorruptCompression,
        Self::ObjectTooLarge,
        Self::TooManyEntries,
        Self::ForeignFormat,
        Self::NotJson,
        Self::CutDocument,
        Self::DocumentTooLarge,
        Self::TooDeep,
        Self::TooManyEntities,
        Self::Scalars,
        Self::UnreadableWrapper,
        Self::NoIdentity,
        Self::NoTime,
    ];

    /// Whether a limit is the reason, so that a wider one may bring back what was rejected.
    pub fn is_limit(self) -> bool {
        matches!(
            self,
            Self::ObjectTooLarge
                | Self::TooManyEntries
                | Self::DocumentTooLarge
                | Self::TooDeep
                | Self::TooManyEntities
        )
    }

    /// The name in the rejects table and in summaries.
    pub fn name(self) -> &'static str {
        match self {
            Reason::TruncatedCompression => "truncated_compression",
            Reason::CorruptCompression => "corrupt_compression",
            Reason::ObjectTooLarge => "object_too_large",
            Reason::TooManyEntries => "too_many_entries",
            Reason::ForeignFormat => "foreign_format",
            Reason::NotJson => "not_json",
            Reason::CutDocument => "cut_document",
            Reason::DocumentTooLarge => "document_too_large",
            Reason::TooDeep => "too_deep",
            Reason::TooManyEntities => "too_many_entities",
            Reason::Scalars => "scalars",
            Reason::UnreadableWrapper => "unreadable_wrapper",
            Reason::NoIdentity => "no_identity",
            Reason::NoTime => "no_time",
        }
    }
}

/// A document, a finding inside one, or the rest of an object, that could not become a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Where it arose.
    pub stage: Stage,
    /// Why.
    pub reason: Reason,
    /// What exactly is wrong, for a person.
    pub detail: String,
    /// The byte range in the decompressed object.
    pub range: Range<u64>,
    /// Which finding of its document it is, when it is one of several; `None` for a whole document.
    pub ordinal: Option<u32>,
    /// Its bytes, at most [`REJECT_BYTES_MAX`] of them.
    pub bytes: Vec<u8>,
}
