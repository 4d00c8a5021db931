//! The rows of the rejects table as they lie in its parts, one after the other.
//!
//! In: parts that the log names, of one partition at a time. Out: a call for each row, or for each
//! reject in the state that it has now. A part that is gone, cut or not what the log says is
//! [`LakeError::Damaged`](super::LakeError::Damaged) with its key. Memory: one batch of rows, 16 of them
//! when their bytes are asked for; and for [`visit_latest`] some 40 bytes for each reject of the
//! partition that has had more than one state.

use std::ops::Range;

use arrow::array::{Array, AsArray, BinaryArray, BooleanArray, PrimitiveArray, StringArray};
use arrow::datatypes::{ArrowPrimitiveType, Int32Type, Int64Type, TimestampMillisecondType};
use arrow::record_batch::RecordBatch;

use super::error::LakeResult;
use super::ids::{IdMap, parse_id};
use super::layout::{Partition, Table};
use super::ledger::{Ledger, LedgerFile};
use super::part_rows::RowReader;
use super::rejects::State;
use crate::store::Store;

/// What is read of each row besides its bytes.
pub const COLUMNS: [&str; 15] = [
    "reject_id",
    "state",
    "state_number",
    "state_by",
    "arrived_hour",
    "stage",
    "reason",
    "detail",
    "source_object",
    "source_etag",
    "source_offset",
    "source_length",
    "ordinal",
    "bytes_length",
    "bytes_cut",
];

/// The same and the bytes.
pub const COLUMNS_AND_BYTES: [&str; 16] = {
    let mut columns = ["bytes"; 16];
    let mut index = 0;
    while index < COLUMNS.len() {
        #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
        {
            columns[index] = COLUMNS[index];
        }
        index += 1;
    }
    columns
};

/// What tells where a reject stands.
pub const STATE_COLUMNS: [&str; 6] =
    ["reject_id", "state", "state_number", "state_by", "arrived_hour", "reason"];

/// One row; what was not read is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RejectView<'a> {
    /// The reject.
    pub id: u128,
    /// Its state.
    pub state: State,
    /// The state by its name.
    pub state_name: &'a str,
    /// How many states came before.
    pub state_number: i32,
    /// What gave it the state.
    pub state_by: Option<&'a str>,
    /// When the object arrived.
    pub arrived_hour_ms: i64,
    /// Where it arose.
    pub stage: &'a str,
    /// Why.
    pub reason: &'a str,
    /// What exactly is wrong.
    pub detail: &'a str,
    /// URI of the object.
    pub object: &'a str,
    /// Its etag.
    pub etag: &'a str,
    /// First byte in the decompressed object.
    pub offset: u64,
    /// How many bytes it covers.
    pub length: u64,
    /// Which finding of its document it is.
    pub ordinal: Option<i32>,
    /// How many bytes there were.
    pub bytes_length: u64,
    /// Whether `bytes` holds the beginning only.
    pub bytes_cut: bool,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// The files of the rejects table, partition by partition, that may hold rows of these times.
pub fn files_by_partition<'a>(
    ledger: &'a Ledger,
    times: &Range<i64>,
) -> Vec<(Partition, Vec<&'a LedgerFile>)> {
    let mut all: Vec<(Partition, Vec<&LedgerFile>)> = Vec::new();
    for (_, partition, file) in ledger.all_files().filter(|(table, ..)| *table == Table::Rejects) {
        let own = partition.times();
        if own.start >= times.end || own.end <= times.start {
            continue;
        }
        match all.last_mut() {
            Some((last, files)) if *last == partition => files.push(file),
            _ => all.push((partition, vec![file])),
        }
    }
    all
}

/// Calls `visit` with each row of these files.
pub async fn visit_rows(
    store: &dyn Store,
    files: &[&LedgerFile],
    columns: &[&str],
    mut visit: impl FnMut(&RejectView<'_>),
) -> LakeResult<()> {
    for file in files {
        visit_file(store, file, columns, &mut visit).await?;
    }
    Ok(())
}

async fn visit_file(
    store: &dyn Store,
    file: &LedgerFile,
    columns: &[&str],
    visit: &mut impl FnMut(&RejectView<'_>),
) -> LakeResult<()> {
    let mut reader =
        RowReader::open(store, Table::Rejects, file, columns, &(i64::MIN..i64::MAX)).await?;
    while let Some(batch) = reader.next().await? {
        visit_batch(file, &batch, &mut *visit)?;
    }
    Ok(())
}

/// Calls `visit` with each reject of one partition's files, in the state that it has now.
pub async fn visit_latest(
    store: &dyn Store,
    files: &[&LedgerFile],
    columns: &[&str],
    mut visit: impl FnMut(&RejectView<'_>),
) -> LakeResult<()> {
    let mut latest = Latest::open(store, files, columns).await?;
    while latest.visit_some(&mut visit).await? {}
    Ok(())
}

/// The rejects of one partition's files, in the state that each has now, some at a time.
#[derive(Debug)]
pub struct Latest<'a> {
    store: &'a dyn Store,
    /// Those not read yet, the next one last.
    files: Vec<&'a LedgerFile>,
    columns: &'a [&'a str],
    /// A reject that has no later state than its first is not in it, which are most.
    numbers: IdMap<i32>,
    reader: Option<(RowReader<'a>, &'a LedgerFile)>,
}

impl<'a> Latest<'a> {
    /// Finds out which states are the latest.
    ///
    /// # Errors
    /// The store's, and damage.
    pub async fn open(
        store: &'a dyn Store,
        files: &[&'a LedgerFile],
        columns: &'a [&'a str],
    ) -> LakeResult<Self> {
        let mut numbers: IdMap<i32> = IdMap::default();
        visit_rows(store, files, &["reject_id", "state_number"], |row| {
            if row.state_number > 0 {
                let number = numbers.entry(row.id).or_default();
                *number = row.state_number.max(*number);
            }
        })
        .await?;
        let files = files.iter().rev().copied().collect();
        Ok(Self { store, files, columns, numbers, reader: None })
    }

    /// Calls `visit` with the next few; `false` after the last.
    ///
    /// # Errors
    /// The store's, and damage.
    pub async fn visit_some(&mut self, mut visit: impl FnMut(&RejectView<'_>)) -> LakeResult<bool> {
        if self.reader.is_none() {
            let Some(file) = self.files.pop() else { return Ok(false) };
            let all = i64::MIN..i64::MAX;
            let reader = RowReader::open(self.store, Table::Rejects, file, self.columns, &all);
            self.reader = Some((reader.await?, file));
        }
        let Some((reader, file)) = &mut self.reader else { return Ok(false) };
        let Some(batch) = reader.next().await? else {
            self.reader = None;
            return Ok(true);
        };
        visit_batch(file, &batch, |row| {
            if self.numbers.get(&row.id).copied().unwrap_or_default() == row.state_number {
                visit(row);
            }
        })?;
        Ok(true)
    }
}

fn visit_batch(
    file: &LedgerFile,
    batch: &RecordBatch,
    mut visit: impl FnMut(&RejectView<'_>),
) -> LakeResult<()> {
    let columns = Columns::of(batch);
    for row in 0..batch.num_rows() {
        let view = columns.view(row).ok_or_else(|| {
            super::LakeError::damaged(&file.key, "has a reject whose id is not 32 hex digits")
        })?;
        visit(&view);
    }
    Ok(())
}

/// The columns of a batch, those that were not read left out.
struct Columns<'a> {
    batch: &'a RecordBatch,
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch) -> Self {
        Self { batch }
    }

    fn view(&self, row: usize) -> Option<RejectView<'a>> {
        let text = |name| self.text(name, row).unwrap_or_default();
        let long = |name| {
            let long = self.number::<Int64Type>(name, row).unwrap_or_default();
            u64::try_from(long).unwrap_or_default()
        };
        let bytes: Option<&BinaryArray> =
            self.batch.column_by_name("bytes").and_then(|column| column.as_binary_opt::<i32>());
        let cut: Option<&BooleanArray> =
            self.batch.column_by_name("bytes_cut").and_then(|column| column.as_boolean_opt());
        let state_name = text("state");
        Some(RejectView {
            id: parse_id(text("reject_id").as_bytes())?,
            state: State::parse(state_name),
            state_name,
            state_number: self.number::<Int32Type>("state_number", row).unwrap_or_default(),
            state_by: self.text("state_by", row),
            arrived_hour_ms: self
                .number::<TimestampMillisecondType>("arrived_hour", row)
                .unwrap_or_default(),
            stage: text("stage"),
            reason: text("reason"),
            detail: text("detail"),
            object: text("source_object"),
            etag: text("source_etag"),
            offset: long("source_offset"),
            length: long("source_length"),
            ordinal: self.number::<Int32Type>("ordinal", row),
            bytes_length: long("bytes_length"),
            bytes_cut: cut.is_some_and(|cut| cut.is_valid(row) && cut.value(row)),
            bytes: bytes.filter(|bytes| bytes.is_valid(row)).map_or(&[], |bytes| bytes.value(row)),
        })
    }

    fn text(&self, name: &str, row: usize) -> Option<&'a str> {
        let column: Option<&StringArray> =
            self.batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
        column.filter(|column| column.is_valid(row)).map(|column| column.value(row))
    }

    fn number<T: ArrowPrimitiveType>(&self, name: &str, row: usize) -> Option<T::Native> {
        let column: Option<&PrimitiveArray<T>> =
            self.batch.column_by_name(name).and_then(|column| column.as_primitive_opt::<T>());
        column.filter(|column| column.is_valid(row)).map(|column| column.value(row))
    }
}

/// Which rejects are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RejectFilter {
    /// Of one of these reasons; empty for all.
    pub reasons: Vec<String>,
    /// Of one of these stages; empty for all.
    pub stages: Vec<String>,
    /// Of objects whose URI begins so; empty for all.
    pub object: String,
    /// Arrived from this moment on, in milliseconds since 1970 UTC.
    pub since_ms: Option<i64>,
    /// Arrived before this moment.
    pub until_ms: Option<i64>,
}

impl RejectFilter {
    /// The arrival hours.
    pub fn times(&self) -> Range<i64> {
        self.since_ms.unwrap_or(i64::MIN)..self.until_ms.unwrap_or(i64::MAX)
    }

    /// Whether an object of this URI and hour is asked for.
    pub fn takes_object(&self, uri: &str, arrived_hour_ms: i64) -> bool {
        uri.starts_with(&self.object) && self.times().contains(&arrived_hour_ms)
    }

    /// Whether this reject is asked for.
    pub fn takes(&self, row: &RejectView<'_>) -> bool {
        let among =
            |names: &[String], own: &str| names.is_empty() || names.iter().any(|name| name == own);
        self.takes_object(row.object, row.arrived_hour_ms)
            && among(&self.reasons, row.reason)
            && among(&self.stages, row.stage)
    }
}
