//! What a report says of the data itself: rejects, time on the way, days without arrivals.
//!
//! In: each row's delivery, and the table of rejects. Out: [`Quality`]. Pure. Memory: a count for
//! each day and for each hour of lag that occurs.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int32Type, TimestampMillisecondType};
use arrow::record_batch::RecordBatch;

use super::days::{Buckets, HOUR_MS, day_name, day_of};
use super::figures::{Bucket, Clock, Day, Gap, Lag, Quality, Series, Span};
use super::rows::{Delivery, NO_TIME};
use super::sums::nearest_rank;
use crate::lake::rejects::State;

/// The columns of `rejects` that are read.
pub(crate) const COLUMNS: [&str; 4] = ["arrived_hour", "state", "state_number", "reason"];

/// A row that arrives so many hours after its event is late.
const LATE_HOURS: u64 = 24;
/// More reasons, or clocks, than there are; only a damaged lake has them.
const NAMES_MAX: usize = 100;
/// The steps of the distribution: the hours below which a row belongs to it.
const LAGS: [(&str, u64); 6] = [
    ("same hour", 1),
    ("1 h", 2),
    ("2 h to 6 h", 6),
    ("6 h to 1 d", 24),
    ("1 d to 3 d", 72),
    ("3 d and more", u64::MAX),
];

#[derive(Debug, Default)]
pub(crate) struct Measured {
    hours: BTreeMap<u64, u64>,
    late: BTreeMap<i64, u64>,
    arrivals: BTreeSet<i64>,
    clocks: BTreeMap<String, u64>,
    account_unknown: u64,
    rejects: BTreeMap<String, BTreeMap<i64, u64>>,
    redriven: u64,
    /// Rejects that are open again after they were mended, or after their object was missed.
    came_back: u64,
}

impl Measured {
    /// Counts a row of the period.
    pub(crate) fn row(&mut self, row: &Delivery<'_>) {
        self.account_unknown += u64::from(row.account.is_empty());
        count(&mut self.clocks, row.clock);
        if row.arrived_hour == NO_TIME {
            return;
        }
        let arrived = day_of(row.arrived_hour);
        self.arrivals.insert(arrived);
        // Arrival is known by the hour, so the event's hour is what it is measured from.
        let hours = row.arrived_hour.div_euclid(HOUR_MS) - row.happened.div_euclid(HOUR_MS);
        let hours = u64::try_from(hours).unwrap_or(0);
        *self.hours.entry(hours).or_default() += 1;
        if hours >= LATE_HOURS {
            *self.late.entry(arrived).or_default() += 1;
        }
    }

    /// Remembers that something arrived on the day, also outside of the period.
    pub(crate) fn arrival(&mut self, row: &Delivery<'_>) {
        if row.arrived_hour != NO_TIME {
            self.arrivals.insert(day_of(row.arrived_hour));
        }
    }

    /// Counts the rejects of a batch of [`COLUMNS`] that arrived in the period.
    pub(crate) fn rejects(&mut self, batch: &RecordBatch, times: &Range<i64>) {
        let text =
            |name| batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
        let (states, reasons) = (text("state"), text("reason"));
        let later = batch.column_by_name("state_number");
        let later = later.and_then(|column| column.as_primitive_opt::<Int32Type>());
        let hours = batch.column_by_name("arrived_hour");
        let Some(hours) = hours.and_then(|c| c.as_primitive_opt::<TimestampMillisecondType>())
        else {
            return;
        };
        for (row, hour) in hours.iter().enumerate() {
            let Some(hour) = hour.filter(|hour| times.contains(hour)) else { continue };
            let day = day_of(hour);
            self.arrivals.insert(day);
            let text = |array: Option<&arrow::array::StringArray>| {
                let array = array.filter(|array| array.is_valid(row));
                array.map_or_else(String::new, |array| array.value(row).to_owned())
            };
            // A reject counts once, by its first state, and again among the mended ones while it is so.
            let is_first = later.is_none_or(|later| later.is_null(row) || later.value(row) == 0);
            let state = State::parse(&text(states));
            if state == State::Redriven {
                self.redriven += 1;
                continue;
            }
            if !is_first {
                self.came_back += u64::from(state == State::Open);
                continue;
            }
            let reason = text(reasons);
            let known = self.rejects.len() < NAMES_MAX || self.rejects.contains_key(&reason);
            let reason = if known { reason } else { "(others)".to_owned() };
            *self.rejects.entry(reason).or_default().entry(day).or_default() += 1;
        }
    }

    /// Adds what another slice of time counted.
    pub(crate) fn merge(&mut self, other: Self) {
        fn add<K: Ord>(own: &mut BTreeMap<K, u64>, other: BTreeMap<K, u64>) {
            for (key, count) in other {
                *own.entry(key).or_default() += count;
            }
        }
        add(&mut self.hours, other.hours);
        add(&mut self.late, other.late);
        add(&mut self.clocks, other.clocks);
        self.arrivals.extend(other.arrivals);
        self.account_unknown += other.account_unknown;
        for (reason, by_day) in other.rejects {
            add(self.rejects.entry(reason).or_default(), by_day);
        }
        self.redriven += other.redriven;
        self.came_back += other.came_back;
    }

    /// Sums up. `days` is the period as far as the lake covers it.
    pub(crate) fn finish(self, buckets: &Buckets, days: &Range<i64>, names_merged: u64) -> Quality {
        Quality {
            rejects: self.rejects.values().flat_map(BTreeMap::values).sum(),
            redriven: self.redriven.saturating_sub(self.came_back),
            rejects_by_reason: by_reason(&self.rejects, buckets),
            lag: lag(&self.hours),
            late: self.late.iter().map(|(day, count)| named(*day, *count)).collect(),
            gaps: gaps(&self.arrivals, days),
            account_unknown: self.account_unknown,
            clocks: self.clocks.into_iter().map(|(name, rows)| Clock { name, rows }).collect(),
            names_merged,
        }
    }
}

fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
    if let Some(count) = counts.get_mut(name) {
        *count += 1;
    } else if counts.len() < NAMES_MAX {
        counts.insert(name.to_owned(), 1);
    }
}

fn named(day: i64, count: u64) -> Day {
    Day { day: day_name(day), count }
}

fn by_reason(rejects: &BTreeMap<String, BTreeMap<i64, u64>>, buckets: &Buckets) -> Series {
    let mut counts = vec![vec![0; rejects.len()]; buckets.len()];
    for (reason, by_day) in rejects.values().enumerate() {
        for (day, count) in by_day {
            let bucket = buckets.index(*day).and_then(|bucket| counts.get_mut(bucket));
            if let Some(cell) = bucket.and_then(|bucket| bucket.get_mut(reason)) {
                *cell += count;
            }
        }
    }
    let buckets = buckets.names().zip(counts).map(|(from, counts)| Bucket { from, counts });
    Series {
        names: rejects.keys().cloned().collect(),
        totals: rejects.values().map(|by_day| by_day.values().sum()).collect(),
        buckets: buckets.collect(),
    }
}

fn lag(hours: &BTreeMap<u64, u64>) -> Lag {
    let rows = hours.values().sum();
    let rank = |share: u64| {
        let rank = nearest_rank(rows, share)?;
        let mut seen = 0;
        hours.iter().find_map(|(hours, count)| {
            seen += count;
            (seen > rank).then_some(*hours)
        })
    };
    let mut below = 0;
    let span = |(name, end): &(&'static str, u64)| {
        let count = hours.range(below..*end).map(|(_, count)| count).sum();
        below = *end;
        Span { name, count }
    };
    Lag {
        rows,
        spans: LAGS.iter().map(span).collect(),
        median_hours: rank(50),
        p90_hours: rank(90),
        p99_hours: rank(99),
        longest_hours: hours.keys().next_back().copied(),
    }
}

fn gaps(arrivals: &BTreeSet<i64>, days: &Range<i64>) -> Vec<Gap> {
    let mut gaps: Vec<Gap> = Vec::new();
    let mut next = days.start;
    let inside = arrivals.range(days.clone()).copied();
    for day in inside.chain([days.end]).filter(|_| !days.is_empty()) {
        if let Ok(missing @ 1..) = u64::try_from(day - next) {
            gaps.push(Gap { from: day_name(next), to: day_name(day - 1), days: missing });
        }
        next = day + 1;
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_stretches_of_days_without_arrivals() {
        let arrivals = BTreeSet::from([1, 2, 5, 9]);
        let found = |days: Range<i64>| -> Vec<(String, u64)> {
            gaps(&arrivals, &days).into_iter().map(|gap| (gap.from, gap.days)).collect()
        };
        let day = |day: i64| day_name(day);
        assert_eq!(found(1..3), []);
        assert_eq!(found(0..7), [(day(0), 1), (day(3), 2), (day(6), 1)]);
        assert_eq!(found(6..9), [(day(6), 3)]);
        assert_eq!(found(9..9), []);
    }

    #[test]
    fn lag_is_counted_in_whole_hours() {
        let mut measured = Measured::default();
        let hours = [-1, 0, 1, 5, 24, 80];
        for hour in hours {
            let (reported, arrived_hour) = (HOUR_MS + 1, (hour + 1) * HOUR_MS);
            let (clock, account) = ("envelope", "");
            measured.row(&Delivery { reported, happened: reported, arrived_hour, clock, account });
        }
        let quality = measured.finish(&Buckets::of(0..1), &(0..1), 0);
        let counts: Vec<u64> = quality.lag.spans.iter().map(|span| span.count).collect();
        assert_eq!(counts, [2, 1, 1, 0, 1, 1]);
        assert_eq!((quality.lag.median_hours, quality.lag.longest_hours), (Some(1), Some(80)));
        assert_eq!((quality.late.len(), quality.account_unknown), (2, 6));
    }
}
