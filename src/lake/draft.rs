//! A commit before it has a number: what a run, a repair, a redrive or an erasure wants to record.
//!
//! In: a [`Draft`] whose files are staged for the next number, and the version that it was made
//! against. Out: a commit that is recorded, published and done, or the word that another run has the
//! number. What goes wrong is that of [`Log::try_commit`] and [`Log::publish`]: the next run completes or
//! forgets it. Every command that writes to a lake goes through here; none has a second way.

use super::error::LakeResult;
use super::log::{Committed, Log, random_id};
use super::publish::Published;
use super::record::{
    Carried, FileRecord, Objects, Purpose, RECORD_FORMAT, Record, Settings, Tombstone, Totals,
    Withdrawn,
};
use super::under_way;
use crate::store::fail_point::{self, FailPoint};

/// What a commit is to say.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The run that staged the files.
    pub run: String,
    /// Why the commit is made.
    pub purpose: Purpose,
    /// What a person gave as the reason.
    pub reason: Option<String>,
    /// What its objects were read under.
    pub settings: Settings,
    /// When the run began, as RFC 3339 text.
    pub started_at: String,
    /// Now, as RFC 3339 text: there is no clock here.
    pub committed_at: String,
    /// Objects that are consumed, failed or given up.
    pub objects: Objects,
    /// Files staged for the number after `version`.
    pub files: Vec<FileRecord>,
    /// Files of earlier commits that go out of the lake.
    pub withdrawn: Vec<Withdrawn>,
    /// What may not come back.
    pub tombstones: Vec<Tombstone>,
}

/// How a draft fared.
#[derive(Debug, Clone)]
pub enum Drafted {
    /// Recorded, published and done, under this number.
    Won(u64, Published),
    /// Recorded, so it will be in the lake, but not published: the next run completes it.
    Open(u64, super::LakeError),
    /// Another run has the number: catch up, and make the draft anew.
    Lost,
}

impl Log {
    /// Commits a draft on top of `version`, up to which the caller has seen everything done.
    ///
    /// # Errors
    /// When the store cannot be reached before the record exists, or it is unknown whether it does.
    pub async fn commit(&self, draft: Draft, version: u64) -> LakeResult<Drafted> {
        self.commit_carrying(draft, version, None).await
    }

    /// The same, saying how far another lake is carried over with it.
    ///
    /// # Errors
    /// As [`Log::commit`].
    pub async fn commit_carrying(
        &self,
        draft: Draft,
        version: u64,
        carried: Option<Carried>,
    ) -> LakeResult<Drafted> {
        let number = version + 1;
        let record = Record {
            format: RECORD_FORMAT,
            number,
            commit_id: random_id(),
            program: concat!("healthtrail ", env!("CARGO_PKG_VERSION")).to_owned(),
            purpose: draft.purpose,
            reason: draft.reason,
            deduplicated_against: version,
            settings: draft.settings,
            started_at: draft.started_at,
            committed_at: draft.committed_at,
            totals: Totals::of(&draft.objects, &draft.files),
            objects: self.stage_objects(number, &draft.run, draft.objects).await?,
            run: draft.run,
            files: draft.files,
            withdrawn: draft.withdrawn,
            tombstones: draft.tombstones,
            carried,
        };
        let commit = under_way::begin(number);
        fail_point::reach(FailPoint::BeforeRecord);
        match self.try_commit(&record).await? {
            Committed::Lost => Ok(Drafted::Lost),
            Committed::Won => {
                fail_point::reach(FailPoint::Recorded);
                Ok(match self.publish(&record).await {
                    Ok(published) => {
                        commit.made();
                        Drafted::Won(number, published)
                    }
                    Err(error) => Drafted::Open(number, error),
                })
            }
        }
    }
}
