//! What the lake's tests share: rows of a few columns, and a store in memory that fails on order.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray, TimestampMillisecondArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, TimeUnit};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{BoxStream, StreamExt};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::dedupe::{PartitionRows, Pick, Wave};
use super::error::LakeResult;
use super::ids::{IdSet, id_text, parse_id};
use super::layout::{PartitionBy, Table};
use super::ledger::Status;
use super::log::{Committed, Log, random_id, sha256_of};
use super::part::encode;
use super::part_ids::known_ids;
use super::record::{
    FileRecord, Limits, ObjectList, ObjectRecord, ObjectTally, Objects, Products, Purpose,
    RECORD_FORMAT, Record, Settings, Totals,
};
use crate::finding::envelope::{Found, Shape};
use crate::finding::json::Json;
use crate::finding::place::{Place, Span};
use crate::finding::rows::{RowKey, Rows, RowsBuilder};
use crate::finding::tally::Tally;
use crate::store::{GetOptions, Memory, ObjectMeta, Store, StoreResult};

/// A row, as far as the lake looks at rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TestRow {
    pub(super) id: u128,
    pub(super) time: i64,
    pub(super) account: &'static str,
    pub(super) backup: bool,
    pub(super) event_time: i64,
    pub(super) event_id: &'static str,
    pub(super) object: &'static str,
    pub(super) offset: i64,
    pub(super) ordinal: u32,
}

impl Default for TestRow {
    fn default() -> Self {
        Self {
            id: 0,
            time: 0,
            account: "111122223333",
            backup: false,
            event_time: 0,
            event_id: "e",
            object: "o",
            offset: 0,
            ordinal: 0,
        }
    }
}

impl TestRow {
    /// Reads a row back; texts are leaked, since tests are short.
    pub(super) fn of(rows: &Rows, row: usize) -> Self {
        let text = |name: &str| -> &'static str {
            let column = rows.batch.column_by_name(name).unwrap().as_string::<i32>();
            column.value(row).to_owned().leak()
        };
        let offset = rows.batch.column_by_name("source_offset").unwrap();
        let key = rows.keys[row];
        Self {
            id: key.row_id,
            time: key.reported_at_ms,
            account: text("account_id"),
            backup: key.backup,
            event_time: key.event_time_ms,
            event_id: text("event_id"),
            object: text("source_object"),
            offset: offset.as_primitive::<Int64Type>().value(row),
            ordinal: key.ordinal,
        }
    }
}

/// A batch of these rows.
pub(super) fn rows_of(rows: &[TestRow]) -> Rows {
    let texts = |text: fn(&TestRow) -> String| -> ArrayRef {
        Arc::new(rows.iter().map(|row| Some(text(row))).collect::<StringArray>())
    };
    let times = rows.iter().map(|row| row.time).collect::<Vec<i64>>();
    let columns: Vec<ArrayRef> = vec![
        texts(|row| id_text(row.id)),
        Arc::new(TimestampMillisecondArray::from(times).with_timezone("UTC")),
        texts(|row| row.account.to_owned()),
        texts(|row| row.event_id.to_owned()),
        texts(|row| row.object.to_owned()),
        Arc::new(rows.iter().map(|row| row.offset).collect::<Int64Array>()),
    ];
    let time = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let schema = Schema::new(vec![
        Field::new("row_id", DataType::Utf8, false),
        Field::new("reported_at", time, false),
        Field::new("account_id", DataType::Utf8, false),
        Field::new("event_id", DataType::Utf8, true),
        Field::new("source_object", DataType::Utf8, false),
        Field::new("source_offset", DataType::Int64, false),
    ]);
    let key = |row: &TestRow| RowKey {
        row_id: row.id,
        reported_at_ms: row.time,
        backup: row.backup,
        event_time_ms: row.event_time,
        ordinal: row.ordinal,
    };
    let batch = RecordBatch::try_new(Arc::new(schema), columns).unwrap();
    Rows { batch, keys: rows.iter().map(key).collect() }
}

/// A part's rows, read by the ordinary reader.
pub(super) fn read_part(bytes: &Bytes) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).unwrap().build().unwrap();
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    concat_batches(&batches[0].schema(), &batches).unwrap()
}

/// The ids of all visible rows of a table, sorted, with repetitions; by listing, not by the log.
pub(super) fn visible_ids(store: &Memory, table: Table) -> Vec<u128> {
    let prefix = format!("{}/", table.name());
    let objects = store.objects().into_iter().filter(|(key, _)| key.starts_with(&prefix));
    let mut ids: Vec<u128> = objects
        .flat_map(|(_, bytes)| {
            let batch = read_part(&bytes);
            let ids = batch.column_by_name(table.id_column()).unwrap().as_string::<i32>().clone();
            (0..ids.len()).map(move |row| parse_id(ids.value(row).as_bytes()).unwrap())
        })
        .collect();
    ids.sort_unstable();
    ids
}

/// The keys that begin so, each with its content's hash.
pub(super) fn keys(store: &Memory, prefix: &str) -> Vec<(String, String)> {
    let objects = store.objects().into_iter().filter(|(key, _)| key.starts_with(prefix));
    objects.map(|(key, bytes)| (key, sha256_of(&bytes))).collect()
}

pub(super) const SETTINGS: Settings = Settings {
    products: Products::Health,
    limits: Limits {
        object_bytes_max: 1 << 30,
        document_bytes_max: 1 << 22,
        depth_max: 128,
        zip_entries_max: 100,
        entities_max: 100,
    },
    reader_generation: 1,
};

pub(super) fn object(key: &str) -> ObjectRecord {
    ObjectRecord {
        archive: "memory://archive".into(),
        key: key.into(),
        etag: "1".into(),
        size: 1,
        last_modified_ms: 0,
        arrived_hour_ms: 0,
        tally: ObjectTally::default(),
    }
}

pub(super) fn record(
    number: u64,
    run: &str,
    objects: ObjectList,
    files: Vec<FileRecord>,
) -> Record {
    let listed = match &objects {
        ObjectList::Inline(objects) => Totals::of(objects, &files),
        ObjectList::File(_) => Totals::of(&Objects::default(), &files),
    };
    Record {
        format: RECORD_FORMAT,
        number,
        commit_id: random_id(),
        run: run.into(),
        program: "healthtrail test".into(),
        purpose: Purpose::Run,
        reason: None,
        deduplicated_against: number - 1,
        settings: SETTINGS,
        started_at: "2026-11-24T12:00:00Z".into(),
        committed_at: "2026-11-24T12:00:01Z".into(),
        objects,
        files,
        totals: listed,
        withdrawn: Vec::new(),
        tombstones: Vec::new(),
        carried: None,
    }
}

/// A run in small: the rows of each object whose name the ledger does not know, in one wave.
pub(super) async fn run_once(
    store: Arc<dyn Store>,
    run: &str,
    rows: &[TestRow],
) -> LakeResult<u64> {
    let log = Log::new(Arc::clone(&store));
    let mut ledger = log.load().await?;
    let (mut compared, mut known) = (0, IdSet::default());
    let batches: Vec<Rows> = rows.chunks(2).map(rows_of).collect();
    loop {
        log.catch_up(&mut ledger).await?;
        log.sweep(ledger.version()).await?;
        log.checkpoint(&mut ledger).await?;
        let consumed = |object: &str| {
            ledger.status("memory://archive", object, "1", 0, &SETTINGS) == Status::Consumed
        };
        let dropped = |pick: Pick| {
            consumed(TestRow::of(&batches[pick.batch as usize], pick.row as usize).object)
        };
        let mut objects = Objects::default();
        let names: BTreeSet<&str> = rows.iter().map(|row| row.object).collect();
        objects.consumed = names.into_iter().filter(|name| !consumed(name)).map(object).collect();
        if objects.consumed.is_empty() {
            return Ok(0);
        }
        let wave = Wave::gather(&batches, &dropped);
        for partition in wave.partitions(PartitionBy::Day) {
            ledger.check(Table::Findings, partition)?;
            let files: Vec<_> = ledger.files(Table::Findings, partition, compared).collect();
            let contains = |id| wave.contains(id);
            known.extend(known_ids(&*store, Table::Findings, &files, 2, &contains).await?);
        }
        compared = ledger.version();
        let selection = wave.select(&known, PartitionBy::Day);
        let number = ledger.version() + 1;
        let mut files = Vec::new();
        let batches: Vec<&RecordBatch> = batches.iter().map(|rows| &rows.batch).collect();
        for PartitionRows { partition, picks } in &selection.partitions {
            let part = encode(Table::Findings, &batches, picks)?;
            files.push(log.stage_part(number, run, Table::Findings, *partition, &part).await?);
        }
        let objects = log.stage_objects(number, run, objects).await?;
        let record = record(number, run, objects, files);
        if log.try_commit(&record).await? == Committed::Won {
            log.publish(&record).await?;
            return Ok(record.totals.findings);
        }
    }
}

/// A store whose operations come in an order that a seed decides: before each, other tasks may run.
#[derive(Debug)]
pub(super) struct Shuffled {
    inner: Arc<dyn Store>,
    state: AtomicU64,
}

impl Shuffled {
    pub(super) fn new(inner: Arc<dyn Store>, seed: u64) -> Self {
        Self { inner, state: AtomicU64::new(seed) }
    }

    async fn turn(&self) {
        let next =
            |state: u64| state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
        let state = self.state.fetch_update(Relaxed, Relaxed, |state| Some(next(state))).unwrap();
        for _ in 0..(state >> 33) % 4 {
            tokio::task::yield_now().await;
        }
    }
}

impl Store for Shuffled {
    fn base_uri(&self) -> &str {
        self.inner.base_uri()
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, StoreResult<ObjectMeta>> {
        let listed = async move {
            self.turn().await;
            self.inner.list(prefix)
        };
        futures::stream::once(listed).flatten().boxed()
    }

    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Option<ObjectMeta>>> {
        async move { self.turn().then(|()| self.inner.head(key)).await }.boxed()
    }

    fn get<'a>(&'a self, key: &'a str, options: GetOptions) -> BoxFuture<'a, StoreResult<Bytes>> {
        async move { self.turn().then(|()| self.inner.get(key, options)).await }.boxed()
    }

    fn put<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
        sha256: &'a str,
    ) -> BoxFuture<'a, StoreResult<()>> {
        async move { self.turn().then(|()| self.inner.put(key, bytes, sha256)).await }.boxed()
    }

    fn put_new<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
        sha256: &'a str,
    ) -> BoxFuture<'a, StoreResult<()>> {
        async move { self.turn().then(|()| self.inner.put_new(key, bytes, sha256)).await }.boxed()
    }

    fn copy_new<'a>(&'a self, from: &'a str, to: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        async move { self.turn().then(|()| self.inner.copy_new(from, to)).await }.boxed()
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        async move { self.turn().then(|()| self.inner.delete(key)).await }.boxed()
    }

    fn retries(&self) -> u64 {
        self.inner.retries()
    }
}

/// Real rows of all columns: native Health events of some accounts and event types.
pub(super) fn findings(numbers: std::ops::Range<u32>) -> Rows {
    let mut builder = RowsBuilder::new();
    for number in numbers {
        let (account, event) = (111_122_220_000_u64 + u64::from(number % 7), number % 5);
        let minute = number % 60;
        let text = format!(
            r#"{{"eventArn":"arn:aws:health:us-east-1::event/EC2/T/E_{event}","service":"EC2",
            "eventTypeCode":"AWS_EC2_RETIREMENT_{event}","eventTypeCategory":"scheduledChange",
            "startTime":"Tue, 24 Nov 2026 10:00:00 GMT",
            "lastUpdatedTime":"Tue, 24 Nov 2026 11:{minute:02}:00 GMT",
            "communicationId":"c-{number}","affectedAccount":"{account}","newField":{number},
            "eventDescription":[{{"language":"en_US","latestDescription":"Instance {event} retires"}}],
            "affectedEntities":[{{"entityValue":"i-{number}","tags":{{"team":"t{event}"}}}}]}}"#
        );
        let body = Json::leaked(&text).unwrap();
        let found = Found { shape: Shape::Native, body: &body, envelope: None };
        let place = place("s3://archive/health/1.gz");
        let span = Span { range: 0..u64::from(number), ordinal: 0 };
        builder.append(&found, &place, &span, &mut Tally::default()).unwrap();
    }
    builder.finish()
}

pub(super) fn place(object: &str) -> Place {
    Place { object: object.into(), etag: "1".into(), arrived_hour_ms: 1_795_518_000_000 }
}
