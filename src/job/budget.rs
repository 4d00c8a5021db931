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

/// What the program and its libraries take before they hold any data: code, runtime, TLS, buffers of
/// fixed size, and what the allocator cannot give back.
const IDLE_BYTES: u64 = 64 * MIB;

/// What one encoder takes beside the rows: a slice of gathered rows, a compressor for each of some
/// ninety columns, pages and dictionaries in the making, and the finished part.
const ENCODER_BYTES: u64 = 32 * MIB;

/// The longest document is never bounded below this: Health splits its events at 256 KB, a finding has
/// 240 KB at most, and EventBridge takes events of 1 MB.
const DOCUMENT_BYTES_MIN: u64 = MIB;

/// The longest document is never bounded above this: Arrow counts a column's text with 32 bits.
const DOCUMENT_BYTES_MAX: u64 = 256 * MIB;

/// Rows are moved into buffers of their exact size when a task ends; both copies are held meanwhile,
/// so results take three halves of what they weigh.
const RESULT_HALVES: u64 = 3;

/// Results of reading that there is room for, unless the least of each is more.
const RESULTS: u64 = 12;

/// The buffer of a reader grows to the longest document and a quarter more, and may be moved once.
const WINDOWS_PER_DOCUMENT: u64 = 2;

/// A thread that has less than this would read in pieces too small to be worth it.
const THREAD_BYTES_MIN: u64 = 32 * MIB;

/// How many threads a run uses: those that were asked for, as far as memory goes round.
pub fn threads(memory_bytes: u64, wanted: usize) -> usize {
    wanted.min(in_memory(memory_bytes / THREAD_BYTES_MIN)).max(1)
}

/// The bounds of a run, in bytes unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Rows and rejects after which a wave ends, once the chunk that is being read is read whole.
    pub wave_bytes: usize,
    /// Rows and rejects that a wave holds before they are staged early, in the middle of a chunk.
    pub piece_bytes: usize,
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
    /// Results of reading that are under way or wait to be taken.
    pub tasks: usize,
    /// Parts that are encoded at the same time.
    pub encoders: usize,
    /// Encoded parts that may wait to be stored while the next are encoded.
    pub parts_waiting: usize,
}

impl Budget {
    /// Shares out `memory_bytes` among `threads`; both are taken to be within their bounds.
    pub fn new(memory_bytes: u64, threads: usize, document_bytes_max: usize) -> Self {
        // One encoder there must be; what is left after it is shared out.
        let data = memory_bytes.saturating_sub(IDLE_BYTES + ENCODER_BYTES);
        let (wave, results, windows) = (data * 3 / 8, data / 4, data / 8);
        let (fetched, encode) = (data / 16, data / 8);
        // What a task hands over, and so where a wave is cut into pieces, must not depend on threads.
        let result = (results * 2 / RESULT_HALVES / RESULTS).clamp(MIB, 16 * MIB);
        let results_max = in_memory(results * 2 / RESULT_HALVES / result);
        // One more is read on while the others wait.
        let tasks = (threads + 1).min(results_max.saturating_sub(1)).max(2);
        let readers = tasks as u64 + 1;
        let document = (windows / WINDOWS_PER_DOCUMENT / readers)
            .clamp(DOCUMENT_BYTES_MIN, DOCUMENT_BYTES_MAX);
        let encoders_max = 1 + in_memory(encode / ENCODER_BYTES);
        let encoders = encoders_max.min(threads.max(1));
        Self {
            // A chunk fits between the two, so that only large objects are cut into pieces.
            wave_bytes: in_memory(wave * 3 / 4),
            piece_bytes: in_memory(wave),
            task_bytes: in_memory(result),
            fetched_bytes: fetched,
            whole_object_bytes: (fetched / 4).min(16 * MIB),
            range_bytes: (fetched / 8).min(8 * MIB),
            chunk_bytes: (fetched / 16).min(2 * MIB),
            chunk_objects: 64,
            document_bytes: document_bytes_max.min(in_memory(document)),
            tasks,
            encoders,
            parts_waiting: (encoders_max - encoders).min(encoders),
        }
    }
}

fn in_memory(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_stay_within_the_budget() {
        for memory_bytes in [MEMORY_BYTES_MIN, 256 * MIB, MEMORY_BYTES_DEFAULT, 64 * 1024 * MIB] {
            for wanted in [1, 2, 8, 64] {
                let threads = threads(memory_bytes, wanted);
                let budget = Budget::new(memory_bytes, threads, 16 << 20);
                let readers = budget.tasks as u64 + 1;
                let held = IDLE_BYTES
                    + budget.piece_bytes as u64
                    + readers * budget.task_bytes as u64 * RESULT_HALVES / 2
                    + readers * budget.document_bytes as u64 * WINDOWS_PER_DOCUMENT
                    + budget.fetched_bytes
                    + (budget.encoders + budget.parts_waiting) as u64 * ENCODER_BYTES;
                // The least document may take more than its share of the least memory.
                let slack = readers * (DOCUMENT_BYTES_MIN * WINDOWS_PER_DOCUMENT + MIB);
                assert!(held <= memory_bytes + slack, "{memory_bytes} {threads}: {held}");
                assert!(budget.whole_object_bytes <= budget.fetched_bytes);
                // Where waves end and are cut depends on memory alone.
                let single = Budget::new(memory_bytes, 1, 16 << 20);
                let cuts = |b: &Budget| (b.wave_bytes, b.piece_bytes, b.task_bytes, b.chunk_bytes);
                assert_eq!(cuts(&budget), cuts(&single), "{memory_bytes} {threads}");
            }
        }
    }
}
