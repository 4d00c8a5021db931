//! Findings, each folded from its versions, pages and copies.
//!
//! In: rows in the order of [`Row::order`], slice of time after slice of time. Out: one [`Item`] for
//! each finding. Each property is the latest that any version gives, so that Security Hub's severity
//! stands beside Health's status. More than [`ITEMS_MAX`] findings are refused. Memory: some 150
//! bytes an item, in pieces, so that growing does not copy them.

use std::collections::HashMap;

use super::days::day_of;
use super::names::{NONE, Name};
use super::rows::{NO_TIME, Row, State};
use crate::lake::ids::IdState;

/// Most findings of one report.
pub const ITEMS_MAX: usize = 1_000_000;
const PIECE: usize = 1 << 15;
/// No day.
const NO_DAY: i64 = i64::MIN;

/// One finding, once per account.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item {
    /// When it began, as far as anything that was read tells.
    pub(crate) opened: i64,
    /// When a row first said that it is closed, after the last that said otherwise.
    pub(crate) closed: Option<i64>,
    pub(crate) last_reported: i64,
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// The day on which the period first reports it.
    first_day: i64,
    last_day: i64,
    pub(crate) in_previous: bool,
    pub(crate) state: State,
    is_health_state: bool,
    pub(crate) account: Name,
    pub(crate) service: Name,
    pub(crate) event_type: Name,
    pub(crate) category: Name,
    pub(crate) severity: Name,
    pub(crate) region: Name,
    pub(crate) title: Name,
}

impl Item {
    fn new(row: &Row) -> Self {
        Self {
            opened: row.reported,
            closed: None,
            last_reported: row.reported,
            start: NO_TIME,
            end: NO_TIME,
            first_day: NO_DAY,
            last_day: NO_DAY,
            in_previous: false,
            state: State::Unknown,
            is_health_state: false,
            account: row.account,
            service: NONE,
            event_type: NONE,
            category: NONE,
            severity: NONE,
            region: NONE,
            title: NONE,
        }
    }

    /// The day on which the period first reports it; `None` when only the one before does.
    pub(crate) fn first_day(&self) -> Option<i64> {
        (self.first_day != NO_DAY).then_some(self.first_day)
    }

    fn add(&mut self, row: &Row) {
        self.opened = self.opened.min(row.reported);
        if row.began != NO_TIME {
            self.opened = self.opened.min(row.began);
        }
        self.last_reported = self.last_reported.max(row.reported);
        for (own, new) in [(&mut self.start, row.start), (&mut self.end, row.end)] {
            if new != NO_TIME {
                *own = new;
            }
        }
        for (own, new) in [
            (&mut self.service, row.service),
            (&mut self.event_type, row.event_type),
            (&mut self.category, row.category),
            (&mut self.severity, row.severity),
            (&mut self.region, row.region),
            (&mut self.title, row.title),
        ] {
            if new != NONE {
                *own = new;
            }
        }
        self.turn(row);
    }

    /// A status of Health outranks all that was said without one.
    fn turn(&mut self, row: &Row) {
        if row.state == State::Unknown || (self.is_health_state && !row.is_health_state) {
            return;
        }
        if row.is_health_state && !self.is_health_state {
            self.is_health_state = true;
            self.closed = None;
        }
        match row.state {
            State::Closed => self.closed = self.closed.or(Some(row.reported)),
            State::Open | State::Unknown => self.closed = None,
        }
        self.state = row.state;
    }
}

/// All findings, and how many are reported each day.
#[derive(Debug, Default)]
pub(crate) struct Items {
    numbers: HashMap<Key, u32, IdState>,
    pieces: Vec<Vec<Item>>,
    /// Findings of the period by day, each once a day.
    pub(crate) by_day: HashMap<i64, u64>,
}

/// A key in two halves: a map of it wastes no bytes on alignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    high: u64,
    low: u64,
}

impl std::hash::Hash for Key {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u128(u128::from(self.high) << 64 | u128::from(self.low));
    }
}

/// More findings than a report takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Items {
    /// Adds the rows of one slice of time, sorted; `since` is where the period begins.
    pub(crate) fn add(&mut self, rows: &[Row], since: i64) -> Result<(), TooMany> {
        for rows in rows.chunk_by(|one, two| one.key == two.key) {
            let Some(first) = rows.first() else { continue };
            let mut days = Vec::new();
            let item = self.item(first)?;
            for row in rows {
                item.add(row);
                if row.reported < since {
                    item.in_previous = true;
                    continue;
                }
                let day = day_of(row.reported);
                if item.first_day == NO_DAY {
                    item.first_day = day;
                }
                if item.last_day != day {
                    item.last_day = day;
                    days.push(day);
                }
            }
            for day in days {
                *self.by_day.entry(day).or_default() += 1;
            }
        }
        Ok(())
    }

    #[expect(clippy::cast_possible_truncation, reason = "the two halves of the hash")]
    fn item(&mut self, row: &Row) -> Result<&mut Item, TooMany> {
        let key = Key { high: (row.key >> 64) as u64, low: row.key as u64 };
        let count = self.numbers.len();
        let number = match self.numbers.get(&key) {
            Some(number) => *number as usize,
            None if count >= ITEMS_MAX => return Err(TooMany),
            None => {
                self.numbers.insert(key, u32::try_from(count).map_err(|_| TooMany)?);
                if self.pieces.last().is_none_or(|piece| piece.len() == PIECE) {
                    self.pieces.push(Vec::with_capacity(PIECE.min(ITEMS_MAX)));
                }
                if let Some(piece) = self.pieces.last_mut() {
                    piece.push(Item::new(row));
                }
                count
            }
        };
        let piece = self.pieces.get_mut(number / PIECE);
        piece.and_then(|piece| piece.get_mut(number % PIECE)).ok_or(TooMany)
    }

    /// All of them, in no order that means anything.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Item> {
        self.pieces.iter().flatten()
    }
}
