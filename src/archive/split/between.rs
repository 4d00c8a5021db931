//! What stands between documents, and bytes that are none.
//!
//! In: the bytes from a place on that is not in a document. Out: how far separators go, and where bytes
//! that are no document end. What limits it: the splitter's own limits, and [`LOOK_AHEAD_BYTES`].

use crate::archive::split::scalars::is_scalars;
use crate::archive::split::{Found, Splitter, State};
use crate::finding::reject::Reason;

/// How much white space may stand between `{` and the first name for the two to end a run of bytes
/// that are no JSON.
const LOOK_AHEAD_BYTES: u64 = 256;

/// What stands at a place between documents.
pub(super) enum Separator {
    Bytes(u64),
    /// It depends on bytes that are not there yet.
    Unsure,
    None,
    End,
}

impl Splitter {
    pub(super) fn separator(&self, at: u64) -> Separator {
        let Some(first) = self.window.byte(at) else { return Separator::End };
        let sure = if self.finished { Separator::None } else { Separator::Unsure };
        match first {
            b' ' | b'\t' | b'\n' | b'\r' | b',' => Separator::Bytes(1),
            b'\\' => match self.window.byte(at + 1) {
                Some(b'n' | b'r') => Separator::Bytes(2),
                Some(_) => Separator::None,
                None => sure,
            },
            0xef => match (self.window.byte(at + 1), self.window.byte(at + 2)) {
                (Some(0xbb), Some(0xbf)) => Separator::Bytes(3),
                (Some(0xbb) | None, None) => sure,
                _ => Separator::None,
            },
            _ => Separator::None,
        }
    }

    /// Goes on in bytes that are no document, up to what may be one.
    pub(super) fn junk(&mut self, start: u64, mut end: u64) -> Found {
        let before = self.at;
        let ends = loop {
            match self.separator(self.at) {
                Separator::Bytes(bytes) => {
                    self.at += bytes;
                    continue;
                }
                Separator::Unsure => break false,
                Separator::End => break self.finished,
                Separator::None => {}
            }
            match self.window.byte(self.at) {
                // The first byte is what made it junk.
                Some(b']') if self.in_array && end > start => break true,
                Some(b'{') => match self.has_name(self.at + 1) {
                    Some(true) => break true,
                    Some(false) => {}
                    None => break false,
                },
                _ => {}
            }
            self.at += 1;
            end = self.at;
        };
        self.work += self.at - before;
        self.hold(self.at);
        if !ends {
            self.state = State::Junk { start, end };
            return Found::End;
        }
        self.state = State::Between;
        self.between += self.at - end;
        self.held.truncate(usize::try_from(end - start).unwrap_or(usize::MAX));
        let (reason, detail) = if is_scalars(&self.held) {
            (Reason::Scalars, "top-level values that are neither an object nor an array")
        } else {
            (Reason::NotJson, "bytes that are no JSON document")
        };
        Found::Reject { range: start..end, reason, detail: detail.to_owned() }
    }

    /// Whether a member's name follows at `at`; `None` when that cannot be told yet. A quote stands
    /// behind a bracket in no string, where it would have a backslash before it.
    fn has_name(&self, at: u64) -> Option<bool> {
        for offset in 0..LOOK_AHEAD_BYTES {
            match self.window.byte(at + offset) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => {}
                Some(byte) => return Some(byte == b'"'),
                None => return self.finished.then_some(false),
            }
        }
        Some(false)
    }
}
