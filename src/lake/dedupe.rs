//! Which rows of a wave are new, and in which order they lie in their partitions.
//!
//! In: batches of rows with their keys, in any order and packing. Out: for each partition the places
//! of its new rows, sorted; and how many rows were duplicates. Pure and single-threaded; nothing can
//! go wrong. Memory: some 100 bytes a row beside the batches.

use std::cmp::Ordering;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::Int64Type;

use super::ids::{IdMap, IdSet};
use super::layout::{Partition, PartitionBy};
use crate::finding::rows::{RowKey, Rows};

/// One row of a wave: which batch, and which row in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pick {
    /// The index of the batch.
    pub batch: u32,
    /// The index of the row in the batch.
    pub row: u32,
}

/// The new rows of one partition, in the order in which they are to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionRows {
    /// The partition.
    pub partition: Partition,
    /// Its rows, sorted by (account, time, row id).
    pub picks: Vec<Pick>,
}

/// What of a wave is to be written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// The new rows, in ascending order of partitions.
    pub partitions: Vec<PartitionRows>,
    /// Rows that an equal one of the same wave stands for; counted when one beats the other.
    pub duplicates_in_wave: u64,
    /// Rows that are in the lake already; counted when they are struck out.
    pub duplicates_in_lake: u64,
    /// Rows of objects that another run has consumed meanwhile; they count nowhere else.
    pub dropped: u64,
}

/// A wave's rows, each identity once.
#[derive(Debug)]
pub struct Wave<'a> {
    rows: &'a [Rows],
    winners: IdMap<Pick>,
    beaten: u64,
    dropped: u64,
}

impl<'a> Wave<'a> {
    /// Keeps of all rows with the same id the best one: the primary beats the backup copy, then the
    /// earliest event time, then the least event id, then the least object URI, offset and ordinal.
    /// Rows for which `dropped` is true are left out (a loser drops what the winner consumed).
    pub fn gather(rows: &'a [Rows], dropped: &dyn Fn(Pick) -> bool) -> Self {
        let columns: Vec<Delivery<'a>> = rows.iter().map(Delivery::of).collect();
        let count = rows.iter().map(|rows| rows.keys.len()).sum();
        let winners = IdMap::with_capacity_and_hasher(count, super::ids::IdState::default());
        let mut wave = Self { rows, winners, beaten: 0, dropped: 0 };
        for (batch, Rows { keys, .. }) in (0_u32..).zip(rows) {
            for (row, key) in (0_u32..).zip(keys) {
                let pick = Pick { batch, row };
                if dropped(pick) {
                    wave.dropped += 1;
                } else {
                    wave.offer(pick, key, &columns);
                }
            }
        }
        wave
    }

    fn offer(&mut self, pick: Pick, key: &RowKey, columns: &[Delivery<'_>]) {
        match self.winners.entry(key.row_id) {
            Entry::Vacant(vacant) => {
                vacant.insert(pick);
            }
            Entry::Occupied(mut held) => {
                self.beaten += 1;
                if better(self.rows, columns, pick, *held.get()) == Ordering::Less {
                    held.insert(pick);
                }
            }
        }
    }

    /// Whether the wave has a row of this id. The ids of existing files are asked one by one; those
    /// for which this is true make up the `known` of [`Wave::select`].
    pub fn contains(&self, row_id: u128) -> bool {
        self.winners.contains_key(&row_id)
    }

    /// How many different rows there are.
    pub fn len(&self) -> usize {
        self.winners.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.winners.is_empty()
    }

    /// The partitions that the wave's rows belong to, ascending: whose files are to be compared.
    pub fn partitions(&self, by: PartitionBy) -> Vec<Partition> {
        let mut partitions = BTreeSet::new();
        let mut last = None;
        for key in self.winners.values().filter_map(|pick| key_of(self.rows, *pick)) {
            // Neighbours often share a partition; the set is asked only when it changes.
            let partition = Partition::of(key.reported_at_ms, by);
            if last != Some(partition) {
                partitions.insert(partition);
                last = Some(partition);
            }
        }
        partitions.into_iter().collect()
    }

    /// The rows whose ids are not known yet, by partition, each partition sorted by (`account_id`,
    /// `reported_at`, `row_id`).
    ///
    /// Account first: the partition has settled the day already, and what people ask of a day is
    /// mostly one account or a few, so the least and greatest account of a row group or page skips
    /// nearly all others. Time comes second and still narrows within the account; a filter by time
    /// alone is served by the partition. Accounts side by side also compress better, since names,
    /// Regions and resources repeat.
    pub fn select(&self, known: &IdSet, by: PartitionBy) -> Selection {
        let accounts = AccountRanks::of(self.rows);
        let mut selection = Selection {
            duplicates_in_wave: self.beaten,
            dropped: self.dropped,
            ..Selection::default()
        };
        let mut places: Vec<Placed> = Vec::with_capacity(self.winners.len());
        for (row_id, pick) in &self.winners {
            if known.contains(row_id) {
                selection.duplicates_in_lake += 1;
            } else if let Some(key) = key_of(self.rows, *pick) {
                places.push(Placed {
                    partition: Partition::of(key.reported_at_ms, by),
                    account: accounts.rank(*pick),
                    reported_at_ms: key.reported_at_ms,
                    row_id: *row_id,
                    pick: *pick,
                });
            }
        }
        places.sort_unstable();
        selection.partitions = places
            .chunk_by(|one, two| one.partition == two.partition)
            .filter_map(|chunk| {
                let partition = chunk.first()?.partition;
                let picks = chunk.iter().map(|placed| placed.pick).collect();
                Some(PartitionRows { partition, picks })
            })
            .collect();
        selection
    }
}

/// A row's place in the lake; ordered by its fields from the top.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Placed {
    partition: Partition,
    account: u32,
    reported_at_ms: i64,
    row_id: u128,
    pick: Pick,
}

fn key_of(rows: &[Rows], pick: Pick) -> Option<&RowKey> {
    rows.get(pick.batch as usize)?.keys.get(pick.row as usize)
}

/// `Less` when the first row is the one to keep. Equal keys are compared by text only when the
/// numbers do not settle it.
fn better(rows: &[Rows], columns: &[Delivery<'_>], one: Pick, two: Pick) -> Ordering {
    let numbers = |pick| key_of(rows, pick).map(|key| (key.backup, key.event_time_ms));
    let ordinal = |pick| key_of(rows, pick).map(|key| key.ordinal);
    let texts = |pick: Pick| columns.get(pick.batch as usize).map(|c| c.of_row(pick.row as usize));
    numbers(one)
        .cmp(&numbers(two))
        .then_with(|| texts(one).cmp(&texts(two)))
        .then_with(|| ordinal(one).cmp(&ordinal(two)))
}

/// The columns that say how a row was delivered. One that is missing or of another type counts as
/// null, which only weakens the tie-break.
struct Delivery<'a> {
    event_id: Option<&'a StringArray>,
    object: Option<&'a StringArray>,
    offset: Option<&'a ArrayRef>,
}

impl<'a> Delivery<'a> {
    fn of(rows: &'a Rows) -> Self {
        Self {
            event_id: text_column(rows, "event_id"),
            object: text_column(rows, "source_object"),
            offset: rows.batch.column_by_name("source_offset"),
        }
    }

    /// Event id, object and offset. A row without an event id yields to one that has it.
    fn of_row(&self, row: usize) -> (bool, Option<&'a str>, Option<&'a str>, Option<i64>) {
        let event_id = self.event_id.and_then(|column| text_at(column, row));
        let offset = self
            .offset
            .and_then(|column| column.as_primitive_opt::<Int64Type>())
            .filter(|column| row < column.len() && column.is_valid(row))
            .map(|column| column.value(row));
        let object = self.object.and_then(|column| text_at(column, row));
        (event_id.is_none(), event_id, object, offset)
    }
}

fn text_column<'a>(rows: &'a Rows, name: &str) -> Option<&'a StringArray> {
    rows.batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>())
}

fn text_at(column: &StringArray, row: usize) -> Option<&str> {
    (row < column.len() && column.is_valid(row)).then(|| column.value(row))
}

/// Each row's account as a number that orders as the accounts do, so that sorting compares no text.
struct AccountRanks {
    by_batch: Vec<Vec<u32>>,
}

impl AccountRanks {
    fn of(rows: &[Rows]) -> Self {
        let mut seen: HashMap<&str, u32> = HashMap::new();
        let mut by_batch: Vec<Vec<u32>> = rows
            .iter()
            .map(|rows| {
                let column = text_column(rows, "account_id");
                let accounts = (0..rows.keys.len())
                    .map(|row| column.and_then(|column| text_at(column, row)).unwrap_or_default());
                accounts
                    .map(|account| {
                        let next = u32::try_from(seen.len()).unwrap_or(u32::MAX);
                        *seen.entry(account).or_insert(next)
                    })
                    .collect()
            })
            .collect();
        let mut sorted: Vec<(&str, u32)> = seen.into_iter().collect();
        sorted.sort_unstable();
        let mut ranks = vec![0_u32; sorted.len()];
        for (rank, (_, number)) in (0_u32..).zip(sorted) {
            if let Some(slot) = ranks.get_mut(number as usize) {
                *slot = rank;
            }
        }
        for number in by_batch.iter_mut().flatten() {
            *number = ranks.get(*number as usize).copied().unwrap_or_default();
        }
        Self { by_batch }
    }

    fn rank(&self, pick: Pick) -> u32 {
        let batch = self.by_batch.get(pick.batch as usize);
        batch.and_then(|ranks| ranks.get(pick.row as usize)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::ids::IdSet;
    use crate::lake::testing::{TestRow, rows_of};
    use proptest::prelude::*;

    const DAY: i64 = 86_400_000;

    /// What a selection says, in words: partition, then the rows' objects and offsets.
    fn named(rows: &[Rows], selection: &Selection) -> Vec<(String, Vec<TestRow>)> {
        selection
            .partitions
            .iter()
            .map(|part| {
                let picked = part
                    .picks
                    .iter()
                    .map(|pick| TestRow::of(&rows[pick.batch as usize], pick.row as usize));
                (part.partition.to_string(), picked.collect())
            })
            .collect()
    }

    fn select(rows: &[Rows], known: &[u128]) -> Selection {
        let known: IdSet = known.iter().copied().collect();
        Wave::gather(rows, &|_| false).select(&known, PartitionBy::Day)
    }

    #[test]
    fn of_equal_rows_the_best_stays() {
        let base = TestRow {
            id: 7,
            event_time: 50,
            event_id: "m",
            object: "m",
            offset: 5,
            ..TestRow::default()
        };
        let beats = [
            (
                "primary over backup",
                TestRow { event_time: 99, ..base },
                TestRow { backup: true, ..base },
            ),
            ("earlier event time", TestRow { event_time: 49, event_id: "z", ..base }, base),
            ("an event time at all", base, TestRow { event_time: i64::MAX, ..base }),
            ("lesser event id", TestRow { event_id: "a", object: "z", ..base }, base),
            ("lesser object", TestRow { object: "a", offset: 9, ..base }, base),
            ("lesser offset", TestRow { offset: 4, ordinal: 9, ..base }, base),
            ("lesser ordinal", base, TestRow { ordinal: 1, ..base }),
        ];
        for (rule, winner, loser) in beats {
            for order in [[winner, loser], [loser, winner]] {
                let rows = [rows_of(&order[..1]), rows_of(&order[1..])];
                let selection = select(&rows, &[]);
                assert_eq!(named(&rows, &selection)[0].1, [winner], "{rule}");
                assert_eq!(selection.duplicates_in_wave, 1, "{rule}");
            }
        }
    }

    #[test]
    fn rows_are_sorted_by_partition_account_time_and_id() {
        let row = |id, account, time| TestRow { id, time, account, ..TestRow::default() };
        let sorted = [
            row(9, "111111111111", 5),
            row(1, "222222222222", 1),
            row(2, "222222222222", 1),
            row(0, "222222222222", 2),
            row(5, "111111111111", DAY),
        ];
        let mut shuffled = sorted;
        shuffled.reverse();
        let rows = [rows_of(&shuffled[..2]), rows_of(&shuffled[2..])];
        let selection = select(&rows, &[]);
        let named = named(&rows, &selection);
        assert_eq!(named[0], ("1970-01-01".to_owned(), sorted[..4].to_vec()));
        assert_eq!(named[1], ("1970-01-02".to_owned(), sorted[4..].to_vec()));
    }

    #[test]
    fn known_and_dropped_rows_are_counted_apart() {
        let row = |id| TestRow { id, ..TestRow::default() };
        let rows = [rows_of(&[row(1), row(2), row(3)]), rows_of(&[row(3), row(4)])];
        let wave = Wave::gather(&rows, &|pick| pick == Pick { batch: 1, row: 1 });
        assert!(wave.contains(1) && !wave.contains(4));
        assert_eq!(wave.partitions(PartitionBy::Month).len(), 1);
        let selection = wave.select(&[1, 99].into_iter().collect(), PartitionBy::Day);
        let counts =
            (selection.duplicates_in_wave, selection.duplicates_in_lake, selection.dropped);
        assert_eq!(counts, (1, 1, 1));
        assert_eq!(selection.partitions[0].picks.len(), 2);
    }

    #[test]
    fn nothing_in_nothing_out() {
        assert_eq!(select(&[], &[]), Selection::default());
        assert_eq!(select(&[rows_of(&[])], &[1]), Selection::default());
    }

    fn any_rows() -> impl Strategy<Value = Vec<TestRow>> {
        let texts = prop::sample::select(vec!["a", "b", "c"]);
        let row = (0..6_u128, 0..2 * DAY, any::<bool>(), 0..2_i64, texts, 0..40_i64).prop_map(
            |(id, _, backup, event_time, text, offset)| TestRow {
                // Equal ids share what is not delivery: the day and the account.
                id,
                time: (i64::try_from(id).unwrap() % 2) * DAY,
                account: ["1", "2"][usize::try_from(id / 3).unwrap()],
                backup,
                event_time,
                event_id: text,
                object: text,
                offset,
                ordinal: 0,
            },
        );
        prop::collection::vec(row, 0..24)
    }

    fn packed(rows: &[TestRow], size: usize) -> Vec<Rows> {
        rows.chunks(size).map(rows_of).collect()
    }

    proptest! {
        /// The rows that come out depend neither on the order of the rows nor on their packing.
        #[test]
        fn order_and_packing_do_not_matter(
            (rows, shuffled) in any_rows().prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
            (one, two) in (1_usize..9, 1_usize..9),
        ) {
            let (first, second) = (packed(&rows, one), packed(&shuffled, two));
            let (left, right) = (select(&first, &[]), select(&second, &[]));
            prop_assert_eq!(named(&first, &left), named(&second, &right));
            prop_assert_eq!(left.duplicates_in_wave, right.duplicates_in_wave);
        }

        /// Two waves, the second compared with the first, hold the same ids as one wave of both, in
        /// either order; and a wave after itself adds nothing.
        #[test]
        fn waves_are_a_union_of_sets((one, two) in (any_rows(), any_rows())) {
            let ids = |rows: &[Rows], known: &[u128]| -> Vec<u128> {
                let picked = named(rows, &select(rows, known));
                picked.into_iter().flat_map(|(_, rows)| rows).map(|row| row.id).collect()
            };
            let (a, b) = (packed(&one, 5), packed(&two, 5));
            let both = packed(&[one, two].concat(), 5);
            let mut union = ids(&both, &[]);
            union.sort_unstable();
            for (first, second) in [(&a, &b), (&b, &a)] {
                let mut added = ids(first, &[]);
                added.extend(ids(second, &added));
                added.sort_unstable();
                prop_assert_eq!(&added, &union);
            }
            prop_assert!(ids(&both, &union).is_empty());
        }

        /// Every row is added, a duplicate or dropped; each counted where it happens.
        #[test]
        fn the_sum_holds(rows in any_rows(), known in prop::collection::vec(0..6_u128, 0..4)) {
            let batches = packed(&rows, 4);
            let wave = Wave::gather(&batches, &|pick| pick.row == 3);
            let selection = wave.select(&known.into_iter().collect(), PartitionBy::Month);
            let added: usize = selection.partitions.iter().map(|part| part.picks.len()).sum();
            let out = added as u64
                + selection.duplicates_in_wave
                + selection.duplicates_in_lake
                + selection.dropped;
            prop_assert_eq!(rows.len() as u64, out);
        }
    }
}
