//! Instants as the texts that AWS writes.
//!
//! In: seconds since 1970 UTC. Out: the text forms of Health details, EventBridge envelopes, OCSF
//! and Firehose keys, appended to a string. Years 1970 to 9999; nothing can go wrong.

/// Seconds of a day.
pub(super) const DAY_S: i64 = 86_400;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// An instant, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Civil {
    year: i64,
    month: i64,
    day: i64,
    weekday: &'static str,
    seconds: i64,
}

/// `Wed, 31 Jan 2024 02:00:00 GMT`, the form in a Health event's detail; the day has one digit
/// where `short_day` and it is below ten.
pub(super) fn health(seconds: i64, short_day: bool) -> String {
    let civil = Civil::of(seconds);
    let mut out = String::with_capacity(29);
    out.push_str(civil.weekday);
    out.push_str(", ");
    if short_day && civil.day < 10 {
        digits(civil.day, 1, &mut out);
    } else {
        digits(civil.day, 2, &mut out);
    }
    out.push(' ');
    out.push_str(usize::try_from(civil.month - 1).ok().and_then(|m| MONTHS.get(m)).unwrap_or(&""));
    out.push(' ');
    digits(civil.year, 4, &mut out);
    out.push(' ');
    clock(civil.seconds, ':', &mut out);
    out.push_str(" GMT");
    out
}

/// `2026-08-01T00:00:00Z`, the form of an EventBridge envelope.
pub(super) fn second(seconds: i64) -> String {
    let civil = Civil::of(seconds);
    let mut out = String::with_capacity(20);
    date(civil, '-', &mut out);
    out.push('T');
    clock(civil.seconds, ':', &mut out);
    out.push('Z');
    out
}

/// `2026-08-01T00:00:00.123Z`, the form in findings.
pub(super) fn milli(milliseconds: i64) -> String {
    let mut out = second(milliseconds.div_euclid(1000));
    out.truncate(19);
    out.push('.');
    digits(milliseconds.rem_euclid(1000), 3, &mut out);
    out.push('Z');
    out
}

/// `2026-08-01`.
pub(super) fn day(seconds: i64) -> String {
    let mut out = String::with_capacity(10);
    date(Civil::of(seconds), '-', &mut out);
    out
}

/// `2026/08/01/00/`, the prefix that Firehose puts before an object's name.
pub(super) fn prefix(seconds: i64) -> String {
    let civil = Civil::of(seconds);
    let mut out = String::with_capacity(14);
    date(civil, '/', &mut out);
    out.push('/');
    digits(civil.seconds / 3600, 2, &mut out);
    out.push('/');
    out
}

/// `2026-08-01-00-00-00`, the time in an object's name.
pub(super) fn name(seconds: i64) -> String {
    let civil = Civil::of(seconds);
    let mut out = String::with_capacity(19);
    date(civil, '-', &mut out);
    out.push('-');
    clock(civil.seconds, '-', &mut out);
    out
}

/// `10:15 PM`, as status updates write it.
pub(super) fn wall_clock(seconds: i64) -> String {
    let of_day = seconds.rem_euclid(DAY_S);
    let (hour, minute) = (of_day / 3600, of_day / 60 % 60);
    let mut out = String::with_capacity(8);
    let twelve = if hour % 12 == 0 { 12 } else { hour % 12 };
    digits(twelve, if twelve < 10 { 1 } else { 2 }, &mut out);
    out.push(':');
    digits(minute, 2, &mut out);
    out.push_str(if hour < 12 { " AM" } else { " PM" });
    out
}

impl Civil {
    /// Counts the days in years that begin in March, so that leap days come last.
    fn of(seconds: i64) -> Self {
        let days = seconds.div_euclid(DAY_S);
        let since_march_0 = days + 719_468;
        let era = since_march_0.div_euclid(146_097);
        let day_of_era = since_march_0.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        let weekday = usize::try_from(days.rem_euclid(7)).ok().and_then(|day| WEEKDAYS.get(day));
        Self {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * march_month + 2) / 5 + 1,
            weekday: weekday.unwrap_or(&""),
            seconds: seconds.rem_euclid(DAY_S),
        }
    }
}

fn date(civil: Civil, separator: char, out: &mut String) {
    digits(civil.year, 4, out);
    out.push(separator);
    digits(civil.month, 2, out);
    out.push(separator);
    digits(civil.day, 2, out);
}

fn clock(seconds: i64, separator: char, out: &mut String) {
    digits(seconds / 3600, 2, out);
    out.push(separator);
    digits(seconds / 60 % 60, 2, out);
    out.push(separator);
    digits(seconds % 60, 2, out);
}

/// The last `width` decimal digits of a number that is not negative.
fn digits(number: i64, width: u32, out: &mut String) {
    for place in (0..width).rev() {
        let digit = number / 10_i64.pow(place) % 10;
        out.push(char::from_digit(u32::try_from(digit).unwrap_or(0), 10).unwrap_or('0'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_agree_with_a_calendar() {
        for day_number in (0..60_000_i64).step_by(17) {
            let seconds = day_number * DAY_S + (day_number * 7919) % DAY_S;
            let time = jiff::Timestamp::from_second(seconds).expect("in range");
            let zoned = jiff::tz::TimeZone::UTC.to_datetime(time);
            assert_eq!(second(seconds), zoned.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
            assert_eq!(name(seconds), zoned.strftime("%Y-%m-%d-%H-%M-%S").to_string());
            assert_eq!(prefix(seconds), zoned.strftime("%Y/%m/%d/%H/").to_string());
            assert_eq!(day(seconds), zoned.strftime("%Y-%m-%d").to_string());
            assert_eq!(
                health(seconds, false),
                zoned.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
            );
            assert_eq!(wall_clock(seconds), zoned.strftime("%-I:%M %p").to_string());
        }
        assert_eq!(milli(1_785_542_400_007), "2026-08-01T00:00:00.007Z");
        assert_eq!(health(1_785_542_400, true), "Sat, 1 Aug 2026 00:00:00 GMT");
    }
}
