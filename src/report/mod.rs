//! Reports: from the lake's rows to figures, and figures as a page, as text, as JSON.
//!
//! In: the visible parts of a lake and a period. Out: one [`Report`], and three ways to show it. What
//! goes wrong is a [`LakeError`](crate::lake::LakeError). Memory: some 250 MB at most, however large
//! the lake: parts are streamed, findings are counted one by one up to [`items::ITEMS_MAX`], names are bounded.

mod charts;
pub mod days;
pub mod figures;
pub mod gather;
pub mod items;
mod names;
pub mod page;
mod quality;
mod rows;
mod sums;
mod tables;
pub mod text;

pub use figures::Report;
pub use gather::{ReportOptions, Times, report};
