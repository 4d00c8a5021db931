//! The log, read without trust: every record and done mark from the first on, past those that are lost.
//!
//! In: the log's store. Out: what is in the lake by the records alone (no checkpoint is asked), and
//! findings about the log itself. `Err` is trouble of the store or a record of a newer format. Memory:
//! some 500 bytes a file of the lake; records are folded one by one, as [`crate::lake::ledger`] does it,
//! but here by other code, so that the two can be held against each other.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::stream::{self, StreamExt, TryStreamExt};

use super::{Finding, Kind, Note};
use crate::lake::error::{LakeError, LakeResult};
use crate::lake::layout::{
    LOG, Partition, Table, done_key, parse_log_key, parse_part_key, part_key, record_key,
};
use crate::lake::ledger::LedgerFile;
use crate::lake::log::{Log, parse, sha256_of};
use crate::lake::record::{
    DoneMark, FileRecord, ObjectList, ObjectTally, Objects, Products, Purpose, Record, Settings,
    Totals, Withdrawn, sum,
};

/// Records read at once.
const READ_AHEAD: usize = 8;

/// A file that the log names.
#[derive(Debug, Clone)]
pub struct Part {
    /// Its table.
    pub table: Table,
    /// Its partition.
    pub partition: Partition,
    /// What the ledger keeps of it.
    pub file: LedgerFile,
    /// The least and greatest moment of its rows.
    pub time_ms: (i64, i64),
    /// The least and greatest id of its rows, 32 hex digits.
    pub ids: (String, String),
    /// What the done mark says is wrong with it.
    pub unpublished: Option<String>,
}

/// What is kept of a commit.
#[derive(Debug, Clone, Copy)]
pub struct Commit {
    /// Why it was made.
    pub purpose: Purpose,
    /// How many objects it consumed.
    pub consumed: u64,
}

/// The log as far as it was read.
#[derive(Debug, Default)]
pub struct History {
    /// The number of the last commit.
    pub version: u64,
    /// The last commit, while it has no done mark: another run is at it, or died.
    pub open: Option<u64>,
    /// Commits whose record could be read.
    pub commits: BTreeMap<u64, Commit>,
    /// Commits whose record is gone or cannot be read.
    pub lost: BTreeSet<u64>,
    /// The files of each partition, oldest first.
    pub parts: BTreeMap<(Table, Partition), Vec<Part>>,
    /// Keys that left the lake, with the commit that took them out.
    pub withdrawn: BTreeMap<String, u64>,
    /// For each commit the files that it took out and replaced, without reopening objects.
    pub replaced: BTreeMap<u64, Vec<Withdrawn>>,
    /// Commits whose objects were to be read again, each with the last commit that said so.
    pub reopened: BTreeMap<u64, u64>,
    /// The widest settings of any commit.
    pub settings: Option<Settings>,
    /// Sums over all commits, less what was withdrawn.
    pub totals: Totals,
    /// What is wrong with the log.
    pub findings: Vec<Finding>,
    /// What is worth knowing.
    pub notes: Vec<Note>,
    commit_ids: HashMap<String, u64>,
    lists: BTreeMap<(String, u64), Finding>,
}

/// A commit as it lies in the store.
struct Raw {
    number: u64,
    record: Option<bytes::Bytes>,
    /// The SHA-256 that was written with the record, where the store keeps it.
    written_sha256: Option<String>,
    done: Option<bytes::Bytes>,
}

impl History {
    /// Reads the whole log.
    pub async fn read(log: &Log) -> LakeResult<Self> {
        let mut history = Self::default();
        history.catch_up(log).await?;
        Ok(history)
    }

    /// Reads what was committed since, and whether an open commit is done now.
    pub async fn catch_up(&mut self, log: &Log) -> LakeResult<()> {
        if let Some(open) = self.open
            && log.store.head(&done_key(open)).await?.is_some()
        {
            self.open = None;
            if let Some(bytes) = log.get(&done_key(open)).await? {
                self.take_done(open, &bytes);
            }
        }
        let last = self.list(log).await?;
        let numbers = stream::iter(self.version + 1..=last);
        let mut raws = numbers.map(|number| read(log, number)).buffered(READ_AHEAD);
        while let Some(raw) = raws.try_next().await? {
            self.fold(log, raw, last).await?;
        }
        Ok(())
    }

    /// The number of the last commit by the names in the log.
    async fn list(&mut self, log: &Log) -> LakeResult<u64> {
        let mut last = self.version;
        let mut listed = log.store.list(LOG);
        while let Some(meta) = listed.try_next().await? {
            match parse_log_key(&meta.key) {
                Some(number) => last = last.max(number),
                None if self.version == 0 => self.notes.push(Note::new(
                    "object_unknown",
                    meta.key,
                    "is no record and no done mark; nothing reads it",
                )),
                None => {}
            }
        }
        Ok(last)
    }

    async fn fold(&mut self, log: &Log, raw: Raw, last: u64) -> LakeResult<()> {
        let number = raw.number;
        self.version = number;
        let key = record_key(number);
        match &raw.done {
            // A later commit is made only by a run that saw this one done.
            None if number < last => self.findings.push(Finding::new(
                Kind::DoneMissing,
                done_key(number),
                number,
                format!(
                    "commit {} follows, so this one was done, but its mark is gone",
                    number + 1
                ),
            )),
            None => self.open = Some(number),
            Some(_) => {}
        }
        let Some(bytes) = raw.record else {
            self.lost.insert(number);
            let message = "is gone: what this commit added and consumed is no longer known";
            self.findings.push(Finding::new(Kind::RecordMissing, key, number, message));
            return Ok(());
        };
        let record: Record = match parse(&key, &bytes) {
            Ok(record) => record,
            Err(LakeError::Damaged { message, .. }) => {
                self.lost.insert(number);
                self.findings.push(Finding::new(Kind::RecordUnreadable, key, number, message));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if raw.written_sha256.is_some_and(|written| written != sha256_of(&bytes)) {
            let message = "has another content than its metadata says was written";
            self.findings.push(Finding::new(Kind::RecordAltered, &key, number, message));
        }
        if record.number != number {
            self.lost.insert(number);
            let message = format!("says that it is number {}", record.number);
            self.findings.push(Finding::new(Kind::RecordContradicts, key, number, message));
            return Ok(());
        }
        let objects = self.objects(log, &record).await?;
        self.check(number, &record, objects.as_ref());
        self.take(number, record, objects.as_ref());
        if let Some(done) = raw.done {
            self.take_done(number, &done);
        }
        Ok(())
    }

    /// The objects of a record; a list that is lost is remembered as a finding.
    async fn objects(&mut self, log: &Log, record: &Record) -> LakeResult<Option<Objects>> {
        let found = log.read_objects(&record.objects).await;
        let lost = match found {
            Ok(Some(objects)) => return Ok(Some(objects.into_owned())),
            Ok(None) | Err(LakeError::Damaged { .. }) => true,
            Err(error) => return Err(error),
        };
        if let ObjectList::File(list) = &record.objects
            && lost
        {
            let is_there = log.store.head(&list.key).await?.is_some();
            let (kind, message) = if is_there {
                (Kind::ObjectsAltered, "is not the list of objects that was written")
            } else {
                (Kind::ObjectsMissing, "is gone: which objects this commit read is not known")
            };
            let finding = Finding::new(kind, &list.key, record.number, message);
            self.lists.insert((list.key.clone(), record.number), finding);
        }
        Ok(None)
    }

    fn check(&mut self, number: u64, record: &Record, objects: Option<&Objects>) {
        let mut wrong = Vec::new();
        if record.deduplicated_against.checked_add(1) != Some(number) {
            wrong.push(format!("was compared with version {}", record.deduplicated_against));
        }
        if let Some(first) = self.commit_ids.insert(record.commit_id.clone(), number) {
            wrong.push(format!("has the commit id of commit {first}"));
        }
        if objects.is_some_and(|objects| Totals::of(objects, &record.files) != record.totals) {
            wrong.push("has sums that differ from its objects and files".to_owned());
        }
        wrong.extend(record.files.iter().filter_map(|file| misnamed(number, file)));
        if let Some(objects) = objects {
            wrong.extend(tallies(record, objects));
        }
        let findings = wrong.into_iter().map(|message| {
            Finding::new(Kind::RecordContradicts, record_key(number), number, message)
        });
        self.findings.extend(findings);
    }

    fn take(&mut self, number: u64, record: Record, objects: Option<&Objects>) {
        let consumed = objects.map_or(record.totals.objects, |list| list.consumed.len() as u64);
        self.commits.insert(number, Commit { purpose: record.purpose, consumed });
        self.settings = Some(widest(self.settings, record.settings));
        self.totals += record.totals;
        let replaced = record.withdrawn.iter().filter(|one| !one.reopen).cloned();
        let replaced: Vec<Withdrawn> = replaced.collect();
        if !replaced.is_empty() {
            self.replaced.insert(number, replaced);
        }
        for withdrawn in record.withdrawn {
            if withdrawn.reopen {
                self.reopened.insert(withdrawn.commit, number);
            }
            self.withdraw(&withdrawn.key, number);
        }
        for file in record.files {
            let ledger_file = LedgerFile {
                commit: number,
                key: file.key,
                rows: file.rows,
                bytes: file.bytes,
                sha256: file.sha256,
            };
            self.parts.entry((file.table, file.partition)).or_default().push(Part {
                table: file.table,
                partition: file.partition,
                file: ledger_file,
                time_ms: file.time_ms,
                ids: file.ids,
                unpublished: None,
            });
        }
    }

    fn withdraw(&mut self, key: &str, by: u64) {
        self.withdrawn.insert(key.to_owned(), by);
        let Some(name) = parse_part_key(key) else { return };
        let place = (name.table, name.partition);
        let Some(parts) = self.parts.get_mut(&place) else { return };
        for part in parts.extract_if(.., |part| part.file.key == key) {
            let rows = match name.table {
                Table::Findings => &mut self.totals.findings,
                Table::Rejects => &mut self.totals.rejects,
            };
            *rows = rows.saturating_sub(part.file.rows);
            self.totals.files = self.totals.files.saturating_sub(1);
            self.totals.bytes = self.totals.bytes.saturating_sub(part.file.bytes);
        }
        if parts.is_empty() {
            self.parts.remove(&place);
        }
    }

    fn take_done(&mut self, number: u64, bytes: &[u8]) {
        let key = done_key(number);
        let mark: DoneMark = match parse(&key, bytes) {
            Ok(mark) => mark,
            Err(error) => {
                let message = match error {
                    LakeError::Damaged { message, .. } => message,
                    other => other.to_string(),
                };
                self.findings.push(Finding::new(Kind::DoneUnreadable, key, number, message));
                return;
            }
        };
        for part in self.parts.values_mut().flatten().filter(|part| part.file.commit == number) {
            part.unpublished = mark.damaged.get(&part.file.key).cloned();
        }
    }

    /// The file of this key, while it is in the lake.
    pub fn part(&self, key: &str) -> Option<&Part> {
        let name = parse_part_key(key)?;
        let parts = self.parts.get(&(name.table, name.partition))?;
        parts.iter().find(|part| part.file.key == key)
    }

    /// All files in the lake, by partition.
    pub fn all_parts(&self) -> impl Iterator<Item = &Part> {
        self.parts.values().flatten()
    }

    /// Findings about lists of objects; one that was withdrawn since is known to be lost, and its
    /// commit was reopened.
    pub fn lost_lists(&self) -> impl Iterator<Item = &Finding> {
        let is_known =
            |(key, commit): &(String, u64)| self.withdrawn.get(key).is_some_and(|by| by > commit);
        self.lists.iter().filter(move |(list, _)| !is_known(list)).map(|(_, finding)| finding)
    }

    /// The commits whose list of objects is lost, mended or not.
    pub fn without_list(&self) -> BTreeSet<u64> {
        self.lists.keys().map(|(_, commit)| *commit).collect()
    }

    /// Whether this commit may still be on its way: it has no done mark, and none follows.
    pub fn is_open(&self, commit: u64) -> bool {
        self.open == Some(commit)
    }
}

async fn read(log: &Log, number: u64) -> LakeResult<Raw> {
    let key = record_key(number);
    let record = log.get(&key).await?;
    let head = log.store.head(&key).await?;
    let done = log.get(&done_key(number)).await?;
    Ok(Raw { number, record, written_sha256: head.and_then(|meta| meta.sha256), done })
}

fn misnamed(number: u64, file: &FileRecord) -> Option<String> {
    let (table, partition) = (file.table, file.partition);
    if file.key != part_key(table, partition, number, &file.sha256) {
        return Some(format!("names `{}`, which is no name of a part of its own", file.key));
    }
    let times = partition.times();
    let inside = times.contains(&file.time_ms.0) && times.contains(&file.time_ms.1);
    (!inside).then(|| format!("says that `{}` has rows outside its partition", file.key))
}

/// What the objects' counts say against themselves and against the files.
fn tallies(record: &Record, objects: &Objects) -> Vec<String> {
    let broken = |tally: &ObjectTally| {
        let ObjectTally { bytes: b, documents: d, findings: f, .. } = tally;
        b.decompressed != sum([b.in_documents, b.between_documents, b.rejected])
            || d.read != sum([d.with_findings, d.passed_over, d.rejected])
            || f.read != sum([f.rows, f.passed_over, f.rejected])
    };
    let mut wrong: Vec<String> = objects
        .consumed
        .iter()
        .filter(|object| broken(&object.tally))
        .map(|object| format!("has counts of `{}/{}` that differ", object.archive, object.key))
        .collect();
    if record.purpose == Purpose::Run {
        let rows = sum(objects.consumed.iter().map(|object| object.tally.findings.rows));
        // Of rejects there may be more: those of objects that are read again are settled.
        if record.totals.findings > rows {
            wrong.push("adds more rows than its objects gave".to_owned());
        }
    }
    wrong
}

fn widest(held: Option<Settings>, new: Settings) -> Settings {
    let Some(mut held) = held else { return new };
    held.products = Products::max(held.products, new.products);
    let (limits, more) = (&mut held.limits, new.limits);
    limits.object_bytes_max = limits.object_bytes_max.max(more.object_bytes_max);
    limits.document_bytes_max = limits.document_bytes_max.max(more.document_bytes_max);
    limits.depth_max = limits.depth_max.max(more.depth_max);
    limits.zip_entries_max = limits.zip_entries_max.max(more.zip_entries_max);
    limits.entities_max = limits.entities_max.max(more.entities_max);
    held.reader_generation = held.reader_generation.max(new.reader_generation);
    held
}
