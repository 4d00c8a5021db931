//! Prefixes of Firehose with expressions in them, `health/!{timestamp:yyyy}/…`.
//!
//! In: a prefix as `DescribeDeliveryStream` tells it. Out: what every key begins with, whatever the
//! expressions come to. Pure; a prefix that no rule fits gives the shorter text
//! (docs.aws.amazon.com/firehose/latest/dev/s3-prefixes.html).

use jiff::civil::Date;

/// What an expression begins with.
const EXPRESSION: &str = "!{";

/// The expression that stands for the kind of failure.
const ERROR_TYPE: &str = "!{firehose:error-output-type}";

/// Kinds of failure of a stream that delivers to S3.
pub(super) const ERROR_TYPES: [&str; 2] = ["processing-failed", "format-conversion-failed"];

/// The text before the first expression.
pub(super) fn fixed(prefix: &str) -> &str {
    prefix.split_once(EXPRESSION).map_or(prefix, |(fixed, _)| fixed)
}

/// Whether there is any expression.
pub(super) fn has_expressions(prefix: &str) -> bool {
    prefix.contains(EXPRESSION)
}

/// Where the first expression is the kind of failure: one prefix for each kind, up to the next expression.
pub(super) fn by_error_type(prefix: &str) -> Option<Vec<String>> {
    let before = fixed(prefix);
    let behind = prefix.strip_prefix(before)?.strip_prefix(ERROR_TYPE)?;
    Some(ERROR_TYPES.iter().map(|kind| format!("{before}{kind}{}", fixed(behind))).collect())
}

/// What the keys of one day begin with, if the prefix puts days apart: the text up to the first expression
/// that is finer than a day, or no time.
pub(super) fn of_day(prefix: &str, day: Date) -> Option<String> {
    if !has_expressions(prefix) {
        // Firehose appends `yyyy/MM/dd/HH/`, with no slash before it.
        return Some(format!("{prefix}{}", day.strftime("%Y/%m/%d/")));
    }
    let (mut out, mut rest, mut seen) = (String::new(), prefix, [false; 3]);
    while let Some((before, behind)) = rest.split_once(EXPRESSION) {
        out.push_str(before);
        let (expression, after) = behind.split_once('}')?;
        let Some(pattern) = expression.strip_prefix("timestamp:") else { return whole(out, seen) };
        if !append(&mut out, pattern, day, &mut seen) {
            return whole(out, seen);
        }
        rest = after;
    }
    out.push_str(rest);
    whole(out, seen)
}

/// The text, if year, month and day are in it.
fn whole(out: String, seen: [bool; 3]) -> Option<String> {
    seen.iter().all(|part| *part).then_some(out)
}

/// Appends what a `DateTimeFormatter` pattern gives on a day; `false` where it stops at what it does not
/// know, or what the day does not tell.
fn append(out: &mut String, pattern: &str, day: Date, seen: &mut [bool; 3]) -> bool {
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        if first == '\'' {
            let Some((literal, after)) = rest.get(1..).and_then(|rest| rest.split_once('\''))
            else {
                return false;
            };
            out.push_str(if literal.is_empty() { "'" } else { literal });
            rest = after;
            continue;
        }
        let length = rest.chars().take_while(|c| *c == first).map(char::len_utf8).sum::<usize>();
        let (token, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        let text = match token {
            "yyyy" | "uuuu" => {
                seen[0] = true;
                day.strftime("%Y").to_string()
            }
            "MM" => {
                seen[1] = true;
                day.strftime("%m").to_string()
            }
            "dd" => {
                seen[2] = true;
                day.strftime("%d").to_string()
            }
            _ if first.is_ascii_alphabetic() => return false,
            literal => literal.to_owned(),
        };
        out.push_str(&text);
        rest = after;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_cut_at_its_first_expression() {
        let table = [
            ("", ""),
            ("health/", "health/"),
            ("legacy", "legacy"),
            ("health/!{timestamp:yyyy}/", "health/"),
            ("!{firehose:error-output-type}/", ""),
            ("a/!b/!{partitionKeyFromQuery:account}/!{timestamp:yyyy}/", "a/!b/"),
        ];
        for (prefix, expected) in table {
            assert_eq!(fixed(prefix), expected, "{prefix}");
        }
    }

    #[test]
    fn kinds_of_failure_are_spelled_out_where_they_come_first() {
        let table: [(&str, Option<[&str; 2]>); 4] = [
            (
                "!{firehose:error-output-type}/",
                Some(["processing-failed/", "format-conversion-failed/"]),
            ),
            (
                "e/!{firehose:error-output-type}-x/!{timestamp:yyyy}/",
                Some(["e/processing-failed-x/", "e/format-conversion-failed-x/"]),
            ),
            ("e/!{timestamp:yyyy}/!{firehose:error-output-type}/", None),
            ("e/", None),
        ];
        for (prefix, expected) in table {
            let found = by_error_type(prefix);
            let expected = expected.map(|kinds| kinds.map(str::to_owned).to_vec());
            assert_eq!(found, expected, "{prefix}");
        }
    }

    #[test]
    fn days_are_put_apart_where_the_prefix_does() {
        let day = jiff::civil::date(2026, 11, 4);
        let table = [
            ("", Some("2026/11/04/")),
            ("health/", Some("health/2026/11/04/")),
            ("legacy", Some("legacy2026/11/04/")),
            ("h/!{timestamp:yyyy/MM/dd/HH}/", Some("h/2026/11/04/")),
            ("h/!{timestamp:yyyy}/!{timestamp:MM}/!{timestamp:dd}/", Some("h/2026/11/04/")),
            ("h/dt=!{timestamp:yyyy-MM-dd}/hour=!{timestamp:HH}/", Some("h/dt=2026-11-04/hour=")),
            (
                "h/!{timestamp:'year='yyyy'/month='MM'/day='dd}/x/",
                Some("h/year=2026/month=11/day=04/x/"),
            ),
            ("h/!{timestamp:yyyy}/!{timestamp:MM}/", None),
            ("h/!{timestamp:YYYY/MM/dd}/", None),
            ("h/!{timestamp:yyyy/MM/d}/", None),
            ("h/!{partitionKeyFromQuery:account}/!{timestamp:yyyy/MM/dd}/", None),
            ("h/!{timestamp:yyyy/MM/dd}/!{firehose:random-string}/", Some("h/2026/11/04/")),
            ("h/!{timestamp:yyyy/MM/dd", None),
            ("h/!{timestamp:'yyyy}/", None),
        ];
        for (prefix, expected) in table {
            assert_eq!(of_day(prefix, day).as_deref(), expected, "{prefix}");
        }
    }
}
