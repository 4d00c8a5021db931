//! Bytes to documents.
//!
//! In: the decompressed bytes of one object, in pieces of any size. Out: its documents, parsed, and
//! rejects for bytes that are none; what lies between (white space, commas, byte order marks, the
//! brackets of one outer array, literal `\n` and `\r`) is counted. Every byte is in exactly one of the
//! three, and none of it depends on how the bytes were cut into pieces.
//!
//! A document is parsed up to where the next one seems to begin (`guess`); where that is not to be
//! seen or turns out wrong, its end is found by its brackets (`bounds`). Only where that fails too, the
//! bytes are read by a stricter and slower reader (`recover`), which knows where a broken
//! value gives way to the next good one. What limits it: `document_bytes_max`, in memory as well;
//! nesting of 127 levels; [`REJECT_BYTES_MAX`] bytes kept of a reject. Each byte is looked at a few
//! times at most, whatever the bytes are: [`Splitter::work_bytes`] counts.

mod between;
mod bounds;
mod guess;
mod lane;
mod recover;
mod repair;
mod scalars;
mod window;

#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;

use crate::archive::split::between::Separator;
use crate::archive::split::bounds::Bounds;
use crate::archive::split::guess::Guess;
use crate::archive::split::lane::Fate;
use crate::archive::split::recover::{Recovery, Status};
use crate::archive::split::window::Window;
use crate::finding::json::{Arena, Doubt, Json, JsonError, JsonErrorKind};
use crate::finding::limits::CountLimits;
use crate::finding::reject::{REJECT_BYTES_MAX, Reason};

pub use crate::archive::split::repair::{Parsed, parse};

/// How far the slow reader goes ahead at once.
const ADVANCE_BYTES: u64 = 4 << 10;

/// How far the beginning of the next document is waited for before a value's brackets are counted.
const GUESS_BYTES: u64 = 256 << 10;

/// How to split.
#[derive(Debug, Clone, Copy)]
pub struct SplitLimits {
    /// The longest document, in bytes.
    pub document_bytes_max: usize,
    /// How deep a document may be, and how many there may be of what is in it.
    pub counts: CountLimits,
}

/// A stretch of the object that is not between documents.
#[derive(Debug)]
pub enum Piece<'p> {
    /// An object, or an array inside the outer array.
    Document {
        /// Its bytes in the object.
        range: Range<u64>,
        /// Those bytes as they stand.
        bytes: &'p [u8],
        /// Its text and tree.
        parsed: Parsed<'p>,
    },
    /// Bytes that are no document.
    Reject {
        /// All of them, in the object.
        range: Range<u64>,
        /// Why.
        reason: Reason,
        /// What exactly is wrong.
        detail: String,
        /// The first [`REJECT_BYTES_MAX`] of them.
        bytes: &'p [u8],
    },
}

/// Splits one object.
pub struct Splitter {
    document_bytes_max: u64,
    window: Window,
    /// Everything before is a document, between, or rejected, or belongs to the state.
    at: u64,
    state: State,
    in_array: bool,
    finished: bool,
    between: u64,
    /// Up to here a fast scan has failed already; values that start before are read by `recovery`.
    suspect_until: u64,
    recovery: Recovery,
    guess: Guess,
    /// The first bytes of the reject in the making, and the offset behind them.
    held: Vec<u8>,
    held_until: u64,
    repaired: String,
    /// Holds the tree of the last document.
    arena: Arena,
    work: u64,
}

#[derive(Debug)]
enum State {
    /// Between documents.
    Between,
    /// In bytes that are no document; up to `end` without the separators that may follow.
    Junk { start: u64, end: u64 },
    /// In a value whose end is being looked for.
    Value { start: u64, bounds: Bounds, is_guessed: bool },
    /// In a value of a suspect region.
    Suspect { start: u64, is_guessed: bool },
    /// In a value that is no JSON; its end, or a new beginning, is being looked for.
    Broken { start: u64, reason: Reason, detail: String, bounds: Bounds },
}

/// What a step of the search leads to.
enum Found {
    /// Go on.
    Nothing,
    /// More bytes are wanted, or there are none.
    End,
    /// What may be a value's bytes, with more of them or others behind it.
    Guess(Range<u64>),
    /// A value's bytes, balanced.
    Value(Range<u64>),
    /// A reject, whose bytes are held.
    Reject { range: Range<u64>, reason: Reason, detail: String },
}

impl Splitter {
    /// A splitter before the first byte of an object.
    pub fn new(limits: SplitLimits) -> Self {
        let document_bytes_max = limits.document_bytes_max as u64;
        Self {
            document_bytes_max,
            window: Window::default(),
            at: 0,
            state: State::Between,
            in_array: false,
            finished: false,
            between: 0,
            suspect_until: 0,
            recovery: Recovery::new(document_bytes_max),
            guess: Guess::new(),
            held: Vec::new(),
            held_until: 0,
            repaired: String::new(),
            arena: Arena::default(),
            work: 0,
        }
    }

    /// Takes the next bytes of the object.
    pub fn push(&mut self, bytes: &[u8]) {
        self.room().extend_from_slice(bytes);
    }

    /// The buffer to append the next bytes of the object to, for those who have none to copy from;
    /// what stands in it must stay.
    pub fn room(&mut self) -> &mut Vec<u8> {
        debug_assert!(!self.finished, "bytes after the end");
        let floor = match &self.state {
            State::Between | State::Junk { .. } => self.at,
            State::Value { start, .. } | State::Suspect { start, .. } => *start,
            State::Broken { bounds, .. } => bounds.at,
        };
        self.window.room(floor)
    }

    /// Says that the object has no more bytes.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// Bytes between documents so far.
    pub fn between_documents_bytes(&self) -> u64 {
        self.between
    }

    /// Bytes that were looked at so far, each as often as it was: what limits time.
    pub fn work_bytes(&self) -> u64 {
        self.work
    }

    /// Hands the next piece to `take`; `None` when more bytes are wanted, or after the end.
    pub fn next<R>(&mut self, take: impl FnOnce(Piece<'_>) -> R) -> Option<R> {
        loop {
            match self.find() {
                Found::Nothing => {}
                Found::End => return None,
                Found::Guess(range) => {
                    self.arena.reset();
                    let bytes = self.window.slice(range.clone());
                    self.work += bytes.len() as u64;
                    match parse_first(bytes, &self.arena) {
                        Ok((parsed, length)) => {
                            let range = range.start..range.start + length as u64;
                            let bytes = bytes.get(..length).unwrap_or_default();
                            self.at = range.end;
                            self.state = State::Between;
                            self.guess.learn(&self.window, range.end);
                            return Some(take(Piece::Document { range, bytes, parsed }));
                        }
                        Err(doubt) => self.guessed_wrong(&range, doubt),
                    }
                }
                Found::Value(range) => {
                    self.arena.reset();
                    let bytes = self.window.slice(range.clone());
                    self.work += bytes.len() as u64;
                    match parse(bytes, &mut self.repaired, &self.arena) {
                        Ok(parsed) => {
                            self.at = range.end;
                            self.state = State::Between;
                            self.guess.learn(&self.window, range.end);
                            return Some(take(Piece::Document { range, bytes, parsed }));
                        }
                        Err(error) => self.no_json(&range, error),
                    }
                }
                Found::Reject { range, reason, detail } => {
                    let bytes = &self.held;
                    return Some(take(Piece::Reject { range, reason, detail, bytes }));
                }
            }
        }
    }

    fn find(&mut self) -> Found {
        match &mut self.state {
            State::Between => self.between(),
            State::Junk { start, end } => {
                let (start, end) = (*start, *end);
                self.junk(start, end)
            }
            State::Value { start, bounds, is_guessed } => {
                let (start, limit) = (*start, *start + self.document_bytes_max);
                if !*is_guessed {
                    let guessed = self.guess.end(&self.window, start);
                    let waits = !self.finished && self.guess.is_allowed(start);
                    let seen = self.window.end() - start;
                    // The next document may come with the next bytes. To look for a broken value's end by
                    // its brackets may take all that one document may have.
                    if guessed.is_none() && waits && seen < GUESS_BYTES.min(limit - start) {
                        return Found::End;
                    }
                    *is_guessed = true;
                    if let Some(end) = guessed.filter(|end| *end <= limit) {
                        return Found::Guess(start..end);
                    }
                }
                let before = bounds.at;
                let end = bounds.run(&self.window, limit);
                self.work += bounds.at - before;
                if let Some(end) = end {
                    return Found::Value(start..end);
                }
                if self.window.end() < limit && !self.finished {
                    return Found::End;
                }
                self.suspect_until = self.suspect_until.max(limit.min(self.window.end()));
                self.state = State::Suspect { start, is_guessed: true };
                Found::Nothing
            }
            State::Suspect { start, is_guessed } => {
                let start = *start;
                let limit = start + self.document_bytes_max;
                if !std::mem::replace(is_guessed, true)
                    && let Some(end) = self.guess.end(&self.window, start)
                    && end <= limit
                {
                    return Found::Guess(start..end);
                }
                self.suspect(start)
            }
            State::Broken { .. } => self.broken(),
        }
    }

    fn between(&mut self) -> Found {
        loop {
            match self.separator(self.at) {
                Separator::Bytes(bytes) => {
                    self.at += bytes;
                    self.between += bytes;
                    self.work += bytes;
                }
                Separator::Unsure | Separator::End => return Found::End,
                Separator::None => break,
            }
        }
        let start = self.at;
        self.state = match self.window.byte(start) {
            Some(b'{') => self.value(start),
            Some(b'[') if self.in_array => self.value(start),
            Some(b'[') => {
                self.in_array = true;
                self.at += 1;
                self.between += 1;
                State::Between
            }
            Some(b']') if self.in_array => {
                self.in_array = false;
                self.at += 1;
                self.between += 1;
                State::Between
            }
            _ => {
                self.hold_from(start);
                State::Junk { start, end: start }
            }
        };
        Found::Nothing
    }

    fn value(&self, start: u64) -> State {
        if start < self.suspect_until {
            State::Suspect { start, is_guessed: false }
        } else {
            State::Value { start, bounds: Bounds::new(start), is_guessed: false }
        }
    }

    /// Tells whether a value of a suspect region is valid.
    fn suspect(&mut self, start: u64) -> Found {
        self.recovery.begin(start);
        self.recovery.prune(start);
        while self.recovery.at <= start || self.recovery.status(start) == Status::Open {
            if !self.advance() {
                if !self.finished {
                    return Found::End;
                }
                self.recovery.finish();
            }
        }
        let fate = match self.recovery.status(start) {
            Status::Dead(fault, at) => Some(Fate::Dead(fault, at)),
            Status::Open | Status::Forgotten => {
                let (fate, work) =
                    recover::read_again(&self.window, start, self.document_bytes_max);
                self.work += work;
                fate
            }
        };
        match fate {
            Some(Fate::Closed(end)) => return Found::Value(start..end),
            Some(Fate::Dead(fault, at)) => {
                let (reason, detail) = fault.explain(start, at, self.document_bytes_max);
                self.break_off(start, reason, detail);
            }
            // The end of the bytes is all that can keep it open: they were read before.
            None => {
                let (reason, detail) =
                    lane::Fault::Cut.explain(start, self.window.end(), self.document_bytes_max);
                self.break_off(start, reason, detail);
            }
        }
        Found::Nothing
    }

    /// Deals with a value that does not end where it seemed to.
    fn guessed_wrong(&mut self, range: &Range<u64>, doubt: Doubt) {
        self.guess.wrong(range.end - range.start);
        if doubt == Doubt::Syntax {
            // However much follows, it is no JSON.
            self.suspect_until = self.suspect_until.max(range.end);
            self.state = State::Suspect { start: range.start, is_guessed: true };
        }
    }

    /// Deals with a balanced value that the parser refused.
    fn no_json(&mut self, range: &Range<u64>, error: JsonError) {
        if matches!(self.state, State::Value { .. }) {
            self.suspect_until = self.suspect_until.max(range.end);
            self.state = State::Suspect { start: range.start, is_guessed: true };
            return;
        }
        // The strict reader found it valid; the parser has the last word.
        let reason = match error.kind {
            JsonErrorKind::TooDeep => Reason::TooDeep,
            JsonErrorKind::Truncated | JsonErrorKind::Syntax => Reason::NotJson,
        };
        self.break_off(range.start, reason, error.message);
    }

    fn break_off(&mut self, start: u64, reason: Reason, detail: String) {
        self.hold_from(start);
        self.state = State::Broken { start, reason, detail, bounds: Bounds::new(start) };
    }

    /// Looks for the end of a broken value, or for a new beginning inside it.
    fn broken(&mut self) -> Found {
        loop {
            let State::Broken { start, bounds, .. } = &mut self.state else {
                return Found::Nothing;
            };
            let start = *start;
            let potential = self.recovery.first_potential(start);
            let until = potential.map_or(self.recovery.at, |potential| potential.start);
            let before = bounds.at;
            let balanced = bounds.run(&self.window, until);
            let at = bounds.at;
            self.work += at - before;
            self.hold(at);
            self.recovery.prune(at);
            let end = match (balanced, potential) {
                (Some(end), _) => Some(end),
                (None, Some(potential)) if potential.is_good => Some(potential.start),
                (None, _) if self.advance() => None,
                (None, _) if !self.finished => return Found::End,
                (None, Some(_)) => {
                    self.recovery.finish();
                    None
                }
                (None, None) => Some(self.window.end()),
            };
            if let Some(end) = end {
                return self.reject_broken(end);
            }
        }
    }

    fn reject_broken(&mut self, end: u64) -> Found {
        self.hold(end);
        self.at = end;
        match std::mem::replace(&mut self.state, State::Between) {
            State::Broken { start, reason, detail, .. } => {
                Found::Reject { range: start..end, reason, detail }
            }
            _ => Found::Nothing,
        }
    }

    /// Lets the slow reader go ahead; `false` when it is at the end of the bytes.
    fn advance(&mut self) -> bool {
        let until = self.recovery.at + ADVANCE_BYTES;
        let bytes = self.recovery.advance(&self.window, until, self.in_array);
        self.work += bytes;
        bytes > 0
    }

    /// Begins to hold a reject's bytes.
    fn hold_from(&mut self, start: u64) {
        self.held.clear();
        self.held_until = start;
    }

    /// Holds the bytes before `until`, as far as there is room, so that the window may forget them.
    fn hold(&mut self, until: u64) {
        let room = REJECT_BYTES_MAX - self.held.len().min(REJECT_BYTES_MAX);
        let end = until.min(self.held_until + room as u64);
        if self.held_until < end {
            self.held.extend_from_slice(self.window.slice(self.held_until..end));
            self.held_until = end;
        }
    }
}

/// Parses the value that begins the bytes, where that is quickly done, and says how long it is. What is
/// not text is left to [`parse`].
fn parse_first<'p>(bytes: &'p [u8], arena: &'p Arena) -> Result<(Parsed<'p>, usize), Doubt> {
    let text = std::str::from_utf8(bytes).map_err(|_| Doubt::Unsure)?;
    let (json, length) = Json::parse_first(text, arena)?;
    let text = text.get(..length).ok_or(Doubt::Unsure)?;
    Ok((Parsed { text, json, repairs: 0 }, length))
}

impl fmt::Debug for Splitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Splitter")
            .field("at", &self.at)
            .field("state", &self.state)
            .field("in_array", &self.in_array)
            .finish_non_exhaustive()
    }
}
