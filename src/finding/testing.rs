//! What the tests of this room share: a finding in, its row as lines of text out.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::finding::columns::{COLUMN_COUNT, COLUMNS, Column};
use crate::finding::envelope::{Envelope, Found, Shape};
use crate::finding::json::Json;
use crate::finding::place::{Place, Span};
use crate::finding::row::{Cell, Row};
use crate::finding::rows::{Refusal, RowKey, RowsBuilder};
use crate::finding::tally::Tally;
use crate::finding::time;

pub(super) const ENVELOPE: Envelope<'static> = Envelope {
    id: Some("7bf73129-1428-4cd3-a780-95db273d1602"),
    detail_type: Some("AWS Health Event"),
    source: Some("aws.health"),
    account: Some("999999999999"),
    time: Some("2026-11-24T03:04:05Z"),
    region: Some("us-east-1"),
};

pub(super) fn place() -> Place {
    let object = Arc::from("s3://archive/health/2026/11/24/03/stream-1.gz");
    Place { object, etag: Arc::from("e"), arrived_hour_ms: 1_795_489_200_000 }
}

pub(super) fn span() -> Span {
    Span { range: 100..300, ordinal: 2 }
}

pub(super) type Assembled<'j> = ([Cell<'j>; COLUMN_COUNT], RowKey);

pub(super) fn assemble<'j>(
    shape: Shape,
    body: &'j Json<'j>,
    envelope: Option<Envelope<'j>>,
    tally: &mut Tally,
) -> Result<Assembled<'j>, Refusal> {
    let found = Found { shape, body, envelope };
    let place: &'static Place = Box::leak(Box::new(place()));
    let mut row = Row::new(String::new(), tally);
    let key = RowsBuilder::new().assemble(&mut row, &found, place, &span())?;
    let unmapped = row.leftovers.text().map(|text| Cell::Text(text.to_owned().into()));
    row.set(Column::UnmappedJson, unmapped.unwrap_or_default());
    Ok((row.cells, key))
}

/// The row of a finding, a line for each column that is not null, then what was counted. Hashes and
/// the place are left out.
pub(super) fn show(shape: Shape, text: &str, envelope: Option<Envelope<'_>>) -> String {
    let mut tally = Tally::default();
    let body = Json::leaked(text).unwrap();
    let cells = match assemble(shape, &body, envelope, &mut tally) {
        Ok((cells, _)) => cells,
        Err(refusal) => return format!("{}: {}\n", refusal.reason.name(), refusal.detail),
    };
    let mut shown = String::new();
    for (spec, cell) in COLUMNS.iter().zip(&cells) {
        let is_left_out = ["row_id", "content_hash", "arrived_hour", "schema_version"];
        if is_left_out.contains(&spec.name) || spec.name.starts_with("source_o") {
            continue;
        }
        match cell {
            Cell::Null => {}
            Cell::Id(id) => writeln!(shown, "{}: {id:032x}", spec.name).unwrap(),
            Cell::Text(text) => writeln!(shown, "{}: {text}", spec.name).unwrap(),
            Cell::Time(ms) => writeln!(shown, "{}: {}", spec.name, instant(*ms)).unwrap(),
            Cell::Int(value) => writeln!(shown, "{}: {value}", spec.name).unwrap(),
            Cell::Long(value) => writeln!(shown, "{}: {value}", spec.name).unwrap(),
            Cell::Bool(value) => writeln!(shown, "{}: {value}", spec.name).unwrap(),
            Cell::TextList(texts) => writeln!(shown, "{}: {texts:?}", spec.name).unwrap(),
            Cell::TextMap(map) => writeln!(shown, "{}: {map:?}", spec.name).unwrap(),
            Cell::Resources(resources) => {
                for r in resources {
                    writeln!(shown, "{}: {r:?}", spec.name).unwrap();
                }
            }
            Cell::Entities(entities) => {
                for e in entities {
                    writeln!(shown, "{}: {e:?}", spec.name).unwrap();
                }
            }
        }
    }
    for (title, names) in
        [("unknown", &tally.unknown_fields), ("unreadable", &tally.unreadable_fields)]
    {
        names.0.iter().for_each(|(name, n)| writeln!(shown, "{title} {name}: {n}").unwrap());
    }
    if tally.account_unknown > 0 {
        shown.push_str("account unknown\n");
    }
    shown
}

fn instant(ms: i64) -> String {
    let day = time::day(ms);
    let second = ms.rem_euclid(86_400_000) / 1000;
    format!(
        "{day} {:02}:{:02}:{:02}.{:03}",
        second / 3600,
        second / 60 % 60,
        second % 60,
        ms.rem_euclid(1000)
    )
}
