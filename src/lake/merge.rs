//! Sorted parts of one partition become fewer, larger ones: a merge in bounded memory.
//!
//! In: runs of parts, each in the order of its table, and what is to be left out. Out: staged parts of one
//! partition. A run costs what it has open: its row group as stored and decoded rows; when all together
//! cost more than the budget, some at a time are merged into pieces first, which lie in the staging of the
//! commit as parts do. Parts that are not in order, or of a longer partition, are cut into sorted pieces
//! ([`Merger::sort`]). What goes wrong is the store's or damage, with the part's key.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use arrow::array::{Array, AsArray, Int32Array, Int64Array, StringArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int32Type, Int64Type, TimestampMillisecondType};
use arrow::record_batch::RecordBatch;

use super::dedupe::Pick;
use super::error::{LakeError, LakeResult};
use super::ids::{IdSet, parse_id};
use super::layout::{Partition, PartitionBy, Table};
use super::ledger::LedgerFile;
use super::part::{broken, encode};
use super::part_gather::batch_sizes;
use super::part_rows::{RowReader, is_small};
use super::record::FileRecord;
use super::sink::{Sink, Staging};
use super::tombstones::{Forgotten, text_at, texts};
use crate::store::Store;

/// The most of a part that is fetched at once: a row group, encoded.
const ROW_GROUP_BYTES: u64 = 33 << 20;
/// What an open part takes beside that: its footer, readers of some ninety columns with a decompressor each,
/// decoded rows. Measured: 5 to 7 MB.
const OPEN_BYTES: u64 = 8 << 20;
/// What the rows of a small part take, which is closed as soon as it was opened.
const SMALL_BYTES: u64 = 1 << 20;
/// Memory of the encoder, and of the program when it is idle.
const RESERVED_BYTES: u64 = 96 << 20;

/// Parts whose rows, one part after the other, are in order.
#[derive(Debug, Clone)]
pub struct Run {
    /// Where they lie.
    pub store: Arc<dyn Store>,
    /// The parts.
    pub files: Vec<LedgerFile>,
    /// Rows of ids in [`Merger::known`] are left out.
    pub drop_known: bool,
}

/// How a merge ended.
#[derive(Debug)]
pub enum Merged {
    /// All rows are in these parts.
    Files(Vec<FileRecord>),
    /// This part is not in order: sort it first.
    Unsorted(String),
}

/// Merges parts of one table.
#[derive(Debug)]
pub struct Merger<'a> {
    /// Where the parts are staged.
    pub staging: Staging<'a>,
    /// The table.
    pub table: Table,
    /// What may not be in the result.
    pub forgotten: &'a Forgotten,
    /// Ids that are there already.
    pub known: &'a IdSet,
    /// Bytes of memory to stay under.
    pub memory_bytes: u64,
}

/// Why a merge stops.
enum Stop {
    Lake(LakeError),
    Unsorted(String),
}

impl From<LakeError> for Stop {
    fn from(error: LakeError) -> Self {
        Self::Lake(error)
    }
}

/// A row's place among the others of its table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct SortKey {
    /// The account of a finding, the object of a reject.
    first: Arc<str>,
    /// The time of a finding, the offset of a reject.
    second: i64,
    /// Of a reject; -1 for a whole document.
    ordinal: i32,
    /// Of a reject.
    reason: String,
    id: u128,
    /// Of a reject: how many states came before.
    state_number: i32,
}

/// The columns that make up the keys of a batch.
struct KeyColumns {
    firsts: Option<StringArray>,
    seconds: Vec<i64>,
    ordinals: Option<Int32Array>,
    reasons: Option<StringArray>,
    ids: StringArray,
    state_numbers: Option<Int32Array>,
}

impl KeyColumns {
    fn of(table: Table, batch: &RecordBatch) -> Option<Self> {
        let text = |name: &str| texts(batch, name).cloned();
        let ids = text(table.id_column())?;
        Some(match table {
            Table::Findings => Self {
                firsts: text("account_id"),
                seconds: times(table, batch)?,
                ordinals: None,
                reasons: None,
                ids,
                state_numbers: None,
            },
            Table::Rejects => {
                let offsets = batch.column_by_name("source_offset")?;
                let offsets: &Int64Array = offsets.as_primitive_opt::<Int64Type>()?;
                let ordinals = batch.column_by_name("ordinal")?;
                Self {
                    firsts: text("source_object"),
                    seconds: offsets.values().to_vec(),
                    ordinals: ordinals.as_primitive_opt::<Int32Type>().cloned(),
                    reasons: text("reason"),
                    ids,
                    state_numbers: batch
                        .column_by_name("state_number")
                        .and_then(|column| column.as_primitive_opt::<Int32Type>())
                        .cloned(),
                }
            }
        })
    }

    fn at(&self, row: usize, before: Option<&SortKey>) -> Option<SortKey> {
        let first = text_at(self.firsts.as_ref(), row);
        // Neighbours mostly share it.
        let first = match before {
            Some(before) if &*before.first == first => Arc::clone(&before.first),
            _ => Arc::from(first),
        };
        let ordinal = self.ordinals.as_ref().filter(|column| column.is_valid(row));
        Some(SortKey {
            first,
            second: *self.seconds.get(row)?,
            ordinal: ordinal.map_or(-1, |column| column.value(row)),
            reason: text_at(self.reasons.as_ref(), row).to_owned(),
            id: parse_id(text_at(Some(&self.ids), row).as_bytes())?,
            // Null in the first state, and in older parts.
            state_number: self
                .state_numbers
                .as_ref()
                .filter(|column| column.is_valid(row))
                .map_or(0, |column| column.value(row)),
        })
    }
}

/// The values of the column that gives the partition.
fn times(table: Table, batch: &RecordBatch) -> Option<Vec<i64>> {
    let column = batch.column_by_name(table.time_column())?;
    Some(column.as_primitive_opt::<TimestampMillisecondType>()?.values().to_vec())
}

fn unreadable(file: &LedgerFile) -> LakeError {
    LakeError::damaged(&file.key, "has rows without an id")
}

/// Where a merge stands in one run.
struct Cursor<'a> {
    table: Table,
    run: &'a Run,
    next_file: usize,
    /// The file that the rows are of.
    file: Option<&'a LedgerFile>,
    reader: Option<RowReader<'a>>,
    rows: Option<(RecordBatch, KeyColumns, Vec<u64>)>,
    row: usize,
    last: Option<SortKey>,
}

impl<'a> Cursor<'a> {
    fn new(table: Table, run: &'a Run) -> Self {
        Self { table, run, next_file: 0, file: None, reader: None, rows: None, row: 0, last: None }
    }

    /// The next batch that has a row, or `None` after the last.
    async fn load(&mut self, forgotten: &Forgotten) -> LakeResult<bool> {
        self.row = 0;
        self.rows = None;
        loop {
            let Some(reader) = &mut self.reader else {
                let Some(file) = self.run.files.get(self.next_file) else { return Ok(false) };
                self.next_file += 1;
                let reader = RowReader::whole(self.run.store.as_ref(), self.table, file).await?;
                (self.file, self.reader) = (Some(file), Some(reader));
                continue;
            };
            let batch = reader.next().await?;
            if reader.is_at_end() {
                self.reader = None;
            }
            let Some(batch) = batch else { continue };
            let batch = without(forgotten, self.table, batch)?;
            if batch.num_rows() > 0 {
                let keys = KeyColumns::of(self.table, &batch).ok_or_else(|| self.unreadable())?;
                let sizes = batch_sizes(&batch);
                self.rows = Some((batch, keys, sizes));
                return Ok(true);
            }
        }
    }

    fn unreadable(&self) -> LakeError {
        self.file.map_or_else(|| broken(self.table, "a row has no id"), unreadable)
    }

    /// The key of the row that the cursor is at, which must not be less than the one before.
    fn key(&mut self) -> Result<Option<SortKey>, Stop> {
        let Some((_, keys, _)) = &self.rows else { return Ok(None) };
        let Some(key) = keys.at(self.row, self.last.as_ref()) else {
            return Err(Stop::Lake(self.unreadable()));
        };
        if self.last.as_ref().is_some_and(|last| *last > key) {
            let key = self.file.map(|file| file.key.clone());
            return Err(Stop::Unsorted(key.unwrap_or_default()));
        }
        self.last = Some(key.clone());
        Ok(Some(key))
    }
}

/// A batch without the rows that are forgotten.
pub(super) fn without(
    forgotten: &Forgotten,
    table: Table,
    batch: RecordBatch,
) -> LakeResult<RecordBatch> {
    match forgotten.kept(table, &batch) {
        None => Ok(batch),
        Some(kept) => filter_record_batch(&batch, &kept).map_err(|error| broken(table, error)),
    }
}

impl Run {
    /// One part, in order by itself.
    pub fn of(store: &Arc<dyn Store>, file: LedgerFile, drop_known: bool) -> Self {
        Self { store: Arc::clone(store), files: vec![file], drop_known }
    }

    /// What it takes to have it open.
    fn cost(&self) -> u64 {
        let cost = |file: &LedgerFile| {
            let open = if is_small(file) { SMALL_BYTES } else { OPEN_BYTES };
            open + 2 * file.bytes.min(ROW_GROUP_BYTES)
        };
        self.files.iter().map(cost).max().unwrap_or_default()
    }
}

impl Merger<'_> {
    fn open_bytes_max(&self) -> u64 {
        (self.memory_bytes / 2).saturating_sub(RESERVED_BYTES / 2)
    }

    /// Merges these runs into parts of `partition`; equal rows come out once.
    pub async fn merge(&self, partition: Partition, runs: Vec<Run>) -> LakeResult<Merged> {
        match self.merge_all(partition, runs).await {
            Ok(files) => Ok(Merged::Files(files)),
            Err(Stop::Unsorted(key)) => Ok(Merged::Unsorted(key)),
            Err(Stop::Lake(error)) => Err(error),
        }
    }

    async fn merge_all(
        &self,
        partition: Partition,
        mut runs: Vec<Run>,
    ) -> Result<Vec<FileRecord>, Stop> {
        // Each pass merges what may be open at once, at least two runs, so that there are fewer of them.
        while runs.len() > 2 && runs.iter().map(Run::cost).sum::<u64>() > self.open_bytes_max() {
            let mut merged = Vec::new();
            for group in self.groups(runs) {
                if group.len() == 1 {
                    merged.extend(group);
                    continue;
                }
                let files = self.merge_some(partition, &group).await?;
                let files: Vec<LedgerFile> = files.into_iter().map(staged).collect();
                let store = Arc::clone(&self.staging.log.store);
                merged.extend((!files.is_empty()).then_some(Run {
                    store,
                    files,
                    drop_known: false,
                }));
            }
            runs = merged;
        }
        self.merge_some(partition, &runs).await
    }

    fn groups(&self, runs: Vec<Run>) -> Vec<Vec<Run>> {
        let mut groups: Vec<Vec<Run>> = Vec::new();
        let mut cost = 0;
        for run in runs {
            let own = run.cost();
            match groups.last_mut() {
                Some(group) if group.len() < 2 || cost + own <= self.open_bytes_max() => {
                    cost += own;
                    group.push(run);
                }
                _ => {
                    cost = own;
                    groups.push(vec![run]);
                }
            }
        }
        groups
    }

    async fn merge_some(
        &self,
        partition: Partition,
        runs: &[Run],
    ) -> Result<Vec<FileRecord>, Stop> {
        let mut sink = Sink::new(self.staging, self.table, partition);
        let mut cursors: Vec<Cursor<'_>> =
            runs.iter().map(|run| Cursor::new(self.table, run)).collect();
        let mut heap = BinaryHeap::with_capacity(cursors.len());
        for (index, cursor) in cursors.iter_mut().enumerate() {
            if cursor.load(self.forgotten).await? {
                heap.extend(cursor.key()?.map(|key| Reverse((key, index))));
            }
        }
        let mut last: Option<SortKey> = None;
        while let Some(Reverse((key, index))) = heap.pop() {
            let Some(cursor) = cursors.get_mut(index) else { break };
            let is_known = cursor.run.drop_known && self.known.contains(&key.id);
            if let Some((batch, _, sizes)) = &cursor.rows
                && !is_known
                && last.as_ref() != Some(&key)
            {
                let bytes = sizes.get(cursor.row).copied().unwrap_or_default();
                sink.add(index, batch, cursor.row, bytes).await?;
                last = Some(key);
            }
            cursor.row += 1;
            let rows = cursor.rows.as_ref().map_or(0, |(batch, ..)| batch.num_rows());
            if cursor.row >= rows {
                sink.changed(index);
                if !cursor.load(self.forgotten).await? {
                    continue;
                }
            }
            heap.extend(cursor.key()?.map(|key| Reverse((key, index))));
        }
        Ok(sink.finish().await?)
    }

    /// Cuts a part into sorted pieces by partition, as many rows at a time as memory allows.
    pub async fn sort(
        &self,
        run: &Run,
        by: PartitionBy,
    ) -> LakeResult<BTreeMap<Partition, Vec<Run>>> {
        let mut sorted: BTreeMap<Partition, Vec<Run>> = BTreeMap::new();
        for file in &run.files {
            let mut reader = RowReader::whole(run.store.as_ref(), self.table, file).await?;
            let (mut batches, mut bytes) = (Vec::new(), 0_usize);
            while let Some(batch) = reader.next().await? {
                let batch = without(self.forgotten, self.table, batch)?;
                bytes += batch.get_array_memory_size();
                batches.push(batch);
                if bytes as u64 >= self.memory_bytes / 8 {
                    let full = std::mem::take(&mut batches);
                    self.sort_some(run, file, by, &full, &mut sorted).await?;
                    bytes = 0;
                }
            }
            self.sort_some(run, file, by, &batches, &mut sorted).await?;
        }
        Ok(sorted)
    }

    async fn sort_some(
        &self,
        run: &Run,
        file: &LedgerFile,
        by: PartitionBy,
        batches: &[RecordBatch],
        sorted: &mut BTreeMap<Partition, Vec<Run>>,
    ) -> LakeResult<()> {
        let mut places: Vec<(Partition, SortKey, Pick)> = Vec::new();
        for (index, batch) in (0_u32..).zip(batches) {
            let keys = KeyColumns::of(self.table, batch).ok_or_else(|| unreadable(file))?;
            let times = times(self.table, batch).ok_or_else(|| unreadable(file))?;
            for (row, time) in (0_u32..).zip(times) {
                let before = places.last().map(|(_, key, _)| key);
                let key = keys.at(row as usize, before).ok_or_else(|| unreadable(file))?;
                places.push((Partition::of(time, by), key, Pick { batch: index, row }));
            }
        }
        places.sort_unstable();
        let Staging { log, number, run: name, .. } = self.staging;
        for chunk in places.chunk_by(|one, two| one.0 == two.0) {
            let Some((partition, ..)) = chunk.first() else { continue };
            let picks: Vec<Pick> = chunk.iter().map(|(.., pick)| *pick).collect();
            let part = encode(self.table, batches, &picks)?;
            let piece = log.stage_part(number, name, self.table, *partition, &part).await?;
            let store = &log.store;
            let piece = Run::of(store, staged(piece), run.drop_known);
            sorted.entry(*partition).or_default().push(piece);
        }
        Ok(())
    }
}

/// A part that is not visible, as readers take it.
fn staged(file: FileRecord) -> LedgerFile {
    let FileRecord { staged, rows, bytes, sha256, .. } = file;
    LedgerFile { commit: 0, key: staged, rows, bytes, sha256 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::rows::Rows;
    use crate::lake::dedupe::Wave;
    use crate::lake::log::Log;
    use crate::lake::part::split;
    use crate::lake::part_gather::Batches;
    use crate::lake::testing::{findings, keys};
    use crate::store::{GetOptions, Memory};

    const DAY: &str = "2026-11-24";

    fn day() -> Partition {
        DAY.parse().unwrap()
    }

    /// The rows in the order of the table, as one wave of them would lie.
    fn picks(rows: &[Rows]) -> Vec<Pick> {
        let wave = Wave::gather(rows, &|_| false);
        wave.select(&IdSet::default(), PartitionBy::Day).partitions.remove(0).picks
    }

    fn file(store: &Memory, key: &str, rows: &Rows, picks: &[Pick]) -> LedgerFile {
        let part = encode(Table::Findings, &[&rows.batch], picks).unwrap();
        let (bytes, sha256) = (part.bytes.len() as u64, part.sha256);
        store.insert(key, part.bytes);
        LedgerFile { commit: 1, key: key.into(), rows: part.rows, bytes, sha256 }
    }

    struct Case {
        store: Arc<Memory>,
        log: Log,
        known: IdSet,
        forgotten: Forgotten,
    }

    impl Case {
        fn new() -> Self {
            let store = Arc::new(Memory::new("lake"));
            let log = Log::new(store.clone());
            Self { store, log, known: IdSet::default(), forgotten: Forgotten::default() }
        }

        fn merger(&self, memory_bytes: u64) -> Merger<'_> {
            let staging = Staging { log: &self.log, number: 1, run: "run", part_bytes: 128 << 20 };
            let (known, forgotten) = (&self.known, &self.forgotten);
            Merger { staging, table: Table::Findings, forgotten, known, memory_bytes }
        }

        fn runs(&self, ranges: &[std::ops::Range<u32>]) -> Vec<Run> {
            let store: Arc<dyn Store> = self.store.clone();
            let each = ranges.iter().enumerate().map(|(index, range)| {
                let rows = findings(range.clone());
                let picks = picks(std::slice::from_ref(&rows));
                let file = file(&self.store, &format!("part {index}"), &rows, &picks);
                Run::of(&store, file, true)
            });
            each.collect()
        }

        async fn bytes(&self, files: &[FileRecord]) -> Vec<bytes::Bytes> {
            let mut all = Vec::new();
            for file in files {
                all.push(self.store.get(&file.staged, GetOptions::default()).await.unwrap());
            }
            all
        }
    }

    async fn merged(merger: &Merger<'_>, runs: Vec<Run>) -> Vec<FileRecord> {
        match merger.merge(day(), runs).await.unwrap() {
            Merged::Files(files) => files,
            Merged::Unsorted(key) => panic!("{key} is not in order"),
        }
    }

    #[tokio::test]
    async fn merging_gives_the_bytes_of_one_wave_in_as_many_passes_as_memory_asks_for() {
        let all = findings(0..300);
        let expected = encode(Table::Findings, &[&all.batch], &picks(std::slice::from_ref(&all)));
        let expected = expected.unwrap().bytes;
        let cases: [&[std::ops::Range<u32>]; 3] = [
            &[0..100, 100..300],
            &[0..10, 10..11, 11..200, 200..300],
            // Equal rows come out once.
            &[0..40, 30..90, 20..150, 100..300, 0..1, 299..300, 7..9],
        ];
        for ranges in cases {
            for memory_bytes in [0, 1 << 30] {
                let case = Case::new();
                let files = merged(&case.merger(memory_bytes), case.runs(ranges)).await;
                assert!(case.bytes(&files).await == [expected.clone()], "{ranges:?}");
                let pieces = keys(&case.store, "_healthtrail/staging/").len();
                assert!(memory_bytes > 0 || pieces > 1 || ranges.len() < 3, "{pieces} pieces");
            }
        }
    }

    #[tokio::test]
    async fn what_is_known_or_forgotten_is_left_out() {
        let mut case = Case::new();
        let rows = findings(0..70);
        case.known.extend(rows.keys.iter().take(10).map(|key| key.row_id));
        let event = "arn:aws:health:us-east-1::event/EC2/T/E_0";
        let tombstone = crate::lake::record::Tombstone::finding("native", event, "111122220000");
        case.forgotten.add(&tombstone);
        let gone = |number: u32| number < 10 || number.is_multiple_of(35);
        let left = (0..70).filter(|number| !gone(*number)).count() as u64;
        let files = merged(&case.merger(1 << 30), case.runs(&[0..60, 60..70])).await;
        assert_eq!(files.iter().map(|file| file.rows).sum::<u64>(), left);
        // The new lake's own rows stay, whatever is known.
        let mut own = case.runs(&[0..60, 60..70]);
        for run in &mut own {
            run.drop_known = false;
        }
        let files = merged(&case.merger(1 << 30), own).await;
        assert_eq!(files.iter().map(|file| file.rows).sum::<u64>(), 68);
    }

    #[tokio::test]
    async fn a_part_out_of_order_is_told_and_can_be_sorted() {
        let case = Case::new();
        let rows = findings(0..90);
        let sorted = picks(std::slice::from_ref(&rows));
        let expected = encode(Table::Findings, &[&rows.batch], &sorted).unwrap().bytes;
        let mut shuffled = sorted;
        shuffled.reverse();
        let store: Arc<dyn Store> = case.store.clone();
        let run = Run::of(&store, file(&case.store, "theirs", &rows, &shuffled), false);
        for memory_bytes in [0, 1 << 30] {
            let merger = case.merger(memory_bytes);
            let told = merger.merge(day(), vec![run.clone()]).await.unwrap();
            assert!(matches!(told, Merged::Unsorted(key) if key == "theirs"));
            let mut pieces = merger.sort(&run, PartitionBy::Day).await.unwrap();
            assert_eq!(pieces.keys().collect::<Vec<_>>(), [&day()]);
            let pieces = pieces.remove(&day()).unwrap();
            let files = merged(&merger, pieces).await;
            assert!(case.bytes(&files).await == [expected.clone()]);
        }
    }

    #[tokio::test]
    async fn parts_are_cut_where_a_wave_would_cut_them_or_where_they_are_full() {
        let case = Case::new();
        let rows = findings(0..20_000);
        let picks = picks(std::slice::from_ref(&rows));
        assert_eq!(split(&Batches::new([rows.batch.clone()]), &picks).len(), 1);
        let store: Arc<dyn Store> = case.store.clone();
        let run = Run::of(&store, file(&case.store, "all", &rows, &picks), false);
        let whole = merged(&case.merger(1 << 30), vec![run.clone()]).await;
        assert_eq!(whole.len(), 1);
        assert_eq!(whole[0].sha256, run.files[0].sha256);
        let mut merger = case.merger(1 << 30);
        merger.staging.part_bytes = 100_000;
        let cut = merged(&merger, vec![run]).await;
        assert!(cut.len() > 1);
        assert_eq!(cut.iter().map(|file| file.rows).sum::<u64>(), 20_000);
    }
}
