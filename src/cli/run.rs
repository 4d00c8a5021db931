//! `healthtrail run`: the nightly job.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::builder::FalseyValueParser;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, ValueEnum};
use globset::{Glob, GlobSetBuilder};
use jiff::tz::TimeZone;

use super::ending::{self, MetricsArgs};
use super::options::{CatalogArgs, CountArgs, StoreArgs};
use super::progress::{self, ProgressMode};
use super::register::AfterRun;
use super::sources::sources;
use super::values::{self, printable, show_bytes, show_count};
use super::{Outcome, printer};
use crate::archive::discover::DiscoverOptions;
use crate::finding::product::Products;
use crate::job::budget::MEMORY_BYTES_MIN;
use crate::job::options::RunOptions;
use crate::job::plan::{Archive, Hours};
use crate::job::progress::Progress;
use crate::job::run::{self as job, DryRun};
use crate::job::summary::Summary;
use crate::lake::layout::PartitionBy;
use crate::store::open;
use crate::store::{Store, StoreErrorKind};

/// Read what is new in the archive, and add it to the lake
///
/// Lists the archive, reads every object that the lake does not have yet, and commits the new
/// findings as Parquet, wave after wave. It can be stopped at any moment and run again; running it
/// twice is the same as running it once.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    healthtrail run --from samples/archive --to lake\n  \
    healthtrail run --from s3://my-archive/health --to s3://my-lake/health\n  \
    healthtrail run --from firehose://health-events@us-east-1 --to s3://my-lake/health --dry-run\n  \
    healthtrail run --from s3://archive-a --from s3://archive-b --to s3://my-lake --products all")]
pub(super) struct RunArgs {
    /// Archive to read: a folder, `s3://bucket/prefix` or `firehose://STREAM[@REGION]`; give it once for each
    ///
    /// Of a Firehose stream all that it delivers is read, failed records too; `--dry-run` says where that is.
    /// A `*` at the end takes all keys that begin so, for a Firehose prefix without a slash at its end.
    /// The variable names several with commas between them.
    #[arg(long, value_name = "ARCHIVE", env = "HEALTHTRAIL_FROM", required = true)]
    pub(super) from: Vec<String>,

    /// Lake to fill: a folder or `s3://bucket/prefix`; made if it is not there
    #[arg(long, value_name = "LAKE", env = "HEALTHTRAIL_TO")]
    pub(super) to: String,

    /// Whose findings become rows [default: the lake's, else `health`]
    ///
    /// `all` reads those of every product. A lake that has been filled with `all` stays so; when a
    /// lake goes from `health` to `all`, objects that held other products are read again.
    #[arg(long, env = "HEALTHTRAIL_PRODUCTS")]
    products: Option<ProductsArg>,

    /// Partition of a new lake [default: `day`]
    ///
    /// Fixed when the lake is made. `month` is right below some 10,000 rows a day.
    #[arg(long, env = "HEALTHTRAIL_PARTITION")]
    partition: Option<PartitionArg>,

    /// First arrival hour to read: `2026-11-24` or `2026-11-24T03`, UTC
    #[arg(long, value_name = "HOUR", env = "HEALTHTRAIL_SINCE", value_parser = values::hour)]
    since: Option<i64>,

    /// First arrival hour to leave out again; a later run without it reads what was left
    #[arg(long, value_name = "HOUR", env = "HEALTHTRAIL_UNTIL", value_parser = values::hour)]
    until: Option<i64>,

    /// Keys to skip, below the archive's prefix: `*` stands for anything, slashes too
    #[arg(long, value_name = "GLOB", env = "HEALTHTRAIL_EXCLUDE", value_parser = values::globs)]
    exclude: Vec<Vec<Glob>>,

    /// Time zone of the times in the keys (Firehose's `CustomTimeZone`) [default: the stream's, else `UTC`]
    #[arg(long, value_name = "ZONE", env = "HEALTHTRAIL_ZONE", value_parser = values::zone)]
    pub(super) zone: Option<TimeZone>,

    /// End after the wave that is under way when this time has passed: `90m`, `2h`
    #[arg(long, value_name = "TIME", env = "HEALTHTRAIL_DEADLINE", value_parser = values::duration)]
    deadline: Option<Duration>,

    /// Say what would be read, and do nothing
    #[arg(long, env = "HEALTHTRAIL_DRY_RUN", value_parser = FalseyValueParser::new())]
    dry_run: bool,

    /// Threads that read and write [default: one for each processor]; at most one for each 32 MiB of
    /// `--memory`
    #[arg(long, value_name = "N", env = "HEALTHTRAIL_THREADS", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// Memory to stay under: at least `128MiB`
    #[arg(long, value_name = "SIZE", env = "HEALTHTRAIL_MEMORY", default_value = "1GiB", value_parser = memory)]
    memory: u64,

    /// End a wave after this many objects [default: by memory]
    #[arg(long, value_name = "N", env = "HEALTHTRAIL_WAVE_OBJECTS", value_parser = clap::value_parser!(u32).range(1..))]
    wave_objects: Option<u32>,

    /// Objects of one task that are fetched at the same time
    #[arg(long, value_name = "N", env = "HEALTHTRAIL_FETCHES", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    fetches: u16,

    /// Most decompressed bytes of one object; the rest of a larger one is a reject
    #[arg(long, value_name = "SIZE", env = "HEALTHTRAIL_OBJECT_BYTES_MAX", default_value = "1GiB", value_parser = values::size)]
    object_bytes_max: u64,

    /// Longest document; a longer one is a reject
    ///
    /// Small `--memory` allows less: 1 MiB at 128 MiB, some 14 MiB at 1 GiB. What was rejected for its
    /// length is read again by a run that allows more.
    #[arg(long, value_name = "SIZE", env = "HEALTHTRAIL_DOCUMENT_BYTES_MAX", default_value = "16MiB", value_parser = values::size)]
    document_bytes_max: u64,

    #[command(flatten)]
    counts: CountArgs,

    /// End with exit code 3 when this run rejects more than N
    #[arg(long, value_name = "N", env = "HEALTHTRAIL_REJECTS_MAX")]
    rejects_max: Option<u64>,

    /// Keep no bytes of what is rejected, only its reason and place
    ///
    /// Rejects are what no reader understood, so nobody knows what text they hold. Without their bytes the archive
    /// is the only place that has them; `redrive` reads them there.
    #[arg(long, env = "HEALTHTRAIL_REDACT", value_parser = FalseyValueParser::new())]
    redact: bool,

    /// Write the summary as JSON to this file; `-` for standard output
    #[arg(long, value_name = "FILE", env = "HEALTHTRAIL_SUMMARY")]
    summary: Option<PathBuf>,

    /// How to show progress
    #[arg(long, env = "HEALTHTRAIL_PROGRESS", default_value = "auto")]
    progress: ProgressMode,

    /// Register the lake's tables in this database of the Glue Data Catalog after the last commit
    ///
    /// As `healthtrail register` does, which see. Where that fails, the run ends with exit code 1: what it
    /// read is committed all the same, and the lake is safe.
    #[arg(
        long,
        value_name = "DATABASE",
        env = "HEALTHTRAIL_REGISTER",
        value_parser = values::database,
        help_heading = "Glue"
    )]
    register: Option<String>,

    #[command(flatten)]
    catalog: CatalogArgs,

    #[command(flatten)]
    metrics: MetricsArgs,

    #[command(flatten)]
    pub(super) stores: StoreArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum ProductsArg {
    /// AWS Health: native events, and Health's findings in Security Hub
    Health,
    /// Every product's findings
    All,
}

impl ProductsArg {
    pub(super) fn products(self) -> Products {
        match self {
            Self::Health => Products::Health,
            Self::All => Products::All,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PartitionArg {
    /// `dt=2026-11-24`
    Day,
    /// `month=2026-11`
    Month,
}

pub(super) fn memory(text: &str) -> Result<u64, String> {
    let bytes = values::size(text)?;
    if bytes < MEMORY_BYTES_MIN {
        return Err(format!("a run needs at least {}", show_bytes(MEMORY_BYTES_MIN)));
    }
    Ok(bytes)
}

impl RunArgs {
    /// Cuts what variables say that options say one by one.
    pub(super) fn cut_variables(&mut self, matches: &ArgMatches) {
        cut_variable(&mut self.from, matches);
    }

    /// What is wrong with options that are right one by one.
    pub(super) fn contradiction(&self) -> Option<&'static str> {
        let is_empty =
            matches!((self.since, self.until), (Some(since), Some(until)) if since >= until);
        is_empty.then_some("`--since` must lie before `--until`")
    }
}

/// A key may hold a comma, so only a variable, which cannot be given twice, is cut at them.
pub(super) fn cut_variable(from: &mut Vec<String>, matches: &ArgMatches) {
    if matches.value_source("from") == Some(ValueSource::EnvVariable) {
        let all = std::mem::take(from);
        let each = all.iter().flat_map(|from| from.split(','));
        *from = each.filter(|from| !from.is_empty()).map(str::to_owned).collect();
    }
}

/// Runs the command.
pub(super) async fn run(args: RunArgs) -> anyhow::Result<Outcome> {
    if !args.dry_run {
        args.metrics.begin(&args.to, args.summary.as_deref().is_some_and(is_standard_output))?;
    }
    if let Some(file) = &args.summary {
        check_writable(file)?;
    }
    let sources = sources(&args.from, &args.stores).await?;
    let zone = sources.zone(args.zone.as_ref())?;
    let archives = sources.archives.clone();
    let progress = Arc::new(Progress::default());
    ending::watch(&progress);
    let shown = progress::show(args.progress, Arc::clone(&progress));
    if args.dry_run {
        let lake = open(&args.to, &args.stores.lake(&args.to, false)).await;
        let lake = match lake {
            Err(error) if error.kind == StoreErrorKind::NotFound => None,
            opened => Some(opened?),
        };
        let options = options(&args, archives, lake, zone, Arc::clone(&progress))?;
        let dry_run = job::dry_run(&options).await?;
        drop(shown);
        sources.print(args.summary.as_deref().is_some_and(is_standard_output))?;
        return print_dry_run(&dry_run, args.summary.as_ref());
    }
    let register =
        AfterRun::new(args.register.as_ref(), &args.to, &args.catalog, &args.stores).await?;
    let lake = open(&args.to, &args.stores.lake(&args.to, true)).await?;
    let options = options(&args, archives, Some(Arc::clone(&lake)), zone, Arc::clone(&progress))?;
    sources.note_remarks();
    let summary = job::run(&options).await?;
    drop(shown);
    ending::of_run(&summary);
    print_summary(&summary, &args)?;
    if let Some(register) = register {
        register.register(lake, args.summary.as_deref().is_some_and(is_standard_output)).await?;
    }
    Ok(outcome(&summary, args.rejects_max))
}

/// `ARCHIVE/` is a folder or all keys below a prefix; `ARCHIVE*` all keys that begin so (Firehose puts
/// no slash after a prefix that has none).
pub(super) async fn archive(from: &str, stores: &StoreArgs) -> anyhow::Result<Archive> {
    let (base, prefix) = match from.strip_suffix('*').map(|start| (start, start.rsplit_once('/'))) {
        Some((_, Some((base, prefix)))) => (base, prefix),
        Some((start, None)) => (".", start),
        None => (from, ""),
    };
    let store = open(base, &stores.archive(base)).await?;
    Ok(Archive { store, prefix: prefix.to_owned() })
}

fn outcome(summary: &Summary, rejects_max: Option<u64>) -> Outcome {
    let newly_failed = summary.objects.failed > summary.objects.still_failing;
    let too_many = rejects_max.is_some_and(|most| summary.rejects() > most);
    if newly_failed || too_many { Outcome::Lost } else { Outcome::Done }
}

pub(super) fn options(
    args: &RunArgs,
    archives: Vec<Archive>,
    lake: Option<Arc<dyn Store>>,
    zone: TimeZone,
    progress: Arc<Progress>,
) -> anyhow::Result<RunOptions> {
    let mut exclude = GlobSetBuilder::new();
    for glob in args.exclude.iter().flatten() {
        exclude.add(glob.clone());
    }
    let threads = match args.threads {
        Some(threads) => usize::from(threads),
        None => std::thread::available_parallelism()?.get(),
    };
    Ok(RunOptions {
        archives,
        lake,
        products: args.products.map(ProductsArg::products),
        partition: args.partition.map(|partition| match partition {
            PartitionArg::Day => PartitionBy::Day,
            PartitionArg::Month => PartitionBy::Month,
        }),
        hours: Hours { since_ms: args.since, until_ms: args.until },
        discover: DiscoverOptions { exclude: exclude.build()?, zone },
        deadline: args.deadline,
        threads,
        memory_bytes: args.memory,
        wave_objects: args.wave_objects.map(|count| count as usize),
        fetches: usize::from(args.fetches),
        object_bytes_max: args.object_bytes_max,
        document_bytes_max: usize::try_from(args.document_bytes_max)?,
        counts: args.counts.limits(),
        redact: args.redact,
        progress,
    })
}

fn print_dry_run(dry_run: &DryRun, summary: Option<&PathBuf>) -> anyhow::Result<Outcome> {
    if let Some(file) = summary {
        write_json(file, dry_run)?;
    }
    if summary.is_some_and(|file| is_standard_output(file)) {
        return Ok(Outcome::Done);
    }
    printer::data(format_args!(
        "would read {} of {} objects, {}",
        show_count(dry_run.objects),
        show_count(dry_run.listed),
        show_bytes(dry_run.bytes)
    ))?;
    if let (Some(first), Some(last)) = (&dry_run.first_hour, &dry_run.last_hour) {
        printer::data(format_args!("  arrived  from {first} to {last}"))?;
    }
    printer::data(format_args!("  in lake  {}", show_count(dry_run.in_ledger)))?;
    printer::data(format_args!("  left     {}", show_count(dry_run.left)))?;
    printer::data(format_args!("  skipped  {}", named(&dry_run.skipped_by_reason)))?;
    Ok(Outcome::Done)
}

fn print_summary(summary: &Summary, args: &RunArgs) -> anyhow::Result<()> {
    if let Some(file) = &args.summary {
        write_json(file, summary)?;
    }
    if summary.objects.listed == 0 {
        printer::note("note: no object was listed; is `--from` right?");
    }
    for failed in summary.failed_objects.iter().filter(|failed| !failed.still_failing).take(10) {
        printer::object_failed(&failed.object, &failed.kind, &failed.message);
    }
    if args.summary.as_deref().is_some_and(is_standard_output) {
        return Ok(());
    }
    for line in describe(summary, &args.to) {
        printer::data(line)?;
    }
    Ok(())
}

/// The summary for a person.
pub(super) fn describe(summary: &Summary, lake: &str) -> Vec<String> {
    let count = |number: u64| show_count(number);
    let (o, b, d, f) = (&summary.objects, &summary.bytes, &summary.documents, &summary.findings);
    let mut lines = vec![
        format!(
            "{lake} is at version {}, after {} new {}",
            summary.version,
            count(summary.commits),
            if summary.commits == 1 { "commit" } else { "commits" }
        ),
        format!(
            "  objects    {} listed = {} in the lake before + {} skipped + {} read + {} failed + {} left",
            count(o.listed),
            count(o.in_ledger),
            count(o.skipped),
            count(o.read),
            count(o.failed),
            count(o.left)
        ),
        format!(
            "  documents  {} read = {} with findings + {} passed over + {} rejected",
            count(d.read),
            count(d.with_findings),
            count(d.passed_over),
            count(d.rejected)
        ),
        format!(
            "  findings   {} read = {} added + {} duplicates + {} passed over + {} rejected{}",
            count(f.read),
            count(f.added),
            count(f.duplicates),
            count(f.passed_over),
            count(f.rejected),
            forgotten(f.forgotten)
        ),
        format!(
            "  bytes      {} compressed, {} decompressed, {} rejected",
            show_bytes(b.compressed),
            show_bytes(b.decompressed),
            show_bytes(b.rejected)
        ),
        format!(
            "  parts      {} written, {}",
            count(summary.parts.written),
            show_bytes(summary.parts.bytes)
        ),
    ];
    let maps = [
        ("shapes", &summary.by_shape.0),
        ("passed", &summary.passed_over_by_kind.0),
        ("rejects", &summary.by_reason.0),
        ("unknown", &summary.unknown_fields.0),
        ("unreadable", &summary.unreadable_fields.0),
    ];
    for (name, map) in maps.into_iter().filter(|(_, map)| !map.is_empty()) {
        lines.push(format!("  {name:<10} {}", named(map)));
    }
    lines.extend(remarks(summary));
    let peak = summary
        .peak_memory_bytes
        .map_or_else(String::new, |peak| format!(", {} at most", show_bytes(peak)));
    lines.push(format!("  took       {:.1} s{peak}", summary.seconds.total));
    lines
}

/// What the lake may not hold any more; most lakes never forgot anything.
fn forgotten(count: u64) -> String {
    if count == 0 { String::new() } else { format!(" + {} forgotten", show_count(count)) }
}

/// What is not the same in every run.
fn remarks(summary: &Summary) -> Vec<String> {
    let mut lines = Vec::new();
    if summary.objects.skipped > 0 {
        lines.push(format!("  skipped    {}", named(&summary.skipped_by_reason)));
    }
    if let Some(redriven) = summary.rejects_by_state.get("redriven") {
        let redriven = show_count(*redriven);
        lines.push(format!(
            "  redriven   {redriven} rejects of before, read again, are none any more"
        ));
    }
    if summary.objects.still_failing > 0 {
        let failing = show_count(summary.objects.still_failing);
        lines.push(format!("  failing    {failing} objects fail as they did before"));
    }
    if summary.deadline_reached {
        lines.push("  deadline   reached; run again to read what is left".to_owned());
    }
    lines
}

/// The names of a map with their counts, the largest first.
fn named<Name: AsRef<str>>(map: &std::collections::BTreeMap<Name, u64>) -> String {
    const NAMES_MAX: usize = 12;
    let mut names: Vec<_> =
        map.iter().map(|(name, count)| (std::cmp::Reverse(*count), name.as_ref())).collect();
    names.sort_unstable();
    let more = names.len().saturating_sub(NAMES_MAX);
    let mut shown: Vec<String> = names
        .iter()
        .take(NAMES_MAX)
        .map(|(count, name)| format!("{} {}", printable(name), show_count(count.0)))
        .collect();
    if more > 0 {
        shown.push(format!("and {more} more"));
    }
    if shown.is_empty() { "none".to_owned() } else { shown.join(", ") }
}

fn is_standard_output(file: &std::path::Path) -> bool {
    file.as_os_str() == "-"
}

/// A summary that cannot be written is told before the work, not after it.
fn check_writable(file: &std::path::Path) -> anyhow::Result<()> {
    if is_standard_output(file) {
        return Ok(());
    }
    let opened = std::fs::OpenOptions::new().create(true).append(true).open(file);
    opened.map(drop).with_context(|| format!("opening the summary `{}`", file.display()))
}

fn write_json(file: &std::path::Path, value: &impl serde::Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    if is_standard_output(file) {
        return Ok(printer::data(text)?);
    }
    std::fs::write(file, text + "\n")
        .with_context(|| format!("writing the summary to `{}`", file.display()))
}
