//! Reading the times that AWS, its samples and people's transformers write.
//!
//! In: a JSON value or a text. Out: milliseconds since 1970 in UTC, or nothing when it is no time
//! or lies outside the years 2015 to 2100. What is finer than a millisecond is cut off. It is
//! written by hand over bytes because several times are read for each finding. Accepted:
//!
//! - RFC 1123 as Health writes it, whatever weekday it claims, with one-digit days:
//!   `Thu, 27 Jan 2026 13:44:13 GMT`
//! - ISO 8601 as ASFF and OCSF write it, with a fraction and an offset in any of its spellings up
//!   to 18 hours, a second 60 (read as 59, so that the day stays), a space for the `T`; without an
//!   offset it is UTC, without a clock it is midnight
//! - seconds since 1970, also with a fraction, and milliseconds, as a number or as text

use std::fmt;

use crate::finding::json::Json;

/// The first millisecond of 2015.
pub const MIN_MS: i64 = 1_420_070_400_000;
/// The last millisecond of 2100.
pub const MAX_MS: i64 = 4_133_980_799_999;

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// The time that a JSON value says.
pub fn read(value: &Json<'_>) -> Option<i64> {
    match value {
        Json::String(text) => parse(text),
        Json::Number(number) => parse_epoch(number.as_bytes()),
        _ => None,
    }
}

/// The time that a text says.
pub fn parse(text: &str) -> Option<i64> {
    let bytes = text.as_bytes().trim_ascii();
    let ms = match bytes {
        [b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b'-', ..] => parse_iso(bytes),
        [b'0'..=b'9', ..] if bytes.iter().all(|&b| is_of_number(b)) => parse_epoch(bytes),
        _ => parse_rfc1123(bytes),
    };
    ms.filter(|ms| (MIN_MS..=MAX_MS).contains(ms))
}

/// The day of a time in UTC, as `2026-11-24`, for times that [`read`] gives.
pub fn day(ms: i64) -> Day {
    let (year, month, day) = civil_from_days(ms.div_euclid(DAY_MS));
    let digit = |number: i64| u8::try_from(number % 10).map_or(b'?', |digit| b'0' + digit);
    let two = |number: i64| [digit(number / 10), digit(number)];
    let ([century, decade], [y, year]) = (two(year / 100), two(year));
    let ([m, month], [d, day]) = (two(month), two(day));
    Day([century, decade, y, year, b'-', m, month, b'-', d, day])
}

/// A day, as `2026-11-24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day([u8; 10]);

impl Day {
    /// Its text.
    pub fn as_str(&self) -> &str {
        // Digits and hyphens are ASCII, so this is never the empty text.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn is_of_number(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+')
}

/// Seconds or milliseconds since 1970; in the years that count the two never overlap.
fn parse_epoch(bytes: &[u8]) -> Option<i64> {
    let mut cursor = Cursor { rest: bytes };
    let whole = cursor.number(1, 13)?;
    let fraction_ms = cursor.fraction_ms()?;
    if !cursor.rest.is_empty() {
        return parse_epoch_with_exponent(bytes);
    }
    let seconds_as_ms = whole.checked_mul(1000)?.checked_add(fraction_ms)?;
    [seconds_as_ms, whole].into_iter().find(|ms| (MIN_MS..=MAX_MS).contains(ms))
}

/// The same for a number such as `1.587462325096e+9`, which is exact enough as a float.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked before")]
fn parse_epoch_with_exponent(bytes: &[u8]) -> Option<i64> {
    let number: f64 = std::str::from_utf8(bytes).ok()?.parse().ok()?;
    let range = MIN_MS as f64..=MAX_MS as f64;
    let ms = [number * 1000.0, number].into_iter().find(|ms| range.contains(ms))?;
    Some(ms.round() as i64)
}

fn parse_iso(bytes: &[u8]) -> Option<i64> {
    let mut cursor = Cursor { rest: bytes };
    let year = cursor.number(4, 4)?;
    cursor.expect(b"-")?;
    let month = cursor.number(2, 2)?;
    cursor.expect(b"-")?;
    let day = cursor.number(2, 2)?;
    let midnight = date_ms(year, month, day)?;
    if cursor.rest.is_empty() {
        return Some(midnight);
    }
    if !cursor.eat(b"Tt") {
        cursor.spaces(1)?;
    }
    cursor.clock_and_zone(midnight)
}

fn parse_rfc1123(bytes: &[u8]) -> Option<i64> {
    let mut cursor = Cursor { rest: bytes };
    if !cursor.letters().is_empty() {
        // The weekday: documented samples have one that does not fit the date.
        cursor.eat(b",");
        cursor.spaces(0)?;
    }
    let day = cursor.number(1, 2)?;
    cursor.separator()?;
    let month = month_of(cursor.letters())?;
    cursor.separator()?;
    let year = cursor.number(4, 4)?;
    let midnight = date_ms(year, month, day)?;
    cursor.spaces(1)?;
    cursor.clock_and_zone(midnight)
}

/// The month by its English name, whole or in three letters.
fn month_of(name: &[u8]) -> Option<i64> {
    let (start, rest) = name.split_first_chunk::<3>()?;
    let (month, rest_of_name): (_, &[u8]) = match &start.map(|letter| letter.to_ascii_lowercase()) {
        b"jan" => (1, b"uary"),
        b"feb" => (2, b"ruary"),
        b"mar" => (3, b"ch"),
        b"apr" => (4, b"il"),
        b"may" => (5, b""),
        b"jun" => (6, b"e"),
        b"jul" => (7, b"y"),
        b"aug" => (8, b"ust"),
        b"sep" => (9, b"tember"),
        b"oct" => (10, b"ober"),
        b"nov" => (11, b"ember"),
        b"dec" => (12, b"ember"),
        _ => return None,
    };
    (rest.is_empty() || rest.eq_ignore_ascii_case(rest_of_name)).then_some(month)
}

/// Midnight of a date, when there is such a date in the years that any time may be read for.
fn date_ms(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_of_month = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    (1..=days_of_month).contains(&day).then(|| days_from_civil(year, month, day) * DAY_MS)
}

/// Days since 1970 of a date; years begin in March, so that the leap day is a year's last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let century = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    century * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year
        - 719_468
}

/// The date of a day since 1970: the reverse.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted_month + 2) / 5 + 1)
}

/// What of a text is not read yet.
struct Cursor<'t> {
    rest: &'t [u8],
}

impl<'t> Cursor<'t> {
    /// Reads one byte when it is one of these.
    fn eat(&mut self, bytes: &[u8]) -> bool {
        match self.rest.split_first() {
            Some((first, rest)) if bytes.contains(first) => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn expect(&mut self, bytes: &[u8]) -> Option<()> {
        self.eat(bytes).then_some(())
    }

    /// Reads what spaces there are, at least so many.
    fn spaces(&mut self, least: usize) -> Option<()> {
        let rest = self.rest.trim_ascii_start();
        let count = self.rest.len() - rest.len();
        self.rest = rest;
        (count >= least).then_some(())
    }

    /// Reads spaces or a hyphen, as between the parts of a date.
    fn separator(&mut self) -> Option<()> {
        if self.eat(b"-") { Some(()) } else { self.spaces(1) }
    }

    /// Reads what letters there are.
    fn letters(&mut self) -> &'t [u8] {
        let count = self.rest.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        let (letters, rest) = self.rest.split_at(count);
        self.rest = rest;
        letters
    }

    /// Reads all digits that come, of which there must be so many.
    fn number(&mut self, least: usize, most: usize) -> Option<i64> {
        let count = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !(least..=most).contains(&count) {
            return None;
        }
        let (digits, rest) = self.rest.split_at(count);
        self.rest = rest;
        Some(digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
    }

    /// Reads two digits, whatever comes behind them.
    fn two_digits(&mut self) -> Option<i64> {
        let (two, rest) = self.rest.split_first_chunk::<2>()?;
        self.rest = rest;
        Cursor { rest: two }.number(2, 2)
    }

    /// Reads a fraction of a second, when there is one.
    fn fraction_ms(&mut self) -> Option<i64> {
        if !self.eat(b".,") {
            return Some(0);
        }
        let count = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return None;
        }
        let (digits, rest) = self.rest.split_at(count);
        self.rest = rest;
        let weights = [100, 10, 1];
        Some(
            digits
                .iter()
                .zip(weights)
                .map(|(digit, weight)| i64::from(digit - b'0') * weight)
                .sum(),
        )
    }

    /// Reads a clock and an offset, which must end the text.
    fn clock_and_zone(&mut self, midnight: i64) -> Option<i64> {
        let hour = self.number(1, 2).filter(|hour| *hour < 24)?;
        let minute = self.colon_number()?.filter(|minute| *minute < 60)?;
        let second = self.colon_number()?.unwrap_or(0);
        let second = if second == 60 { 59 } else { second };
        if second > 59 {
            return None;
        }
        let fraction_ms = self.fraction_ms()?;
        self.spaces(0)?;
        let offset_minutes = self.zone()?;
        let minutes = hour * 60 + minute - offset_minutes;
        self.rest.is_empty().then_some(midnight + (minutes * 60 + second) * 1000 + fraction_ms)
    }

    /// Reads a colon and a two-digit number, when there is a colon.
    #[expect(clippy::option_option, reason = "the outer says unreadable, the inner absent")]
    fn colon_number(&mut self) -> Option<Option<i64>> {
        if !self.eat(b":") {
            return Some(None);
        }
        self.spaces(0)?;
        self.number(2, 2).map(Some)
    }

    /// Reads an offset in minutes; none is UTC.
    fn zone(&mut self) -> Option<i64> {
        let name = self.letters();
        let is_utc = |utc: &&str| name.eq_ignore_ascii_case(utc.as_bytes());
        if ["", "Z", "UTC", "GMT", "UT"].iter().any(is_utc)
            && (!name.is_empty() || self.rest.is_empty())
        {
            return Some(0);
        }
        let east = self.eat(b"+");
        if !name.is_empty() || !east && !self.eat(b"-") {
            return None;
        }
        let hours = self.two_digits()?;
        let minutes = if self.rest.is_empty() {
            0
        } else {
            self.eat(b":");
            self.two_digits().filter(|minutes| *minutes < 60)?
        };
        let minutes = hours * 60 + minutes;
        (minutes <= 18 * 60).then_some(if east { minutes } else { -minutes })
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::{Offset, TimeZone};
    use jiff::{Timestamp, ToSpan};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_that_aws_and_transformers_write() {
        let table = [
            ("Wed, 31 Jan 2024 02:00:00 GMT", "2024-01-31T02:00:00Z"),
            ("Fri, 3 Jun 2022 05:01:10 GMT", "2022-06-03T05:01:10Z"),
            ("Thu, 27 Jan 2026 13:44:13 GMT", "2026-01-27T13:44:13Z"),
            ("27 Jan 2026 13:44:13 UTC", "2026-01-27T13:44:13Z"),
            ("Tue, 27 Jan 2026 13:44:13 Z", "2026-01-27T13:44:13Z"),
            ("Tue, 27 Jan 2026 13:44:13 +0000", "2026-01-27T13:44:13Z"),
            ("Tue, 27 Jan 2026 13:44:13", "2026-01-27T13:44:13Z"),
            ("tue 27 january 2026 13:44 -0130", "2026-01-27T15:14:00Z"),
            ("Thu 15 Dec 2022 23: 25: 00 GMT", "2022-12-15T23:25:00Z"),
            ("2022-01-07T16:34:04.000Z", "2022-01-07T16:34:04Z"),
            ("2022-01-07T16:34:04.123456789+17:59", "2022-01-06T22:35:04.123Z"),
            ("2024-01-04T15:25:10-1759", "2024-01-05T09:24:10Z"),
            ("2024-01-04T15:25:10+18", "2024-01-03T21:25:10Z"),
            ("2024-01-04T15:25:10+18:00", "2024-01-03T21:25:10Z"),
            ("2024-01-04T15:25:10-0001", "2024-01-04T15:26:10Z"),
            ("2024-02-29T23:59:60Z", "2024-02-29T23:59:59Z"),
            ("2022-07-02 12:33:26.951000+00:00", "2022-07-02T12:33:26.951Z"),
            ("2022-07-02 12:33:26,951 UTC", "2022-07-02T12:33:26.951Z"),
            ("2022-07-02t12:33:26z", "2022-07-02T12:33:26Z"),
            ("2022-07-02T12:33:26", "2022-07-02T12:33:26Z"),
            ("2022-07-02T12:33Z", "2022-07-02T12:33:00Z"),
            ("  2022-07-02 ", "2022-07-02T00:00:00Z"),
            ("1587462325", "2020-04-21T09:45:25Z"),
            ("1587462325.096", "2020-04-21T09:45:25.096Z"),
            ("1587462325.0969999", "2020-04-21T09:45:25.096Z"),
            ("1.587462325096e+9", "2020-04-21T09:45:25.096Z"),
            ("1587462325096", "2020-04-21T09:45:25.096Z"),
            ("2015-01-01T00:00:00Z", "2015-01-01T00:00:00Z"),
            ("2100-12-31T23:59:59.999Z", "2100-12-31T23:59:59.999Z"),
        ];
        for (text, expected) in table {
            let expected = expected.parse::<Timestamp>().unwrap().as_millisecond();
            assert_eq!(parse(text), Some(expected), "{text}");
        }
        assert_eq!(read(&Json::Number("1587462325.096")), Some(1_587_462_325_096));
        assert_eq!(read(&Json::Number("1709090374")), Some(1_709_090_374_000));
        assert_eq!(read(&Json::String("1709090374")), Some(1_709_090_374_000));
        assert_eq!(read(&Json::Null), None);
    }

    #[test]
    fn what_is_no_time_is_none() {
        let texts = [
            "",
            " ",
            "{{startTime}}",
            "category",
            "Sat, 30 Feb 2019 00:00:00 GMT",
            "Sat, 30 Foo 2019 00:00:00 GMT",
            "Sat, 30 Nov 2019 24:00:00 GMT",
            "Sat, 30 Nov 2019 00:00:00 EST",
            "Sat, 30 Nov 2019 00:00:00 GMT x",
            "Sat, 30 Nov 19 00:00:00 GMT",
            "Sat, 30 Nov 2019 00 GMT",
            "2023-02-29T00:00:00Z",
            "2023-13-01T00:00:00Z",
            "2023-00-01T00:00:00Z",
            "2023-01-00T00:00:00Z",
            "2023-01-01T00:60:00Z",
            "2023-01-01T00:00:61Z",
            "2023-01-01T00:00:00.Z",
            "2023-01-01T00:00:00+18:01",
            "2023-01-01T00:00:00+1:00",
            "2023-01-01T00:00:00+01:0",
            "2023-01-01T00:00:00+010",
            "2023-01-01T00:00:00+01000",
            "2023-01-01T00:00:00+01:60",
            "2023-01-01T00:00:00+",
            "2023-01-01T00:00:00Z+01:00",
            "2023-01-01T",
            "2023-01-01Z",
            "2014-12-31T23:59:59.999Z",
            "2101-01-01T00:00:00Z",
            "2015-01-01T00:00:00+00:01",
            "0",
            "-1587462325",
            "1e400",
            "13626284715507",
            "99999999999999999999999999999999",
            "１５８７４６２３２５",
        ];
        for text in texts {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(read(&Json::Number("1e+400")), None);
        assert_eq!(read(&Json::Number("-0")), None);
    }

    #[test]
    fn the_days_are_those_of_the_calendar() {
        let mut date = jiff::civil::date(2014, 12, 30);
        while date.year() < 2102 {
            let ms = date.to_zoned_datetime(TimeZone::UTC).unwrap().timestamp().as_millisecond();
            assert_eq!(day(ms).as_str(), date.to_string());
            assert_eq!(day(ms + DAY_MS - 1).as_str(), date.to_string());
            date = date.checked_add(1.day()).unwrap();
        }
    }

    proptest! {
        #[test]
        fn every_spelling_of_a_time_is_that_time(
            ms in MIN_MS..=MAX_MS,
            minutes in -18 * 60..=18 * 60i32,
            digits in 0..=9usize,
        ) {
            let ms = if digits < 3 { ms - ms % 1000 } else { ms };
            let offset = Offset::from_seconds(minutes * 60).unwrap();
            let zone = TimeZone::fixed(offset);
            let zoned = Timestamp::from_millisecond(ms).unwrap().to_zoned_datetime(zone);
            let (hours, rest) = (minutes.abs() / 60, minutes.abs() % 60);
            let sign = if minutes < 0 { '-' } else { '+' };
            let mut fraction = format!(".{:03}000000", ms % 1000);
            fraction.truncate(if digits == 0 { 0 } else { digits + 1 });
            let date = zoned.strftime("%Y-%m-%dT%H:%M:%S").to_string();
            for colon in [":", ""] {
                let zone = format!("{sign}{hours:02}{colon}{rest:02}");
                let text = format!("{date}{fraction}{zone}");
                prop_assert_eq!(parse(&text), Some(ms), "{}", text);
                let oracle: Timestamp = text.parse().unwrap();
                prop_assert_eq!(oracle.as_millisecond(), ms);
            }
            let seconds = ms - ms.rem_euclid(1000);
            let text = zoned.strftime("%a, %-d %b %Y %H:%M:%S %z").to_string();
            prop_assert_eq!(parse(&text), Some(seconds), "{}", text);
            prop_assert_eq!(parse(&ms.to_string()), Some(ms));
            prop_assert_eq!(parse(&(ms / 1000).to_string()), Some(seconds));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}") {
            let _any = parse(&text);
        }

        #[test]
        fn no_likely_text_makes_it_panic(text in "[-+:., TZ0-9eGMTJan]{0,30}") {
            if let Some(ms) = parse(&text) {
                prop_assert!((MIN_MS..=MAX_MS).contains(&ms));
            }
        }
    }
}
