//! Where a document probably ends: before the next one, which begins as the last one did.
//!
//! In: the bytes from a document's first bracket on, and where documents ended before. Out: the offset
//! behind the first `}` that an opening brace follows in the way that was seen last. Outside
//! strings no JSON value has `}{` in it, so that the guess is wrong only for a broken document and
//! for one that has those bytes in a string; the parser tells. What limits it: bytes that were guessed
//! at in vain stay in proportion to those that were read, and none is searched twice.

use std::fmt;

use memchr::memmem::Finder;

use crate::archive::split::window::Window;

/// Bytes that may be guessed at in vain before any was guessed right.
const WASTED_BYTES: u64 = 64 << 10;

/// What stands between documents: nothing, as Firehose writes them, or a line's end.
const ENDS: [&[u8]; 2] = [b"}{", b"}\n{"];

/// Guesses ends.
pub(super) struct Guess {
    finders: [Finder<'static>; 2],
    /// Which of [`ENDS`] was seen last.
    style: usize,
    /// The first bracket found by the last search, and how far that search went.
    found: Option<u64>,
    searched: u64,
    wasted: u64,
}

impl Guess {
    pub(super) fn new() -> Self {
        let finders = ENDS.map(Finder::new);
        Self { finders, style: 0, found: None, searched: 0, wasted: 0 }
    }

    /// Whether few enough bytes before `start` were guessed at in vain.
    pub(super) fn is_allowed(&self, start: u64) -> bool {
        self.wasted <= start / 2 + WASTED_BYTES
    }

    /// The probable end of the value that starts at `start`, if it is among the bytes.
    pub(super) fn end(&mut self, window: &Window, start: u64) -> Option<u64> {
        if !self.is_allowed(start) {
            return None;
        }
        if self.found.is_none_or(|found| found < start) {
            self.found = None;
            let finder = self.finders.get(self.style)?;
            // What was searched may end in the first bytes of a hit.
            let overlap = finder.needle().len() as u64 - 1;
            let from = start.max(self.searched.saturating_sub(overlap));
            let bytes = window.from(from);
            self.found = finder.find(bytes).map(|offset| from + offset as u64);
            self.searched = self.found.map_or(from + bytes.len() as u64, |found| found + 1);
        }
        self.found.map(|found| found + 1)
    }

    /// Takes note of what follows a document that ended at `end`.
    pub(super) fn learn(&mut self, window: &Window, end: u64) {
        let style = match (window.byte(end), window.byte(end + 1)) {
            (Some(b'{'), _) => 0,
            (Some(b'\n'), Some(b'{')) => 1,
            _ => return,
        };
        if style != self.style {
            self.style = style;
            self.found = None;
            self.searched = end;
        }
    }

    /// Takes note of bytes that were guessed at in vain.
    pub(super) fn wrong(&mut self, bytes: u64) {
        self.wasted += bytes;
    }
}

impl fmt::Debug for Guess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guess")
            .field("style", &self.style)
            .field("found", &self.found)
            .field("wasted", &self.wasted)
            .finish_non_exhaustive()
    }
}
