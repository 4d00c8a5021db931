//! What a catalog's table lacks of what the lake's table is.
//!
//! In: the table as it is to be (`ddl`'s), and as the catalog has it. Out: what to add, or every reason
//! why this table is none that may be added to. Pure. Only ever adds: columns at the end, comments and a
//! description where there are none, parameters that are missing, a wider range of partitions. What somebody
//! set otherwise stays, and is told; what would make readers see wrong rows or none is a reason to refuse.

use std::collections::BTreeMap;

use super::ddl::{Catalog, LakeFacts, SERDE};
use super::ddl_changes::{same_type, widened};
use super::layout::Table;
use crate::store::catalog::{CatalogTable, TableChange};

/// What is to be done about a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// What is to become different.
    pub change: TableChange,
    /// The table computes its partitions from a range.
    pub is_projected: bool,
    /// What stays, though this program would have it otherwise.
    pub notes: Vec<String>,
}

/// What the present table lacks. With `may_move` it may come to lie in another place.
///
/// # Errors
/// Why the table cannot be the lake's: every reason, each with what to do.
pub fn difference(
    facts: &LakeFacts,
    table: Table,
    present: &CatalogTable,
    may_move: bool,
) -> Result<Difference, Vec<String>> {
    let is_projected = is_true(present.parameters.get("projection.enabled"));
    let catalog = if is_projected { Catalog::Projection } else { Catalog::Partitions };
    let wanted = facts.table_input(table, catalog);
    let mut difference = Difference { is_projected, ..Difference::default() };
    let mut reasons = Vec::new();
    check_kind(present, &mut reasons);
    check_keys(facts, present, &mut reasons);
    if present.description.is_none() {
        difference.change.description = Some(wanted.description.clone());
    }
    let location = &wanted.storage_descriptor.location;
    let is_elsewhere = !present.location.as_deref().is_some_and(|own| same_place(own, location));
    if is_elsewhere {
        match move_to(location, present, is_projected, may_move) {
            Ok(()) => difference.change.location = Some(location.clone()),
            Err(reason) => reasons.push(reason),
        }
    }
    for own in &wanted.storage_descriptor.columns {
        match present.columns.iter().find(|column| column.name == own.name) {
            None => difference.change.columns.push(own.clone()),
            Some(column) if !same_type(&column.r#type, &own.r#type) => reasons.push(format!(
                "its column `{}` has the type `{}`, the lake's files have `{}`; drop the table in the \
                 catalog and register again, the files stay",
                own.name, column.r#type, own.r#type
            )),
            Some(column) if column.comment.is_none() => {
                let comment = own.comment.clone().unwrap_or_default();
                difference.change.comments.insert(own.name.clone(), comment);
            }
            Some(_) => {}
        }
    }
    let strange = present.columns.iter().filter(|column| {
        wanted.storage_descriptor.columns.iter().all(|own| own.name != column.name)
    });
    for column in strange {
        difference
            .notes
            .push(format!("column `{}` is none of this version, and stays", column.name));
    }
    let parameters = &wanted.parameters;
    compare_parameters(
        facts,
        table,
        parameters,
        present,
        is_elsewhere,
        &mut difference,
        &mut reasons,
    );
    if reasons.is_empty() { Ok(difference) } else { Err(reasons) }
}

/// Whether it is a table of Parquet files at all.
fn check_kind(present: &CatalogTable, reasons: &mut Vec<String>) {
    if present.is_link {
        reasons
            .push("it is a link to a table elsewhere; register in that table's place".to_owned());
        return;
    }
    let kind = present.table_type.as_deref().unwrap_or("EXTERNAL_TABLE");
    if kind != "EXTERNAL_TABLE" {
        reasons
            .push(format!("it is a `{kind}`, no external table; choose another `--table-prefix`"));
    }
    if let Some(format) = present.parameters.get("table_type") {
        reasons.push(format!(
            "it is a table of the format `{format}`, not of plain files; choose another `--table-prefix`"
        ));
    }
    match present.serialization_library.as_deref() {
        Some(SERDE) => {}
        other => reasons.push(format!(
            "it is read with `{}`, not as Parquet (`{SERDE}`); drop the table in the catalog and register \
             again, the files stay",
            other.unwrap_or_default()
        )),
    }
}

fn check_keys(facts: &LakeFacts, present: &CatalogTable, reasons: &mut Vec<String>) {
    let shown = |key: &crate::store::catalog::CatalogColumn| format!("{} {}", key.name, key.r#type);
    let own = format!("{} string", facts.by.column());
    let keys: Vec<String> = present.partition_keys.iter().map(shown).collect();
    if !matches!(&keys[..], [key] if same_type(key, &own)) {
        reasons.push(format!(
            "its partition keys are `{}`, the lake's key is `{own}`; drop the table in the catalog and \
             register again, the files stay",
            keys.join(", ")
        ));
    }
}

/// Whether the table may come to lie in another place.
fn move_to(
    location: &str,
    present: &CatalogTable,
    is_projected: bool,
    may_move: bool,
) -> Result<(), String> {
    let own = present.location.as_deref().unwrap_or_default();
    match (may_move, is_projected) {
        (true, true) => Ok(()),
        (true, false) => Err(format!(
            "it lies in `{own}`, and so do its registered partitions, which would stay there; drop the \
             table in the catalog and register again, the files stay"
        )),
        (false, _) => Err(format!(
            "it lies in `{own}`, the lake's files in `{location}`; if it is to show this lake from now on, \
             give `--force-location`, else another `--table-prefix`"
        )),
    }
}

fn compare_parameters(
    facts: &LakeFacts,
    table: Table,
    wanted: &BTreeMap<String, String>,
    present: &CatalogTable,
    is_elsewhere: bool,
    difference: &mut Difference,
    reasons: &mut Vec<String>,
) {
    let key = facts.by.column();
    let range = format!("projection.{key}.range");
    // With another of these Athena would look for partitions where there are none.
    let decisive = [format!("projection.{key}.type"), format!("projection.{key}.format")];
    for (name, value) in wanted {
        let Some(own) = present.parameters.get(name) else {
            difference.change.parameters.insert(name.clone(), value.clone());
            continue;
        };
        if *name == range {
            if let Some(range) = widened(facts, table, own) {
                difference.change.parameters.insert(name.clone(), range);
            }
        } else if name == "storage.location.template" {
            if difference.change.location.is_some() {
                difference.change.parameters.insert(name.clone(), value.clone());
            } else if !is_elsewhere && !same_place(own, value) {
                reasons.push(format!(
                    "its parameter `{name}` is `{own}`, the lake's partitions lie in `{value}`; set it \
                     to that"
                ));
            }
        } else if decisive.contains(name) && own != value {
            reasons.push(format!(
                "its parameter `{name}` is `{own}`, with which Athena does not find the lake's \
                 partitions; set it to `{value}`"
            ));
        } else if !own.eq_ignore_ascii_case(value) {
            difference
                .notes
                .push(format!("parameter `{name}` is `{own}`, not `{value}`, and stays"));
        }
    }
}

fn is_true(value: Option<&String>) -> bool {
    value.is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
}

/// Whether two addresses name one place: what a slash at the end, or Hadoop's names for S3, do not change.
pub fn same_place(one: &str, two: &str) -> bool {
    fn bare(text: &str) -> &str {
        let bucket = ["s3://", "s3a://", "s3n://"].iter().find_map(|s| text.strip_prefix(s));
        bucket.unwrap_or(text).trim_end_matches('/')
    }
    bare(one) == bare(two)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::lake::layout::PartitionBy;
    use crate::store::catalog::CatalogColumn;
    use crate::store::catalog::testing::{changed, made};

    fn facts(by: PartitionBy) -> LakeFacts {
        let (first, today) = match by {
            PartitionBy::Day => ("2026-01-05", "2026-11-24"),
            PartitionBy::Month => ("2026-01", "2026-11"),
        };
        LakeFacts {
            location: "s3://lake/health".into(),
            database: Some("security".into()),
            prefix: String::new(),
            by,
            partitions: [BTreeSet::from([first.parse().unwrap()]), BTreeSet::new()],
            today: today.parse().unwrap(),
        }
    }

    fn table(catalog: Catalog) -> CatalogTable {
        made(&facts(PartitionBy::Day).table_input(Table::Findings, catalog))
    }

    fn compare(present: &CatalogTable) -> Result<Difference, Vec<String>> {
        difference(&facts(PartitionBy::Day), Table::Findings, present, false)
    }

    #[test]
    fn a_table_as_it_was_made_lacks_nothing() {
        for (catalog, is_projected) in [(Catalog::Projection, true), (Catalog::Partitions, false)] {
            let found = compare(&table(catalog)).unwrap();
            assert_eq!(found, Difference { is_projected, ..Difference::default() });
        }
        // The range of a day later is another text, and the same for whoever queries.
        let mut later = facts(PartitionBy::Day);
        later.today = "2026-12-31".parse().unwrap();
        let found =
            difference(&later, Table::Findings, &table(Catalog::Projection), false).unwrap();
        assert!(found.change.is_empty(), "{found:?}");
    }

    #[test]
    fn what_is_missing_is_added_and_what_somebody_set_stays() {
        let mut present = table(Catalog::Projection);
        present.description = None;
        present.columns.retain(|column| column.name != "title" && column.name != "personas");
        present.columns[0].comment = None;
        present.columns[1].comment = Some("ours".into());
        let theirs = CatalogColumn { name: "mood".into(), r#type: "string".into(), comment: None };
        present.columns.push(theirs.clone());
        present.parameters.remove("classification");
        for (name, value) in [
            ("owner.team", "blue"),
            ("parquet.compression", "SNAPPY"),
            ("projection.dt.range", "2026-03-01,NOW+1YEAR"),
            ("projection.dt.interval", "2"),
        ] {
            present.parameters.insert(name.into(), value.into());
        }
        let found = compare(&present).unwrap();
        let names: Vec<&str> = found.change.columns.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["title", "personas"]);
        assert_eq!(found.change.comments.keys().collect::<Vec<_>>(), ["row_id"]);
        assert_eq!(
            found.change.parameters,
            BTreeMap::from([
                ("classification".to_owned(), "parquet".to_owned()),
                ("projection.dt.range".to_owned(), "2026-01-05,NOW+1YEAR".to_owned()),
            ])
        );
        assert!(found.change.description.is_some() && found.change.location.is_none());
        assert_eq!(found.notes.len(), 3, "{:?}", found.notes);

        // Once is enough, and all that was there is there still.
        let before = present.clone();
        changed(&mut present, &found.change);
        let again = compare(&present).unwrap();
        assert!(again.change.is_empty(), "{again:?}");
        assert_eq!(present.parameters["owner.team"], "blue");
        assert_eq!(present.parameters["parquet.compression"], "SNAPPY");
        assert_eq!(present.columns[1].comment.as_deref(), Some("ours"));
        assert!(present.columns.contains(&theirs));
        let kept = |table: &CatalogTable| table.columns.iter().map(|c| c.name.clone()).collect();
        let (now, then): (Vec<String>, Vec<String>) = (kept(&present), kept(&before));
        assert_eq!(now[..then.len()], then[..], "columns keep their places");
    }

    #[test]
    fn a_table_that_is_none_of_the_lakes_is_refused_with_what_to_do() {
        type Spoil = fn(&mut CatalogTable);
        let cases: [(&str, Spoil, &str); 11] = [
            ("type", |t| t.columns[2].r#type = "bigint".into(), "has the type `bigint`"),
            ("keys", |t| t.partition_keys.clear(), "its partition keys are ``"),
            ("key", |t| t.partition_keys[0].name = "month".into(), "are `month string`"),
            ("key type", |t| t.partition_keys[0].r#type = "date".into(), "are `dt date`"),
            ("place", |t| t.location = Some("s3://x/".into()), "give `--force-location`"),
            ("no place", |t| t.location = None, "give `--force-location`"),
            ("view", |t| t.table_type = Some("VIRTUAL_VIEW".into()), "it is a `VIRTUAL_VIEW`"),
            ("link", |t| t.is_link = true, "register in that table's place"),
            ("serde", |t| t.serialization_library = None, "not as Parquet"),
            (
                "format",
                |t| {
                    t.parameters.insert("table_type".into(), "ICEBERG".into());
                },
                "of the format `ICEBERG`",
            ),
            (
                "dates",
                |t| {
                    t.parameters.insert("projection.dt.format".into(), "yyyy/MM/dd".into());
                },
                "set it to `yyyy-MM-dd`",
            ),
        ];
        for (name, spoil, reason) in cases {
            let mut present = table(Catalog::Projection);
            spoil(&mut present);
            let reasons = compare(&present).unwrap_err();
            assert_eq!(reasons.len(), 1, "{name}: {reasons:?}");
            assert!(reasons[0].contains(reason), "{name}: {reasons:?}");
        }
        let mut present = table(Catalog::Projection);
        present.parameters.insert("storage.location.template".into(), "s3://x/${dt}/".into());
        assert!(compare(&present).unwrap_err()[0].contains("partitions lie in"));
        // Every reason is told, not the first alone.
        present.columns[3].r#type = "double".into();
        assert_eq!(compare(&present).unwrap_err().len(), 2);
        let month = difference(&facts(PartitionBy::Month), Table::Findings, &present, false);
        assert!(month.unwrap_err()[0].contains("the lake's key is `month string`"));
    }

    #[test]
    fn a_table_moves_only_when_told_and_never_away_from_its_partitions() {
        let mut present = table(Catalog::Projection);
        present.location = Some("s3a://lake/health/findings".into());
        assert!(compare(&present).unwrap().change.is_empty(), "the same place by another name");
        present.location = Some("s3://old/findings/".into());
        let template = "storage.location.template";
        present.parameters.insert(template.into(), "s3://old/findings/dt=${dt}/".into());
        let moved = |present: &CatalogTable| {
            difference(&facts(PartitionBy::Day), Table::Findings, present, true)
        };
        assert_eq!(compare(&present).unwrap_err().len(), 1, "one reason, told once");
        let found = moved(&present).unwrap();
        assert_eq!(found.change.location.as_deref(), Some("s3://lake/health/findings/"));
        assert_eq!(found.change.parameters[template], "s3://lake/health/findings/dt=${dt}/");
        let mut registered = table(Catalog::Partitions);
        registered.location = Some("s3://old/findings/".into());
        let reasons = moved(&registered).unwrap_err();
        assert!(reasons[0].contains("its registered partitions"), "{reasons:?}");
    }
}
