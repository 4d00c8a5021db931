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
    CHECKPOINTS, Partition, STAGING, Table, checkpoint_key, done_key, objects_key,
    parse_checkpoint_key, parse_staging_key, part_key, record_key, staged_objects_key,
    staged_part_key,
};
use super::ledger::{Ledger, lost};
use super::part::EncodedPart;
use super::record::{
    DoneMark, FileRecord, INLINE_OBJECTS_MAX, ObjectList, Objects, ObjectsFile, Record,
};
use crate::store::{GetOptions, Store, StoreError, StoreErrorKind};

/// How often the same conditional write is sent before its fate counts as unknown; the store has
/// retried each of them already.
pub(super) const ATTEMPTS: usize = 8;
/// Records read at once while catching up; it grows to this while there are more.
const READ_AHEAD_MAX: u64 = 32;
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

    /// The ledger of the newest readable checkpoint, or an empty one; [`Log::catch_up`] does the rest.
    pub async fn load(&self) -> LakeResult<Ledger> {
        for number in self.checkpoints().await? {
            let key = checkpoint_key(number);
            let read = match self.get(&key).await? {
                None => Err("it is gone".to_owned()),
                Some(bytes) => checkpoint::decode(&bytes, number),
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
    async fn checkpoints(&self) -> LakeResult<Vec<u64>> {
        let listed = self.store.list(CHECKPOINTS);
        let numbers =
            listed.try_filter_map(|meta| async move { Ok(parse_checkpoint_key(&meta.key)) });
        let mut numbers: Vec<u64> = numbers.try_collect().await?;
        numbers.sort_unstable_by(|one, two| two.cmp(one));
        Ok(numbers)
    }

    async fn is_of_this_log(&self, ledger: &Ledger) -> LakeResult<bool> {
        let record = self.read_record(ledger.version).await?;
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
        loop {
            let first = ledger.version + 1;
            let numbers = first..first + read_ahead;
            let mut entries = stream::iter(numbers.map(|number| self.read_entry(number)))
                .buffered(usize::try_from(read_ahead).unwrap_or(1));
            let mut ended = false;
            while let Some(entry) = entries.next().await {
                match entry? {
                    Some(entry) => self.fold(entry, ledger, complete, &mut caught).await?,
                    None => {
                        ended = true;
                        break;
                    }
                }
            }
            drop(entries);
            if ended && self.is_the_end(ledger.version + 1).await? {
                return Ok(caught);
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
        let Some(record) = self.read_record(number).await? else { return Ok(None) };
        let done = match self.get(&done_key(number)).await? {
            Some(bytes) => Some(parse(&done_key(number), &bytes)?),
            None => None,
        };
        Ok(Some(Entry { record, done }))
    }

    async fn read_record(&self, number: u64) -> LakeResult<Option<Record>> {
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
            caught.notes.push(format!(
                "the list of objects of commit {} is gone or changed: they are read again, and their \
                 rows are told by their ids",
                record.number
            ));
        }
        ledger.fold(&record, objects.as_deref(), &done)?;
        caught.commits += 1;
        Ok(())
    }

    /// The objects of a record; `None` when their list is lost.
    async fn read_objects<'a>(
        &self,
        list: &'a ObjectList,
    ) -> LakeResult<Option<std::borrow::Cow<'a, Objects>>> {
        let file = match list {
            ObjectList::Inline(objects) => return Ok(Some(std::borrow::Cow::Borrowed(objects))),
            ObjectList::File(file) => file,
        };
        for key in [&file.key, &file.staged] {
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
        if objects.consumed.len() + objects.failed.len() <= INLINE_OBJECTS_MAX {
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
            let again = attempt < ATTEMPTS;
            // A conflict says that a write of this key is under way; the same write settles it.
            if error.kind == StoreErrorKind::Conflict && again {
                continue;
            }
            match self.read_record(record.number).await {
                Ok(Some(held)) if held.commit_id == record.commit_id => return Ok(Committed::Won),
                Ok(Some(_)) => return Ok(Committed::Lost),
                Ok(None) if again && may_pass(&error) => {}
                Err(LakeError::Store(unread)) if again && unread.kind.is_passing() => {}
                Ok(None) | Err(LakeError::Store(_)) => {
                    return Err(LakeError::Undecided { key, cause: error });
                }
                Err(damaged) => return Err(damaged),
            }
        }
    }

    /// Deletes what is staged under numbers up to `done`, all of which must be done: no record of them
    /// can win any more. Gives how many objects were deleted.
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
        Ok(swept)
    }

    /// Writes the ledger as a checkpoint when enough commits came since the last one, and deletes old
    /// ones. It is a cache: failing to write it is the caller's note, not its end.
    pub async fn checkpoint(&self, ledger: &mut Ledger) -> LakeResult<bool> {
        let due = ledger.version >= ledger.checkpoint + CHECKPOINT_COMMITS;
        // An open commit that was only looked at is not done, so a checkpoint may not hold it.
        if !due || ledger.looked_ahead {
            return Ok(false);
        }
        let key = checkpoint_key(ledger.version);
        let bytes = checkpoint::encode(ledger).map_err(|error| lost(&key, &error.to_string()))?;
        let sha256 = sha256_of(&bytes);
        self.store.put(&key, Bytes::from(bytes), &sha256).await?;
        ledger.checkpoint = ledger.version;
        for number in self.checkpoints().await?.into_iter().skip(CHECKPOINTS_KEPT) {
            self.store.delete(&checkpoint_key(number)).await?;
        }
        Ok(true)
    }

    pub(super) async fn get(&self, key: &str) -> LakeResult<Option<Bytes>> {
        match self.store.get(key, GetOptions::default()).await {
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

/// Whether the same write may fare better when it is sent again. `Precondition` without an object is
/// such a case: a write that was under way and was given up.
pub(super) fn may_pass(error: &StoreError) -> bool {
    error.kind.is_passing() || error.kind == StoreErrorKind::Precondition
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
