//! Whether checkpoints answer as the log does.
//!
//! In: the log. Out: a finding for each checkpoint that cannot be read, is of another log, or gives
//! another answer than the log folded from its first record. `Err` is trouble of the store. Both are
//! compared as they are, hour by hour: no object is asked for by its name, and the log is read back only
//! where a closed hour got something since. Memory: two ledgers.

use std::collections::BTreeSet;

use super::{Finding, History, Kind, Note};
use crate::lake::checkpoint;
use crate::lake::error::{LakeError, LakeResult};
use crate::lake::layout::{checkpoint_key, record_key};
use crate::lake::ledger::read_back::Settle;
use crate::lake::ledger::{Ledger, Status};
use crate::lake::log::Log;
use crate::lake::record::ObjectRecord;

use super::sources::read_commit;

/// Compares every checkpoint with the log, and the log with `history`, which was folded by other code.
pub async fn compare(log: &Log, history: &History) -> LakeResult<(Vec<Finding>, Vec<Note>)> {
    let (mut findings, mut notes) = (Vec::new(), Vec::new());
    let mut folded = fold(log, history).await?;
    if let Some(folded) = &folded {
        notes = waiting(log, history, folded).await?;
    }
    if let Some(folded) = folded.as_ref().filter(|folded| folded.version() == history.version) {
        findings.extend(sums(folded, history));
    }
    let lost = history.without_list();
    for number in log.checkpoints().await? {
        let key = checkpoint_key(number);
        let Some(bytes) = log.get(&key).await? else { continue };
        let of_this_log = |held: LakeResult<bool>| match held {
            // Its record cannot be read, which is told elsewhere.
            Err(LakeError::Damaged { .. }) => Ok(true),
            known => known,
        };
        let mut held = match checkpoint::decode(&bytes, number) {
            Ok(held) if of_this_log(log.is_of_this_log(&held).await)? => held,
            Ok(_) => {
                let message = "is of another log";
                findings.push(Finding::new(Kind::CheckpointUnreadable, key, number, message));
                continue;
            }
            Err(why) => {
                let message = format!("cannot be read: {why}");
                findings.push(Finding::new(Kind::CheckpointUnreadable, key, number, message));
                continue;
            }
        };
        let Some(folded) = &mut folded else { continue };
        log.look(&mut held).await?;
        // Commits may come in between; both are brought to the same one.
        if held.version() != folded.version() {
            log.look(folded).await?;
        }
        if held.version() == folded.version()
            && let Some(message) = differ(log, &mut held, folded, &lost).await?
        {
            findings.push(Finding::new(Kind::LedgerLies, key, number, message));
        }
    }
    Ok((findings, notes))
}

/// Objects of reopened commits that no run has read again yet: until then their rows are missing.
async fn waiting(log: &Log, history: &History, folded: &Ledger) -> LakeResult<Vec<Note>> {
    let mut notes = Vec::new();
    let Some(settings) = history.settings else { return Ok(notes) };
    for (commit, by) in &history.reopened {
        let Some((record, objects)) = read_commit(log, *commit).await? else { continue };
        let waits = |object: &&ObjectRecord| {
            folded.status_after(&record, object, &settings) != Status::Consumed
        };
        let count = objects.consumed.iter().filter(waits).count();
        if count > 0 {
            let message = format!(
                "was reopened by commit {by}; objects that wait for a run to read them again: \
                 {count}; rows of those that have expired are in the quarantine at best"
            );
            notes.push(Note::new("objects_waiting", record_key(*commit), message));
        }
    }
    Ok(notes)
}

/// The log folded from its first record; `None` where it is damaged, which is told elsewhere.
async fn fold(log: &Log, history: &History) -> LakeResult<Option<Ledger>> {
    if history.findings.iter().any(|finding| finding.kind.is_of_history()) {
        return Ok(None);
    }
    let mut folded = Ledger::default();
    match log.look(&mut folded).await {
        Ok(_) => Ok(Some(folded)),
        Err(LakeError::Damaged { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The first answer of a checkpoint that differs from the log's.
async fn differ(
    log: &Log,
    held: &mut Ledger,
    folded: &mut Ledger,
    lost: &BTreeSet<u64>,
) -> LakeResult<Option<String>> {
    let same = held.all_files().eq(folded.all_files()) && held.damaged().eq(folded.damaged());
    let wrong = if !same {
        Some("names other files than the log")
    } else if held.totals() != folded.totals() {
        Some("has other sums than the log")
    } else if held.products() != folded.products() {
        Some("has other products in force than the log")
    } else if held.tombstones() != folded.tombstones() {
        Some("knows of other erasures than the log")
    } else if held.accepted() != folded.accepted() {
        Some("has given up other objects than the log")
    } else {
        None
    };
    if let Some(wrong) = wrong {
        return Ok(Some(wrong.to_owned()));
    }
    log.settle_hours(held, Settle::All).await?;
    log.settle_hours(folded, Settle::All).await?;
    Ok(held.differs_from(folded, lost))
}

/// The ledger's files and sums against those of the history.
fn sums(folded: &Ledger, history: &History) -> Option<Finding> {
    let ours: Vec<_> = history.all_parts().filter(|part| part.unpublished.is_none()).collect();
    let same = folded.all_files().count() == ours.len()
        && folded.all_files().zip(&ours).all(|((.., file), part)| *file == part.file);
    let message = if !same {
        "the ledger names other files than the records"
    } else if folded.totals() != history.totals {
        "the ledger has other sums than the records"
    } else {
        return None;
    };
    Some(Finding::new(Kind::SumsDiffer, crate::lake::layout::LOG, folded.version(), message))
}
