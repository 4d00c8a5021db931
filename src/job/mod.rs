//! The conductors: what happens when, and how memory is shared out.

pub mod budget;
mod commit;
mod conductor;
pub mod forget;
mod forgotten;
mod memory;
pub mod plan;
pub mod progress;
mod reading;
pub mod rebuild;
pub mod run;
pub mod summary;
mod wave;
