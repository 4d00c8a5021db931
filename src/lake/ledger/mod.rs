//! The log, folded: which objects are in the lake, and which files make it up.
//!
//! In: commit records, in order. Out: where an object stands, which files a partition has, and what
//! stops a run. It is a cache: folding the whole log gives the same. A record out of order, of a newer
//! format, or whose sums do not hold is a [`LakeError`].
//!
//! Objects are kept by arrival hour ([`hours`]). An open hour lists them. 72 hours after its end, by
//! the newest `LastModified` that the log has seen, it closes: a count, a digest, and the commits and
//! profiles of its objects stay. It does not close while something in it waits to be read. What an
//! archive lists is held against both ([`compare`]); where a closed hour differs, the objects of its
//! commits are read back from the log and compared one by one ([`read_back`]). What is consumed in a closed
//! hour is listed beside it until the two are brought together. Memory: some 80 bytes for each object of
//! an open hour, 200 for each closed hour, and some 300 for each file.

pub mod compare;
mod differ;
pub mod files;
mod hours;
pub mod overview;
mod profile;
pub mod read_back;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::error::{LakeError, LakeResult};
use super::ids::IdState;
use super::layout::{Partition, Table, record_key};
use super::record::{
    AcceptedObject, DoneMark, FailedObject, Objects, Products, RECORD_FORMAT, Record, Settings,
    Tombstone, Totals,
};
pub use hours::Figures;
pub(super) use hours::{Closed, Entry, Group, Hour, Ids, ObjectId, Roots, Sum};
use hours::{HOUR_MS, OPEN_MS, hour_number, root_of};
pub use profile::OTHER_PRODUCT;
pub(super) use profile::Profile;

/// Where an object stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status<'a> {
    /// The log does not know it: to be read.
    Unknown,
    /// Its findings are in the lake.
    Consumed,
    /// It was read under settings that passed over what these would keep, or its commit lost a
    /// file: to be read again.
    Reopened,
    /// It could not be read, in this way; to be tried again.
    Failed(&'a str),
    /// It was not consumed since its hour was closed; whether it was before, [`Log::status`] reads
    /// back from the log.
    ///
    /// [`Log::status`]: super::log::Log::status
    Closed,
}

/// One visible file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerFile {
    /// The commit that added it.
    pub commit: u64,
    /// Its key.
    pub key: String,
    /// How many rows it has.
    pub rows: u64,
    /// Its length.
    pub bytes: u64,
    /// Its content, lower-case hex.
    pub sha256: String,
}

/// A file that a commit names and that could not be published rightly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DamagedFile {
    /// What the log says of it.
    pub file: LedgerFile,
    /// What is wrong.
    pub message: String,
}

/// What the ledger remembers of an object that could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failure {
    /// Index into [`Ledger::failure_kinds`].
    pub(super) kind: u32,
    /// The commit that names it.
    pub(super) commit: u32,
    /// Its hour, where its URI tells it.
    pub(super) hour: Option<Hour>,
}

/// What was last found in a closed hour whose objects are not all listed any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Checked {
    /// The listed objects of it that might be read, all of which were consumed.
    pub(super) listed: Sum,
    /// For a run of these settings.
    pub(super) settings: Settings,
    /// How many of its objects were not listed.
    pub(super) expired: u64,
}

/// Objects that other runs consume while this one is at work.
#[derive(Debug, Clone, Default, PartialEq)]
struct Watch {
    run: String,
    ids: HashMap<ObjectId, Entry, IdState>,
    /// The last commit that took files out of the lake.
    withdrawal: u64,
}

/// The log folded up to [`Ledger::version`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ledger {
    pub(super) version: u64,
    /// The commit id of record `version`: a checkpoint of another history is told by it.
    pub(super) commit_id: String,
    /// The commit that the last checkpoint holds.
    pub(super) checkpoint: u64,
    /// An open commit was folded as if it were complete.
    pub(super) looked_ahead: bool,
    pub(super) products: Option<Products>,
    pub(super) totals: Totals,
    /// The newest `LastModified` of any consumed object: by it hours close.
    pub(super) newest_ms: i64,
    pub(super) roots: Roots,
    /// Objects of open hours, and those consumed in closed hours since they were closed.
    pub(super) open: BTreeMap<Hour, Ids>,
    pub(super) closed: BTreeMap<Hour, Closed>,
    /// Hours that were closed once and are open: how many objects came late.
    pub(super) reopened: BTreeMap<Hour, u64>,
    pub(super) checked: BTreeMap<Hour, Checked>,
    /// Something was found out that no record says, and that a checkpoint should keep.
    pub(super) has_news: bool,
    /// Above so many ids of closed hours they are brought together with them.
    settle_above: usize,
    watch: Option<Watch>,
    pub(super) profiles: Vec<Profile>,
    profile_numbers: HashMap<Profile, u32>,
    pub(super) failed: HashMap<ObjectId, Failure, IdState>,
    failed_hours: HashMap<Hour, u64>,
    pub(super) failure_kinds: Vec<String>,
    pub(super) files: BTreeMap<(Table, Partition), Vec<LedgerFile>>,
    pub(super) damaged: BTreeMap<(Table, Partition), Vec<DamagedFile>>,
    pub(super) withdrawn_commits: BTreeSet<u64>,
    pub(super) accepted: Vec<AcceptedObject>,
    accepted_ids: HashSet<ObjectId, IdState>,
    pub(super) tombstones: BTreeSet<Tombstone>,
}

impl Ledger {
    /// The number of the last commit in it; 0 for an empty lake.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Where this object stands for a run of these settings, as far as the ledger alone can tell.
    pub fn status(
        &self,
        archive: &str,
        key: &str,
        etag: &str,
        last_modified_ms: i64,
        settings: &Settings,
    ) -> Status<'_> {
        let uri = format!("{archive}/{key}");
        let hour = self.hour_of(&uri, last_modified_ms);
        self.judge(ObjectId::of(&uri, etag), hour, None, settings)
    }

    /// The hour of an object; `None` when nothing of its root was ever consumed.
    fn hour_of(&self, uri: &str, last_modified_ms: i64) -> Option<Hour> {
        let root = self.roots.find(root_of(uri))?;
        Some(Hour { number: hour_number(uri, last_modified_ms), root })
    }

    /// `held` are the objects of its closed hour, where they were read back.
    fn judge(
        &self,
        id: ObjectId,
        hour: Option<Hour>,
        held: Option<&Ids>,
        settings: &Settings,
    ) -> Status<'_> {
        let watched = self.watch.as_ref().and_then(|watch| watch.ids.get(&id));
        let open = hour.and_then(|hour| self.open.get(&hour)?.get(&id));
        let entry = watched.or(open).or_else(|| held?.get(&id));
        let is_consumed = entry.is_some_and(|entry| !self.is_reopened(entry, settings));
        if is_consumed || self.accepted_ids.contains(&id) {
            return Status::Consumed;
        }
        let kind = self.failed.get(&id);
        let kind = kind.and_then(|failure| self.failure_kinds.get(failure.kind as usize));
        match (kind, entry) {
            (Some(kind), _) => Status::Failed(kind),
            (None, Some(_)) => Status::Reopened,
            (None, None)
                if held.is_none() && hour.is_some_and(|hour| self.closed.contains_key(&hour)) =>
            {
                Status::Closed
            }
            (None, None) => Status::Unknown,
        }
    }

    fn is_reopened(&self, entry: &Entry, settings: &Settings) -> bool {
        self.reopens(entry.commit, entry.profile, settings)
    }

    /// Whether objects that this commit consumed under this profile are to be read again.
    fn reopens(&self, commit: u32, profile: u32, settings: &Settings) -> bool {
        self.withdrawn_commits.contains(&u64::from(commit))
            || self.profiles.get(profile as usize).is_none_or(|profile| profile.reopens(settings))
    }

    /// From now on objects that other runs than `run` consume are remembered one by one, so that
    /// [`Ledger::status`] tells of an object that was planned who else took it.
    pub fn watch(&mut self, run: &str) {
        self.watch = Some(Watch { run: run.to_owned(), ids: HashMap::default(), withdrawal: 0 });
    }

    /// The last commit since [`Ledger::watch`] that took files out of the lake, 0 for none: what was seen
    /// in these files is not in the lake any more.
    pub fn last_withdrawal(&self) -> u64 {
        self.watch.as_ref().map_or(0, |watch| watch.withdrawal)
    }

    /// The widest products of any commit; `None` for an empty lake.
    pub fn products(&self) -> Option<Products> {
        self.products
    }

    /// Refuses a run whose products are narrower than those in force: later runs could not tell
    /// which objects hold findings of the others that nobody took.
    pub fn admit(&self, settings: &Settings) -> LakeResult<()> {
        match self.products {
            Some(held) if settings.products < held => Err(LakeError::refused(
                record_key(self.version),
                format!(
                    "this lake holds `{}` products, a run of `{}` products would leave gaps",
                    held.name(),
                    settings.products.name()
                ),
                format!("run with `--products {}`, or fill a new lake", held.name()),
            )),
            _ => Ok(()),
        }
    }

    /// Objects that somebody gave up for good.
    pub fn accepted(&self) -> &[AcceptedObject] {
        &self.accepted
    }

    /// What was erased and may not come back.
    pub fn tombstones(&self) -> &BTreeSet<Tombstone> {
        &self.tombstones
    }

    /// Sums over all commits, less what was withdrawn.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Adds the next commit. `objects` is its list, wherever that lies; `None` when the list is lost:
    /// then its objects are read again, and dedupe strikes out their rows.
    pub fn fold(
        &mut self,
        record: &Record,
        objects: Option<&Objects>,
        done: &DoneMark,
    ) -> LakeResult<()> {
        self.check_next(record, objects)?;
        self.version = record.number;
        self.commit_id.clone_from(&record.commit_id);
        self.products = self.products.max(Some(record.settings.products));
        self.totals += record.totals;
        if let Some(watch) = self.watch.as_mut().filter(|_| !record.withdrawn.is_empty()) {
            watch.withdrawal = record.number;
        }
        for withdrawn in &record.withdrawn {
            self.withdraw(&withdrawn.key);
            if withdrawn.reopen {
                self.withdrawn_commits.insert(withdrawn.commit);
                self.checked.clear();
            }
        }
        self.tombstones.extend(record.tombstones.iter().cloned());
        for file in &record.files {
            self.add_file(record.number, file, done.damaged.get(&file.key));
        }
        if let Some(objects) = objects {
            self.add_objects(record, objects)?;
        }
        self.close_hours();
        Ok(())
    }

    fn check_next(&self, record: &Record, objects: Option<&Objects>) -> LakeResult<()> {
        let key = record_key(self.version + 1);
        if record.format > RECORD_FORMAT {
            let message = format!(
                "this record has format {}, this program knows it up to {RECORD_FORMAT}",
                record.format
            );
            return Err(LakeError::refused(key, message, "update healthtrail"));
        }
        if record.number != self.version + 1 {
            return Err(lost(&key, &format!("says that it is number {}", record.number)));
        }
        let sums = objects.map(|objects| Totals::of(objects, &record.files));
        if sums.is_some_and(|sums| sums != record.totals) {
            return Err(lost(&key, "has sums that differ from its objects and files"));
        }
        Ok(())
    }

    fn add_objects(&mut self, record: &Record, objects: &Objects) -> LakeResult<()> {
        let commit = u32::try_from(record.number)
            .map_err(|_| lost(&record_key(record.number), "has a number beyond 32 bits"))?;
        for object in &objects.consumed {
            let uri = format!("{}/{}", object.archive, object.key);
            let id = ObjectId::of(&uri, &object.etag);
            let root = self.roots.number(root_of(&uri));
            let hour = Hour { number: hour_number(&uri, object.last_modified_ms), root };
            let profile = self.profile_number(Profile::of(record.settings, object));
            let entry = Entry::of(commit, profile, object);
            self.newest_ms = self.newest_ms.max(object.last_modified_ms);
            self.consume(hour, id, entry);
            if let Some(watch) = self.watch.as_mut().filter(|watch| watch.run != record.run) {
                watch.ids.insert(id, entry);
            }
        }
        for object in &objects.accepted {
            self.forget_failure(ObjectId::of(
                &format!("{}/{}", object.archive, object.key),
                &object.etag,
            ));
            self.accept(object.clone());
        }
        for object in &objects.failed {
            self.fail(commit, object);
        }
        Ok(())
    }

    fn consume(&mut self, hour: Hour, id: ObjectId, entry: Entry) {
        let is_new = self.open.entry(hour).or_default().insert(id, entry).is_none();
        if is_new
            && !self.closed.contains_key(&hour)
            && let Some(late) = self.reopened.get_mut(&hour)
        {
            *late += 1;
        }
        self.forget_failure(id);
    }

    fn fail(&mut self, commit: u32, object: &FailedObject) {
        let uri = format!("{}/{}", object.archive, object.key);
        let id = ObjectId::of(&uri, &object.etag);
        let kind = self.failure_kind(&object.kind);
        // Told by the URI alone when `LastModified` makes no difference.
        let number = hour_number(&uri, 0);
        let hour = (number == hour_number(&uri, HOUR_MS)).then(|| {
            let root = self.roots.number(root_of(&uri));
            Hour { number, root }
        });
        self.forget_failure(id);
        self.remember_failure(id, Failure { kind, commit, hour });
    }

    pub(super) fn remember_failure(&mut self, id: ObjectId, failure: Failure) {
        if let Some(hour) = failure.hour {
            *self.failed_hours.entry(hour).or_default() += 1;
        }
        self.failed.insert(id, failure);
    }

    fn forget_failure(&mut self, id: ObjectId) {
        let Some(Failure { hour: Some(hour), .. }) = self.failed.remove(&id) else { return };
        if let Some(count) = self.failed_hours.get_mut(&hour) {
            *count -= 1;
            if *count == 0 {
                self.failed_hours.remove(&hour);
            }
        }
    }

    /// Closes the hours that are old enough and have nothing that waits to be read.
    fn close_hours(&mut self) {
        let number = self.newest_ms.saturating_sub(OPEN_MS).div_euclid(HOUR_MS);
        let old = self.open.range(..Hour { number, root: 0 });
        let due = old
            .filter(|(hour, ids)| !self.closed.contains_key(hour) && self.may_close(**hour, ids));
        let due: Vec<Hour> = due.map(|(hour, _)| *hour).collect();
        for hour in due {
            let Some(ids) = self.open.remove(&hour) else { continue };
            let late = self.reopened.remove(&hour).unwrap_or_default();
            self.closed.insert(hour, Closed::of(&ids, late));
        }
    }

    fn may_close(&self, hour: Hour, ids: &Ids) -> bool {
        let is_withdrawn =
            |entry: &Entry| self.withdrawn_commits.contains(&u64::from(entry.commit));
        !self.failed_hours.contains_key(&hour) && !ids.values().any(is_withdrawn)
    }

    pub(super) fn accept(&mut self, object: AcceptedObject) {
        let uri = format!("{}/{}", object.archive, object.key);
        self.accepted_ids.insert(ObjectId::of(&uri, &object.etag));
        self.accepted.push(object);
    }

    pub(super) fn profile_number(&mut self, profile: Profile) -> u32 {
        if let Some(number) = self.profile_numbers.get(&profile) {
            return *number;
        }
        let number = u32::try_from(self.profiles.len()).unwrap_or(u32::MAX);
        self.profiles.push(profile.clone());
        self.profile_numbers.insert(profile, number);
        number
    }

    /// Kinds are few; a list is searched faster than a map.
    pub(super) fn failure_kind(&mut self, kind: &str) -> u32 {
        let position = self.failure_kinds.iter().position(|own| own == kind);
        let position = position.unwrap_or_else(|| {
            self.failure_kinds.push(kind.to_owned());
            self.failure_kinds.len() - 1
        });
        u32::try_from(position).unwrap_or(u32::MAX)
    }
}

/// Damage of the log itself, which no repair can compute anew.
pub(super) fn lost(key: &str, message: &str) -> LakeError {
    LakeError::Damaged {
        key: key.to_owned(),
        message: message.to_owned(),
        hint: "restore it from a backup or an older version of the object".into(),
    }
}
