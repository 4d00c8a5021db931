//! A made-up Firehose archive of any size, as real as we can make it: for tests and benches.
//!
//! In: options with a seed, and a store. Out: objects in Firehose's layout, and a report of what
//! they hold. The same options give the same keys and the same bytes, whatever the number of
//! threads. What can go wrong: options that make no sense, and the store. Memory: at most
//! 64 MiB of finished objects, one object in the making per thread, and the plan of
//! messages that are still to arrive.

mod asff;
mod calendar;
mod catalog;
mod health;
mod json_text;
mod noise;
mod object;
mod ocsf;
mod pack;
mod phrases;
mod plan;
mod random;
mod report;
mod story;
#[cfg(test)]
mod tests;
mod words;
mod world;

use std::io;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream;
use rayon::prelude::*;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::store::{Store, StoreError};
use object::MadeObject;
use plan::{ObjectPlan, Plan};
use report::Tally;
use world::World;

pub use report::{GenerateReport, Messages};

/// Finished objects that wait for the store or are on their way, in KiB.
const IN_FLIGHT_KIB: u32 = 64 * 1024;
/// Objects on their way to the store at a time.
const PUTS: usize = 16;
/// Messages made between two hand-overs, unless one object has more.
const BATCH_MESSAGES: usize = 8_000;

/// How objects are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Mostly gzip, all others now and then, and some objects under another suffix.
    Mix,
    /// As Firehose's `GZIP`.
    Gzip,
    /// As Firehose's `UNCOMPRESSED`.
    None,
    /// As Firehose's `ZIP`.
    Zip,
    /// Not by Firehose, but by those who pack its objects again.
    Zstd,
    /// As Firehose's `Snappy`.
    Snappy,
    /// As Firehose's `HADOOP_SNAPPY`.
    HadoopSnappy,
}

/// What archive to make. All shares are from 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerateOptions {
    /// Objects, those under the error prefix among them; fewer where messages do not suffice.
    pub objects: u64,
    /// Messages (EventBridge events): each page and each copy counts.
    pub events: u64,
    /// Days that the archive spans.
    pub days: u32,
    /// Its first day, UTC.
    pub start: jiff::civil::Date,
    /// All randomness comes from it.
    pub seed: u64,
    /// What keys begin with, before the date; `""` or with a slash at its end.
    pub prefix: String,
    /// The name of the delivery stream.
    pub stream: String,
    /// Share of native Health events; the next five stand in proportion to it.
    pub native: f64,
    /// Share of Health findings in ASFF.
    pub asff: f64,
    /// Share of Health findings in OCSF.
    pub ocsf: f64,
    /// Share of other products' findings in ASFF.
    pub other_asff: f64,
    /// Share of other products' findings in OCSF.
    pub other_ocsf: f64,
    /// Share of events that hold no finding.
    pub noise: f64,
    /// Share of messages that come again, byte for byte.
    pub duplicates: f64,
    /// Share of native events that come in pages.
    pub pages: f64,
    /// Share of messages that come by way of another Region as well.
    pub backup_copies: f64,
    /// Share of native events of an old or odd form.
    pub oddities: f64,
    /// Share of messages before which bytes stand that are no document.
    pub bad_bytes: f64,
    /// Share of messages that lie in error records under `error/processing-failed/`.
    pub error_records: f64,
    /// Share of messages that arrive hours or days late.
    pub late: f64,
    /// How objects are compressed.
    pub compression: Compression,
    /// Accounts of the organization.
    pub accounts: u32,
    /// Regions in use; there are 16.
    pub regions: u8,
}

/// Why an archive was not made.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// Options that make no sense.
    #[error("{0}")]
    Options(String),
    /// A compressor failed.
    #[error("compressing an object: {0}")]
    Compress(#[from] io::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The thread that makes objects ended early.
    #[error("making objects: {0}")]
    Stopped(String),
}

impl Default for GenerateOptions {
    fn default() -> Self {
        Self {
            objects: 96,
            events: 10_000,
            days: 30,
            start: jiff::civil::date(2026, 8, 1),
            seed: 1,
            prefix: "health/".to_owned(),
            stream: "health-events".to_owned(),
            native: 0.60,
            asff: 0.12,
            ocsf: 0.05,
            other_asff: 0.14,
            other_ocsf: 0.05,
            noise: 0.04,
            duplicates: 0.02,
            pages: 0.01,
            backup_copies: 0.10,
            oddities: 0.02,
            bad_bytes: 0.0005,
            error_records: 0.002,
            late: 0.005,
            compression: Compression::Mix,
            accounts: 40,
            regions: 12,
        }
    }
}

impl GenerateOptions {
    /// Tells what makes no sense.
    fn check(&self) -> Result<(), GenerateError> {
        let shares = [
            ("duplicates", self.duplicates),
            ("pages", self.pages),
            ("backup copies", self.backup_copies),
            ("oddities", self.oddities),
            ("bad bytes", self.bad_bytes),
            ("error records", self.error_records),
            ("late messages", self.late),
        ];
        let kinds =
            [self.native, self.asff, self.ocsf, self.other_asff, self.other_ocsf, self.noise];
        let wrong = |text: String| Err(GenerateError::Options(text));
        if let Some((name, share)) = shares.iter().find(|(_, share)| !(0.0..=1.0).contains(share)) {
            return wrong(format!("the share of {name} must lie from 0 to 1: {share}"));
        }
        if kinds.iter().any(|share| !(share.is_finite() && *share >= 0.0))
            || kinds.iter().sum::<f64>() <= 0.0
        {
            return wrong("the shares of kinds must not be negative, and not all 0".to_owned());
        }
        let counts = [
            ("objects", self.objects, 1, 100_000_000),
            ("events", self.events, 1, 10_000_000_000),
            ("days", self.days.into(), 1, 3_650),
            ("accounts", self.accounts.into(), 1, 4_000),
            ("regions", self.regions.into(), 1, 16),
        ];
        for (name, count, least, most) in counts {
            if !(least..=most).contains(&count) {
                return wrong(format!("{name} must lie from {least} to {most}: {count}"));
            }
        }
        if self.start.year() < 2015 || self.start.year() > 2089 {
            return wrong(format!("the start must lie from 2015 to 2089: {}", self.start));
        }
        let prefix_fits = self.prefix.is_empty() || self.prefix.ends_with('/');
        if !prefix_fits || self.stream.is_empty() || self.stream.len() > 64 {
            return wrong(
                "a prefix ends with a slash, and a stream has 1 to 64 letters".to_owned(),
            );
        }
        Ok(())
    }
}

/// Makes the archive in the store. Needs a tokio runtime; objects are made on rayon's threads.
///
/// # Errors
/// [`GenerateError`]; objects that were written before stay.
pub async fn generate(
    store: &dyn Store,
    options: &GenerateOptions,
) -> Result<GenerateReport, GenerateError> {
    let options = options.clone();
    let (sender, mut receiver) = mpsc::channel::<Finished>(PUTS);
    let runtime = tokio::runtime::Handle::current();
    let maker = tokio::task::spawn_blocking(move || make_all(&options, &sender, &runtime));
    let mut puts = stream::poll_fn(move |context| receiver.poll_recv(context))
        .map(|finished| async move {
            let Finished { object, permit } = finished;
            store.put(&object.key, object.bytes, &object.sha256).await?;
            drop(permit);
            Ok::<Tally, StoreError>(object.tally)
        })
        .buffer_unordered(PUTS);
    let mut tally = Tally::default();
    while let Some(put) = puts.next().await {
        // On an error the receiver goes away, which ends the maker at its next object.
        tally += put?;
    }
    drop(puts);
    maker.await.map_err(|error| GenerateError::Stopped(error.to_string()))??;
    Ok(tally.report())
}

/// An object on its way, with its share of what may be in flight.
struct Finished {
    object: MadeObject,
    permit: OwnedSemaphorePermit,
}

/// Makes one batch of objects after the other on all cores, and hands them over.
fn make_all(
    options: &GenerateOptions,
    sender: &mpsc::Sender<Finished>,
    runtime: &tokio::runtime::Handle,
) -> Result<(), GenerateError> {
    let world = World::new(options)?;
    let room = Arc::new(Semaphore::new(IN_FLIGHT_KIB as usize));
    let mut plan = Plan::new(&world);
    loop {
        let batch = next_batch(&mut plan);
        if batch.is_empty() {
            return Ok(());
        }
        batch.into_par_iter().try_for_each(|objects| -> Result<(), GenerateError> {
            let object = object::make(&world, &objects)?;
            let kib = u32::try_from(object.bytes.len() / 1024 + 1).unwrap_or(u32::MAX);
            let permits = Arc::clone(&room).acquire_many_owned(kib.min(IN_FLIGHT_KIB));
            let closed = |error: &dyn std::fmt::Display| GenerateError::Stopped(error.to_string());
            let permit = runtime.block_on(permits).map_err(|error| closed(&error))?;
            sender.blocking_send(Finished { object, permit }).map_err(|error| closed(&error))
        })?;
    }
}

/// Plans for the objects of one batch; at least one object, unless there is none left.
fn next_batch(plan: &mut Plan<'_>) -> Vec<ObjectPlan> {
    let mut batch = Vec::new();
    let mut messages = 0;
    let least = rayon::current_num_threads();
    while messages < BATCH_MESSAGES || batch.len() < least {
        let Some(object) = plan.next() else { break };
        messages += object.deliveries.len();
        batch.push(object);
    }
    batch
}
