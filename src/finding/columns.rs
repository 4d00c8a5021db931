//! Columns.
/// The version of the list below; each row carries it in `schema_version`.
pub const SCHEMA_VERSION: i32 = 1;
