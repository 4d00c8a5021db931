//! What a commit says of its objects, and that it is recorded.
//!
//! In: a [`Wave`] and what is staged of it. Out: a record in the log with its files published, or the word
//! that another run has the number. An `Err` is trouble of the store; what was recorded by then is completed
//! by the next run. Memory: the objects of a wave.

use std::time::Instant;

use crate::finding::tally::Tally;
use crate::job::commit::{Committer, Report, Staged};
use crate::job::wave::Wave;
use crate::lake::draft::{Draft, Drafted};
use crate::lake::ledger::Status;
use crate::lake::record::{FailedObject, ObjectRecord, ObjectTally, Objects, Purpose};
use crate::store::{StoreError, StoreErrorKind};

impl Committer {
    /// Records and publishes; `false` when another run took the number.
    pub(super) async fn record(
        &mut self,
        wave: &Wave,
        staged: &Staged,
        report: &mut Report,
    ) -> anyhow::Result<bool> {
        report.failed =
            wave.failed.iter().filter_map(|(index, error)| self.failed(*index, error)).collect();
        let objects = self.objects(wave, &report.failed);
        let unchanged = self.again.as_ref().is_some_and(|again| !again.record_unchanged);
        if staged.files.is_empty() && (unchanged || objects.is_empty()) {
            return Ok(true);
        }
        self.record_objects(objects, staged, report).await
    }

    /// What the wave's objects are in the record. An object that the lake had already does not become a
    /// failed one because it could not be read again, and one that is there in parts is not read.
    fn objects(&self, wave: &Wave, failed: &[(FailedObject, bool)]) -> Objects {
        let again = self.again.as_ref();
        let is_whole = |index| again.is_none_or(|again| !again.salvaged.contains_key(index));
        let consumed = wave.finished.iter().filter(|(index, _)| is_whole(index));
        let new = failed.iter().filter(|(_, still)| !still && again.is_none());
        Objects {
            consumed: consumed.filter_map(|(index, tally)| self.consumed(*index, tally)).collect(),
            failed: new.map(|(failed, _)| failed.clone()).collect(),
            accepted: Vec::new(),
        }
    }

    /// Records these objects and what is staged, and publishes; `false` when another run took the
    /// number.
    pub(super) async fn record_objects(
        &mut self,
        objects: Objects,
        staged: &Staged,
        report: &mut Report,
    ) -> anyhow::Result<bool> {
        let begun = Instant::now();
        let draft = Draft {
            run: self.run.clone(),
            purpose: if self.again.is_some() { Purpose::Redrive } else { Purpose::Run },
            reason: None,
            settings: self.settings,
            started_at: self.started_at.clone(),
            committed_at: jiff::Timestamp::now().to_string(),
            objects,
            files: staged.files.clone(),
            withdrawn: Vec::new(),
            tombstones: Vec::new(),
        };
        let published = match self.log.commit(draft, staged.version).await? {
            Drafted::Lost => return Ok(false),
            Drafted::Won(_, published) => published,
            Drafted::Open(number, error) => {
                return Err(anyhow::Error::from(error).context(format!(
                    "commit {number} is recorded, but not published yet; run again to complete it"
                )));
            }
        };
        self.catch_up().await?;
        report.committed = true;
        report.files.clone_from(&staged.files);
        report.publish_ms = published.milliseconds;
        let [_, _, publish] = &mut report.seconds;
        *publish += begun.elapsed().as_secs_f64();
        Ok(true)
    }

    fn consumed(&self, index: usize, tally: &Tally) -> Option<ObjectRecord> {
        let planned = self.plan.get(index)?;
        Some(ObjectRecord {
            archive: self.archives.get(planned.archive)?.store.base_uri().to_owned(),
            key: planned.meta.key.clone(),
            etag: planned.meta.etag.clone(),
            size: planned.meta.size,
            last_modified_ms: planned.meta.last_modified_ms,
            arrived_hour_ms: planned.arrival.hour_ms,
            tally: ObjectTally::from(tally),
        })
    }

    /// The failure as the record names it, and whether the ledger knows it already.
    fn failed(&self, index: usize, error: &StoreError) -> Option<(FailedObject, bool)> {
        let planned = self.plan.get(index)?;
        let kind = kind_name(error.kind);
        let still = self.status(index) == Status::Failed(kind);
        let failed = FailedObject {
            archive: self.archives.get(planned.archive)?.store.base_uri().to_owned(),
            key: planned.meta.key.clone(),
            etag: planned.meta.etag.clone(),
            kind: kind.to_owned(),
            message: error.to_string(),
        };
        Some((failed, still))
    }
}

/// The name that the ledger remembers a failure by.
pub(crate) fn kind_name(kind: StoreErrorKind) -> &'static str {
    match kind {
        StoreErrorKind::NotFound => "not_found",
        StoreErrorKind::Precondition => "changed",
        StoreErrorKind::Conflict => "conflict",
        StoreErrorKind::Denied => "denied",
        StoreErrorKind::Archived => "archived",
        StoreErrorKind::Unavailable => "unavailable",
        StoreErrorKind::Other => "other",
    }
}
