//! The conductors: what happens when, and how memory is shared out.

pub mod budget;
mod commit;
mod conductor;
pub mod ledger;
mod memory;
pub mod plan;
pub mod progress;
mod reading;
pub mod run;
pub mod summary;
mod wave;
