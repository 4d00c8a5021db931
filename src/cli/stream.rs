//! `healthtrail stream`: what a Firehose stream fills, and how it does.

use std::sync::Arc;

use clap::Args;
use clap::builder::FalseyValueParser;
use jiff::Timestamp;
use serde_json::json;

use super::ledger::aligned;
use super::options::StoreArgs;
use super::progress::{self, ProgressMode};
use super::sources::{archives, lines, stream as derived};
use super::values::{printable, show_bytes, show_count};
use super::{Outcome, printer};
use crate::job::progress::Progress;
use crate::job::stream::derive::Derived;
use crate::job::stream::health::{Health, HealthOptions, health};
use crate::store::firehose::SCHEME;

/// Gaps that a person is shown; `--json` has them all.
const GAPS_MAX: usize = 5;

/// Show what a Firehose stream fills, and whether all is well with it
///
/// Asks Firehose for the stream's settings, says which archives `--from firehose://STREAM` stands for, and
/// lists what the stream delivered in the last weeks: objects by hour against the same hour of the other
/// weeks, stretches in which nothing came although it should have, failed records, and when an hour is
/// complete. Writes nothing. Needs firehose:DescribeDeliveryStream and s3:ListBucket, and s3:GetObject to
/// count failed records.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 all is well; 1 failed, and safe to run again; 2 wrong usage, or a stream that \
    fills no archive; 3 the stream is in trouble: not active, silent, with gaps or failed records, or converting \
    records.\n\n\
    Examples:\n  \
    healthtrail stream health-events\n  \
    healthtrail stream firehose://health-events@eu-central-1 --archive-profile audit --json | jq .health.gaps"
)]
pub(super) struct StreamArgs {
    /// The stream: its name, `NAME@REGION` or `firehose://NAME[@REGION]`
    #[arg(value_name = "STREAM", env = "HEALTHTRAIL_STREAM")]
    stream: String,

    /// Weeks to look back
    #[arg(long, value_name = "N", env = "HEALTHTRAIL_STREAM_WEEKS", default_value_t = 4, value_parser = clap::value_parser!(u32).range(2..=53))]
    weeks: u32,

    /// Hours to show
    #[arg(long, value_name = "N", env = "HEALTHTRAIL_STREAM_HOURS", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=336))]
    hours: u32,

    /// One JSON document: what was derived, and everything that was found
    #[arg(long, env = "HEALTHTRAIL_JSON", value_parser = FalseyValueParser::new())]
    json: bool,

    /// How to show progress while listing
    #[arg(long, env = "HEALTHTRAIL_PROGRESS", default_value = "auto")]
    progress: ProgressMode,

    #[command(flatten)]
    stores: StoreArgs,
}

/// Runs the command.
pub(super) async fn stream(args: StreamArgs) -> anyhow::Result<Outcome> {
    let is_whole = args.stream.contains("://");
    let address = if is_whole { args.stream.clone() } else { format!("{SCHEME}{}", args.stream) };
    let derived = derived(&address, &args.stores).await?;
    let archives = archives(&derived.places, &args.stores).await?;
    let progress = Arc::new(Progress::default());
    let options = HealthOptions {
        derived: &derived,
        archives: &archives,
        now_ms: Timestamp::now().as_millisecond(),
        weeks: args.weeks,
        hours: args.hours,
        progress: Arc::clone(&progress),
    };
    let shown = progress::show(args.progress, progress);
    let health = health(&options).await?;
    drop(shown);
    if args.json {
        let all = json!({ "stream": derived, "health": health });
        printer::data(serde_json::to_string_pretty(&all)?)?;
    } else {
        for line in lines(&derived).into_iter().chain(describe(&health, &derived)) {
            printer::data(line)?;
        }
    }
    Ok(if health.is_troubled() { Outcome::Lost } else { Outcome::Done })
}

/// How the stream does, for a person.
fn describe(health: &Health, derived: &Derived) -> Vec<String> {
    let closed = health.closed_until.as_ref();
    let closed = closed.map_or_else(String::new, |until| format!("; for certain before {until}"));
    let mut out = vec![
        format!("             now before {}{closed}", health.complete_until),
        format!(
            "  delivered  {} objects since {}, {}",
            show_count(health.objects),
            health.since,
            show_bytes(health.bytes)
        ),
    ];
    if let Some(newest) = &health.newest {
        out.push(format!(
            "  newest     {}, {} minutes ago: {}",
            newest.arrived,
            newest.minutes_ago,
            printable(&newest.object)
        ));
    }
    if health.versions.len() > 1 || health.versions.keys().any(|v| v.to_string() != derived.version)
    {
        let versions = health.versions.iter();
        let versions: Vec<String> = versions
            .map(|(version, objects)| format!("{version} wrote {}", show_count(*objects)))
            .collect();
        out.push(format!("  versions   {}", versions.join(", ")));
    }
    if !health.hours.is_empty() {
        out.push(String::new());
        out.extend(table(health));
        out.push(String::new());
    }
    out.extend(gaps(health));
    out.extend(failed(health));
    let remarks = health.remarks.iter();
    out.extend(remarks.map(|remark| {
        let name = if remark.is_trouble { "trouble" } else { "warning" };
        format!("  {name:<10} {}", printable(&remark.text))
    }));
    out
}

fn table(health: &Health) -> Vec<String> {
    let heads = ["hour", "objects", "usual", "bytes", "failed", ""];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    rows.extend(health.hours.iter().map(|hour| {
        let name = hour.hour.get(.."2026-11-24T03".len()).unwrap_or(&hour.hour).to_owned();
        let usual = hour.usual.map_or_else(|| "-".to_owned(), |usual| format!("{usual:.1}"));
        let low = if hour.is_low { "low" } else { "" };
        vec![
            name,
            show_count(hour.objects),
            usual,
            show_bytes(hour.bytes),
            show_count(hour.failed),
            low.to_owned(),
        ]
    }));
    aligned(&rows)
}

fn gaps(health: &Health) -> Vec<String> {
    if health.gaps.is_empty() {
        return vec!["  gaps       none".to_owned()];
    }
    let mut out =
        vec![format!("  gaps       {}, the oldest first", show_count(health.gaps.len() as u64))];
    out.extend(health.gaps.iter().take(GAPS_MAX).map(|gap| {
        let to = if gap.is_open { "now" } else { &gap.last };
        let hours = show_count(gap.hours);
        format!("    {} to {to} ({hours} hours, {:.0} objects expected)", gap.first, gap.expected)
    }));
    let more = health.gaps.len().saturating_sub(GAPS_MAX);
    if more > 0 {
        out.push(format!("    and {more} more; `--json` lists them"));
    }
    out
}

fn failed(health: &Health) -> Vec<String> {
    if health.failed.is_empty() {
        return vec!["  failed     none".to_owned()];
    }
    let line = |(kind, failed): (&String, &crate::job::stream::health::FailedRecords)| {
        format!(
            "  failed     {}: {} objects, {}, the newest {}; {} records in {} of them",
            printable(kind),
            show_count(failed.objects),
            show_bytes(failed.bytes),
            failed.newest,
            show_count(failed.records),
            show_count(failed.read)
        )
    };
    health.failed.iter().map(line).collect()
}
