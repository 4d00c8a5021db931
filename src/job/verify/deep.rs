//! The deep pass: objects of the archive are read again, and what they give is held against the lake.
//!
//! In: the log's objects, all of them or a share of each commit's. Out: a [`DeepReport`], and findings
//! about rows. Objects are read with the widest settings of the log; those that a run would read again
//! anyway are left out, and those that have expired or changed are counted. Memory: a group of
//! [`GROUP_OBJECTS`] planned objects, the rows of one wave, one row group of the lake; on a pass over
//! everything one bit a row, and 16 bytes for each object that could not be read.

use std::sync::Arc;

use serde::Serialize;

use crate::archive::arrival::Arrival;
use crate::archive::read::{READER_GENERATION, ReadOptions};
use crate::job::budget::{Budget, threads};
use crate::job::plan::{Planned, chunks};
use crate::job::progress::Progress;
use crate::job::reading::{Reading, ReadingContext};
use crate::job::verify::VerifyOptions;
use crate::job::verify::compare::Comparer;
use crate::job::wave::Wave;
use crate::lake::ledger::{Ledger, Status};
use crate::lake::log::Log;
use crate::lake::record::{ObjectRecord, Record, Settings};
use crate::lake::verify::sources::read_commit;
use crate::lake::verify::{Finding, History};
use crate::store::ObjectMeta;

/// Objects that are planned together.
const GROUP_OBJECTS: usize = 20_000;

/// What reading objects again gave.
#[derive(Debug, Clone, Default, Serialize)]
pub struct DeepReport {
    /// Which share of the objects was asked for.
    pub share: f64,
    /// Objects that were asked for.
    pub objects: u64,
    /// Objects read to their end.
    pub read: u64,
    /// Objects that are gone or changed since: no damage.
    pub expired: u64,
    /// Objects that could not be read.
    pub failed: u64,
    /// Objects that the next run, or a redrive, reads again anyway.
    pub pending: u64,
    /// Objects of archives that were not given.
    pub elsewhere: u64,
    /// Rows that were found in the lake as their objects give them.
    pub rows: u64,
    /// Rejects that were found so.
    pub rejects: u64,
    /// Rows written by another version, whose columns were not compared; their ids were.
    pub rows_of_other_versions: u64,
    /// Rows of the lake whose objects could not be read; counted when all are asked for.
    pub rows_unverified: u64,
}

/// A chosen object: what to read, and the commit that names it.
pub(super) struct Chosen {
    pub(super) planned: Planned,
    pub(super) commit: u64,
}

/// Reads objects again and compares.
pub(super) async fn deep(
    options: &VerifyOptions,
    log: &Log,
    history: &History,
    share: f64,
) -> anyhow::Result<(DeepReport, Vec<Finding>)> {
    let mut report = DeepReport { share, ..DeepReport::default() };
    let mut comparer = Comparer::new(Arc::clone(&options.lake), history, share >= 1.0);
    let Some(settings) = history.settings else { return Ok((report, Vec::new())) };
    let settings = Settings {
        reader_generation: settings.reader_generation.max(READER_GENERATION),
        ..settings
    };
    let mut ledger = Ledger::default();
    // A log that cannot be folded has told of its damage; without it nothing can be compared.
    if log.look(&mut ledger).await.is_err() {
        return Ok((report, Vec::new()));
    }
    comparer.set_tombstones(ledger.tombstones());
    let context = context(options, &settings)?;
    let mut group: Vec<Chosen> = Vec::new();
    for number in 1..=history.version {
        if history.is_open(number) {
            continue;
        }
        let Some((record, objects)) = read_commit(log, number).await? else {
            comparer.know_not_all();
            continue;
        };
        for object in sample(&objects.consumed, share) {
            let mut choice = choose(options, &ledger, &settings, &record, object);
            // What an earlier reader rejected, this one may read; that is for a redrive to settle.
            if record.settings.reader_generation < READER_GENERATION
                && object.tally.by_reason.total() > 0
            {
                choice = Choice::Pending;
            }
            // Read again since, and named by a later commit.
            if matches!(choice, Choice::Read(_)) && history.reopened.contains_key(&number) {
                continue;
            }
            report.objects += 1;
            match choice {
                Choice::Read(planned) => {
                    Progress::add(&options.progress.objects_planned, 1);
                    Progress::add(&options.progress.bytes_planned, planned.meta.size);
                    group.push(Chosen { planned, commit: number });
                }
                Choice::Pending => {
                    report.pending += 1;
                    comparer.cannot_verify(object);
                }
                Choice::Elsewhere => {
                    report.elsewhere += 1;
                    comparer.cannot_verify(object);
                }
            }
        }
        if group.len() >= GROUP_OBJECTS {
            let group = std::mem::take(&mut group);
            read_group(options, &context, group, &mut comparer, &mut report).await?;
        }
    }
    read_group(options, &context, group, &mut comparer, &mut report).await?;
    let findings = comparer.finish(&mut report).await?;
    Ok((report, findings))
}

enum Choice {
    Read(Planned),
    /// A run of these settings would read it again.
    Pending,
    /// In no archive that was given.
    Elsewhere,
}

fn choose(
    options: &VerifyOptions,
    ledger: &Ledger,
    settings: &Settings,
    record: &Record,
    object: &ObjectRecord,
) -> Choice {
    let archive = options.archives.iter().position(|archive| {
        archive.store.base_uri() == object.archive && object.key.starts_with(&archive.prefix)
    });
    let Some(archive) = archive else { return Choice::Elsewhere };
    if ledger.status_after(record, object, settings) != Status::Consumed {
        return Choice::Pending;
    }
    let meta = ObjectMeta {
        key: object.key.clone(),
        size: object.size,
        etag: object.etag.clone(),
        last_modified_ms: object.last_modified_ms,
        archived: false,
        sha256: None,
    };
    // Rejects lie where they did: by the hour that the record tells, whatever the zone was.
    let hour_ms = object.arrived_hour_ms;
    Choice::Read(Planned { archive, meta, arrival: Arrival { at_ms: hour_ms, hour_ms } })
}

/// A share of a commit's objects, spread over all of them, and at least one. Where it begins is drawn,
/// so that one pass after the other sees all.
fn sample(objects: &[ObjectRecord], share: f64) -> impl Iterator<Item = &ObjectRecord> {
    let count = objects.len();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and the number of objects"
    )]
    let wanted = ((count as f64 * share).ceil() as usize).clamp(count.min(1), count);
    let start: f64 = rand::random();
    (0..wanted).filter_map(move |nth| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and the number of objects"
        )]
        let index = ((nth as f64 + start) * count as f64 / wanted as f64) as usize;
        objects.get(index.min(count.saturating_sub(1)))
    })
}

fn context(options: &VerifyOptions, settings: &Settings) -> anyhow::Result<ReadingContext> {
    let threads = threads(options.memory_bytes, options.threads);
    let document_bytes_max = usize::try_from(settings.limits.document_bytes_max)?;
    let budget = Budget::new(options.memory_bytes, threads, document_bytes_max);
    Ok(ReadingContext {
        archives: options.archives.clone().into(),
        options: Arc::new(ReadOptions {
            products: settings.products,
            object_bytes_max: settings.limits.object_bytes_max,
            document_bytes_max,
            counts: settings.limits.counts(),
        }),
        budget,
        fetches: options.fetches,
        pool: Arc::new(rayon::ThreadPoolBuilder::new().num_threads(threads).build()?),
    })
}

/// Reads a group of objects in the order of their arrival, so that a wave touches few partitions.
async fn read_group(
    options: &VerifyOptions,
    context: &ReadingContext,
    mut group: Vec<Chosen>,
    comparer: &mut Comparer<'_>,
    report: &mut DeepReport,
) -> anyhow::Result<()> {
    group.sort_by_key(|chosen| chosen.planned.arrival.at_ms);
    let plan: Arc<[Planned]> = group.iter().map(|chosen| chosen.planned.clone()).collect();
    let commits: Vec<u64> = group.iter().map(|chosen| chosen.commit).collect();
    let chunks = chunks(&plan, &context.budget, None);
    let mut reading = Reading::start(context.clone(), &plan, &chunks);
    let mut open = OpenWave::default();
    while let Some(mut chunk) = reading.next().await? {
        loop {
            let rest = chunk.rest.take();
            if chunk.broke_off {
                open.wave.break_off(chunk.failed.iter().map(|(index, _)| *index));
            }
            let objects = chunk.objects.clone();
            open.wave.add(chunk, &context.archives, &plan);
            let Some(rest) = rest else { break };
            if open.wave.bytes >= context.budget.piece_bytes {
                open.pieces.extend(objects);
                open.end(&plan, &commits, options, comparer, report).await?;
            }
            chunk = reading.resume(rest).await?;
        }
        if open.wave.bytes >= context.budget.wave_bytes {
            open.end(&plan, &commits, options, comparer, report).await?;
            open.pieces.clear();
        }
    }
    open.end(&plan, &commits, options, comparer, report).await
}

/// What was read and not compared yet.
#[derive(Default)]
struct OpenWave {
    wave: Wave,
    /// Objects of which some was compared before.
    pieces: Vec<usize>,
}

impl OpenWave {
    async fn end(
        &mut self,
        plan: &[Planned],
        commits: &[u64],
        options: &VerifyOptions,
        comparer: &mut Comparer<'_>,
        report: &mut DeepReport,
    ) -> anyhow::Result<()> {
        let broken = std::mem::take(&mut self.wave.broken);
        let mut wave = std::mem::take(&mut self.wave);
        self.wave.broken.clone_from(&broken);
        wave.broken = broken;
        report.read += wave.finished.len() as u64;
        for (index, error) in &wave.failed {
            comparer.failed(options, plan, *index, error, report);
        }
        let ended = wave.finished.len() + wave.failed.len();
        Progress::add(&options.progress.objects_read, ended as u64);
        let sizes = wave.finished.iter().filter_map(|(index, _)| plan.get(*index));
        Progress::add(&options.progress.bytes_read, sizes.map(|planned| planned.meta.size).sum());
        comparer.compare(options, &wave, &self.pieces, plan, commits, report).await
    }
}
