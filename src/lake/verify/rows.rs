//! The rows of one partition: each id once, each row where it belongs, in the order that is declared.
//!
//! In: the parts of one partition. Out: a finding for each part that has such rows. The day is in a
//! row's id, so equal ids meet within a partition; a row that lies in a wrong one is told by its time.
//! A part that cannot be read is a finding; `Err` is trouble of the store. Memory: [`PASS_ROWS`] ids, and
//! one row group's columns; a larger partition is read several times, a range of ids at a time.

use std::cmp::Ordering;

use arrow::array::{Array, AsArray, StringArray};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMillisecondType};
use arrow::record_batch::RecordBatch;
use xxhash_rust::xxh3::xxh3_128;

use super::parts::damage;
use super::{Finding, Kind, Part};
use crate::lake::error::{LakeError, LakeResult};
use crate::lake::ids::{id_text, parse_id};
use crate::lake::layout::Table;
use crate::lake::part_rows::RowReader;
use crate::lake::record::sum;
use crate::store::Store;

/// Ids held at a time; with the number of their part each takes 32 bytes.
const PASS_ROWS: u64 = 2 << 20;

/// Checks the parts of one partition, given in the order of their commits.
pub async fn check_partition(store: &dyn Store, parts: &[&Part]) -> LakeResult<Vec<Finding>> {
    check_in_passes(store, parts, PASS_ROWS).await
}

async fn check_in_passes(
    store: &dyn Store,
    parts: &[&Part],
    pass_rows: u64,
) -> LakeResult<Vec<Finding>> {
    let mut broken = Vec::new();
    let mut readable: Vec<(u32, &Part)> = (0..).zip(parts.iter().copied()).collect();
    // Without a part that cannot be read all begins anew: what its record says of its rows is nothing
    // to count passes by.
    'anew: loop {
        let rows = sum(readable.iter().map(|(_, part)| part.file.rows));
        let passes = u128::from(rows.div_ceil(pass_rows.max(1)).max(1));
        let mut findings = Vec::new();
        for pass in 0..passes {
            let mut ids: Vec<(u128, u32)> = Vec::new();
            for (at, (index, part)) in readable.iter().enumerate() {
                let mut seen = Seen::default();
                let keep = |id: u128| {
                    if id % passes == pass {
                        ids.push((id, *index));
                    }
                };
                if let Some(message) = damage(read(store, part, &mut seen, keep).await)? {
                    broken.push(finding(part, Kind::PartAltered, message));
                    readable.remove(at);
                    continue 'anew;
                } else if pass == 0 {
                    findings.extend(seen.findings(part));
                }
            }
            findings.extend(doubled(parts, ids));
        }
        broken.extend(findings);
        return Ok(merged(broken));
    }
}

fn finding(part: &Part, kind: Kind, message: String) -> Finding {
    Finding::new(kind, &part.file.key, part.file.commit, message)
}

/// What the rows of a part showed.
#[derive(Debug, Default)]
struct Seen {
    ids: Option<(u128, u128)>,
    times: Option<(i64, i64)>,
    misplaced: u64,
    first_misplaced: Option<u128>,
    unsorted: bool,
    last: Option<(String, i64, u128)>,
}

impl Seen {
    fn findings(&self, part: &Part) -> Vec<Finding> {
        let mut findings = Vec::new();
        if let Some(first) = self.first_misplaced {
            let message = format!(
                "has {} rows of other times than `{:?}`, the first of them `{}`",
                self.misplaced,
                part.partition,
                id_text(first)
            );
            findings.push(finding(part, Kind::RowMisplaced, message));
        }
        if self.unsorted {
            let message = "has rows that do not lie in the order that its footer declares";
            findings.push(finding(part, Kind::RowsUnsorted, message.to_owned()));
        }
        let ids = self.ids.map(|(least, greatest)| (id_text(least), id_text(greatest)));
        if ids.is_some_and(|ids| ids != part.ids)
            || self.times.is_some_and(|times| times != part.time_ms)
        {
            let message = "has other ids or times than its record says";
            findings.push(finding(part, Kind::PartAltered, message.to_owned()));
        }
        findings
    }

    fn row(&mut self, part: &Part, id: u128, time: i64) {
        self.ids = Some(self.ids.map_or((id, id), |(a, b)| (a.min(id), b.max(id))));
        self.times = Some(self.times.map_or((time, time), |(a, b)| (a.min(time), b.max(time))));
        if !part.partition.times().contains(&time) {
            self.misplaced += 1;
            self.first_misplaced.get_or_insert(id);
        }
    }

    /// Compares a row with the one before it.
    fn follow(&mut self, group: &str, number: i64, id: u128) {
        let order = self.last.as_ref().map_or(Ordering::Less, |(last, last_number, last_id)| {
            last.as_str().cmp(group).then((*last_number, *last_id).cmp(&(number, id)))
        });
        self.unsorted |= order == Ordering::Greater;
        match &mut self.last {
            Some((last, last_number, last_id)) if last == group => {
                (*last_number, *last_id) = (number, id);
            }
            last => *last = Some((group.to_owned(), number, id)),
        }
    }
}

/// Reads the columns that matter here of one part; `keep` gets what must be unique of each row.
async fn read(
    store: &dyn Store,
    part: &Part,
    seen: &mut Seen,
    mut keep: impl FnMut(u128),
) -> LakeResult<()> {
    let names: &[&str] = match part.table {
        Table::Findings => &["row_id", "reported_at", "account_id"],
        Table::Rejects => {
            &["reject_id", "arrived_hour", "source_object", "source_offset", "state_number"]
        }
    };
    let mut reader =
        RowReader::open(store, part.table, &part.file, names, &(i64::MIN..i64::MAX)).await?;
    while let Some(batch) = reader.next().await? {
        take(part, &batch, seen, &mut keep).ok_or_else(|| {
            LakeError::damaged(&part.file.key, "has a row without its id, its time or its place")
        })?;
    }
    Ok(())
}

/// `None` when a value is missing that every row has.
fn take(
    part: &Part,
    batch: &RecordBatch,
    seen: &mut Seen,
    keep: &mut impl FnMut(u128),
) -> Option<()> {
    let text = |column: usize| -> Option<&StringArray> {
        batch.columns().get(column)?.as_string_opt::<i32>()
    };
    let (ids, groups) = (text(0)?, text(2)?);
    let times = batch.columns().get(1)?.as_primitive_opt::<TimestampMillisecondType>()?;
    let offsets = batch.columns().get(3).and_then(|column| column.as_primitive_opt::<Int64Type>());
    let numbers = batch.columns().get(4).and_then(|column| column.as_primitive_opt::<Int32Type>());
    if ids.null_count() + groups.null_count() + times.null_count() > 0 {
        return None;
    }
    for row in 0..batch.num_rows() {
        let (id, time) = (parse_id(ids.value(row).as_bytes())?, times.value(row));
        seen.row(part, id, time);
        match part.table {
            Table::Findings => {
                seen.follow(groups.value(row), time, id);
                keep(id);
            }
            Table::Rejects => {
                // Rejects are sorted by place only.
                seen.follow(groups.value(row), offsets?.value(row), 0);
                // Null in the first state, and in older parts.
                let number = numbers.filter(|numbers| numbers.is_valid(row));
                keep(with_state(id, number.map_or(0, |numbers| numbers.value(row))));
            }
        }
    }
    Some(())
}

/// The id of a reject in one of its states.
fn with_state(id: u128, number: i32) -> u128 {
    let mut bytes = [0; 20];
    let (head, tail) = bytes.split_at_mut(16);
    head.copy_from_slice(&id.to_le_bytes());
    tail.copy_from_slice(&number.to_le_bytes());
    xxh3_128(&bytes)
}

/// For each part the rows that an earlier part, or the part itself, has already.
fn doubled(parts: &[&Part], mut ids: Vec<(u128, u32)>) -> Vec<Finding> {
    ids.sort_unstable();
    let mut counts: Vec<(u64, Option<(u128, u32)>)> = vec![(0, None); parts.len()];
    for pair in ids.windows(2) {
        let [(one, first), (two, second)] = pair else { continue };
        if one == two
            && let Some((count, example)) = counts.get_mut(*second as usize)
        {
            *count += 1;
            example.get_or_insert((*one, *first));
        }
    }
    let name = |index: u32| parts.get(index as usize).map_or("", |part| part.file.key.as_str());
    let findings = parts.iter().zip(counts).filter_map(|(part, (count, example))| {
        let (id, first) = example?;
        let message = match part.table {
            Table::Findings => {
                format!("has {count} rows that `{}` has already, as `{}`", name(first), id_text(id))
            }
            Table::Rejects => format!("has {count} rows that `{}` has already", name(first)),
        };
        Some(finding(part, Kind::RowDoubled, message))
    });
    findings.collect()
}

/// One finding for each part and kind: the first pass that found it speaks for all.
fn merged(findings: Vec<Finding>) -> Vec<Finding> {
    let mut merged: Vec<Finding> = Vec::new();
    for finding in findings {
        let known = |held: &Finding| held.kind == finding.kind && held.key == finding.key;
        if !merged.iter().any(known) {
            merged.push(finding);
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::dedupe::Pick;
    use crate::lake::ledger::LedgerFile;
    use crate::lake::part::encode;
    use crate::lake::testing::{TestRow, rows_of};
    use crate::store::Memory;

    /// A part of these rows of 1 January 1970, as the log would name it.
    fn part(store: &Memory, key: &str, rows: &[TestRow]) -> Part {
        let batch = rows_of(rows).batch;
        let picks: Vec<Pick> =
            (0..u32::try_from(rows.len()).unwrap()).map(|row| Pick { batch: 0, row }).collect();
        let encoded = encode(Table::Findings, &[batch], &picks).unwrap();
        store.insert(key, encoded.bytes.clone());
        let file = LedgerFile {
            commit: 1,
            key: key.into(),
            rows: encoded.rows,
            bytes: encoded.bytes.len() as u64,
            sha256: encoded.sha256,
        };
        Part {
            table: Table::Findings,
            partition: "1970-01-01".parse().unwrap(),
            file,
            time_ms: encoded.time_ms,
            ids: (id_text(encoded.ids.0), id_text(encoded.ids.1)),
            unpublished: None,
        }
    }

    fn row(id: u128, time: i64) -> TestRow {
        TestRow { id, time, ..TestRow::default() }
    }

    fn found(findings: &[Finding]) -> Vec<(Kind, &str)> {
        findings.iter().map(|finding| (finding.kind, finding.key.as_str())).collect()
    }

    #[tokio::test]
    async fn in_one_pass_or_many_the_same_is_found() {
        let store = Memory::new("lake");
        let many: Vec<TestRow> = (0..100).map(|id| row(id, 5)).collect();
        let one = part(&store, "one", &many);
        let two = part(&store, "two", &[row(63, 5), row(200, 6), row(64, 7)]);
        let three = part(&store, "three", &[row(300, 1), row(300, 1), row(301, 86_400_000)]);
        let parts = [&one, &two, &three];
        let expected =
            [(Kind::RowMisplaced, "three"), (Kind::RowDoubled, "two"), (Kind::RowDoubled, "three")];
        for pass_rows in [1, 7, 50, 1_000] {
            let findings = check_in_passes(&store, &parts, pass_rows).await.unwrap();
            let (mut found, mut expected) = (found(&findings), expected.to_vec());
            found.sort_unstable();
            expected.sort_unstable();
            assert_eq!(found, expected, "{pass_rows}");
        }
        let findings = check_partition(&store, &parts[..1]).await.unwrap();
        assert!(findings.is_empty(), "{findings:?}");
    }

    #[tokio::test]
    async fn order_ids_and_readability_are_checked() {
        let store = Memory::new("lake");
        let unsorted = part(&store, "unsorted", &[row(2, 9), row(1, 5)]);
        let findings = check_partition(&store, &[&unsorted]).await.unwrap();
        assert_eq!(found(&findings), [(Kind::RowsUnsorted, "unsorted")]);
        let mut lies = part(&store, "lies", &[row(2, 5), row(3, 9)]);
        lies.ids.0 = id_text(1);
        let findings = check_partition(&store, &[&lies]).await.unwrap();
        assert_eq!(found(&findings), [(Kind::PartAltered, "lies")]);
        store.insert("lies", vec![b'x'; usize::try_from(lies.file.bytes).unwrap()]);
        let findings = check_partition(&store, &[&lies, &unsorted]).await.unwrap();
        let expected = [(Kind::PartAltered, "lies"), (Kind::RowsUnsorted, "unsorted")];
        assert_eq!(found(&findings), expected);
    }
}
