//! The bytes that are still needed, by their offset in the object.

use std::ops::Range;

/// A stretch of an object's bytes.
#[derive(Debug, Default)]
pub(super) struct Window {
    bytes: Vec<u8>,
    base: u64,
}

impl Window {
    /// The offset behind the last byte.
    pub(super) fn end(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    /// The byte at `at`.
    pub(super) fn byte(&self, at: u64) -> Option<u8> {
        self.bytes.get(self.index(at)).copied()
    }

    /// All bytes from `at` on.
    pub(super) fn from(&self, at: u64) -> &[u8] {
        self.bytes.get(self.index(at)..).unwrap_or_default()
    }

    /// The bytes of a range; those that are no longer there, or not yet, are missing.
    pub(super) fn slice(&self, range: Range<u64>) -> &[u8] {
        let start = self.index(range.start);
        let end = self.index(range.end).min(self.bytes.len());
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// Forgets the bytes before `floor`, when that is cheap, and gives the buffer to append to.
    pub(super) fn room(&mut self, floor: u64) -> &mut Vec<u8> {
        let done = self.index(floor).min(self.bytes.len());
        let kept = self.bytes.len() - done;
        // Moving no more bytes than are forgotten keeps the moves linear in all bytes.
        if kept <= done {
            self.bytes.copy_within(done.., 0);
            self.bytes.truncate(kept);
            self.base += done as u64;
        }
        &mut self.bytes
    }

    fn index(&self, at: u64) -> usize {
        usize::try_from(at.saturating_sub(self.base)).unwrap_or(usize::MAX)
    }
}
