//! `healthtrail verify`: proves that a lake is right, says what is wrong, and mends it.

use std::sync::Arc;
use std::time::Instant;

use clap::builder::FalseyValueParser;
use clap::{ArgMatches, Args};

use super::ending::{self, MetricsArgs};
use super::options::StoreArgs;
use super::progress::{self, ProgressMode};
use super::sources::sources;
use super::values::{self, printable, show_bytes, show_count};
use super::{Outcome, printer, run};
use crate::job::progress::Progress;
use crate::job::verify::{self as job, DeepReport, RepairReport, VerifyOptions, VerifyReport};
use crate::lake::verify::{Depth, Finding};
use crate::store::open;

/// Findings and notes that a person is shown; `--json` has all.
const SHOWN_MAX: usize = 50;

/// Check that a lake is right: every part, every row, every commit; and mend what is not
///
/// Reads the log from its first record and holds everything against it: each part is there with its
/// size and SHA-256; its rows are as many as recorded, lie in their partition, in order, and each id
/// stands once in the whole lake; nothing is visible that no commit names; sums hold; checkpoints answer
/// as the log does. It reads ids and times of all rows, a few percent of the bytes; `--quick` reads no
/// rows and therefore cannot see doubled or misplaced ones, `--full` reads every byte.
///
/// It writes nothing, and may run beside `healthtrail run`: what a run commits meanwhile is no damage.
///
/// With `--repair` it makes one commit that takes out what is missing or damaged and reopens the objects
/// that it came from, so that the next `healthtrail run` over the same archives restores the rows. What
/// it takes out is kept under `_healthtrail/quarantine/`. It deletes bad checkpoints, which are a cache. It
/// can be killed and run again. A lost record of the log cannot be computed anew.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    healthtrail verify --lake lake\n  \
    healthtrail verify --lake s3://my-lake/health --from s3://my-archive/health --deep=0.01\n  \
    healthtrail verify --lake lake --repair && healthtrail run --from samples/archive --to lake\n\n\
    Exit codes: 0 the lake is right, or `--repair` mended all that was wrong; 1 failed, and safe to run \
    again; 2 wrong usage, or no lake; 3 something is wrong.")]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch that a person gives or not")]
pub(super) struct VerifyArgs {
    /// Lake to check: a folder or `s3://bucket/prefix`
    #[arg(long, value_name = "LAKE", env = "HEALTHTRAIL_LAKE")]
    lake: String,

    /// Archive that `--deep` reads again; give it once for each, as `healthtrail run` was given it
    #[arg(long, value_name = "ARCHIVE", env = "HEALTHTRAIL_FROM")]
    from: Vec<String>,

    /// Read no rows: only names, sizes and hashes as the store tells them (a folder reads its files)
    #[arg(
        long,
        env = "HEALTHTRAIL_VERIFY_QUICK",
        value_parser = FalseyValueParser::new(),
        conflicts_with = "full"
    )]
    quick: bool,

    /// Read every byte: hash the content of each part, and decode every column
    #[arg(long, env = "HEALTHTRAIL_VERIFY_FULL", value_parser = FalseyValueParser::new())]
    full: bool,

    /// Read objects again and compare their rows with the lake's: `all`, or a share of each commit's
    /// objects [without a value: `0.05`]
    ///
    /// All columns but those of the delivery are compared, and rejects too. Objects that have expired or
    /// changed since are counted; they are no damage.
    #[arg(
        long,
        value_name = "all|SHARE",
        env = "HEALTHTRAIL_VERIFY_DEEP",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "0.05",
        value_parser = share,
        requires = "from"
    )]
    deep: Option<f64>,

    /// Commit what mends the lake, and say what was done
    #[arg(long, env = "HEALTHTRAIL_VERIFY_REPAIR", value_parser = FalseyValueParser::new())]
    repair: bool,

    /// With `--repair`: also move visible files that no commit names to `_healthtrail/quarantine/`
    #[arg(
        long,
        env = "HEALTHTRAIL_VERIFY_QUARANTINE_FOREIGN",
        value_parser = FalseyValueParser::new(),
        requires = "repair"
    )]
    quarantine_foreign: bool,

    /// Print the report as JSON
    #[arg(long, env = "HEALTHTRAIL_JSON", value_parser = FalseyValueParser::new())]
    json: bool,

    /// Threads that read objects [default: one for each processor]
    #[arg(
        long,
        value_name = "N",
        env = "HEALTHTRAIL_THREADS",
        value_parser = clap::value_parser!(u16).range(1..=1024)
    )]
    threads: Option<u16>,

    /// Memory to stay under while objects are read again: at least `128MiB`
    #[arg(
        long,
        value_name = "SIZE",
        env = "HEALTHTRAIL_MEMORY",
        default_value = "1GiB",
        value_parser = run::memory
    )]
    memory: u64,

    /// Objects of one task that are fetched at the same time
    #[arg(
        long,
        value_name = "N",
        env = "HEALTHTRAIL_FETCHES",
        default_value_t = 16,
        value_parser = clap::value_parser!(u16).range(1..=1024)
    )]
    fetches: u16,

    /// How to show progress
    #[arg(long, env = "HEALTHTRAIL_PROGRESS", default_value = "auto")]
    progress: ProgressMode,

    #[command(flatten)]
    metrics: MetricsArgs,

    #[command(flatten)]
    stores: StoreArgs,
}

fn share(text: &str) -> Result<f64, String> {
    if text == "all" {
        return Ok(1.0);
    }
    values::share(text)
        .ok()
        .filter(|share| *share > 0.0)
        .ok_or_else(|| format!("`{text}` is no share; write `all` or a number such as `0.05`"))
}

impl VerifyArgs {
    /// As `run` does with its own.
    pub(super) fn cut_variables(&mut self, matches: &ArgMatches) {
        run::cut_variable(&mut self.from, matches);
    }
}

/// Runs the command.
pub(super) async fn verify(args: VerifyArgs) -> anyhow::Result<Outcome> {
    args.metrics.begin(&args.lake, args.json)?;
    let begun = Instant::now();
    let archives = sources(&args.from, &args.stores).await?.archives;
    let progress = Arc::new(Progress::default());
    let shown = progress::show(args.progress, Arc::clone(&progress));
    let depth = match (args.quick, args.full) {
        (true, _) => Depth::Quick,
        (_, true) => Depth::Full,
        _ => Depth::Rows,
    };
    let threads = match args.threads {
        Some(threads) => usize::from(threads),
        None => std::thread::available_parallelism()?.get(),
    };
    let options = VerifyOptions {
        lake: open(&args.lake, &args.stores.lake(&args.lake, false)).await?,
        depth,
        deep: args.deep,
        archives,
        repair: args.repair,
        quarantine_foreign: args.quarantine_foreign,
        threads,
        memory_bytes: args.memory,
        fetches: usize::from(args.fetches),
        progress,
    };
    let report = job::verify(&options).await?;
    drop(shown);
    ending::of_verify(&report, begun.elapsed().as_secs_f64());
    if args.json {
        printer::data(serde_json::to_string_pretty(&report)?)?;
    } else {
        for line in describe(&report, &args.lake) {
            printer::data(printable(&line))?;
        }
    }
    Ok(if report.is_right() { Outcome::Done } else { Outcome::Lost })
}

/// The report for a person.
fn describe(report: &VerifyReport, lake: &str) -> Vec<String> {
    let verdict = match report.findings.len() {
        0 => format!("{lake} is right"),
        count => format!("{lake} has {}", counted(count as u64, "finding")),
    };
    let what = match report.depth {
        Depth::Quick => "names, sizes and hashes were checked",
        Depth::Rows => "ids and times of all rows were checked",
        Depth::Full => "every byte was checked",
    };
    let mut lines = vec![
        format!("{verdict} at version {}; {what}", report.version),
        format!(
            "  log        {} with {}, {}",
            counted(report.commits, "commit"),
            counted(report.parts, "part"),
            show_bytes(report.bytes)
        ),
        format!(
            "  rows       {} findings, {} rejects",
            show_count(report.findings_rows),
            show_count(report.rejects_rows)
        ),
    ];
    lines.extend(report.deep.iter().flat_map(describe_deep));
    lines.extend(describe_findings(&report.findings));
    for note in report.notes.iter().take(SHOWN_MAX) {
        lines.push(format!("note {}: {} {}", note.kind, note.key, note.message));
    }
    if report.notes.len() > SHOWN_MAX {
        lines.push(format!("and {} notes more", report.notes.len() - SHOWN_MAX));
    }
    lines.extend(report.repaired.iter().flat_map(|repaired| describe_repair(repaired, report)));
    lines
}

/// `1 part`, `2 parts`.
fn counted(count: u64, what: &str) -> String {
    format!("{} {what}{}", show_count(count), if count == 1 { "" } else { "s" })
}

fn describe_findings(findings: &[Finding]) -> Vec<String> {
    let mut lines = Vec::new();
    for finding in findings.iter().take(SHOWN_MAX) {
        let commit = finding.commit.map_or_else(String::new, |commit| format!(", commit {commit}"));
        lines.push(format!("{}: {}{commit}", finding.kind.name(), finding.key));
        lines.push(format!("  {}", finding.message));
        lines.push(format!("  to do: {}", finding.remedy));
    }
    if findings.len() > SHOWN_MAX {
        lines.push(format!("and {} findings more; `--json` has all", findings.len() - SHOWN_MAX));
    }
    lines
}

fn describe_deep(deep: &DeepReport) -> Vec<String> {
    let mut lines = vec![
        format!(
            "  objects    {} asked for = {} read again + {} expired + {} failed + {} to be read by \
             the next run + {} of other archives",
            show_count(deep.objects),
            show_count(deep.read),
            show_count(deep.expired),
            show_count(deep.failed),
            show_count(deep.pending),
            show_count(deep.elsewhere)
        ),
        format!(
            "  compared   {} findings and {} rejects are as their objects give them",
            show_count(deep.rows),
            show_count(deep.rejects)
        ),
    ];
    if deep.rows_unverified > 0 {
        let rows = show_count(deep.rows_unverified);
        lines.push(format!("  unverified {rows} rows of objects that could not be read again"));
    }
    if deep.rows_of_other_versions > 0 {
        let rows = show_count(deep.rows_of_other_versions);
        lines.push(format!(
            "  versions   {rows} rows of other versions: only their ids were compared"
        ));
    }
    lines
}

fn describe_repair(repaired: &RepairReport, report: &VerifyReport) -> Vec<String> {
    let mut lines = Vec::new();
    if report.findings.is_empty() {
        lines.push("nothing to repair".to_owned());
        return lines;
    }
    if let Some(commit) = repaired.commit {
        lines.push(format!(
            "repaired by commit {commit}: {} withdrawn, {} with {} reopened",
            counted(repaired.withdrawn.len() as u64, "part"),
            counted(repaired.reopened.len() as u64, "commit"),
            counted(repaired.objects, "object")
        ));
        lines.push(
            "  to do: `healthtrail run` with the same archives reads the objects again".to_owned(),
        );
    }
    lines.extend(repaired.mended.iter().map(|mended| format!("repaired: {mended}")));
    if !repaired.left.is_empty() {
        lines.push(format!("left: {}", counted(repaired.left.len() as u64, "finding")));
        lines.extend(describe_findings(&repaired.left));
    }
    lines
}
