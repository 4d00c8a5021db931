//! What a run says at its end.
//!
//! In: the counts of discovery, of each wave and of each commit. Out: a [`Summary`], which is the JSON
//! of `--summary` as it stands, and [`Summary::check`], which compares the sums that the promises are
//! made of. Both sides of each sum were counted by different code.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::finding::tally::{ByteTally, DocumentTally, NameTally, Tally};

/// Objects of the archives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ObjectCounts {
    /// All that the listing named.
    pub listed: u64,
    /// In the lake before this run.
    pub in_ledger: u64,
    /// Empty, folder markers, excluded, or in an archive storage class.
    pub skipped: u64,
    /// Read and committed by this run.
    pub read: u64,
    /// Could not be read.
    pub failed: u64,
    /// To be read by a later run: outside `--since` and `--until`, or left at `--deadline`.
    pub left: u64,
    /// Of `failed`: those that failed the same way before.
    pub still_failing: u64,
}

/// Findings in the documents that have some.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct FindingCounts {
    /// All of them.
    pub read: u64,
    /// New rows of the lake: counted in the files that this run's commits name.
    pub added: u64,
    /// Rows that the wave or the lake had already.
    pub duplicates: u64,
    /// Of other products, in a document that also has findings for the table.
    pub passed_over: u64,
    /// Rejected.
    pub rejected: u64,
    /// Erased from the lake by `forget`, and so left out.
    pub forgotten: u64,
}

/// Files of the lake.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PartCounts {
    /// Files that this run's commits name.
    pub written: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Seconds of wall clock by stage; stages overlap, so they do not add up to `total`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct StageSeconds {
    /// Opening the lake and folding its log.
    pub open: f64,
    /// Listing the archives.
    pub list: f64,
    /// Waiting for rows to be read.
    pub read: f64,
    /// Comparing with the lake and sorting.
    pub dedupe: f64,
    /// Encoding and staging parts.
    pub stage: f64,
    /// Recording and publishing.
    pub publish: f64,
    /// The whole run.
    pub total: f64,
}

/// An object that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailedObject {
    /// Its URI.
    pub object: String,
    /// What kind of trouble.
    pub kind: String,
    /// What happened.
    pub message: String,
    /// It failed the same way in an earlier run.
    pub still_failing: bool,
}

/// Everything a run has to say.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Objects.
    pub objects: ObjectCounts,
    /// Objects skipped, by reason.
    pub skipped_by_reason: BTreeMap<&'static str, u64>,
    /// The objects that failed; the first [`FAILED_OBJECTS_MAX`] of them.
    pub failed_objects: Vec<FailedObject>,
    /// Bytes.
    pub bytes: ByteTally,
    /// Documents.
    pub documents: DocumentTally,
    /// Findings.
    pub findings: FindingCounts,
    /// Rows read, by schema.
    pub by_shape: NameTally,
    /// Passed over, by kind.
    pub passed_over_by_kind: NameTally,
    /// Rejects, by reason.
    pub by_reason: NameTally,
    /// Fields without a column, by name.
    pub unknown_fields: NameTally,
    /// Values that could not be read, by column.
    pub unreadable_fields: NameTally,
    /// Rejects that the lake had already.
    pub rejects_known: u64,
    /// Rows that were added to the rejects table, by state: `open` for what is new or came back,
    /// `redriven` for what was rejected once and is no more.
    pub rejects_by_state: BTreeMap<&'static str, u64>,
    /// Rejects that were erased from the lake by `forget`, and so left out.
    pub rejects_forgotten: u64,
    /// Findings that name no account.
    pub account_unknown: u64,
    /// Invalid bytes and lone surrogates that became U+FFFD.
    pub repaired_text: u64,
    /// Files written.
    pub parts: PartCounts,
    /// Commits made.
    pub commits: u64,
    /// The lake's version after the run.
    pub version: u64,
    /// Milliseconds in which files of a commit were visible while others were not yet, at most.
    pub publish_ms: u64,
    /// Seconds by stage.
    pub seconds: StageSeconds,
    /// Requests sent again.
    pub retries: u64,
    /// The most memory that the process held.
    pub peak_memory_bytes: Option<u64>,
    /// Seconds from the start of the newest arrival hour in the lake to the end of the run; of several
    /// archives that of the one furthest behind. Nothing for a lake that has no object of them.
    pub lag_seconds: Option<u64>,
    /// The run ended at `--deadline` with objects left.
    pub deadline_reached: bool,
}

/// How many failed objects a summary names; all are counted.
pub const FAILED_OBJECTS_MAX: usize = 1_000;

impl Summary {
    /// Takes in what one committed object's bytes became. `findings.added` and `.duplicates` come
    /// from the files and from dedupe, not from here.
    pub fn add_tally(&mut self, tally: &Tally) {
        let mut sum = Tally {
            bytes: self.bytes,
            documents: self.documents,
            by_shape: std::mem::take(&mut self.by_shape),
            passed_over_by_kind: std::mem::take(&mut self.passed_over_by_kind),
            by_reason: std::mem::take(&mut self.by_reason),
            unknown_fields: std::mem::take(&mut self.unknown_fields),
            unreadable_fields: std::mem::take(&mut self.unreadable_fields),
            ..Tally::default()
        };
        sum += tally;
        self.bytes = sum.bytes;
        self.documents = sum.documents;
        self.by_shape = sum.by_shape;
        self.passed_over_by_kind = sum.passed_over_by_kind;
        self.by_reason = sum.by_reason;
        self.unknown_fields = sum.unknown_fields;
        self.unreadable_fields = sum.unreadable_fields;
        self.findings.read += tally.findings.read;
        self.findings.passed_over += tally.findings.passed_over;
        self.findings.rejected += tally.findings.rejected;
        self.repaired_text += tally.repaired_text;
        self.account_unknown += tally.account_unknown;
    }

    /// Rejects of this run.
    pub fn rejects(&self) -> u64 {
        self.by_reason.total()
    }

    /// Compares the sums that must agree.
    ///
    /// # Errors
    /// A sentence for each sum that does not.
    pub fn check(&self) -> Result<(), Vec<String>> {
        let (o, d, f, b) = (&self.objects, &self.documents, &self.findings, &self.bytes);
        let sums = [
            (
                "objects: listed = in_ledger + skipped + read + failed + left",
                o.listed,
                o.in_ledger + o.skipped + o.read + o.failed + o.left,
            ),
            (
                "documents: read = with_findings + passed_over + rejected",
                d.read,
                d.with_findings + d.passed_over + d.rejected,
            ),
            (
                "findings: read = added + duplicates + passed_over + rejected + forgotten",
                f.read,
                f.added + f.duplicates + f.passed_over + f.rejected + f.forgotten,
            ),
            (
                "bytes: decompressed = in_documents + between_documents + rejected",
                b.decompressed,
                b.in_documents + b.between_documents + b.rejected,
            ),
        ];
        let broken: Vec<String> = sums
            .iter()
            .filter(|(_, left, right)| left != right)
            .map(|(name, left, right)| format!("{name}: {left} is not {right}"))
            .collect();
        if broken.is_empty() { Ok(()) } else { Err(broken) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sum_is_checked() {
        let mut summary = Summary::default();
        assert_eq!(summary.check(), Ok(()));
        summary.objects.listed = 1;
        summary.documents.read = 1;
        summary.findings.added = 1;
        summary.bytes.rejected = 1;
        assert_eq!(summary.check().unwrap_err().len(), 4);
    }

    #[test]
    fn tallies_add_up() {
        let mut tally = Tally::default();
        tally.documents.read = 2;
        tally.bytes.decompressed = 10;
        tally.by_reason.add("not_json", 1);
        let mut summary = Summary::default();
        summary.add_tally(&tally);
        summary.add_tally(&tally);
        assert_eq!((summary.documents.read, summary.bytes.decompressed), (4, 20));
        assert_eq!(summary.rejects(), 2);
    }
}
