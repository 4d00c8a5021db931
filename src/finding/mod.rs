//! What a finding is: pure code from parsed JSON to Arrow columns.
//!
//! In: a [`json::Json`] with the [`envelope::Envelope`] it came in and its [`place::Place`]. Out:
//! rows, or why there is none, as a value. Nothing here knows an archive, a lake, a clock or a
//! thread.

pub mod columns;
pub mod envelope;
pub mod identity;
pub mod json;
pub mod limits;
pub mod place;
pub mod product;
pub mod reject;
pub mod rows;
pub mod tally;
pub mod time;

mod arn;
mod builders;
#[cfg(test)]
mod corpus_tests;
mod fields;
mod from_asff;
mod from_health;
mod from_ocsf;
mod kinds;
#[cfg(test)]
mod law_tests;
mod leftovers;
mod ocsf_fields;
mod row;
#[cfg(test)]
mod testing;
