//! All integration tests in one binary: each further one would link the SDK, arrow and parquet again.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test that meets something else than it expects has failed"
)]
#![allow(clippy::print_stdout, reason = "the long matrices print their tables")]
#![allow(clippy::case_sensitive_file_extension_comparisons, reason = "keys are no file names")]

mod catalog;
mod cli;
#[cfg(unix)]
mod crash;
mod damaged;
mod deploy;
mod docs;
mod doctor;
mod failing;
mod faults;
mod firehose;
mod firehose_server;
mod foreign;
mod hostile;
mod house;
mod ledger;
mod logs;
mod memory;
mod mutate;
mod on_s3;
mod program;
mod proxy;
mod races;
mod redrive;
mod regress;
mod report;
mod rewrite;
mod rewrite_docs;
mod run;
mod samples;
mod secure;
mod shell;
mod shuffle;
mod simulated;
mod store_contract;
mod stores;
mod together;
mod tutorial;
mod verify;
mod views;
