//! What a lake is, as those that describe it to other programs need to know.
//!
//! In: a lake, and how its tables are called and found. Out: its partitions and their span, from its
//! settings and its log, never from a listing. Wrong: a lake that is not there (none), or whose log is
//! damaged. Memory: the folded log.

use std::sync::Arc;

use super::config::LakeConfig;
use super::ddl::LakeFacts;
use super::error::LakeResult;
use super::layout::{Partition, Table};
use super::ledger::Ledger;
use super::log::Log;
use crate::store::Store;

/// How a lake's tables are called and found.
#[derive(Debug, Clone)]
pub struct Names {
    /// Where readers find its files, without a slash at its end.
    pub location: String,
    /// The database of its tables; none for the one that statements are run in.
    pub database: Option<String>,
    /// What the names of its tables and views begin with.
    pub prefix: String,
}

/// What was found.
#[derive(Debug)]
pub struct FoundFacts {
    /// What the lake is.
    pub facts: LakeFacts,
    /// Its log, folded.
    pub ledger: Ledger,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// What the lake is at this moment (milliseconds since 1970); none where there is no lake. An open commit
/// counts as done, for whoever comes next completes it.
pub async fn facts(
    store: &Arc<dyn Store>,
    names: Names,
    identity: u32,
    now_ms: i64,
) -> LakeResult<Option<FoundFacts>> {
    let Some(config) = LakeConfig::open(store.as_ref(), identity).await? else { return Ok(None) };
    let log = Log::new(Arc::clone(store));
    let mut ledger = log.load().await?;
    let notes = log.look(&mut ledger).await?.notes;
    let of = |table: Table| {
        let files = ledger.all_files().filter(|(own, ..)| *own == table);
        files.map(|(_, partition, _)| partition).collect()
    };
    let facts = LakeFacts {
        location: names.location,
        database: names.database,
        prefix: names.prefix,
        by: config.partition,
        partitions: Table::ALL.map(of),
        today: Partition::of(now_ms, config.partition),
    };
    Ok(Some(FoundFacts { facts, ledger, notes }))
}
