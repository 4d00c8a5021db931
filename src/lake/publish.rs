//! Making a commit visible: what it withdraws away, its files to their final keys, its staging away,
//! its done mark written.
//!
//! In: a record that is in the log. Out: what was copied, and the done mark that now stands. Every step
//! may be done again, and by several runs at once. A file that can no longer be published is named in
//! the done mark and stops only runs that touch its partition; trouble of the store ends the run, which
//! may be repeated.

use std::collections::BTreeSet;
use std::time::Instant;

use futures::stream::{self, StreamExt, TryStreamExt};

use super::error::LakeResult;
use super::layout::{done_key, parse_part_key, record_key, run_staging_prefix};
use super::log::{Log, is_to_be_sent_again, parse, sha256_of, to_json};
use super::record::{DoneMark, ObjectList, Record};
use crate::store::fail_point::{self, FailPoint};
use crate::store::{StoreErrorKind, StoreResult};

/// How often a copy is asked for that finds nothing, though its source is there.
const COPIES_MAX: usize = 3;
/// Files copied at once.
const PUBLISH_CONCURRENCY: usize = 16;

/// What [`Log::publish`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Published {
    /// Files that were copied to their final keys here.
    pub copied: usize,
    /// Files that lay there already.
    pub present: usize,
    /// What the done mark says; a damaged file stops only runs that touch its partition.
    pub done: DoneMark,
    /// Files of earlier commits that were deleted.
    pub withdrawn: usize,
    /// How long the commit was visible in part.
    pub milliseconds: u64,
    /// Why the commit's staging could not be deleted, if so: a note, a later sweep does it.
    pub unswept: Option<String>,
}

/// One object on its way to its final key.
#[derive(Clone, Copy)]
struct Move<'a> {
    staged: &'a str,
    key: &'a str,
    bytes: u64,
    sha256: &'a str,
}

enum Moved {
    Copied,
    Present,
    Damaged(String),
}

enum Found {
    Nothing,
    Right,
    Other,
}

impl Log {
    /// Publishes the files of a record that is in the log, deletes its staging, marks it done. May be
    /// repeated, and run by several at once.
    pub async fn publish(&self, record: &Record) -> LakeResult<Published> {
        let mut published = Published::default();
        // Who wrote it may have been killed before it was durable, and nothing may be visible that a loss
        // of power leaves without its record.
        self.store.make_durable(&record_key(record.number)).await?;
        let begun = Instant::now();
        let waiting: Vec<Move<'_>> = moves(record).collect();
        published.withdrawn = self.withdraw(record, &waiting).await?;
        fail_point::reach(FailPoint::Withdrawn);
        let outcomes: Vec<(&str, Moved)> = stream::iter(waiting)
            .map(|one| async move { StoreResult::Ok((one.key, self.move_one(one).await?)) })
            .buffer_unordered(PUBLISH_CONCURRENCY)
            .try_collect()
            .await?;
        for (key, moved) in outcomes {
            match moved {
                Moved::Copied => published.copied += 1,
                Moved::Present => {
                    self.store.make_durable(key).await?;
                    published.present += 1;
                }
                Moved::Damaged(message) => {
                    published.done.damaged.insert(key.to_owned(), message);
                }
            }
        }
        published.milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        fail_point::reach(FailPoint::BeforeUnstage);
        published.unswept = self.unstage(record).await.err().map(|error| error.to_string());
        fail_point::reach(FailPoint::Unstaged);
        published.done = self.mark_done(record.number, published.done).await?;
        fail_point::reach(FailPoint::Done);
        Ok(published)
    }

    /// Deletes the files that the record withdraws, before any of its own become visible: readers miss
    /// rows for a moment rather than count them twice. What replaces them must be at hand, or they
    /// stay. A withdrawn part never comes back, since its key holds the number of its commit; a list of
    /// objects may, being named by its content alone, so that one is left to who withdraws it.
    async fn withdraw(&self, record: &Record, waiting: &[Move<'_>]) -> StoreResult<usize> {
        if record.withdrawn.is_empty() {
            return Ok(0);
        }
        for one in waiting {
            let is_published = matches!(self.look_at(*one).await?, Found::Right);
            if !is_published && self.store.head(one.staged).await?.is_none() {
                tracing::warn!(
                    "commit {}: `{}` is gone, so what it replaces is not deleted",
                    record.number,
                    one.staged
                );
                return Ok(0);
            }
        }
        // A file may be named once for each commit whose objects are read again.
        let keys: BTreeSet<&str> = record.withdrawn.iter().map(|one| one.key.as_str()).collect();
        let keys = keys.into_iter().filter(|key| parse_part_key(key).is_some());
        stream::iter(keys)
            .map(|key| self.store.delete(key))
            .buffer_unordered(PUBLISH_CONCURRENCY)
            .try_fold(0, |count, ()| async move { Ok(count + 1) })
            .await
    }

    /// Copies an object unless it lies at its final key already, which is never written over.
    async fn move_one(&self, one: Move<'_>) -> StoreResult<Moved> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            match self.look_at(one).await? {
                Found::Right => return Ok(Moved::Present),
                Found::Other => return Ok(Moved::Damaged("is not what was committed".into())),
                Found::Nothing => {}
            }
            let Err(error) = self.store.copy_new(one.staged, one.key).await else {
                fail_point::reach(FailPoint::Copied);
                return Ok(Moved::Copied);
            };
            if error.kind == StoreErrorKind::NotFound {
                // Staging goes away only after all files lie at their final keys: who finds it gone
                // and the final key empty, looking in this order, sees damage and no race.
                match self.look_at(one).await? {
                    Found::Right => return Ok(Moved::Present),
                    Found::Other => return Ok(Moved::Damaged("is not what was committed".into())),
                    Found::Nothing if self.store.head(one.staged).await?.is_none() => {
                        return Ok(Moved::Damaged("is neither staged nor published".into()));
                    }
                    // The server was wrong. Damage is recorded for good, so it is not taken at its word.
                    Found::Nothing if attempt < COPIES_MAX => continue,
                    Found::Nothing => return Err(error),
                }
            }
            if !is_to_be_sent_again(&error, attempt) {
                return Err(error);
            }
        }
    }

    async fn look_at(&self, one: Move<'_>) -> StoreResult<Found> {
        Ok(match self.store.head(one.key).await? {
            None => Found::Nothing,
            Some(meta) if meta.size == one.bytes && meta.sha256.as_deref() == Some(one.sha256) => {
                Found::Right
            }
            Some(_) => Found::Other,
        })
    }

    async fn unstage(&self, record: &Record) -> StoreResult<()> {
        let prefix = run_staging_prefix(record.number, &record.run);
        let listed = self.store.list(&prefix);
        listed
            .map_ok(|meta| async move { self.store.delete(&meta.key).await })
            .try_buffer_unordered(PUBLISH_CONCURRENCY)
            .try_collect()
            .await
    }

    /// Writes the done mark. When there is one already, it holds: all runs are to see the same.
    async fn mark_done(&self, number: u64, mark: DoneMark) -> LakeResult<DoneMark> {
        let key = done_key(number);
        let bytes = to_json(&key, &mark)?;
        let sha256 = sha256_of(&bytes);
        let mut attempt = 0;
        loop {
            attempt += 1;
            let Err(error) = self.store.put_new(&key, bytes.clone(), &sha256).await else {
                return Ok(mark);
            };
            if let Some(held) = self.get(&key).await? {
                return parse(&key, &held);
            }
            if !is_to_be_sent_again(&error, attempt) {
                return Err(error.into());
            }
        }
    }
}

fn moves(record: &Record) -> impl Iterator<Item = Move<'_>> {
    let files = record.files.iter().map(|file| Move {
        staged: &file.staged,
        key: &file.key,
        bytes: file.bytes,
        sha256: &file.sha256,
    });
    let list = match &record.objects {
        ObjectList::Inline(_) => None,
        ObjectList::File(list) => Some(Move {
            staged: &list.staged,
            key: &list.key,
            bytes: list.bytes,
            sha256: &list.sha256,
        }),
    };
    files.chain(list)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::lake::dedupe::Pick;
    use crate::lake::layout::{STAGING, Table};
    use crate::lake::ledger::Ledger;
    use crate::lake::part::encode;
    use crate::lake::record::{Objects, Withdrawn};
    use crate::lake::testing::{TestRow, keys, record, rows_of, run_once, visible_ids};
    use crate::store::{Fault, Faulty, GetOptions, Memory, Store};

    const DAYS: [&str; 2] = ["1970-01-01", "1970-01-02"];

    /// A committed record with a file of one row on each of two days, not yet published.
    async fn committed(log: &Log) -> Record {
        let mut files = Vec::new();
        for (id, day) in (1..).zip(DAYS) {
            let time = i64::try_from(id - 1).unwrap() * 86_400_000;
            let rows = rows_of(&[TestRow { id, time, ..TestRow::default() }]);
            let pick = Pick { batch: 0, row: 0 };
            let part = encode(Table::Findings, &[&rows.batch], &[pick]).unwrap();
            let day = day.parse().unwrap();
            files.push(log.stage_part(1, "one", Table::Findings, day, &part).await.unwrap());
        }
        let record = record(1, "one", ObjectList::Inline(Objects::default()), files);
        log.try_commit(&record).await.unwrap();
        record
    }

    async fn lake() -> (Arc<Memory>, Log, Record) {
        let store = Arc::new(Memory::new("lake"));
        let log = Log::new(store.clone());
        let record = committed(&log).await;
        (store, log, record)
    }

    #[tokio::test]
    async fn publishing_twice_is_publishing_once() {
        let (store, log, record) = lake().await;
        let first = log.publish(&record).await.unwrap();
        assert_eq!((first.copied, first.present), (2, 0));
        assert!(keys(&store, STAGING).is_empty());
        let before = store.objects();
        let second = log.publish(&record).await.unwrap();
        assert_eq!((second.copied, second.present), (0, 2));
        assert_eq!(store.objects(), before);
        assert_eq!(visible_ids(&store, Table::Findings), [1, 2]);
    }

    #[tokio::test]
    async fn a_file_that_lies_there_already_is_not_written_again() {
        let (store, log, record) = lake().await;
        let file = &record.files[0];
        store.copy_new(&file.staged, &file.key).await.unwrap();
        let before = store.head(&file.key).await.unwrap();
        store.delete(&file.staged).await.unwrap();
        let published = log.publish(&record).await.unwrap();
        assert_eq!((published.copied, published.present), (1, 1));
        assert_eq!(store.head(&file.key).await.unwrap(), before);
        assert!(published.done.damaged.is_empty());
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_published_stops_only_its_partition() {
        for foreign in [None, Some("another content")] {
            let (store, log, record) = lake().await;
            let file = &record.files[0];
            match foreign {
                None => store.delete(&file.staged).await.unwrap(),
                Some(content) => store.insert(file.key.clone(), content),
            }
            let published = log.publish(&record).await.unwrap();
            assert_eq!(published.done.damaged.keys().collect::<Vec<_>>(), [&file.key]);
            if let Some(content) = foreign {
                // It is never written over.
                let held = store.get(&file.key, GetOptions::default()).await.unwrap();
                assert_eq!(held, content);
                store.delete(&file.key).await.unwrap();
            }
            let row = |id, day: i64, object| TestRow {
                id,
                time: day * 86_400_000,
                object,
                ..TestRow::default()
            };
            let error = run_once(store.clone(), "two", &[row(8, 0, "a")]).await.unwrap_err();
            assert_eq!(error.key(), file.key);
            assert_eq!(run_once(store.clone(), "two", &[row(9, 1, "b")]).await.unwrap(), 1);
            assert_eq!(visible_ids(&store, Table::Findings), [2, 9]);
        }
    }

    #[tokio::test]
    async fn what_is_withdrawn_goes_before_its_replacement_comes_and_only_when_that_is_at_hand() {
        for lost in [false, true] {
            let (store, log, first) = lake().await;
            log.publish(&first).await.unwrap();
            let day = DAYS[0].parse().unwrap();
            let rows = rows_of(&[TestRow { id: 5, ..TestRow::default() }]);
            let part =
                encode(Table::Findings, &[&rows.batch], &[Pick { batch: 0, row: 0 }]).unwrap();
            let file = log.stage_part(2, "two", Table::Findings, day, &part).await.unwrap();
            let staged = file.staged.clone();
            let mut second = record(2, "two", ObjectList::Inline(Objects::default()), vec![file]);
            let key = first.files[0].key.clone();
            second.withdrawn = vec![Withdrawn { key: key.clone(), commit: 1, reopen: false }];
            log.try_commit(&second).await.unwrap();
            if lost {
                store.delete(&staged).await.unwrap();
            }
            let published = log.publish(&second).await.unwrap();
            assert_eq!(published.withdrawn, usize::from(!lost));
            assert_eq!(store.head(&key).await.unwrap().is_some(), lost);
            let expected: &[u128] = if lost { &[1, 2] } else { &[2, 5] };
            assert_eq!(visible_ids(&store, Table::Findings), expected);
            // Once more, as another run would that saw the commit open.
            log.publish(&second).await.unwrap();
            assert_eq!(visible_ids(&store, Table::Findings), expected);
        }
    }

    #[tokio::test]
    async fn the_done_mark_that_stands_holds_for_all() {
        let (store, log, record) = lake().await;
        let first = &record.files[0];
        store.delete(&first.staged).await.unwrap();
        let theirs = log.publish(&record).await.unwrap();
        store.delete(&record.files[1].key).await.unwrap();
        // Looked at later, more is missing; but what runs saw is what was marked.
        let ours = log.publish(&record).await.unwrap();
        assert_eq!(ours.done, theirs.done);
    }

    #[tokio::test]
    async fn staging_that_cannot_be_deleted_is_a_note() {
        let inner = Arc::new(Memory::new("lake"));
        let fault = Fault::at(1, StoreErrorKind::Denied).only("delete", "");
        let store = Arc::new(Faulty::new(inner.clone()).with(Fault { times: u64::MAX, ..fault }));
        let log = Log::new(store.clone());
        let record = committed(&log).await;
        let published = log.publish(&record).await.unwrap();
        assert!(published.unswept.is_some());
        assert_eq!(log.catch_up(&mut Ledger::default()).await.unwrap().rolled_forward, None);
        store.heal();
        assert!(log.sweep(1).await.unwrap() > 0);
        assert!(keys(&inner, STAGING).is_empty());
    }

    #[tokio::test]
    async fn staging_that_another_run_cleared_meanwhile_is_no_damage() {
        // Between our look and our copy another run published and unstaged: what we copy is gone.
        let inner = Arc::new(Memory::new("lake"));
        let fault = Fault::at(1, StoreErrorKind::NotFound).only("copy_new", "").answer_lost();
        let log = Log::new(Arc::new(Faulty::new(inner.clone()).with(fault)));
        let record = committed(&log).await;
        let published = log.publish(&record).await.unwrap();
        assert_eq!((published.copied, published.present), (1, 1));
        assert!(published.done.damaged.is_empty());
        assert_eq!(visible_ids(&inner, Table::Findings), [1, 2]);
    }

    #[tokio::test]
    async fn trouble_on_the_way_is_looked_at_again_and_bounded() {
        for kind in
            [StoreErrorKind::Conflict, StoreErrorKind::Unavailable, StoreErrorKind::Precondition]
        {
            for answer_lost in [false, true] {
                let inner = Arc::new(Memory::new("lake"));
                let fault = Fault::at(1, kind).only("copy_new", "");
                let fault = if answer_lost { fault.answer_lost() } else { fault };
                let log = Log::new(Arc::new(Faulty::new(inner.clone()).with(fault)));
                let record = committed(&log).await;
                log.publish(&record).await.unwrap();
                assert_eq!(visible_ids(&inner, Table::Findings), [1, 2], "{kind:?}");
            }
        }
        let inner = Arc::new(Memory::new("lake"));
        let fault = Fault::at(1, StoreErrorKind::Conflict).only("copy_new", "").forever();
        let store = Arc::new(Faulty::new(inner).with(fault));
        let log = Log::new(store.clone());
        let record = committed(&log).await;
        assert!(log.publish(&record).await.is_err());
        let copies = store.operations().iter().filter(|op| op.name == "copy_new").count();
        assert!(copies <= 2 * 8, "{copies}");
    }
}
