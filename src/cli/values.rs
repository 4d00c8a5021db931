//! Values of options: sizes, spans of time, hours.
//!
//! In: what a person typed. Out: a number with its unit, or a message that shows what is accepted.

use globset::Glob;
use jiff::SignedDuration;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use std::time::Duration;

/// `256MiB`, `1GiB`, `500MB`, or plain bytes.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    let number: u64 = digits.parse().map_err(|_| size_help(text))?;
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" | "k" => 1 << 10,
        "mib" | "m" => 1 << 20,
        "gib" | "g" => 1 << 30,
        "tib" | "t" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(size_help(text)),
    };
    number.checked_mul(factor).ok_or_else(|| size_help(text))
}

fn size_help(text: &str) -> String {
    format!("`{text}` is no size; write it as `256MiB`, `1GiB` or a number of bytes")
}

/// `90m`, `2h`, `1h30m`, `45s`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let help = || format!("`{text}` is no span of time; write it as `90m`, `2h` or `1h30m`");
    let span: SignedDuration = text.parse().map_err(|_| help())?;
    Duration::try_from(span).map_err(|_| help())
}

/// `2026-11-24`, `2026-11-24T03` or `2026-11-24T03:00Z`: an hour in UTC, in milliseconds since 1970.
pub(super) fn hour(text: &str) -> Result<i64, String> {
    let help = || format!("`{text}` is no hour; write it as `2026-11-24` or `2026-11-24T03` (UTC)");
    let bare = text.trim_end_matches('Z');
    let civil: DateTime = match bare.split_once('T') {
        None => {
            bare.parse::<Date>().map_err(|_| help())?.to_datetime(jiff::civil::Time::midnight())
        }
        Some((date, time)) => {
            let date: Date = date.parse().map_err(|_| help())?;
            let hour = time.split(':').next().unwrap_or(time);
            if time.split(':').skip(1).any(|part| !part.trim_matches('0').is_empty()) {
                return Err(format!(
                    "`{text}` lies inside an hour; arrival is known by whole hours"
                ));
            }
            let hour: i8 = hour.parse().map_err(|_| help())?;
            date.to_datetime(jiff::civil::Time::new(hour, 0, 0, 0).map_err(|_| help())?)
        }
    };
    let zoned = TimeZone::UTC.to_timestamp(civil).map_err(|_| help())?;
    Ok(zoned.as_millisecond())
}

/// Globs between commas; a comma inside `{}` or `[]` is the glob's own.
pub(super) fn globs(text: &str) -> Result<Vec<Glob>, String> {
    let (mut open, mut escaped) = (0_u32, false);
    let between_globs = |c: char| {
        let is_literal = escaped;
        escaped = c == '\\' && !is_literal;
        match c {
            _ if is_literal => {}
            '{' | '[' => open += 1,
            '}' | ']' => open = open.saturating_sub(1),
            _ => {}
        }
        c == ',' && open == 0 && !is_literal
    };
    let named = text.split(between_globs).filter(|glob| !glob.is_empty());
    named.map(|glob| Glob::new(glob).map_err(|error| error.to_string())).collect()
}

/// The name of a time zone, as Firehose's `CustomTimeZone` takes it.
pub(super) fn zone(text: &str) -> Result<TimeZone, String> {
    TimeZone::get(text)
        .map_err(|_| format!("`{text}` is no time zone; write it as `UTC` or `Europe/Berlin`"))
}

/// Letters, digits, `_` and `-`: what Glue's databases are called.
pub(super) fn database(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if text.is_empty() || text.len() > 255 || !text.chars().all(fits) {
        return Err("a database has 1 to 255 letters, digits, `_` or `-`".to_owned());
    }
    Ok(text.to_owned())
}

/// What the names of tables begin with; Glue folds capitals, so they are refused.
pub(super) fn table_prefix(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if text.len() > 200 || !text.chars().all(fits) {
        return Err("a prefix has at most 200 small letters, digits or `_`".to_owned());
    }
    Ok(text.to_owned())
}

/// A share between 0 and 1.
pub(super) fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err(format!("`{text}` is no share; write a number from 0 to 1")),
    }
}

/// Text from an archive, which must not steer the terminal, begin a line of its own, or show in another order
/// than it has.
pub(super) fn printable(text: &str) -> String {
    let is_steering = |c: char| c.is_control() || is_invisible_order(c);
    text.chars().map(|c| if is_steering(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Line separators, and the marks that turn the direction of text (<https://www.unicode.org/reports/tr9/>).
fn is_invisible_order(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Bytes as people read them: `1.5 GiB`.
pub(super) fn show_bytes(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut shown = None;
    for unit in units {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        shown = Some(unit);
    }
    shown.map_or_else(|| format!("{bytes} B"), |unit| format!("{value:.1} {unit}"))
}

/// A count with its thousands apart: `1,234,567`.
pub(super) fn show_count(count: u64) -> String {
    let digits = count.to_string();
    let mut shown = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let table = [
            ("256MiB", Ok(268_435_456)),
            ("1GiB", Ok(1_073_741_824)),
            ("500MB", Ok(500_000_000)),
            ("17", Ok(17)),
            ("", Err(())),
            ("1.5GiB", Err(())),
            ("99999999TiB", Err(())),
            ("1 parsec", Err(())),
        ];
        for (text, expected) in table {
            assert_eq!(size(text).map_err(drop), expected, "{text}");
        }
    }

    #[test]
    fn hours() {
        let day = 1_795_478_400_000;
        let table = [
            ("2026-11-24", Ok(day)),
            ("2026-11-24T03", Ok(day + 3 * 3_600_000)),
            ("2026-11-24T03:00:00Z", Ok(day + 3 * 3_600_000)),
            ("2026-11-24T03:30Z", Err(())),
            ("2026-11-24T25", Err(())),
            ("yesterday", Err(())),
        ];
        for (text, expected) in table {
            assert_eq!(hour(text).map_err(drop), expected, "{text}");
        }
    }

    #[test]
    fn globs_are_told_apart_by_commas_outside_their_brackets() {
        let table: [(&str, Result<&[&str], ()>); 6] = [
            ("error/*", Ok(&["error/*"])),
            ("error/*,*.tmp,", Ok(&["error/*", "*.tmp"])),
            ("*.{tmp,bak},[,]x", Ok(&["*.{tmp,bak}", "[,]x"])),
            ("a\\,b", Ok(&["a\\,b"])),
            ("{a", Err(())),
            ("", Ok(&[])),
        ];
        for (text, expected) in table {
            let found = globs(text).map_err(drop);
            let found = found.as_ref().map(|globs| globs.iter().map(Glob::glob).collect());
            assert_eq!(found, expected.as_ref().map(|globs| globs.to_vec()), "{text}");
        }
    }

    #[test]
    fn spans_of_time() {
        assert_eq!(duration("1h30m"), Ok(Duration::from_mins(90)));
        assert_eq!(duration("45s"), Ok(Duration::from_secs(45)));
        assert!(duration("soon").is_err());
        assert!(duration("-1h").is_err());
    }

    #[test]
    fn numbers_are_shown_for_people() {
        assert_eq!(show_bytes(1023), "1023 B");
        assert_eq!(show_bytes(1536), "1.5 KiB");
        assert_eq!(show_bytes(3 << 30), "3.0 GiB");
        assert_eq!(show_count(0), "0");
        assert_eq!(show_count(1_234_567), "1,234,567");
        assert_eq!(show_count(123_456), "123,456");
    }
}
