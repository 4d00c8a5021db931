//! The conductors: what happens when, and how memory is shared out.

pub mod budget;
mod commit;
mod commit_record;
mod commit_rejects;
mod conductor;
pub mod doctor;
pub mod forget;
mod forgotten;
mod lag;
pub mod ledger;
mod memory;
pub mod options;
pub(crate) mod panics;
pub mod plan;
pub mod progress;
mod reading;
pub mod rebuild;
pub mod redrive;
pub mod register;
pub mod rejects;
pub mod replay;
pub mod run;
mod salvage;
pub mod stream;
pub mod summary;
pub mod verify;
mod wave;
