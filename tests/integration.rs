//! All integration tests in one binary: each further one would link the SDK, arrow and parquet again.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test that meets something else than it expects has failed"
)]

mod catalog;
mod cli;
mod deploy;
mod docs;
mod failing;
mod foreign;
mod hostile;
mod house;
mod ledger;
mod mutate;
mod on_s3;
mod program;
mod redrive;
mod regress;
mod report;
mod rewrite;
mod rewrite_docs;
mod run;
mod samples;
mod simulated;
mod store_contract;
mod stores;
mod together;
mod verify;
mod views;
