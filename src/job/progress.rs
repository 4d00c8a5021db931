//! How far a run is: counters that the conductor moves and that whoever prints reads at leisure.

use std::sync::atomic::{AtomicU64, Ordering};

/// The counters of a run. Numbers only; printing is not done here.
#[derive(Debug, Default)]
pub struct Progress {
    /// Objects to be read.
    pub objects_planned: AtomicU64,
    /// Their bytes as stored.
    pub bytes_planned: AtomicU64,
    /// Objects read so far.
    pub objects_read: AtomicU64,
    /// Their bytes as stored.
    pub bytes_read: AtomicU64,
    /// Rows read so far.
    pub rows_read: AtomicU64,
    /// Commits made so far.
    pub commits: AtomicU64,
    /// Objects listed so far.
    pub objects_listed: AtomicU64,
}

impl Progress {
    /// Adds to a counter.
    pub fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    /// Reads a counter.
    pub fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}
