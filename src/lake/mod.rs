//! The lake: two append-only tables of immutable Parquet files, and the log that says which they are.
//!
//! In: rows and rejects of a wave, and what objects they came from. Out: staged parts, one commit
//! record a wave, published files, and the ledger. What goes wrong is a [`LakeError`] that names a
//! key and what to do. The rules by which runs may race and die at any point are in [`log`].

pub mod checkpoint;
pub mod config;
pub mod ddl;
pub mod ddl_changes;
pub mod dedupe;
pub mod draft;
pub mod duckdb;
pub mod erase;
pub mod error;
pub mod facts;
pub mod history;
pub mod ids;
pub mod layout;
pub mod ledger;
pub mod log;
pub mod merge;
pub mod part;
pub mod part_bloom;
pub mod part_columns;
pub mod part_gather;
pub mod part_guard;
pub mod part_ids;
pub mod part_rows;
pub mod publish;
pub mod record;
pub mod reject_rows;
pub mod reject_states;
pub mod rejects;
pub mod sink;
pub mod table_difference;
#[cfg(test)]
mod testing;
pub mod tombstones;
pub mod under_way;
pub mod verify;
pub mod views;

pub use error::LakeError;
