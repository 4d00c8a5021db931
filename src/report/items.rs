//! Findings, each folded from its versions, pages and copies.
//!
//! In: rows in the order of `Row::order`, slice of time after slice of time. Out: one item for
//! each finding. Each property is the latest that any version gives, so that Security Hub's severity
//! stands beside Health's status. More than [`ITEMS_MAX`] findings are refused. Memory: some 150
//! bytes an item, in pieces, so that growing does not copy them.

use std::collections::HashMap;

use super::days::day_of;
use super::names::{NONE, Name};
use super::rows::{NO_TIME, Row, State};
use super::sums::Spans;
use crate::lake::ids::IdState;

/// Most findings of one report.
pub const ITEMS_MAX: usize = 1_000_000;
const PIECE: usize = 1 << 15;
/// No day.
const NO_DAY: i64 = i64::MIN;

/// One finding, once per account.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item {
    /// The first report of it that was read.
    first_seen: i64,
    /// The earliest time that anything gives for its beginning.
    began: i64,
    /// When it was first said to be open; `None` when the first that was said is that it is closed.
    opened: Option<i64>,
    /// When it was last said to be closed after it had been open, if it is closed still.
    pub(crate) closed: Option<i64>,
    pub(crate) last_reported: i64,
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// The day on which the period first reports it.
    first_day: i64,
    last_day: i64,
    pub(crate) in_previous: bool,
    pub(crate) state: State,
    by_health: bool,
    pub(crate) is_event: bool,
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
            first_seen: row.reported,
            began: NO_TIME,
            opened: None,
            closed: None,
            last_reported: row.reported,
            start: NO_TIME,
            end: NO_TIME,
            first_day: NO_DAY,
            last_day: NO_DAY,
            in_previous: false,
            state: State::Unknown,
            by_health: false,
            is_event: row.is_event,
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

    /// Whether it began before anything that was read, so that earlier reports of it may not be known.
    fn began_before(&self, spans: &Spans) -> bool {
        self.began != NO_TIME && spans.unread_before.is_some_and(|read| self.began < read)
    }

    /// How long it had been open when it was closed.
    pub(crate) fn time_to_close(&self, spans: &Spans) -> Option<i64> {
        self.opened?;
        let began = if self.began_before(spans) { self.began } else { self.first_seen };
        Some(self.closed?.saturating_sub(began).max(0))
    }

    fn add(&mut self, row: &Row) -> Turn {
        self.first_seen = self.first_seen.min(row.reported);
        if row.began != NO_TIME && (self.began == NO_TIME || row.began < self.began) {
            self.began = row.began;
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
        self.turn(row)
    }

    /// What Health says of the state outranks all that Security Hub says.
    fn turn(&mut self, row: &Row) -> Turn {
        if self.by_health && !row.by_health {
            return Turn::None;
        }
        let mut turn = Turn::None;
        if row.by_health && !self.by_health {
            self.by_health = true;
            self.state = State::Unknown;
            (self.opened, self.closed) = (None, None);
            turn = Turn::Anew;
        }
        match (self.state, row.state) {
            (State::Unknown, State::Open) => self.opened = Some(row.reported),
            (State::Open, State::Closed) => self.closed = Some(row.reported),
            (State::Closed, State::Open) => {
                turn = Turn::Reopened(self.closed.take(), row.reported);
            }
            _ => {}
        }
        self.state = row.state;
        turn
    }
}

/// What a row changes beside its item.
#[derive(Debug, Clone, Copy)]
enum Turn {
    None,
    /// Another speaks now, and what was said before does not count.
    Anew,
    /// What was closed at the first moment, if it had been open before, is open again at the second.
    Reopened(Option<i64>, i64),
}

/// Closings and openings in the middle of a finding's life.
#[derive(Debug, Clone, Default)]
struct Reopened {
    closed: Vec<i64>,
    opened: Vec<i64>,
}

/// All findings, and how many are reported each day.
#[derive(Debug, Default)]
pub(crate) struct Items {
    numbers: HashMap<Key, u32, IdState>,
    pieces: Vec<Vec<Item>>,
    /// Of the few that were closed and opened again.
    reopened: HashMap<usize, Reopened>,
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
            let (mut days, mut turns) = (Vec::new(), Vec::new());
            let number = self.number(first)?;
            let Some(item) = self.item(number) else { continue };
            for row in rows {
                turns.push(item.add(row));
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
            for turn in turns {
                match turn {
                    Turn::None => {}
                    Turn::Anew => drop(self.reopened.remove(&number)),
                    Turn::Reopened(closed, opened) => {
                        let reopened = self.reopened.entry(number).or_default();
                        reopened.closed.extend(closed);
                        reopened.opened.push(opened);
                    }
                }
            }
            for day in days {
                *self.by_day.entry(day).or_default() += 1;
            }
        }
        Ok(())
    }

    #[expect(clippy::cast_possible_truncation, reason = "the two halves of the hash")]
    fn number(&mut self, row: &Row) -> Result<usize, TooMany> {
        let key = Key { high: (row.key >> 64) as u64, low: row.key as u64 };
        if let Some(number) = self.numbers.get(&key) {
            return Ok(*number as usize);
        }
        let count = self.numbers.len();
        if count >= ITEMS_MAX {
            return Err(TooMany);
        }
        self.numbers.insert(key, u32::try_from(count).map_err(|_| TooMany)?);
        if self.pieces.last().is_none_or(|piece| piece.len() == PIECE) {
            self.pieces.push(Vec::with_capacity(PIECE));
        }
        if let Some(piece) = self.pieces.last_mut() {
            piece.push(Item::new(row));
        }
        Ok(count)
    }

    fn item(&mut self, number: usize) -> Option<&mut Item> {
        self.pieces.get_mut(number / PIECE)?.get_mut(number % PIECE)
    }

    /// All of them, in no order that means anything.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Item> {
        self.pieces.iter().flatten()
    }

    /// When findings were opened, those that were opened again among them.
    pub(crate) fn openings(&self, spans: &Spans) -> impl Iterator<Item = i64> {
        let first = self.iter().filter(|item| !item.began_before(spans));
        first.filter_map(|item| item.opened).chain(self.again(|again| &again.opened))
    }

    /// When findings were closed that had been open, also if they were opened again.
    pub(crate) fn closings(&self) -> impl Iterator<Item = i64> {
        self.iter().filter_map(|item| item.closed).chain(self.again(|again| &again.closed))
    }

    fn again(&self, of: fn(&Reopened) -> &Vec<i64>) -> impl Iterator<Item = i64> {
        self.reopened.values().flat_map(of).copied()
    }
}
