//! What lies in the lake that the log does not name.
//!
//! In: the lake's listing and the log. Out: findings about files that Athena reads though no commit
//! names them, and notes about all else that nothing knows. Names that begin with `_` or `.` and objects
//! without bytes are not read by Athena (Hive's rule for hidden files). Memory: what is found, at most
//! [`LISTED_MAX`] of each kind; more are counted.

use std::collections::{BTreeMap, HashMap};

use futures::stream::TryStreamExt;

use super::{Finding, History, Kind, Note};
use crate::lake::error::LakeResult;
use crate::lake::layout::{
    CHECKPOINTS, CONFIG, LOG, OBJECTS, QUARANTINE, STAGING, STATE, Table, parse_checkpoint_key,
    parse_part_key, parse_staging_key,
};
use crate::store::{ObjectMeta, Store};

/// How many objects of a kind are named one by one.
pub const LISTED_MAX: usize = 1_000;

/// What a listing of the lake showed.
#[derive(Debug, Default)]
pub struct Visible {
    /// Files that Athena reads and no commit names.
    pub findings: Vec<Finding>,
    /// Everything else that nothing knows.
    pub notes: Vec<Note>,
    counts: BTreeMap<&'static str, u64>,
}

/// Lists the whole lake.
pub async fn look(store: &dyn Store, history: &History) -> LakeResult<Visible> {
    let mut visible = Visible::default();
    let named: HashMap<&str, &str> = history
        .all_parts()
        .map(|part| (part.file.sha256.as_str(), part.file.key.as_str()))
        .collect();
    let mut listed = store.list("");
    while let Some(meta) = listed.try_next().await? {
        let table = Table::ALL.iter().find(|table| {
            meta.key.strip_prefix(table.name()).is_some_and(|rest| rest.starts_with('/'))
        });
        match table {
            Some(_) if history.part(&meta.key).is_some() => {}
            Some(_) if is_hidden(&meta) => visible.note(
                "object_hidden",
                &meta.key,
                "is named by no commit; Athena does not read it",
            ),
            Some(_) => {
                if let Some(finding) = foreign(store, history, &named, &meta).await? {
                    visible.find(finding);
                }
            }
            None => visible.state(history, &meta),
        }
    }
    for (kind, count) in std::mem::take(&mut visible.counts) {
        if count > LISTED_MAX as u64 {
            let message = format!("{count} objects, of which {LISTED_MAX} are named");
            visible.notes.push(Note::new(kind, "", message));
        }
    }
    Ok(visible)
}

/// Hive and Athena skip names that begin with `_` or `.`; an empty object has no row.
fn is_hidden(meta: &ObjectMeta) -> bool {
    let hidden = |name: &str| name.starts_with('_') || name.starts_with('.');
    meta.size == 0 || meta.key.ends_with('/') || meta.key.split('/').any(hidden)
}

/// A visible file that the log does not name; `None` when a commit is just taking it out.
async fn foreign(
    store: &dyn Store,
    history: &History,
    named: &HashMap<&str, &str>,
    meta: &ObjectMeta,
) -> LakeResult<Option<Finding>> {
    let key = &meta.key;
    if let Some(by) = history.withdrawn.get(key) {
        if history.is_open(*by) {
            return Ok(None);
        }
        let message = format!("was taken out by commit {by} and is still there");
        return Ok(Some(Finding::new(Kind::PartWithdrawn, key, *by, message)));
    }
    let commit = parse_part_key(key).map(|name| name.commit);
    if let Some(lost) = commit.filter(|commit| history.lost.contains(commit)) {
        let message = format!("is of commit {lost}, whose record is lost");
        return Ok(Some(Finding::new(Kind::PartUnrecorded, key, lost, message)));
    }
    let head = store.head(key).await?;
    let copy =
        head.and_then(|meta| meta.sha256).and_then(|sha256| named.get(sha256.as_str()).copied());
    let message = copy.map_or_else(
        || "is named by no commit; Athena reads its rows".to_owned(),
        |original| {
            format!("is a copy of `{original}` that no commit names; Athena counts its rows twice")
        },
    );
    Ok(Some(Finding::new(Kind::PartForeign, key, None, message)))
}

impl Visible {
    fn find(&mut self, finding: Finding) {
        let count = self.counts.entry(finding.kind.name()).or_default();
        *count += 1;
        if *count <= LISTED_MAX as u64 {
            self.findings.push(finding);
        }
    }

    fn note(&mut self, kind: &'static str, key: &str, message: &str) {
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        if *count <= LISTED_MAX as u64 {
            self.notes.push(Note::new(kind, key, message));
        }
    }

    /// An object outside the tables.
    fn state(&mut self, history: &History, meta: &ObjectMeta) {
        let key = meta.key.as_str();
        let Some(rest) = key.strip_prefix(STATE) else {
            return self.note("object_unknown", key, "lies outside the tables; nothing reads it");
        };
        let is_known = key == CONFIG
            || key.starts_with(LOG)
            || key.starts_with(OBJECTS)
            || (key.starts_with(CHECKPOINTS) && parse_checkpoint_key(key).is_some());
        if is_known || rest.is_empty() {
            return;
        }
        if let Some(number) = parse_staging_key(key).filter(|_| key.starts_with(STAGING)) {
            if number <= history.version && !history.is_open(number) {
                self.note("staging_unswept", key, "is left over; the next run deletes it");
            }
        } else if key.starts_with(QUARANTINE) {
            self.note(
                "quarantined",
                key,
                "was taken out of the lake by a repair; delete it when \
                 the lake is right again",
            );
        } else {
            self.note("object_unknown", key, "is nothing that the program writes");
        }
    }
}
