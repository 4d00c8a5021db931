//! `healthtrail report`: what the lake says about a period, as a page, as text, as JSON.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::options::StoreArgs;
use super::{Outcome, printer};
use crate::report::{ReportOptions, Times, page, report as gather, text};
use crate::store::open;

/// Tell what the lake says about a period: trends, top lists, what is due, what is exposed
///
/// Reads only the parts of the period and of the one before it, and writes nothing to the lake. The
/// page is one file that loads nothing and runs nothing.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    healthtrail report --lake lake --out report.html\n  \
    healthtrail report --lake s3://my-lake/health --since 2026-07-01 --until 2026-10-01 --format text\n  \
    healthtrail report --lake lake --service RDS,EC2 --format json | jq .services")]
pub(super) struct ReportArgs {
    /// Lake to read: a folder or `s3://bucket/prefix`
    #[arg(long, value_name = "LAKE", env = "HEALTHTRAIL_LAKE")]
    lake: String,

    /// File to write [default: standard output]
    #[arg(long, value_name = "FILE", env = "HEALTHTRAIL_REPORT_OUT")]
    out: Option<PathBuf>,

    /// How to show it [default: `html` into a file, else `text`]
    #[arg(long, env = "HEALTHTRAIL_REPORT_FORMAT")]
    format: Option<Format>,

    /// Days to tell about, the last one that of the lake's newest row
    #[arg(
        long,
        value_name = "N",
        env = "HEALTHTRAIL_REPORT_DAYS",
        default_value = "90",
        value_parser = clap::value_parser!(i64).range(1..=36_600),
        conflicts_with = "since"
    )]
    days: i64,

    /// First day: `2026-07-01`, UTC
    #[arg(long, value_name = "DAY", env = "HEALTHTRAIL_REPORT_SINCE", value_parser = day)]
    since: Option<i64>,

    /// The day after the last one
    #[arg(long, value_name = "DAY", env = "HEALTHTRAIL_REPORT_UNTIL", value_parser = day)]
    until: Option<i64>,

    /// Only findings of this account; give it once for each
    #[arg(long, value_name = "ACCOUNT", env = "HEALTHTRAIL_REPORT_ACCOUNT", value_delimiter = ',')]
    account: Vec<String>,

    /// Only findings of this service or product, in any case; give it once for each
    #[arg(long, value_name = "SERVICE", env = "HEALTHTRAIL_REPORT_SERVICE", value_delimiter = ',')]
    service: Vec<String>,

    /// Leave out the period before, and with it all changes: half as much is read
    #[arg(long, env = "HEALTHTRAIL_REPORT_NO_PREVIOUS")]
    no_previous: bool,

    #[command(flatten)]
    stores: StoreArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One page that loads nothing
    Html,
    /// For a terminal
    Text,
    /// For programs
    Json,
}

/// Days since 1970 of `2026-07-01`.
fn day(text: &str) -> Result<i64, String> {
    let date: jiff::civil::Date =
        text.parse().map_err(|_| format!("`{text}` is no day; write it as `2026-07-01`"))?;
    if !(1970..=9998).contains(&date.year()) {
        return Err(format!("`{text}` is no day that a lake can have"));
    }
    let midnight = date.to_datetime(jiff::civil::Time::midnight());
    let moment =
        jiff::tz::TimeZone::UTC.to_timestamp(midnight).map_err(|error| error.to_string())?;
    Ok(moment.as_second().div_euclid(86_400))
}

/// Runs the command.
pub(super) async fn report(args: ReportArgs) -> anyhow::Result<Outcome> {
    let store = open(&args.lake, &args.stores.lake(&args.lake, false)).await?;
    let times = Times { since: args.since, until: args.until, days: args.days };
    let options = ReportOptions {
        times,
        accounts: args.account,
        services: args.service,
        previous: !args.no_previous,
    };
    let report = gather(store, &options).await?;
    let fallback = if args.out.is_some() { Format::Html } else { Format::Text };
    let shown = match args.format.unwrap_or(fallback) {
        Format::Html => page::page(&report),
        Format::Text => text::text(&report),
        Format::Json => serde_json::to_string_pretty(&report)?,
    };
    let shown = shown.trim_end();
    match args.out {
        None => printer::data(shown)?,
        Some(file) => {
            tokio::fs::write(&file, format!("{shown}\n"))
                .await
                .with_context(|| format!("writing `{}`", file.display()))?;
            printer::note(format_args!("report written to {}", file.display()));
        }
    }
    Ok(Outcome::Done)
}
