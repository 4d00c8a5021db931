//! What an archive lists, held against the ledger.
//!
//! In: every object of a listing, once, in any order. Out: for each whether it is in the lake. Objects of
//! open hours are told at once. Of a closed hour only the sum of what is listed is kept; at the end it
//! equals the hour's own, and all of it is in the lake, or the hour is a [`Doubt`]: its objects are read
//! back from the log and what is listed of it is compared one by one ([`Batch`]). Nothing is taken
//! for read that is not proven so. Memory: some 200 bytes for each closed hour that is listed, and in
//! a batch some 80 bytes for each of at most [`BATCH_OBJECTS`] objects or one hour.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Checked, Hour, Ids, Ledger, ObjectId, Status, Sum};
use crate::lake::error::LakeResult;
use crate::lake::log::Log;
use crate::lake::record::Settings;
use crate::store::ObjectMeta;

/// Objects that are read back at once.
const BATCH_OBJECTS: u64 = 500_000;
/// Objects that one request lists.
const OBJECTS_PER_REQUEST: u64 = 1_000;
/// Requests that do not matter.
const REQUESTS_FREE: u64 = 16;

/// Where a listed object stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// In the lake, or given up.
    Known,
    /// To be read.
    New,
    /// Its hour is closed (or, for a batch, is none of it): not told here.
    Later,
}

/// A listing under way.
#[derive(Debug)]
pub struct Comparison<'a> {
    ledger: &'a Ledger,
    settings: Settings,
    hours: HashMap<Hour, Listed>,
    /// The hour of the last object, taken out of `hours`: listings come in runs of one.
    current: Option<(Hour, bool, Listed)>,
    uri: String,
}

/// What was listed of an hour.
#[derive(Debug, Default)]
struct Listed {
    /// Might be read, and the ledger does not list it.
    wanted: Sum,
    /// Would be skipped.
    skipped: Sum,
    /// Consumed since the hour was closed.
    beside: Sum,
    /// What the URIs of `wanted` begin with.
    common: String,
}

/// A closed hour that may hold something new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    hour: Hour,
    /// How many objects it had.
    objects: u64,
    /// How many of those that might be read were listed and not told.
    listed: u64,
    /// What the URIs of its listed objects begin with.
    common: String,
}

/// What came of a listing.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Objects of closed hours that are in the lake.
    pub known: u64,
    /// Objects of closed hours that the archives no longer have.
    pub expired: u64,
    /// Hours to be looked at again, in their order.
    pub doubts: Vec<Doubt>,
}

impl<'a> Comparison<'a> {
    /// Begins to compare for a run of these settings.
    pub fn new(ledger: &'a Ledger, settings: &Settings) -> Self {
        let hours = HashMap::new();
        Self { ledger, settings: *settings, hours, current: None, uri: String::new() }
    }

    /// Takes an object of the listing. `is_wanted` is false for one that the run would skip anyway: it
    /// counts, since it may have been read before.
    pub fn take(&mut self, archive: &str, object: &ObjectMeta, is_wanted: bool) -> Verdict {
        join(&mut self.uri, archive, &object.key);
        let id = ObjectId::of(&self.uri, &object.etag);
        let Some(hour) = self.ledger.hour_of(&self.uri, object.last_modified_ms) else {
            return self.verdict(id, None);
        };
        self.turn_to(hour);
        let is_closed = self.current.as_ref().is_some_and(|(_, is_closed, _)| *is_closed);
        if !is_closed {
            return self.verdict(id, Some(hour));
        }
        let verdict = match self.ledger.judge(id, Some(hour), None, &self.settings) {
            Status::Closed => Verdict::Later,
            Status::Consumed => Verdict::Known,
            Status::Unknown | Status::Reopened | Status::Failed(_) => return Verdict::New,
        };
        let Some((_, _, listed)) = &mut self.current else { return verdict };
        match verdict {
            Verdict::Later if is_wanted => {
                if listed.wanted.count == 0 {
                    listed.common.clone_from(&self.uri);
                } else {
                    let length = common_length(&listed.common, &self.uri);
                    listed.common.truncate(length);
                }
                listed.wanted.add(id);
            }
            Verdict::Later => listed.skipped.add(id),
            Verdict::Known | Verdict::New => listed.beside.add(id),
        }
        verdict
    }

    fn verdict(&self, id: ObjectId, hour: Option<Hour>) -> Verdict {
        match self.ledger.judge(id, hour, None, &self.settings) {
            Status::Consumed => Verdict::Known,
            _ => Verdict::New,
        }
    }

    fn turn_to(&mut self, hour: Hour) {
        if self.current.as_ref().is_some_and(|(current, ..)| *current == hour) {
            return;
        }
        let is_closed = self.ledger.closed.contains_key(&hour);
        let listed = self.hours.remove(&hour).unwrap_or_default();
        let last = self.current.replace((hour, is_closed, listed));
        self.put_back(last);
    }

    fn put_back(&mut self, last: Option<(Hour, bool, Listed)>) {
        if let Some((hour, true, listed)) = last {
            self.hours.insert(hour, listed);
        }
    }

    /// Ends the listing. `archives` is what the URIs of all archives begin with: what closed hours
    /// below them have and was not listed is gone.
    pub fn finish(mut self, archives: &[String]) -> Compared {
        let last = self.current.take();
        self.put_back(last);
        let mut compared = Compared::default();
        for (hour, closed) in &self.ledger.closed {
            let listed = self.hours.get(hour);
            let Some(listed) = listed.filter(|listed| listed.wanted.count > 0) else {
                let is_all = self.is_below(*hour, archives) && listed.is_none();
                compared.expired += if is_all { closed.figures.objects } else { 0 };
                continue;
            };
            let checked = self.ledger.checked.get(hour).filter(|checked| {
                checked.listed == listed.wanted && checked.settings == self.settings
            });
            if let Some(checked) = checked {
                compared.known += listed.wanted.count;
                compared.expired += checked.expired;
            } else if !self.ledger.waits(closed, &self.settings) && listed.proves(closed.sum()) {
                compared.known += listed.wanted.count;
            } else {
                let (objects, common) = (closed.figures.objects, listed.common.clone());
                let listed = listed.wanted.count;
                compared.doubts.push(Doubt { hour: *hour, objects, listed, common });
            }
        }
        compared
    }

    fn is_below(&self, hour: Hour, archives: &[String]) -> bool {
        let root = self.ledger.roots.name(hour.root);
        root.is_some_and(|root| archives.iter().any(|archive| root.starts_with(archive.as_str())))
    }
}

impl Listed {
    /// Whether all that is wanted lies in the set of this sum. What is skipped may have been consumed
    /// or not, and what was consumed since may have been read for the second time.
    fn proves(&self, closed: Sum) -> bool {
        let some = [Sum::default(), self.skipped, self.beside, self.skipped + self.beside];
        some.into_iter().any(|more| self.wanted + more == closed)
    }
}

impl Ledger {
    /// Whether a closed hour has objects that are to be read again.
    pub(super) fn waits(&self, closed: &super::Closed, settings: &Settings) -> bool {
        closed.groups.iter().any(|group| self.reopens(group.commit, group.profile, settings))
    }
}

impl Compared {
    /// How many listed objects the batches have to tell of.
    pub fn listed_in_doubt(&self) -> u64 {
        self.doubts.iter().map(|doubt| doubt.listed).sum()
    }

    /// The doubts in batches that may be read back at once.
    pub fn batches(&self) -> impl Iterator<Item = &[Doubt]> {
        let mut rest = self.doubts.as_slice();
        std::iter::from_fn(move || {
            let mut sum = 0;
            let more = rest.iter().skip(1).take_while(|doubt| {
                sum += doubt.objects;
                sum < BATCH_OBJECTS
            });
            let count = if rest.is_empty() { 0 } else { 1 + more.count() };
            let (batch, after) = rest.split_at_checked(count)?;
            rest = after;
            (!batch.is_empty()).then_some(batch)
        })
    }
}

/// Closed hours whose objects were read back, and what is listed of them.
#[derive(Debug)]
pub struct Batch {
    hours: BTreeMap<Hour, Held>,
    /// What the URIs to be listed begin with; none begins with another.
    prefixes: BTreeSet<String>,
    settings: Settings,
    uri: String,
}

#[derive(Debug, Default)]
struct Held {
    ids: Ids,
    wanted: Sum,
    found: u64,
    new: u64,
}

impl Log {
    /// Reads back the objects of these hours.
    ///
    /// # Errors
    /// The store's, and damage of the log.
    pub async fn batch(
        &self,
        ledger: &Ledger,
        doubts: &[Doubt],
        settings: &Settings,
    ) -> LakeResult<Batch> {
        let hours: BTreeSet<Hour> = doubts.iter().map(|doubt| doubt.hour).collect();
        let mut read = self.read_back(ledger, &hours).await?;
        let held =
            |hour: Hour| Held { ids: read.remove(&hour).unwrap_or_default(), ..Held::default() };
        let objects = doubts.iter().map(|doubt| doubt.objects).sum();
        let prefixes = prefixes(doubts.iter().map(|doubt| doubt.common.as_str()), objects);
        let hours: Vec<Hour> = hours.into_iter().collect();
        let hours = hours.into_iter().map(held).zip(doubts).map(|(held, doubt)| (doubt.hour, held));
        Ok(Batch { hours: hours.collect(), prefixes, settings: *settings, uri: String::new() })
    }
}

impl Batch {
    /// What to list of an archive whose keys all begin with `prefix`: prefixes of keys.
    pub fn prefixes(&self, archive: &str, prefix: &str) -> Vec<String> {
        let whole = format!("{archive}/{prefix}");
        if self.prefixes.iter().any(|wanted| whole.starts_with(wanted.as_str())) {
            return vec![prefix.to_owned()];
        }
        let below = self.prefixes.iter().filter(|wanted| wanted.starts_with(&whole));
        let keys = below.filter_map(|wanted| wanted.strip_prefix(archive)?.strip_prefix('/'));
        keys.map(str::to_owned).collect()
    }

    /// Takes an object of the second listing.
    pub fn take(
        &mut self,
        ledger: &Ledger,
        archive: &str,
        object: &ObjectMeta,
        is_wanted: bool,
    ) -> Verdict {
        join(&mut self.uri, archive, &object.key);
        let hour = ledger.hour_of(&self.uri, object.last_modified_ms);
        let Some((hour, held)) = hour.and_then(|hour| Some((hour, self.hours.get_mut(&hour)?)))
        else {
            return Verdict::Later;
        };
        let id = ObjectId::of(&self.uri, &object.etag);
        held.found += u64::from(held.ids.contains_key(&id));
        // What is listed beside the hour, or failed, was told by the first listing.
        let is_told = ledger.judge(id, Some(hour), None, &self.settings) != Status::Closed;
        if is_told || !is_wanted {
            return Verdict::Later;
        }
        held.wanted.add(id);
        if ledger.judge(id, Some(hour), Some(&held.ids), &self.settings) == Status::Consumed {
            return Verdict::Known;
        }
        held.new += 1;
        Verdict::New
    }

    /// Notes in the ledger which hours hold nothing new as they are listed now, so that they are not
    /// read back again. Gives how many of their objects are no longer listed.
    pub fn note(self, ledger: &mut Ledger) -> u64 {
        let mut expired = 0;
        for (hour, held) in self.hours {
            let gone = (held.ids.len() as u64).saturating_sub(held.found);
            expired += gone;
            if held.new == 0 && held.wanted.count > 0 {
                let (listed, settings) = (held.wanted, self.settings);
                let checked = Checked { listed, settings, expired: gone };
                let before = ledger.checked.insert(hour, checked);
                ledger.has_news |= before != Some(checked);
            }
        }
        expired
    }
}

fn join(uri: &mut String, archive: &str, key: &str) {
    uri.clear();
    uri.push_str(archive);
    uri.push('/');
    uri.push_str(key);
}

/// How many bytes two texts begin with together, up to a whole character.
fn common_length(one: &str, two: &str) -> usize {
    let pairs = one.bytes().zip(two.bytes());
    let mut length = pairs.take_while(|(one, two)| one == two).count();
    while !one.is_char_boundary(length) {
        length -= 1;
    }
    length
}

/// The prefixes to list: as they are, or those of their folders, whichever are few for so many objects.
fn prefixes<'a>(commons: impl Iterator<Item = &'a str>, objects: u64) -> BTreeSet<String> {
    let mut prefixes = outermost(commons.map(str::to_owned));
    while prefixes.len() as u64 > objects / OBJECTS_PER_REQUEST + REQUESTS_FREE {
        let folder = |uri: &String| {
            let folder = uri.trim_end_matches('/').rsplit_once('/');
            folder.map_or_else(String::new, |(folder, _)| format!("{folder}/"))
        };
        prefixes = outermost(prefixes.iter().map(folder));
    }
    prefixes
}

/// Without those that begin with another.
fn outermost(prefixes: impl Iterator<Item = String>) -> BTreeSet<String> {
    let sorted: BTreeSet<String> = prefixes.collect();
    let mut kept: Vec<String> = Vec::new();
    for prefix in sorted {
        if kept.last().is_none_or(|last| !prefix.starts_with(last.as_str())) {
            kept.push(prefix);
        }
    }
    kept.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_few_and_cover_all() {
        let hour = |day: u32, hour: u32| format!("s3://b/h/2026/11/{day:02}/{hour:02}/s-1-2026");
        let one = hour(1, 3);
        assert_eq!(prefixes([one.as_str()].into_iter(), 1), BTreeSet::from([one.clone()]));
        let all: Vec<String> = (0..240).map(|n| hour(n / 24 + 1, n % 24)).collect();
        let few = prefixes(all.iter().map(String::as_str), 240);
        assert_eq!(few.len(), 10, "{few:?}");
        assert!(all.iter().all(|uri| few.iter().any(|prefix| uri.starts_with(prefix))));
        let same = prefixes(all.iter().map(String::as_str), 240_000);
        assert_eq!(same.len(), 240);
        let nested = ["s3://b/h", "s3://b/h/2026/11", "s3://b/i"];
        assert_eq!(prefixes(nested.into_iter(), 0).len(), 2);
        assert_eq!(common_length("aé", "aè"), 1);
    }
}
