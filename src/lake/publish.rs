//! Making a commit visible: its files to their final keys, its staging away, its done mark written.
//!
//! In: a record that is in the log. Out: what was copied, and the done mark that now stands. Every step
//! may be done again, and by several runs at once. A file that can no longer be published is named in
//! the done mark and stops only runs that touch its partition; trouble of the store ends the run, which
//! may be repeated.

use futures::stream::{self, StreamExt, TryStreamExt};

use super::error::LakeResult;
use super::layout::{done_key, run_staging_prefix};
use super::log::{ATTEMPTS, Log, may_pass, parse, sha256_of, to_json};
use super::record::{DoneMark, ObjectList, Record};
use crate::store::{StoreErrorKind, StoreResult};

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
        let moves: Vec<Move<'_>> = moves(record).collect();
        let moved: Vec<(&str, Moved)> = stream::iter(moves)
            .map(|one| async move { StoreResult::Ok((one.key, self.move_one(one).await?)) })
            .buffer_unordered(PUBLISH_CONCURRENCY)
            .try_collect()
            .await?;
        for (key, moved) in moved {
            match moved {
                Moved::Copied => published.copied += 1,
                Moved::Present => published.present += 1,
                Moved::Damaged(message) => {
                    published.done.damaged.insert(key.to_owned(), message);
                }
            }
        }
        published.unswept = self.unstage(record).await.err().map(|error| error.to_string());
        published.done = self.mark_done(record.number, published.done).await?;
        Ok(published)
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
                return Ok(Moved::Copied);
            };
            if error.kind == StoreErrorKind::NotFound {
                // Staging goes away only after all files lie at their final keys: who finds it gone
                // and the final key empty, looking in this order, sees damage and no race.
                return Ok(match self.look_at(one).await? {
                    Found::Right => Moved::Present,
                    Found::Other => Moved::Damaged("is not what was committed".into()),
                    Found::Nothing => Moved::Damaged("is neither staged nor published".into()),
                });
            }
            if !may_pass(&error) || attempt >= ATTEMPTS {
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
            if !may_pass(&error) || attempt >= ATTEMPTS {
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
