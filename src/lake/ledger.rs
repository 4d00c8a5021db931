//! The log, folded: which objects are in the lake, and which files make it up.
//!
//! In: commit records, in order. Out: where an object stands, which files a partition has, and what
//! stops a run. It is a cache: folding the whole log gives the same. A record out of order, of a newer
//! format, or whose sums do not hold is a [`LakeError`]. Memory: 30 to 60 bytes an object, and some 300 a file.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::error::{LakeError, LakeResult};
use super::ids::IdState;
use super::layout::{Partition, Table, parse_part_key, record_key};
use super::record::{
    AcceptedObject, DoneMark, FileRecord, ObjectRecord, Objects, Products, RECORD_FORMAT, Record,
    Settings, Tombstone, Totals,
};
use crate::finding::reject::Reason;

/// Findings of products that the run did not want; wider products reopen the object.
pub const OTHER_PRODUCT: &str = "other_product";

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

/// An object's identity in the ledger: XXH3-128 over its URI and etag. Two halves, so that a map
/// wastes no bytes on alignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ObjectId {
    high: u64,
    low: u64,
}

impl ObjectId {
    fn of(archive: &str, key: &str, etag: &str) -> Self {
        // The URI's length keeps it apart from the etag.
        let mut bytes = Vec::with_capacity(archive.len() + key.len() + etag.len() + 9);
        bytes.extend_from_slice(&((archive.len() + 1 + key.len()) as u64).to_le_bytes());
        for text in [archive, "/", key, etag] {
            bytes.extend_from_slice(text.as_bytes());
        }
        Self::from(xxh3_128(&bytes))
    }
}

impl From<u128> for ObjectId {
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of the hash")]
    fn from(id: u128) -> Self {
        Self { high: (id >> 64) as u64, low: id as u64 }
    }
}

impl From<ObjectId> for u128 {
    fn from(id: ObjectId) -> Self {
        Self::from(id.high) << 64 | Self::from(id.low)
    }
}

impl Hash for ObjectId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128((*self).into());
    }
}

/// What the ledger keeps of a consumed object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) commit: u32,
    /// Index into [`Ledger::profiles`].
    pub(super) profile: u32,
}

/// How objects were read and what they still hold: many objects share one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Profile {
    pub(super) settings: Settings,
    /// Kinds that were passed over, and reasons of rejects that a limit made; sorted.
    pub(super) kinds: Vec<String>,
}

impl Profile {
    fn of(settings: Settings, object: &ObjectRecord) -> Self {
        let passed_over = object.tally.passed_over_by_kind.0.keys();
        let limited = object.tally.by_reason.0.keys().filter(|reason| is_limit(reason));
        let kinds: BTreeSet<&String> = passed_over.chain(limited).collect();
        Self { settings, kinds: kinds.into_iter().cloned().collect() }
    }

    fn has(&self, kind: &str) -> bool {
        self.kinds.iter().any(|own| own == kind)
    }

    /// Whether a run of these settings would keep something that was passed over or cut off.
    fn reopens(&self, settings: &Settings) -> bool {
        let (was, now) = (self.settings, *settings);
        if self.kinds.is_empty() || was == now {
            return false;
        }
        let learned = |kind: &String| kind != OTHER_PRODUCT && !is_limit(kind);
        (was.products < now.products && self.has(OTHER_PRODUCT))
            || (was.reader_generation < now.reader_generation && self.kinds.iter().any(learned))
            || (was.limits.object_bytes_max < now.limits.object_bytes_max
                && self.has(Reason::ObjectTooLarge.name()))
            || (was.limits.document_bytes_max < now.limits.document_bytes_max
                && self.has(Reason::DocumentTooLarge.name()))
            || (was.limits.depth_max < now.limits.depth_max && self.has(Reason::TooDeep.name()))
    }
}

fn is_limit(reason: &str) -> bool {
    [Reason::ObjectTooLarge, Reason::DocumentTooLarge, Reason::TooDeep]
        .iter()
        .any(|limit| limit.name() == reason)
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
    pub(super) entries: HashMap<ObjectId, Entry, IdState>,
    pub(super) profiles: Vec<Profile>,
    profile_numbers: HashMap<Profile, u32>,
    pub(super) failed: HashMap<ObjectId, u32, IdState>,
    pub(super) failure_kinds: Vec<String>,
    pub(super) files: BTreeMap<(Table, Partition), Vec<LedgerFile>>,
    pub(super) damaged: BTreeMap<(Table, Partition), Vec<DamagedFile>>,
    pub(super) withdrawn_commits: BTreeSet<u64>,
    pub(super) accepted: Vec<AcceptedObject>,
    pub(super) tombstones: BTreeSet<Tombstone>,
}

impl Ledger {
    /// The number of the last commit in it; 0 for an empty lake.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Where this object stands for a run of these settings.
    pub fn status(&self, archive: &str, key: &str, etag: &str, settings: &Settings) -> Status<'_> {
        let id = ObjectId::of(archive, key, etag);
        let entry = self.entries.get(&id);
        if entry.is_some_and(|entry| !self.is_reopened(*entry, settings)) {
            return Status::Consumed;
        }
        let kind = self.failed.get(&id).and_then(|kind| self.failure_kinds.get(*kind as usize));
        match (kind, entry) {
            (Some(kind), _) => Status::Failed(kind),
            (None, Some(_)) => Status::Reopened,
            (None, None) => Status::Unknown,
        }
    }

    fn is_reopened(&self, entry: Entry, settings: &Settings) -> bool {
        self.withdrawn_commits.contains(&u64::from(entry.commit))
            || self
                .profiles
                .get(entry.profile as usize)
                .is_none_or(|profile| profile.reopens(settings))
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

    /// The files of a partition that were added after commit `after` (0 for all), oldest first.
    pub fn files(
        &self,
        table: Table,
        partition: Partition,
        after: u64,
    ) -> impl Iterator<Item = &LedgerFile> {
        let files = self.files.get(&(table, partition)).map(Vec::as_slice).unwrap_or_default();
        files.iter().filter(move |file| file.commit > after)
    }

    /// All files, by table, partition and commit.
    pub fn all_files(&self) -> impl Iterator<Item = (Table, Partition, &LedgerFile)> {
        self.files.iter().flat_map(|((table, partition), files)| {
            files.iter().map(|file| (*table, *partition, file))
        })
    }

    /// Files that commits name and that are not rightly in the lake.
    pub fn damaged(&self) -> impl Iterator<Item = &DamagedFile> {
        self.damaged.values().flatten()
    }

    /// Refuses a run that touches a partition where a file is damaged or missing: what is new there
    /// cannot be told.
    pub fn check(&self, table: Table, partition: Partition) -> LakeResult<()> {
        let damaged = self.damaged.get(&(table, partition)).and_then(|files| files.first());
        damaged.map_or(Ok(()), |damaged| {
            let message = format!(
                "of commit {} {}, so partition `{}/{partition:?}` cannot be added to",
                damaged.file.commit,
                damaged.message,
                table.name()
            );
            Err(LakeError::damaged(&damaged.file.key, message))
        })
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
        for withdrawn in &record.withdrawn {
            self.withdraw(&withdrawn.key);
            if withdrawn.reopen {
                self.withdrawn_commits.insert(withdrawn.commit);
            }
        }
        self.tombstones.extend(record.tombstones.iter().cloned());
        for file in &record.files {
            self.add_file(record.number, file, done.damaged.get(&file.key));
        }
        if let Some(objects) = objects {
            self.add_objects(record, objects)?;
        }
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

    fn add_file(&mut self, commit: u64, file: &FileRecord, damage: Option<&String>) {
        let place = (file.table, file.partition);
        let (rows, bytes) = (file.rows, file.bytes);
        let (key, sha256) = (file.key.clone(), file.sha256.clone());
        let file = LedgerFile { commit, key, rows, bytes, sha256 };
        match damage {
            None => self.files.entry(place).or_default().push(file),
            Some(message) => {
                let damaged = DamagedFile { file, message: message.clone() };
                self.damaged.entry(place).or_default().push(damaged);
            }
        }
    }

    fn withdraw(&mut self, key: &str) {
        let Some(name) = parse_part_key(key) else { return };
        let place = (name.table, name.partition);
        let mut gone: Vec<LedgerFile> = Vec::new();
        if let Some(files) = self.files.get_mut(&place) {
            gone.extend(files.extract_if(.., |file| file.key == key));
        }
        if let Some(damaged) = self.damaged.get_mut(&place) {
            gone.extend(damaged.extract_if(.., |one| one.file.key == key).map(|one| one.file));
        }
        self.files.retain(|_, files| !files.is_empty());
        self.damaged.retain(|_, files| !files.is_empty());
        for file in gone {
            let rows = match name.table {
                Table::Findings => &mut self.totals.findings,
                Table::Rejects => &mut self.totals.rejects,
            };
            *rows = rows.saturating_sub(file.rows);
            self.totals.files = self.totals.files.saturating_sub(1);
            self.totals.bytes = self.totals.bytes.saturating_sub(file.bytes);
        }
    }

    fn add_objects(&mut self, record: &Record, objects: &Objects) -> LakeResult<()> {
        let commit = u32::try_from(record.number)
            .map_err(|_| lost(&record_key(record.number), "has a number beyond 32 bits"))?;
        for object in &objects.consumed {
            let id = ObjectId::of(&object.archive, &object.key, &object.etag);
            let profile = self.profile_number(Profile::of(record.settings, object));
            self.entries.insert(id, Entry { commit, profile });
            self.failed.remove(&id);
        }
        // Read under no settings that could be widened, with nothing passed over: never reopened.
        let profile = Profile { settings: record.settings, kinds: Vec::new() };
        for object in &objects.accepted {
            let id = ObjectId::of(&object.archive, &object.key, &object.etag);
            let profile = self.profile_number(profile.clone());
            self.entries.insert(id, Entry { commit, profile });
            self.failed.remove(&id);
            self.accepted.push(object.clone());
        }
        for object in &objects.failed {
            let kind = self.failure_kind(&object.kind);
            self.failed.insert(ObjectId::of(&object.archive, &object.key, &object.etag), kind);
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::record::{FailedObject, Limits, ObjectList, Withdrawn};
    use crate::lake::testing::{SETTINGS, object, record};

    fn objects(consumed: Vec<ObjectRecord>, failed: &[(&str, &str)]) -> Objects {
        let failed = failed.iter().map(|(key, kind)| FailedObject {
            archive: "memory://archive".into(),
            key: (*key).into(),
            etag: "1".into(),
            kind: (*kind).into(),
            message: String::new(),
        });
        Objects { consumed, failed: failed.collect(), ..Objects::default() }
    }

    fn fold(ledger: &mut Ledger, settings: Settings, objects: &Objects) {
        let mut record =
            record(ledger.version + 1, "run", ObjectList::Inline(objects.clone()), Vec::new());
        record.settings = settings;
        ledger.fold(&record, Some(objects), &DoneMark::default()).unwrap();
    }

    fn status<'a>(ledger: &'a Ledger, key: &str, settings: &Settings) -> Status<'a> {
        ledger.status("memory://archive", key, "1", settings)
    }

    fn file(commit: u64, day: &str) -> FileRecord {
        let partition = day.parse().unwrap();
        let sha256 = format!("{commit:064x}");
        FileRecord {
            table: Table::Findings,
            partition,
            staged: String::new(),
            key: crate::lake::layout::part_key(Table::Findings, partition, commit, &sha256),
            rows: 10,
            bytes: 100,
            sha256,
            time_ms: (0, 0),
            ids: (String::new(), String::new()),
        }
    }

    #[test]
    fn an_object_is_its_uri_and_etag() {
        let mut ledger = Ledger::default();
        fold(&mut ledger, SETTINGS, &objects(vec![object("a/b")], &[]));
        let status = |archive, key, etag| ledger.status(archive, key, etag, &SETTINGS);
        assert_eq!(status("memory://archive", "a/b", "1"), Status::Consumed);
        // The same object, seen from an archive further down.
        assert_eq!(status("memory://archive/a", "b", "1"), Status::Consumed);
        assert_eq!(status("memory://archive", "a/b", "2"), Status::Unknown);
        assert_eq!(status("memory://archive", "a/", "b1"), Status::Unknown);
    }

    #[test]
    fn wider_settings_and_later_readers_reopen_what_was_left() {
        let with = |kind: &str, reason: &str| {
            let mut object = object("o");
            if !kind.is_empty() {
                object.tally.passed_over_by_kind.add(kind, 2);
            }
            if !reason.is_empty() {
                object.tally.by_reason.add(reason, 1);
            }
            object
        };
        let limits = |object_bytes_max, document_bytes_max, depth_max| Settings {
            limits: Limits { object_bytes_max, document_bytes_max, depth_max },
            ..SETTINGS
        };
        let all = Settings { products: Products::All, ..SETTINGS };
        let later = Settings { reader_generation: 2, ..SETTINGS };
        let (larger, longer, deeper) = (
            limits(1 << 40, 1 << 22, 128),
            limits(1 << 30, 1 << 30, 128),
            limits(1 << 30, 1 << 22, 999),
        );
        let cases = [
            (with("other_product", ""), all, true),
            (with("other_product", ""), later, false),
            (with("unrecognised", ""), later, true),
            (with("unrecognised", ""), all, false),
            (with("", "object_too_large"), larger, true),
            (with("", "object_too_large"), longer, false),
            (with("", "document_too_large"), longer, true),
            (with("", "too_deep"), deeper, true),
            (with("", "too_deep"), later, false),
            (with("", "not_json"), Settings { reader_generation: 2, ..all }, false),
            (with("", ""), Settings { reader_generation: 2, ..all }, false),
            (with("unrecognised", ""), SETTINGS, false),
        ];
        for (object, settings, reopened) in cases {
            let mut ledger = Ledger::default();
            fold(&mut ledger, SETTINGS, &objects(vec![object.clone()], &[]));
            let expected = if reopened { Status::Reopened } else { Status::Consumed };
            assert_eq!(status(&ledger, "o", &settings), expected, "{object:?} {settings:?}");
            // Read again under the wider settings, it is closed for them.
            fold(&mut ledger, settings, &objects(vec![object], &[]));
            assert_eq!(status(&ledger, "o", &settings), Status::Consumed);
        }
    }

    #[test]
    fn products_only_widen() {
        let mut ledger = Ledger::default();
        let all = Settings { products: Products::All, ..SETTINGS };
        assert!(ledger.admit(&SETTINGS).is_ok() && ledger.products().is_none());
        fold(&mut ledger, SETTINGS, &Objects::default());
        assert!(ledger.admit(&all).is_ok());
        fold(&mut ledger, all, &Objects::default());
        let error = ledger.admit(&SETTINGS).unwrap_err();
        assert!(error.to_string().contains("run with `--products all`"), "{error}");
        assert_eq!(ledger.products(), Some(Products::All));
    }

    #[test]
    fn failures_are_remembered_until_the_object_is_read() {
        let mut ledger = Ledger::default();
        fold(&mut ledger, SETTINGS, &objects(Vec::new(), &[("o", "denied"), ("p", "archived")]));
        assert_eq!(status(&ledger, "o", &SETTINGS), Status::Failed("denied"));
        fold(&mut ledger, SETTINGS, &objects(Vec::new(), &[("o", "archived")]));
        assert_eq!(status(&ledger, "o", &SETTINGS), Status::Failed("archived"));
        fold(&mut ledger, SETTINGS, &objects(vec![object("o")], &[]));
        assert_eq!(status(&ledger, "o", &SETTINGS), Status::Consumed);
        assert_eq!(status(&ledger, "p", &SETTINGS), Status::Failed("archived"));
    }

    #[test]
    fn damage_stops_its_partition_only_until_it_is_withdrawn() {
        let mut ledger = Ledger::default();
        let held = objects(vec![object("o")], &[]);
        let list = ObjectList::Inline(held.clone());
        let files = vec![file(1, "2026-11-24"), file(1, "2026-11-25")];
        let first = record(1, "run", list, files.clone());
        let mut done = DoneMark::default();
        done.damaged.insert(files[0].key.clone(), "is neither staged nor published".into());
        ledger.fold(&first, Some(&held), &done).unwrap();
        let (hit, spared) = (files[0].partition, files[1].partition);
        let error = ledger.check(Table::Findings, hit).unwrap_err();
        assert_eq!(error.key(), files[0].key);
        assert!(
            error.to_string().contains("`findings/dt=2026-11-24` cannot be added to"),
            "{error}"
        );
        assert!(ledger.check(Table::Findings, spared).is_ok());
        assert!(ledger.check(Table::Rejects, hit).is_ok());
        assert_eq!(status(&ledger, "o", &SETTINGS), Status::Consumed);

        let mut repair = record(2, "repair", ObjectList::Inline(Objects::default()), Vec::new());
        repair.withdrawn = vec![Withdrawn { key: files[0].key.clone(), commit: 1, reopen: true }];
        ledger.fold(&repair, Some(&Objects::default()), &DoneMark::default()).unwrap();
        assert!(ledger.check(Table::Findings, hit).is_ok());
        assert_eq!(status(&ledger, "o", &SETTINGS), Status::Reopened);
        assert_eq!((ledger.totals().files, ledger.totals().findings), (1, 10));
        fold(&mut ledger, SETTINGS, &held);
        assert_eq!(status(&ledger, "o", &SETTINGS), Status::Consumed);
    }

    #[test]
    fn files_after_a_version_are_what_a_loser_missed() {
        let mut ledger = Ledger::default();
        for commit in 1..=3 {
            let list = ObjectList::Inline(Objects::default());
            let record = record(commit, "run", list, vec![file(commit, "2026-11-24")]);
            ledger.fold(&record, Some(&Objects::default()), &DoneMark::default()).unwrap();
        }
        let partition = "2026-11-24".parse().unwrap();
        let commits = |after| -> Vec<u64> {
            ledger.files(Table::Findings, partition, after).map(|file| file.commit).collect()
        };
        assert_eq!((commits(0), commits(2), commits(3)), (vec![1, 2, 3], vec![3], vec![]));
        assert_eq!(ledger.all_files().count(), 3);
    }

    #[test]
    fn records_out_of_order_or_with_wrong_sums_are_refused_and_change_nothing() {
        let mut ledger = Ledger::default();
        let none = ObjectList::Inline(Objects::default());
        let mut wrong_sums = record(1, "run", none.clone(), Vec::new());
        wrong_sums.totals.findings = 1;
        let mut newer = record(1, "run", none.clone(), Vec::new());
        newer.format += 1;
        let skipped = record(2, "run", none, Vec::new());
        for record in [wrong_sums, newer, skipped] {
            let error = ledger.fold(&record, Some(&Objects::default()), &DoneMark::default());
            assert_eq!(error.unwrap_err().key(), record_key(1));
            assert_eq!(ledger, Ledger::default());
        }
    }
}
