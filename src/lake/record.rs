//! What a commit says: the JSON of `_healthtrail/log/<number>.json` and of the lists beside it.
//!
//! These are the lake's permanent memory: fields are only ever added, with a default, and a reader
//! skips what it does not know. No clock here: times come as text from the caller.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::ids::hex;
use super::layout::{Partition, Table};
use crate::finding::limits::CountLimits;
pub use crate::finding::product::Products;
use crate::finding::tally::{ByteTally, DocumentTally, FindingTally, NameTally, Tally};

/// The format of records that this program writes, and the newest it reads.
pub const RECORD_FORMAT: u32 = 1;

/// How many objects stand in the record itself; longer lists are a file of their own.
pub const INLINE_OBJECTS_MAX: usize = 10_000;

/// The bounds under which an object was read. A limit that is raised reopens what it cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Limits {
    /// Decompressed bytes of one object.
    pub object_bytes_max: u64,
    /// Bytes of one document.
    pub document_bytes_max: u64,
    /// Nesting of one document.
    pub depth_max: u32,
    /// Entries of one zip archive; programs before this limit took any number.
    #[serde(default = "no_limit")]
    pub zip_entries_max: u32,
    /// Entities or resources of one finding; programs before this limit took any number.
    #[serde(default = "no_limit")]
    pub entities_max: u32,
}

fn no_limit() -> u32 {
    u32::MAX
}

impl Limits {
    /// Those that are no bytes.
    pub fn counts(&self) -> CountLimits {
        let Self { depth_max, zip_entries_max, entities_max, .. } = *self;
        CountLimits { depth_max, zip_entries_max, entities_max }
    }
}

/// What decides which of an object's findings become rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Settings {
    /// Which products are kept.
    pub products: Products,
    /// The bounds.
    pub limits: Limits,
    /// Counts up whenever the program learns to read a document that it passed over before.
    pub reader_generation: u32,
}

/// Why a commit was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// A wave of `run`.
    #[default]
    Run,
    /// `verify --repair` took out what is missing or damaged.
    Repair,
    /// `redrive` read rejects or what was passed over again.
    Redrive,
    /// `forget` erased rows.
    Forget,
    /// `ledger accept` gave objects up.
    Accept,
    /// `rebuild` carried another lake over.
    Rebuild,
}

impl Purpose {
    /// The name in records and output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Repair => "repair",
            Self::Redrive => "redrive",
            Self::Forget => "forget",
            Self::Accept => "accept",
            Self::Rebuild => "rebuild",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
    fn is_run(&self) -> bool {
        *self == Self::Run
    }
}

/// One commit: what it names is in the lake.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`RECORD_FORMAT`] of the program that wrote it.
    pub format: u32,
    /// Its place in the log, from 1.
    pub number: u64,
    /// Random: tells whether a record found under this number is one's own.
    pub commit_id: String,
    /// The run that wrote it, which names its staging.
    pub run: String,
    /// The program and its version.
    pub program: String,
    /// Why it was made.
    #[serde(default, skip_serializing_if = "Purpose::is_run")]
    pub purpose: Purpose,
    /// What a person gave as the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The commit up to which its rows were compared with the lake; always `number - 1`.
    pub deduplicated_against: u64,
    /// What its objects were read under.
    pub settings: Settings,
    /// When the run began, as RFC 3339 text.
    pub started_at: String,
    /// When the record was made, as RFC 3339 text.
    pub committed_at: String,
    /// The objects it consumed, and those that failed.
    pub objects: ObjectList,
    /// The files it adds.
    pub files: Vec<FileRecord>,
    /// Sums over its objects and files.
    pub totals: Totals,
    /// Files of earlier commits that it takes out of the lake.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withdrawn: Vec<Withdrawn>,
    /// What must never come into the lake again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tombstones: Vec<Tombstone>,
    /// How far another lake is carried over with it; only of a rebuild.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried: Option<Carried>,
}

/// What of another lake is in this one with a commit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// The commit id of the other lake's first record, which tells it from all others wherever it lies.
    pub lake: String,
    /// The other lake's version that was read.
    pub version: u64,
    /// Stretches of time (the longer partition of the two lakes) whose rows up to that version are here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partitions: Vec<(Table, Partition)>,
    /// The other lake's commit up to which its objects are in this ledger; 0 for none yet.
    #[serde(default)]
    pub objects: u64,
}

/// A commit's objects, in the record or beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectList {
    /// At most [`INLINE_OBJECTS_MAX`] of them.
    Inline(Objects),
    /// In a file named by its content.
    File(ObjectsFile),
}

/// The objects of a commit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Objects {
    /// Those whose findings are in the lake now.
    pub consumed: Vec<ObjectRecord>,
    /// Those that could not be read; they stay out of the ledger.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<FailedObject>,
    /// Those that somebody gave up for good: they count as consumed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<AcceptedObject>,
}

impl Objects {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.consumed.len() + self.failed.len() + self.accepted.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Where a long list of objects lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectsFile {
    /// Before it is published.
    pub staged: String,
    /// After.
    pub key: String,
    /// Its length.
    pub bytes: u64,
    /// Its content, lower-case hex.
    pub sha256: String,
}

/// One consumed object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRecord {
    /// The archive's base URI.
    pub archive: String,
    /// The key below it.
    pub key: String,
    /// The etag it was read with.
    pub etag: String,
    /// Bytes as stored.
    pub size: u64,
    /// Milliseconds since 1970 UTC.
    pub last_modified_ms: i64,
    /// The hour it arrived, in milliseconds since 1970 UTC.
    pub arrived_hour_ms: i64,
    /// What its bytes became.
    pub tally: ObjectTally,
}

/// The counts of one object that later runs need: those whose sums must hold, and what it passed
/// over or rejected, by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectTally {
    /// Bytes.
    pub bytes: ByteTally,
    /// Documents.
    pub documents: DocumentTally,
    /// Findings.
    pub findings: FindingTally,
    /// Documents and findings that were passed over, by kind.
    #[serde(default, skip_serializing_if = "no_names")]
    pub passed_over_by_kind: NameTally,
    /// Rejects by reason.
    #[serde(default, skip_serializing_if = "no_names")]
    pub by_reason: NameTally,
}

fn no_names(names: &NameTally) -> bool {
    names.0.is_empty()
}

impl From<&Tally> for ObjectTally {
    fn from(tally: &Tally) -> Self {
        Self {
            bytes: tally.bytes,
            documents: tally.documents,
            findings: tally.findings,
            passed_over_by_kind: tally.passed_over_by_kind.clone(),
            by_reason: tally.by_reason.clone(),
        }
    }
}

/// One object that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedObject {
    /// The archive's base URI.
    pub archive: String,
    /// The key below it.
    pub key: String,
    /// The etag that was listed.
    pub etag: String,
    /// How it failed, as `denied`, `archived`, `not_found`: an object that fails the same way again is
    /// `still_failing`.
    pub kind: String,
    /// What exactly happened, for a person.
    pub message: String,
}

/// One object that will never be readable, or never may be read again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedObject {
    /// The archive's base URI.
    pub archive: String,
    /// The key below it.
    pub key: String,
    /// The etag that was listed; another etag under the same key is another object.
    pub etag: String,
    /// Why, in a person's words.
    pub reason: String,
}

/// One file that a commit adds to a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// The table.
    pub table: Table,
    /// The partition.
    pub partition: Partition,
    /// Where it lies before it is published.
    pub staged: String,
    /// Where it lies after.
    pub key: String,
    /// How many rows it has.
    pub rows: u64,
    /// Its length.
    pub bytes: u64,
    /// Its content, lower-case hex.
    pub sha256: String,
    /// The least and greatest value of the column that gives the partition, in milliseconds.
    pub time_ms: (i64, i64),
    /// The least and greatest identity, 32 hex digits.
    pub ids: (String, String),
}

/// A file taken out of the lake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawn {
    /// Its final key.
    pub key: String,
    /// The commit that added it, or (for a file of a rebuilt lake) one that consumed its objects.
    pub commit: u64,
    /// Whether the objects of that commit are to be read again. Not so where the same record adds a
    /// file that holds all rows that are to stay.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub reopen: bool,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_yes(value: &bool) -> bool {
    *value
}

/// What was erased and stays so. Only hashes: the record must not keep what it says is forgotten.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tombstone {
    /// All versions of one finding of one account: the first 32 hex digits of the SHA-256 over shape,
    /// finding id and account, each with its length (8 bytes, little-endian) before it.
    Finding(String),
    /// A reject, by its `reject_id`.
    Reject(String),
}

impl Tombstone {
    /// The tombstone of all versions of a finding of this shape, id and account (blank for none).
    pub fn finding(shape: &str, finding_id: &str, account_id: &str) -> Self {
        let mut hash = Sha256::new();
        for text in [shape, finding_id, account_id] {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        }
        let mut digits = hex(&hash.finalize());
        digits.truncate(32);
        Self::Finding(digits)
    }
}

/// Sums of a commit, or of many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Consumed objects.
    pub objects: u64,
    /// Objects that failed.
    pub failed: u64,
    /// Files added.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Rows added to `findings`.
    pub findings: u64,
    /// Rows added to `rejects`.
    pub rejects: u64,
}

/// Counts added up; only a damaged record names more than can be counted, and then its sums differ.
pub(super) fn sum(counts: impl IntoIterator<Item = u64>) -> u64 {
    counts.into_iter().fold(0, u64::saturating_add)
}

impl Totals {
    /// The sums of these objects and files.
    pub fn of(objects: &Objects, files: &[FileRecord]) -> Self {
        let rows = |table| sum(files.iter().filter(|f| f.table == table).map(|f| f.rows));
        Self {
            objects: objects.consumed.len() as u64,
            failed: objects.failed.len() as u64,
            files: files.len() as u64,
            bytes: sum(files.iter().map(|file| file.bytes)),
            findings: rows(Table::Findings),
            rejects: rows(Table::Rejects),
        }
    }
}

impl std::ops::AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.objects = self.objects.saturating_add(other.objects);
        self.failed = self.failed.saturating_add(other.failed);
        self.files = self.files.saturating_add(other.files);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.findings = self.findings.saturating_add(other.findings);
        self.rejects = self.rejects.saturating_add(other.rejects);
    }
}

/// The content of a done mark: what the commit that it closes could not publish.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoneMark {
    /// Files that are in the record and not, or not rightly, in the lake: final key → what is wrong.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub damaged: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed by another program (Python's `hashlib`). Another value would let what was erased come
    /// back into every lake.
    const FROZEN: &str = "bebebea23de9d788f6c4073b9d674a3b";

    #[test]
    fn the_tombstone_of_a_finding_is_frozen() {
        let event = "arn:aws:health:us-east-1::event/EC2/T/E_1";
        let tombstone = Tombstone::finding("asff", event, "111122223333");
        assert_eq!(tombstone, Tombstone::Finding(FROZEN.into()));
        // Texts that run into each other are told apart.
        assert_ne!(Tombstone::finding("a", "bc", "d"), Tombstone::finding("ab", "c", "d"));
    }
}
