//! `healthtrail redrive`: what was rejected or passed over, read again by this version.

use std::sync::Arc;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args};
use globset::GlobSet;
use jiff::tz::TimeZone;

use super::ending::{self, MetricsArgs};
use super::options::{CountArgs, StoreArgs};
use super::progress::{self, ProgressMode};
use super::rejects::FilterArgs;
use super::run::{ProductsArg, memory};
use super::sources::sources;
use super::values::{self, printable, show_count};
use super::{Outcome, printer};
use crate::archive::discover::DiscoverOptions;
use crate::job::options::RunOptions;
use crate::job::plan::Hours;
use crate::job::progress::Progress;
use crate::job::redrive::{RedriveOptions, Redriven, redrive as job};
use crate::store::open;

/// Read again what was rejected or passed over, and commit what now succeeds
///
/// Every object with an open reject is read again whole, with the etag that the lake knows. What is new
/// becomes rows; a reject that does not come back is `redriven`, and one that does is `still_failing`
/// with this program's version, and is not tried again by the same version with the same settings.
/// The rejects of an object that is gone or was rewritten are marked so; documents that they have kept
/// whole are read from there. It can be stopped at any moment, run beside `run`, and run again:
/// running it twice is the same as running it once. Give it the limits that `run` has, or wider ones.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 done; 1 failed, and safe to run again; 2 wrong usage; 3 done, but objects \
    could not be read, or are gone.\n\n\
    Examples:\n  \
    healthtrail redrive --lake lake --from samples/archive\n  \
    healthtrail redrive --lake s3://my-lake/health --from s3://my-archive/health --reason no_identity\n  \
    healthtrail redrive --lake lake --from archive --passed-over unrecognised"
)]
pub(super) struct RedriveArgs {
    /// Lake to read and add to: a folder or `s3://bucket/prefix`
    #[arg(long, value_name = "LAKE", env = "HEALTHTRAIL_LAKE")]
    lake: String,

    /// Archive to read, as for `run`; give it once for each archive
    ///
    /// The variable names several with commas between them.
    #[arg(long, value_name = "ARCHIVE", env = "HEALTHTRAIL_FROM", required = true)]
    from: Vec<String>,

    #[command(flatten)]
    filter: FilterArgs,

    /// Read objects again that passed over something of this kind, in place of rejects
    ///
    /// `unrecognised`, `health_api`, `other_product`, or any other that the summary of `run` counts as
    /// passed over; give it once for each, or with commas.
    #[arg(long, value_name = "KIND", env = "HEALTHTRAIL_PASSED_OVER", value_delimiter = ',')]
    passed_over: Vec<String>,

    /// Also what this version has read before with these settings
    #[arg(long, env = "HEALTHTRAIL_AGAIN", value_parser = FalseyValueParser::new())]
    again: bool,

    /// Whose findings become rows [default: the lake's]
    #[arg(long, env = "HEALTHTRAIL_PRODUCTS")]
    products: Option<ProductsArg>,

    /// End after the wave that is under way when this time has passed: `90m`, `2h`
    #[arg(long, value_name = "TIME", env = "HEALTHTRAIL_DEADLINE", value_parser = values::duration)]
    deadline: Option<Duration>,

    /// Threads that read and write [default: one for each processor]
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
    #[arg(long, value_name = "SIZE", env = "HEALTHTRAIL_DOCUMENT_BYTES_MAX", default_value = "16MiB", value_parser = values::size)]
    document_bytes_max: u64,

    #[command(flatten)]
    counts: CountArgs,
    /// Keep no bytes of what is still rejected, as for `run`
    #[arg(long, env = "HEALTHTRAIL_REDACT", value_parser = FalseyValueParser::new())]
    redact: bool,

    /// Print what came of it as JSON
    #[arg(long, env = "HEALTHTRAIL_REDRIVE_JSON", value_parser = FalseyValueParser::new())]
    json: bool,

    /// How to show progress
    #[arg(long, env = "HEALTHTRAIL_PROGRESS", default_value = "auto")]
    progress: ProgressMode,

    #[command(flatten)]
    metrics: MetricsArgs,

    #[command(flatten)]
    stores: StoreArgs,
}

impl RedriveArgs {
    /// A key may hold a comma, so only a variable, which cannot be given twice, is cut at them.
    pub(super) fn cut_variables(&mut self, matches: &ArgMatches) {
        if matches.value_source("from") == Some(ValueSource::EnvVariable) {
            let all = std::mem::take(&mut self.from);
            let each = all.iter().flat_map(|from| from.split(','));
            self.from = each.filter(|from| !from.is_empty()).map(str::to_owned).collect();
        }
    }

    /// What is wrong with options that are right one by one.
    pub(super) fn contradiction(&self) -> Option<&'static str> {
        let is_both = !self.passed_over.is_empty() && self.filter.is_of_rejects();
        is_both
            .then_some("`--passed-over` is about objects; `--reason` and `--stage` choose rejects")
    }
}

/// Runs the command.
pub(super) async fn redrive(args: RedriveArgs) -> anyhow::Result<Outcome> {
    args.metrics.begin(&args.lake, args.json)?;
    let archives = sources(&args.from, &args.stores).await?.archives;
    let progress = Arc::new(Progress::default());
    ending::watch(&progress);
    let threads = match args.threads {
        Some(threads) => usize::from(threads),
        None => std::thread::available_parallelism()?.get(),
    };
    let read = RunOptions {
        archives,
        lake: Some(open(&args.lake, &args.stores.lake(&args.lake, false)).await?),
        products: args.products.map(ProductsArg::products),
        partition: None,
        hours: Hours { since_ms: None, until_ms: None },
        discover: DiscoverOptions { exclude: GlobSet::empty(), zone: TimeZone::UTC },
        deadline: args.deadline,
        threads,
        memory_bytes: args.memory,
        wave_objects: args.wave_objects.map(|count| count as usize),
        fetches: usize::from(args.fetches),
        object_bytes_max: args.object_bytes_max,
        document_bytes_max: usize::try_from(args.document_bytes_max)?,
        counts: args.counts.limits(),
        redact: args.redact,
        progress: Arc::clone(&progress),
    };
    let options = RedriveOptions {
        read,
        filter: args.filter.filter(),
        passed_over: args.passed_over,
        again: args.again,
    };
    let shown = progress::show(args.progress, progress);
    let redriven = job(&options).await?;
    drop(shown);
    ending::of_redrive(&redriven);
    for failed in redriven.read.failed_objects.iter().take(10) {
        printer::object_failed(&failed.object, &failed.kind, &failed.message);
    }
    if args.json {
        printer::data(serde_json::to_string_pretty(&redriven)?)?;
    } else {
        for line in describe(&redriven, &args.lake) {
            printer::data(line)?;
        }
    }
    let objects = &redriven.objects;
    let lost = objects.failed + objects.gone + objects.changed > 0;
    Ok(if lost { Outcome::Lost } else { Outcome::Done })
}

fn describe(redriven: &Redriven, lake: &str) -> Vec<String> {
    let (objects, read) = (&redriven.objects, &redriven.read);
    let commits = if read.commits == 1 { "commit" } else { "commits" };
    let mut lines = vec![format!(
        "{} is at version {}, after {} new {commits}",
        printable(lake),
        read.version,
        show_count(read.commits)
    )];
    let counts = [
        ("read", objects.read),
        ("gone", objects.gone),
        ("changed", objects.changed),
        ("failed", objects.failed),
        ("in no archive given", objects.elsewhere),
        ("left", objects.left),
    ];
    let counts = counts.iter().filter(|(_, count)| *count > 0);
    let counts: Vec<String> =
        counts.map(|(name, count)| format!("{} {name}", show_count(*count))).collect();
    let counts = if counts.is_empty() { String::new() } else { format!(": {}", counts.join(", ")) };
    let of = match redriven.rejects.matched {
        0 => String::new(),
        1 => "1 reject in ".to_owned(),
        matched => format!("{} rejects in ", show_count(matched)),
    };
    let noun = if objects.matched == 1 { "object" } else { "objects" };
    lines.push(format!("  matched    {of}{} {noun}{counts}", show_count(objects.matched)));
    if objects.salvaged > 0 {
        let salvaged = show_count(objects.salvaged);
        lines
            .push(format!("  salvaged   {salvaged} objects, from the bytes that rejects had kept"));
    }
    let states: Vec<String> = redriven
        .rejects
        .by_state
        .iter()
        .map(|(state, count)| format!("{} {state}", show_count(*count)))
        .collect();
    let states = if states.is_empty() { "none changed".to_owned() } else { states.join(", ") };
    lines.push(format!("  rejects    {states}"));
    let findings = &read.findings;
    lines.push(format!(
        "  findings   {} read = {} added + {} duplicates + {} passed over + {} rejected",
        show_count(findings.read),
        show_count(findings.added),
        show_count(findings.duplicates),
        show_count(findings.passed_over),
        show_count(findings.rejected),
    ));
    if read.deadline_reached {
        lines.push("  deadline   reached; run again to read what is left".to_owned());
    }
    lines
}
