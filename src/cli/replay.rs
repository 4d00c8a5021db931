//! `healthtrail replay`: records of an archive, or of a lake's rejects, into a Firehose stream.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{ArgMatches, Args, ValueEnum};
use globset::{Glob, GlobSetBuilder};
use jiff::tz::TimeZone;

use super::options::StoreArgs;
use super::progress::ProgressMode;
use super::run::cut_variable;
use super::sources::{Sources, archives, sources, stream};
use super::values::{self, printable, show_bytes, show_count};
use super::{Outcome, printer};
use crate::archive::discover::DiscoverOptions;
use crate::finding::reject::Reason;
use crate::job::options::UsageError;
use crate::job::plan::Hours;
use crate::job::progress::Progress;
use crate::job::replay::{
    BYTES_PER_SECOND, ErrorRecords, RECORDS_PER_SECOND, ReplayFrom, ReplayOptions, Replayed,
    replay as job,
};
use crate::job::stream::derive::{Derived, derive};
use crate::lake::reject_rows::RejectFilter;
use crate::store::firehose::{Firehose, SCHEME, StreamAddress};
use crate::store::{StoreErrorKind, open};

/// Records that a person is told of; `--json` names up to a thousand.
const NAMED_MAX: usize = 10;

/// The first pause before records are put again.
const PAUSE: Duration = Duration::from_millis(200);

const LINE_EVERY: Duration = Duration::from_secs(10);

/// Send the records of an archive, or what a lake has rejected, into a Firehose stream
///
/// For archives that move to another account, failed records that are to be tried again, and streams for
/// tests. Each document becomes one record, byte for byte. A record of a failure that Firehose wrote is sent
/// as it was put in the first place. Records that the stream does not take for now are put again, with
/// growing pauses; their order is not kept. The archive and the lake stay as they are.
///
/// With `--state` a replay that was stopped goes on where it was, and sends one batch of at most 500 records
/// a second time. That does no harm: a lake takes the same finding once. Run again when it is done, it sends
/// what came since.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 all was sent; 1 failed, and safe to run again, best with --state; 2 wrong usage; \
    3 done, but some documents could not be sent: unreadable, longer than 1,000 KiB, or refused; they are named.\n\n\
    Examples:\n  \
    healthtrail replay --from s3://old-archive/health --to firehose://health-events@us-east-1 --dry-run\n  \
    healthtrail replay --from s3://old-archive/health --archive-profile old \\\n      \
    --to firehose://health-events@us-east-1 --stream-profile new --state replay.json\n  \
    healthtrail replay --from firehose://health-events --failed --to firehose://health-events\n  \
    healthtrail replay --rejects s3://my-lake/health --reason not_json --to firehose://mended"
)]
pub(super) struct ReplayArgs {
    /// Archive to send, as `run` takes it: a folder, `s3://bucket/prefix` or `firehose://STREAM[@REGION]`
    #[arg(
        long,
        value_name = "ARCHIVE",
        env = "HEALTHTRAIL_REPLAY_FROM",
        required_unless_present = "rejects",
        conflicts_with = "rejects"
    )]
    from: Vec<String>,

    /// Lake whose rejects to send: the bytes of all that wait, as `healthtrail rejects` shows them
    #[arg(long, value_name = "LAKE", env = "HEALTHTRAIL_REPLAY_REJECTS")]
    rejects: Option<String>,

    /// Stream to send to: `firehose://STREAM[@REGION]`; its source must be `DirectPut`
    #[arg(long, value_name = "STREAM", env = "HEALTHTRAIL_REPLAY_TO")]
    to: String,

    /// Of a stream in `--from` only what it could not deliver
    #[arg(long, env = "HEALTHTRAIL_REPLAY_FAILED", value_parser = FalseyValueParser::new())]
    failed: bool,

    /// What to do with records of failures that Firehose wrote
    #[arg(long, env = "HEALTHTRAIL_REPLAY_ERROR_RECORDS", default_value = "original")]
    error_records: ErrorRecordsArg,

    /// Only rejects of this reason; give it once for each, or with commas
    #[arg(long, value_name = "REASON", env = "HEALTHTRAIL_REPLAY_REASON", value_delimiter = ',', requires = "rejects", value_parser = reason)]
    reason: Vec<String>,

    /// First arrival hour: `2026-11-24` or `2026-11-24T03`, UTC
    #[arg(long, value_name = "HOUR", env = "HEALTHTRAIL_REPLAY_SINCE", value_parser = values::hour)]
    since: Option<i64>,

    /// First arrival hour to leave out again
    #[arg(long, value_name = "HOUR", env = "HEALTHTRAIL_REPLAY_UNTIL", value_parser = values::hour)]
    until: Option<i64>,

    /// Keys to skip, below the archive's prefix
    #[arg(long, value_name = "GLOB", env = "HEALTHTRAIL_EXCLUDE", value_parser = values::globs)]
    exclude: Vec<Vec<Glob>>,

    /// Time zone of the times in the keys [default: the stream's, else `UTC`]
    #[arg(long, value_name = "ZONE", env = "HEALTHTRAIL_ZONE", value_parser = values::zone)]
    zone: Option<TimeZone>,

    /// Most bytes to send in a second; the smallest Regions take 1 MiB for each stream
    #[arg(long, value_name = "SIZE", env = "HEALTHTRAIL_REPLAY_BYTES_PER_SECOND", default_value = "512KiB", value_parser = rate)]
    bytes_per_second: u64,

    /// Most records to send in a second
    #[arg(long, value_name = "N", env = "HEALTHTRAIL_REPLAY_RECORDS_PER_SECOND", default_value_t = RECORDS_PER_SECOND, value_parser = clap::value_parser!(u64).range(1..))]
    records_per_second: u64,

    /// File that keeps how far the replay is; made if it is not there
    #[arg(long, value_name = "FILE", env = "HEALTHTRAIL_REPLAY_STATE")]
    state: Option<PathBuf>,

    /// Read everything, say how many records and bytes it is, and send nothing
    #[arg(long, env = "HEALTHTRAIL_DRY_RUN", value_parser = FalseyValueParser::new())]
    dry_run: bool,

    /// Most decompressed bytes of one object; the rest of a larger one is not sent
    #[arg(long, value_name = "SIZE", env = "HEALTHTRAIL_OBJECT_BYTES_MAX", default_value = "1GiB", value_parser = values::size)]
    object_bytes_max: u64,

    /// One JSON document
    #[arg(long, env = "HEALTHTRAIL_JSON", value_parser = FalseyValueParser::new())]
    json: bool,

    /// How to show progress: a line every ten seconds, or nothing
    #[arg(long, env = "HEALTHTRAIL_PROGRESS", default_value = "auto")]
    progress: ProgressMode,

    /// Profile of the shared AWS configuration to send with
    #[arg(long, value_name = "PROFILE", env = "HEALTHTRAIL_STREAM_PROFILE", help_heading = "S3")]
    stream_profile: Option<String>,

    #[command(flatten)]
    stores: StoreArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ErrorRecordsArg {
    /// Send the record that could not be delivered, as it was
    Original,
    /// Send Firehose's record of the failure
    Whole,
    /// Leave them out
    Skip,
}

/// Longer documents are not looked for: no record is, and what is longer is named by its bytes.
const DOCUMENT_BYTES_MAX: usize = 16 << 20;

fn reason(text: &str) -> Result<String, String> {
    let names = Reason::ALL.map(Reason::name);
    if names.contains(&text) {
        return Ok(text.to_owned());
    }
    Err(format!("`{text}` is no reason; there are {}", names.join(", ")))
}

fn rate(text: &str) -> Result<u64, String> {
    match values::size(text)? {
        0 => Err("nothing would ever be sent".to_owned()),
        bytes => Ok(bytes),
    }
}

impl ReplayArgs {
    /// Cuts what variables say that options say one by one.
    pub(super) fn cut_variables(&mut self, matches: &ArgMatches) {
        cut_variable(&mut self.from, matches);
    }
}

/// Runs the command.
pub(super) async fn replay(args: ReplayArgs) -> anyhow::Result<Outcome> {
    debug_assert_eq!(BYTES_PER_SECOND, 512 << 10, "as the help says");
    let to =
        Firehose::open(&StreamAddress::parse(&args.to)?, args.stream_profile.as_deref()).await?;
    let target = target(&to).await?;
    let progress = Arc::new(Progress::default());
    let options = ReplayOptions {
        from: from(&args).await?,
        to,
        target,
        error_records: match args.error_records {
            ErrorRecordsArg::Original => ErrorRecords::Original,
            ErrorRecordsArg::Whole => ErrorRecords::Whole,
            ErrorRecordsArg::Skip => ErrorRecords::Skip,
        },
        object_bytes_max: args.object_bytes_max,
        document_bytes_max: DOCUMENT_BYTES_MAX,
        records_per_second: args.records_per_second,
        bytes_per_second: args.bytes_per_second,
        pause: PAUSE,
        state: args.state.clone(),
        dry_run: args.dry_run,
        progress: Arc::clone(&progress),
    };
    let telling = (args.progress != ProgressMode::None).then(|| tokio::spawn(tell(progress)));
    let replayed = job(&options).await;
    if let Some(telling) = telling {
        telling.abort();
    }
    let replayed = replayed?;
    for record in replayed.not_sent.iter().take(NAMED_MAX) {
        printer::note(format_args!(
            "not sent: {} at {} ({} bytes): {}: {}",
            printable(&record.object),
            record.offset,
            record.length,
            printable(&record.reason),
            printable(&record.detail)
        ));
    }
    if args.json {
        printer::data(serde_json::to_string_pretty(&replayed)?)?;
    } else {
        for line in describe(&replayed, options.to.uri()) {
            printer::data(line)?;
        }
    }
    Ok(if replayed.is_whole() { Outcome::Done } else { Outcome::Lost })
}

/// What the stream fills; nothing where one may put records and not ask, or where it delivers elsewhere.
async fn target(to: &Firehose) -> anyhow::Result<Option<Derived>> {
    match to.describe().await {
        Ok(description) => Ok(derive(to.uri(), &description).ok()),
        Err(error) if error.kind == StoreErrorKind::Denied => {
            printer::note(format_args!("note: not checked whether it fills what is read: {error}"));
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

async fn from(args: &ReplayArgs) -> anyhow::Result<ReplayFrom> {
    if let Some(lake) = &args.rejects {
        let lake = open(lake, &args.stores.lake(lake, false)).await?;
        let filter = RejectFilter {
            reasons: args.reason.clone(),
            stages: Vec::new(),
            object: String::new(),
            since_ms: args.since,
            until_ms: args.until,
        };
        return Ok(ReplayFrom::Rejects { lake, filter });
    }
    let sources = if args.failed {
        failed(&args.from, &args.stores).await?
    } else {
        sources(&args.from, &args.stores).await?
    };
    let zone = sources.zone(args.zone.as_ref())?;
    let mut exclude = GlobSetBuilder::new();
    for glob in args.exclude.iter().flatten() {
        exclude.add(glob.clone());
    }
    Ok(ReplayFrom::Archives {
        archives: sources.archives,
        hours: Hours { since_ms: args.since, until_ms: args.until },
        discover: DiscoverOptions { exclude: exclude.build()?, zone },
    })
}

/// What streams could not deliver.
async fn failed(from: &[String], stores: &StoreArgs) -> anyhow::Result<Sources> {
    if let Some(other) = from.iter().find(|from| !from.starts_with(SCHEME)) {
        let message = format!(
            "--failed is about streams; of `{other}` give the place of its failed records instead"
        );
        return Err(UsageError(message).into());
    }
    let mut all = Sources::of_streams(Vec::new(), Vec::new());
    for from in from {
        let derived = stream(from, stores).await?;
        all.archives.extend(archives(&derived.failed_places(), stores).await?);
        all.streams.push(derived);
    }
    Ok(all)
}

/// Says how far it is, now and then.
async fn tell(progress: Arc<Progress>) {
    let mut ticks = tokio::time::interval(LINE_EVERY);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        printer::note(format_args!(
            "{} of {} objects, {} records, {}",
            show_count(Progress::get(&progress.objects_read)),
            show_count(Progress::get(&progress.objects_planned)),
            show_count(Progress::get(&progress.rows_read)),
            show_bytes(Progress::get(&progress.bytes_read)),
        ));
    }
}

fn describe(replayed: &Replayed, to: &str) -> Vec<String> {
    let counts = &replayed.counts;
    let verb = if replayed.dry_run { "would send" } else { "sent" };
    let since = if replayed.resumed { ", what an earlier replay sent too" } else { "" };
    let mut lines = vec![
        format!(
            "{verb} {} records, {}, to {to}{since}",
            show_count(counts.sent),
            show_bytes(counts.sent_bytes)
        ),
        format!(
            "  documents  {} read = {} sent + {} skipped + {} refused",
            show_count(counts.read),
            show_count(counts.sent),
            show_count(counts.skipped_sum()),
            show_count(counts.refused)
        ),
    ];
    if counts.objects + counts.failed_objects + replayed.listed > 0 {
        lines.push(format!(
            "  objects    {} read, {} failed, {} left out",
            show_count(counts.objects),
            show_count(counts.failed_objects),
            show_count(replayed.left)
        ));
    }
    if !counts.skipped.is_empty() {
        let skipped = counts.skipped.iter();
        let skipped: Vec<String> =
            skipped.map(|(reason, count)| format!("{reason} {}", show_count(*count))).collect();
        lines.push(format!("  skipped    {}", skipped.join(", ")));
    }
    if !replayed.dry_run {
        lines.push(format!(
            "  requests   {}, {} records put again",
            show_count(replayed.requests),
            show_count(replayed.put_again)
        ));
    }
    lines.push(format!("  took       {:.1} s", replayed.seconds));
    lines
}
