//! `run`: what the archives have and the lake lacks becomes commits, wave after wave.
//!
//! In: [`RunOptions`]. Out: a [`Summary`] whose sums hold. An `Err` means that the world did not play
//! along (or that the lake refuses what is asked); what was committed until then stays, and the run
//! may be repeated as it is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use serde::Serialize;

use crate::archive::discover::DiscoverOptions;
use crate::archive::read::{DEPTH_MAX, READER_GENERATION};
use crate::finding::identity::IDENTITY_VERSION;
use crate::finding::product::Products;
use crate::job::budget::{Budget, threads};
use crate::job::commit::{Committer, catch_up};
use crate::job::conductor::Conductor;
use crate::job::plan::{Archive, Hours, Known, Plan, Planned, plan};
use crate::job::progress::Progress;
use crate::job::summary::Summary;
use crate::lake::config::LakeConfig;
use crate::lake::layout::PartitionBy;
use crate::lake::ledger::Ledger;
use crate::lake::log::Log;
use crate::lake::record::{Limits, Settings};
use crate::store::Store;

/// What a run is to do.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// What to read; at least one, none inside another.
    pub archives: Vec<Archive>,
    /// What to fill; `None` only for a dry run to a lake that is not there yet.
    pub lake: Option<Arc<dyn Store>>,
    /// Whose findings become rows; `None` for what is in force in the lake, else Health.
    pub products: Option<Products>,
    /// The partition of a new lake; `None` for day.
    pub partition: Option<PartitionBy>,
    /// Which arrival hours to read.
    pub hours: Hours,
    /// What to skip, and how to read keys.
    pub discover: DiscoverOptions,
    /// Begin no further wave after this time.
    pub deadline: Option<Duration>,
    /// How many threads to read and write with.
    pub threads: usize,
    /// Bytes of memory to stay under; at least [`MEMORY_BYTES_MIN`](crate::job::budget::MEMORY_BYTES_MIN).
    pub memory_bytes: u64,
    /// End a wave after so many objects.
    pub wave_objects: Option<usize>,
    /// Objects of one task that are fetched at the same time.
    pub fetches: usize,
    /// Most decompressed bytes of one object.
    pub object_bytes_max: u64,
    /// Longest document in bytes; bounded by memory too.
    pub document_bytes_max: usize,
    /// Counters to move while working.
    pub progress: Arc<Progress>,
}

/// What was asked for makes no sense, and will make none when it is asked for again.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

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
    let begun = Instant::now();
    check_places(options)?;
    let Some(lake) = options.lake.clone() else { bail!("a run needs a lake") };
    let mut summary = Summary::default();
    let config =
        LakeConfig::open_or_create(lake.as_ref(), options.partition, IDENTITY_VERSION).await?;
    let log = Log::new(Arc::clone(&lake));
    let mut ledger = log.load().await?;
    catch_up(&log, &mut ledger).await?;
    let settings = settings(options, &ledger)?;
    summary.seconds.open = begun.elapsed().as_secs_f64();

    let listing = Instant::now();
    let plan = list(options, &mut ledger, Some(&log), &settings).await?;
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
    let mut conductor = Conductor::new(options, begun, committer, summary);
    // Boxed: what the waves keep between their steps would make the caller's future large.
    Box::pin(conductor.waves()).await?;
    conductor.finish().await
}

/// No archive may lie in another, nor a lake in an archive or the other way round.
pub(super) fn check_places(options: &RunOptions) -> anyhow::Result<()> {
    let mut places: Vec<(String, &str)> =
        options.archives.iter().map(|archive| (archive.uri_prefix(), "archive")).collect();
    places.extend(options.lake.iter().map(|lake| (lake.uri(""), "lake")));
    places.sort();
    for pair in places.windows(2) {
        if let [(outer, outer_kind), (inner, inner_kind)] = pair
            && inner.starts_with(outer.as_str())
        {
            let overlap = format!(
                "the {inner_kind} `{inner}` lies inside the {outer_kind} `{outer}`; archives and lake \
                 must not overlap"
            );
            bail!(UsageError(overlap));
        }
    }
    Ok(())
}

pub(super) fn budget(options: &RunOptions) -> Budget {
    let threads = threads(options.memory_bytes, options.threads);
    Budget::new(options.memory_bytes, threads, options.document_bytes_max)
}

pub(super) fn settings(options: &RunOptions, ledger: &Ledger) -> anyhow::Result<Settings> {
    let products = options.products.or(ledger.products()).unwrap_or(Products::Health);
    let budget = budget(options);
    let limits = Limits {
        object_bytes_max: options.object_bytes_max,
        document_bytes_max: budget.document_bytes as u64,
        depth_max: DEPTH_MAX,
    };
    let settings = Settings { products, limits, reader_generation: READER_GENERATION };
    ledger.admit(&settings)?;
    Ok(settings)
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
