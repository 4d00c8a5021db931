//! Whether a part may hold one of some values, by its bloom filters.
//!
//! In: a file that the log names, and values by column. Out: `false` only where the filters of all row groups
//! say that none of them is there. A file without filters, or with one that cannot be read, may hold
//! anything; one that is gone or cut is [`LakeError::Damaged`](super::LakeError::Damaged) with its key.
//! Memory: a footer and one filter.

use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::ColumnChunkMetaData;

use super::error::LakeResult;
use super::ledger::LedgerFile;
use super::part_guard::guarded;
use super::part_ids::{fetch, read_footer};
use crate::store::Store;

/// Whether a row of the part may have one of the values in the column beside them.
pub async fn may_hold(
    store: &dyn Store,
    file: &LedgerFile,
    wanted: &[(&str, Vec<&str>)],
) -> LakeResult<bool> {
    let metadata = read_footer(store, file).await?;
    for group in metadata.row_groups() {
        for (name, values) in wanted.iter().filter(|(_, values)| !values.is_empty()) {
            let column =
                group.columns().iter().find(|column| column.column_path().string() == *name);
            let Some(filter) = filter(store, file, column).await? else { return Ok(true) };
            if values.iter().any(|value| filter.check(*value)) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

async fn filter(
    store: &dyn Store,
    file: &LedgerFile,
    column: Option<&ColumnChunkMetaData>,
) -> LakeResult<Option<Sbbf>> {
    let place = column.and_then(|column| {
        let start = u64::try_from(column.bloom_filter_offset()?).ok()?;
        let length = u64::try_from(column.bloom_filter_length()?).ok()?;
        Some(start..start.checked_add(length)?)
    });
    let Some(range) = place else { return Ok(None) };
    let bytes = fetch(store, file, &[range]).await?.pop().unwrap_or_default();
    Ok(guarded(file, || Sbbf::from_bytes(&bytes)).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::dedupe::Pick;
    use crate::lake::layout::Table;
    use crate::lake::part::encode;
    use crate::lake::testing::findings;
    use crate::store::Memory;

    #[tokio::test]
    async fn a_part_says_what_it_cannot_hold() {
        let batch = findings(0..40).batch;
        let picks: Vec<Pick> = (0..40).map(|row| Pick { batch: 0, row }).collect();
        let part = encode(Table::Findings, &[batch], &picks).unwrap();
        let store = Memory::new("lake");
        store.insert("part", part.bytes.clone());
        let file = LedgerFile {
            commit: 1,
            key: "part".into(),
            rows: 40,
            bytes: part.bytes.len() as u64,
            sha256: part.sha256,
        };
        let event = "arn:aws:health:us-east-1::event/EC2/T/E_3";
        let cases = [
            (vec![("finding_id", vec!["x", event])], true),
            (vec![("event_arn", vec![event])], true),
            (vec![("finding_id", vec!["x", "y"]), ("event_arn", vec![])], false),
            (vec![("finding_id", vec!["x"]), ("event_arn", vec![event])], true),
            // No filter: anything may be there.
            (vec![("title", vec!["x"])], true),
            (vec![], false),
        ];
        for (wanted, expected) in cases {
            assert_eq!(may_hold(&store, &file, &wanted).await.unwrap(), expected, "{wanted:?}");
        }
        store.insert("part", part.bytes.slice(..100));
        assert!(may_hold(&store, &file, &[("finding_id", vec!["x"])]).await.is_err());
    }
}
