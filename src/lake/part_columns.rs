//! The names of a part's columns, as its footer says them.
//!
//! In: a file that the log names. Out: its top-level columns, in their order. A file that is gone, cut
//! or no Parquet is [`LakeError::Damaged`](super::LakeError::Damaged) with its key. Memory: one footer.

use super::error::LakeResult;
use super::ledger::LedgerFile;
use super::part_ids::read_footer;
use crate::store::Store;

/// The names of the columns of this part.
pub async fn part_columns(store: &dyn Store, file: &LedgerFile) -> LakeResult<Vec<String>> {
    let footer = read_footer(store, file).await?;
    let fields = footer.file_metadata().schema().get_fields();
    Ok(fields.iter().map(|field| field.name().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::rejects;
    use crate::store::Memory;

    #[tokio::test]
    async fn a_part_tells_its_columns_in_their_order() {
        let (store, bytes) = (Memory::new("lake"), rejects::tests::part());
        store.insert("part", bytes.clone());
        let file = |length: usize| LedgerFile {
            commit: 1,
            key: "part".into(),
            rows: 1,
            bytes: length as u64,
            sha256: String::new(),
        };
        let columns = part_columns(&store, &file(bytes.len())).await.unwrap();
        assert_eq!(columns, rejects::COLUMNS.map(|column| column.name));
        let cut = part_columns(&store, &file(bytes.len() - 1)).await.unwrap_err();
        assert!(cut.to_string().contains("`part` does not end as a Parquet file"), "{cut}");
    }
}
