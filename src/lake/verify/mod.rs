//! Whether a lake is what its log says it is: the checks behind `healthtrail verify`.
//!
//! In: the store of a lake. Out: [`Finding`]s, each with a kind whose name stays, the key, the commit
//! and what to do, and [`Note`]s, which are no damage. `Err` is only trouble of the store, or a lake of
//! a newer program. Nothing here writes. Memory: what the log says of each file, and what
//! [`rows::check_partition`] holds of one partition.
//!
//! Other runs go on meanwhile. A finding is therefore a suspicion until [`History::catch_up`] has been
//! asked again and the place was looked at once more; the conductor does that.

pub mod answers;
pub mod history;
pub mod parts;
pub mod rows;
pub mod sources;
pub mod visible;

use serde::Serialize;

pub use history::{History, Part};

/// What is wrong. The names, in snake case, stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `lake.json` is gone.
    ConfigMissing,
    /// `lake.json` cannot be read.
    ConfigUnreadable,
    /// A commit's record is gone.
    RecordMissing,
    /// A commit's record does not parse.
    RecordUnreadable,
    /// A commit's record has another content than was written.
    RecordAltered,
    /// A commit's record contradicts itself or another one.
    RecordContradicts,
    /// A commit that others follow has no done mark.
    DoneMissing,
    /// A done mark does not parse.
    DoneUnreadable,
    /// A commit is marked done, and none of its files is there.
    DoneWithoutFiles,
    /// A commit's list of objects is gone.
    ObjectsMissing,
    /// A commit's list of objects has another content than was written.
    ObjectsAltered,
    /// A checkpoint does not parse, or is of another log.
    CheckpointUnreadable,
    /// A checkpoint answers otherwise than the log.
    LedgerLies,
    /// Sums over the lake do not hold.
    SumsDiffer,
    /// A part is gone.
    PartMissing,
    /// A part has another content than was written, or is not what its record says.
    PartAltered,
    /// A part could not be published with its commit.
    PartUnpublished,
    /// A visible file that no commit names.
    PartForeign,
    /// A visible file of a commit whose record is lost.
    PartUnrecorded,
    /// A file that was taken out of the lake is still visible.
    PartWithdrawn,
    /// A row stands in the lake twice.
    RowDoubled,
    /// A row lies in a partition that it does not belong to.
    RowMisplaced,
    /// Rows do not lie in the order that the part declares.
    RowsUnsorted,
    /// An object gives a row that the lake lacks.
    RowMissing,
    /// An object gives a row that differs from the lake's.
    RowDiffers,
    /// The lake has a row that its object does not give.
    RowUnexplained,
}

impl Kind {
    /// The name in output.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConfigMissing => "config_missing",
            Self::ConfigUnreadable => "config_unreadable",
            Self::RecordMissing => "record_missing",
            Self::RecordUnreadable => "record_unreadable",
            Self::RecordAltered => "record_altered",
            Self::RecordContradicts => "record_contradicts",
            Self::DoneMissing => "done_missing",
            Self::DoneUnreadable => "done_unreadable",
            Self::DoneWithoutFiles => "done_without_files",
            Self::ObjectsMissing => "objects_missing",
            Self::ObjectsAltered => "objects_altered",
            Self::CheckpointUnreadable => "checkpoint_unreadable",
            Self::LedgerLies => "ledger_lies",
            Self::SumsDiffer => "sums_differ",
            Self::PartMissing => "part_missing",
            Self::PartAltered => "part_altered",
            Self::PartUnpublished => "part_unpublished",
            Self::PartForeign => "part_foreign",
            Self::PartUnrecorded => "part_unrecorded",
            Self::PartWithdrawn => "part_withdrawn",
            Self::RowDoubled => "row_doubled",
            Self::RowMisplaced => "row_misplaced",
            Self::RowsUnsorted => "rows_unsorted",
            Self::RowMissing => "row_missing",
            Self::RowDiffers => "row_differs",
            Self::RowUnexplained => "row_unexplained",
        }
    }

    /// What to do about it.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::ConfigMissing | Self::ConfigUnreadable => "`--repair` writes it anew",
            Self::RecordMissing
            | Self::RecordUnreadable
            | Self::RecordAltered
            | Self::RecordContradicts
            | Self::SumsDiffer => {
                "nothing can compute it anew: restore the object from a version or a backup; where \
                 there is none, `healthtrail run` fills a new lake from the archive"
            }
            Self::DoneMissing | Self::DoneUnreadable => {
                "`--repair`, or the next run, completes the commit again"
            }
            Self::ObjectsMissing | Self::ObjectsAltered => {
                "`--repair` reopens the commit, and the next run reads its objects again"
            }
            Self::CheckpointUnreadable | Self::LedgerLies => {
                "`--repair` deletes it; it is a cache of the log"
            }
            Self::PartForeign => {
                "Athena reads it: move it away, or let `--repair --quarantine-foreign` do so"
            }
            Self::PartUnrecorded => "restore the record of its commit; until then leave it",
            Self::PartWithdrawn => "`--repair` moves it out of the table",
            Self::RowMissing => "`--repair` reopens its commit, and the next run adds the row",
            Self::DoneWithoutFiles
            | Self::PartMissing
            | Self::PartAltered
            | Self::PartUnpublished
            | Self::RowDoubled
            | Self::RowMisplaced
            | Self::RowsUnsorted
            | Self::RowDiffers
            | Self::RowUnexplained => {
                "`--repair` withdraws the part, and the next run reads its objects again"
            }
        }
    }

    /// Whether the part that is named has to leave the lake.
    pub fn withdraws_part(self) -> bool {
        matches!(
            self,
            Self::PartMissing
                | Self::PartAltered
                | Self::PartUnpublished
                | Self::RowDoubled
                | Self::RowMisplaced
                | Self::RowsUnsorted
                | Self::RowDiffers
                | Self::RowUnexplained
        )
    }

    /// Whether it concerns the history itself, which nothing can compute anew.
    pub fn is_of_history(self) -> bool {
        matches!(
            self,
            Self::RecordMissing
                | Self::RecordUnreadable
                | Self::RecordAltered
                | Self::RecordContradicts
        )
    }
}

/// Something that is wrong with the lake.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// What kind of damage.
    pub kind: Kind,
    /// The object of the lake.
    pub key: String,
    /// The commit that it is of, where one is known.
    pub commit: Option<u64>,
    /// What exactly is wrong.
    pub message: String,
    /// What to do.
    pub remedy: &'static str,
}

impl Finding {
    /// A finding of this kind.
    pub fn new(
        kind: Kind,
        key: impl Into<String>,
        commit: impl Into<Option<u64>>,
        message: impl Into<String>,
    ) -> Self {
        let (key, commit, message) = (key.into(), commit.into(), message.into());
        Self { kind, key, commit, message, remedy: kind.remedy() }
    }
}

/// Something worth knowing that is no damage.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Note {
    /// What it is; the names stay.
    pub kind: &'static str,
    /// Where.
    pub key: String,
    /// What exactly.
    pub message: String,
}

impl Note {
    /// A note.
    pub fn new(kind: &'static str, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, key: key.into(), message: message.into() }
    }
}

/// How much of the lake is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Depth {
    /// Names, sizes and hashes, as the store tells them.
    Quick,
    /// Ids and times of every row too.
    #[default]
    Rows,
    /// Every byte and every column.
    Full,
}
