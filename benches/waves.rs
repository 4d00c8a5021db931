//! What the driver of a run in two halves has to hold and to write, for an archive of ten million objects in ten
//! thousand days: nothing is read, the outcome of each object is made up, and everything else is done.
//!
//!     cargo bench --bench waves                        # 10,000,000 objects, 10,000 days
//!     cargo bench --bench waves -- 1000000 1000 0      # objects, days, objects of a wave (0: the default)

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a bench")]

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt as _};
use globset::GlobSet;
use healthtrail::archive::discover::DiscoverOptions;
use healthtrail::finding::limits::CountLimits;
use healthtrail::finding::tally::Tally;
use healthtrail::job::options::RunOptions;
use healthtrail::job::plan::{Archive, Hours};
use healthtrail::job::progress::Progress;
use healthtrail::job::shuffle::{Committed, Driver, Kind, WavePlan};
use healthtrail::lake::layout::{Partition, PartitionBy, Table, part_key, staged_part_key};
use healthtrail::lake::record::FileRecord;
use healthtrail::store::{
    Folder, GetOptions, ObjectMeta, Store, StoreError, StoreErrorKind, StoreResult, sha256_hex,
};
use jiff::tz::TimeZone;

const DAY_MS: i64 = 86_400_000;
/// 1998-01-01T00:00:00Z: ten thousand days end in 2025.
const FIRST_MS: i64 = 883_612_800_000;

/// An archive that is only listed.
#[derive(Debug)]
struct Listed {
    objects: u64,
    days: u64,
}

impl Listed {
    fn object(&self, number: u64) -> ObjectMeta {
        let day = number * self.days / self.objects;
        let at_ms = FIRST_MS + i64::try_from(day).unwrap() * DAY_MS;
        let date = jiff::Timestamp::from_millisecond(at_ms).unwrap();
        let (date, hour) = (date.strftime("%Y-%m-%d"), number % 24);
        let folder = date.to_string().replace('-', "/");
        let key = format!(
            "health/{folder}/{hour:02}/stream-1-{date}-{hour:02}-00-00-{number:08x}-0000-4000-8000-0.gz"
        );
        ObjectMeta {
            key,
            size: 1 << 20,
            etag: format!("{number:032x}"),
            last_modified_ms: at_ms,
            archived: false,
            sha256: None,
        }
    }
}

fn only_listed<T>(key: &str) -> BoxFuture<'_, StoreResult<T>>
where
    T: Send + 'static,
{
    let error = StoreError::new(StoreErrorKind::Other, "reading", key, "is only listed");
    Box::pin(std::future::ready(Err(error)))
}

impl Store for Listed {
    fn base_uri(&self) -> &'static str {
        "memory://archive"
    }

    fn list<'a>(&'a self, _: &'a str) -> BoxStream<'a, StoreResult<ObjectMeta>> {
        stream::iter((0..self.objects).map(|number| Ok(self.object(number)))).boxed()
    }

    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Option<ObjectMeta>>> {
        only_listed(key)
    }

    fn get<'a>(&'a self, key: &'a str, _: GetOptions) -> BoxFuture<'a, StoreResult<Bytes>> {
        only_listed(key)
    }

    fn put<'a>(&'a self, key: &'a str, _: Bytes, _: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        only_listed(key)
    }

    fn put_new<'a>(&'a self, key: &'a str, _: Bytes, _: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        only_listed(key)
    }

    fn copy_new<'a>(&'a self, from: &'a str, _: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        only_listed(from)
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        only_listed(key)
    }

    fn retries(&self) -> u64 {
        0
    }
}

fn options(archive: Arc<dyn Store>, lake: Arc<dyn Store>, wave: usize) -> RunOptions {
    RunOptions {
        archives: vec![Archive { store: archive, prefix: String::new() }],
        lake: Some(lake),
        products: None,
        partition: None,
        hours: Hours { since_ms: None, until_ms: None },
        discover: DiscoverOptions { exclude: GlobSet::empty(), zone: TimeZone::UTC },
        deadline: None,
        threads: 1,
        memory_bytes: 1 << 30,
        wave_objects: Some(wave).filter(|wave| *wave > 0),
        fetches: 16,
        object_bytes_max: 1 << 30,
        document_bytes_max: 16 << 20,
        counts: CountLimits::DEFAULT,
        redact: false,
        progress: Arc::new(Progress::default()),
    }
}

/// What the second half would say: each object was read, each day of the wave has one part.
async fn told(wave: &WavePlan, lake: &dyn Store) -> Vec<(Kind, Vec<u8>)> {
    let tally = serde_json::to_string(&Tally::default()).unwrap();
    let mut told = Vec::new();
    let mut days = std::collections::BTreeSet::new();
    for task in &wave.tasks {
        let (_, objects): (u64, Vec<serde_json::Value>) = serde_json::from_slice(task).unwrap();
        let ends = objects.iter().map(|object| {
            let hour_ms = object.get("hour_ms").and_then(serde_json::Value::as_i64).unwrap();
            days.insert(hour_ms.div_euclid(DAY_MS) * DAY_MS);
            format!(r#"{{"index":{},"end":{{"read":{tally}}}}}"#, object.get("index").unwrap())
        });
        let ends: Vec<String> = ends.collect();
        told.push((Kind::Objects, format!("[{}]", ends.join(",")).into_bytes()));
    }
    for day_ms in days {
        let bytes = Bytes::from(day_ms.to_string());
        let sha256 = sha256_hex(&bytes);
        let staged = staged_part_key(wave.number, "bench", &sha256);
        let length = bytes.len() as u64;
        lake.put(&staged, bytes, &sha256).await.unwrap();
        let partition = Partition::of(day_ms, PartitionBy::Day);
        let file = FileRecord {
            table: Table::Rejects,
            partition,
            key: part_key(Table::Rejects, partition, wave.number, &sha256),
            staged,
            rows: 0,
            bytes: length,
            sha256,
            time_ms: (day_ms, day_ms),
            ids: ("0".repeat(32), "f".repeat(32)),
        };
        told.push((Kind::Part, serde_json::to_vec(&file).unwrap()));
    }
    told
}

/// The peak memory since the last call, in MB; 0 where the system does not tell.
fn peak_megabytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
    drop(std::fs::write("/proc/self/clear_refs", "5"));
    kilobytes.unwrap_or(0_u64) / 1_000
}

#[tokio::main]
async fn main() {
    let numbers: Vec<u64> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    let number = |at: usize, default: u64| numbers.get(at).copied().unwrap_or(default);
    let (objects, days) = (number(0, 10_000_000), number(1, 10_000));
    let wave_objects = usize::try_from(number(2, 0)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let lake: Arc<dyn Store> = Arc::new(Folder::open(folder.path(), true).await.unwrap());
    let archive = Arc::new(Listed { objects, days });
    let begun = Instant::now();
    let options = options(archive, Arc::clone(&lake), wave_objects);
    let mut driver = Driver::begin(&options).await.unwrap();
    println!(
        "{objects} objects in {days} days planned in {:.1} s, {} MB at most",
        begun.elapsed().as_secs_f64(),
        peak_megabytes()
    );
    println!(
        "{:>6} {:>8} {:>6} {:>9} {:>9} {:>7} {:>7} {:>9} {:>8} {:>9} {:>6}",
        "commit",
        "objects",
        "tasks",
        "task B",
        "context B",
        "groups",
        "files",
        "record B",
        "list B",
        "commit s",
        "MB"
    );
    while let Some(wave) = driver.next_wave(64 << 20).await.unwrap() {
        let told = told(&wave, lake.as_ref()).await;
        let begun = Instant::now();
        assert_eq!(driver.commit(told).await.unwrap(), Committed::Done);
        let seconds = begun.elapsed().as_secs_f64();
        let record = healthtrail::lake::layout::record_key(wave.number);
        let record = lake.get(&record, GetOptions::own()).await.unwrap();
        let json: serde_json::Value = serde_json::from_slice(&record).unwrap();
        let list = json.pointer("/objects/file/bytes").and_then(serde_json::Value::as_u64);
        println!(
            "{:>6} {:>8} {:>6} {:>9} {:>9} {:>7} {:>7} {:>9} {:>8} {:>9.1} {:>6}",
            wave.number,
            wave.objects,
            wave.tasks.len(),
            wave.tasks.iter().map(Vec::len).max().unwrap_or(0),
            wave.context.len(),
            wave.groups,
            wave.files.len(),
            record.len(),
            list.unwrap_or(0),
            seconds,
            peak_megabytes()
        );
    }
    let summary = driver.finish().await.unwrap();
    println!("{} commits in {:.0} s", summary.commits, begun.elapsed().as_secs_f64());
}
