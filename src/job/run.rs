//! `run`: what the archives have and the lake lacks becomes commits, wave after wave.
//!
//! In: [`RunOptions`]. Out: a [`Summary`] whose sums hold. An `Err` means that the world did not play
//! along (or that the lake refuses what is asked); what was committed until then stays, and the run
//! may be repeated as it is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use anyhow::bail;
use serde::Serialize;

use crate::finding::identity::IDENTITY_VERSION;
use crate::job::commit::{Committer, catch_up};
use crate::job::conductor::Conductor;
use crate::job::options::{RunOptions, check_places, settings};
use crate::job::plan::{Known, Plan, Planned, plan};
use crate::job::progress::Progress;
use crate::job::summary::Summary;
use crate::lake::config::LakeConfig;
use crate::lake::ledger::Ledger;
use crate::lake::log::Log;
use crate::lake::record::Settings;
use crate::store::fail_point::{self, FailPoint};

/// What a run would read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DryRun {
    /// All objects listed.
    pub listed: u64,
    /// In the lake already.
    pub in_ledger: u64,
    /// Skipped, by reason.
    pub skipped_by_reason: BTreeMap<&'static str, u64>,
    /// Outside `--since` and `--until`.
    pub left: u64,
    /// To be read.
    pub objects: u64,
    /// Their bytes as stored.
    pub bytes: u64,
    /// The first arrival hour of them, RFC 3339.
    pub first_hour: Option<String>,
    /// The last arrival hour of them, RFC 3339.
    pub last_hour: Option<String>,
}

/// Says what a run would read, and changes nothing.
///
/// # Errors
/// As [`run`].
pub async fn dry_run(options: &RunOptions) -> anyhow::Result<DryRun> {
    check_places(options)?;
    let (mut ledger, mut held) = (Ledger::default(), None);
    if let Some(lake) = &options.lake
        && LakeConfig::open(lake.as_ref(), IDENTITY_VERSION).await?.is_some()
    {
        let log = Log::new(Arc::clone(lake));
        ledger = log.load().await?;
        log.look(&mut ledger).await?;
        held = Some(log);
    }
    let settings = settings(options, &ledger)?;
    let plan = list(options, &mut ledger, held.as_ref(), &settings).await?;
    let hour = |planned: Option<&Planned>| {
        let at = jiff::Timestamp::from_millisecond(planned?.arrival.hour_ms).ok()?;
        Some(at.to_string())
    };
    Ok(DryRun {
        listed: plan.survey.listed,
        in_ledger: plan.survey.in_ledger,
        left: plan.outside_hours,
        objects: plan.objects.len() as u64,
        bytes: plan.bytes(),
        first_hour: hour(plan.objects.first()),
        last_hour: hour(plan.objects.last()),
        skipped_by_reason: plan.survey.skipped,
    })
}

/// Reads what is new and commits it.
///
/// # Errors
/// When the lake refuses the options, when the store does not answer, when a listing cannot be
/// finished, or when the sums of the run do not hold (a defect). Objects that cannot be read are no
/// error; the summary names them.
pub async fn run(options: &RunOptions) -> anyhow::Result<Summary> {
    let mut conductor = begin(options).await?;
    // Boxed: what the waves keep between their steps would make the caller's future large.
    Box::pin(conductor.waves()).await?;
    conductor.finish().await
}

/// All that comes before the first wave: opens the lake, and plans what it lacks.
pub(super) async fn begin(options: &RunOptions) -> anyhow::Result<Conductor> {
    let begun = Instant::now();
    check_places(options)?;
    let Some(lake) = options.lake.clone() else { bail!("a run needs a lake") };
    let mut summary = Summary::default();
    let config =
        LakeConfig::open_or_create(lake.as_ref(), options.partition, IDENTITY_VERSION).await?;
    fail_point::reach(FailPoint::Opened);
    let log = Log::new(Arc::clone(&lake));
    let mut ledger = log.load().await?;
    catch_up(&log, &mut ledger).await?;
    let settings = settings(options, &ledger)?;
    summary.seconds.open = begun.elapsed().as_secs_f64();

    let listing = Instant::now();
    let plan = list(options, &mut ledger, Some(&log), &settings).await?;
    fail_point::reach(FailPoint::Planned);
    summary.seconds.list = listing.elapsed().as_secs_f64();
    summary.objects.listed = plan.survey.listed;
    summary.objects.in_ledger = plan.survey.in_ledger;
    summary.objects.left = plan.outside_hours;
    summary.objects.skipped = plan.survey.skipped.values().sum();
    summary.skipped_by_reason.clone_from(&plan.survey.skipped);
    Progress::add(&options.progress.bytes_planned, plan.bytes());
    Progress::add(&options.progress.objects_planned, plan.objects.len() as u64);

    let plan = plan.objects.into();
    let committer = Committer::new(options, log, ledger, config.partition, settings, plan)?;
    Ok(Conductor::new(options, begun, committer, summary))
}

async fn list(
    options: &RunOptions,
    ledger: &mut Ledger,
    log: Option<&Log>,
    settings: &Settings,
) -> anyhow::Result<Plan> {
    let known = Known { ledger, log, settings };
    let (archives, discover) = (&options.archives, &options.discover);
    Ok(plan(archives, discover, options.hours, &options.progress, known).await?)
}
