//! From findings to figures.
//!
//! In: all [`Items`] of a period and the one before. Out: the parts of a report that count them. Pure.
//! Memory: counts by name, and the time to close of each closed finding.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::days::{Buckets, DAY_MS, HOUR_MS, day_name, moment_name};
use super::figures::{
    Bucket, Change, Day, Event, Exposed, Exposure, Flow, Ranked, Series, Span, TimeToClose, Top,
    Totals, Upcoming,
};
use super::items::{Item, Items};
use super::names::{NONE, Name, Names};
use super::rows::{ExposureKind, NO_TIME, State};

/// Names in a list of the highest counts.
const TOP_MAX: usize = 15;
/// Findings in a list.
const LISTED_MAX: usize = 50;
/// Accounts in the list of the exposed.
const EXPOSED_MAX: usize = 50;

/// The severities, and what stands for none and for all others.
const SEVERITIES: [&str; 7] =
    ["CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "other", "not given"];
/// The categories, likewise.
const CATEGORIES: [&str; 7] = [
    "issue",
    "investigation",
    "scheduledChange",
    "accountNotification",
    FINDING,
    "other",
    "not given",
];
/// The category of what is no Health event.
const FINDING: &str = "finding";
/// The steps of time to close: what is shorter belongs to it.
const CLOSINGS: [(&str, i64); 8] = [
    ("under 1 h", HOUR_MS),
    ("1 h to 4 h", 4 * HOUR_MS),
    ("4 h to 1 d", DAY_MS),
    ("1 d to 3 d", 3 * DAY_MS),
    ("3 d to 7 d", 7 * DAY_MS),
    ("7 d to 30 d", 30 * DAY_MS),
    ("30 d to 90 d", 90 * DAY_MS),
    ("90 d and more", i64::MAX),
];

/// The moments that figures are counted between.
#[derive(Debug, Clone)]
pub(crate) struct Spans {
    pub(crate) now: Range<i64>,
    pub(crate) before: Option<Range<i64>>,
    pub(crate) as_of: i64,
    /// Where what was read begins, if the lake has rows before it.
    pub(crate) unread_before: Option<i64>,
}

/// The index (from 0) of the value that `share` of a hundred do not exceed; `None` without values.
pub(crate) fn nearest_rank(count: u64, share: u64) -> Option<u64> {
    (count * share).div_ceil(100).max(1).checked_sub(1).filter(|rank| *rank < count)
}

/// The sums.
pub(crate) fn totals(items: &Items, spans: &Spans, rows: u64) -> Totals {
    let mut totals = Totals { rows, ..Totals::default() };
    let begin = |change: &mut Change| change.before = spans.before.is_some().then_some(0);
    begin(&mut totals.findings);
    begin(&mut totals.opened);
    begin(&mut totals.closed);
    let mut add = |change: fn(&mut Totals) -> &mut Change, now: bool, before: bool| {
        let change = change(&mut totals);
        change.now += u64::from(now);
        change.before = change.before.map(|count| count + u64::from(before));
    };
    let times = |time: i64| {
        let before = spans.before.as_ref().is_some_and(|before| before.contains(&time));
        (spans.now.contains(&time), before)
    };
    for item in items.iter() {
        add(|totals| &mut totals.findings, item.first_day().is_some(), item.in_previous);
    }
    for (now, before) in items.openings(spans).map(times) {
        add(|totals| &mut totals.opened, now, before);
    }
    for (now, before) in items.closings().map(times) {
        add(|totals| &mut totals.closed, now, before);
    }
    let open = |item: &&Item| item.first_day().is_some() && item.state == State::Open;
    totals.open = items.iter().filter(open).count() as u64;
    totals
}

/// Findings by severity over time.
pub(crate) fn severities(items: &Items, names: &Names, buckets: &Buckets) -> Series {
    series(items, buckets, &SEVERITIES, |item| names.text(item.severity))
}

/// Findings by category over time.
pub(crate) fn categories(items: &Items, names: &Names, buckets: &Buckets) -> Series {
    series(items, buckets, &CATEGORIES, |item| {
        if item.is_event { names.text(item.category) } else { FINDING }
    })
}

/// The last two of `kinds` stand for what is none of them, and for what is not given.
fn series<'a>(
    items: &Items,
    buckets: &Buckets,
    kinds: &[&str],
    property: impl Fn(&Item) -> &'a str,
) -> Series {
    let (not_given, other) = (kinds.len().saturating_sub(1), kinds.len().saturating_sub(2));
    let mut totals = vec![0; kinds.len()];
    let mut counts = vec![vec![0; kinds.len()]; buckets.len()];
    for item in items.iter() {
        let text = property(item);
        let known = kinds.iter().take(other).position(|kind| kind.eq_ignore_ascii_case(text));
        let kind = if text.is_empty() { not_given } else { known.unwrap_or(other) };
        let bucket = item.first_day().and_then(|day| buckets.index(day));
        let bucket = bucket.and_then(|bucket| counts.get_mut(bucket));
        if let (Some(cell), Some(total)) =
            (bucket.and_then(|bucket| bucket.get_mut(kind)), totals.get_mut(kind))
        {
            *cell += 1;
            *total += 1;
        }
    }
    let buckets = buckets.names().zip(counts).map(|(from, counts)| Bucket { from, counts });
    let names = kinds.iter().map(|kind| (*kind).to_owned()).collect();
    Series { names, totals, buckets: buckets.collect() }
}

/// What was opened and closed over time.
pub(crate) fn flow(items: &Items, spans: &Spans, buckets: &Buckets) -> Vec<Flow> {
    let mut counts = vec![(0, 0); buckets.len()];
    let mut add = |time: i64, of: fn(&mut (u64, u64)) -> &mut u64| {
        let day = time.div_euclid(DAY_MS);
        let bucket = spans.now.contains(&time).then(|| buckets.index(day)).flatten();
        if let Some(bucket) = bucket.and_then(|bucket| counts.get_mut(bucket)) {
            *of(bucket) += 1;
        }
    };
    for opened in items.openings(spans) {
        add(opened, |bucket| &mut bucket.0);
    }
    for closed in items.closings() {
        add(closed, |bucket| &mut bucket.1);
    }
    let flow = buckets.names().zip(counts);
    flow.map(|(from, (opened, closed))| Flow { from, opened, closed }).collect()
}

/// How long those that were closed in the period had been open.
pub(crate) fn time_to_close(items: &Items, spans: &Spans) -> TimeToClose {
    let closed = |item: &&Item| item.closed.is_some_and(|closed| spans.now.contains(&closed));
    let times = items.iter().filter(closed);
    let mut times: Vec<i64> = times.filter_map(|item| item.time_to_close(spans)).collect();
    times.sort_unstable();
    let seconds = |time: &i64| u64::try_from(time / 1_000).unwrap_or(0);
    let rank = |share| {
        let rank = nearest_rank(times.len() as u64, share)?;
        times.get(usize::try_from(rank).ok()?).map(seconds)
    };
    let mut below = 0;
    let span = |(name, end): &(&'static str, i64)| {
        let up_to = times.partition_point(|time| time < end);
        let count = (up_to - below) as u64;
        below = up_to;
        Span { name, count }
    };
    TimeToClose {
        spans: CLOSINGS.iter().map(span).collect(),
        closed: times.len() as u64,
        median_seconds: rank(50),
        p90_seconds: rank(90),
        longest_seconds: times.last().map(seconds),
    }
}

/// The names with the most findings.
pub(crate) fn top(items: &Items, names: &Names, spans: &Spans, of: fn(&Item) -> Name) -> Top {
    let mut counts: HashMap<Name, [u64; 3]> = HashMap::new();
    for item in items.iter() {
        let now = item.first_day().is_some();
        let [in_period, before, open] = counts.entry(of(item)).or_default();
        *in_period += u64::from(now);
        *before += u64::from(item.in_previous);
        *open += u64::from(now && item.state == State::Open);
    }
    let ranked = |(name, [now, before, open]): (Name, [u64; 3])| Ranked {
        name: shown(names, name).to_owned(),
        now,
        before: spans.before.is_some().then_some(before),
        open,
    };
    let mut first: Vec<Ranked> =
        counts.into_iter().filter(|(_, [now, ..])| *now > 0).map(ranked).collect();
    first.sort_unstable_by(|one, two| {
        (Reverse(one.now), &one.name).cmp(&(Reverse(two.now), &two.name))
    });
    let all = first.len() as u64;
    let others = first.iter().skip(TOP_MAX).map(|ranked| ranked.now).sum();
    first.truncate(TOP_MAX);
    Top { names: all, first, others }
}

fn shown(names: &Names, name: Name) -> &str {
    if name == NONE { "(none)" } else { names.text(name) }
}

/// How many findings were reported on each day.
pub(crate) fn calendar(items: &Items, days: Range<i64>) -> Vec<Day> {
    let count = |day| items.by_day.get(&day).copied().unwrap_or(0);
    days.map(|day| Day { day: day_name(day), count: count(day) }).collect()
}

fn event(item: &Item, names: &Names) -> Event {
    let moment = |time: i64| (time != NO_TIME).then(|| moment_name(time));
    Event {
        start: moment(item.start),
        end: moment(item.end),
        last_reported: moment_name(item.last_reported),
        account: names.text(item.account).to_owned(),
        region: names.text(item.region).to_owned(),
        service: names.text(item.service).to_owned(),
        event_type: names.text(item.event_type).to_owned(),
        severity: names.text(item.severity).to_owned(),
        state: item.state.name(),
        title: names.text(item.title).to_owned(),
    }
}

/// The changes that lie ahead.
pub(crate) fn upcoming(items: &Items, names: &Names, spans: &Spans) -> Upcoming {
    let ahead = |item: &&Item| {
        item.first_day().is_some()
            && item.start > spans.as_of
            && item.state != State::Closed
            && names.text(item.category).eq_ignore_ascii_case("scheduledChange")
    };
    let mut ahead: Vec<&Item> = items.iter().filter(ahead).collect();
    let total = ahead.len() as u64;
    let first = list(&mut ahead, names, |item| item.start);
    Upcoming { total, first }
}

/// The first findings by `time`; those of one time by what they say, so that the list is the same
/// whatever order they come in.
fn list(items: &mut [&Item], names: &Names, time: fn(&Item) -> i64) -> Vec<Event> {
    let order = |one: &&Item, two: &&Item| {
        time(one).cmp(&time(two)).then_with(|| event(one, names).cmp(&event(two, names)))
    };
    if items.len() > LISTED_MAX {
        items.select_nth_unstable_by(LISTED_MAX, order);
    }
    let first = items.get_mut(..LISTED_MAX.min(items.len())).unwrap_or_default();
    first.sort_unstable_by(order);
    first.iter().map(|item| event(item, names)).collect()
}

/// Abuse, risk and leaked credentials.
pub(crate) fn exposure(items: &Items, names: &Names) -> Exposure {
    let kind = |item: &Item| {
        item.first_day()?;
        ExposureKind::of(item.is_event, names.text(item.service), names.text(item.event_type))
    };
    let mut accounts: BTreeMap<&str, Exposed> = BTreeMap::new();
    let mut exposing: Vec<&Item> = Vec::new();
    for (item, kind) in items.iter().filter_map(|item| Some((item, kind(item)?))) {
        exposing.push(item);
        let exposed = accounts.entry(shown(names, item.account)).or_default();
        *match kind {
            ExposureKind::Credentials => &mut exposed.credentials,
            ExposureKind::Abuse => &mut exposed.abuse,
            ExposureKind::Risk => &mut exposed.risk,
        } += 1;
        exposed.open += u64::from(item.state == State::Open);
    }
    let total = exposing.len() as u64;
    let mut accounts: Vec<Exposed> = accounts
        .into_iter()
        .map(|(account, exposed)| Exposed { account: account.to_owned(), ..exposed })
        .collect();
    let all = |exposed: &Exposed| exposed.credentials + exposed.abuse + exposed.risk;
    accounts.sort_by_key(|exposed| Reverse((exposed.credentials, all(exposed))));
    accounts.truncate(EXPOSED_MAX);
    let latest = list(&mut exposing, names, |item| item.last_reported.saturating_neg());
    Exposure { total, accounts, latest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_the_nearest() {
        let table = [
            (0, 50, None),
            (1, 50, Some(0)),
            (2, 50, Some(0)),
            (3, 50, Some(1)),
            (10, 90, Some(8)),
            (100, 99, Some(98)),
            (5, 0, Some(0)),
            (5, 100, Some(4)),
        ];
        for (count, share, expected) in table {
            assert_eq!(nearest_rank(count, share), expected, "{share} of {count}");
        }
    }
}
