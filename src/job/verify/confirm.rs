//! A second look at what seems wrong, after the log was read on.
//!
//! In: suspicions. Out: those that still hold. A run that commits, sweeps or withdraws while the lake is
//! verified changes what is right; nothing that it did is to be told as damage.

use std::collections::BTreeSet;

use crate::job::verify::{VerifyOptions, check_config};
use crate::lake::error::LakeResult;
use crate::lake::layout::{checkpoint_key, done_key, record_key};
use crate::lake::log::Log;
use crate::lake::verify::parts::check_part;
use crate::lake::verify::{Finding, History, Kind};
use crate::store::Store;

/// Those of the suspicions, and of what the log showed, that still hold.
pub(super) async fn confirm(
    options: &VerifyOptions,
    log: &Log,
    history: &mut History,
    mut suspected: Vec<Finding>,
) -> LakeResult<Vec<Finding>> {
    history.catch_up(log).await?;
    suspected.append(&mut history.findings);
    suspected.extend(history.lost_lists().cloned());
    let mut confirmed = Vec::new();
    let mut altered = BTreeSet::new();
    for finding in suspected {
        if holds(options, history, &finding).await? {
            if matches!(finding.kind, Kind::PartAltered | Kind::PartMissing) {
                altered.insert(finding.key.clone());
            }
            confirmed.push(finding);
        }
    }
    Ok(confirmed)
}

async fn holds(options: &VerifyOptions, history: &History, finding: &Finding) -> LakeResult<bool> {
    let lake = options.lake.as_ref();
    let key = finding.key.as_str();
    let number = finding.commit.unwrap_or_default();
    Ok(match finding.kind {
        Kind::ConfigMissing | Kind::ConfigUnreadable => check_config(lake).await?.is_some(),
        Kind::RecordMissing => lake.head(&record_key(number)).await?.is_none(),
        Kind::DoneMissing => lake.head(&done_key(number)).await?.is_none(),
        Kind::CheckpointUnreadable | Kind::LedgerLies => {
            lake.head(&checkpoint_key(number)).await?.is_some()
        }
        Kind::ObjectsMissing => !history.is_open(number) && lake.head(key).await?.is_none(),
        Kind::PartForeign | Kind::PartUnrecorded => {
            history.part(key).is_none()
                && !history.withdrawn.contains_key(key)
                && lake.head(key).await?.is_some()
        }
        Kind::PartWithdrawn => lake.head(key).await?.is_some(),
        kind if kind.withdraws_part() => part_holds(options, lake, history, finding).await?,
        _ => true,
    })
}

/// A part that was withdrawn meanwhile is nobody's trouble any more.
async fn part_holds(
    options: &VerifyOptions,
    lake: &dyn Store,
    history: &History,
    finding: &Finding,
) -> LakeResult<bool> {
    let Some(part) = history.part(&finding.key) else { return Ok(false) };
    Ok(match finding.kind {
        Kind::PartMissing => {
            check_part(lake, part, options.depth.min(crate::lake::verify::Depth::Quick))
                .await?
                .finding
                .is_some()
        }
        _ => true,
    })
}
