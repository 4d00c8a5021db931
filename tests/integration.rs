//! The one integration test binary: each further one would link the SDK, arrow and parquet again.

mod failing;
mod foreign;
mod house;
mod on_s3;
mod program;
mod run;
mod store_contract;
mod stores;
