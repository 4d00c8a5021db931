//! healthtrail: an archive of AWS Health events and Security Hub findings in, one clean table out.

pub mod archive;
pub mod finding;
pub mod store;
