//! A report as one page: nothing is loaded, nothing runs.
//!
//! In: a [`Report`]. Out: HTML with its style and its charts inside. Pure. Each text is escaped, also
//! our own; texts of the lake besides lose what turns the direction of writing and stand apart from
//! their neighbours' direction. The policy in its head forbids all but inline style.

use std::fmt::Write as _;

use super::charts::{self, Drawn};
use super::figures::Report;
use super::tables::{Cell, Drawing, Section, Table, sections};
use super::text::harmless;

const STYLE: &str = include_str!("page.css");
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// The colours of series by name; others take those left over.
const SEVERITY_COLOURS: [&str; 7] =
    ["CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "other", "not given"];
const CATEGORY_COLOURS: [&str; 7] =
    ["issue", "scheduledChange", "investigation", "accountNotification", "", "other", "not given"];

/// The whole page.
pub fn page(report: &Report) -> String {
    let mut out = String::with_capacity(256 << 10);
    head(report, &mut out);
    let sections = sections(report);
    out.push_str("<nav aria-label=\"Contents\"><ul>");
    for section in &sections {
        put(&mut out, format_args!("<li><a href=\"#{}\">{}</a></li>", section.id, section.title));
    }
    out.push_str("</ul></nav>\n<main id=\"main\" tabindex=\"-1\">\n");
    for section in &sections {
        show_section(section, &mut out);
    }
    put(
        &mut out,
        format_args!(
            "</main>\n<footer>{} of the lake's {} parts were read, with {} rows of the period and the \
             one before. Commit {}, newest row {}. All times are UTC.</footer>\n</body>\n</html>\n",
            grouped(report.read.parts),
            grouped(report.read.parts_in_lake),
            grouped(report.read.rows),
            report.commit,
            escape(&report.newest),
        ),
    );
    out
}

/// Writing to a String cannot fail.
fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _infallible = out.write_fmt(text);
}

/// What is text stays text, inside elements and inside quoted attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in harmless(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// `1,234,567`.
fn grouped(count: u64) -> String {
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

fn head(report: &Report, out: &mut String) {
    let period = &report.period;
    put(
        out,
        format_args!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <meta name=\"referrer\" content=\"no-referrer\">\n\
             <title>Health trends, {since} until {until}</title>\n<style>{STYLE}</style>\n</head>\n\
             <body>\n<a class=\"skip\" href=\"#main\">Skip to the figures</a>\n\
             <header><h1>Health trends, {since} until {until}</h1>\n<p><bdi>{lake}</bdi>",
            since = escape(&period.since),
            until = escape(&period.until),
            lake = escape(&report.lake),
        ),
    );
    for (name, chosen) in
        [("accounts", &report.filter.accounts), ("services", &report.filter.services)]
    {
        if !chosen.is_empty() {
            put(out, format_args!("; only {name} <bdi>{}</bdi>", escape(&chosen.join(", "))));
        }
    }
    out.push_str("</p></header>\n");
}

fn show_section(section: &Section, out: &mut String) {
    let Section { id, title, note, tables } = section;
    put(
        out,
        format_args!(
            "<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{title}</h2>\n<p>{}</p>\n",
            escape(note)
        ),
    );
    for table in tables {
        if *id == "overview" { cards(table, out) } else { figure(table, out) }
    }
    out.push_str("</section>\n");
}

fn cards(table: &Table, out: &mut String) {
    out.push_str("<dl class=\"cards\">");
    for row in &table.rows {
        let [name, now, before, change] = row.as_slice() else { continue };
        let compared = match before {
            Cell::Missing => String::new(),
            before => format!("{} from {}", cell_text(change), cell_text(before)),
        };
        put(
            out,
            format_args!(
                "<div><dt>{}</dt><dd>{}<small>{compared}</small></dd></div>",
                cell_text(name),
                cell_text(now)
            ),
        );
    }
    out.push_str("</dl>\n");
}

/// The numbers of a table's colours, from 0: the same name has the same colour in every report.
fn colours(table: &Table) -> Vec<usize> {
    let named: &[&str] = match table.id {
        "severity" => &SEVERITY_COLOURS,
        "category" => &CATEGORY_COLOURS,
        _ => &[],
    };
    let series = table.head.iter().skip(1).enumerate();
    let colour = |(index, name): (usize, &String)| {
        named.iter().position(|known| *known == name.as_str()).unwrap_or(index % 7)
    };
    series.map(colour).collect()
}

fn figure(table: &Table, out: &mut String) {
    let (id, caption) = (table.id, escape(&table.caption));
    let class = match table.drawing {
        Drawing::Calendar => "calendar",
        _ if id == "severity" => "severity",
        _ => "plain",
    };
    put(
        out,
        format_args!("<figure id=\"{id}\" class=\"{class}\" aria-labelledby=\"{id}-caption\">"),
    );
    put(out, format_args!("<figcaption id=\"{id}-caption\">{caption}</figcaption>\n"));
    let empty = table.rows.is_empty() || table.head.len() < 2;
    if empty {
        out.push_str("<p class=\"none\">none</p>");
    } else if matches!(table.drawing, Drawing::Table(_)) {
        show_table(table, out);
    } else {
        let colours = colours(table);
        legend(table, &colours, out);
        drawn(&charts::draw(table, &colours), &caption, out);
        out.push_str("<details><summary>Numbers</summary>");
        show_table(table, out);
        out.push_str("</details>");
    }
    out.push_str("</figure>\n");
}

fn legend(table: &Table, colours: &[usize], out: &mut String) {
    if table.drawing == Drawing::Steps || table.drawing == Drawing::Calendar {
        return;
    }
    let kind = if table.id == "severity" { 's' } else { 'c' };
    out.push_str("<ul class=\"legend\">");
    for (name, colour) in table.head.iter().skip(1).zip(colours) {
        put(
            out,
            format_args!(
                "<li><i style=\"background:var(--{kind}{})\"></i><bdi>{}</bdi></li>",
                colour + 1,
                escape(name)
            ),
        );
    }
    out.push_str("</ul>");
}

/// Of both widths only one is shown, and told to readers of screens.
fn drawn(drawn: &Drawn, caption: &str, out: &mut String) {
    for (class, charts) in [("wide", &drawn.wide), ("narrow", &drawn.narrow)] {
        put(out, format_args!("<div class=\"{class}\">"));
        for chart in charts {
            if let Some(rest) = chart.strip_prefix("<svg ") {
                let label = format!("Chart: {caption}; the numbers follow");
                put(out, format_args!("<svg role=\"img\" aria-label=\"{label}\" {rest}"));
            }
        }
        out.push_str("</div>");
    }
}

fn cell_text(cell: &Cell) -> String {
    match cell {
        Cell::Missing => "–".to_owned(),
        Cell::Count(count) => grouped(*count),
        Cell::Word(word) => escape(word),
        Cell::Data(text) => format!("<bdi>{}</bdi>", escape(text)),
    }
}

fn show_table(table: &Table, out: &mut String) {
    let bar = if let Drawing::Table(bar) = table.drawing { bar } else { None };
    let count = |cell: Option<&Cell>| if let Some(Cell::Count(count)) = cell { *count } else { 0 };
    let most = bar.and_then(|column| table.rows.iter().map(|row| count(row.get(column))).max());
    let class = match (table.head.len(), bar) {
        (9, _) => "events",
        (_, Some(_)) => "ranked",
        _ => "plain",
    };
    let numeric = |column: usize| {
        table.rows.iter().any(|row| matches!(row.get(column), Some(Cell::Count(_))))
    };
    let align = |column| if numeric(column) { " class=\"n\"" } else { "" };
    put(
        out,
        format_args!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"{}-caption\">\
             <table class=\"{class}\"><thead><tr>",
            table.id
        ),
    );
    for (column, name) in table.head.iter().enumerate() {
        let align = align(column);
        put(out, format_args!("<th scope=\"col\"{align}><bdi>{}</bdi></th>", escape(name)));
    }
    out.push_str("</tr></thead><tbody>\n");
    for row in &table.rows {
        out.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let text = cell_text(cell);
            match (column, most) {
                (0, None) => put(out, format_args!("<th scope=\"row\">{text}</th>")),
                (0, Some(most)) => {
                    let value = bar.map_or(0, |bar| count(row.get(bar)));
                    let width = value as f64 * 100.0 / most.max(1) as f64;
                    put(
                        out,
                        format_args!(
                            "<th scope=\"row\">{text}<span class=\"fill\" style=\"width:{width:.1}%\" \
                             aria-hidden=\"true\"></span></th>"
                        ),
                    );
                }
                (8, _) => put(out, format_args!("<td class=\"t\">{text}</td>")),
                _ => put(out, format_args!("<td{}>{text}</td>", align(column))),
            }
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        let hostile = "</title><script>alert('x')</script>\" onload=\"&\u{0}\u{202e}";
        let escaped = escape(hostile);
        assert!(!escaped.contains(['<', '>', '"', '\'', '\u{0}', '\u{202e}']), "{escaped}");
        assert!(escaped.starts_with("&lt;/title&gt;&lt;script&gt;alert(&#39;x&#39;)"));
        assert_eq!(escape("a&b"), "a&amp;b");
    }

    #[test]
    fn counts_are_shown_with_their_thousands_apart() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
