//! An archive's objects, from bytes to findings.
//!
//! In: the bytes of one object. Out: rows, rejects as values, and the counts of what became of each
//! byte. The way is [`unpack`] (compression), [`split`] (bytes to documents; [`documents`] couples the
//! two), [`recognize`] (a document to the findings in it), and [`read`]. All of it is pure.

pub mod documents;
pub mod read;
pub mod recognize;
pub mod split;
pub mod unpack;
