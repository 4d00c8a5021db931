//! `verify`: is the lake what its log says, and does the log say what the archive holds?
//!
//! In: [`VerifyOptions`]. Out: a [`VerifyReport`]. Nothing is written unless a repair is asked for. What
//! seems wrong is looked at once more after the log was read on, so that a run that commits, sweeps or
//! withdraws meanwhile is not taken for damage. An `Err` is trouble of the store, or a lake that this
//! program does not know. Memory: what the log says of each file, some partitions' ids, and on the deep
//! pass the rows of [`deep`]'s batch.

mod columns;
mod compare;
mod confirm;
mod deep;
mod explained;
mod repair;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;

use crate::finding::identity::IDENTITY_VERSION;
use crate::job::plan::Archive;
use crate::job::progress::Progress;
use crate::lake::LakeError;
use crate::lake::config::LakeConfig;
use crate::lake::error::LakeResult;
use crate::lake::layout::{CONFIG, LOG, Table, done_key};
use crate::lake::log::Log;
use crate::lake::verify::parts::{Checked, check_part};
use crate::lake::verify::rows::check_partition;
use crate::lake::verify::{Depth, Finding, History, Kind, Note, Part, answers, visible};
use crate::store::Store;

pub use deep::DeepReport;
pub use repair::RepairReport;

/// Partitions whose rows are checked at once.
const PARTITIONS: usize = 4;
/// Parts of a partition that are looked at once.
const PARTS: usize = 8;

/// What a verification is to do.
#[derive(Debug, Clone)]
pub struct VerifyOptions {
    /// The lake.
    pub lake: Arc<dyn Store>,
    /// How much of it is read.
    pub depth: Depth,
    /// Read this share of the archives' objects again and compare their rows; needs `archives`.
    pub deep: Option<f64>,
    /// Where the objects lie.
    pub archives: Vec<Archive>,
    /// Commit what mends the lake.
    pub repair: bool,
    /// With `repair`: move visible files that no commit names out of the tables.
    pub quarantine_foreign: bool,
    /// How many threads read objects.
    pub threads: usize,
    /// Bytes of memory to stay under while objects are read.
    pub memory_bytes: u64,
    /// Objects of one task that are fetched at the same time.
    pub fetches: usize,
    /// Counters to move while working.
    pub progress: Arc<Progress>,
}

/// What was found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct VerifyReport {
    /// The lake.
    pub lake: String,
    /// How much of it was read.
    pub depth: Depth,
    /// The number of the last commit.
    pub version: u64,
    /// Commits whose record could be read.
    pub commits: u64,
    /// Parts that the log names.
    pub parts: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Rows of `findings` by the log.
    pub findings_rows: u64,
    /// Rows of `rejects` by the log.
    pub rejects_rows: u64,
    /// What is wrong; after a repair, what was.
    pub findings: Vec<Finding>,
    /// How many findings there are of each kind.
    pub by_kind: BTreeMap<&'static str, u64>,
    /// What is worth knowing and no damage.
    pub notes: Vec<Note>,
    /// What reading objects again gave.
    pub deep: Option<DeepReport>,
    /// What was mended.
    pub repaired: Option<RepairReport>,
}

impl VerifyReport {
    /// Whether nothing is wrong (any more).
    pub fn is_right(&self) -> bool {
        let left = self.repaired.as_ref().map_or(&self.findings, |repaired| &repaired.left);
        left.is_empty()
    }

    /// Adds what a later look found.
    fn also(&mut self, findings: &[Finding]) {
        for finding in findings {
            if !self.findings.contains(finding) {
                self.findings.push(finding.clone());
            }
        }
        self.count();
    }

    fn count(&mut self) {
        self.findings.sort();
        self.findings.dedup();
        self.by_kind.clear();
        for finding in &self.findings {
            *self.by_kind.entry(finding.kind.name()).or_default() += 1;
        }
    }
}

/// Verifies, and repairs when that is asked for.
///
/// # Errors
/// When a store does not answer, when there is no lake, or when it is of a newer program.
pub async fn verify(options: &VerifyOptions) -> anyhow::Result<VerifyReport> {
    check_is_lake(options.lake.as_ref()).await?;
    if options.repair {
        return Box::pin(repair::repair(options)).await;
    }
    let (report, _) = Box::pin(look(options)).await?;
    Ok(report)
}

/// An empty place is no damaged lake.
async fn check_is_lake(lake: &dyn Store) -> LakeResult<()> {
    if lake.head(CONFIG).await?.is_some() {
        return Ok(());
    }
    for prefix in [LOG, "findings/", "rejects/"] {
        let mut listed = lake.list(prefix);
        if listed.try_next().await?.is_some() {
            return Ok(());
        }
    }
    Err(LakeError::refused(
        lake.uri(CONFIG),
        "there is no lake here",
        "check `--lake`; `healthtrail run` makes a lake",
    ))
}

/// Looks at everything, and once more at what seems wrong.
async fn look(options: &VerifyOptions) -> anyhow::Result<(VerifyReport, History)> {
    let lake = options.lake.as_ref();
    let log = Log::new(Arc::clone(&options.lake));
    let mut history = History::read(&log).await?;
    let mut report = begin(options, &history);
    let mut suspected = Vec::new();
    suspected.extend(check_config(lake).await?);
    let (found, noted) = answers::compare(&log, &history).await?;
    suspected.extend(found);
    report.notes.extend(noted);
    suspected.extend(check_parts(options, &history, &mut report.notes).await?);
    let seen = visible::look(lake, &history).await?;
    suspected.extend(seen.findings);
    report.notes.extend(seen.notes);
    if let Some(share) = options.deep {
        let (deep, found) = Box::pin(deep::deep(options, &log, &history, share)).await?;
        report.deep = Some(deep);
        suspected.extend(found);
    }
    report.findings = confirm::confirm(options, &log, &mut history, suspected).await?;
    report.findings.extend(without_files(&history, &report.findings));
    if let Some(open) = history.open {
        let message = "has no done mark yet: a run is at it, or the next one completes it";
        report.notes.push(Note::new("commit_open", done_key(open), message));
    }
    report.notes.extend(history.notes.iter().cloned());
    report.count();
    report.notes.sort();
    Ok((report, history))
}

fn begin(options: &VerifyOptions, history: &History) -> VerifyReport {
    let rows = |table: Table| {
        let parts = history.all_parts().filter(move |part| part.table == table);
        parts.map(|part| part.file.rows).sum()
    };
    let report = VerifyReport {
        lake: options.lake.base_uri().to_owned(),
        depth: options.depth,
        version: history.version,
        commits: history.commits.len() as u64,
        parts: history.all_parts().count() as u64,
        bytes: history.all_parts().map(|part| part.file.bytes).sum(),
        findings_rows: rows(Table::Findings),
        rejects_rows: rows(Table::Rejects),
        ..VerifyReport::default()
    };
    Progress::add(&options.progress.bytes_planned, report.bytes);
    Progress::add(&options.progress.objects_planned, report.parts);
    report
}

async fn check_config(lake: &dyn Store) -> LakeResult<Option<Finding>> {
    let (kind, message) = match LakeConfig::open(lake, IDENTITY_VERSION).await {
        Ok(Some(_)) => return Ok(None),
        Ok(None) => (Kind::ConfigMissing, "is gone".to_owned()),
        Err(LakeError::Damaged { message, .. }) => (Kind::ConfigUnreadable, message),
        Err(error) => return Err(error),
    };
    Ok(Some(Finding::new(kind, CONFIG, None, message)))
}

/// Every part, and the rows of every partition.
async fn check_parts(
    options: &VerifyOptions,
    history: &History,
    notes: &mut Vec<Note>,
) -> LakeResult<Vec<Finding>> {
    let partitions = history.parts.values().map(|parts| check_one(options, history, parts));
    let mut checked = futures::stream::iter(partitions).buffer_unordered(PARTITIONS);
    let mut findings = Vec::new();
    while let Some((found, noted)) = checked.try_next().await? {
        findings.extend(found);
        notes.extend(noted);
    }
    Ok(findings)
}

async fn check_one(
    options: &VerifyOptions,
    history: &History,
    parts: &[Part],
) -> LakeResult<(Vec<Finding>, Vec<Note>)> {
    let lake = options.lake.as_ref();
    // What a run is just publishing may be there or not; it is its own to check.
    let settled = parts.iter().filter(|part| !history.is_open(part.file.commit));
    let (mut findings, mut notes) = (Vec::new(), Vec::new());
    let (broken, whole): (Vec<&Part>, Vec<&Part>) =
        settled.partition(|part| part.unpublished.is_some());
    findings.extend(broken.into_iter().filter_map(|part| {
        let message = format!("could not be published: {}", part.unpublished.as_deref()?);
        Some(Finding::new(Kind::PartUnpublished, &part.file.key, part.file.commit, message))
    }));
    let checks = whole.into_iter().map(|part| async move {
        let checked = check_part(lake, part, options.depth).await?;
        Progress::add(&options.progress.objects_read, 1);
        Progress::add(&options.progress.bytes_read, part.file.bytes);
        LakeResult::Ok((part, checked))
    });
    let mut checks = futures::stream::iter(checks).buffered(PARTS);
    let mut readable = Vec::new();
    while let Some((part, Checked { finding, note })) = checks.try_next().await? {
        if finding.is_none() {
            readable.push(part);
        }
        findings.extend(finding);
        notes.extend(note);
    }
    if options.depth > Depth::Quick {
        findings.extend(check_partition(lake, &readable).await?);
        let rows = readable.iter().map(|part| part.file.rows).sum();
        Progress::add(&options.progress.rows_read, rows);
    }
    Ok((findings, notes))
}

/// Commits that are marked done and of whose files not one is there.
fn without_files(history: &History, findings: &[Finding]) -> Vec<Finding> {
    let mut files: BTreeMap<u64, u64> = BTreeMap::new();
    for part in history.all_parts().filter(|part| !history.is_open(part.file.commit)) {
        *files.entry(part.file.commit).or_default() += 1;
    }
    for finding in findings.iter().filter(|finding| finding.kind == Kind::PartMissing) {
        if let Some(left) = finding.commit.and_then(|commit| files.get_mut(&commit)) {
            *left = left.saturating_sub(1);
        }
    }
    let emptied = files.into_iter().filter(|(_, left)| *left == 0);
    let finding = |(commit, _)| {
        let message = "says that the commit is done, but none of its files is there";
        Finding::new(Kind::DoneWithoutFiles, done_key(commit), commit, message)
    };
    emptied.map(finding).collect()
}
