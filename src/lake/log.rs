//! The log: numbered commits, one at a time, in a store that other runs write to as well.
//!
//! In: parts, lists of objects, records. Out: who won a number, the visible files, and the ledger up to
//! date. What can go wrong: the store ([`LakeError::Store`], to be run again), a reply that never came
//! ([`LakeError::Undecided`]), an object that somebody deleted or replaced ([`LakeError::Damaged`]).
//!
//! One commit, number N:
//! 1. *Stage* its files under `staging/<N>/<run>/`. Only a run that saw N-1 done does so.
//! 2. *Record*: create `log/<N>.json` only if it is new. This is the commit point.
//! 3. *Publish*: copy each file to its final key, only if it is new.
//! 4. *Done*: delete the staging, then create `log/<N>.done`.
//!
//! A run that dies before 2 leaves staging that nobody looks at until [`Log::sweep`], which touches only
//! numbers that are done, where no record can win any more. A run that dies after 2 is completed by the
//! next one, whoever it is: [`Log::catch_up`] does 3 and 4 again, which may be done twice, and by two at
//! once. Records and done marks are never deleted; until its record exists a run deletes nothing. No
//! step needs a clock, and nothing here waits.
//!
//! Memory: a few records at a time, each with at most [`INLINE_OBJECTS_MAX`] objects, or one long list.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::checkpoint;
use super::error::{LakeError, LakeResult};
use super::ids::{hex, id_text};
use super::layout::{
    CHECKPOINTS, Partition, STAGING, STATE, Table, checkpoint_key, done_key, objects_key,
    parse_checkpoint_key, parse_staging_key, part_key, record_key, staged_objects_key,
    staged_part_key,
};
use super::ledger::read_back::Settle;
use super::ledger::{Ledger, lost};
use super::part::EncodedPart;
use super::record::{
    DoneMark, FileRecord, INLINE_OBJECTS_MAX, ObjectList, Objects, ObjectsFile, Record,
};
use super::under_way;
use crate::store::fail_point::{self, FailPoint};
use crate::store::{GetOptions, Store, StoreError, StoreErrorKind};

/// How often the same conditional write is sent before its fate counts as unknown; the store has
/// retried each of them already.
const ATTEMPTS: usize = 8;
/// The same when there was no answer, or the server was too busy: each time may take minutes.
const ATTEMPTS_UNANSWERED: usize = 2;
/// Records read at once while catching up; it grows to this while there are more. A record with as many
/// objects as it may hold is some 5 MB of JSON.
const READ_AHEAD_MAX: u64 = 8;
/// Deletions at once.
const SWEEP_CONCURRENCY: usize = 16;
/// Commits after which a new checkpoint is worth its bytes.
const CHECKPOINT_COMMITS: u64 = 16;
/// Checkpoints that are kept: the newest may be damaged.
const CHECKPOINTS_KEPT: usize = 2;

/// The log of one lake.
#[derive(Debug, Clone)]
pub struct Log {
    pub(super) store: Arc<dyn Store>,
}

/// Who has a commit number now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// This record: publish it.
    Won,
    /// Another run's record: catch up, drop what it consumed, compare with its files, stage again.
    Lost,
}

/// What [`Log::catch_up`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CaughtUp {
    /// How many commits were folded.
    pub commits: u64,
    /// The commit that another run had left open and that was completed here.
    pub rolled_forward: Option<u64>,
    /// Damage that stops nothing, for people.
    pub notes: Vec<String>,
    /// Commits whose lists of objects are lost.
    lost: Vec<u64>,
}

impl CaughtUp {
    /// Notes the lists that are lost, but for those that a repair has settled.
    fn tell_of_lists(&mut self, ledger: &Ledger) {
        let lost = std::mem::take(&mut self.lost).into_iter();
        let lost = lost.filter(|commit| !ledger.withdrawn_commits.contains(commit));
        self.notes.extend(lost.map(|commit| {
            format!(
                "the list of objects of commit {commit} is gone or changed: they are read again, and \
                 their rows are told by their ids"
            )
        }));
    }
}

/// A record as it lies in the log.
struct Entry {
    record: Record,
    done: Option<DoneMark>,
}

impl Log {
    /// The log of the lake in this store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// Where it lies.
    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The ledger of the newest readable checkpoint, or an empty one; [`Log::catch_up`] does the rest.
    pub async fn load(&self) -> LakeResult<Ledger> {
        for number in self.checkpoints().await? {
            let key = checkpoint_key(number);
            let read = match self.get(&key).await {
                Ok(None) => Err("it is gone".to_owned()),
                Ok(Some(bytes)) => checkpoint::decode(&bytes, number),
                // Its bytes are not those that were written.
                Err(LakeError::Store(error)) if error.kind == StoreErrorKind::Other => {
                    Err(error.to_string())
                }
                Err(error) => return Err(error),
            };
            match read {
                Ok(ledger) if self.is_of_this_log(&ledger).await? => return Ok(ledger),
                Ok(_) => tracing::warn!("checkpoint `{key}` is of another log, not used"),
                Err(why) => tracing::warn!("checkpoint `{key}` is not used: {why}"),
            }
        }
        Ok(Ledger::default())
    }

    /// The numbers of all checkpoints, newest first.
    pub(super) async fn checkpoints(&self) -> LakeResult<Vec<u64>> {
        let listed = self.store.list(CHECKPOINTS);
        let numbers =
            listed.try_filter_map(|meta| async move { Ok(parse_checkpoint_key(&meta.key)) });
        let mut numbers: Vec<u64> = numbers.try_collect().await?;
        numbers.sort_unstable_by(|one, two| two.cmp(one));
        Ok(numbers)
    }

    pub(super) async fn is_of_this_log(&self, ledger: &Ledger) -> LakeResult<bool> {
        let record = self.record(ledger.version).await?;
        Ok(record.is_some_and(|record| record.commit_id == ledger.commit_id))
    }

    /// Folds all commits that the ledger lacks. An open one is completed first (published and
    /// marked done): every planning begins with this.
    pub async fn catch_up(&self, ledger: &mut Ledger) -> LakeResult<CaughtUp> {
        if ledger.looked_ahead {
            *ledger = self.load().await?;
        }
        self.follow(ledger, true).await
    }

    /// Like [`Log::catch_up`], but writes nothing: an open commit is folded as if it were complete.
    pub async fn look(&self, ledger: &mut Ledger) -> LakeResult<CaughtUp> {
        self.follow(ledger, false).await
    }

    async fn follow(&self, ledger: &mut Ledger, complete: bool) -> LakeResult<CaughtUp> {
        let mut caught = CaughtUp::default();
        let mut read_ahead = 1;
        let mut contradictions = 0;
        loop {
            let first = ledger.version + 1;
            let numbers = first..first + read_ahead;
            let mut entries = stream::iter(numbers.map(|number| self.read_entry(number)))
                .buffered(usize::try_from(read_ahead).unwrap_or(1));
            let mut ended = false;
            while let Some(entry) = entries.next().await {
                let Some(entry) = entry? else {
                    ended = true;
                    break;
                };
                self.fold(entry, ledger, complete, &mut caught).await?;
                self.settle_hours_if_much(ledger).await?;
            }
            drop(entries);
            if ended && self.is_the_end(ledger.version + 1).await? {
                // Who wrote the last mark may have been killed before it was durable; those before it became so
                // with the records that came later.
                if complete && caught.commits > 0 && caught.rolled_forward != Some(ledger.version) {
                    self.store.make_durable(&done_key(ledger.version)).await?;
                }
                caught.tell_of_lists(ledger);
                return Ok(caught);
            }
            // Another run may have committed between two looks, but not each time.
            contradictions = if ended { contradictions + 1 } else { 0 };
            if contradictions >= ATTEMPTS {
                let (key, kind) = (record_key(ledger.version + 1), StoreErrorKind::Unavailable);
                let message =
                    "the store says that it is there, and that it is not; run again later";
                return Err(StoreError::new(kind, "reading", self.store.uri(&key), message).into());
            }
            read_ahead = (read_ahead * 2).min(READ_AHEAD_MAX);
        }
    }

    /// Whether the log ends before `number`. A done mark without a record means that somebody deleted
    /// the record, or that another run committed and finished between the two looks.
    async fn is_the_end(&self, number: u64) -> LakeResult<bool> {
        if self.store.head(&done_key(number)).await?.is_none() {
            return Ok(true);
        }
        if self.store.head(&record_key(number)).await?.is_some() {
            return Ok(false);
        }
        Err(lost(&record_key(number), "is gone, though its commit is marked done"))
    }

    async fn read_entry(&self, number: u64) -> LakeResult<Option<Entry>> {
        let Some(record) = self.record(number).await? else { return Ok(None) };
        let done = match self.get(&done_key(number)).await? {
            Some(bytes) => Some(parse(&done_key(number), &bytes)?),
            None => None,
        };
        Ok(Some(Entry { record, done }))
    }

    /// The record of a commit; `None` when there is none of that number.
    pub async fn record(&self, number: u64) -> LakeResult<Option<Record>> {
        let key = record_key(number);
        let bytes = self.get(&key).await?;
        bytes.map(|bytes| parse(&key, &bytes)).transpose()
    }

    async fn fold(
        &self,
        Entry { record, done }: Entry,
        ledger: &mut Ledger,
        complete: bool,
        caught: &mut CaughtUp,
    ) -> LakeResult<()> {
        let done = match done {
            Some(done) => done,
            None if complete => {
                let _commit = under_way::begin(record.number);
                let published = self.publish(&record).await?;
                caught.rolled_forward = Some(record.number);
                published.done
            }
            None => {
                ledger.looked_ahead = true;
                DoneMark::default()
            }
        };
        let objects = self.read_objects(&record.objects).await?;
        if objects.is_none() {
            caught.lost.push(record.number);
        }
        ledger.fold(&record, objects.as_deref(), &done)?;
        fail_point::reach(FailPoint::Folded);
        caught.commits += 1;
        Ok(())
    }

    /// The objects of a record, wherever their list lies; `None` when it is lost.
    pub async fn read_objects<'a>(
        &self,
        list: &'a ObjectList,
    ) -> LakeResult<Option<std::borrow::Cow<'a, Objects>>> {
        let file = match list {
            ObjectList::Inline(objects) => return Ok(Some(std::borrow::Cow::Borrowed(objects))),
            ObjectList::File(file) => file,
        };
        // Who only looks may come between: then it was moved after the first look at its final key.
        for key in [&file.key, &file.staged, &file.key] {
            if let Some(bytes) = self.get(key).await?
                && sha256_of(&bytes) == file.sha256
            {
                return parse(key, &bytes).map(|objects| Some(std::borrow::Cow::Owned(objects)));
            }
        }
        Ok(None)
    }

    /// Stages a part for commit `number`.
    pub async fn stage_part(
        &self,
        number: u64,
        run: &str,
        table: Table,
        partition: Partition,
        part: &EncodedPart,
    ) -> LakeResult<FileRecord> {
        let staged = staged_part_key(number, run, &part.sha256);
        self.store.put(&staged, part.bytes.clone(), &part.sha256).await?;
        fail_point::reach(FailPoint::PartStaged);
        Ok(FileRecord {
            table,
            partition,
            staged,
            key: part_key(table, partition, number, &part.sha256),
            rows: part.rows,
            bytes: part.bytes.len() as u64,
            sha256: part.sha256.clone(),
            time_ms: part.time_ms,
            ids: (id_text(part.ids.0), id_text(part.ids.1)),
        })
    }

    /// Stages the list of objects if it is long; a short one will stand in the record.
    pub async fn stage_objects(
        &self,
        number: u64,
        run: &str,
        objects: Objects,
    ) -> LakeResult<ObjectList> {
        if objects.len() <= INLINE_OBJECTS_MAX {
            return Ok(ObjectList::Inline(objects));
        }
        let bytes = to_json(&record_key(number), &objects)?;
        let sha256 = sha256_of(&bytes);
        let staged = staged_objects_key(number, run, &sha256);
        let length = bytes.len() as u64;
        self.store.put(&staged, bytes, &sha256).await?;
        let key = objects_key(&sha256);
        Ok(ObjectList::File(ObjectsFile { staged, key, bytes: length, sha256 }))
    }

    /// Tries to make this record the log's next. Which record has the number is told by its commit
    /// id, since a refusal may be the echo of one's own write. As long as it is not known the same
    /// bytes are sent again, and nothing else is done.
    pub async fn try_commit(&self, record: &Record) -> LakeResult<Committed> {
        let key = record_key(record.number);
        let bytes = to_json(&key, record)?;
        let sha256 = sha256_of(&bytes);
        let mut attempt = 0;
        loop {
            attempt += 1;
            let Err(error) = self.store.put_new(&key, bytes.clone(), &sha256).await else {
                return Ok(Committed::Won);
            };
            let again = is_to_be_sent_again(&error, attempt);
            // A conflict says that a write of this key is under way; the same write settles it.
            if error.kind == StoreErrorKind::Conflict && again {
                continue;
            }
            match self.record(record.number).await {
                Ok(Some(held)) if held.commit_id == record.commit_id => return Ok(Committed::Won),
                Ok(Some(_)) => return Ok(Committed::Lost),
                Ok(None) if again => {}
                Err(LakeError::Store(unread)) if again && unread.kind.is_passing() => {}
                Ok(None) | Err(LakeError::Store(_)) => {
                    return Err(LakeError::Undecided { key, cause: error });
                }
                Err(damaged) => return Err(damaged),
            }
        }
    }

    /// Deletes what is staged under numbers up to `done`, all of which must be done: no record of them
    /// can win any more; and what killed runs have left unfinished. Gives how many objects were deleted.
    pub async fn sweep(&self, done: u64) -> LakeResult<u64> {
        let swept = self
            .store
            .list(STAGING)
            .try_filter(|meta| {
                let number = parse_staging_key(&meta.key);
                std::future::ready(number.is_some_and(|number| number <= done))
            })
            .map_ok(|meta| async move { self.store.delete(&meta.key).await })
            .try_buffer_unordered(SWEEP_CONCURRENCY)
            .try_fold(0, |count, ()| async move { Ok(count + 1) })
            .await?;
        fail_point::reach(FailPoint::Swept);
        self.store.clear_unfinished(STATE).await?;
        Ok(swept)
    }

    /// Writes the ledger as a checkpoint when enough commits came since the last one, or something was
    /// found out that was costly to find out, and deletes old ones. It is a cache: failing to write it is the caller's note, not its end.
    pub async fn checkpoint(&self, ledger: &mut Ledger) -> LakeResult<bool> {
        let due = ledger.version >= ledger.checkpoint + CHECKPOINT_COMMITS;
        // An open commit that was only looked at is not done, so a checkpoint may not hold it.
        if !(due || ledger.has_news) || ledger.looked_ahead || ledger.version == 0 {
            return Ok(false);
        }
        if !ledger.withdrawn_commits.is_empty() {
            // Else what was read again would be read back with each run.
            self.settle_hours(ledger, Settle::Closable).await?;
        }
        let key = checkpoint_key(ledger.version);
        let bytes = checkpoint::encode(ledger).map_err(|error| lost(&key, &error.to_string()))?;
        let sha256 = sha256_of(&bytes);
        self.store.put(&key, Bytes::from(bytes), &sha256).await?;
        fail_point::reach(FailPoint::Checkpointed);
        (ledger.checkpoint, ledger.has_news) = (ledger.version, false);
        for number in self.checkpoints().await?.into_iter().skip(CHECKPOINTS_KEPT) {
            self.store.delete(&checkpoint_key(number)).await?;
        }
        Ok(true)
    }

    pub(super) async fn get(&self, key: &str) -> LakeResult<Option<Bytes>> {
        match self.store.get(key, GetOptions::own()).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind == StoreErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// A random id of 32 hex digits, for commits and runs.
pub fn random_id() -> String {
    id_text(rand::random())
}

/// Whether the same write may fare better after so many attempts. `Precondition` without an object is
/// such a case: a write that was under way and was given up.
pub(super) fn is_to_be_sent_again(error: &StoreError, attempts: usize) -> bool {
    match error.kind {
        StoreErrorKind::Unavailable => attempts < ATTEMPTS_UNANSWERED,
        StoreErrorKind::Conflict | StoreErrorKind::Precondition => attempts < ATTEMPTS,
        _ => false,
    }
}

pub(super) fn sha256_of(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(super) fn to_json<T: Serialize>(key: &str, value: &T) -> LakeResult<Bytes> {
    let mut bytes = serde_json::to_vec(value).map_err(|error| lost(key, &error.to_string()))?;
    bytes.push(b'\n');
    Ok(Bytes::from(bytes))
}

/// Reads an object of the log. One of a newer format may look different, so its number comes first.
pub(super) fn parse<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> LakeResult<T> {
    #[derive(serde::Deserialize)]
    struct Format {
        #[serde(default)]
        format: u32,
    }
    let unreadable = |error: serde_json::Error| lost(key, &format!("cannot be read: {error}"));
    let Format { format } = serde_json::from_slice(bytes).map_err(unreadable)?;
    if format > super::record::RECORD_FORMAT {
        let message = format!("this object has format {format}, which is newer than this program");
        return Err(LakeError::refused(key, message, "update healthtrail"));
    }
    serde_json::from_slice(bytes).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::ledger::Status;
    use crate::lake::part::encode;
    use crate::lake::testing::{
        SETTINGS, Shuffled, TestRow, keys, object, record, rows_of, run_once, visible_ids,
    };
    use crate::store::{Effect, Fault, Faulty, Folder, Memory};

    const DAY: i64 = 86_400_000;

    /// Five rows of three objects in two partitions, two of them equal.
    fn rows() -> Vec<TestRow> {
        let row =
            |id, day: i64, object| TestRow { id, time: day * DAY, object, ..TestRow::default() };
        vec![row(1, 0, "a"), row(2, 1, "a"), row(3, 0, "b"), row(1, 0, "b"), row(4, 1, "c")]
    }

    fn memory() -> (Arc<Memory>, Log) {
        let store = Arc::new(Memory::new("lake"));
        (Arc::clone(&store), Log::new(store))
    }

    fn inline(names: &[&str]) -> ObjectList {
        let consumed = names.iter().map(|name| object(name)).collect();
        ObjectList::Inline(Objects { consumed, ..Objects::default() })
    }

    async fn ledger_of(log: &Log) -> Ledger {
        let mut ledger = log.load().await.unwrap();
        log.catch_up(&mut ledger).await.unwrap();
        ledger
    }

    /// A record with one staged file of one row.
    async fn staged(log: &Log, number: u64, run: &str, id: u128) -> Record {
        let rows = rows_of(&[TestRow { id, ..TestRow::default() }]);
        let pick = crate::lake::dedupe::Pick { batch: 0, row: 0 };
        let part = encode(Table::Findings, &[&rows.batch], &[pick]).unwrap();
        let partition = "1970-01-01".parse().unwrap();
        let file = log.stage_part(number, run, Table::Findings, partition, &part).await.unwrap();
        record(number, run, inline(&[run]), vec![file])
    }

    #[tokio::test]
    async fn a_run_leaves_its_rows_and_nothing_staged_and_a_second_adds_nothing() {
        let (store, log) = memory();
        assert_eq!(run_once(store.clone(), "one", &rows()).await.unwrap(), 4);
        let before = store.objects();
        assert_eq!(visible_ids(&store, Table::Findings), [1, 2, 3, 4]);
        assert!(keys(&store, STAGING).is_empty());
        assert_eq!(run_once(store.clone(), "two", &rows()).await.unwrap(), 0);
        assert_eq!(store.objects(), before);
        let ledger = ledger_of(&log).await;
        assert_eq!((ledger.version(), ledger.totals().findings, ledger.totals().files), (1, 4, 2));
    }

    #[tokio::test]
    async fn a_folder_keeps_the_same_rules() {
        let folder = tempfile::tempdir().unwrap();
        let inner: Arc<dyn Store> = Arc::new(Folder::open(folder.path(), true).await.unwrap());
        // Killed sooner or later; those that come after one that had committed have little left to do.
        for nth in [9, 12, 14, 16] {
            let fault = Fault::at(nth, StoreErrorKind::Unavailable).forever().answer_lost();
            let store = Faulty::new(inner.clone()).with(fault);
            let _ = run_once(Arc::new(store), "killed", &rows()).await;
        }
        run_once(inner.clone(), "next", &rows()).await.unwrap();
        assert_eq!(run_once(inner.clone(), "again", &rows()).await.unwrap(), 0);
        let log = Log::new(inner.clone());
        let ledger = ledger_of(&log).await;
        log.sweep(ledger.version()).await.unwrap();
        assert_eq!((ledger.version(), ledger.totals().findings), (1, 4));
        let listed: Vec<_> = inner.list("").try_collect().await.unwrap();
        let mut keys: Vec<&str> = listed.iter().map(|meta| meta.key.as_str()).collect();
        keys.sort_unstable();
        let mut expected: Vec<&str> = ledger.all_files().map(|file| file.2.key.as_str()).collect();
        let (done, record) = (done_key(1), record_key(1));
        expected.extend([done.as_str(), record.as_str()]);
        expected.sort_unstable();
        assert_eq!(keys, expected);
    }

    #[tokio::test]
    async fn of_two_records_for_a_number_one_wins_and_each_is_told_so_again() {
        let (_, log) = memory();
        let (one, two) = (staged(&log, 1, "one", 1).await, staged(&log, 1, "two", 2).await);
        for _ in 0..2 {
            assert_eq!(log.try_commit(&one).await.unwrap(), Committed::Won);
            assert_eq!(log.try_commit(&two).await.unwrap(), Committed::Lost);
        }
    }

    #[tokio::test]
    async fn a_lost_or_refused_answer_is_settled_by_the_commit_id() {
        let kinds = [StoreErrorKind::Unavailable, StoreErrorKind::Conflict, StoreErrorKind::Other];
        for kind in kinds {
            for effect in [Effect::Nothing, Effect::AnswerLost] {
                let inner = Arc::new(Memory::new("lake"));
                let fault = Fault { effect, ..Fault::at(1, kind).only("put_new", "/log/") };
                let store = Arc::new(Faulty::new(inner).with(fault));
                let log = Log::new(store.clone());
                let record = staged(&log, 1, "one", 1).await;
                let committed = log.try_commit(&record).await;
                if (kind, effect) == (StoreErrorKind::Other, Effect::Nothing) {
                    // A plain refusal, and no record: nothing can be said but that it failed.
                    assert!(matches!(committed, Err(LakeError::Undecided { .. })));
                } else {
                    assert_eq!(committed.unwrap(), Committed::Won, "{kind:?} {effect:?}");
                }
                let written = store.operations().into_iter().filter(|op| op.name == "put_new");
                assert!(written.into_iter().all(|op| op.key == record_key(1)));
                assert!(store.operations().iter().all(|op| op.name != "delete"));
            }
        }
    }

    #[tokio::test]
    async fn a_store_that_stays_silent_ends_undecided_after_a_bounded_number_of_tries() {
        let fault = Fault::at(1, StoreErrorKind::Unavailable).only("put_new", "/log/").forever();
        let store = Arc::new(Faulty::new(Arc::new(Memory::new("lake"))).with(fault));
        let log = Log::new(store.clone());
        let record = staged(&log, 1, "one", 1).await;
        let error = log.try_commit(&record).await.unwrap_err();
        assert!(matches!(error, LakeError::Undecided { .. }), "{error}");
        assert_eq!(error.key(), record_key(1));
        assert!(error.to_string().contains("run again"), "{error}");
        let tries = store.operations().iter().filter(|op| op.name == "put_new").count();
        assert_eq!(tries, ATTEMPTS_UNANSWERED);
    }

    #[tokio::test]
    async fn a_loser_drops_what_the_winner_consumed_and_adds_the_rest_under_the_next_number() {
        let (store, log) = memory();
        // The loser has staged for number 1 when the winner, who has object `a`, commits it.
        let loser = staged(&log, 1, "loser", 9).await;
        assert_eq!(run_once(store.clone(), "winner", &rows()[..2]).await.unwrap(), 2);
        assert_eq!(log.try_commit(&loser).await.unwrap(), Committed::Lost);
        assert_eq!(run_once(store.clone(), "loser", &rows()).await.unwrap(), 2);
        assert_eq!(visible_ids(&store, Table::Findings), [1, 2, 3, 4]);
        let ledger = ledger_of(&log).await;
        assert_eq!(ledger.version(), 2);
        // What the loser staged under number 1 went with the sweep of the next planning.
        assert!(keys(&store, STAGING).is_empty());
    }

    #[tokio::test]
    async fn a_sweep_leaves_numbers_alone_that_are_not_done() {
        let (store, log) = memory();
        let open = staged(&log, 2, "open", 1).await;
        staged(&log, 1, "late", 2).await;
        store.insert("_healthtrail/staging/note.txt", "not ours");
        assert_eq!(log.sweep(1).await.unwrap(), 1);
        assert!(store.head(&open.files[0].staged).await.unwrap().is_some());
        assert!(store.head("_healthtrail/staging/note.txt").await.unwrap().is_some());
    }

    #[tokio::test]
    async fn an_open_commit_is_completed_by_whoever_comes_next() {
        let (store, log) = memory();
        let record = staged(&log, 1, "dead", 7).await;
        log.try_commit(&record).await.unwrap();
        // A look changes nothing, a planning completes.
        let mut ledger = Ledger::default();
        let before = store.objects();
        log.look(&mut ledger).await.unwrap();
        assert_eq!((ledger.version(), store.objects() == before), (1, true));
        assert!(!log.checkpoint(&mut ledger).await.unwrap());
        let caught = log.catch_up(&mut ledger).await.unwrap();
        assert_eq!((caught.commits, caught.rolled_forward), (1, Some(1)));
        assert_eq!(visible_ids(&store, Table::Findings), [7]);
        assert_eq!(ledger.status("memory://archive", "dead", "1", 0, &SETTINGS), Status::Consumed);
        assert!(keys(&store, STAGING).is_empty());
        assert_eq!(log.catch_up(&mut ledger).await.unwrap(), CaughtUp::default());
    }

    #[tokio::test]
    async fn staging_beside_a_done_mark_is_no_damage() {
        let (store, log) = memory();
        let record = staged(&log, 1, "one", 1).await;
        log.try_commit(&record).await.unwrap();
        log.publish(&record).await.unwrap();
        staged(&log, 1, "one", 1).await;
        let mut ledger = Ledger::default();
        assert_eq!(log.catch_up(&mut ledger).await.unwrap().rolled_forward, None);
        assert_eq!(log.sweep(1).await.unwrap(), 1);
        assert_eq!(visible_ids(&store, Table::Findings), [1]);
    }

    #[tokio::test]
    async fn long_lists_of_objects_lie_beside_the_record() {
        let (store, log) = memory();
        let count = INLINE_OBJECTS_MAX + 1;
        let consumed = (0..count).map(|number| object(&number.to_string())).collect();
        let objects = Objects { consumed, ..Objects::default() };
        let totals = crate::lake::record::Totals::of(&objects, &[]);
        let list = log.stage_objects(1, "one", objects).await.unwrap();
        let ObjectList::File(file) = list.clone() else { panic!("inline") };
        let mut record = record(1, "one", list, Vec::new());
        record.totals = totals;
        log.try_commit(&record).await.unwrap();
        let mut looked = Ledger::default();
        log.look(&mut looked).await.unwrap();
        let ledger = ledger_of(&log).await;
        for ledger in [&looked, &ledger] {
            let status = ledger.status("memory://archive", "10000", "1", 0, &SETTINGS);
            assert_eq!(status, Status::Consumed);
        }
        assert!(keys(&store, STAGING).is_empty());
        // A lost list only means that its objects are read again.
        store.delete(&file.key).await.unwrap();
        let mut again = Ledger::default();
        let caught = log.catch_up(&mut again).await.unwrap();
        assert_eq!(caught.notes.len(), 1);
        assert_eq!(again.status("memory://archive", "10000", "1", 0, &SETTINGS), Status::Unknown);
    }

    /// Who looked at an open commit, without completing it, took its list of objects for lost when another
    /// run moved the list between the look at its final key and the one at its staging.
    #[tokio::test]
    async fn r026_a_list_that_is_moved_between_two_looks_is_not_lost() {
        let (store, log) = memory();
        let consumed = (0..=INLINE_OBJECTS_MAX).map(|number| object(&number.to_string())).collect();
        let objects = Objects { consumed, ..Objects::default() };
        let totals = crate::lake::record::Totals::of(&objects, &[]);
        let list = log.stage_objects(1, "one", objects).await.unwrap();
        let mut record = record(1, "one", list, Vec::new());
        record.totals = totals;
        log.try_commit(&record).await.unwrap();
        log.publish(&record).await.unwrap();
        // The first look finds nothing, as if the list came just after it.
        let fault = Fault::at(1, StoreErrorKind::NotFound).only("get", "/objects/");
        let mut ledger = Ledger::default();
        let caught = Log::new(Arc::new(Faulty::new(store).with(fault))).look(&mut ledger).await;
        assert_eq!(caught.unwrap().notes, Vec::<String>::new());
        let status = ledger.status("memory://archive", "0", "1", 0, &SETTINGS);
        assert_eq!(status, Status::Consumed);
    }

    #[tokio::test]
    async fn a_record_that_is_gone_or_unreadable_or_newer_stops_with_its_key() {
        let (store, log) = memory();
        for number in 1..=3 {
            let record = record(number, "one", inline(&[]), Vec::new());
            log.try_commit(&record).await.unwrap();
            log.publish(&record).await.unwrap();
        }
        let whole = store.get(&record_key(2), GetOptions::default()).await.unwrap();
        let newer =
            String::from_utf8(whole.to_vec()).unwrap().replace("\"format\":1", "\"format\":2");
        let cases = [
            (None, "is gone"),
            (Some("{}".to_owned()), "cannot be read"),
            (Some(newer), "newer than this program"),
        ];
        for (content, expected) in cases {
            match content {
                Some(content) => store.insert(record_key(2), content),
                None => store.delete(&record_key(2)).await.unwrap(),
            }
            let error = log.catch_up(&mut Ledger::default()).await.unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert_eq!(error.key(), record_key(2));
        }
        store.insert(record_key(2), whole);
        assert_eq!(ledger_of(&log).await.version(), 3);
    }

    #[tokio::test]
    async fn a_checkpoint_saves_reading_the_log_and_may_be_lost_or_damaged() {
        let inner = Arc::new(Memory::new("lake"));
        let names: Vec<&'static str> = (0..40).map(|n| &*n.to_string().leak()).collect();
        for (id, object) in names.iter().enumerate() {
            let row = TestRow { id: id as u128, object, ..TestRow::default() };
            run_once(inner.clone(), "run", &[row]).await.unwrap();
        }
        let stored = keys(&inner, CHECKPOINTS);
        assert_eq!(stored.len(), CHECKPOINTS_KEPT);
        let plain = |mut ledger: Ledger| {
            ledger.checkpoint = 0;
            ledger
        };
        let store = Arc::new(Faulty::new(inner.clone()));
        let log = Log::new(store.clone());
        let loaded = plain(ledger_of(&log).await);
        let reads = store.operations().iter().filter(|op| op.key == record_key(1)).count();
        assert_eq!((loaded.version(), reads), (40, 0));
        let mut folded = Ledger::default();
        log.catch_up(&mut folded).await.unwrap();
        assert_eq!(loaded, folded);
        for (newest, _) in stored.iter().rev() {
            inner.insert(newest.clone(), "damaged");
            assert_eq!(plain(ledger_of(&log).await), folded);
            inner.delete(newest).await.unwrap();
            assert_eq!(plain(ledger_of(&log).await), folded);
        }
    }

    #[tokio::test]
    async fn a_checkpoint_of_another_history_is_not_used() {
        let (store, log) = memory();
        let mut ledger = Ledger::default();
        for number in 1..=CHECKPOINT_COMMITS {
            log.try_commit(&record(number, "one", inline(&["gone"]), Vec::new())).await.unwrap();
        }
        log.look(&mut ledger).await.unwrap();
        // Not done yet, so no checkpoint may hold them.
        assert!(!log.checkpoint(&mut ledger).await.unwrap());
        log.catch_up(&mut ledger).await.unwrap();
        assert!(log.checkpoint(&mut ledger).await.unwrap());
        // The lake is filled anew, and the old checkpoint was left behind.
        for number in 1..=CHECKPOINT_COMMITS {
            for key in [record_key(number), done_key(number)] {
                store.delete(&key).await.unwrap();
            }
        }
        assert_eq!(ledger_of(&log).await.version(), 0);
        log.try_commit(&record(1, "two", inline(&["new"]), Vec::new())).await.unwrap();
        let ledger = ledger_of(&log).await;
        assert_eq!(ledger.status("memory://archive", "gone", "1", 0, &SETTINGS), Status::Unknown);
    }

    /// What must be equal however a run came to its end: visible files and the log's numbers.
    fn end_state(store: &Memory) -> (Vec<(String, String)>, Vec<String>) {
        let log = keys(store, crate::lake::layout::LOG).into_iter().map(|(key, _)| key).collect();
        ([keys(store, "findings/"), keys(store, STAGING)].concat(), log)
    }

    async fn count_of_operations() -> (u64, (Vec<(String, String)>, Vec<String>)) {
        let inner = Arc::new(Memory::new("lake"));
        let store = Arc::new(Faulty::new(inner.clone()));
        run_once(store.clone(), "golden", &rows()).await.unwrap();
        (store.count(), end_state(&inner))
    }

    #[tokio::test]
    async fn a_run_killed_at_any_operation_is_completed_or_forgotten_by_the_next() {
        let (count, golden) = count_of_operations().await;
        for nth in 1..=count {
            for effect in [Effect::Nothing, Effect::AnswerLost] {
                let inner = Arc::new(Memory::new("lake"));
                let fault = Fault::at(nth, StoreErrorKind::Unavailable).forever();
                let store = Faulty::new(inner.clone()).with(Fault { effect, ..fault });
                let killed = run_once(Arc::new(store), "killed", &rows()).await;
                assert!(killed.is_err(), "operation {nth}");
                // Whatever is visible meanwhile is whole and not doubled.
                let ids = visible_ids(&inner, Table::Findings);
                assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "operation {nth}");
                run_once(inner.clone(), "next", &rows()).await.unwrap();
                Log::new(inner.clone()).sweep(1).await.unwrap();
                assert_eq!(end_state(&inner), golden, "operation {nth} {effect:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_run_killed_while_it_completes_a_killed_run_changes_nothing() {
        let (count, golden) = count_of_operations().await;
        for first in 1..=count {
            // A fifth of all pairs, so that each operation is met some times.
            for second in (1..=count).filter(|second| (first + 2 * second) % 5 == 0) {
                let inner = Arc::new(Memory::new("lake"));
                for (nth, run) in [(first, "one"), (second, "two")] {
                    let fault = Fault::at(nth, StoreErrorKind::Unavailable).forever().answer_lost();
                    let store = Faulty::new(inner.clone()).with(fault);
                    let _ = run_once(Arc::new(store), run, &rows()).await;
                }
                run_once(inner.clone(), "next", &rows()).await.unwrap();
                Log::new(inner.clone()).sweep(1).await.unwrap();
                assert_eq!(end_state(&inner), golden, "operations {first} and {second}");
            }
        }
    }

    #[tokio::test]
    async fn one_failing_operation_of_any_kind_does_no_harm() {
        let (count, golden) = count_of_operations().await;
        let kinds = [
            StoreErrorKind::Conflict,
            StoreErrorKind::Precondition,
            StoreErrorKind::Denied,
            StoreErrorKind::Unavailable,
        ];
        for nth in 1..=count {
            for kind in kinds {
                for effect in [Effect::Nothing, Effect::AnswerLost] {
                    let inner = Arc::new(Memory::new("lake"));
                    let fault = Fault { effect, ..Fault::at(nth, kind) };
                    let store = Faulty::new(inner.clone()).with(fault);
                    let _ = run_once(Arc::new(store), "one", &rows()).await;
                    run_once(inner.clone(), "next", &rows()).await.unwrap();
                    Log::new(inner.clone()).sweep(1).await.unwrap();
                    assert_eq!(end_state(&inner), golden, "operation {nth} {kind:?} {effect:?}");
                }
            }
        }
    }

    #[tokio::test]
    async fn runs_at_once_add_each_row_once_in_any_order_of_their_operations() {
        for seed in 0..50 {
            let inner = Arc::new(Memory::new("lake"));
            let store: Arc<Shuffled> = Arc::new(Shuffled::new(inner.clone(), seed));
            let all = rows();
            let (one, two, three) = tokio::join!(
                run_once(store.clone(), "one", &all[..2]),
                run_once(store.clone(), "two", &all[2..]),
                run_once(store.clone(), "three", &all),
            );
            let added = one.unwrap() + two.unwrap() + three.unwrap();
            assert_eq!(added, 4, "seed {seed}");
            assert_eq!(visible_ids(&inner, Table::Findings), [1, 2, 3, 4], "seed {seed}");
            let ledger = ledger_of(&Log::new(inner.clone())).await;
            assert_eq!(ledger.totals().findings, 4, "seed {seed}");
            assert_eq!(ledger.damaged().count(), 0, "seed {seed}");
        }
    }

    #[tokio::test]
    async fn two_complete_an_open_commit_at_once() {
        for seed in 0..50 {
            let (inner, log) = memory();
            let record = staged(&log, 1, "dead", 7).await;
            log.try_commit(&record).await.unwrap();
            let log = Log::new(Arc::new(Shuffled::new(inner.clone(), seed)));
            let (mut one, mut two) = (Ledger::default(), Ledger::default());
            let both = tokio::join!(log.catch_up(&mut one), log.catch_up(&mut two));
            both.0.unwrap();
            both.1.unwrap();
            assert_eq!(one, two, "seed {seed}");
            assert_eq!((one.damaged().count(), visible_ids(&inner, Table::Findings)), (0, vec![7]));
            assert!(keys(&inner, STAGING).is_empty());
        }
    }
}
