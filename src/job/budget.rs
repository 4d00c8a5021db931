//! How the memory of `--memory` is shared out.
//!
//! In: the whole budget and the number of threads. Out: a bound in bytes for each thing that grows.
//! The shares add up to the budget less what the program needs when idle; a larger budget makes
//! larger waves, fewer commits and fewer files, and changes nothing else.

/// The least that `--memory` may be.
pub const MEMORY_BYTES_MIN: u64 = 128 * MIB;

/// The default of `--memory`.
pub const MEMORY_BYTES_DEFAULT: u64 = 1024 * MIB;

const MIB: u64 = 1 << 20;

/// The bounds of a run, in bytes unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Rows and rejects that a wave holds before it ends.
    pub wave_bytes: usize,
    /// Rows and rejects that one reading task hands over at a time.
    pub task_bytes: usize,
    /// Compressed bytes fetched ahead, over all objects.
    pub fetched_bytes: u64,
    /// Objects larger than this are fetched in ranges while they are read.
    pub whole_object_bytes: u64,
    /// The length of such a range.
    pub range_bytes: u64,
    /// Listed bytes of the small objects that one task reads together.
    pub chunk_bytes: u64,
    /// Objects that one task reads together.
    pub chunk_objects: usize,
    /// The longest document.
    pub document_bytes: usize,
    /// Reading tasks under way or waiting to be taken.
    pub tasks: usize,
    /// Parts that are encoded at the same time.
    pub encoders: usize,
}

impl Budget {
    /// Shares out `memory_bytes` among `threads`; both are taken to be within their bounds.
    pub fn new(memory_bytes: u64, threads: usize, document_bytes_max: usize) -> Self {
        let tasks = threads + 1;
        let share = |part: u64| (memory_bytes / part).max(1);
        let share_usize = |part: u64| usize::try_from(share(part)).unwrap_or(usize::MAX);
        // Tasks hold a quarter between them, however many threads there are.
        let task_bytes = (share_usize(4) / tasks).clamp(1 << 20, 64 << 20);
        Self {
            wave_bytes: share_usize(4),
            task_bytes,
            fetched_bytes: share(8),
            whole_object_bytes: share(32).min(16 * MIB),
            range_bytes: share(64).min(8 * MIB),
            chunk_bytes: share(256).min(2 * MIB),
            chunk_objects: 64,
            document_bytes: document_bytes_max.min(share_usize(16)),
            tasks,
            encoders: threads.min(share_usize(64 * MIB)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_stay_within_the_budget() {
        for memory_bytes in [MEMORY_BYTES_MIN, 256 * MIB, MEMORY_BYTES_DEFAULT, 64 * 1024 * MIB] {
            for threads in [1, 2, 8, 64] {
                let budget = Budget::new(memory_bytes, threads, 16 << 20);
                let tasks = budget.task_bytes * budget.tasks + budget.document_bytes;
                let held = (tasks + budget.wave_bytes) as u64 + budget.fetched_bytes;
                assert!(held <= memory_bytes, "{memory_bytes} {threads}: {held}");
                assert!(budget.whole_object_bytes <= budget.fetched_bytes);
                assert!(budget.encoders >= 1);
            }
        }
    }
}
