//! The views: questions about the two tables, in SQL for Athena and for DuckDB.
//!
//! In: the files of `views/`, and which engine and database they are for. Out: one statement a view, in
//! an order in which each finds what it is built on. Nothing can go wrong but a marker that this file
//! does not know, which a test finds.
//!
//! The files are SQL that both engines take as it is, with markers in double braces where they must
//! differ:
//!
//! | marker | Athena (Trino) | DuckDB |
//! | --- | --- | --- |
//! | `{{unnest A}}`: rows of an array of structs, a column for each field | `UNNEST(A)` | `LATERAL (SELECT unnest(A, max_depth := 2))` |
//! | `{{unnest_map M}}`: rows of a map, two columns | `UNNEST(M)` | the same over `map_entries(M)` |
//! | `{{days A, B}}`: a row for each day from A to B | `UNNEST(sequence(A, B, INTERVAL '1' DAY))` | `generate_series` likewise |
//! | `{{name}}`: a table or view | `"database"."name"` | `"name"` |

use super::ddl::quote_name;

/// Whose SQL it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Athena's engine 3, a Trino.
    Athena,
    /// `DuckDB`.
    DuckDb,
}

/// One view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// Its name.
    pub name: &'static str,
    /// Its query with markers, after a comment that says what question it answers.
    pub text: &'static str,
}

macro_rules! views {
    ($($name:literal),* $(,)?) => {
        /// All views, each after those it is built on.
        pub const VIEWS: &[View] = &[$(View {
            name: $name,
            text: include_str!(concat!("views/", $name, ".sql")),
        }),*];
    };
}

views!(
    "finding_versions",
    "findings_current",
    "health_events",
    "entities",
    "entity_tags",
    "status_changes",
    "lifecycle",
    "trend_daily",
    "upcoming",
    "exposure",
    "rejects_open",
);

impl View {
    /// The first line of its comment: the question that it answers.
    pub fn question(&self) -> &'static str {
        let line = self.text.lines().next().unwrap_or_default();
        line.trim_start_matches("--").trim()
    }

    /// The statement that creates it, without a semicolon at its end.
    ///
    /// Tables and views lie in this database, and the names of all begin with this prefix.
    pub fn create(&self, engine: Engine, database: Option<&str>, prefix: &str) -> String {
        let place = Place { database, prefix };
        let query_at = self.text.lines().take_while(|line| line.starts_with("--")).count();
        let lines = |range: &mut dyn Iterator<Item = &str>| range.collect::<Vec<_>>().join("\n");
        let comment = lines(&mut self.text.lines().take(query_at));
        let query = lines(&mut self.text.lines().skip(query_at));
        let name = relation(self.name, place);
        let query = expand(query.trim_end(), engine, place);
        format!("{comment}\nCREATE OR REPLACE VIEW {name} AS\n{query}")
    }
}

/// Where tables and views are found.
#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    database: Option<&'a str>,
    prefix: &'a str,
}

/// A table or view as queries name it.
fn relation(name: &str, place: Place<'_>) -> String {
    let name = quote_name(&format!("{}{name}", place.prefix), '"');
    match place.database {
        Some(database) => format!("{}.{name}", quote_name(database, '"')),
        None => name,
    }
}

/// Puts what the engine wants in the place of each marker.
fn expand(query: &str, engine: Engine, place: Place<'_>) -> String {
    let mut expanded = String::with_capacity(query.len());
    let mut rest = query;
    while let Some((before, after)) = rest.split_once("{{") {
        expanded.push_str(before);
        let Some((marker, after)) = after.split_once("}}") else {
            expanded.push_str("{{");
            rest = after;
            break;
        };
        expanded.push_str(&marked(marker.trim(), engine, place));
        rest = after;
    }
    expanded.push_str(rest);
    expanded
}

fn marked(marker: &str, engine: Engine, place: Place<'_>) -> String {
    let (word, argument) = marker.split_once(' ').unwrap_or((marker, ""));
    match (engine, word, argument) {
        (_, name, "") => relation(name, place),
        (Engine::Athena, "unnest" | "unnest_map", list) => format!("UNNEST({list})"),
        (Engine::Athena, "days", days) => format!("UNNEST(sequence({days}, INTERVAL '1' DAY))"),
        (Engine::DuckDb, "unnest", list) => lateral(&format!("{list}, max_depth := 2")),
        (Engine::DuckDb, "unnest_map", map) => {
            lateral(&format!("map_entries({map}), max_depth := 2"))
        }
        (Engine::DuckDb, "days", days) => {
            lateral(&format!("generate_series({days}, INTERVAL 1 DAY)"))
        }
        // A test keeps such markers out.
        (_, unknown, _) => format!("{{{{{unknown}}}}}"),
    }
}

fn lateral(unnest: &str) -> String {
    format!("LATERAL (SELECT unnest({unnest}))")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::columns::{COLUMNS, Column};

    #[test]
    fn every_view_begins_with_its_question_and_leaves_no_marker() {
        for view in VIEWS {
            let question = view.question();
            assert!(question.ends_with('?') && question.len() <= 100, "{}: {question}", view.name);
            for engine in [Engine::Athena, Engine::DuckDb] {
                let text = view.create(engine, Some("d"), "");
                assert!(!text.contains("{{") && !text.contains("}}"), "{text}");
                assert!(!text.contains(';'), "{}: it is split at semicolons", view.name);
                let create = format!("CREATE OR REPLACE VIEW \"d\".\"{}\" AS\n", view.name);
                assert!(text.contains(&create), "{text}");
            }
        }
    }

    #[test]
    fn a_view_comes_after_those_it_is_built_on() {
        let mut known = vec!["findings", "rejects"];
        for view in VIEWS {
            for after in view.text.split("FROM {{").skip(1) {
                let name = after.split("}}").next().unwrap();
                assert!(known.contains(&name), "{} is built on {name}", view.name);
            }
            known.push(view.name);
        }
    }

    #[test]
    fn markers_become_what_the_engine_wants() {
        let text = "{{t}} {{unnest x.a}} {{unnest_map x.m}} {{days a, f(b, c)}}";
        let place = Place { database: Some("d-1"), prefix: "p_" };
        assert_eq!(
            expand(text, Engine::Athena, place),
            "\"d-1\".\"p_t\" UNNEST(x.a) UNNEST(x.m) UNNEST(sequence(a, f(b, c), INTERVAL '1' DAY))"
        );
        assert_eq!(
            expand(text, Engine::DuckDb, Place { database: None, prefix: "" }),
            "\"t\" LATERAL (SELECT unnest(x.a, max_depth := 2)) \
             LATERAL (SELECT unnest(map_entries(x.m), max_depth := 2)) \
             LATERAL (SELECT unnest(generate_series(a, f(b, c), INTERVAL 1 DAY)))"
        );
    }

    /// A new column is to be shown in the history too, or named here.
    #[test]
    fn the_versions_show_every_column_but_a_few() {
        let hidden = [Column::Page, Column::Entities, Column::SchemaVersion];
        let view = VIEWS.iter().find(|view| view.name == "finding_versions").unwrap();
        let (_, selected) = view.text.rsplit_once("\nSELECT\n").unwrap();
        for spec in &COLUMNS {
            let line = |end: &str| {
                selected.contains(&format!("  {}{end}\n", spec.name))
                    || selected.contains(&format!(" AS {}{end}\n", spec.name))
            };
            let shown = line(",") || line("");
            assert_eq!(shown, !hidden.contains(&spec.column), "{}", spec.name);
        }
    }

    /// Two views name the subject of a row, and must name it alike.
    #[test]
    fn the_subject_is_the_same_everywhere() {
        let subject = |name: &str| {
            let view = VIEWS.iter().find(|view| view.name == name).unwrap();
            let (before, _) = view.text.split_once(" AS subject_id").unwrap();
            before.rsplit_once("    coalesce(event_arn").unwrap().1
        };
        assert_eq!(subject("finding_versions"), subject("entities"));
    }
}
