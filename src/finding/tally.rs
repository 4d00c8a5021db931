//! Counts of what an object's bytes became. Every count is kept where the thing happens, so that
//! the sums of a run compare numbers that came by different paths.

use std::collections::BTreeMap;
use std::mem::size_of;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// Bytes of an object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByteTally {
    /// As stored.
    pub compressed: u64,
    /// As unpacked; counted by the unpacker.
    pub decompressed: u64,
    /// In documents that are not rejected.
    pub in_documents: u64,
    /// White space, commas, brackets of the outer array, byte order marks, literal `\n`; counted by the splitter.
    pub between_documents: u64,
    /// In rejects.
    pub rejected: u64,
}

/// Documents: outermost JSON values, and bytes that are none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentTally {
    /// All of them.
    pub read: u64,
    /// Those with at least one finding that is not passed over.
    pub with_findings: u64,
    /// Those that hold nothing for the table.
    pub passed_over: u64,
    /// Those that are one reject.
    pub rejected: u64,
}

/// Findings in the documents that are `with_findings`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingTally {
    /// All of them.
    pub read: u64,
    /// Became rows of the wave (before duplicates are dropped).
    pub rows: u64,
    /// Of other products.
    pub passed_over: u64,
    /// Became rejects.
    pub rejected: u64,
}

/// How many distinct names a map of names counts; further ones count as `(other)`.
pub const NAMES_MAX: usize = 1_000;

/// How many characters of a field's name it is counted under.
pub const NAME_CHARS_MAX: usize = 100;

/// A count for each name, bounded in names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NameTally(pub BTreeMap<String, u64>);

impl NameTally {
    /// Adds `count` to `name`.
    pub fn add(&mut self, name: &str, count: u64) {
        if let Some(sum) = self.0.get_mut(name) {
            *sum += count;
        } else if self.0.len() < NAMES_MAX {
            self.0.insert(name.to_owned(), count);
        } else {
            *self.0.entry("(other)".to_owned()).or_default() += count;
        }
    }

    /// The sum over all names.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

impl AddAssign<&NameTally> for NameTally {
    fn add_assign(&mut self, other: &NameTally) {
        for (name, count) in &other.0 {
            self.add(name, *count);
        }
    }
}

/// What one object's bytes, or those of many, became.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Bytes.
    pub bytes: ByteTally,
    /// Documents.
    pub documents: DocumentTally,
    /// Findings.
    pub findings: FindingTally,
    /// Rows by schema: `native`, `asff`, `ocsf`.
    pub by_shape: NameTally,
    /// Documents and findings that were passed over, by kind.
    pub passed_over_by_kind: NameTally,
    /// Rejects by reason.
    pub by_reason: NameTally,
    /// Fields the table has no column for, as `asff.Name`; they are kept in `unmapped_json`.
    pub unknown_fields: NameTally,
    /// Values that could not be read, by column; they are null there and kept in `unmapped_json`.
    pub unreadable_fields: NameTally,
    /// Invalid bytes and lone surrogates that became U+FFFD.
    pub repaired_text: u64,
    /// Findings that name no account.
    pub account_unknown: u64,
}

impl Tally {
    /// About how many bytes of memory it takes.
    pub fn held_bytes(&self) -> usize {
        let maps = [
            &self.by_shape,
            &self.passed_over_by_kind,
            &self.by_reason,
            &self.unknown_fields,
            &self.unreadable_fields,
        ];
        let names = maps.into_iter().flat_map(|map| map.0.keys());
        // A name, its count, and its share of the tree.
        size_of::<Self>() + names.map(|name| name.len() + 64).sum::<usize>()
    }
}

impl AddAssign<&Tally> for Tally {
    fn add_assign(&mut self, other: &Tally) {
        self.bytes.compressed += other.bytes.compressed;
        self.bytes.decompressed += other.bytes.decompressed;
        self.bytes.in_documents += other.bytes.in_documents;
        self.bytes.between_documents += other.bytes.between_documents;
        self.bytes.rejected += other.bytes.rejected;
        self.documents.read += other.documents.read;
        self.documents.with_findings += other.documents.with_findings;
        self.documents.passed_over += other.documents.passed_over;
        self.documents.rejected += other.documents.rejected;
        self.findings.read += other.findings.read;
        self.findings.rows += other.findings.rows;
        self.findings.passed_over += other.findings.passed_over;
        self.findings.rejected += other.findings.rejected;
        self.by_shape += &other.by_shape;
        self.passed_over_by_kind += &other.passed_over_by_kind;
        self.by_reason += &other.by_reason;
        self.unknown_fields += &other.unknown_fields;
        self.unreadable_fields += &other.unreadable_fields;
        self.repaired_text += other.repaired_text;
        self.account_unknown += other.account_unknown;
    }
}
