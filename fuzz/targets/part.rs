//! Any bytes as a part of the lake, through every way in which the program reads its own Parquet: ids,
//! columns, all of it, spans of time, bloom filters, rejects, the full check. What is wrong is an
//! error with the part's key. The first byte says which table, the next two how many rows the
//! log claims.
#![no_main]

use bytes::Bytes;
use healthtrail::lake::LakeError;
use healthtrail::lake::layout::Table;
use healthtrail::lake::ledger::LedgerFile;
use healthtrail::lake::part_bloom::may_hold;
use healthtrail::lake::part_ids::IdReader;
use healthtrail::lake::part_rows::{RowReader, time_span};
use healthtrail::lake::reject_rows::visit_latest;
use healthtrail::store::Memory;
use healthtrail_fuzz::{block_on, leave_panics_to_the_program, run};
use libfuzzer_sys::fuzz_target;

const KEY: &str = "findings/dt=2026-11-24/0000000001-0000000000000000.parquet";
const ALL: std::ops::Range<i64> = i64::MIN..i64::MAX;

fn told<T>(result: Result<T, LakeError>) -> Option<T> {
    result.map_err(|error| assert_eq!(error.key(), KEY, "{error}")).ok()
}

async fn ids(store: &Memory, table: Table, file: &LedgerFile) -> Result<(), LakeError> {
    let mut reader = IdReader::open(store, table, file).await?;
    let mut rows = 0;
    while let Some(ids) = reader.next().await? {
        rows += ids.len() as u64;
    }
    assert_eq!(rows, file.rows);
    Ok(())
}

async fn columns(store: &Memory, table: Table, file: &LedgerFile) -> Result<(), LakeError> {
    let columns: &[&str] = match table {
        Table::Findings => &["row_id", "reported_at", "title", "entities", "resources"],
        Table::Rejects => &["reject_id", "arrived_hour", "bytes"],
    };
    let mut reader = RowReader::open(store, table, file, columns, &ALL).await?;
    reader.fetch_ahead().await?;
    while let Some(batch) = reader.next().await? {
        assert_eq!(batch.num_columns(), columns.len());
    }
    Ok(())
}

async fn whole(store: &Memory, table: Table, file: &LedgerFile) -> Result<(), LakeError> {
    let mut reader = RowReader::whole(store, table, file).await?;
    while reader.next().await?.is_some() {}
    Ok(())
}

fuzz_target!(
    init: leave_panics_to_the_program(),
    |data: &[u8]| {
        let [table, low, high, part @ ..] = data else { return };
        let table = if *table % 2 == 0 { Table::Findings } else { Table::Rejects };
        run(|| block_on(async {
            let store = Memory::new("lake");
            store.insert(KEY, Bytes::copy_from_slice(part));
            let file = LedgerFile {
                commit: 1,
                key: KEY.into(),
                rows: u64::from(u16::from_le_bytes([*low, *high])),
                bytes: part.len() as u64,
                sha256: String::new(),
            };
            told(ids(&store, table, &file).await);
            told(columns(&store, table, &file).await);
            told(whole(&store, table, &file).await);
            told(time_span(&store, table, &file).await);
            let wanted = [("finding_id", vec!["x"]), ("event_arn", vec!["arn:aws:health:::x"])];
            told(may_hold(&store, &file, &wanted).await);
            if table == Table::Rejects {
                let columns = ["reject_id", "state", "state_number", "bytes", "source_offset"];
                told(visit_latest(&store, &[&file], &columns, |_| {}).await);
            }
        }));
    }
);
