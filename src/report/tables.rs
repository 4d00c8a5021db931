//! A report as sections of tables: what page and text both show.
//!
//! In: a [`Report`]. Out: [`Section`]s in the order of reading. Pure. Texts of the lake stay as they
//! are, marked as [`Cell::Data`]: whoever shows them makes them harmless.

use super::figures::{Change, Event, Ranked, Report, Series, Span, Top};

/// A part of the report under one heading.
#[derive(Debug)]
pub(crate) struct Section {
    /// Letters and dashes; its anchor.
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    /// What the figures count, in a sentence or two.
    pub(crate) note: String,
    pub(crate) tables: Vec<Table>,
}

/// What a table is drawn as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drawing {
    /// Only as a table; the column gives the length of a bar, if any.
    Table(Option<usize>),
    /// Counts over time, one on top of the other.
    Stacked,
    /// Counts over time, side by side.
    Lines,
    /// Steps of a distribution.
    Steps,
    /// Days in weeks.
    Calendar,
}

#[derive(Debug)]
pub(crate) struct Table {
    /// Letters and dashes; unlike that of all others.
    pub(crate) id: &'static str,
    pub(crate) caption: String,
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<Vec<Cell>>,
    pub(crate) drawing: Drawing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    /// Text of the lake, which may be anybody's.
    Data(String),
    /// Our own words.
    Word(String),
    Count(u64),
    Missing,
}

impl Cell {
    /// A moment without its seconds.
    fn moment(moment: Option<&String>) -> Self {
        let short = |moment: &String| {
            moment.get(..16).map_or_else(|| moment.clone(), |minute| minute.replace('T', " "))
        };
        moment.map_or(Self::Missing, |moment| Self::Word(short(moment)))
    }

    fn data(text: &str) -> Self {
        if text.is_empty() { Self::Missing } else { Self::Data(text.to_owned()) }
    }
}

/// All sections.
pub(crate) fn sections(report: &Report) -> Vec<Section> {
    vec![
        overview(report),
        over_time(report),
        closing(report),
        tops(report),
        calendar(report),
        upcoming(report),
        exposure(report),
        quality(report),
    ]
}

fn head(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn word(text: &str) -> Cell {
    Cell::Word(text.to_owned())
}

/// `+12 (+40%)`; a dash when there is nothing to compare with.
pub(crate) fn change(now: u64, before: Option<u64>) -> Cell {
    let Some(before) = before else { return Cell::Missing };
    let difference = i128::from(now) - i128::from(before);
    let text = match (difference, before) {
        (0, _) => "0".to_owned(),
        (_, 0) => format!("{difference:+} (new)"),
        _ => {
            // Half a percent is rounded away from zero.
            let (twice, before) = (difference * 200, i128::from(before));
            let percent = (twice + before * difference.signum()) / (2 * before);
            format!("{difference:+} ({percent:+}%)")
        }
    };
    Cell::Word(text)
}

fn before(count: Option<u64>) -> Cell {
    count.map_or(Cell::Missing, Cell::Count)
}

/// Seconds as people say them: `3 d 4 h`.
pub(crate) fn duration(seconds: Option<u64>) -> Cell {
    let Some(seconds) = seconds else { return Cell::Missing };
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    Cell::Word(match () {
        () if days > 0 => format!("{days} d {hours} h"),
        () if hours > 0 => format!("{hours} h {minutes} min"),
        () if minutes > 0 => format!("{minutes} min"),
        () => format!("{seconds} s"),
    })
}

fn overview(report: &Report) -> Section {
    let totals = &report.totals;
    let row = |name: &str, Change { now, before: earlier }: Change| {
        vec![word(name), Cell::Count(now), before(earlier), change(now, earlier)]
    };
    let only =
        |name: &str, count| vec![word(name), Cell::Count(count), Cell::Missing, Cell::Missing];
    let rows = vec![
        row("findings", totals.findings),
        row("opened", totals.opened),
        row("closed", totals.closed),
        only("open at the end", totals.open),
        only("state not known", totals.state_unknown),
        only("upcoming changes", report.upcoming.total),
        only("abuse, risk, credentials", report.exposure.total),
        only("rejects", report.quality.rejects),
    ];
    let compared = match &report.previous {
        Some(previous) if previous.covered => format!("the one before begins {}", previous.since),
        Some(previous) => format!(
            "the one before begins {}, which is before the lake does, so changes are against less \
             than a whole period",
            previous.since
        ),
        None => "there is nothing to compare it with".to_owned(),
    };
    let note = format!(
        "A finding or Health event counts once per account, by its latest version. The period has {} \
         days, from {} until before {}; {compared}.",
        report.period.days, report.period.since, report.period.until
    );
    let table = Table {
        id: "sums",
        caption: "Sums of the period".to_owned(),
        head: head(&["", "period", "before", "change"]),
        rows,
        drawing: Drawing::Table(None),
    };
    Section { id: "overview", title: "Overview", note, tables: vec![table] }
}

/// A table of counts over time; names that never occur are left out.
fn series(id: &'static str, caption: &str, series: &Series, drawing: Drawing) -> Table {
    let used = |index: usize| series.totals.get(index).is_some_and(|total| *total > 0);
    let names = series.names.iter().enumerate().filter(|(index, _)| used(*index));
    let head = std::iter::once("from".to_owned()).chain(names.map(|(_, name)| name.clone()));
    let rows = series.buckets.iter().map(|bucket| {
        let counts = bucket.counts.iter().enumerate().filter(|(index, _)| used(*index));
        let counts = counts.map(|(_, count)| Cell::Count(*count));
        std::iter::once(word(&bucket.from)).chain(counts).collect()
    });
    Table { id, caption: caption.to_owned(), head: head.collect(), rows: rows.collect(), drawing }
}

fn over_time(report: &Report) -> Section {
    let bucket = report.period.bucket;
    let flow = report
        .flow
        .iter()
        .map(|flow| vec![word(&flow.from), Cell::Count(flow.opened), Cell::Count(flow.closed)]);
    let tables = vec![
        series(
            "severity",
            &format!("Findings by severity, by {bucket}"),
            &report.severities,
            Drawing::Stacked,
        ),
        series(
            "category",
            &format!("Findings by category, by {bucket}"),
            &report.categories,
            Drawing::Stacked,
        ),
        Table {
            id: "flow",
            caption: format!("Opened and closed, by {bucket}"),
            head: head(&["from", "opened", "closed"]),
            rows: flow.collect(),
            drawing: Drawing::Lines,
        },
    ];
    let note = "Each finding stands where the period first reports it. Severity comes from Security Hub, \
                category from AWS Health; what only one of them knows lacks the other. Opened is when it \
                began, closed when a report first said so."
        .to_owned();
    Section { id: "over-time", title: "Over time", note, tables }
}

fn spans(id: &'static str, caption: String, first: &str, spans: &[Span]) -> Table {
    let rows = spans.iter().map(|span| vec![word(span.name), Cell::Count(span.count)]);
    let head = head(&[first, "count"]);
    Table { id, caption, head, rows: rows.collect(), drawing: Drawing::Steps }
}

fn closing(report: &Report) -> Section {
    let times = &report.time_to_close;
    let row = |name: &str, cell| vec![word(name), cell];
    let numbers = Table {
        id: "closing-numbers",
        caption: "Time to close in numbers".to_owned(),
        head: head(&["", "time"]),
        rows: vec![
            row("closed in the period", Cell::Count(times.closed)),
            row("half took at most", duration(times.median_seconds)),
            row("nine of ten took at most", duration(times.p90_seconds)),
            row("longest", duration(times.longest_seconds)),
        ],
        drawing: Drawing::Table(None),
    };
    let caption = "Time to close of what was closed in the period".to_owned();
    let note = "From when a finding began until a report first said that it is closed.".to_owned();
    let tables = vec![spans("closing", caption, "time to close", &times.spans), numbers];
    Section { id: "time-to-close", title: "Time to close", note, tables }
}

fn top(id: &'static str, name: &str, caption: &str, top: &Top) -> Table {
    let row = |ranked: &Ranked| {
        vec![
            Cell::data(&ranked.name),
            Cell::Count(ranked.now),
            before(ranked.before),
            change(ranked.now, ranked.before),
            Cell::Count(ranked.open),
        ]
    };
    let rows = top.first.iter().map(row).collect();
    let more = top.names.saturating_sub(top.first.len() as u64);
    let caption = match more {
        0 => caption.to_owned(),
        _ => format!("{caption}; {more} more have {} findings", top.others),
    };
    Table {
        id,
        caption,
        head: head(&[name, "findings", "before", "change", "open"]),
        rows,
        drawing: Drawing::Table(Some(1)),
    }
}

fn tops(report: &Report) -> Section {
    Section {
        id: "top",
        title: "Most findings",
        note: "By findings in the period, with the change against the one before.".to_owned(),
        tables: vec![
            top("services", "service", "Services", &report.services),
            top("accounts", "account", "Accounts", &report.accounts),
            top("event-types", "event type", "Event types", &report.event_types),
        ],
    }
}

fn calendar(report: &Report) -> Section {
    let rows = report.calendar.iter().map(|day| vec![word(&day.day), Cell::Count(day.count)]);
    let table = Table {
        id: "calendar-days",
        caption: "Findings reported each day".to_owned(),
        head: head(&["day", "findings"]),
        rows: rows.collect(),
        drawing: Drawing::Calendar,
    };
    let note = "Findings with at least one report on the day, new or updated.".to_owned();
    Section { id: "calendar", title: "Calendar", note, tables: vec![table] }
}

const EVENT_HEAD: [&str; 9] =
    ["start", "end", "state", "account", "region", "service", "event type", "severity", "title"];

fn events(id: &'static str, caption: String, events: &[Event]) -> Table {
    let row = |event: &Event| {
        vec![
            Cell::moment(event.start.as_ref()),
            Cell::moment(event.end.as_ref()),
            word(event.state),
            Cell::data(&event.account),
            Cell::data(&event.region),
            Cell::data(&event.service),
            Cell::data(&event.event_type),
            Cell::data(&event.severity),
            Cell::data(&event.title),
        ]
    };
    let rows = events.iter().map(row).collect();
    Table { id, caption, head: head(&EVENT_HEAD), rows, drawing: Drawing::Table(None) }
}

fn upcoming(report: &Report) -> Section {
    let upcoming = &report.upcoming;
    let caption = format!("The next {} of {}", upcoming.first.len(), upcoming.total);
    let note = format!("Scheduled changes that start after {} and are not closed.", report.as_of);
    let tables = vec![events("upcoming-list", caption, &upcoming.first)];
    Section { id: "upcoming", title: "Upcoming changes", note, tables }
}

fn exposure(report: &Report) -> Section {
    let exposure = &report.exposure;
    let rows = exposure.accounts.iter().map(|exposed| {
        vec![
            Cell::data(&exposed.account),
            Cell::Count(exposed.credentials),
            Cell::Count(exposed.abuse),
            Cell::Count(exposed.risk),
            Cell::Count(exposed.open),
        ]
    });
    let accounts = Table {
        id: "exposed-accounts",
        caption: "By account".to_owned(),
        head: head(&["account", "credentials", "abuse", "other risk", "open"]),
        rows: rows.collect(),
        drawing: Drawing::Table(None),
    };
    let caption = format!("The latest {} of {}", exposure.latest.len(), exposure.total);
    let note =
        "Findings of the services ABUSE and RISK, and all about credentials that were exposed, \
                leaked or quarantined."
            .to_owned();
    let tables = vec![accounts, events("exposed-list", caption, &exposure.latest)];
    Section { id: "exposure", title: "Exposure", note, tables }
}

fn quality(report: &Report) -> Section {
    let quality = &report.quality;
    let hours =
        |hours: Option<u64>| hours.map_or(Cell::Missing, |hours| Cell::Word(format!("{hours} h")));
    let row = |name: &str, cell| vec![word(name), cell];
    let late = quality.late.iter().map(|day| day.count).sum();
    let mut numbers = vec![
        row("rows in the period", Cell::Count(report.totals.rows)),
        row("rejects", Cell::Count(quality.rejects)),
        row("rejects mended since", Cell::Count(quality.redriven)),
        row("half arrived within", hours(quality.lag.median_hours)),
        row("nine of ten within", hours(quality.lag.p90_hours)),
        row("99 of 100 within", hours(quality.lag.p99_hours)),
        row("longest", hours(quality.lag.longest_hours)),
        row("a day late or more", Cell::Count(late)),
        row("days without arrivals", Cell::Count(quality.gaps.iter().map(|gap| gap.days).sum())),
        row("account not known", Cell::Count(quality.account_unknown)),
        row("damaged parts in the lake", Cell::Count(report.read.parts_damaged)),
    ];
    for clock in &quality.clocks {
        numbers.push(vec![
            Cell::Data(format!("rows by the clock {}", clock.name)),
            Cell::Count(clock.rows),
        ]);
    }
    let table = |id, caption: &str, head, rows, drawing| {
        let caption = caption.to_owned();
        Table { id, caption, head, rows, drawing }
    };
    let late = quality.late.iter().map(|day| vec![word(&day.day), Cell::Count(day.count)]);
    let gaps = quality.gaps.iter();
    let gaps = gaps.map(|gap| vec![word(&gap.from), word(&gap.to), Cell::Count(gap.days)]);
    let (late_head, gaps_head) = (head(&["arrived", "rows"]), head(&["from", "to", "days"]));
    let caption = "From event to arrival in the archive, by row".to_owned();
    let rejects = format!("Rejects by reason, by {}", report.period.bucket);
    let plain = Drawing::Table(None);
    let tables = vec![
        table("quality-numbers", "In numbers", head(&["", "count"]), numbers, plain),
        spans("lag", caption, "on the way", &quality.lag.spans),
        series("rejects", &rejects, &quality.rejects_by_reason, Drawing::Stacked),
        table("late", "Late arrivals", late_head, late.collect(), Drawing::Table(Some(1))),
        table("gaps", "Days without arrivals", gaps_head, gaps.collect(), plain),
    ];
    let note = "Of all rows of the period, whatever accounts and services were chosen. Arrival is known by \
                the hour."
        .to_owned();
    Section { id: "quality", title: "Data quality", note, tables }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_with_their_sign() {
        let table = [
            (12, Some(10), "+2 (+20%)"),
            (5, Some(10), "-5 (-50%)"),
            (10, Some(10), "0"),
            (3, Some(0), "+3 (new)"),
            (0, Some(3), "-3 (-100%)"),
            (201, Some(200), "+1 (+1%)"),
            (199, Some(200), "-1 (-1%)"),
            (1, Some(u64::MAX), "-18446744073709551614 (-100%)"),
        ];
        for (now, before, expected) in table {
            assert_eq!(change(now, before), Cell::Word(expected.to_owned()));
        }
        assert_eq!(change(1, None), Cell::Missing);
    }

    #[test]
    fn durations_are_told_in_two_units() {
        let table = [(5, "5 s"), (300, "5 min"), (3_720, "1 h 2 min"), (90_000, "1 d 1 h")];
        for (seconds, expected) in table {
            assert_eq!(duration(Some(seconds)), Cell::Word(expected.to_owned()));
        }
    }
}
