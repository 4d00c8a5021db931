//! Which commits have to be read again so that the rows of a part come back.
//!
//! In: a part's key, and the log. Out: numbers of commits whose objects gave its rows. For a file of a
//! run that is its own commit. A file that replaced others has their rows, so it goes back to theirs,
//! from one to the next; a rebuilt lake's file may have rows of every object that was carried over.
//! An object that a later commit read again counts as that one's, so those are named too. Pure but for
//! the lists of objects, which are read anew. Memory: 16 bytes for each object of these commits.

use std::collections::BTreeSet;

use xxhash_rust::xxh3::xxh3_128;

use super::History;
use crate::lake::error::{LakeError, LakeResult};
use crate::lake::ids::IdSet;
use crate::lake::layout::{parse_part_key, record_key};
use crate::lake::log::{Log, parse};
use crate::lake::record::{ObjectRecord, Objects, Purpose, Record};

impl History {
    /// The commits whose objects gave the rows of this part, as the records tell it.
    pub fn sources(&self, key: &str) -> BTreeSet<u64> {
        let (mut found, mut seen) = (BTreeSet::new(), BTreeSet::new());
        let mut waiting = vec![key.to_owned()];
        while let Some(key) = waiting.pop() {
            let Some(name) = parse_part_key(&key) else { continue };
            if !seen.insert(key) {
                continue;
            }
            let Some(commit) = self.commits.get(&name.commit) else { continue };
            if commit.purpose == Purpose::Rebuild {
                found.extend(self.rebuilt());
            } else if commit.consumed > 0 {
                found.insert(name.commit);
            }
            let replaced = self.replaced.get(&name.commit).into_iter().flatten();
            waiting.extend(replaced.map(|one| one.key.clone()).filter(|key| {
                parse_part_key(key)
                    .is_some_and(|old| (old.table, old.partition) == (name.table, name.partition))
            }));
        }
        found
    }

    fn rebuilt(&self) -> impl Iterator<Item = u64> {
        let of_rebuild = self
            .commits
            .iter()
            .filter(|(_, commit)| commit.purpose == Purpose::Rebuild && commit.consumed > 0);
        of_rebuild.map(|(number, _)| *number)
    }

    /// The other files that this commit added: all of them leave together when the commit consumed no
    /// object that could be read again, so that what it did can be done once more.
    pub fn siblings(&self, commit: u64) -> Vec<String> {
        let of_commit = self.all_parts().filter(|part| part.file.commit == commit);
        of_commit.map(|part| part.file.key.clone()).collect()
    }

    /// The later commits that read objects of `commits` again; they have to be reopened with them.
    pub async fn read_again_by(
        &self,
        log: &Log,
        commits: &BTreeSet<u64>,
    ) -> LakeResult<BTreeSet<u64>> {
        let mut ids = IdSet::default();
        let mut later = BTreeSet::new();
        let Some(first) = commits.first() else { return Ok(later) };
        for number in *first..=self.version {
            let Some((_, objects)) = read_commit(log, number).await? else { continue };
            let again = objects.consumed.iter().any(|object| ids.contains(&object_id(object)));
            if again && !commits.contains(&number) {
                later.insert(number);
            }
            if commits.contains(&number) {
                ids.extend(objects.consumed.iter().map(object_id));
            }
        }
        Ok(later)
    }
}

fn object_id(object: &ObjectRecord) -> u128 {
    let texts = [&object.archive, &object.key, &object.etag];
    let mut bytes = Vec::with_capacity(texts.iter().map(|text| text.len() + 8).sum());
    for text in texts {
        bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    xxh3_128(&bytes)
}

/// A commit's record and its objects; `None` where one of them is lost.
pub async fn read_commit(log: &Log, number: u64) -> LakeResult<Option<(Record, Objects)>> {
    let key = record_key(number);
    let Some(bytes) = log.get(&key).await? else { return Ok(None) };
    let record: Record = match parse(&key, &bytes) {
        Ok(record) => record,
        Err(LakeError::Damaged { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let objects = match log.read_objects(&record.objects).await {
        Ok(Some(objects)) => objects.into_owned(),
        Ok(None) | Err(LakeError::Damaged { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(Some((record, objects)))
}
