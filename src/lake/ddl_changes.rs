//! What a table of Athena lacks, against what the lake's files carry.
//!
//! In: the columns of the newest files, and those of the table: from Glue's own answer, or from the
//! oldest files, with which the table was made. Out: additive statements, and notes on what no statement
//! mends. Pure. Files with columns that this program does not know are an error: a newer one wrote them.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::ddl::{LakeFacts, columns, quote_name, quote_text};
use super::error::{LakeError, LakeResult};
use super::layout::{Partition, PartitionBy, Table};

/// A table as the catalog has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresentTable {
    /// Its columns and their types; no type where only the name is known.
    pub columns: BTreeMap<String, Option<String>>,
    /// The range of its projected partitions, where it has one.
    pub range: Option<String>,
}

/// What is to be done about a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Statements for Athena, without semicolons at their ends.
    pub statements: Vec<String>,
    /// What a person should know.
    pub notes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetTable {
    table: GlueTable,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GlueTable {
    name: String,
    #[serde(default)]
    parameters: BTreeMap<String, String>,
    storage_descriptor: StorageDescriptor,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StorageDescriptor {
    columns: Vec<GlueColumn>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GlueColumn {
    name: String,
    #[serde(default)]
    r#type: Option<String>,
}

impl PresentTable {
    /// Reads the output of `aws glue get-table`: which of the two tables it is, and what it has. `prefix`
    /// is what their names in the catalog begin with.
    pub fn from_glue(json: &[u8], by: PartitionBy, prefix: &str) -> Result<(Table, Self), String> {
        let GetTable { table } = serde_json::from_slice(json)
            .map_err(|error| format!("it is not the output of `aws glue get-table`: {error}"))?;
        let bare = table.name.strip_prefix(prefix);
        let own = Table::ALL.into_iter().find(|own| Some(own.name()) == bare);
        let own = own.ok_or_else(|| {
            format!(
                "it tells of table `{}`, not of `{prefix}findings` or `{prefix}rejects`",
                table.name
            )
        })?;
        let column = |column: GlueColumn| (column.name.to_lowercase(), column.r#type);
        let columns = table.storage_descriptor.columns.into_iter().map(column).collect();
        let range = format!("projection.{}.range", by.column());
        Ok((own, Self { columns, range: table.parameters.get(&range).cloned() }))
    }

    /// A table that was made when the lake's files had these columns.
    pub fn of_files(names: &[String]) -> Self {
        let columns = names.iter().map(|name| (name.clone(), None)).collect();
        Self { columns, range: None }
    }
}

/// What the table lacks of what files with these columns carry. `newest` is a file of them, for errors.
pub fn changes(
    facts: &LakeFacts,
    table: Table,
    present: &PresentTable,
    in_files: &[String],
    newest: &str,
) -> LakeResult<Changes> {
    let known = columns(table);
    if let Some(unknown) = in_files.iter().find(|name| known.iter().all(|own| own.name != **name)) {
        return Err(LakeError::refused(
            newest,
            format!("this file has a column `{unknown}` that this program does not know"),
            "update healthtrail",
        ));
    }
    let mut changes = Changes::default();
    let mut lacking = Vec::new();
    for own in known.iter().filter(|own| in_files.iter().any(|name| name == own.name)) {
        match present.columns.get(own.name) {
            None => lacking.push(format!("  {} {}", quote_name(own.name, '`'), own.athena)),
            Some(Some(other)) if !same_type(other, own.athena) => changes.notes.push(format!(
                "column `{}` of table `{}` has the type {other}, the files have {}: drop the table \
                 and make it anew; the files stay",
                own.name,
                table.name(),
                own.athena
            )),
            Some(_) => {}
        }
    }
    if !lacking.is_empty() {
        changes.statements.push(format!(
            "ALTER TABLE {} ADD COLUMNS (\n{}\n)",
            facts.table_name(table),
            lacking.join(",\n")
        ));
    }
    if let Some(range) = &present.range
        && !covers(facts, table, range)
    {
        changes.statements.push(format!(
            "ALTER TABLE {} SET TBLPROPERTIES ({} = {})",
            facts.table_name(table),
            quote_text(&format!("projection.{}.range", facts.by.column())),
            quote_text(&facts.range(table))
        ));
    }
    Ok(changes)
}

pub(super) fn same_type(one: &str, two: &str) -> bool {
    let bare = |text: &str| text.to_lowercase().replace([' ', '`'], "");
    bare(one) == bare(two)
}

/// Whether a range holds all partitions of the table; one that cannot be read does not.
fn covers(facts: &LakeFacts, table: Table, range: &str) -> bool {
    let (first, newest) = facts.span(table);
    let Some((from, to)) = range.split_once(',') else { return false };
    let bound = |text: &str| bound(text.trim(), facts.today);
    let starts = bound(from).is_some_and(|start| start <= first.after(facts.today));
    starts && bound(to).is_some_and(|end| end >= newest.after(facts.today))
}

/// The range that holds all partitions of the table and all that this one holds; none where this one does.
pub(super) fn widened(facts: &LakeFacts, table: Table, range: &str) -> Option<String> {
    if covers(facts, table, range) {
        return None;
    }
    let own = facts.range(table);
    let (Some((own_from, own_to)), Some((from, to))) = (own.split_once(','), range.split_once(','))
    else {
        return Some(own);
    };
    let wider = |theirs: &str, ours: &str, sign: i64| {
        let at = |text: &str| bound(text, facts.today).map(|at| at * sign);
        at(theirs).zip(at(ours)).is_some_and(|(theirs, ours)| theirs >= ours)
    };
    let (from, to) = (from.trim(), to.trim());
    let from = if wider(from, own_from, -1) { from } else { own_from };
    let to = if wider(to, own_to, 1) { to } else { own_to };
    Some(format!("{from},{to}"))
}

/// A bound of a range in days or months from today: `2026-11-24`, `NOW`, `NOW+30DAYS`.
fn bound(text: &str, today: Partition) -> Option<i64> {
    let Some(span) = text.strip_prefix("NOW") else {
        let partition: Partition = text.parse().ok()?;
        return (partition.by() == today.by()).then(|| partition.after(today));
    };
    if span.is_empty() {
        return Some(0);
    }
    let letters = span.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = span.split_at(letters);
    let number: i64 = number.parse().ok()?;
    // The least that a unit can stand for, so that a range is not thought wider than it is.
    let each = match (today.by(), unit.trim_end_matches('S')) {
        (PartitionBy::Day, "DAY") | (PartitionBy::Month, "MONTH") => 1,
        (PartitionBy::Day, "WEEK") => 7,
        (PartitionBy::Day, "MONTH") => 28,
        (PartitionBy::Day, "YEAR") => 365,
        (PartitionBy::Month, "YEAR") => 12,
        _ => return None,
    };
    number.checked_mul(each)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn facts() -> LakeFacts {
        let partitions = ["2026-01-05", "2026-12-30"].map(|name| name.parse().unwrap());
        LakeFacts {
            location: "s3://lake".into(),
            database: Some("d".into()),
            prefix: String::new(),
            by: PartitionBy::Day,
            partitions: [BTreeSet::from(partitions), BTreeSet::new()],
            today: "2026-11-24".parse().unwrap(),
        }
    }

    fn names(table: Table) -> Vec<String> {
        columns(table).iter().map(|column| column.name.to_owned()).collect()
    }

    #[test]
    fn only_what_the_files_carry_and_the_table_lacks_is_added() {
        let in_files = names(Table::Findings);
        let mut older = in_files.clone();
        older.retain(|name| name != "title" && name != "entities");
        let present = PresentTable::of_files(&older);
        let found = changes(&facts(), Table::Findings, &present, &in_files, "k").unwrap();
        assert_eq!(
            found.statements,
            [concat!(
                "ALTER TABLE `d`.`findings` ADD COLUMNS (\n  `title` string,\n  `entities` ",
                "array<struct<value:string,status:string,last_updated_at:timestamp,",
                "tags:map<string,string>>>\n)"
            )]
        );
        // The program may know more than the files hold.
        let found = changes(&facts(), Table::Findings, &present, &older, "k").unwrap();
        assert_eq!(found, Changes::default());
        let mut newer = in_files;
        newer.push("mood".into());
        let error = changes(&facts(), Table::Findings, &present, &newer, "k").unwrap_err();
        assert!(error.to_string().contains("`mood`"), "{error}");
    }

    #[test]
    fn glue_tells_what_a_table_has() {
        let table = |name: &str, columns: &str, range: &str| {
            format!(
                r#"{{"Table":{{"Name":"{name}","Parameters":{{"projection.dt.range":"{range}"}},
                   "StorageDescriptor":{{"Columns":[{columns}],"Location":"s3://x/"}}}}}}"#
            )
        };
        let by = PartitionBy::Day;
        let json = table("rejects", r#"{"Name":"Reject_Id","Type":"string"}"#, "2026-01-05,NOW");
        let (which, present) = PresentTable::from_glue(json.as_bytes(), by, "").unwrap();
        assert_eq!(which, Table::Rejects);
        assert_eq!(present.columns["reject_id"].as_deref(), Some("string"));
        assert_eq!(present.range.as_deref(), Some("2026-01-05,NOW"));
        let json = table("other", "", "");
        let error = PresentTable::from_glue(json.as_bytes(), by, "").unwrap_err();
        assert!(error.contains("table `other`"), "{error}");
        assert!(PresentTable::from_glue(b"[]", by, "").unwrap_err().contains("get-table"));
    }

    #[test]
    fn other_types_are_told() {
        let present = PresentTable {
            columns: columns(Table::Rejects)
                .iter()
                .map(|c| (c.name.to_owned(), Some(c.athena.to_uppercase())))
                .chain([("ordinal".to_owned(), Some("bigint".to_owned()))])
                .collect(),
            range: None,
        };
        let in_files = names(Table::Rejects);
        let found = changes(&facts(), Table::Rejects, &present, &in_files, "k").unwrap();
        assert!(found.statements.is_empty());
        assert_eq!(found.notes.len(), 1);
        assert!(found.notes[0].contains("`ordinal`"), "{found:?}");
    }

    #[test]
    fn a_widened_range_keeps_what_it_held() {
        for (range, wide) in [
            ("2026-01-05,NOW+36DAYS", None),
            ("2026-03-01,NOW+1YEAR", Some("2026-01-05,NOW+1YEAR")),
            ("2020-01-01,NOW", Some("2020-01-01,NOW+36DAYS")),
            ("NOW-3YEARS , NOW+1DAYS", Some("NOW-3YEARS,NOW+36DAYS")),
            ("2026-03-01,NOW+1DAYS", Some("2026-01-05,NOW+36DAYS")),
            ("2026,2027", Some("2026-01-05,NOW+36DAYS")),
            ("", Some("2026-01-05,NOW+36DAYS")),
        ] {
            assert_eq!(widened(&facts(), Table::Findings, range).as_deref(), wide, "{range}");
        }
    }

    #[test]
    fn a_range_that_has_become_too_narrow_is_widened() {
        let in_files = names(Table::Findings);
        for (range, wide) in [
            ("2026-01-05,NOW+36DAYS", true),
            ("2025-06-01,NOW+2MONTHS", true),
            ("NOW-3YEARS,NOW+1YEAR", true),
            ("NOW-400DAYS,2027-01-01", true),
            ("2026-01-06,NOW+36DAYS", false),
            ("2026-01-05,NOW+35DAYS", false),
            ("2026-01-05,NOW", false),
            ("2026-01,NOW+2MONTHS", false),
            ("", false),
        ] {
            let mut present = PresentTable::of_files(&in_files);
            present.range = Some(range.into());
            let found = changes(&facts(), Table::Findings, &present, &in_files, "k").unwrap();
            let expected = "ALTER TABLE `d`.`findings` SET TBLPROPERTIES ('projection.dt.range' = \
                            '2026-01-05,NOW+36DAYS')";
            let expected = if wide { vec![] } else { vec![expected.to_owned()] };
            assert_eq!(found.statements, expected, "{range}");
        }
    }
}
