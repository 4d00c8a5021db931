//! The objects of closed hours, read back from the records of the commits that consumed them.
//!
//! In: hours. Out: their objects as the log has them. A list that is lost gives none: its objects are
//! read again, and dedupe strikes out their rows. Memory: a few records at a time, and what is asked for.

use std::collections::{BTreeSet, HashMap};

use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{Entry, Hour, Ids, Ledger, ObjectId, Profile, Status};
use crate::lake::error::{LakeError, LakeResult};
use crate::lake::layout::record_key;
use crate::lake::log::Log;
use crate::lake::record::{FailedObject, Record, Settings};

/// Records read at once.
const READ_AHEAD: usize = 4;
/// Ids that may lie beside closed hours before they are brought together with them.
const BESIDE_MAX: usize = 100_000;
/// Objects of hours that are brought together at once.
const SETTLED_OBJECTS: u64 = 500_000;

/// Which hours are brought together with what was consumed in them since they were closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settle {
    /// Those that can close again.
    Closable,
    /// Those too where something waits to be read; they stay open.
    All,
}

impl Log {
    /// Where an object stands for a run of these settings, whatever it takes to know it. Never
    /// [`Status::Closed`].
    ///
    /// # Errors
    /// The store's, and damage of the log.
    pub async fn status<'a>(
        &self,
        ledger: &'a Ledger,
        (archive, key, etag): (&str, &str, &str),
        last_modified_ms: i64,
        settings: &Settings,
    ) -> LakeResult<Status<'a>> {
        let uri = format!("{archive}/{key}");
        let id = ObjectId::of(&uri, etag);
        let hour = ledger.hour_of(&uri, last_modified_ms);
        let status = ledger.judge(id, hour, None, settings);
        let (Status::Closed, Some(hour)) = (status, hour) else { return Ok(status) };
        let held = self.read_back(ledger, &BTreeSet::from([hour])).await?;
        let none = Ids::default();
        Ok(ledger.judge(id, Some(hour), Some(held.get(&hour).unwrap_or(&none)), settings))
    }

    /// Those of the objects that failed and were neither read nor given up since that `keep` wants,
    /// told by their URI, with the commit that says so.
    ///
    /// # Errors
    /// The store's, and damage of the log.
    pub async fn failed_objects(
        &self,
        ledger: &Ledger,
        mut keep: impl FnMut(&str) -> bool,
    ) -> LakeResult<Vec<(u64, FailedObject)>> {
        let commits: BTreeSet<u32> = ledger.failed.values().map(|failure| failure.commit).collect();
        let mut failed = Vec::new();
        self.for_each_commit(&commits, |record, objects| {
            for object in &objects.failed {
                let uri = format!("{}/{}", object.archive, object.key);
                let failure = ledger.failed.get(&ObjectId::of(&uri, &object.etag));
                if failure.is_some_and(|failure| u64::from(failure.commit) == record.number)
                    && keep(&uri)
                {
                    failed.push((record.number, object.clone()));
                }
            }
        })
        .await?;
        Ok(failed)
    }

    /// The objects that closed hours had when they were closed.
    pub(super) async fn read_back(
        &self,
        ledger: &Ledger,
        hours: &BTreeSet<Hour>,
    ) -> LakeResult<HashMap<Hour, Ids>> {
        let closed = hours.iter().filter_map(|hour| ledger.closed.get(hour));
        let commits: BTreeSet<u32> =
            closed.flat_map(|closed| closed.groups.iter().map(|group| group.commit)).collect();
        let mut held: HashMap<Hour, Ids> = HashMap::new();
        self.for_each_commit(&commits, |record, objects| {
            let commit = u32::try_from(record.number).unwrap_or(u32::MAX);
            for object in &objects.consumed {
                let uri = format!("{}/{}", object.archive, object.key);
                let hour = ledger.hour_of(&uri, object.last_modified_ms);
                let Some(hour) = hour.filter(|hour| hours.contains(hour)) else { continue };
                // Commits of other hours may have consumed objects of this one since it was closed.
                let closed = ledger.closed.get(&hour);
                let groups = closed.map(|closed| &*closed.groups).unwrap_or_default();
                if !groups.iter().any(|group| group.commit == commit) {
                    continue;
                }
                let profile = Profile::of(record.settings, object);
                let profile = ledger.profile_numbers.get(&profile).copied().unwrap_or(u32::MAX);
                let id = ObjectId::of(&uri, &object.etag);
                held.entry(hour).or_default().insert(id, Entry::of(commit, profile, object));
            }
        })
        .await?;
        Ok(held)
    }

    async fn for_each_commit(
        &self,
        commits: &BTreeSet<u32>,
        mut visit: impl FnMut(&Record, &crate::lake::record::Objects),
    ) -> LakeResult<()> {
        let records = commits.iter().map(|commit| async move {
            let number = u64::from(*commit);
            let record = self.record(number).await?;
            record.ok_or_else(|| LakeError::damaged(record_key(number), "is gone"))
        });
        let mut records = stream::iter(records).buffered(READ_AHEAD);
        while let Some(record) = records.try_next().await? {
            if let Some(objects) = self.read_objects(&record.objects).await? {
                visit(&record, &objects);
            }
        }
        Ok(())
    }

    /// Brings closed hours together with what was consumed in them since, when that has become much.
    pub(in crate::lake) async fn settle_hours_if_much(
        &self,
        ledger: &mut Ledger,
    ) -> LakeResult<()> {
        if ledger.beside() <= ledger.settle_above.max(BESIDE_MAX) {
            return Ok(());
        }
        self.settle_hours(ledger, Settle::Closable).await?;
        // What cannot be brought together yet is not tried with every commit.
        ledger.settle_above = ledger.beside() * 2;
        Ok(())
    }

    /// Brings closed hours together with what was consumed in them since.
    ///
    /// # Errors
    /// The store's, and damage of the log.
    pub async fn settle_hours(&self, ledger: &mut Ledger, which: Settle) -> LakeResult<()> {
        let hours: Vec<(Hour, u64)> = ledger
            .open
            .keys()
            .filter_map(|hour| Some((*hour, ledger.closed.get(hour)?.figures.objects)))
            .collect();
        let mut rest = hours.as_slice();
        while !rest.is_empty() {
            let mut sum = 0;
            let more = rest.iter().skip(1).take_while(|(_, objects)| {
                sum += objects;
                sum < SETTLED_OBJECTS
            });
            let (batch, after) = rest.split_at(1 + more.count());
            rest = after;
            let batch: BTreeSet<Hour> = batch.iter().map(|(hour, _)| *hour).collect();
            let held = self.read_back(ledger, &batch).await?;
            for (hour, ids) in held {
                ledger.unite(hour, ids, which);
            }
            ledger.close_hours();
        }
        Ok(())
    }
}

impl Ledger {
    /// How many ids lie beside closed hours.
    fn beside(&self) -> usize {
        let beside = self.open.iter().filter(|(hour, _)| self.closed.contains_key(hour));
        beside.map(|(_, ids)| ids.len()).sum()
    }

    /// `held` are the objects of a closed hour. Where the log no longer gives all of them it stays as
    /// it is.
    fn unite(&mut self, hour: Hour, held: Ids, which: Settle) {
        let Some(closed) = self.closed.get(&hour) else { return };
        if super::Sum::of(held.keys()) != closed.sum() {
            return;
        }
        let mut late = closed.late;
        let mut all = held;
        for (id, entry) in self.open.get(&hour).into_iter().flatten() {
            late += u64::from(all.insert(*id, *entry).is_none());
        }
        if which == Settle::Closable && !self.may_close(hour, &all) {
            return;
        }
        self.closed.remove(&hour);
        self.checked.remove(&hour);
        self.reopened.insert(hour, late);
        self.open.insert(hour, all);
        self.has_news = true;
    }
}
