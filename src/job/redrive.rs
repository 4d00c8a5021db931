//! `redrive`: what was rejected or passed over is read again by this version of the program.
//!
//! In: [`RedriveOptions`]. Out: commits that say what became of it, and [`Redriven`], whose sums hold.
//! Objects are read again whole, pinned to the etag that the lake knows, and committed with their new
//! tallies: their rows are compared with the lake as those of a run are, and rejects that do not come
//! back are settled. An object that is gone or was rewritten is read no more: its rejects are marked so
//! and keep their bytes; the documents among them that are whole are read from there. Doing it twice
//! is doing it once. Wrong is what is wrong with a run. Memory: that of a run, and some 300 bytes for
//! each object that is read again.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use anyhow::bail;
use futures::StreamExt as _;
use serde::Serialize;

use crate::archive::arrival::Arrival;
use crate::finding::identity::IDENTITY_VERSION;
use crate::job::commit::{Again, Committer, catch_up};
use crate::job::commit_rejects::{Mark, ObjectName};
use crate::job::conductor::Conductor;
use crate::job::options::{RunOptions, check_places, settings};
use crate::job::plan::{Archive, Planned};
use crate::job::progress::Progress;
use crate::job::salvage;
use crate::job::summary::{FAILED_OBJECTS_MAX, FailedObject, Summary};
use crate::lake::LakeError;
use crate::lake::config::LakeConfig;
use crate::lake::layout::CONFIG;
use crate::lake::ledger::Ledger;
use crate::lake::log::Log;
use crate::lake::record::{ObjectRecord, Record, Settings};
use crate::lake::reject_rows::{RejectFilter, RejectView, files_by_partition, visit_latest};
use crate::lake::reject_states::By;
use crate::lake::rejects::State;
use crate::store::{Store, StoreError, StoreErrorKind};

/// Objects that are looked for at once.
const HEADS: usize = 16;

/// What is read of each reject to find its object.
const COLUMNS: [&str; 10] = [
    "reject_id",
    "state",
    "state_number",
    "state_by",
    "arrived_hour",
    "stage",
    "reason",
    "source_object",
    "source_etag",
    "bytes_length",
];

/// What to read again.
#[derive(Debug, Clone)]
pub struct RedriveOptions {
    /// How to read, as for a run; which arrival hours is for `filter` to say.
    pub read: RunOptions,
    /// Which rejects; of objects that passed something over only place and hour count.
    pub filter: RejectFilter,
    /// Objects that passed over something of these kinds, in place of rejects.
    pub passed_over: Vec<String>,
    /// Also what this very version has read before with these settings.
    pub again: bool,
}

/// What became of the objects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RedrivenObjects {
    /// Those that hold what was asked for.
    pub matched: u64,
    /// In none of the archives.
    pub elsewhere: u64,
    /// Not there any more.
    pub gone: u64,
    /// Another object lies under the key.
    pub changed: u64,
    /// Of those gone or changed: read from the bytes that rejects had kept.
    pub salvaged: u64,
    /// Read again from the archive or from kept bytes, and committed.
    pub read: u64,
    /// Could not be read.
    pub failed: u64,
    /// Left for later at `--deadline`.
    pub left: u64,
}

/// What became of the rejects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RedrivenRejects {
    /// Those that were asked for; none when objects were.
    pub matched: u64,
    /// Rejects by the state that this redrive gave them.
    pub by_state: BTreeMap<&'static str, u64>,
}

/// Everything that a redrive has to say.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Redriven {
    /// Objects.
    pub objects: RedrivenObjects,
    /// Rejects.
    pub rejects: RedrivenRejects,
    /// What was read, as a run says it.
    pub read: Summary,
}

/// An object that holds what is asked for.
#[derive(Debug, Clone)]
struct Candidate {
    name: ObjectName,
    arrived_hour_ms: i64,
    /// The bytes that its rejects keep.
    bytes: u64,
}

/// What was found under the name of a candidate.
enum Found {
    Here(Planned),
    Missing(State),
    Failed(StoreError),
    Elsewhere,
}

/// Reads again what was rejected or passed over.
///
/// # Errors
/// As [`run`](crate::job::run::run).
pub async fn redrive(options: &RedriveOptions) -> anyhow::Result<Redriven> {
    let begun = Instant::now();
    check_places(&options.read)?;
    let Some(lake) = options.read.lake.clone() else { bail!("a redrive needs a lake") };
    let Some(config) = LakeConfig::open(lake.as_ref(), IDENTITY_VERSION).await? else {
        let message = format!("there is no lake at `{}`", lake.base_uri());
        let hint = "give the folder or prefix that `healthtrail run --to` filled";
        return Err(LakeError::refused(CONFIG, message, hint).into());
    };
    let log = Log::new(Arc::clone(&lake));
    let mut ledger = log.load().await?;
    catch_up(&log, &mut ledger).await?;
    let settings = settings(&options.read, &ledger)?;
    let mut redriven = Redriven::default();
    let candidates = loop {
        if !options.passed_over.is_empty() {
            break of_records(&log, &ledger, options, &settings).await?;
        }
        let (by, version) = (By::of(&settings), ledger.version());
        redriven.rejects.matched = 0;
        let matched = &mut redriven.rejects.matched;
        match of_rejects(lake.as_ref(), &ledger, options, &by, matched).await {
            Ok(candidates) => break candidates,
            Err(error) => {
                // Another may have taken a file out of the lake: then that is why.
                catch_up(&log, &mut ledger).await?;
                if ledger.version() == version {
                    return Err(error);
                }
            }
        }
    };
    redriven.objects.matched = candidates.len() as u64;
    let mut looked = look(&options.read.archives, candidates, &mut redriven).await;
    looked.plan.sort_unstable_by(|one, two| order(one).cmp(&order(two)));
    let progress = &options.read.progress;
    Progress::add(&progress.objects_planned, looked.plan.len() as u64);
    Progress::add(&progress.bytes_planned, looked.plan.iter().map(|found| found.meta.size).sum());

    let mut summary = Summary::default();
    summary.objects.listed = looked.plan.len() as u64 + redriven.objects.failed;
    summary.objects.failed = redriven.objects.failed;
    summary.failed_objects = looked.failed;
    let plan = looked.plan.into();
    let mut committer =
        Committer::new(&options.read, log, ledger, config.partition, settings, plan)?;
    let record_unchanged = !options.passed_over.is_empty();
    committer.again = Some(Again { record_unchanged, salvaged: HashMap::new() });
    let mut conductor = Conductor::new(&options.read, begun, committer, summary);
    Box::pin(conductor.waves()).await?;
    if options.passed_over.is_empty() {
        redriven.objects.salvaged = settle_missing(&mut conductor, looked.missing).await?;
    }
    redriven.read = conductor.finish().await?;
    let read = &redriven.read;
    redriven.rejects.by_state.clone_from(&read.rejects_by_state);
    redriven.objects.read = read.objects.read;
    redriven.objects.failed = read.objects.failed;
    redriven.objects.left = read.objects.left;
    Ok(redriven)
}

fn order(planned: &Planned) -> (i64, usize, &str) {
    (planned.arrival.at_ms, planned.archive, planned.meta.key.as_str())
}

/// The objects of rejects that are asked for.
async fn of_rejects(
    lake: &dyn Store,
    ledger: &Ledger,
    options: &RedriveOptions,
    by: &By,
    matched: &mut u64,
) -> anyhow::Result<Vec<Candidate>> {
    let mut all = Vec::new();
    for (_, files) in files_by_partition(ledger, &options.filter.times()) {
        // All objects of the partition with something that waits; those of the rejects asked for.
        let mut objects: HashMap<ObjectName, (Candidate, bool)> = HashMap::new();
        visit_latest(lake, &files, &COLUMNS, |row| {
            if !row.state.waits() {
                return;
            }
            let name: ObjectName = (row.object.into(), row.etag.into());
            let (candidate, is_wanted) = objects.entry(name.clone()).or_insert_with(|| {
                (Candidate { name, arrived_hour_ms: row.arrived_hour_ms, bytes: 0 }, false)
            });
            candidate.bytes += row.bytes_length.min(1 << 20);
            if options.filter.takes(row) && is_due(row, by, options.again) {
                *is_wanted = true;
                *matched += 1;
            }
        })
        .await?;
        let wanted = objects.into_values().filter(|(_, is_wanted)| *is_wanted);
        all.extend(wanted.map(|(candidate, _)| candidate));
    }
    Ok(all)
}

/// Whether to try a reject that waits: unless this version has said its state, with these settings.
fn is_due(row: &RejectView<'_>, by: &By, again: bool) -> bool {
    match row.state {
        State::Open | State::StillFailing | State::ObjectGone | State::ObjectChanged => {
            again || row.state_by != Some(by.for_reason(row.reason))
        }
        State::Redriven | State::Other => false,
    }
}

/// The objects whose newest entry in the log passed over something that is asked for.
async fn of_records(
    log: &Log,
    ledger: &Ledger,
    options: &RedriveOptions,
    settings: &Settings,
) -> anyhow::Result<Vec<Candidate>> {
    let mut all: HashMap<ObjectName, Candidate> = HashMap::new();
    let is_done = |record: &Record| {
        let program = concat!("healthtrail ", env!("CARGO_PKG_VERSION"));
        !options.again && record.program == program && record.settings == *settings
    };
    log.visit_records(ledger.version(), |record, objects| {
        let Some(objects) = objects else { return };
        for object in &objects.consumed {
            let ObjectRecord { archive, key, etag, arrived_hour_ms, tally, .. } = object;
            let name = name(archive, key, etag);
            let passed_over = &tally.passed_over_by_kind.0;
            let has = options.passed_over.iter().any(|kind| passed_over.contains_key(kind));
            if has && !is_done(record) && options.filter.takes_object(&name.0, *arrived_hour_ms) {
                let arrived_hour_ms = *arrived_hour_ms;
                all.insert(name.clone(), Candidate { name, arrived_hour_ms, bytes: 0 });
            } else {
                all.remove(&name);
            }
        }
        for object in &objects.accepted {
            all.remove(&name(&object.archive, &object.key, &object.etag));
        }
    })
    .await?;
    Ok(all.into_values().collect())
}

fn name(archive: &str, key: &str, etag: &str) -> ObjectName {
    (format!("{archive}/{key}").into(), etag.into())
}

/// What [`look`] found.
#[derive(Default)]
struct Looked {
    plan: Vec<Planned>,
    failed: Vec<FailedObject>,
    missing: Vec<Mark>,
}

/// Looks for each object in its archive, and counts what is not there.
async fn look(archives: &[Archive], candidates: Vec<Candidate>, redriven: &mut Redriven) -> Looked {
    let mut looked = Looked::default();
    let mut found = futures::stream::iter(candidates)
        .map(|candidate| async move { (find(archives, &candidate).await, candidate) })
        .buffer_unordered(HEADS);
    let counts = &mut redriven.objects;
    while let Some((found, candidate)) = found.next().await {
        match found {
            Found::Here(planned) => looked.plan.push(planned),
            Found::Elsewhere => counts.elsewhere += 1,
            Found::Failed(error) => {
                counts.failed += 1;
                if looked.failed.len() < FAILED_OBJECTS_MAX {
                    looked.failed.push(FailedObject {
                        object: candidate.name.0.to_string(),
                        kind: crate::job::commit_record::kind_name(error.kind).to_owned(),
                        message: error.to_string(),
                        still_failing: false,
                    });
                }
            }
            Found::Missing(state) => {
                let is_gone = state == State::ObjectGone;
                *(if is_gone { &mut counts.gone } else { &mut counts.changed }) += 1;
                looked.missing.push(Mark {
                    object: candidate.name,
                    arrived_hour_ms: candidate.arrived_hour_ms,
                    state,
                    except: HashSet::new(),
                    bytes: candidate.bytes,
                });
            }
        }
    }
    looked
}

async fn find(archives: &[Archive], candidate: &Candidate) -> Found {
    let (uri, etag) = &candidate.name;
    let Some((index, key)) = salvage::place_of(archives, uri) else { return Found::Elsewhere };
    let Some(archive) = archives.get(index) else { return Found::Elsewhere };
    match archive.store.head(key).await {
        Ok(None) => Found::Missing(State::ObjectGone),
        Ok(Some(meta)) if meta.etag != etag.as_ref() => Found::Missing(State::ObjectChanged),
        Ok(Some(meta)) => {
            let hour_ms = candidate.arrived_hour_ms;
            Found::Here(Planned {
                archive: index,
                meta,
                arrival: Arrival { at_ms: hour_ms, hour_ms },
            })
        }
        Err(error) if error.kind == StoreErrorKind::NotFound => Found::Missing(State::ObjectGone),
        Err(error) => Found::Failed(error),
    }
}

/// Reads what rejects kept of objects that are gone or changed, and marks the other rejects of these, as
/// many objects at a time as memory has room for. Gives how many objects gave something to read.
async fn settle_missing(conductor: &mut Conductor, mut missing: Vec<Mark>) -> anyhow::Result<u64> {
    missing.sort_unstable_by(|one, two| {
        (one.arrived_hour_ms, &one.object).cmp(&(two.arrived_hour_ms, &two.object))
    });
    // They are held beside a wave.
    let bytes_max = conductor.committer.budget.wave_bytes as u64 / 4;
    let archives = Arc::clone(&conductor.committer.archives);
    let mut salvaged = 0;
    for range in rounds(&missing, bytes_max) {
        let Some(marks) = missing.get_mut(range) else { continue };
        let kept = conductor.committer.kept_documents(marks).await?;
        let round = salvage::plan(&archives, kept, marks);
        if !round.plan.is_empty() {
            salvaged += round.plan.len() as u64;
            conductor.replan(round);
            Box::pin(conductor.waves()).await?;
        }
        let report = conductor.committer.mark(marks).await?;
        conductor.take(report)?;
    }
    Ok(salvaged)
}

/// Stretches of objects whose rejects keep at most so many bytes; a larger one stands alone.
fn rounds(marks: &[Mark], bytes_max: u64) -> Vec<Range<usize>> {
    const OBJECTS_MAX: usize = 10_000;
    let mut rounds = Vec::new();
    let (mut start, mut bytes) = (0, 0_u64);
    for (index, mark) in marks.iter().enumerate() {
        let is_full = bytes.saturating_add(mark.bytes) > bytes_max || index - start >= OBJECTS_MAX;
        if is_full && index > start {
            rounds.push(start..index);
            (start, bytes) = (index, 0);
        }
        bytes = bytes.saturating_add(mark.bytes);
    }
    if start < marks.len() {
        rounds.push(start..marks.len());
    }
    rounds
}
