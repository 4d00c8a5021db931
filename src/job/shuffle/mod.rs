//! A run whose two halves lie apart: objects to rows by partition, and rows of a partition to parts.
//!
//! Between them somebody else's machinery carries the rows, so that all rows of a group (a table, a partition,
//! a slice of its row ids) come to one place: a shuffle, as Spark has one. In: the options of a run. Out: the
//! same lake, log and promises as of a run on one machine. [`driver`] plans a wave and commits it, [`read`] is
//! the first half, [`reduce`] the second; [`parcel`] is what is carried, [`payload`] what is in it.
//!
//! Either half may be done again, by several at once: parts are staged by their content, and what decides is
//! the one record that the driver writes. A number that another run has taken is given up with all that was
//! staged for it, and the wave is planned anew; no wave is larger than its driver says. Nothing here knows
//! what carries the parcels.

pub mod driver;
pub mod parcel;
pub mod payload;
pub mod read;
pub mod reduce;
pub mod task;

pub use driver::{Committed, Driver, WavePlan};
pub use parcel::{Kind, Parcel};
pub use task::Context;
