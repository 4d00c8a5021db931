//! Whether two ledgers of the same version say the same: one from a checkpoint, one folded from the log.
//!
//! In: two ledgers whose closed hours were brought together with what was consumed in them since. Out: in
//! words the first thing that differs. An hour may be closed in the one and open in the other, since it is
//! closed when somebody looks: then what it adds up to is compared. What a lost list of objects may have
//! said is left out. Pure. Memory: the sums of one hour.

use std::collections::{BTreeMap, BTreeSet};

use super::{Closed, Group, Hour, Ids, Ledger, Profile, Status};
use crate::lake::record::{ObjectRecord, Record, Settings};

/// An hour, whatever number its root has.
type HourName<'a> = (i64, Option<&'a str>);

/// What a ledger has of an hour.
#[derive(Debug, Clone, Copy)]
enum Content<'a> {
    Open(&'a Ids),
    Closed(&'a Closed),
}

impl Ledger {
    /// Where an object stands that the commit of this record consumed: as [`Ledger::status`], but told of
    /// a closed hour too, by what it keeps of its commits. Where some of the commit's objects were read
    /// again before the hour was closed, and the others are to be, all count as waiting.
    pub fn status_after(
        &self,
        record: &Record,
        object: &ObjectRecord,
        settings: &Settings,
    ) -> Status<'_> {
        let ObjectRecord { archive, key, etag, last_modified_ms, .. } = object;
        let status = self.status(archive, key, etag, *last_modified_ms, settings);
        if status != Status::Closed {
            return status;
        }
        let uri = format!("{archive}/{key}");
        let hour = self.hour_of(&uri, *last_modified_ms).and_then(|hour| self.closed.get(&hour));
        let groups = hour.map(|closed| &*closed.groups).unwrap_or_default();
        let profile = self.profile_numbers.get(&Profile::of(record.settings, object)).copied();
        let waits = |group: &&Group| {
            u64::from(group.commit) == record.number
                && profile.is_none_or(|profile| profile == group.profile)
        };
        let waits = groups.iter().filter(waits);
        let mut waits = waits.filter(|group| self.reopens(group.commit, group.profile, settings));
        if waits.next().is_some() { Status::Reopened } else { Status::Consumed }
    }

    /// What this ledger says of objects that the other one does not. `lost` are commits whose lists of
    /// objects are gone: only one of the two may know what they said.
    pub fn differs_from(&self, other: &Self, lost: &BTreeSet<u64>) -> Option<String> {
        if self.withdrawn_commits != other.withdrawn_commits {
            return Some("has other commits reopened than the log".to_owned());
        }
        if lost.is_empty() && self.newest_ms != other.newest_ms {
            return Some("knows of another newest object than the log".to_owned());
        }
        if lost.is_empty() && !self.has_failures_of(other) {
            return Some("says of other objects than the log that they failed".to_owned());
        }
        let (ours, theirs) = (self.contents(), other.contents());
        let names: BTreeSet<&HourName<'_>> = ours.keys().chain(theirs.keys()).collect();
        let differs = |name: &&HourName<'_>| {
            let (one, two) = (ours.get(*name), theirs.get(*name));
            let is_unknown = |content: Option<&Content<'_>>| {
                content.is_some_and(|content| content.has_commit_of(lost))
            };
            !is_unknown(one) && !is_unknown(two) && !self.is_same(one, other, two)
        };
        let wrong = names.into_iter().find(differs).copied();
        let wrong = wrong.or_else(|| self.impossible_check());
        wrong.map(|(number, root)| {
            let at = jiff::Timestamp::from_millisecond(Hour { number, root: 0 }.start_ms());
            let at = at.map_or_else(|_| number.to_string(), |at| at.to_string());
            let root = root.map_or_else(String::new, |root| format!(" below `{root}`"));
            format!("says another thing of the objects of hour {at}{root} than the log")
        })
    }

    fn contents(&self) -> BTreeMap<HourName<'_>, Content<'_>> {
        let name = |hour: &Hour| (hour.number, self.roots.name(hour.root));
        let open = self.open.iter().filter(|(_, ids)| !ids.is_empty());
        let open = open.map(|(hour, ids)| (name(hour), Content::Open(ids)));
        let closed = self.closed.iter().map(|(hour, closed)| (name(hour), Content::Closed(closed)));
        // An hour that could not be brought together counts as closed.
        open.chain(closed).collect()
    }

    fn is_same(&self, one: Option<&Content<'_>>, other: &Self, two: Option<&Content<'_>>) -> bool {
        match (one, two) {
            (Some(Content::Open(one)), Some(Content::Open(two))) => {
                one.len() == two.len()
                    && one.iter().all(|(id, entry)| {
                        let profile = self.profiles.get(entry.profile as usize);
                        two.get(id).is_some_and(|held| {
                            profile == other.profiles.get(held.profile as usize)
                                && *entry == super::Entry { profile: entry.profile, ..*held }
                        })
                    })
            }
            (Some(one), Some(two)) => {
                let (one, two) = (one.summed(), two.summed());
                let group = |ledger: &Self, group: &Group| {
                    let profile = ledger.profiles.get(group.profile as usize).cloned();
                    (group.commit, profile, group.count)
                };
                let theirs: Vec<_> = two.groups.iter().map(|held| group(other, held)).collect();
                one.sum() == two.sum()
                    && one.figures == two.figures
                    && one.groups.len() == two.groups.len()
                    && one.groups.iter().all(|held| theirs.contains(&group(self, held)))
            }
            _ => false,
        }
    }

    fn has_failures_of(&self, other: &Self) -> bool {
        let kind = |ledger: &Self, kind: u32| ledger.failure_kinds.get(kind as usize).cloned();
        self.failed.len() == other.failed.len()
            && self.failed.iter().all(|(id, failure)| {
                other.failed.get(id).is_some_and(|held| {
                    held.commit == failure.commit
                        && kind(self, failure.kind) == kind(other, held.kind)
                })
            })
    }

    /// An hour of which more objects were seen to be consumed than it has, or others than it has.
    fn impossible_check(&self) -> Option<HourName<'_>> {
        let wrong = self.checked.iter().find(|(hour, checked)| {
            self.closed.get(hour).is_none_or(|closed| {
                let (listed, all) = (checked.listed, closed.sum());
                listed.count.saturating_add(checked.expired) > all.count
                    || (listed.count == all.count && listed != all)
            })
        });
        wrong.map(|(hour, _)| (hour.number, self.roots.name(hour.root)))
    }
}

impl Content<'_> {
    fn has_commit_of(&self, commits: &BTreeSet<u64>) -> bool {
        let is_one = |commit: u32| commits.contains(&u64::from(commit));
        !commits.is_empty()
            && match self {
                Self::Open(ids) => ids.values().any(|entry| is_one(entry.commit)),
                Self::Closed(closed) => closed.groups.iter().any(|group| is_one(group.commit)),
            }
    }

    fn summed(&self) -> Closed {
        match self {
            Self::Open(ids) => Closed::of(ids, 0),
            Self::Closed(closed) => (*closed).clone(),
        }
    }
}
