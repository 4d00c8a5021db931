//! The one integration test binary: each further one would link the whole program again.

mod house;
mod run;
mod support;
