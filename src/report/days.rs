//! Days and the buckets that figures over time are counted in.
//!
//! In: milliseconds since 1970, UTC. Out: days, their names, and buckets of a day, a week (from
//! Monday) or a month that leave no day out. Pure; moments outside of the years 0 to 9999 belong to
//! the first or last day. A period has at most [`DAYS_MAX`] days.

use std::ops::Range;

use crate::lake::layout::{Partition, PartitionBy};

/// Milliseconds of a day.
pub(crate) const DAY_MS: i64 = 86_400_000;
/// Milliseconds of an hour.
pub(crate) const HOUR_MS: i64 = 3_600_000;
/// The longest period: a hundred years.
pub const DAYS_MAX: i64 = 36_600;

/// Longest period whose buckets are days, and longest whose buckets are weeks.
const DAYS_BY_DAY: i64 = 120;
const DAYS_BY_WEEK: i64 = 800;

/// The day of a moment, counted from 1970.
pub(crate) fn day_of(time_ms: i64) -> i64 {
    time_ms.div_euclid(DAY_MS)
}

/// `2026-11-24`.
pub(crate) fn day_name(day: i64) -> String {
    Partition::of(day.saturating_mul(DAY_MS), PartitionBy::Day).to_string()
}

/// `2026-11-24T12:00:00Z`, without fractions of a second.
pub(crate) fn moment_name(time_ms: i64) -> String {
    let seconds = time_ms.rem_euclid(DAY_MS) / 1_000;
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    format!("{}T{hours:02}:{minutes:02}:{:02}Z", day_name(day_of(time_ms)), seconds % 60)
}

/// The buckets of a stretch of days.
#[derive(Debug, Clone)]
pub(crate) struct Buckets {
    days: Range<i64>,
    unit: &'static str,
    /// The first day of each bucket inside the stretch, ascending.
    starts: Vec<i64>,
}

impl Buckets {
    pub(crate) fn of(days: Range<i64>) -> Self {
        let length = days.end.saturating_sub(days.start);
        let unit = match () {
            () if length <= DAYS_BY_DAY => "day",
            () if length <= DAYS_BY_WEEK => "week",
            () => "month",
        };
        let mut starts = Vec::new();
        for day in days.clone() {
            if starts.is_empty() || begins(day, unit) {
                starts.push(day);
            }
        }
        Self { days, unit, starts }
    }

    pub(crate) fn unit(&self) -> &'static str {
        self.unit
    }

    pub(crate) fn len(&self) -> usize {
        self.starts.len()
    }

    /// The first day of each bucket.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        self.starts.iter().map(|day| day_name(*day))
    }

    /// The bucket of a day; `None` outside of the stretch.
    pub(crate) fn index(&self, day: i64) -> Option<usize> {
        let inside = self.days.contains(&day);
        inside.then(|| self.starts.partition_point(|start| *start <= day).saturating_sub(1))
    }
}

fn begins(day: i64, unit: &str) -> bool {
    match unit {
        "day" => true,
        // 5 January 1970 was a Monday.
        "week" => (day - 4).rem_euclid(7) == 0,
        _ => day_name(day).ends_with("-01"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 20_781; // 2026-11-24, a Tuesday

    #[test]
    fn days_and_moments_have_names() {
        assert_eq!(day_name(DAY), "2026-11-24");
        assert_eq!(moment_name(DAY * DAY_MS + 3_723_999), "2026-11-24T01:02:03Z");
        assert_eq!(moment_name(-1), "1969-12-31T23:59:59Z");
        assert_eq!(day_name(i64::MAX), "9999-12-31");
    }

    #[test]
    fn buckets_leave_no_day_out() {
        for (length, unit) in
            [(0, "day"), (1, "day"), (120, "day"), (121, "week"), (801, "month"), (5_000, "month")]
        {
            let buckets = Buckets::of(DAY..DAY + length);
            assert_eq!(buckets.unit(), unit);
            let indexes: Vec<usize> =
                (DAY..DAY + length).map(|day| buckets.index(day).unwrap()).collect();
            assert!(indexes.is_sorted());
            assert_eq!(indexes.last().map_or(0, |last| last + 1), buckets.len());
            assert_eq!((buckets.index(DAY - 1), buckets.index(DAY + length)), (None, None));
        }
    }

    #[test]
    fn weeks_begin_on_monday_and_months_on_the_first() {
        let weeks: Vec<String> = Buckets::of(DAY..DAY + 130).names().take(3).collect();
        assert_eq!(weeks, ["2026-11-24", "2026-11-30", "2026-12-07"]);
        let months: Vec<String> = Buckets::of(DAY..DAY + 900).names().take(3).collect();
        assert_eq!(months, ["2026-11-24", "2026-12-01", "2027-01-01"]);
    }
}
