//! The two tables as `DuckDB` is told of them.
//!
//! In: what a lake is, and where its files lie for this reader. Out: statements that make views of the
//! files with the names and types that Athena's tables have, so that the same queries run on both:
//! times without a zone, the partition key as text, columns that no file has yet as null, and no rows
//! where there are no files. Pure; nothing can go wrong.

use super::ddl::{LakeFacts, TableColumn, columns, quote_name};
use super::layout::Table;

/// Times are shown and compared in UTC, as they are stored.
pub const SETTINGS: &str = "SET TimeZone = 'UTC'";

/// The statement by which a table's files become a view, without a semicolon at its end.
pub fn table(facts: &LakeFacts, table: Table) -> String {
    let key = facts.by.column();
    let mut columns = columns(table);
    columns.push(TableColumn { name: key, athena: "string", comment: String::new() });
    let typed: Vec<String> = columns
        .iter()
        .map(|column| {
            let name = quote_name(column.name, '"');
            format!("    CAST(NULL AS {}) AS {name}", type_of(column.athena))
        })
        .collect();
    let times: Vec<String> = columns
        .iter()
        .filter(|column| column.athena == "timestamp")
        .map(|column| quote_name(column.name, '"'))
        .map(|name| format!("  {name} AT TIME ZONE 'UTC' AS {name}"))
        .collect();
    let files = if facts.partitions(table).is_empty() {
        String::new()
    } else {
        let glob = format!("{}/{}/*/*.parquet", literal_glob(&facts.location), table.name());
        format!(
            "\n  UNION ALL BY NAME\n  SELECT * FROM read_parquet({}, hive_partitioning = true,\n    \
             hive_types = {{'{key}': VARCHAR}}, union_by_name = true)",
            quote_text(&glob)
        )
    };
    format!(
        "CREATE OR REPLACE VIEW {} AS\nSELECT * REPLACE (\n{}\n)\nFROM (\n  SELECT\n{}\n  \
         WHERE false{files}\n)",
        quote_name(table.name(), '"'),
        times.join(",\n"),
        typed.join(",\n"),
    )
}

/// `DuckDB` doubles quotes and knows no escapes.
fn quote_text(text: &str) -> String {
    quote_name(text, '\'')
}

/// A path in which nothing is a pattern.
fn literal_glob(path: &str) -> String {
    let mut glob = String::with_capacity(path.len());
    for c in path.chars() {
        match c {
            '*' | '?' | '[' => glob.extend(['[', c, ']']),
            _ => glob.push(c),
        }
    }
    glob
}

/// One of our types in Athena's words as `DuckDB` calls it.
fn type_of(athena: &str) -> String {
    let inner = |start: &str| athena.strip_prefix(start).and_then(|rest| rest.strip_suffix('>'));
    match athena {
        "string" => "VARCHAR".to_owned(),
        "int" => "INTEGER".to_owned(),
        "bigint" => "BIGINT".to_owned(),
        "boolean" => "BOOLEAN".to_owned(),
        "binary" => "BLOB".to_owned(),
        "timestamp" => "TIMESTAMPTZ".to_owned(),
        _ => {
            if let Some(element) = inner("array<") {
                format!("{}[]", type_of(element))
            } else if let Some(entry) = inner("map<") {
                let parts: Vec<String> = split_types(entry).into_iter().map(type_of).collect();
                format!("MAP({})", parts.join(", "))
            } else {
                let fields = split_types(inner("struct<").unwrap_or_default());
                let field = |field: &&str| -> Option<String> {
                    let (name, athena) = field.split_once(':')?;
                    Some(format!("{} {}", quote_name(name, '"'), type_of(athena)))
                };
                let fields: Vec<String> = fields.iter().filter_map(field).collect();
                format!("STRUCT({})", fields.join(", "))
            }
        }
    }
}

/// The parts between those commas that lie in no brackets.
fn split_types(text: &str) -> Vec<&str> {
    let mut depth = 0_u32;
    text.split(|c: char| {
        match c {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::finding::columns::Kind;
    use crate::lake::layout::PartitionBy;

    #[test]
    fn types_have_other_names() {
        for (athena, duckdb) in [
            ("string", "VARCHAR"),
            ("array<string>", "VARCHAR[]"),
            ("map<string,string>", "MAP(VARCHAR, VARCHAR)"),
            (
                Kind::Entities.athena(),
                r#"STRUCT("value" VARCHAR, "status" VARCHAR, "last_updated_at" TIMESTAMPTZ, "tags" MAP(VARCHAR, VARCHAR))[]"#,
            ),
        ] {
            assert_eq!(type_of(athena), duckdb);
        }
    }

    #[test]
    fn a_path_is_taken_literally() {
        let mut facts = LakeFacts {
            location: "/data/it's [1]".into(),
            database: None,
            prefix: String::new(),
            by: PartitionBy::Day,
            partitions: [BTreeSet::from(["2026-11-24".parse().unwrap()]), BTreeSet::new()],
            today: "2026-11-24".parse().unwrap(),
        };
        let text = table(&facts, Table::Findings);
        assert!(text.contains("read_parquet('/data/it''s [[]1]/findings/*/*.parquet',"), "{text}");
        assert!(!table(&facts, Table::Rejects).contains("read_parquet"));
        facts.by = PartitionBy::Month;
        assert!(table(&facts, Table::Findings).contains("hive_types = {'month': VARCHAR}"));
    }
}
