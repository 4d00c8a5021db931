//! Bytes a second by stage: reading one object, and the whole job from memory to memory.
//!
//! `cargo bench` measures; `cargo bench -- --test` runs each once. Throughput counts decompressed
//! JSON bytes. The archive is generated, seeded, and the same everywhere.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a bench that cannot run may stop as it likes"
)]

use std::hint::black_box;
use std::io::Cursor;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use futures::TryStreamExt as _;
use globset::GlobSet;
use healthtrail::archive::discover::DiscoverOptions;
use healthtrail::archive::read::{ObjectReader, ReadOptions};
use healthtrail::finding::limits::CountLimits;
use healthtrail::finding::place::Place;
use healthtrail::finding::product::Products;
use healthtrail::finding::rows::RowsBuilder;
use healthtrail::generate::{Compression, GenerateOptions, generate};
use healthtrail::job::options::RunOptions;
use healthtrail::job::plan::{Archive, Hours};
use healthtrail::job::progress::Progress;
use healthtrail::job::run::run;
use healthtrail::store::{GetOptions, Memory, Store};
use jiff::tz::TimeZone;
use tokio::runtime::Runtime;

/// Messages of the archive that one object holds: about 10 MB of JSON.
const OBJECT_MESSAGES: u64 = 4_000;
/// Messages and objects of the archive that a whole run reads: about 50 MB of JSON.
const RUN_MESSAGES: u64 = 20_000;
const RUN_OBJECTS: u64 = 60;

/// What of the defaults an archive differs in.
type Change = fn(&mut GenerateOptions);

fn archive(runtime: &Runtime, objects: u64, events: u64, change: Change) -> (Memory, u64) {
    let mut options = GenerateOptions { objects, events, days: 2, ..GenerateOptions::default() };
    options.error_records = 0.0;
    change(&mut options);
    let store = Memory::new("archive");
    let report = runtime.block_on(generate(&store, &options)).unwrap();
    (store, report.raw_bytes)
}

async fn only_object(store: &Memory) -> Bytes {
    let listed: Vec<_> = store.list("").try_collect().await.unwrap();
    store.get(&listed[0].key, GetOptions::default()).await.unwrap()
}

fn read(bytes: &Bytes, products: Products) -> usize {
    let place = Place { object: "s3://archive/x".into(), etag: "e".into(), arrived_hour_ms: 0 };
    let options = ReadOptions {
        products,
        object_bytes_max: 1 << 30,
        document_bytes_max: 16 << 20,
        counts: CountLimits::DEFAULT,
    };
    let mut reader = ObjectReader::new(Box::new(Cursor::new(bytes.clone())), place, &options);
    let (mut rows, mut rejects) = (RowsBuilder::new(), Vec::new());
    reader.read_into(&mut rows, &mut rejects, usize::MAX).unwrap();
    rows.finish().batch.num_rows() + rejects.len()
}

/// One object on one thread: unpack, split, recognize, normalize, build Arrow.
fn reading(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let mut group = criterion.benchmark_group("read");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    let shapes: [(&str, Products, Change); 4] = [
        ("native", Products::Health, |options| {
            (options.asff, options.ocsf, options.other_asff, options.other_ocsf) =
                (0.0, 0.0, 0.0, 0.0);
        }),
        ("asff", Products::All, |options| {
            (options.native, options.ocsf, options.other_ocsf) = (0.0, 0.0, 0.0);
        }),
        ("ocsf", Products::All, |options| {
            (options.native, options.asff, options.other_asff) = (0.0, 0.0, 0.0);
        }),
        ("passed_over", Products::Health, |options| {
            (options.native, options.asff, options.ocsf) = (0.0, 0.0, 0.0);
        }),
    ];
    for (name, products, change) in shapes {
        let (store, raw_bytes) = archive(&runtime, 1, OBJECT_MESSAGES, change);
        let bytes = runtime.block_on(only_object(&store));
        group.throughput(Throughput::Bytes(raw_bytes));
        group.bench_with_input(BenchmarkId::new(name, raw_bytes), &bytes, |bencher, bytes| {
            bencher.iter(|| black_box(read(bytes, products)));
        });
    }
    group.finish();
}

/// The whole job, from a store in memory to a store in memory, on one and on two threads.
fn whole(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let (store, raw_bytes) = archive(&runtime, RUN_OBJECTS, RUN_MESSAGES, |options| {
        options.compression = Compression::Gzip;
    });
    let archive: Arc<dyn Store> = Arc::new(store);
    let mut group = criterion.benchmark_group("run");
    group
        .sampling_mode(SamplingMode::Flat)
        .sample_size(10)
        .throughput(Throughput::Bytes(raw_bytes));
    for threads in [1, 2] {
        group.bench_function(BenchmarkId::new("threads", threads), |bencher| {
            bencher.iter(|| {
                let options = RunOptions {
                    archives: vec![Archive { store: Arc::clone(&archive), prefix: String::new() }],
                    lake: Some(Arc::new(Memory::new("lake"))),
                    products: None,
                    partition: None,
                    hours: Hours { since_ms: None, until_ms: None },
                    discover: DiscoverOptions { exclude: GlobSet::empty(), zone: TimeZone::UTC },
                    deadline: None,
                    threads,
                    memory_bytes: 1 << 30,
                    wave_objects: None,
                    fetches: 4,
                    object_bytes_max: 1 << 30,
                    document_bytes_max: 16 << 20,
                    counts: CountLimits::DEFAULT,
                    redact: false,
                    progress: Arc::new(Progress::default()),
                };
                black_box(runtime.block_on(run(&options)).unwrap())
            });
        });
    }
    group.finish();
}

criterion_group!(stages, reading, whole);
criterion_main!(stages);
