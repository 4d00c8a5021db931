//! Arrival hours: where the ledger keeps an object, and what a closed hour still says.
//!
//! In: the URI, etag and `LastModified` of an object. Out: its id, and its [`Hour`]. Both depend on
//! nothing else: not on the archive it was listed from, nor on a zone, so that a wider or a deeper
//! `--from` meets the same hours. Pure, and nothing can go wrong. Memory: an open hour takes some 80
//! bytes an object, a closed one some 200 bytes.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};

use jiff::tz::TimeZone;
use xxhash_rust::xxh3::xxh3_128;

use crate::archive::arrival::arrival;
use crate::lake::ids::IdState;
use crate::lake::record::ObjectRecord;

pub(super) const HOUR_MS: i64 = 3_600_000;
/// An hour stays open for this long after its end, by the newest `LastModified` that was consumed.
pub(super) const OPEN_MS: i64 = 72 * HOUR_MS;
/// Objects of further roots share one.
const ROOTS_MAX: usize = 1_024;
const OTHER_ROOT: u32 = u32::MAX;

/// An object's identity in the ledger: XXH3-128 over its URI and etag. Two halves, so that a map
/// wastes no bytes on alignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::lake) struct ObjectId {
    high: u64,
    low: u64,
}

impl ObjectId {
    pub(super) fn of(uri: &str, etag: &str) -> Self {
        // The URI's length keeps it apart from the etag.
        let mut bytes = Vec::with_capacity(uri.len() + etag.len() + 8);
        bytes.extend_from_slice(&(uri.len() as u64).to_le_bytes());
        bytes.extend_from_slice(uri.as_bytes());
        bytes.extend_from_slice(etag.as_bytes());
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

/// The objects of one root that arrived in one hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::lake) struct Hour {
    /// Hours since 1970, read off the URI as if it were UTC, else off `LastModified`.
    pub(in crate::lake) number: i64,
    /// Index into [`Roots`].
    pub(in crate::lake) root: u32,
}

impl Hour {
    /// When it begins, in milliseconds since 1970.
    pub(in crate::lake) fn start_ms(self) -> i64 {
        self.number.saturating_mul(HOUR_MS)
    }
}

/// The hour of an object, without its root.
pub(super) fn hour_number(uri: &str, last_modified_ms: i64) -> i64 {
    arrival(uri, last_modified_ms, &TimeZone::UTC).hour_ms.div_euclid(HOUR_MS)
}

/// A URI up to its first folder with a year in its name, else up to its own name. Archives, and
/// streams within them, stand apart by it, so that a run that lists one of them still proves whole hours.
pub(super) fn root_of(uri: &str) -> &str {
    let host = uri.find("://").map_or(0, |at| at + 3);
    let tail = |start: usize| uri.get(start..).unwrap_or_default();
    let mut start = tail(host).find('/').map_or(host, |at| host + at + 1);
    while let Some(length) = tail(start).find('/') {
        if has_year(tail(start).as_bytes().get(..length).unwrap_or_default()) {
            break;
        }
        start += length + 1;
    }
    uri.get(..start).unwrap_or(uri)
}

fn has_year(folder: &[u8]) -> bool {
    let mut numbers = folder.split(|byte| !byte.is_ascii_digit());
    numbers.any(|digits| digits.len() == 4 && matches!(digits, [b'2', b'0'..=b'2', ..]))
}

/// The roots that were met, numbered in the order of the log.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::lake) struct Roots {
    names: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Roots {
    /// The number of a root, which may be new.
    pub(in crate::lake) fn number(&mut self, root: &str) -> u32 {
        if let Some(number) = self.find(root) {
            return number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(OTHER_ROOT);
        self.names.push(root.to_owned());
        self.numbers.insert(root.to_owned(), number);
        number
    }

    /// The number of a root; `None` when nothing of it was ever consumed.
    pub(super) fn find(&self, root: &str) -> Option<u32> {
        let is_full = self.names.len() >= ROOTS_MAX;
        self.numbers.get(root).copied().or_else(|| is_full.then_some(OTHER_ROOT))
    }

    /// The name of a root; `None` for the one that many share.
    pub(super) fn name(&self, root: u32) -> Option<&str> {
        self.names.get(root as usize).map(String::as_str)
    }

    pub(in crate::lake) fn names(&self) -> &[String] {
        &self.names
    }
}

/// A set of objects in short: how many, and the sum of their ids modulo 2^128.
///
/// Equal sums of equal counts are taken for equal sets. By chance two sets share one once in 2^128. On
/// purpose: who adds an object changes the count, so to hide it he has to remove another one, and who
/// may remove objects needs no sum to hide them. A sum, not an exclusive or, so that an object that
/// is counted twice shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::lake) struct Sum {
    pub(in crate::lake) count: u64,
    pub(in crate::lake) digest: u128,
}

impl Sum {
    pub(super) fn add(&mut self, id: ObjectId) {
        self.count += 1;
        self.digest = self.digest.wrapping_add(id.into());
    }

    pub(super) fn of<'a>(ids: impl IntoIterator<Item = &'a ObjectId>) -> Self {
        let mut sum = Self::default();
        ids.into_iter().for_each(|id| sum.add(*id));
        sum
    }
}

impl std::ops::Add for Sum {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let digest = self.digest.wrapping_add(other.digest);
        Self { count: self.count.saturating_add(other.count), digest }
    }
}

/// What the ledger keeps of a consumed object of an open hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lake) struct Entry {
    pub(in crate::lake) commit: u32,
    /// Index into the ledger's profiles.
    pub(in crate::lake) profile: u32,
    pub(in crate::lake) bytes: u64,
    pub(in crate::lake) modified_ms: i64,
    pub(in crate::lake) findings: u32,
    pub(in crate::lake) rejects: u32,
}

impl Entry {
    pub(super) fn of(commit: u32, profile: u32, object: &ObjectRecord) -> Self {
        let small = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let tally = &object.tally;
        Self {
            commit,
            profile,
            bytes: object.size,
            modified_ms: object.last_modified_ms,
            findings: small(tally.findings.rows),
            rejects: small(tally.by_reason.total()),
        }
    }
}

/// The consumed objects of an open hour.
pub(in crate::lake) type Ids = HashMap<ObjectId, Entry, IdState>;

/// What the objects of an hour add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// How many.
    pub objects: u64,
    /// Their bytes as stored.
    pub bytes: u64,
    /// Rows that were read out of them, duplicates among them.
    pub findings: u64,
    /// Rejects that were read out of them.
    pub rejects: u64,
    /// The earliest `LastModified`, in milliseconds since 1970 UTC.
    pub first_ms: i64,
    /// The latest.
    pub last_ms: i64,
}

impl Figures {
    pub(super) fn add(&mut self, entry: &Entry) {
        *self += Self {
            objects: 1,
            bytes: entry.bytes,
            findings: entry.findings.into(),
            rejects: entry.rejects.into(),
            first_ms: entry.modified_ms,
            last_ms: entry.modified_ms,
        };
    }
}

impl std::ops::AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        if self.objects == 0 {
            (self.first_ms, self.last_ms) = (other.first_ms, other.last_ms);
        } else if other.objects > 0 {
            self.first_ms = self.first_ms.min(other.first_ms);
            self.last_ms = self.last_ms.max(other.last_ms);
        }
        self.objects = self.objects.saturating_add(other.objects);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.findings = self.findings.saturating_add(other.findings);
        self.rejects = self.rejects.saturating_add(other.rejects);
    }
}

/// Objects of a closed hour that one commit consumed under one profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::lake) struct Group {
    pub(in crate::lake) commit: u32,
    pub(in crate::lake) profile: u32,
    pub(in crate::lake) count: u32,
}

/// What the ledger keeps of an hour whose objects it no longer lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lake) struct Closed {
    pub(in crate::lake) digest: u128,
    pub(in crate::lake) figures: Figures,
    pub(in crate::lake) groups: Box<[Group]>,
    /// Objects that came after it had been closed once.
    pub(in crate::lake) late: u64,
}

impl Closed {
    pub(super) fn of(ids: &Ids, late: u64) -> Self {
        let mut figures = Figures::default();
        let mut pairs: Vec<(u32, u32)> = Vec::with_capacity(ids.len());
        for entry in ids.values() {
            figures.add(entry);
            pairs.push((entry.commit, entry.profile));
        }
        pairs.sort_unstable();
        let group = |same: &[(u32, u32)]| {
            let (commit, profile) = *same.first()?;
            Some(Group { commit, profile, count: u32::try_from(same.len()).unwrap_or(u32::MAX) })
        };
        let groups = pairs.chunk_by(|one, two| one == two).filter_map(group).collect();
        Self { digest: Sum::of(ids.keys()).digest, figures, groups, late }
    }

    pub(super) fn sum(&self) -> Sum {
        Sum { count: self.figures.objects, digest: self.digest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_end_before_the_date_and_keep_streams_apart() {
        let table = [
            ("s3://b/health/2026/11/24/03/s-1-2026-11-24-03-00-00-x", "s3://b/health/"),
            ("s3://b-2026/2026/11/24/x", "s3://b-2026/"),
            ("s3://b/error/processing-failed/2026/11/x", "s3://b/error/processing-failed/"),
            ("s3://b/legacy2026/11/24/03/x", "s3://b/"),
            ("s3://b/a/dt=2026-11-24/x", "s3://b/a/"),
            ("s3://b/AWSLogs/111122223333/2026/x", "s3://b/AWSLogs/111122223333/"),
            ("s3://b/random/x", "s3://b/random/"),
            ("s3://b/x", "s3://b/"),
            ("s3://b", "s3://"),
            ("file:///data/archive/2026/x", "file:///data/archive/"),
            ("file:///é/ü2026/x", "file:///é/"),
            ("", ""),
        ];
        for (uri, root) in table {
            assert_eq!(root_of(uri), root, "{uri}");
        }
    }

    #[test]
    fn roots_are_numbered_up_to_a_bound() {
        let mut roots = Roots::default();
        assert_eq!(roots.find("a"), None);
        assert_eq!((roots.number("a"), roots.number("b"), roots.number("a")), (0, 1, 0));
        for number in 0..ROOTS_MAX {
            roots.number(&number.to_string());
        }
        assert_eq!((roots.find("a"), roots.find("new")), (Some(0), Some(OTHER_ROOT)));
        assert_eq!((roots.number("new"), roots.name(OTHER_ROOT)), (OTHER_ROOT, None));
        assert_eq!(roots.names().len(), ROOTS_MAX);
    }

    #[test]
    fn sums_do_not_depend_on_order_and_show_what_is_there_twice() {
        let ids: Vec<ObjectId> = (0..50).map(|n| ObjectId::of(&n.to_string(), "1")).collect();
        let sum = Sum::of(&ids);
        assert_eq!(Sum::of(ids.iter().rev()), sum);
        assert_eq!(Sum::of(&ids[..20]) + Sum::of(&ids[20..]), sum);
        assert_ne!(Sum::of(&ids[1..]), sum);
        assert_ne!(Sum::of(ids[1..].iter().chain([&ids[1]])), sum);
        assert_ne!(Sum::of(ids.iter().chain([&ids[1], &ids[1]])).digest, sum.digest);
    }
}
