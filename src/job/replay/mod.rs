//! `replay`: the records of an archive, or what a lake's rejects have kept, into a Firehose stream.
//!
//! In: [`ReplayOptions`]. Out: records in the stream, and [`Replayed`], whose sums hold: what was read was
//! sent, skipped or refused. Each document is one record, byte for byte; a failed record is sent as it was
//! before Firehose wrapped it. Wrong: a store or a stream that gives no answer; then the same replay, with
//! its state, goes on where it was. A record may be sent twice, which a lake takes as once. Memory: that of
//! `records`, and one batch of 4 MiB with its base64; some 300 bytes for each object that is listed.

mod pace;
mod plan;
mod records;
mod send;
mod state;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinHandle;

use self::pace::Pace;
use self::plan::{go_on, list};
pub use self::records::{Cursor, ErrorRecords};
use self::records::{Item, Origin, QUEUE, ReadAs, What, read_archives, read_rejects};
use self::send::Sending;
use self::state::{Identity, State};
use crate::archive::discover::DiscoverOptions;
use crate::finding::identity::IDENTITY_VERSION;
use crate::job::options::UsageError;
use crate::job::plan::{Archive, Hours};
use crate::job::progress::Progress;
use crate::job::stream::Holds;
use crate::job::stream::derive::{DIRECT_PUT, Derived};
use crate::lake::LakeError;
use crate::lake::config::LakeConfig;
use crate::lake::layout::CONFIG;
use crate::lake::log::Log;
use crate::lake::reject_rows::RejectFilter;
use crate::store::Store;
use crate::store::firehose::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, Firehose, RECORD_BYTES_MAX};

/// Records that were not sent and are named; all are counted.
pub const NAMED_MAX: usize = 1_000;

/// The default of `--bytes-per-second`: half of what Firehose takes in its smallest Regions, 1 MiB/s for one
/// stream (docs.aws.amazon.com/firehose/latest/dev/limits.html), since the stream has other work too.
pub const BYTES_PER_SECOND: u64 = 512 << 10;

/// The default of `--records-per-second`: below every quota that there ever was (the same page).
pub const RECORDS_PER_SECOND: u64 = 900;

/// Items after which progress is noted even when nothing is sent.
const ITEMS_MAX: u64 = 10_000;

/// What to send.
#[derive(Debug, Clone)]
pub enum ReplayFrom {
    /// Every document of archives.
    Archives {
        /// At least one.
        archives: Vec<Archive>,
        /// Which arrival hours.
        hours: Hours,
        /// What to skip, and how to read keys.
        discover: DiscoverOptions,
    },
    /// What rejects that wait have kept.
    Rejects {
        /// The lake.
        lake: Arc<dyn Store>,
        /// Which of them.
        filter: RejectFilter,
    },
}

/// What a replay is to do.
#[derive(Debug)]
pub struct ReplayOptions {
    /// What to send.
    pub from: ReplayFrom,
    /// Where to.
    pub to: Firehose,
    /// What that stream fills, as far as it could be asked.
    pub target: Option<Derived>,
    /// What to do with Firehose's own records of failures.
    pub error_records: ErrorRecords,
    /// Most decompressed bytes of one object.
    pub object_bytes_max: u64,
    /// Longest document that is looked for; longer ones are unreadable bytes.
    pub document_bytes_max: usize,
    /// Records to send in a second, at most.
    pub records_per_second: u64,
    /// Bytes to send in a second, at most.
    pub bytes_per_second: u64,
    /// The first pause before something is sent again.
    pub pause: Duration,
    /// Where to note how far it is.
    pub state: Option<PathBuf>,
    /// Read and count, and send nothing.
    pub dry_run: bool,
    /// Counters to move: objects, and records as rows with their bytes.
    pub progress: Arc<Progress>,
}

/// What became of the documents; over all repetitions that share a state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Objects read to their end.
    pub objects: u64,
    /// Objects that could not be read.
    pub failed_objects: u64,
    /// Documents, and stretches of bytes that are none.
    pub read: u64,
    /// Taken by the stream; in a dry run what would be sent.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Not sent, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// Refused by the stream for good.
    pub refused: u64,
}

/// A record that was not sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotSent {
    /// URI of the object.
    pub object: String,
    /// First byte in the decompressed object.
    pub offset: u64,
    /// How many bytes.
    pub length: u64,
    /// Why, in a word.
    pub reason: String,
    /// Why, in more words.
    pub detail: String,
}

/// What a replay did.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Replayed {
    /// Nothing was sent.
    pub dry_run: bool,
    /// It went on where an earlier one had been stopped.
    pub resumed: bool,
    /// Objects listed.
    pub listed: u64,
    /// Of these, outside of the hours asked for, empty, or excluded.
    pub left: u64,
    /// Of these, done before this repetition.
    pub done_before: u64,
    /// What became of the documents.
    pub counts: Counts,
    /// Requests to the stream, this time.
    pub requests: u64,
    /// Records that were put again after the stream did not take them, this time.
    pub put_again: u64,
    /// Records of this time that were not sent though they should have been; at most [`NAMED_MAX`].
    pub not_sent: Vec<NotSent>,
    /// How long it took.
    pub seconds: f64,
}

impl Replayed {
    /// Whether everything was sent that should have been.
    pub fn is_whole(&self) -> bool {
        let lost = |reason: &&String| is_loss(reason);
        let counts = &self.counts;
        counts.refused == 0
            && counts.failed_objects == 0
            && !counts.skipped.keys().any(|r| lost(&r))
    }
}

/// Whether a document that is skipped for this reason should have been sent.
fn is_loss(reason: &str) -> bool {
    matches!(reason, "too_large" | "unreadable" | "cut")
}

impl Counts {
    /// All that were skipped.
    pub fn skipped_sum(&self) -> u64 {
        self.skipped.values().sum()
    }

    /// Read = sent + skipped + refused.
    fn check(&self) -> anyhow::Result<()> {
        if self.read == self.sent + self.skipped_sum() + self.refused {
            return Ok(());
        }
        bail!("the counts of the replay do not add up, which is a defect of healthtrail: {self:?}")
    }
}

/// Sends records into a stream.
///
/// # Errors
/// When what is asked for makes no sense, when a store or the stream does not answer, and when the stream
/// takes nothing any more. What was sent until then stays sent, and is in the state.
pub async fn replay(options: &ReplayOptions) -> anyhow::Result<Replayed> {
    let begun = Instant::now();
    let identity = identity(options);
    check_target(options, &identity)?;
    let before = match &options.state {
        Some(file) => State::read(file, &identity)?,
        None => None,
    };
    let mut replayed = Replayed {
        dry_run: options.dry_run,
        resumed: before.is_some(),
        counts: before.as_ref().map_or_else(Counts::default, |state| state.counts.clone()),
        ..Replayed::default()
    };
    let (items, reading) =
        read(options, before.map(|state| state.done_until), &mut replayed).await?;
    let pace = Pace::new(options.records_per_second, options.bytes_per_second);
    let mut conductor = Conductor {
        options,
        identity,
        sending: Sending::new(&options.to, pace, options.pause),
        batch: Batch::default(),
        replayed,
    };
    conductor.conduct(items).await?;
    reading.await??;
    let mut replayed = conductor.replayed;
    replayed.requests = conductor.sending.requests;
    replayed.put_again = conductor.sending.again;
    replayed.seconds = begun.elapsed().as_secs_f64();
    replayed.counts.check()?;
    Ok(replayed)
}

fn identity(options: &ReplayOptions) -> Identity {
    let (from, since_ms, until_ms, reasons) = match &options.from {
        ReplayFrom::Archives { archives, hours, .. } => {
            let from = archives.iter().map(Archive::uri_prefix).collect();
            (from, hours.since_ms, hours.until_ms, Vec::new())
        }
        ReplayFrom::Rejects { lake, filter } => {
            let from = vec![format!("rejects of {}", lake.base_uri())];
            (from, filter.since_ms, filter.until_ms, filter.reasons.clone())
        }
    };
    let (to, error_records) = (options.to.uri().to_owned(), options.error_records);
    Identity { from, to, error_records, since_ms, until_ms, reasons }
}

/// The stream must take records, and not fill what is being read.
fn check_target(options: &ReplayOptions, identity: &Identity) -> anyhow::Result<()> {
    let Some(target) = &options.target else { return Ok(()) };
    let uri = options.to.uri();
    if target.source != DIRECT_PUT {
        bail!(UsageError(format!(
            "records cannot be put into `{uri}`: its source is {}; replay into a stream whose source is \
             {DIRECT_PUT}",
            target.source
        )));
    }
    if target.status != "ACTIVE" {
        bail!("`{uri}` takes no records: it is {}; run again when it is active", target.status);
    }
    for place in target.places.iter().filter(|place| place.holds != Holds::Failed) {
        let filled = format!("s3://{}/{}", place.bucket, place.prefix);
        for from in &identity.from {
            let is_failed = target.failed_prefixes.iter().any(|failed| {
                let failed = format!("s3://{}/{failed}", place.bucket);
                from.starts_with(&failed) && !filled.starts_with(&failed)
            });
            if (filled.starts_with(from) || from.starts_with(&filled)) && !is_failed {
                bail!(UsageError(format!(
                    "`{uri}` delivers into `{filled}`, so that replaying `{from}` would double it; replay \
                     into another stream, or only failed records with --failed"
                )));
            }
        }
    }
    Ok(())
}

type Items = Receiver<Vec<Item>>;
type Reading = JoinHandle<anyhow::Result<()>>;

/// Begins to read what is not done yet.
async fn read(
    options: &ReplayOptions,
    done_until: Option<Cursor>,
    replayed: &mut Replayed,
) -> anyhow::Result<(Items, Reading)> {
    let (sender, items) = channel(QUEUE);
    let read_as = ReadAs {
        error_records: options.error_records,
        object_bytes_max: options.object_bytes_max,
        document_bytes_max: options.document_bytes_max,
    };
    match &options.from {
        ReplayFrom::Archives { archives, hours, discover } => {
            let listed = list(archives, *hours, discover, &options.progress, replayed).await?;
            let count = listed.len() as u64;
            let sources = match done_until {
                Some(cursor) => go_on(listed, &cursor),
                None => listed,
            };
            replayed.done_before = count - sources.len() as u64;
            Progress::add(&options.progress.objects_planned, sources.len() as u64);
            let reading = read_archives(archives.clone(), sources, read_as, sender);
            Ok((items, tokio::spawn(reading)))
        }
        ReplayFrom::Rejects { lake, filter } => {
            if LakeConfig::open(lake.as_ref(), IDENTITY_VERSION).await?.is_none() {
                let message = format!("there is no lake at `{}`", lake.base_uri());
                let hint = "give the folder or prefix that `healthtrail run --to` filled";
                return Err(LakeError::refused(CONFIG, message, hint).into());
            }
            let log = Log::new(Arc::clone(lake));
            let mut ledger = log.load().await?;
            log.look(&mut ledger).await?;
            let (version, done) = match done_until {
                Some(Cursor::Lake { version, rejects }) => (version, rejects),
                _ => (ledger.version(), 0),
            };
            if ledger.last_withdrawal() > version {
                bail!(UsageError(
                    "files were taken out of the lake since this replay began, so that it is not known \
                     which rejects are done; begin with a new --state"
                        .to_owned()
                ));
            }
            let (lake, filter) = (Arc::clone(lake), filter.clone());
            let as_ = options.error_records;
            let reading = read_rejects(lake, ledger, version, done, filter, as_, sender);
            Ok((items, tokio::spawn(reading)))
        }
    }
}

/// What is sent together.
#[derive(Debug, Default)]
struct Batch {
    records: Vec<Bytes>,
    origins: Vec<Origin>,
    bytes: usize,
    items: u64,
    counts: Counts,
    not_sent: Vec<NotSent>,
    cursor: Option<Cursor>,
}

struct Conductor<'a> {
    options: &'a ReplayOptions,
    identity: Identity,
    sending: Sending<'a>,
    batch: Batch,
    replayed: Replayed,
}

impl Conductor<'_> {
    /// Takes items as they come, and sends batch after batch. What was read before the reading failed is
    /// sent still.
    async fn conduct(&mut self, mut items: Items) -> anyhow::Result<()> {
        // No request takes more than a second has.
        let bytes_max = usize::try_from(self.options.bytes_per_second).unwrap_or(usize::MAX);
        let bytes_max = bytes_max.clamp(RECORD_BYTES_MAX, BATCH_BYTES_MAX);
        let records_max = usize::try_from(self.options.records_per_second).unwrap_or(usize::MAX);
        let records_max = records_max.clamp(1, BATCH_RECORDS_MAX);
        while let Some(chunk) = items.recv().await {
            for item in chunk {
                let bytes = match &item.what {
                    What::Record(record) => record.len(),
                    _ => 0,
                };
                let is_full = bytes > 0
                    && (self.batch.records.len() >= records_max
                        || self.batch.bytes + bytes > bytes_max);
                if is_full || self.batch.items >= ITEMS_MAX {
                    self.flush().await?;
                }
                self.take(item);
            }
        }
        self.flush().await
    }

    fn take(&mut self, item: Item) {
        let batch = &mut self.batch;
        batch.items += 1;
        batch.cursor = Some(item.cursor);
        let counts = &mut batch.counts;
        match item.what {
            What::Record(record) => {
                counts.read += 1;
                batch.bytes += record.len();
                batch.records.push(record);
                batch.origins.push(item.origin);
            }
            What::Skip(reason, detail) => {
                counts.read += 1;
                *counts.skipped.entry(reason.to_owned()).or_default() += 1;
                if is_loss(reason) {
                    batch.not_sent.push(NotSent::new(&item.origin, reason, detail));
                }
            }
            What::FailedObject(error) => {
                counts.failed_objects += 1;
                let detail = error.to_string();
                batch.not_sent.push(NotSent::new(&item.origin, "object", detail));
                Progress::add(&self.options.progress.objects_read, 1);
            }
            What::End => {
                counts.objects += 1;
                Progress::add(&self.options.progress.objects_read, 1);
            }
        }
    }

    /// Sends what is there, and notes how far that is.
    async fn flush(&mut self) -> anyhow::Result<()> {
        let mut batch = std::mem::take(&mut self.batch);
        let Some(cursor) = batch.cursor else { return Ok(()) };
        if !self.options.dry_run {
            for (index, failure) in self.sending.put(&batch.records).await? {
                let Some(origin) = batch.origins.get(index) else { continue };
                let detail = failure.message;
                batch.not_sent.push(NotSent::new(origin, &failure.code, detail));
                batch.counts.refused += 1;
                batch.bytes -= batch.records.get(index).map_or(0, Bytes::len);
            }
        }
        batch.counts.sent = batch.records.len() as u64 - batch.counts.refused;
        batch.counts.sent_bytes = batch.bytes as u64;
        Progress::add(&self.options.progress.rows_read, batch.counts.sent);
        Progress::add(&self.options.progress.bytes_read, batch.counts.sent_bytes);
        self.replayed.counts.add(batch.counts);
        let room = NAMED_MAX.saturating_sub(self.replayed.not_sent.len());
        self.replayed.not_sent.extend(batch.not_sent.into_iter().take(room));
        if let Some(file) = self.options.state.as_ref().filter(|_| !self.options.dry_run) {
            let counts = self.replayed.counts.clone();
            State::new(self.identity.clone(), cursor, counts).write(file)?;
        }
        Ok(())
    }
}

impl NotSent {
    fn new(origin: &Origin, reason: &str, detail: String) -> Self {
        Self {
            object: origin.object.to_string(),
            offset: origin.offset,
            length: origin.length,
            reason: reason.to_owned(),
            detail,
        }
    }
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.objects += other.objects;
        self.failed_objects += other.failed_objects;
        self.read += other.read;
        self.sent += other.sent;
        self.sent_bytes += other.sent_bytes;
        self.refused += other.refused;
        for (reason, count) in other.skipped {
            *self.skipped.entry(reason).or_default() += count;
        }
    }
}
