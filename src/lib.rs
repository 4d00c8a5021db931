//! healthtrail: an archive of AWS Health events and Security Hub findings in, one clean table out.
//!
//! The rooms, from the top down; each uses only those below it (see ARCHITECTURE.md).

pub mod cli;
pub mod job;
pub mod generate;
pub mod lake;
pub mod archive;
pub mod finding;
pub mod store;
