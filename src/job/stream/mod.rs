//! A Firehose stream as the source of a run, and its health.
//!
//! In: what `DescribeDeliveryStream` tells. Out: the archives that it fills ([`mod@derive`]), as if they had been
//! named by hand, and what is to be known about them ([`Remark`]); on request how the stream does
//! ([`health`]). Wrong: a stream that fills no archive, which is no use to name again.

pub mod derive;
pub mod health;
mod prefix;
mod without;

use std::sync::Arc;

use serde::Serialize;

use self::without::Without;
use crate::job::plan::Archive;
use crate::store::Store;

/// What is to be known about a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// A name for programs.
    pub kind: &'static str,
    /// Whether something is lost, or wrong with the stream.
    pub is_trouble: bool,
    /// In words.
    pub text: String,
}

/// What lies in a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Holds {
    /// What was delivered.
    Delivered,
    /// Failed records.
    Failed,
    /// Both.
    Both,
}

/// All keys of a bucket that begin so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The bucket.
    pub bucket: String,
    /// What the keys begin with; a plain text, with or without a slash at its end.
    pub prefix: String,
    /// What lies there.
    pub holds: Holds,
    /// Keys below it that are left out (`false`), and those among them that are not (`true`): of all that
    /// fit, the longest counts.
    #[serde(skip)]
    pub rules: Vec<(String, bool)>,
}

impl Place {
    /// The folder in which the keys lie, and what they begin with there. A slash belongs to what follows
    /// where another one stands before it.
    pub fn cut(&self) -> (&str, &str) {
        let bytes = self.prefix.as_bytes();
        let is_cut = |at: &usize| {
            bytes.get(*at) == Some(&b'/')
                && at.checked_sub(1).is_some_and(|before| bytes.get(before) != Some(&b'/'))
        };
        match (0..bytes.len()).rev().find(is_cut) {
            Some(at) => (
                self.prefix.get(..at).unwrap_or_default(),
                self.prefix.get(at + 1..).unwrap_or_default(),
            ),
            None => ("", &self.prefix),
        }
    }

    /// The address of that folder.
    pub fn folder(&self) -> String {
        match self.cut().0 {
            "" => format!("s3://{}", self.bucket),
            folder => format!("s3://{}/{folder}", self.bucket),
        }
    }

    /// As `--from` takes it: `s3://bucket/health`, or `s3://bucket/legacy*`.
    pub fn address(&self) -> String {
        match self.cut().1 {
            "" => self.folder(),
            start => format!("{}/{start}*", self.folder()),
        }
    }

    /// The archive, given the store that [`Place::folder`] names.
    pub fn archive(&self, store: Arc<dyn Store>) -> Archive {
        let (folder, prefix) = self.cut();
        let prefix = prefix.to_owned();
        if self.rules.is_empty() {
            return Archive { store, prefix };
        }
        let skipped = if folder.is_empty() { 0 } else { folder.len() + 1 };
        let relative = |(key, kept): &(String, bool)| {
            (key.get(skipped..).unwrap_or_default().to_owned(), *kept)
        };
        let rules = self.rules.iter().map(relative).collect();
        Archive { store: Arc::new(Without::new(store, rules)), prefix }
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt as _;

    use super::*;
    use crate::store::{Memory, sha256_hex};

    fn place(prefix: &str) -> Place {
        Place {
            bucket: "b".into(),
            prefix: prefix.into(),
            holds: Holds::Delivered,
            rules: Vec::new(),
        }
    }

    #[test]
    fn a_place_is_what_a_person_would_have_named() {
        let table = [
            ("", ("", ""), "s3://b"),
            ("health/", ("health", ""), "s3://b/health"),
            ("a/health/", ("a/health", ""), "s3://b/a/health"),
            ("legacy", ("", "legacy"), "s3://b/legacy*"),
            ("a/legacy", ("a", "legacy"), "s3://b/a/legacy*"),
            ("a//", ("a", "/"), "s3://b/a//*"),
            ("/", ("", "/"), "s3://b//*"),
            ("/a/", ("/a", ""), "s3://b//a"),
        ];
        for (prefix, cut, address) in table {
            let place = place(prefix);
            assert_eq!(place.cut(), cut, "{prefix}");
            assert_eq!(place.address(), address, "{prefix}");
        }
    }

    #[tokio::test]
    async fn what_is_left_out_is_not_listed() {
        let store = Arc::new(Memory::new("b"));
        for key in ["2026/a", "raw/2026/b", "raw/errors/c", "rawest/d"] {
            store.put(key, "x".into(), &sha256_hex(b"x")).await.unwrap();
        }
        let rules = vec![("x/raw/".to_owned(), false), ("x/raw/errors/".to_owned(), true)];
        let archive = Place { rules, ..place("x/") }.archive(store);
        let listed: Vec<_> = archive.store.list("").try_collect().await.unwrap();
        let mut keys: Vec<String> = listed.into_iter().map(|meta| meta.key).collect();
        keys.sort();
        assert_eq!(keys, ["2026/a", "raw/errors/c", "rawest/d"]);
        assert_eq!(archive.uri_prefix(), "memory://b/");
    }
}
