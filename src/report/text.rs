//! A report as text for a terminal.
//!
//! In: a [`Report`]. Out: lines of at most some 100 columns, with bars of blocks. Pure. Control
//! characters of the lake's texts, and those that turn the direction of writing, are made harmless.

use super::figures::Report;
use super::tables::{Cell, Drawing, Section, Table, sections};

/// Columns to fill.
const WIDTH: usize = 100;
/// The longest bar.
const BAR: usize = 30;
/// Longest text of one cell.
const CELL_CHARS: usize = 44;
/// Rows of counts over time; more buckets are added up.
const TIMES_MAX: usize = 16;
/// Weeks of the calendar.
const WEEKS_MAX: usize = 53;

/// The whole report.
pub fn text(report: &Report) -> String {
    let mut lines = vec![
        format!("Report of {}", harmless(&report.lake)),
        format!(
            "{} until before {} ({} days), commit {}, newest row {}",
            report.period.since,
            report.period.until,
            report.period.days,
            report.commit,
            report.newest
        ),
    ];
    for (name, chosen) in
        [("accounts", &report.filter.accounts), ("services", &report.filter.services)]
    {
        if !chosen.is_empty() {
            lines.push(format!("only {name}: {}", harmless(&chosen.join(", "))));
        }
    }
    lines.push(format!(
        "{} of {} parts read, {} rows",
        report.read.parts, report.read.parts_in_lake, report.read.rows
    ));
    for section in sections(report) {
        show_section(&section, &mut lines);
    }
    lines.join("\n")
}

fn show_section(section: &Section, lines: &mut Vec<String>) {
    lines.push(String::new());
    lines.push(section.title.to_uppercase());
    wrap(&section.note, lines);
    for table in &section.tables {
        lines.push(String::new());
        lines.push(table.caption.clone());
        if table.rows.is_empty() {
            lines.push("  none".to_owned());
        } else if table.drawing == Drawing::Calendar {
            show_calendar(table, lines);
        } else {
            show_table(table, lines);
        }
    }
}

fn wrap(text: &str, lines: &mut Vec<String>) {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.chars().count() + word.chars().count() >= WIDTH {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
}

/// Replaces what would steer a terminal or turn the direction of writing.
pub(crate) fn harmless(text: &str) -> String {
    let turns = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if c.is_control() || turns(c) { '\u{fffd}' } else { c }).collect()
}

fn shown(cell: &Cell) -> String {
    match cell {
        Cell::Missing => "-".to_owned(),
        Cell::Count(count) => count.to_string(),
        Cell::Word(word) => word.clone(),
        Cell::Data(text) => {
            let text = harmless(text);
            if text.chars().count() <= CELL_CHARS {
                return text;
            }
            text.chars().take(CELL_CHARS - 1).chain(['…']).collect()
        }
    }
}

/// What a bar stands for in a row: one column, or the sum of all counts.
fn bar_value(row: &[Cell], drawing: Drawing) -> Option<u64> {
    let count = |cell: &Cell| if let Cell::Count(count) = cell { Some(*count) } else { None };
    match drawing {
        Drawing::Table(column) => row.get(column?).and_then(count),
        Drawing::Stacked | Drawing::Steps => Some(row.iter().filter_map(count).sum()),
        Drawing::Lines | Drawing::Calendar => None,
    }
}

fn show_table(table: &Table, lines: &mut Vec<String>) {
    let over_time = matches!(table.drawing, Drawing::Stacked | Drawing::Lines);
    let rows = if over_time { added_up(&table.rows) } else { table.rows.clone() };
    let values: Vec<Option<u64>> = rows.iter().map(|row| bar_value(row, table.drawing)).collect();
    let most = values.iter().flatten().max().copied().unwrap_or(0);
    let texts: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(shown).collect()).collect();
    let numeric: Vec<bool> = (0..table.head.len())
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.clone().any(|cell| matches!(cell, Cell::Count(_)))
                && cells.into_iter().all(|cell| !matches!(cell, Cell::Data(_)))
        })
        .collect();
    let width = |column: usize| {
        let cells = texts.iter().chain([&table.head]).filter_map(|row| row.get(column));
        cells.map(|text| text.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..table.head.len()).map(width).collect();
    let line = |cells: &[String]| {
        let cells = cells.iter().zip(&widths).zip(&numeric);
        let cells = cells.map(|((text, width), numeric)| match numeric {
            true => format!("{text:>width$}"),
            false => format!("{text:<width$}"),
        });
        cells.fold("  ".to_owned(), |line, cell| line + &cell + "  ")
    };
    lines.push(line(&table.head).trim_end().to_owned());
    for (cells, value) in texts.iter().zip(values) {
        let bar = value.map(|value| bar(value, most)).unwrap_or_default();
        lines.push((line(cells) + &bar).trim_end().to_owned());
    }
}

/// Adds neighbouring buckets up, so that few rows are left.
fn added_up(rows: &[Vec<Cell>]) -> Vec<Vec<Cell>> {
    let size = rows.len().div_ceil(TIMES_MAX).max(1);
    let add = |rows: &[Vec<Cell>]| {
        let mut sum = rows.first().cloned().unwrap_or_default();
        for row in rows.iter().skip(1) {
            for (own, other) in sum.iter_mut().zip(row) {
                if let (Cell::Count(own), Cell::Count(other)) = (own, other) {
                    *own += other;
                }
            }
        }
        sum
    };
    rows.chunks(size).map(add).collect()
}

fn bar(value: u64, most: u64) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = u128::from(value) * (BAR as u128) * 8 / u128::from(most.max(1));
    // What is there is seen, however little it is.
    let eighths = usize::try_from(eighths).unwrap_or(0).max(usize::from(value > 0));
    let rest = EIGHTHS.get(eighths % 8).filter(|rest| **rest != ' ');
    "█".repeat(eighths / 8) + &rest.map(char::to_string).unwrap_or_default()
}

/// A column for each week, a line for each weekday.
fn show_calendar(table: &Table, lines: &mut Vec<String>) {
    let days: Vec<(&str, u64)> = table
        .rows
        .iter()
        .filter_map(|row| match row.as_slice() {
            [Cell::Word(day), Cell::Count(count)] => Some((day.as_str(), *count)),
            _ => None,
        })
        .collect();
    let last = days.last().and_then(|(day, _)| weekday(day)).unwrap_or(0);
    let most = days.iter().map(|(_, count)| *count).max().unwrap_or(0);
    // Cells are counted from the end of the last week backwards.
    let weeks = (days.len() + 6 - last).div_ceil(7).min(WEEKS_MAX);
    let mut grid = vec![vec![' '; weeks]; 7];
    for (back, (_, count)) in days.iter().rev().enumerate() {
        let cell = back + 6 - last;
        let column = weeks.checked_sub(1 + cell / 7);
        let row = grid.get_mut(6 - cell % 7);
        if let Some(place) = row.zip(column).and_then(|(row, column)| row.get_mut(column)) {
            *place = shade(*count, most);
        }
    }
    for (name, row) in ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].iter().zip(grid) {
        lines.push(
            format!("  {name} {}", row.into_iter().collect::<String>()).trim_end().to_owned(),
        );
    }
    lines.push(format!("  · none, ░ ▒ ▓ █ up to {most} a day"));
}

fn shade(count: u64, most: u64) -> char {
    let step = u128::from(count) * 4;
    match step.div_ceil(u128::from(most.max(1))) {
        0 => '·',
        1 => '░',
        2 => '▒',
        3 => '▓',
        _ => '█',
    }
}

/// 0 for Monday.
fn weekday(day: &str) -> Option<usize> {
    let date: jiff::civil::Date = day.parse().ok()?;
    usize::try_from(date.weekday().to_monday_zero_offset()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_grow_with_their_value_and_show_what_is_there() {
        assert_eq!(bar(0, 10), "");
        assert_eq!(bar(10, 10), "█".repeat(BAR));
        assert_eq!(bar(1, u64::MAX), "▏");
        assert_eq!(bar(u64::MAX, u64::MAX), "█".repeat(BAR));
        assert_eq!(bar(0, 0), "");
    }

    #[test]
    fn hostile_text_cannot_steer_the_terminal() {
        assert_eq!(harmless("a\u{1b}[2Jb\nc\u{202e}d"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d");
    }

    #[test]
    fn buckets_are_added_up_without_loss() {
        let rows: Vec<Vec<Cell>> =
            (0..90).map(|n| vec![Cell::Word(format!("{n}")), Cell::Count(1)]).collect();
        let added = added_up(&rows);
        assert!(added.len() <= TIMES_MAX);
        let sum: u64 = added.iter().filter_map(|row| bar_value(row, Drawing::Steps)).sum();
        assert_eq!(sum, 90);
        assert!(added_up(&[]).is_empty());
    }
}
