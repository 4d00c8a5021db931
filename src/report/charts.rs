//! Charts as SVG, from tables: the only file that names the charting crate.
//!
//! In: tables of our own words and counts; no text of the lake gets here. Out: one or more `<svg>`
//! each, of [`Look`]'s colours, which the page's style turns into those of the reader's theme. What
//! the crate cannot draw is no chart; the table beside it has the figures. Pure.

use charts_rs::{
    BarChart, Box as Edges, CalendarChart, Color, Series, SeriesCategory, Symbol, THEME_LIGHT,
};

use super::tables::{Cell, Drawing, Table};

/// Width and height of charts for a wide and for a narrow window.
const WIDE: (f32, f32) = (860.0, 260.0);
const NARROW: (f32, f32) = (360.0, 240.0);
/// Years of the calendar.
const YEARS_MAX: usize = 12;
/// Steps of the calendar's colours, and the days that a narrow calendar shows in one piece.
const SHADES: usize = 4;
const DAYS_IN_A_ROW: usize = 126;
const CELL: f32 = 13.0;
const GAP: f32 = 3.0;
const WEEKDAYS_WIDTH: f32 = 36.0;
const MONTHS_HEIGHT: f32 = 22.0;
/// More bars than this are lines.
const BARS_MAX: usize = 45;
/// The crate leaves so many pixels free around each bar: where bars are many, the whole chart is drawn
/// larger, for the page to make it smaller again.
const BAR_ROOM: f32 = 26.0;
const FONT: f32 = 12.0;

/// Colours that stand for those of the style, which names them by these values.
#[derive(Debug)]
pub(crate) struct Look;

impl Look {
    const TEXT: (u8, u8, u8) = (10, 11, 1);
    const AXIS: (u8, u8, u8) = (10, 11, 2);
    const GRID: (u8, u8, u8) = (10, 11, 3);
    const EMPTY: (u8, u8, u8) = (10, 11, 4);

    fn series(index: usize) -> Color {
        (12, 13, u8::try_from(index + 1).unwrap_or(u8::MAX)).into()
    }

    fn shade(index: usize) -> Color {
        (14, 15, u8::try_from(index + 1).unwrap_or(u8::MAX)).into()
    }
}

/// A chart for windows of any width: those for a wide one, and those for a narrow one.
#[derive(Debug, Default)]
pub(crate) struct Drawn {
    pub(crate) wide: Vec<String>,
    pub(crate) narrow: Vec<String>,
}

/// Draws a table; `colours` are the numbers of its series' colours.
pub(crate) fn draw(table: &Table, colours: &[usize]) -> Drawn {
    if table.rows.is_empty() || table.head.len() < 2 {
        return Drawn::default();
    }
    match table.drawing {
        Drawing::Table(_) => Drawn::default(),
        Drawing::Calendar => calendar(table),
        Drawing::Stacked | Drawing::Lines | Drawing::Steps => {
            let draw = |size| bars(table, colours, size).into_iter().collect();
            Drawn { wide: draw(WIDE), narrow: draw(NARROW) }
        }
    }
}

fn count(cell: Option<&Cell>) -> u64 {
    if let Some(Cell::Count(count)) = cell { *count } else { 0 }
}

fn label(cell: Option<&Cell>) -> String {
    if let Some(Cell::Word(word)) = cell { word.clone() } else { String::new() }
}

fn bars(table: &Table, colours: &[usize], (width, height): (f32, f32)) -> Option<String> {
    let lines = table.drawing == Drawing::Lines && table.rows.len() > BARS_MAX;
    let series = table.head.iter().enumerate().skip(1).map(|(column, name)| {
        let values = table.rows.iter().map(|row| count(row.get(column)));
        // Nothing is drawn for nothing, except where a line goes down to it.
        let values = values.map(|value| (value > 0 || lines).then_some(value as f32));
        let mut series = Series::new(name.clone(), Vec::new());
        series.data = values.collect();
        series.stack = (table.drawing == Drawing::Stacked).then(|| "all".to_owned());
        series.category = lines.then_some(SeriesCategory::Line);
        series.symbol = lines.then_some(Symbol::None);
        series
    });
    let labels = table.rows.iter().map(|row| short(&label(row.first()))).collect();
    let mut chart = BarChart::new_with_theme(series.collect(), labels, THEME_LIGHT);
    let bars = if lines { 0 } else { table.rows.len() * series_in_a_row(table) };
    let scale = (bars as f32 * BAR_ROOM / width).max(1.0);
    chart.width = width * scale;
    chart.height = height * scale;
    let (left, top, right, bottom) = (8.0 * scale, 12.0 * scale, 20.0 * scale, 2.0 * scale);
    chart.margin = Edges { left, top, right, bottom };
    chart.background_color = Color::transparent();
    chart.compact = true;
    chart.legend.show = Some(false);
    chart.tooltip.show = !lines;
    chart.tooltip.font.color = Look::TEXT.into();
    chart.tooltip.font.size = FONT * scale;
    chart.series.label.font.color = Look::TEXT.into();
    chart.series.stroke_width = 2.0;
    chart.series.colors = colours.iter().map(|colour| Look::series(*colour)).collect();
    chart.x_axis.font.size = FONT * scale;
    chart.x_axis.font.color = Look::TEXT.into();
    chart.x_axis.stroke_color = Look::AXIS.into();
    chart.x_axis.stroke_width = Some(scale);
    chart.x_axis.height *= scale;
    chart.x_axis.name_gap *= scale;
    chart.grid.stroke_color = Look::GRID.into();
    chart.grid.stroke_width = scale;
    // No steps of less than one.
    let most = most(table);
    for axis in &mut chart.y_axis_configs {
        axis.font.size = FONT * scale;
        axis.name_gap *= scale;
        axis.font.color = Look::TEXT.into();
        axis.min = Some(0.0);
        axis.formatter = Some("{t}".to_owned());
        if most < 5 {
            axis.split_number = usize::try_from(most.max(1)).unwrap_or(1);
            axis.max = Some(most.max(1) as f32);
        }
    }
    chart.svg().ok()
}

/// Bars that stand side by side.
fn series_in_a_row(table: &Table) -> usize {
    if table.drawing == Drawing::Lines { table.head.len().saturating_sub(1) } else { 1 }
}

/// The highest bar.
fn most(table: &Table) -> u64 {
    let heights = table.rows.iter().map(|row| {
        let counts = row.iter().skip(1).map(|cell| count(Some(cell)));
        if table.drawing == Drawing::Stacked { counts.sum() } else { counts.max().unwrap_or(0) }
    });
    heights.max().unwrap_or(0)
}

/// A day without its year; the table has it whole.
fn short(label: &str) -> String {
    let mut parts = label.split('-');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(year), Some(month), Some(day)) if year.len() == 4 && day.len() == 2 => {
            format!("{month}-{day}")
        }
        _ => label.to_owned(),
    }
}

fn calendar(table: &Table) -> Drawn {
    let days: Vec<(String, u64)> =
        table.rows.iter().map(|row| (label(row.first()), count(row.get(1)))).collect();
    let limits = limits(days.iter().map(|(_, count)| *count).filter(|count| *count > 0));
    let draw = |days: &[(String, u64)]| one_calendar(days, &limits);
    let year = |day: &(String, u64)| day.0.get(..4).map(str::to_owned);
    let years: Vec<&[(String, u64)]> = days.chunk_by(|one, two| year(one) == year(two)).collect();
    let kept = years.get(years.len().saturating_sub(YEARS_MAX)..).unwrap_or_default();
    // A period that fits into one row is not cut at the turn of the year.
    let rows = if days.len() <= 366 { vec![days.as_slice()] } else { kept.to_vec() };
    let narrow = rows.iter().flat_map(|row| row.chunks(DAYS_IN_A_ROW));
    Drawn {
        wide: rows.iter().filter_map(|row| draw(row)).collect(),
        narrow: narrow.filter_map(draw).collect(),
    }
}

/// Where a darker shade begins: a quarter of the days that have any each.
fn limits(counts: impl Iterator<Item = u64>) -> Vec<f32> {
    let mut counts: Vec<u64> = counts.collect();
    counts.sort_unstable();
    let at = |step: usize| counts.get(counts.len() * step / SHADES).copied();
    let mut limits: Vec<u64> = (1..SHADES).filter_map(at).collect();
    limits.dedup();
    limits.into_iter().map(|limit| limit as f32).collect()
}

fn one_calendar(days: &[(String, u64)], limits: &[f32]) -> Option<String> {
    let (first, last) = (days.first()?, days.last()?);
    let date: jiff::civil::Date = first.0.parse().ok()?;
    let filled = days.iter().filter(|(_, count)| *count > 0);
    let filled = filled.map(|(day, count)| (day.clone(), *count as f32)).collect();
    let mut chart = CalendarChart::new_with_theme(filled, 1970, THEME_LIGHT);
    chart.start_date.clone_from(&first.0);
    chart.end_date.clone_from(&last.0);
    chart.background_color = Color::transparent();
    chart.compact = true;
    chart.margin = Edges { left: 2.0, top: 2.0, right: 2.0, bottom: 2.0 };
    chart.colors = (0..=limits.len()).map(Look::shade).collect();
    chart.thresholds = limits.to_vec();
    chart.empty_color = Look::EMPTY.into();
    chart.cell_size = CELL;
    chart.cell_gap = GAP;
    chart.week_label_width = WEEKDAYS_WIDTH;
    chart.month_label_height = MONTHS_HEIGHT;
    chart.x_axis.font.size = FONT;
    chart.x_axis.font.color = Look::TEXT.into();
    let weekday = usize::try_from(date.weekday().to_sunday_zero_offset()).unwrap_or(0);
    let weeks = (weekday + days.len()).div_ceil(7).max(2);
    chart.width = 4.0 + WEEKDAYS_WIDTH + weeks as f32 * (CELL + GAP);
    chart.height = 4.0 + MONTHS_HEIGHT + 7.0 * (CELL + GAP);
    chart.svg().ok()
}
