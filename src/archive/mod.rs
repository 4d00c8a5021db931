//! From an archive to the findings in it.
//!
//! In: an archive. Out: rows, rejects as values, and the counts of what became of each byte. The way is
//! [`discover`] (which objects, and by [`arrival`] when they came), [`fetch`] (their bytes), [`unpack`]
//! (compression), [`split`] (bytes to documents; [`documents`] couples the two), [`recognize`] (a
//! document to the findings in it), and [`read`]. From unpack on all of it is pure.

pub mod arrival;
pub mod discover;
pub mod documents;
pub mod fetch;
pub mod read;
pub mod recognize;
mod shape;
pub mod split;
pub mod unpack;
