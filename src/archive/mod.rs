//! From an archive to the findings in it.
//!
//! `discover` lists the objects, `fetch` brings their bytes; between bytes and findings all is pure.

pub mod arrival;
pub mod discover;
pub mod fetch;
pub mod read;
