//! healthtrail: an archive of AWS Health events and Security Hub findings in, one clean table out.
//!
//! The rooms, from the top down; each uses only those below it (see ARCHITECTURE.md).

pub mod archive;
pub mod cli;
pub mod finding;
pub mod generate;
pub mod job;
pub mod lake;
pub mod report;
pub mod store;
