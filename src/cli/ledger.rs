//! `healthtrail ledger`: what the lake knows of its archives, and what is given up.
//!
//! In: a lake, and archives. Out: a table by day or hour, or JSON. `ledger accept` writes one commit.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use clap::{ArgMatches, Args, Subcommand};
use globset::{Glob, GlobSetBuilder};

use super::options::StoreArgs;
use super::progress::{self, ProgressMode};
use super::run::cut_variable;
use super::sources::sources;
use super::values::{self, printable, show_bytes, show_count};
use super::{Outcome, printer};
use crate::archive::discover::DiscoverOptions;
use crate::job::ledger::accept::{AcceptOptions, accept};
use crate::job::ledger::{HourLine, LedgerOptions, Overview, overview};
use crate::job::plan::Archive;
use crate::job::progress::Progress;
use crate::store::open;

/// Lines of each kind of remark that a person is shown; `--json` has them all.
const REMARKS_MAX: usize = 10;

/// Show what the lake has read of its archives by arrival hour, and what is missing
///
/// For each day: hours with objects, objects and bytes that were read, findings and rejects read out of
/// them, objects that came late (after their hour was closed, three days after its end), failed, are
/// reopened (a later program or wider products read them again). Then gaps, what still fails, and what
/// was given up. With `--from` the archives are listed too, and what waits to be read is shown.
/// Hours are those in the objects' names. Writes nothing.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Exit codes: 0 nothing is missing; 1 failed, and safe to run again; 2 wrong usage, or no lake; \
                  3 objects could not be read and still wait, or files of the lake are damaged.\n\n\
                  Examples:\n  \
                  healthtrail ledger --lake lake\n  \
                  healthtrail ledger --lake s3://my-lake/health --from s3://my-archive/health --hours\n  \
                  healthtrail ledger --lake lake --json | jq .gaps"
)]
pub(super) struct LedgerArgs {
    #[command(subcommand)]
    command: Option<LedgerCommand>,

    #[command(flatten)]
    show: ShowArgs,
}

#[derive(Debug, Subcommand)]
enum LedgerCommand {
    Accept(AcceptArgs),
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// Lake to read: a folder or `s3://bucket/prefix`
    #[arg(long, value_name = "LAKE", env = "HEALTHTRAIL_LAKE", required = true)]
    lake: Option<String>,

    /// Archive to list and to hold against the lake, as `run` takes it; give it once for each
    #[arg(long, value_name = "ARCHIVE", env = "HEALTHTRAIL_FROM")]
    from: Vec<String>,

    /// Keys that `run` skips, below the archive's prefix
    #[arg(long, value_name = "GLOB", env = "HEALTHTRAIL_EXCLUDE", value_parser = values::globs)]
    exclude: Vec<Vec<Glob>>,

    /// A line for each hour, not for each day
    #[arg(long, env = "HEALTHTRAIL_LEDGER_HOURS", value_parser = clap::builder::FalseyValueParser::new())]
    hours: bool,

    /// One JSON document: every hour, all gaps, everything that failed or was given up
    #[arg(long, env = "HEALTHTRAIL_JSON", value_parser = clap::builder::FalseyValueParser::new())]
    json: bool,

    /// How to show progress while listing
    #[arg(long, env = "HEALTHTRAIL_PROGRESS", default_value = "auto")]
    progress: ProgressMode,

    #[command(flatten)]
    stores: StoreArgs,
}

/// Give objects up that will never be readable: no run reads them or reports them again
///
/// Writes one commit that names them with the reason. Objects that the lake's log knows to have failed need
/// nothing else; of others `--from` must name the archive. An object that was read is refused. Another
/// etag under the same key is another object, and is read. Giving up twice is the same as once.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 given up; 1 failed, and safe to run again; 2 wrong usage: nothing was written.\n\n\
                  Example:\n  \
                  healthtrail ledger accept s3://my-archive/health/2026/11/24/03/s-1.gz --lake s3://my-lake \
                  --reason 'cut off by its writer'"
)]
struct AcceptArgs {
    /// Full URI of an object that failed, as `run` and `ledger` show it, or the path of a file
    #[arg(value_name = "OBJECT", required = true)]
    objects: Vec<String>,

    /// Lake to write to: a folder or `s3://bucket/prefix`
    #[arg(long, value_name = "LAKE", env = "HEALTHTRAIL_LAKE")]
    lake: String,

    /// Why, in words; kept in the lake's log
    #[arg(long, value_name = "TEXT", env = "HEALTHTRAIL_REASON")]
    reason: String,

    /// Archive that has objects which the log knows no failure of
    #[arg(long, value_name = "ARCHIVE", env = "HEALTHTRAIL_FROM")]
    from: Vec<String>,

    /// One JSON document
    #[arg(long, env = "HEALTHTRAIL_JSON", value_parser = clap::builder::FalseyValueParser::new())]
    json: bool,

    #[command(flatten)]
    stores: StoreArgs,
}

impl LedgerArgs {
    /// Cuts what variables say that options say one by one.
    pub(super) fn cut_variables(&mut self, matches: &ArgMatches) {
        match (&mut self.command, matches.subcommand()) {
            (Some(LedgerCommand::Accept(args)), Some((_, matches))) => {
                cut_variable(&mut args.from, matches);
            }
            _ => cut_variable(&mut self.show.from, matches),
        }
    }
}

/// Runs the command.
pub(super) async fn ledger(args: LedgerArgs) -> anyhow::Result<Outcome> {
    match args.command {
        Some(LedgerCommand::Accept(args)) => run_accept(args).await,
        None => show(args.show).await,
    }
}

async fn archives(from: &[String], stores: &StoreArgs) -> anyhow::Result<Vec<Archive>> {
    Ok(sources(from, stores).await?.archives)
}

async fn show(args: ShowArgs) -> anyhow::Result<Outcome> {
    let place = args.lake.unwrap_or_default();
    let lake = open(&place, &args.stores.lake(&place, false)).await?;
    let mut exclude = GlobSetBuilder::new();
    for glob in args.exclude.into_iter().flatten() {
        exclude.add(glob);
    }
    let progress = Arc::new(Progress::default());
    let options = LedgerOptions {
        lake,
        archives: archives(&args.from, &args.stores).await?,
        discover: DiscoverOptions { exclude: exclude.build()?, zone: jiff::tz::TimeZone::UTC },
        progress: Arc::clone(&progress),
    };
    let mode = if options.archives.is_empty() { ProgressMode::None } else { args.progress };
    let shown = progress::show(mode, progress);
    let overview = overview(&options).await?;
    drop(shown);
    if args.json {
        printer::data(serde_json::to_string_pretty(&overview)?)?;
    } else {
        for line in describe(&overview, &place, args.hours) {
            printer::data(line)?;
        }
    }
    Ok(if overview.is_wanting() { Outcome::Lost } else { Outcome::Done })
}

async fn run_accept(args: AcceptArgs) -> anyhow::Result<Outcome> {
    let lake = open(&args.lake, &args.stores.lake(&args.lake, false)).await?;
    let archives = archives(&args.from, &args.stores).await?;
    let objects = args.objects.iter().map(|object| uri(object)).collect();
    let options = AcceptOptions { lake, archives, objects, reason: args.reason };
    let accepted = accept(&options).await?;
    if args.json {
        printer::data(serde_json::to_string_pretty(&accepted)?)?;
        return Ok(Outcome::Done);
    }
    for uri in &accepted.accepted {
        printer::data(format_args!("given up         {}", printable(uri)))?;
    }
    for uri in &accepted.accepted_before {
        printer::data(format_args!("given up before  {}", printable(uri)))?;
    }
    let what = if accepted.commit.is_some() { "now" } else { "still" };
    printer::data(format_args!("{} is {what} at version {}", args.lake, accepted.version))?;
    Ok(Outcome::Done)
}

/// A path becomes the URI that a folder gives it, whether the file is there or not.
fn uri(object: &str) -> String {
    let path = Path::new(object);
    let name = path.file_name().and_then(std::ffi::OsStr::to_str);
    let folder = path.parent().map(|folder| if folder == "" { Path::new(".") } else { folder });
    match (object.contains("://"), folder.map(Path::canonicalize), name) {
        (false, Some(Ok(folder)), Some(name)) => format!("file://{}", folder.join(name).display()),
        _ => object.to_owned(),
    }
}

/// The overview for a person.
fn describe(overview: &Overview, lake: &str, by_hour: bool) -> Vec<String> {
    let (sums, totals) = (&overview.sums, &overview.totals);
    let products = overview.products.map_or("none yet", crate::finding::product::Products::name);
    let mut lines = vec![
        format!("{lake} is at version {}, products: {products}", overview.version),
        format!(
            "  read       {} objects of {} hours, {}",
            show_count(sums.objects),
            show_count(overview.hours.iter().filter(|hour| hour.objects > 0).count() as u64),
            show_bytes(sums.bytes)
        ),
        format!(
            "  holds      {} findings and {} rejects in {} files",
            show_count(totals.findings),
            show_count(totals.rejects),
            show_count(totals.files)
        ),
    ];
    if let Some(listed) = &overview.archives {
        let skipped: u64 = listed.skipped_by_reason.values().sum();
        lines.push(format!(
            "  archives   {} listed = {} in the lake + {} skipped + {} waiting ({}); {} read and gone since",
            show_count(listed.listed),
            show_count(listed.in_ledger),
            show_count(skipped),
            show_count(listed.waiting),
            show_bytes(listed.waiting_bytes),
            show_count(listed.expired)
        ));
    }
    lines.push(String::new());
    lines.extend(table(overview, by_hour));
    lines.push(String::new());
    lines.extend(remarks(overview));
    lines
}

/// A line for each day, or for each hour.
fn table(overview: &Overview, by_hour: bool) -> Vec<String> {
    let mut rows: BTreeMap<&str, (u64, HourLine)> = BTreeMap::new();
    for hour in &overview.hours {
        let width = if by_hour { "2026-11-24T03".len() } else { "2026-11-24".len() };
        let name = hour.hour.get(..width).unwrap_or(&hour.hour);
        let (hours, sum) = rows.entry(name).or_default();
        *hours += u64::from(hour.objects > 0);
        sum.objects += hour.objects;
        sum.bytes += hour.bytes;
        sum.findings += hour.findings;
        sum.rejects += hour.rejects;
        sum.late += hour.late;
        sum.failed += hour.failed;
        sum.reopened += hour.reopened;
        sum.waiting += hour.waiting;
    }
    let mut heads = vec![if by_hour { "hour" } else { "day" }];
    if !by_hour {
        heads.push("hours");
    }
    heads.extend(["objects", "bytes", "findings", "rejects", "late", "failed", "reopened"]);
    if overview.archives.is_some() {
        heads.push("waiting");
    }
    let row = |(name, (hours, sum)): (&str, (u64, HourLine))| {
        let mut cells = vec![name.to_owned()];
        if !by_hour {
            cells.push(show_count(hours));
        }
        cells.extend([show_count(sum.objects), show_bytes(sum.bytes)]);
        let counts = [sum.findings, sum.rejects, sum.late, sum.failed, sum.reopened];
        cells.extend(counts.map(show_count));
        if overview.archives.is_some() {
            cells.push(show_count(sum.waiting));
        }
        cells
    };
    let mut all: Vec<Vec<String>> = vec![heads.into_iter().map(str::to_owned).collect()];
    all.extend(rows.into_iter().map(row));
    aligned(&all)
}

/// The first column to the left, all others to the right.
pub(super) fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if column == 0 { format!("  {cell:<width$}") } else { format!("  {cell:>width$}") }
        });
        cells.collect::<String>().trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// What stands beside the table.
fn remarks(overview: &Overview) -> Vec<String> {
    let sums = &overview.sums;
    let gaps = overview.gaps.iter().map(|gap| match gap.hours {
        1 => format!("{} (1 hour)", gap.first),
        hours => format!("{} to {} ({} hours)", gap.first, gap.last, show_count(hours)),
    });
    let failed = overview.failed.iter().map(|one| {
        format!("{} ({}): {}", printable(&one.object), one.kind, printable(&one.message))
    });
    let accepted = overview
        .accepted
        .iter()
        .map(|one| format!("{}: {}", printable(&one.object), printable(&one.reason)));
    let mut lines = Vec::new();
    let hours_text = format!("{} hours without objects between others", show_count(sums.gap_hours));
    lines.extend(section("gaps", &hours_text, sums.gap_hours, gaps.collect()));
    let failed_text = format!("{} objects could not be read", show_count(sums.failed));
    lines.extend(section("failed", &failed_text, sums.failed, failed.collect()));
    let count = overview.accepted.len() as u64;
    let accepted_text = format!("{} objects were given up", show_count(count));
    lines.extend(section("accepted", &accepted_text, count, accepted.collect()));
    if sums.late > 0 {
        let late = show_count(sums.late);
        lines.push(format!("  late       {late} objects came after their hour was closed"));
    }
    if sums.reopened > 0 {
        let reopened = show_count(sums.reopened);
        lines.push(format!("  reopened   {reopened} objects are read again by the next run"));
    }
    if overview.damaged_files > 0 {
        let damaged = show_count(overview.damaged_files);
        lines.push(format!(
            "  damaged    {damaged} files; `healthtrail verify --repair` reads their objects again"
        ));
    }
    lines
}

/// A remark with its first few cases, the latest first.
fn section(name: &str, text: &str, count: u64, cases: Vec<String>) -> Vec<String> {
    if count == 0 {
        return vec![format!("  {name:<10} none")];
    }
    let more = cases.len().saturating_sub(REMARKS_MAX);
    let mut lines = vec![format!("  {name:<10} {text}")];
    lines.extend(cases.into_iter().rev().take(REMARKS_MAX).map(|case| format!("    {case}")));
    if more > 0 {
        lines.push(format!("    and {} more; `--json` lists them", show_count(more as u64)));
    }
    lines
}
