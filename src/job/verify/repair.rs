//! `verify --repair`: one commit that takes out what is damaged and reopens the objects it came from.
//!
//! In: what a verification found. Out: what was done, and what is left. Every step may be done again, so
//! a repair that was killed is completed by the next one; another run's commit makes it start over. What
//! is taken out of a table is kept under `_healthtrail/quarantine/`, since its objects may have expired;
//! a visible file that no commit names is touched only when that is asked for.
//!
//! Order: settings, unreadable done marks, bad checkpoints, open commits, copies into the quarantine, the
//! commit, stray files. What a doubtful record names is left as it is; with a record lost, checkpoints
//! are kept, since one of them may be all that still knows what it said.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use crate::finding::identity::IDENTITY_VERSION;
use crate::finding::product::Products;
use crate::job::progress::Progress;
use crate::job::verify::{VerifyOptions, VerifyReport, look};
use crate::lake::LakeError;
use crate::lake::config::LakeConfig;
use crate::lake::draft::{Draft, Drafted};
use crate::lake::error::LakeResult;
use crate::lake::layout::{PartitionBy, Table, nowhere_key, parse_part_key, quarantine_key};
use crate::lake::log::{Log, random_id};
use crate::lake::record::{Objects, Purpose, Settings, Withdrawn};
use crate::lake::verify::{Finding, History, Kind};
use crate::store::{Store, StoreErrorKind};

/// Other runs may commit between two looks this often before the repair gives up.
const ATTEMPTS: usize = 16;

/// What a repair did.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RepairReport {
    /// The commit, where one was needed.
    pub commit: Option<u64>,
    /// Parts that it took out of the lake.
    pub withdrawn: Vec<String>,
    /// Commits whose objects the next run reads again.
    pub reopened: BTreeSet<u64>,
    /// How many objects these are.
    pub objects: u64,
    /// Other objects of the lake that were deleted, moved or written anew.
    pub mended: Vec<String>,
    /// What is still wrong.
    pub left: Vec<Finding>,
    #[serde(skip)]
    unmended: Vec<Finding>,
}

/// Verifies and mends, until nothing is wrong or nothing more can be done.
pub(super) async fn repair(options: &VerifyOptions) -> anyhow::Result<VerifyReport> {
    let log = Log::new(Arc::clone(&options.lake));
    // What was mended is looked at once more, without reading the archive again.
    let again =
        VerifyOptions { deep: None, progress: Arc::new(Progress::default()), ..options.clone() };
    let mut done = RepairReport::default();
    let mut report: Option<VerifyReport> = None;
    let mut before: Option<Vec<Finding>> = None;
    for _ in 0..ATTEMPTS {
        let asked = if before.is_some() { &again } else { options };
        let (seen, history) = Box::pin(look(asked)).await?;
        done.left.clone_from(&seen.findings);
        let findings = seen.findings.clone();
        match &mut report {
            None => report = Some(seen),
            Some(report) => report.also(&findings),
        }
        if findings.is_empty() || before.as_ref() == Some(&findings) {
            break;
        }
        if Box::pin(attempt(options, &log, &history, &findings, &mut done)).await? {
            done.unmended.extend(unmended(&history, &findings));
            before = Some(findings);
        }
    }
    let unmended = std::mem::take(&mut done.unmended);
    done.left.extend(unmended);
    done.left.sort();
    done.left.dedup();
    let mut report = report.unwrap_or_default();
    report.repaired = Some(done);
    Ok(report)
}

/// What the deep pass found and no commit could mend: a later look does not read the archive.
fn unmended(history: &History, findings: &[Finding]) -> Vec<Finding> {
    let doubtful = doubtful(findings);
    let is_unmended = |finding: &&Finding| {
        let is_deep =
            matches!(finding.kind, Kind::RowMissing | Kind::RowDiffers | Kind::RowUnexplained);
        let commit = finding.commit.filter(|commit| !doubtful.contains(commit));
        is_deep && commit.is_none_or(|commit| !history.commits.contains_key(&commit))
    };
    findings.iter().filter(is_unmended).cloned().collect()
}

/// `false` when another run has committed meanwhile: look again.
async fn attempt(
    options: &VerifyOptions,
    log: &Log,
    history: &History,
    findings: &[Finding],
    done: &mut RepairReport,
) -> anyhow::Result<bool> {
    let lake = options.lake.as_ref();
    mend_state(lake, history, findings, done).await?;
    let mut ledger = log.load().await?;
    match log.catch_up(&mut ledger).await {
        Ok(_) => {}
        // The log is damaged where nothing can be mended; the findings say so.
        Err(LakeError::Damaged { .. }) => return Ok(true),
        Err(error) => return Err(error.into()),
    }
    if ledger.version() != history.version {
        return Ok(false);
    }
    let draft = draft(log, history, findings, ledger.products()).await?;
    if !draft.withdrawn.is_empty() {
        for withdrawn in &draft.withdrawn {
            copy_away(lake, &withdrawn.key).await?;
        }
        let withdrawn = draft.withdrawn.clone();
        match log.commit(draft, history.version).await? {
            Drafted::Lost => return Ok(false),
            Drafted::Open(number, error) => {
                return Err(anyhow::Error::from(error).context(format!(
                    "commit {number} is recorded, but not complete; repair again to complete it"
                )));
            }
            Drafted::Won(number, _) => {
                done.commit = Some(number);
                report_withdrawn(history, &withdrawn, done);
            }
        }
    }
    for finding in findings {
        // A record that was altered may just be the one that named it.
        let moves = finding.kind == Kind::PartWithdrawn
            || (finding.kind == Kind::PartForeign
                && options.quarantine_foreign
                && doubtful(findings).is_empty());
        if moves && is_replaced(history, &finding.key) {
            // Its rows that are to stay are in the lake; the others may have been forgotten.
            lake.delete(&finding.key).await?;
            done.mended.push(format!("deleted `{}`", finding.key));
        } else if moves {
            copy_away(lake, &finding.key).await?;
            lake.delete(&finding.key).await?;
            done.mended.push(format!(
                "moved `{}` to `{}`",
                finding.key,
                quarantine_key(&finding.key)
            ));
        }
    }
    Ok(true)
}

/// Whether the commit that took a file out added another one in its place.
fn is_replaced(history: &History, key: &str) -> bool {
    let by = history.withdrawn.get(key).and_then(|by| history.replaced.get(by));
    by.is_some_and(|replaced| replaced.iter().any(|one| one.key == key))
}

fn report_withdrawn(history: &History, withdrawn: &[Withdrawn], done: &mut RepairReport) {
    let keys: BTreeSet<&String> =
        withdrawn.iter().map(|one| &one.key).filter(|key| history.part(key).is_some()).collect();
    done.withdrawn.extend(keys.into_iter().cloned());
    done.reopened.extend(withdrawn.iter().map(|one| one.commit));
    let objects = done.reopened.iter().filter_map(|number| history.commits.get(number));
    done.objects = objects.map(|commit| commit.consumed).sum();
}

/// What lies beside the tables and depends on no commit.
async fn mend_state(
    lake: &dyn Store,
    history: &History,
    findings: &[Finding],
    done: &mut RepairReport,
) -> LakeResult<()> {
    // With a record lost, a checkpoint may be all that still knows what it said.
    let is_whole = !findings.iter().any(|finding| finding.kind.is_of_history());
    for finding in findings {
        match finding.kind {
            Kind::ConfigMissing | Kind::ConfigUnreadable => {
                if let Some(partition) = partition_by(history)
                    && IDENTITY_VERSION == 1
                {
                    LakeConfig::restore(lake, partition, IDENTITY_VERSION).await?;
                    done.mended.push(format!("wrote `{}` anew", finding.key));
                }
            }
            Kind::DoneUnreadable if is_whole => {
                // Without its mark the commit is open, and whoever comes next completes it.
                lake.delete(&finding.key).await?;
                done.mended.push(format!("completed commit {} again", number(finding)));
            }
            Kind::DoneMissing if is_whole => {
                done.mended.push(format!("completed commit {} again", number(finding)));
            }
            // Named by its content, it may come back with the commit that reads the objects again.
            Kind::ObjectsAltered => lake.delete(&finding.key).await?,
            Kind::CheckpointUnreadable | Kind::LedgerLies if is_whole => {
                lake.delete(&finding.key).await?;
                done.mended.push(format!("deleted `{}`", finding.key));
            }
            _ => {}
        }
    }
    Ok(())
}

fn number(finding: &Finding) -> u64 {
    finding.commit.unwrap_or_default()
}

/// What the lake's parts, those that left it among them, are partitioned by.
fn partition_by(history: &History) -> Option<PartitionBy> {
    let part = history.all_parts().next().map(|part| part.partition);
    let gone = || history.withdrawn.keys().find_map(|key| Some(parse_part_key(key)?.partition));
    part.or_else(gone).map(crate::lake::layout::Partition::by)
}

/// Commits whose records are there and cannot be believed: what they name is left as it is.
fn doubtful(findings: &[Finding]) -> BTreeSet<u64> {
    let doubtful = findings
        .iter()
        .filter(|finding| matches!(finding.kind, Kind::RecordAltered | Kind::RecordContradicts));
    doubtful.filter_map(|finding| finding.commit).collect()
}

/// The commit that withdraws and reopens.
async fn draft(
    log: &Log,
    history: &History,
    findings: &[Finding],
    products: Option<Products>,
) -> anyhow::Result<Draft> {
    let mut withdrawn: BTreeSet<(String, u64)> = BTreeSet::new();
    let doubtful = doubtful(findings);
    let settled =
        |finding: &&Finding| finding.commit.is_none_or(|commit| !doubtful.contains(&commit));
    for finding in findings.iter().filter(settled) {
        let key = finding.key.as_str();
        if finding.kind.withdraws_part() && history.part(key).is_some() {
            withdrawn.extend(taken_out(log, history, key).await?);
        }
        match (finding.kind, finding.commit) {
            (Kind::ObjectsMissing | Kind::ObjectsAltered, Some(commit)) => {
                withdrawn.insert((key.to_owned(), commit));
            }
            (Kind::RowMissing, Some(commit)) => {
                let commits = BTreeSet::from([commit]);
                let later = history.read_again_by(log, &commits).await?;
                let name = nowhere_key(Table::Findings, commit);
                withdrawn.extend(commits.union(&later).map(|commit| (name.clone(), *commit)));
            }
            _ => {}
        }
    }
    let withdrawn = withdrawn
        .into_iter()
        .map(|(key, commit)| Withdrawn { key, commit, reopen: true })
        .collect();
    let now = jiff::Timestamp::now().to_string();
    Ok(Draft {
        run: random_id(),
        purpose: Purpose::Repair,
        reason: None,
        settings: settings(history, products)?,
        started_at: now.clone(),
        committed_at: now,
        objects: Objects::default(),
        files: Vec::new(),
        withdrawn,
        tombstones: Vec::new(),
    })
}

/// A part with each commit that has to be read again for it.
async fn taken_out(log: &Log, history: &History, key: &str) -> LakeResult<Vec<(String, u64)>> {
    let sources = history.sources(key);
    let later = history.read_again_by(log, &sources).await?;
    let commits: Vec<u64> = sources.union(&later).copied().collect();
    if !commits.is_empty() {
        return Ok(commits.into_iter().map(|commit| (key.to_owned(), commit)).collect());
    }
    // It came of no object that could be read again, but of rows that the lake has: what its commit
    // did is undone as a whole, so that it can be done once more.
    let Some(commit) = parse_part_key(key).map(|name| name.commit) else { return Ok(Vec::new()) };
    Ok(history.siblings(commit).into_iter().map(|key| (key, commit)).collect())
}

fn settings(history: &History, products: Option<Products>) -> anyhow::Result<Settings> {
    let mut settings =
        history.settings.ok_or_else(|| anyhow::anyhow!("the lake has no commit to repair"))?;
    settings.products = products.unwrap_or(settings.products);
    Ok(settings)
}

/// Keeps what is about to leave the lake; what is gone cannot be kept.
async fn copy_away(lake: &dyn Store, key: &str) -> LakeResult<()> {
    if parse_part_key(key).is_none() && !key.ends_with(".parquet") {
        return Ok(());
    }
    match lake.copy_new(key, &quarantine_key(key)).await {
        Ok(()) => Ok(()),
        Err(error)
            if matches!(error.kind, StoreErrorKind::NotFound | StoreErrorKind::Precondition) =>
        {
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
