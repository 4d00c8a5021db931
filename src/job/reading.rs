//! Reads the objects of a plan ahead, on all threads, and hands the results over in plan order.
//!
//! In: a plan cut into chunks. Out: one [`ChunkRows`] after the other, in the order of the plan. One
//! task of the runtime fetches, bounded by [`Budget::fetched_bytes`]; rayon's threads unpack, split
//! and normalize, at most [`Budget::tasks`] results at a time, each of at most
//! [`Budget::task_bytes`]; what goes beyond comes back as [`ChunkRows::rest`] to be read on when
//! there is room. An object that cannot be fetched fails alone. A panic while reading ends the run.

use std::collections::VecDeque;
use std::io::Cursor;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use rayon::ThreadPool;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::archive::fetch::{RangedSource, fetch};
use crate::archive::read::{ObjectReader, ReadOptions};
use crate::finding::place::Place;
use crate::finding::reject::Reject;
use crate::finding::rows::{Rows, RowsBuilder};
use crate::finding::tally::Tally;
use crate::job::budget::Budget;
use crate::job::panics::{self, Panic};
use crate::job::plan::{Archive, Planned};
use crate::store::fail_point::{self, FailPoint};
use crate::store::{StoreError, StoreErrorKind};

/// Permits of the byte semaphore stand for this many bytes, so that they fit its counter.
const PERMIT_BYTES: u64 = 1024;

/// What reading needs to know.
#[derive(Debug, Clone)]
pub(crate) struct ReadingContext {
    pub(crate) archives: Arc<[Archive]>,
    pub(crate) options: Arc<ReadOptions>,
    pub(crate) budget: Budget,
    pub(crate) fetches: usize,
    pub(crate) pool: Arc<ThreadPool>,
}

/// What a task read: rows and rejects of one or more whole objects, or of a piece of one.
#[derive(Debug)]
pub(crate) struct ChunkRows {
    /// The rows, object after object.
    pub(crate) rows: Rows,
    /// Which object how many of the rows are of, in order.
    pub(crate) row_counts: Vec<(usize, usize)>,
    /// The rejects, with their object.
    pub(crate) rejects: Vec<(usize, Reject)>,
    /// The memory that rows and rejects hold.
    pub(crate) bytes: usize,
    /// Objects that were read to their end.
    pub(crate) finished: Vec<(usize, Tally)>,
    /// Objects that could not be read; nothing of them is in `rows` or `rejects`, but pieces that
    /// came before may hold some of theirs.
    pub(crate) failed: Vec<(usize, StoreError)>,
    /// All objects of the chunk.
    pub(crate) objects: Vec<usize>,
    /// An object failed after some of it may have been handed over in an earlier result.
    pub(crate) broke_off: bool,
    /// More of the same chunk.
    pub(crate) rest: Option<ChunkTask>,
}

/// The results of reading, in plan order.
#[derive(Debug)]
pub(crate) struct Reading {
    context: ReadingContext,
    results: mpsc::Receiver<Pending>,
    workers: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Pending {
    result: oneshot::Receiver<TaskResult>,
    /// One of the places for results; given back when the result is taken.
    _place: OwnedSemaphorePermit,
}

type TaskResult = Result<ChunkRows, Panic>;

impl Reading {
    /// Begins to read `chunks` of `plan`, from the first on.
    pub(crate) fn start(
        context: ReadingContext,
        plan: &[Planned],
        chunks: &[std::ops::Range<usize>],
    ) -> Self {
        let chunks: VecDeque<Vec<(usize, Planned)>> = chunks
            .iter()
            .map(|chunk| {
                let objects = plan.get(chunk.clone()).unwrap_or_default();
                chunk.clone().zip(objects.iter().cloned()).collect()
            })
            .collect();
        let (fetched_sender, fetched) = mpsc::channel(context.budget.tasks * 2);
        let (result_sender, results) = mpsc::channel(context.budget.tasks);
        let feeder = tokio::spawn(feed(context.clone(), chunks, fetched_sender));
        let dispatcher = tokio::spawn(dispatch(context.clone(), fetched, result_sender));
        Self { context, results, workers: vec![feeder, dispatcher] }
    }

    /// The next chunk's first result, or `None` after the last chunk.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<ChunkRows>> {
        match self.results.recv().await {
            Some(pending) => Ok(Some(settle(pending.result).await?)),
            None => self.end().await.map(|()| None),
        }
    }

    /// There are no more results: because that was all, or because a task of the runtime panicked.
    async fn end(&mut self) -> anyhow::Result<()> {
        for worker in self.workers.drain(..) {
            worker.await.map_err(|error| match error.try_into_panic() {
                Ok(panic) => panics::error("fetching objects", &panic),
                Err(error) => error.into(),
            })?;
        }
        Ok(())
    }

    /// Reads on where a result left off.
    pub(crate) async fn resume(&self, task: ChunkTask) -> anyhow::Result<ChunkRows> {
        settle(spawn(&self.context, task)).await
    }

    /// Reads these objects again, by themselves.
    pub(crate) async fn again(&self, objects: Vec<(usize, Planned)>) -> anyhow::Result<ChunkRows> {
        let bytes = Arc::new(Semaphore::new(1));
        let permit = bytes.acquire_owned().await?;
        self.resume(fetch_chunk(self.context.clone(), objects, permit).await).await
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        for worker in &self.workers {
            worker.abort();
        }
    }
}

/// A panic on a rayon thread becomes an error of the run: the code is wrong, and nothing that it
/// did may be committed.
async fn settle(result: oneshot::Receiver<TaskResult>) -> anyhow::Result<ChunkRows> {
    match result.await? {
        Ok(rows) => Ok(rows),
        Err(panic) => Err(panics::error("reading objects", &panic)),
    }
}

/// Fetches chunk after chunk, as far ahead as the bytes allow. Permits are taken in plan order, so
/// the chunk that is wanted next always has its own.
async fn feed(
    context: ReadingContext,
    mut chunks: VecDeque<Vec<(usize, Planned)>>,
    fetched: mpsc::Sender<JoinHandle<ChunkTask>>,
) {
    let permits_max =
        u32::try_from(context.budget.fetched_bytes / PERMIT_BYTES).unwrap_or(u32::MAX);
    let bytes = Arc::new(Semaphore::new(usize::try_from(permits_max).unwrap_or(usize::MAX)));
    while let Some(objects) = chunks.pop_front() {
        let held: u64 = objects.iter().map(|(_, planned)| context.budget.held_bytes(planned)).sum();
        let permits =
            u32::try_from(held.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX).min(permits_max);
        let Ok(permit) = Arc::clone(&bytes).acquire_many_owned(permits).await else { return };
        let task = tokio::spawn(fetch_chunk(context.clone(), objects, permit));
        if fetched.send(task).await.is_err() {
            return;
        }
    }
}

/// Hands fetched chunks to rayon, in order, while there are places for results.
async fn dispatch(
    context: ReadingContext,
    mut fetched: mpsc::Receiver<JoinHandle<ChunkTask>>,
    results: mpsc::Sender<Pending>,
) {
    let places = Arc::new(Semaphore::new(context.budget.tasks));
    while let Some(task) = fetched.recv().await {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let task = match task.await {
            Ok(task) => task,
            // The end of all results tells of it.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return,
        };
        let pending = Pending { result: spawn(&context, task), _place: place };
        if results.send(pending).await.is_err() {
            return;
        }
    }
}

fn spawn(context: &ReadingContext, task: ChunkTask) -> oneshot::Receiver<TaskResult> {
    let (sender, receiver) = oneshot::channel();
    let (options, bytes_max) = (Arc::clone(&context.options), context.budget.task_bytes);
    context.pool.spawn(move || {
        let run = AssertUnwindSafe(|| task.run(&options, bytes_max));
        // Nobody waits for the result any more when the run has ended.
        drop(sender.send(std::panic::catch_unwind(run)));
    });
    receiver
}

impl Budget {
    /// The compressed bytes that an object holds while it is read.
    fn held_bytes(&self, planned: &Planned) -> u64 {
        if planned.meta.size > self.whole_object_bytes {
            2 * self.range_bytes
        } else {
            planned.meta.size
        }
    }
}

/// A chunk whose bytes are there, or that was read in part.
#[derive(Debug)]
pub(crate) struct ChunkTask {
    objects: Vec<usize>,
    waiting: VecDeque<FetchedObject>,
    open: Option<(usize, ObjectReader<'static>)>,
    failed: Vec<(usize, StoreError)>,
    /// The bytes that it holds; given back with the task.
    _bytes: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct FetchedObject {
    index: usize,
    place: Place,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Whole(Bytes),
    Ranges(RangedSource),
}

async fn fetch_chunk(
    context: ReadingContext,
    objects: Vec<(usize, Planned)>,
    permit: OwnedSemaphorePermit,
) -> ChunkTask {
    let indexes = objects.iter().map(|(index, _)| *index).collect();
    let bodies = objects.into_iter().map(|(index, planned)| fetch_object(&context, index, planned));
    let fetched: Vec<_> = futures::stream::iter(bodies).buffered(context.fetches).collect().await;
    let mut task = ChunkTask {
        objects: indexes,
        waiting: VecDeque::new(),
        open: None,
        failed: Vec::new(),
        _bytes: permit,
    };
    for (index, result) in fetched {
        match result {
            Ok((place, body)) => task.waiting.push_back(FetchedObject { index, place, body }),
            Err(error) => task.failed.push((index, error)),
        }
    }
    task
}

async fn fetch_object(
    context: &ReadingContext,
    index: usize,
    planned: Planned,
) -> (usize, Result<(Place, Body), StoreError>) {
    fail_point::reach(FailPoint::Fetching);
    let Some(Archive { store, .. }) = context.archives.get(planned.archive) else {
        let error =
            StoreError::new(StoreErrorKind::Other, "reading", &planned.meta.key, "no such archive");
        return (index, Err(error));
    };
    let meta = planned.meta;
    let place = Place {
        object: store.uri(&meta.key).into(),
        etag: meta.etag.as_str().into(),
        arrived_hour_ms: planned.arrival.hour_ms,
    };
    if meta.size > context.budget.whole_object_bytes {
        let (runtime, store) = (Handle::current(), Arc::clone(store));
        let range_bytes = context.budget.range_bytes;
        let source = RangedSource::new(runtime, store, meta.key, meta.size, meta.etag, range_bytes);
        return (index, Ok((place, Body::Ranges(source))));
    }
    let bytes = fetch(store.as_ref(), &meta.key, meta.size, &meta.etag).await;
    (index, bytes.map(|bytes| (place, Body::Whole(bytes))))
}

impl ChunkTask {
    /// Reads until the chunk ends or the rows and rejects hold `bytes_max`.
    fn run(mut self, options: &ReadOptions, bytes_max: usize) -> ChunkRows {
        let mut builder = RowsBuilder::new();
        let mut rejects = Vec::new();
        let mut out = Results { failed: std::mem::take(&mut self.failed), ..Results::default() };
        while let Some((index, mut reader)) = self.next_open(options) {
            let rows_before = builder.len();
            let mut found = Vec::new();
            let held = out.reject_bytes;
            let most = bytes_max.saturating_sub(held);
            let ended = read_on(&mut reader, &mut builder, &mut found, most);
            out.reject_bytes += found.iter().map(reject_bytes).sum::<usize>();
            match ended {
                Ok(ended) => {
                    rejects.extend(found.into_iter().map(|reject| (index, reject)));
                    out.row_counts.push((index, builder.len() - rows_before));
                    if ended {
                        out.finished.push((index, reader.into_tally()));
                    } else {
                        self.open = Some((index, reader));
                    }
                }
                Err(error) => {
                    // Only an object that is fetched in ranges can fail here, and it is alone in
                    // its chunk: what was built is all of it.
                    builder = RowsBuilder::new();
                    out.broke_off = true;
                    out.failed.push((index, store_error(error, reader.place())));
                }
            }
            if self.open.is_some() || builder.bytes() + out.reject_bytes >= bytes_max {
                break;
            }
        }
        let bytes = builder.bytes() + out.reject_bytes;
        let more = self.open.is_some() || !self.waiting.is_empty();
        ChunkRows {
            rows: builder.finish(),
            row_counts: out.row_counts,
            rejects,
            bytes,
            finished: out.finished,
            failed: out.failed,
            objects: self.objects.clone(),
            broke_off: out.broke_off,
            rest: more.then_some(self),
        }
    }

    fn next_open(&mut self, options: &ReadOptions) -> Option<(usize, ObjectReader<'static>)> {
        if let Some(open) = self.open.take() {
            return Some(open);
        }
        let FetchedObject { index, place, body } = self.waiting.pop_front()?;
        let reader = match body {
            Body::Whole(bytes) => ObjectReader::new(Box::new(Cursor::new(bytes)), place, options),
            Body::Ranges(source) => ObjectReader::new(Box::new(source), place, options),
        };
        Some((index, reader))
    }
}

#[derive(Debug, Default)]
struct Results {
    row_counts: Vec<(usize, usize)>,
    finished: Vec<(usize, Tally)>,
    failed: Vec<(usize, StoreError)>,
    reject_bytes: usize,
    broke_off: bool,
}

/// Reads on in an object; a panic goes on with the object's name, so that a run can leave it out.
fn read_on(
    reader: &mut ObjectReader<'static>,
    rows: &mut RowsBuilder,
    rejects: &mut Vec<Reject>,
    bytes_max: usize,
) -> std::io::Result<bool> {
    let object = Arc::clone(&reader.place().object);
    let read = AssertUnwindSafe(|| {
        fail_point::reach(FailPoint::Reading);
        reader.read_into(rows, rejects, bytes_max)
    });
    std::panic::catch_unwind(read).unwrap_or_else(|_| panics::go_on(&object))
}

/// What a reject holds in memory.
fn reject_bytes(reject: &Reject) -> usize {
    reject.bytes.len() + reject.detail.len() + std::mem::size_of::<Reject>()
}

fn store_error(error: std::io::Error, place: &Place) -> StoreError {
    let message = error.to_string();
    error.into_inner().and_then(|inner| inner.downcast::<StoreError>().ok()).map_or_else(
        || StoreError::new(StoreErrorKind::Other, "reading", place.object.as_ref(), message),
        |error| *error,
    )
}
