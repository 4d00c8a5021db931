//! The log as it was written, commit by commit: for whoever needs more of it than the ledger keeps.
//!
//! In: numbers. Out: records, the lists of their objects, and the ledger up to the last commit that is
//! done. Nothing is written: a commit that is left open is not looked at. A record that cannot be read is
//! an error with its key; a list of objects that is lost is `None`. Memory: [`READ_AHEAD`] records.

use futures::stream::{self, Stream, StreamExt};

use super::error::LakeResult;
use super::layout::{done_key, record_key};
use super::ledger::{Ledger, lost};
use super::log::{Log, parse};
use super::record::{DoneMark, Objects, Record};

/// Records read at once.
const READ_AHEAD: usize = 4;

impl Log {
    /// The records of commits `first` to `last`, in order, each of which must be there.
    pub fn records(&self, first: u64, last: u64) -> impl Stream<Item = LakeResult<Record>> + '_ {
        stream::iter(first..=last)
            .map(move |number| async move {
                let record = self.record(number).await?;
                record.ok_or_else(|| lost(&record_key(number), "is gone"))
            })
            .buffered(READ_AHEAD)
    }

    /// Calls `visit` with each record up to commit `last`, and its objects; `None` for a list that is
    /// lost, whose objects are read again anyway.
    pub async fn visit_records(
        &self,
        last: u64,
        mut visit: impl FnMut(&Record, Option<&Objects>),
    ) -> LakeResult<()> {
        let mut records = self.records(1, last).boxed();
        while let Some(record) = records.next().await {
            let record = record?;
            let objects = self.read_objects(&record.objects).await?;
            visit(&record, objects.as_deref());
        }
        Ok(())
    }

    /// Folds all commits that are done and that the ledger lacks; one that is open ends it. For lakes that
    /// are only read, where nobody may complete what another run has left open.
    pub async fn follow_done(&self, ledger: &mut Ledger) -> LakeResult<()> {
        let first = ledger.version() + 1;
        let mut entries = stream::iter(first..)
            .map(|number| async move {
                let Some(done) = self.get(&done_key(number)).await? else { return Ok(None) };
                let done: DoneMark = parse(&done_key(number), &done)?;
                let record = self.record(number).await?;
                let record = record.ok_or_else(|| lost(&record_key(number), "is gone"))?;
                LakeResult::Ok(Some((record, done)))
            })
            .buffered(READ_AHEAD)
            .boxed();
        while let Some(entry) = entries.next().await {
            let Some((record, done)) = entry? else { return Ok(()) };
            let objects = self.read_objects(&record.objects).await?;
            ledger.fold(&record, objects.as_deref(), &done)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::TryStreamExt as _;

    use super::*;
    use crate::lake::record::{INLINE_OBJECTS_MAX, ObjectList};
    use crate::lake::testing::{TestRow, object, record, run_once};
    use crate::store::{Memory, Store as _};

    #[tokio::test]
    async fn an_open_commit_is_left_alone_and_ends_what_is_settled() {
        let store = Arc::new(Memory::new("lake"));
        for (id, object) in [(1, "a"), (2, "b")] {
            let row = TestRow { id, object, ..TestRow::default() };
            run_once(store.clone(), "run", &[row]).await.unwrap();
        }
        let log = Log::new(store.clone());
        let objects = Objects { consumed: vec![object("c")], ..Objects::default() };
        log.try_commit(&record(3, "open", ObjectList::Inline(objects), Vec::new())).await.unwrap();
        let before = store.objects();
        let mut ledger = log.load().await.unwrap();
        log.follow_done(&mut ledger).await.unwrap();
        assert_eq!(ledger.version(), 2);
        assert_eq!(store.objects(), before);
        let numbers = log.records(1, 3).map_ok(|record| record.number);
        assert_eq!(numbers.try_collect::<Vec<_>>().await.unwrap(), [1, 2, 3]);
        let gone = log.records(3, 4).try_collect::<Vec<_>>().await.unwrap_err();
        assert_eq!(gone.key(), record_key(4));
    }

    #[tokio::test]
    async fn a_long_list_of_objects_is_read_or_lost() {
        let store = Arc::new(Memory::new("lake"));
        let log = Log::new(store.clone());
        let consumed = (0..=INLINE_OBJECTS_MAX).map(|number| object(&number.to_string())).collect();
        let objects = Objects { consumed, ..Objects::default() };
        let list = log.stage_objects(1, "one", objects.clone()).await.unwrap();
        let ObjectList::File(file) = &list else { panic!("inline") };
        store.copy_new(&file.staged, &file.key).await.unwrap();
        assert_eq!(log.read_objects(&list).await.unwrap().as_deref(), Some(&objects));
        store.delete(&file.staged).await.unwrap();
        store.insert(file.key.clone(), "another content");
        assert_eq!(log.read_objects(&list).await.unwrap(), None);
    }
}
