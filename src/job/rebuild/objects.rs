//! The ledger, carried over: which objects the old lake has read, given up, or failed to read.
//!
//! In: the old lake's records, in order, each once. Out: commits with the same objects under the same
//! settings, so that runs into the new lake go on with the archive where the old one is. Objects of commits
//! that lost a file stay unknown: they are to be read again. A list that is lost is counted; its objects
//! are read again too. Memory: one list of objects, and [`READ_AHEAD`](crate::lake::history) records.

use std::collections::HashSet;

use futures::TryStreamExt as _;

use crate::job::rebuild::{Batch, Rebuild, Step, Told};
use crate::lake::record::{INLINE_OBJECTS_MAX, Objects, Settings};

/// Objects that are put together into one commit; those of one old commit are never torn apart.
const COMMIT_OBJECTS_MAX: usize = INLINE_OBJECTS_MAX;

impl Rebuild<'_> {
    pub(super) async fn carry_objects(&mut self) -> anyhow::Result<Step> {
        let last = self.old_ledger.version();
        let first = self.carry.objects + 1;
        let old_log = self.old_log.clone();
        let records = old_log.records(first, last);
        futures::pin_mut!(records);
        let mut objects = Objects::default();
        let mut settings: Option<Settings> = None;
        while let Some(record) = records.try_next().await? {
            let number = record.number;
            let Some(more) = old_log.read_objects(&record.objects).await? else {
                self.summary.lost_lists += 1;
                continue;
            };
            let more = self.carried(number, more.into_owned());
            if more.is_empty() {
                continue;
            }
            let fits = objects.len() + more.len() <= COMMIT_OBJECTS_MAX;
            if !objects.is_empty() && (settings != Some(record.settings) || !fits) {
                let full = std::mem::take(&mut objects);
                if self.commit_objects(full, settings, number - 1, last).await? == Step::Overtaken {
                    return Ok(Step::Overtaken);
                }
            }
            settings = Some(record.settings);
            append(&mut objects, more);
        }
        if self.carry.objects < last {
            return self.commit_objects(objects, settings, last, last).await;
        }
        Ok(Step::Done)
    }

    /// What of a commit's objects the new lake may count as read.
    fn carried(&self, number: u64, mut objects: Objects) -> Objects {
        if self.history.reopened.contains(&number) {
            objects.consumed.clear();
        }
        objects
    }

    async fn commit_objects(
        &mut self,
        objects: Objects,
        settings: Option<Settings>,
        up_to: u64,
        last: u64,
    ) -> anyhow::Result<Step> {
        let batch = Batch { objects, up_to: Some(up_to), ..Batch::default() };
        let settings = match settings {
            Some(settings) => settings,
            None => self.settings()?,
        };
        let step = self.commit_under(batch, settings).await?;
        if step == Step::Done {
            (self.options.told)(Told::Objects { done: up_to, of: last });
        }
        Ok(step)
    }
}

/// Adds the objects of a later commit. One that failed before and was read or given up then has not failed
/// any more, which one list for both would not say.
fn append(objects: &mut Objects, more: Objects) {
    if !objects.failed.is_empty() {
        let consumed = more.consumed.iter().map(|one| (&one.archive, &one.key, &one.etag));
        let accepted = more.accepted.iter().map(|one| (&one.archive, &one.key, &one.etag));
        let settled: HashSet<_> = consumed.chain(accepted).collect();
        objects.failed.retain(|one| !settled.contains(&(&one.archive, &one.key, &one.etag)));
    }
    objects.consumed.extend(more.consumed);
    objects.failed.extend(more.failed);
    objects.accepted.extend(more.accepted);
}
