//! healthtrail: an archive of AWS Health events and Security Hub findings in, one clean table out.

pub mod finding;
pub mod lake;
pub mod store;
