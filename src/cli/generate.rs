//! `healthtrail generate`: a seeded, realistic archive.

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use jiff::civil::Date;

use super::options::StoreArgs;
use super::values::{self, show_bytes, show_count};
use super::{Outcome, printer};
use crate::generate::{self, Compression, GenerateOptions};
use crate::store::open;

/// Make a realistic archive of any size, to try things on
///
/// The same options make the same keys and the same bytes. Nothing in it is real: accounts, events
/// and texts are made up after AWS's documented shapes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    healthtrail generate --to archive --events 20000 --days 30\n  \
    healthtrail generate --to s3://my-bucket/archive --objects 2880 --events 200000")]
pub(super) struct GenerateArgs {
    /// Where to put it: a folder or `s3://bucket/prefix`
    #[arg(long, value_name = "ARCHIVE", env = "HEALTHTRAIL_GENERATE_TO")]
    to: String,

    /// Objects to make
    #[arg(long, value_name = "N", default_value_t = 96)]
    objects: u64,

    /// Messages to spread over them; each page and each copy counts
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    events: u64,

    /// Days that the archive spans
    #[arg(long, value_name = "N", default_value_t = 30)]
    days: u32,

    /// Its first day, UTC
    #[arg(long, value_name = "DATE", default_value = "2026-08-01")]
    start: Date,

    /// All randomness comes from it
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// What keys begin with, before the date
    #[arg(long, value_name = "PREFIX", default_value = "health/")]
    prefix: String,

    /// Name of the delivery stream
    #[arg(long, value_name = "NAME", default_value = "health-events")]
    stream: String,

    /// Share of native Health events; the next five stand in proportion to it
    #[arg(long, value_name = "SHARE", default_value_t = 0.60, value_parser = values::share, help_heading = "Shares")]
    native: f64,

    /// Share of Health findings in ASFF
    #[arg(long, value_name = "SHARE", default_value_t = 0.12, value_parser = values::share, help_heading = "Shares")]
    asff: f64,

    /// Share of Health findings in OCSF
    #[arg(long, value_name = "SHARE", default_value_t = 0.05, value_parser = values::share, help_heading = "Shares")]
    ocsf: f64,

    /// Share of other products' findings in ASFF
    #[arg(long, value_name = "SHARE", default_value_t = 0.14, value_parser = values::share, help_heading = "Shares")]
    other_asff: f64,

    /// Share of other products' findings in OCSF
    #[arg(long, value_name = "SHARE", default_value_t = 0.05, value_parser = values::share, help_heading = "Shares")]
    other_ocsf: f64,

    /// Share of events that hold no finding
    #[arg(long, value_name = "SHARE", default_value_t = 0.04, value_parser = values::share, help_heading = "Shares")]
    noise: f64,

    /// Share of messages that come again, byte for byte
    #[arg(long, value_name = "SHARE", default_value_t = 0.02, value_parser = values::share, help_heading = "Shares")]
    duplicates: f64,

    /// Share of native events that come in pages
    #[arg(long, value_name = "SHARE", default_value_t = 0.01, value_parser = values::share, help_heading = "Shares")]
    pages: f64,

    /// Share of messages that come by way of another Region as well
    #[arg(long, value_name = "SHARE", default_value_t = 0.10, value_parser = values::share, help_heading = "Shares")]
    backup_copies: f64,

    /// Share of native events of an old or odd form
    #[arg(long, value_name = "SHARE", default_value_t = 0.02, value_parser = values::share, help_heading = "Shares")]
    oddities: f64,

    /// Share of messages before which bytes stand that are no document
    #[arg(long, value_name = "SHARE", default_value_t = 0.0005, value_parser = values::share, help_heading = "Shares")]
    bad_bytes: f64,

    /// Share of messages that lie in Firehose's error records
    #[arg(long, value_name = "SHARE", default_value_t = 0.002, value_parser = values::share, help_heading = "Shares")]
    error_records: f64,

    /// Share of messages that arrive hours or days late
    #[arg(long, value_name = "SHARE", default_value_t = 0.005, value_parser = values::share, help_heading = "Shares")]
    late: f64,

    /// How objects are compressed
    #[arg(long, default_value = "mix")]
    compression: CompressionArg,

    /// Accounts of the organization
    #[arg(long, value_name = "N", default_value_t = 40)]
    accounts: u32,

    /// Regions in use
    #[arg(long, value_name = "N", default_value_t = 12)]
    regions: u8,

    /// Print the report as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    stores: StoreArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum CompressionArg {
    /// Mostly gzip, all others now and then, and some objects under another suffix
    Mix,
    /// Firehose's `GZIP`
    Gzip,
    /// Firehose's `UNCOMPRESSED`
    None,
    /// Firehose's `ZIP`
    Zip,
    /// Zstandard
    Zstd,
    /// Firehose's `Snappy`
    Snappy,
    /// Firehose's `HADOOP_SNAPPY`
    HadoopSnappy,
}

/// Runs the command.
pub(super) async fn generate(args: GenerateArgs) -> anyhow::Result<Outcome> {
    let store = open(&args.to, &args.stores.lake(&args.to, true)).await?;
    let options = options(&args);
    let report = generate::generate(store.as_ref(), &options)
        .await
        .with_context(|| format!("making an archive in `{}`", args.to))?;
    if args.json {
        printer::data(serde_json::to_string_pretty(&report)?)?;
        return Ok(Outcome::Done);
    }
    printer::data(format_args!(
        "{} has {} new objects: {} documents, {} of JSON, {} as stored",
        args.to,
        show_count(report.objects),
        show_count(report.documents()),
        show_bytes(report.raw_bytes),
        show_bytes(report.stored_bytes)
    ))?;
    Ok(Outcome::Done)
}

fn options(args: &GenerateArgs) -> GenerateOptions {
    GenerateOptions {
        objects: args.objects,
        events: args.events,
        days: args.days,
        start: args.start,
        seed: args.seed,
        prefix: args.prefix.clone(),
        stream: args.stream.clone(),
        native: args.native,
        asff: args.asff,
        ocsf: args.ocsf,
        other_asff: args.other_asff,
        other_ocsf: args.other_ocsf,
        noise: args.noise,
        duplicates: args.duplicates,
        pages: args.pages,
        backup_copies: args.backup_copies,
        oddities: args.oddities,
        bad_bytes: args.bad_bytes,
        error_records: args.error_records,
        late: args.late,
        compression: match args.compression {
            CompressionArg::Mix => Compression::Mix,
            CompressionArg::Gzip => Compression::Gzip,
            CompressionArg::None => Compression::None,
            CompressionArg::Zip => Compression::Zip,
            CompressionArg::Zstd => Compression::Zstd,
            CompressionArg::Snappy => Compression::Snappy,
            CompressionArg::HadoopSnappy => Compression::HadoopSnappy,
        },
        accounts: args.accounts,
        regions: args.regions,
    }
}
