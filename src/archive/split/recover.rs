//! Looks for what is good in and behind bytes that are not.
//!
//! In: the bytes from the first doubtful value on. Out: for any value in them whether it is valid
//! JSON, and where the first object stands that may begin anew. Both readings of the bytes (see
//! `lane`) are kept up from value to value, so that each byte is read once, however the
//! values nest or lie side by side; the answers do not depend on how far ahead the reading is.

use std::collections::BTreeSet;

use crate::archive::split::lane::{Fate, Fault, Lane};
use crate::archive::split::window::Window;

/// What is known of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// It may still become valid.
    Open,
    /// It cannot.
    Dead(Fault, u64),
    /// It was read and is not remembered: ask [`read_again`].
    Forgotten,
}

/// A place where a document may begin anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Potential {
    pub(super) start: u64,
    /// It is valid and of the right shape; else it is still open.
    pub(super) is_good: bool,
}

/// Both readings of the bytes.
#[derive(Debug)]
pub(super) struct Recovery {
    bytes_max: u64,
    lanes: [Lane; 2],
    /// The next byte to read.
    pub(super) at: u64,
    escaped: bool,
    restarts: BTreeSet<u64>,
}

impl Recovery {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self {
            bytes_max,
            lanes: [Lane::new(bytes_max, false), Lane::new(bytes_max, true)],
            at: 0,
            escaped: false,
            restarts: BTreeSet::new(),
        }
    }

    /// Begins at `start`, the first bracket of a value, unless it was read already.
    pub(super) fn begin(&mut self, start: u64) {
        if self.at <= start {
            *self = Self { at: start, ..Self::new(self.bytes_max) };
        }
    }

    /// Reads on, up to `until` or the end of the window; returns how many bytes that were.
    pub(super) fn advance(&mut self, window: &Window, until: u64, keeps_arrays: bool) -> u64 {
        if until <= self.at {
            return 0;
        }
        let bytes = window.slice(self.at..until);
        for lane in &mut self.lanes {
            lane.keep_arrays(keeps_arrays);
        }
        for byte in bytes {
            for lane in &mut self.lanes {
                if let Some(restart) = lane.step(self.at, *byte, self.escaped, window) {
                    self.restarts.insert(restart);
                }
            }
            self.escaped = *byte == b'\\' && !self.escaped;
            self.at += 1;
        }
        for lane in &mut self.lanes {
            lane.age(self.at);
        }
        bytes.len() as u64
    }

    /// The bytes end here: nothing open can become valid.
    pub(super) fn finish(&mut self) {
        for lane in &mut self.lanes {
            lane.finish(self.at);
        }
    }

    /// What is known of the value that starts at `start`, which is before [`Recovery::at`].
    pub(super) fn status(&self, start: u64) -> Status {
        if self.lanes.iter().any(|lane| lane.is_open(start)) {
            return Status::Open;
        }
        match self.lanes.iter().find_map(|lane| lane.death(start)) {
            Some((fault, at)) => Status::Dead(fault, at),
            None => Status::Forgotten,
        }
    }

    /// The first place after `start` where a document may begin anew, as far as is read.
    pub(super) fn first_potential(&self, start: u64) -> Option<Potential> {
        let good = self.restarts.range(start + 1..).next();
        let good = good.map(|start| Potential { start: *start, is_good: true });
        let open = self.lanes.iter().filter_map(|lane| lane.first_open_object(start));
        let open = open.map(|start| Potential { start, is_good: false });
        good.into_iter().chain(open).min_by_key(|potential| potential.start)
    }

    /// Forgets what lies before `floor`.
    pub(super) fn prune(&mut self, floor: u64) {
        for lane in &mut self.lanes {
            lane.prune(floor);
        }
        while self.restarts.first().is_some_and(|start| *start < floor) {
            self.restarts.pop_first();
        }
    }
}

/// Reads the value that starts at `start` by itself; `None` when it is still open where the window
/// ends. Returns how many bytes that took, too.
pub(super) fn read_again(window: &Window, start: u64, bytes_max: u64) -> (Option<Fate>, u64) {
    let mut lane = Lane::new(bytes_max, false);
    lane.watch(start);
    let mut escaped = false;
    let mut at = start;
    for byte in window.from(start) {
        // A restart inside it is no matter here.
        let _start_of_restart = lane.step(at, *byte, escaped, window);
        escaped = *byte == b'\\' && !escaped;
        at += 1;
        if at - start > bytes_max {
            lane.age(at);
        }
        if lane.fate().is_some() {
            break;
        }
    }
    (lane.fate(), at - start)
}
