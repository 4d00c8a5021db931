//! When an object arrived, from its key.
//!
//! In: a key, its `LastModified`, the stream's time zone. Out: an [`Arrival`]. Firehose names an
//! object `<prefix><stream>-<version>-yyyy-MM-dd-HH-mm-ss-<uuid><extension>` and puts it by default
//! under `yyyy/MM/dd/HH/`; both are the approximate arrival of the oldest record in the object
//! (docs.aws.amazon.com/firehose/latest/dev/s3-object-name.html, s3-prefixes.html). A key that says
//! nothing falls back to `LastModified`. Nothing of this enters a row's identity.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const HOUR_MS: i64 = 3_600_000;

/// When an object arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrival {
    /// The time in the object's name, else the hour of its prefix, else `LastModified`; in
    /// milliseconds since 1970 UTC. Orders the plan.
    pub at_ms: i64,
    /// The hour that `at_ms` lies in.
    pub hour_ms: i64,
}

/// Reads the arrival off a key; local times are taken to be of `zone`.
pub fn arrival(key: &str, last_modified_ms: i64, zone: &TimeZone) -> Arrival {
    let name = key.rsplit('/').next().unwrap_or(key);
    let at_ms = time_in_name(name)
        .or_else(|| hour_in_prefix(key))
        .and_then(|local| to_ms(local, zone))
        .unwrap_or(last_modified_ms);
    Arrival { at_ms, hour_ms: at_ms.div_euclid(HOUR_MS).saturating_mul(HOUR_MS) }
}

fn to_ms(local: DateTime, zone: &TimeZone) -> Option<i64> {
    // A local hour that daylight saving repeats or skips is taken as the earlier or later one.
    let zoned = zone.to_ambiguous_zoned_datetime(local).compatible().ok()?;
    Some(zoned.timestamp().as_millisecond())
}

/// `…-<version>-yyyy-MM-dd-HH-mm-ss-<uuid>[extension]`, read from the right, since a stream's name
/// may hold hyphens and digits.
fn time_in_name(name: &str) -> Option<DateTime> {
    let (head, time) = head_and_time(name)?;
    head.last()?.is_ascii_digit().then_some(())?;
    civil(&digit_groups(time, b"4-2-2-2-2-2")?)
}

/// The number of the stream's configuration that an object was written under.
pub fn version(key: &str) -> Option<u32> {
    let (head, _) = head_and_time(key.rsplit('/').next().unwrap_or(key))?;
    let digits = head.rsplit(|byte| *byte == b'-').next()?;
    let digits = std::str::from_utf8(digits).ok()?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// What stands before a name's time, without the hyphen between, and the time's text.
fn head_and_time(name: &str) -> Option<(&[u8], &[u8])> {
    let bytes = name.as_bytes();
    // The last uuid that an extension or the name's end follows.
    let starts = (0..=bytes.len().checked_sub(UUID_LENGTH)?).rev();
    for start in starts {
        let uuid = bytes.get(start..start + UUID_LENGTH)?;
        let ends_well = bytes.get(start + UUID_LENGTH).is_none_or(|next| *next == b'.');
        if !ends_well || !is_uuid(uuid) {
            continue;
        }
        let head = bytes.get(..start)?.strip_suffix(b"-")?;
        let time = head.get(head.len().checked_sub(TIME_LENGTH)?..)?;
        return Some((head.get(..head.len() - TIME_LENGTH)?.strip_suffix(b"-")?, time));
    }
    None
}

const UUID_LENGTH: usize = 36;
const TIME_LENGTH: usize = 19;

fn is_uuid(bytes: &[u8]) -> bool {
    bytes.iter().enumerate().all(|(index, byte)| match index {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    })
}

/// Numbers of the digit counts in `pattern` (`4-2-2`), with a hyphen between them, and no more.
fn digit_groups(text: &[u8], pattern: &[u8]) -> Option<Vec<i16>> {
    let mut rest = text;
    let mut groups = Vec::with_capacity(6);
    for symbol in pattern {
        if *symbol == b'-' {
            rest = rest.strip_prefix(b"-")?;
            continue;
        }
        let (digits, tail) = rest.split_at_checked(usize::from(symbol - b'0'))?;
        groups.push(number(digits)?);
        rest = tail;
    }
    rest.is_empty().then_some(groups)
}

fn number(digits: &[u8]) -> Option<i16> {
    let all_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    all_digits.then(|| std::str::from_utf8(digits).ok()?.parse().ok()).flatten()
}

/// Year, month, day, and as many of hour, minute and second as are there.
fn civil(groups: &[i16]) -> Option<DateTime> {
    let small = |index: usize| groups.get(index).map_or(Some(0), |group| i8::try_from(*group).ok());
    let year = *groups.first()?;
    // Other numbers than years stand in prefixes too.
    if !(2000..=2200).contains(&year) {
        return None;
    }
    DateTime::new(year, small(1)?, small(2)?, small(3)?, small(4)?, small(5)?, 0).ok()
}

/// The last `yyyy/MM/dd/HH` or `yyyy/MM/dd` of the folders, plain (a static prefix may stand before
/// the year with no slash between: `legacy2026/07/13/14`) or as Hive partitions, whatever the names
/// of those (`year=2026/month=07/day=13/hour=14`, `dt=2026-07-13/hour=14`).
fn hour_in_prefix(key: &str) -> Option<DateTime> {
    let mut segments: Vec<&str> = key.split('/').collect();
    segments.pop();
    let starts = (0..segments.len()).rev();
    for start in starts {
        let run = segments.get(start..)?;
        if let Some(time) = plain_hour(run).or_else(|| dated_hour(run)) {
            return Some(time);
        }
    }
    None
}

fn plain_hour(run: &[&str]) -> Option<DateTime> {
    let first = value(run.first()?).as_bytes();
    let year = number(first.get(first.len().checked_sub(4)?..)?)?;
    let two = |index: usize| {
        let digits = value(run.get(index)?).as_bytes();
        (digits.len() <= 2).then(|| number(digits)).flatten()
    };
    civil(&[year, two(1)?, two(2)?, two(3).unwrap_or(0)])
}

fn dated_hour(run: &[&str]) -> Option<DateTime> {
    let mut groups = digit_groups(value(run.first()?).as_bytes(), b"4-2-2")?;
    let hour = run.get(1).map(|segment| value(segment).as_bytes());
    groups.push(hour.filter(|digits| digits.len() <= 2).and_then(number).unwrap_or(0));
    civil(&groups)
}

/// The value of a Hive partition folder, or the folder itself.
fn value(segment: &str) -> &str {
    segment.split_once('=').map_or(segment, |(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(key: &str) -> String {
        at_in(key, "UTC")
    }

    fn at_in(key: &str, zone: &str) -> String {
        let zone = TimeZone::get(zone).unwrap();
        let arrival = arrival(key, 0, &zone);
        jiff::Timestamp::from_millisecond(arrival.at_ms).unwrap().to_string()
    }

    const UUID: &str = "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0";

    #[test]
    fn the_name_comes_first_then_the_prefix_then_last_modified() {
        let table = [
            (
                format!("2026/11/24/03/stream-1-2026-11-24-03-59-07-{UUID}.gz"),
                "2026-11-24T03:59:07Z",
            ),
            (format!("x/my-stream-2-12-2026-11-24-03-59-07-{UUID}"), "2026-11-24T03:59:07Z"),
            (format!("s-1-2026-11-24-03-59-07-{UUID}.custom.ext"), "2026-11-24T03:59:07Z"),
            (format!("s-1-2026-13-24-03-59-07-{UUID}"), "1970-01-01T00:00:00Z"),
            ("2026/11/24/03/data.json".to_owned(), "2026-11-24T03:00:00Z"),
            ("legacy2026/11/24/03/data".to_owned(), "2026-11-24T03:00:00Z"),
            ("a/year=2026/month=11/day=24/hour=03/data".to_owned(), "2026-11-24T03:00:00Z"),
            ("dt=2026-11-24/hour=7/data".to_owned(), "2026-11-24T07:00:00Z"),
            ("2026/11/24/data".to_owned(), "2026-11-24T00:00:00Z"),
            ("1999/2026/11/24/05/data".to_owned(), "2026-11-24T05:00:00Z"),
            ("health/random/data".to_owned(), "1970-01-01T00:00:00Z"),
            ("é/ü".to_owned(), "1970-01-01T00:00:00Z"),
            (String::new(), "1970-01-01T00:00:00Z"),
        ];
        for (key, expected) in table {
            assert_eq!(at(&key), expected, "{key}");
        }
    }

    #[test]
    fn the_version_of_a_stream_is_in_the_name() {
        let table = [
            (format!("2026/11/24/03/stream-1-2026-11-24-03-59-07-{UUID}.gz"), Some(1)),
            (format!("my-stream-2-12-2026-11-24-03-59-07-{UUID}"), Some(12)),
            (format!("x/stream-2026-11-24-03-59-07-{UUID}"), None),
            (format!("stream-99999999999-2026-11-24-03-59-07-{UUID}"), None),
            ("2026/11/24/03/data.json".to_owned(), None),
        ];
        for (key, expected) in table {
            assert_eq!(version(&key), expected, "{key}");
        }
    }

    #[test]
    fn a_streams_own_zone_is_honoured() {
        let key = format!("2026/11/24/03/s-1-2026-11-24-03-59-07-{UUID}.gz");
        assert_eq!(at_in(&key, "Europe/Berlin"), "2026-11-24T02:59:07Z");
        // 02:30 happens twice that night; the earlier one is taken.
        assert_eq!(at_in("2026/10/25/02/x", "Europe/Berlin"), "2026-10-25T00:00:00Z");
    }

    #[test]
    fn the_hour_is_the_one_the_time_lies_in() {
        let key = format!("s-1-2026-11-24-03-59-07-{UUID}");
        let arrival = arrival(&key, 0, &TimeZone::UTC);
        assert_eq!(arrival.hour_ms, arrival.at_ms - (59 * 60 + 7) * 1000);
        let before_1970 = super::arrival("x", -1, &TimeZone::UTC);
        assert_eq!(before_1970.hour_ms, -HOUR_MS);
    }
}
