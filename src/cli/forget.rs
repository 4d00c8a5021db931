//! `healthtrail forget`: erases rows for good.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use clap::builder::{FalseyValueParser, NonEmptyStringValueParser};

use super::options::StoreArgs;
use super::values::{printable, show_bytes, show_count};
use super::{Outcome, printer};
use crate::job::forget::selector::{Selector, from_lines};
use crate::job::forget::{ForgetOptions, ForgetSummary, forget as job};
use crate::job::options::UsageError;
use crate::store::open;

/// Erase rows that the law wants erased, and keep them out of the lake from then on
///
/// Writes the files that hold such rows anew without them, deletes the old ones, and records a hash of
/// each finding (its shape, id and account), so that neither a later run nor a repair brings any version
/// of it back. Copies of such rows in the quarantine are deleted, and those that cannot be read. Rejects whose bytes hold the id (and the account, if given) go too. A query that runs
/// meanwhile may miss rows or fail; run it again. What backups, versions of S3 objects and the archive
/// still hold is yours to delete: see docs/forget.md.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 done, or nothing to do; 1 failed, and safe to run again; 2 wrong usage, nothing changed\n\n\
    Selectors:\n  \
    finding_id=ID[,account_id=ACCOUNT][,shape=native|asff|ocsf]\n  \
    event_arn=ARN,account_id=ACCOUNT    one Health event in one account, in all three shapes\n\n\
    Examples:\n  \
    healthtrail forget --lake lake --rows finding_id=F-17,account_id=111122223333 --reason 'case 8' --dry-run\n  \
    healthtrail forget --lake s3://my-lake/health --rows-file case-8.jsonl --reason 'case 8'\n  \
    healthtrail forget --lake lake --objects s3://archive/health/2026/08/20/09/x.gz --reason 'not ours'"
)]
pub(super) struct ForgetArgs {
    /// Lake to erase from: a folder or `s3://bucket/prefix`
    #[arg(long, value_name = "LAKE", env = "HEALTHTRAIL_LAKE")]
    lake: String,

    /// Rows to erase, all versions of them; give it once for each selector
    #[arg(long, value_name = "SELECTOR", env = "HEALTHTRAIL_FORGET_ROWS")]
    rows: Vec<Selector>,

    /// File of selectors, a line of JSON each: `{"finding_id": "…", "account_id": "…"}`
    #[arg(long, value_name = "FILE", env = "HEALTHTRAIL_FORGET_ROWS_FILE")]
    rows_file: Option<PathBuf>,

    /// Objects of the archive whose findings and rejects are to be erased, as `source_object` has them;
    /// they are never read again
    #[arg(long, value_name = "URI", env = "HEALTHTRAIL_FORGET_OBJECTS", num_args = 1..)]
    objects: Vec<String>,

    /// Why; it stands in the lake's log for good, so name no person in it
    #[arg(long, value_name = "TEXT", env = "HEALTHTRAIL_FORGET_REASON", value_parser = NonEmptyStringValueParser::new())]
    reason: String,

    /// Say what would be erased, and change nothing
    #[arg(long, env = "HEALTHTRAIL_DRY_RUN", value_parser = FalseyValueParser::new())]
    dry_run: bool,

    /// Print what was done as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    stores: StoreArgs,
}

/// Runs the command.
pub(super) async fn forget(args: ForgetArgs) -> anyhow::Result<Outcome> {
    let mut selectors = args.rows;
    if let Some(file) = &args.rows_file {
        let told = || format!("reading `{}`", file.display());
        let text = std::fs::read_to_string(file).with_context(told)?;
        let read =
            from_lines(&text).map_err(|why| UsageError(format!("`{}`: {why}", file.display())))?;
        selectors.extend(read);
    }
    let options = ForgetOptions {
        lake: open(&args.lake, &args.stores.lake(&args.lake, false)).await?,
        selectors,
        objects: args.objects,
        reason: args.reason,
        dry_run: args.dry_run,
    };
    let summary = job(&options).await?;
    if options.lake.keeps_versions() {
        printer::note(format_args!(
            "warning: the bucket of {} keeps versions, so what was deleted lives on behind delete markers; delete the \
             noncurrent versions too: see docs/forget.md",
            printable(&args.lake)
        ));
    }
    if args.json {
        printer::data(serde_json::to_string_pretty(&summary)?)?;
        return Ok(Outcome::Done);
    }
    for line in describe(&summary, &args.lake) {
        printer::data(line)?;
    }
    Ok(Outcome::Done)
}

fn describe(summary: &ForgetSummary, lake: &str) -> Vec<String> {
    let first = match (summary.dry_run, summary.commits) {
        (true, _) => format!("would erase from {lake}, at version {}", summary.version),
        (false, 0) => format!("nothing to erase from {lake}, at version {}", summary.version),
        (false, commits) => format!(
            "{lake} is at version {}, after {} new {}",
            summary.version,
            show_count(commits),
            if commits == 1 { "commit" } else { "commits" }
        ),
    };
    let mut lines = vec![first];
    let anew = if summary.dry_run { "to be written anew" } else { "written anew" };
    lines.extend([
        format!(
            "  erased     {} rows, {} rejects",
            show_count(summary.rows),
            show_count(summary.rejects)
        ),
        format!(
            "  files      {}, {}, of which {} {anew}",
            show_count(summary.parts),
            show_bytes(summary.bytes),
            show_count(summary.parts_left)
        ),
        format!(
            "  kept out   {} findings and rejects, {} objects, from now on",
            show_count(summary.tombstones),
            show_count(summary.objects)
        ),
    ]);
    if summary.quarantined > 0 {
        let done = if summary.dry_run { "to be deleted" } else { "deleted" };
        lines.push(format!("  quarantine {} copies {done}", show_count(summary.quarantined)));
    }
    lines
}
