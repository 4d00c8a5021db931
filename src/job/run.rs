//! `run`: what the archives have and the lake lacks becomes commits, wave after wave.
//!
//! In: [`RunOptions`]. Out: a [`Summary`] whose sums hold. An `Err` means that the world did not play
//! along (or that the lake refuses what is asked); what was committed until then stays, and the run
//! may be repeated as it is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use serde::Serialize;
use std::collections::BTreeMap;

use crate::archive::discover::DiscoverOptions;
use crate::archive::read::{DEPTH_MAX, READER_GENERATION, ReadOptions};
use crate::finding::identity::IDENTITY_VERSION;
use crate::finding::product::Products;
use crate::job::budget::{Budget, threads};
use crate::job::commit::{Committer, Report, Settled, Staged};
use crate::job::memory;
use crate::job::plan::{Archive, Hours, Plan, Planned, chunks, plan};
use crate::job::progress::Progress;
use crate::job::reading::{ChunkRows, Reading, ReadingContext};
use crate::job::summary::{FAILED_OBJECTS_MAX, FailedObject, Summary};
use crate::job::wave::Wave;
use crate::lake::config::LakeConfig;
use crate::lake::layout::{PartitionBy, Table};
use crate::lake::ledger::{Ledger, Status};
use crate::lake::log::{Log, random_id};
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
    let mut ledger = Ledger::default();
    if let Some(lake) = &options.lake
        && LakeConfig::open(lake.as_ref(), IDENTITY_VERSION).await?.is_some()
    {
        let log = Log::new(Arc::clone(lake));
        ledger = log.load().await?;
        log.look(&mut ledger).await?;
    }
    let settings = settings(options, &ledger)?;
    let plan = list(options, &ledger, &settings).await?;
    let hour = |planned: Option<&Planned>| {
        let at = jiff::Timestamp::from_millisecond(planned?.arrival.hour_ms).ok()?;
        Some(at.to_string())
    };
    Ok(DryRun {
        listed: plan.listed,
        in_ledger: plan.in_ledger,
        left: plan.outside_hours,
        objects: plan.objects.len() as u64,
        bytes: plan.bytes(),
        first_hour: hour(plan.objects.first()),
        last_hour: hour(plan.objects.last()),
        skipped_by_reason: plan.skipped,
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
    log.catch_up(&mut ledger).await?;
    let settings = settings(options, &ledger)?;
    summary.seconds.open = begun.elapsed().as_secs_f64();

    let listing = Instant::now();
    let plan = list(options, &ledger, &settings).await?;
    summary.seconds.list = listing.elapsed().as_secs_f64();
    summary.objects.listed = plan.listed;
    summary.objects.in_ledger = plan.in_ledger;
    summary.objects.left = plan.outside_hours;
    summary.objects.skipped = plan.skipped.values().sum();
    summary.skipped_by_reason.clone_from(&plan.skipped);
    Progress::add(&options.progress.bytes_planned, plan.bytes());
    Progress::add(&options.progress.objects_planned, plan.objects.len() as u64);

    let threads = threads(options.memory_bytes, options.threads);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let committer = Committer {
        lake: Arc::clone(&lake),
        log,
        ledger,
        partition: config.partition,
        settings,
        run: random_id(),
        started_at: jiff::Timestamp::now().to_string(),
        pool: Arc::new(pool),
        budget: budget(options),
        archives: options.archives.clone().into(),
        plan: plan.objects.into(),
    };
    let settled = vec![false; committer.plan.len()];
    let mut conductor = Conductor { options, begun, committer, summary, settled };
    // Boxed: what the waves keep between their steps would make the caller's future large.
    Box::pin(conductor.waves()).await?;
    conductor.finish().await
}

/// No archive may lie in another, nor a lake in an archive or the other way round.
fn check_places(options: &RunOptions) -> anyhow::Result<()> {
    let mut places: Vec<(String, &str)> =
        options.archives.iter().map(|archive| (archive.uri_prefix(), "archive")).collect();
    places.extend(options.lake.iter().map(|lake| (lake.uri(""), "lake")));
    places.sort();
    for pair in places.windows(2) {
        if let [(outer, outer_kind), (inner, inner_kind)] = pair
            && inner.starts_with(outer.as_str())
        {
            bail!(
                "the {inner_kind} `{inner}` lies inside the {outer_kind} `{outer}`; archives and lake \
                 must not overlap"
            );
        }
    }
    Ok(())
}

fn budget(options: &RunOptions) -> Budget {
    let threads = threads(options.memory_bytes, options.threads);
    Budget::new(options.memory_bytes, threads, options.document_bytes_max)
}

fn settings(options: &RunOptions, ledger: &Ledger) -> anyhow::Result<Settings> {
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

async fn list(options: &RunOptions, ledger: &Ledger, settings: &Settings) -> anyhow::Result<Plan> {
    let is_known = |archive: usize, meta: &crate::store::ObjectMeta| {
        options.archives.get(archive).is_some_and(|archive| {
            let base = archive.store.base_uri();
            ledger.status(base, &meta.key, &meta.etag, settings) == Status::Consumed
        })
    };
    Ok(plan(&options.archives, &options.discover, options.hours, &options.progress, is_known)
        .await?)
}

/// Moves a run from wave to wave.
struct Conductor<'a> {
    options: &'a RunOptions,
    begun: Instant,
    committer: Committer,
    summary: Summary,
    /// For each place in the plan whether its object is settled.
    settled: Vec<bool>,
}

impl Conductor<'_> {
    /// Reads the plan to its end or to the deadline.
    async fn waves(&mut self) -> anyhow::Result<()> {
        let plan = Arc::clone(&self.committer.plan);
        let chunks = chunks(&plan, &self.committer.budget, self.options.wave_objects);
        let mut reading = Reading::start(self.reading_context(), &plan, &chunks);
        let mut wave = Wave::default();
        while let Some(mut chunk) = self.next(&mut reading).await? {
            let rest = chunk.rest.take();
            if rest.is_some() && !wave.is_empty() {
                // What does not fit into one task's bounds is a wave of its own.
                self.commit(std::mem::take(&mut wave)).await?;
                if self.past_deadline() {
                    break;
                }
            }
            chunk.rest = rest;
            if chunk.rest.is_some() {
                self.large(&reading, chunk).await?;
            } else {
                wave.add(chunk, &self.committer.archives, &plan);
                if !self.is_full(&wave) {
                    continue;
                }
                self.commit(std::mem::take(&mut wave)).await?;
            }
            if self.past_deadline() {
                break;
            }
        }
        if !wave.is_empty() {
            self.commit(wave).await?;
        }
        Ok(())
    }

    fn reading_context(&self) -> ReadingContext {
        let read = ReadOptions {
            products: self.committer.settings.products,
            object_bytes_max: self.options.object_bytes_max,
            document_bytes_max: self.committer.budget.document_bytes,
        };
        ReadingContext {
            archives: Arc::clone(&self.committer.archives),
            options: Arc::new(read),
            budget: self.committer.budget,
            fetches: self.options.fetches,
            pool: Arc::clone(&self.committer.pool),
        }
    }

    async fn next(&mut self, reading: &mut Reading) -> anyhow::Result<Option<ChunkRows>> {
        let waiting = Instant::now();
        let chunk = reading.next().await?;
        self.summary.seconds.read += waiting.elapsed().as_secs_f64();
        if let Some(chunk) = &chunk {
            self.show(chunk);
        }
        Ok(chunk)
    }

    fn show(&self, chunk: &ChunkRows) {
        let progress = &self.options.progress;
        let read = chunk.finished.iter().map(|(index, _)| *index);
        let failed = chunk.failed.iter().map(|(index, _)| *index);
        let ended: Vec<usize> = read.chain(failed).collect();
        let size =
            |index: &usize| self.committer.plan.get(*index).map_or(0, |planned| planned.meta.size);
        Progress::add(&progress.objects_read, ended.len() as u64);
        Progress::add(&progress.bytes_read, ended.iter().map(size).sum());
        Progress::add(&progress.rows_read, chunk.rows.keys.len() as u64);
    }

    /// Where a wave ends depends on what its objects hold, in plan order, and on nothing else.
    fn is_full(&self, wave: &Wave) -> bool {
        wave.bytes >= self.committer.budget.wave_bytes
            || self.options.wave_objects.is_some_and(|most| wave.objects() >= most)
    }

    fn past_deadline(&mut self) -> bool {
        let past = self.options.deadline.is_some_and(|deadline| self.begun.elapsed() >= deadline);
        self.summary.deadline_reached |= past;
        past
    }

    /// Reads a chunk that is larger than one task's bounds: piece after piece, each sorted and staged
    /// when the wave is full, and all of them in one commit.
    async fn large(&mut self, reading: &Reading, first: ChunkRows) -> anyhow::Result<()> {
        let plan = Arc::clone(&self.committer.plan);
        let mut next = Some(first);
        let mut again = Vec::new();
        let (mut wave, mut staged) = (Wave::default(), Staged::default());
        loop {
            while let Some(mut chunk) = next.take() {
                if again.is_empty() {
                    again = chunk
                        .objects
                        .iter()
                        .filter_map(|index| Some((*index, plan.get(*index)?.clone())))
                        .collect();
                }
                let rest = chunk.rest.take();
                if chunk.broke_off {
                    // Nothing of an object that could not be read to its end may stay.
                    (wave, staged) = (Wave::default(), Staged::default());
                }
                wave.add(chunk, &self.committer.archives, &plan);
                let Some(rest) = rest else { break };
                if wave.bytes >= self.committer.budget.wave_bytes
                    && !self.committer.stage_piece(&mut wave, &mut staged).await?
                {
                    break;
                }
                let chunk = reading.resume(rest).await?;
                self.show(&chunk);
                next = Some(chunk);
            }
            match self
                .committer
                .commit(std::mem::take(&mut wave), std::mem::take(&mut staged))
                .await?
            {
                Settled::Done(report) => return self.take(*report),
                Settled::Replan => next = Some(reading.again(again.clone()).await?),
            }
        }
    }

    async fn commit(&mut self, wave: Wave) -> anyhow::Result<()> {
        match self.committer.commit(wave, Staged::default()).await? {
            Settled::Done(report) => self.take(*report),
            Settled::Replan => {
                Err(anyhow!("a wave without staged pieces was to be planned again, a defect"))
            }
        }
    }

    /// Adds a commit to the summary.
    fn take(&mut self, report: Report) -> anyhow::Result<()> {
        let summary = &mut self.summary;
        for tally in &report.consumed {
            crate::archive::read::check(tally)
                .map_err(|broken| anyhow!("sums of an object differ, a defect: {broken}"))?;
            summary.add_tally(tally);
        }
        for index in &report.settled {
            if let Some(settled) = self.settled.get_mut(*index) {
                *settled = true;
            }
        }
        summary.objects.read += report.consumed.len() as u64;
        summary.objects.in_ledger += report.consumed_elsewhere;
        summary.objects.failed += report.failed.len() as u64;
        for (failed, still_failing) in report.failed {
            summary.objects.still_failing += u64::from(still_failing);
            if summary.failed_objects.len() < FAILED_OBJECTS_MAX {
                let object = format!("{}/{}", failed.archive, failed.key);
                let (kind, message) = (failed.kind, failed.message);
                summary.failed_objects.push(FailedObject { object, kind, message, still_failing });
            }
        }
        summary.findings.duplicates += report.duplicates;
        summary.rejects_known += report.rejects_known;
        for file in &report.files {
            if file.table == Table::Findings {
                summary.findings.added += file.rows;
            }
            summary.parts.written += 1;
            summary.parts.bytes += file.bytes;
        }
        summary.commits += u64::from(report.committed);
        Progress::add(&self.options.progress.commits, u64::from(report.committed));
        summary.publish_ms = summary.publish_ms.max(report.publish_ms);
        let [dedupe, stage, publish] = report.seconds;
        summary.seconds.dedupe += dedupe;
        summary.seconds.stage += stage;
        summary.seconds.publish += publish;
        Ok(())
    }

    /// Tidies up, checks the sums, and ends the run.
    async fn finish(mut self) -> anyhow::Result<Summary> {
        let committer = &mut self.committer;
        committer.log.checkpoint(&mut committer.ledger).await?;
        committer.log.sweep(committer.ledger.version()).await?;
        let summary = &mut self.summary;
        summary.objects.left += self.settled.iter().filter(|settled| !**settled).count() as u64;
        summary.deadline_reached &= self.settled.contains(&false);
        summary.version = committer.ledger.version();
        let stores = self.options.archives.iter().map(|archive| archive.store.retries());
        summary.retries = stores.sum::<u64>() + committer.lake.retries();
        summary.peak_memory_bytes = memory::peak_bytes();
        summary.seconds.total = self.begun.elapsed().as_secs_f64();
        summary.check().map_err(|broken| {
            anyhow!(
                "the sums of this run do not hold, which is a defect of healthtrail: {}",
                broken.join("; ")
            )
        })?;
        Ok(self.summary)
    }
}
