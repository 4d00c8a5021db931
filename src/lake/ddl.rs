//! The two tables as Athena and Glue are told of them.
//!
//! In: what a lake is (partitions, place) and today. Out: text, from the one list of columns of each
//! table. Pure; a place that Athena cannot read is an error, found before any text is made. The ranges
//! of partition projection never end before the lake's newest partition, because Athena gives no rows
//! and no error beyond them. Bound: a statement stays below Athena's limit for a query's text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::layout::{Partition, PartitionBy, Table};
use super::rejects;
use crate::finding::columns;
use crate::store::catalog::{CatalogColumn, SerdeInfo, StorageDescriptor, TableInput};

/// Bytes of one statement that registers partitions; Athena takes 262,144 (Athena service quotas).
const STATEMENT_BYTES_MAX: usize = 200_000;
/// Days or months that projected partitions reach beyond today: for rows whose only clock lies ahead.
const HEADROOM: [(PartitionBy, i64); 2] = [(PartitionBy::Day, 30), (PartitionBy::Month, 2)];

pub(super) const SERDE: &str = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe";
const INPUT_FORMAT: &str = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat";
const OUTPUT_FORMAT: &str = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat";

/// What the text needs to know of a lake.
#[derive(Debug, Clone)]
pub struct LakeFacts {
    /// Where readers find it, without a slash at its end.
    pub location: String,
    /// The database of its tables; none for the one that the statements are run in.
    pub database: Option<String>,
    /// What the names of its tables and views in the database begin with; mostly nothing.
    pub prefix: String,
    /// What a partition is.
    pub by: PartitionBy,
    /// The partitions of each table, those of [`Table::ALL`] in their order.
    pub partitions: [BTreeSet<Partition>; 2],
    /// The partition of this moment.
    pub today: Partition,
}

/// How a table learns of its partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Catalog {
    /// They are computed from a range.
    Projection,
    /// Each is registered.
    Partitions,
}

/// One column as other programs are told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableColumn {
    /// Its name.
    pub name: &'static str,
    /// Its type in Athena and Glue.
    pub athena: &'static str,
    /// What it means, without semicolons, at which some clients cut statements, and without backticks.
    pub comment: String,
}

/// The columns of a table, in its order, without the partition key.
pub fn columns(table: Table) -> Vec<TableColumn> {
    match table {
        Table::Findings => columns::COLUMNS
            .iter()
            .map(|spec| TableColumn {
                name: spec.name,
                athena: spec.kind.athena(),
                comment: comment(spec.meaning),
            })
            .collect(),
        Table::Rejects => rejects::COLUMNS
            .iter()
            .map(|column| TableColumn {
                name: column.name,
                athena: column.athena,
                comment: comment(column.meaning),
            })
            .collect(),
    }
}

fn comment(meaning: &str) -> String {
    meaning.replace(';', ",").replace('`', "")
}

/// Says what is wrong with a place that tables are to point to.
pub fn check_location(location: &str) -> Result<(), String> {
    let Some(rest) = location.strip_prefix("s3://") else {
        return Err(format!(
            "`{location}` is no `s3://bucket/prefix`, and Athena reads only those"
        ));
    };
    let wrong = match rest.split('/').next() {
        None | Some("") => "names no bucket",
        _ if rest.contains("//") => "has two slashes in a row, which Athena takes for one",
        _ if rest.contains(['*', '?', '[', '{', '$']) => "has a character that Athena expands",
        _ if rest.contains(|c: char| c.is_control()) => "has a control character",
        _ => return Ok(()),
    };
    Err(format!("`{location}` {wrong}"))
}

/// Where Athena finds a lake's files: the place that was given, else the lake's own.
pub fn athena_location(given: Option<&str>, base: &str) -> Result<String, String> {
    if given.is_none() && !base.starts_with("s3://") {
        return Err(format!(
            "Athena reads from S3, and the lake is the folder `{}`; say where its files will lie with \
             `--location s3://bucket/prefix`",
            base.strip_prefix("file://").unwrap_or(base)
        ));
    }
    let location = given.unwrap_or(base).trim_end_matches('/');
    check_location(location).map_err(|why| format!("the tables cannot point to a place: {why}"))?;
    Ok(location.to_owned())
}

/// A name in quotes of this kind, which are doubled inside it.
pub(super) fn quote_name(name: &str, quote: char) -> String {
    format!("{quote}{}{quote}", name.replace(quote, &format!("{quote}{quote}")))
}

/// A text in single quotes, as Athena's DDL (Hive) reads it.
pub(super) fn quote_text(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

impl LakeFacts {
    /// The partitions of a table.
    pub(super) fn partitions(&self, table: Table) -> &BTreeSet<Partition> {
        let [findings, rejects] = &self.partitions;
        match table {
            Table::Findings => findings,
            Table::Rejects => rejects,
        }
    }

    /// The partitions of a table, in order.
    pub fn partitions_of(&self, table: Table) -> impl Iterator<Item = Partition> {
        self.partitions(table).iter().copied()
    }

    /// The table's first and newest partition; those of the whole lake, or today, where it has none.
    pub(super) fn span(&self, table: Table) -> (Partition, Partition) {
        let of =
            |partitions: &BTreeSet<Partition>| Some((*partitions.first()?, *partitions.last()?));
        let [findings, rejects] = &self.partitions;
        let own = of(self.partitions(table)).or_else(|| of(findings)).or_else(|| of(rejects));
        let (first, last) = own.unwrap_or((self.today, self.today));
        (first.min(self.today), last)
    }

    /// The range of its projected partitions, as Athena writes it.
    pub(super) fn range(&self, table: Table) -> String {
        let (first, newest) = self.span(table);
        let headroom =
            HEADROOM.iter().find(|(by, _)| *by == self.by).map_or(1, |(_, ahead)| *ahead);
        let ahead = headroom.max(newest.after(self.today));
        format!("{first},NOW+{ahead}{}", self.unit())
    }

    pub(super) fn unit(&self) -> &'static str {
        match self.by {
            PartitionBy::Day => "DAYS",
            PartitionBy::Month => "MONTHS",
        }
    }

    /// The table as Athena's DDL names it.
    pub(super) fn table_name(&self, table: Table) -> String {
        let name = quote_name(&self.bare_name(table), '`');
        match &self.database {
            Some(database) => format!("{}.{name}", quote_name(database, '`')),
            None => name,
        }
    }

    /// The table's name inside its database.
    pub fn bare_name(&self, table: Table) -> String {
        format!("{}{}", self.prefix, table.name())
    }

    /// Where the files of a partition lie.
    pub fn partition_location(&self, table: Table, partition: Partition) -> String {
        format!("{}{}={partition}/", self.table_location(table), self.by.column())
    }

    fn table_location(&self, table: Table) -> String {
        format!("{}/{}/", self.location, table.name())
    }

    /// The table's parameters in the catalog.
    fn properties(&self, table: Table, catalog: Catalog) -> Vec<(String, String)> {
        let mut properties = vec![("parquet.compression".to_owned(), "ZSTD".to_owned())];
        if catalog == Catalog::Partitions {
            return properties;
        }
        let key = self.by.column();
        let format = match self.by {
            PartitionBy::Day => "yyyy-MM-dd",
            PartitionBy::Month => "yyyy-MM",
        };
        let template = format!("{}{key}=${{{key}}}/", self.table_location(table));
        properties.push(("projection.enabled".to_owned(), "true".to_owned()));
        for (name, value) in [
            ("type", "date"),
            ("format", format),
            ("range", &self.range(table)),
            ("interval", "1"),
            ("interval.unit", self.unit()),
        ] {
            properties.push((format!("projection.{key}.{name}"), value.to_owned()));
        }
        properties.push(("storage.location.template".to_owned(), template));
        properties
    }

    /// The statement that makes a table, without a semicolon at its end.
    pub fn create_table(&self, table: Table, catalog: Catalog) -> String {
        let mut text =
            format!("CREATE EXTERNAL TABLE IF NOT EXISTS {} (\n", self.table_name(table));
        let columns = columns(table);
        for (index, column) in columns.iter().enumerate() {
            let comma = if index + 1 < columns.len() { "," } else { "" };
            let (name, comment) = (quote_name(column.name, '`'), quote_text(&column.comment));
            // Writing to a String cannot fail.
            let _infallible = writeln!(text, "  {name} {} COMMENT {comment}{comma}", column.athena);
        }
        let properties: Vec<String> = self
            .properties(table, catalog)
            .iter()
            .map(|(name, value)| format!("  {} = {}", quote_text(name), quote_text(value)))
            .collect();
        let _infallible = write!(
            text,
            ")\nCOMMENT {}\nPARTITIONED BY ({} string COMMENT {})\nSTORED AS PARQUET\n\
             LOCATION {}\nTBLPROPERTIES (\n{}\n)",
            quote_text(meaning(table)),
            quote_name(self.by.column(), '`'),
            quote_text(&self.partition_comment(table)),
            quote_text(&self.table_location(table)),
            properties.join(",\n"),
        );
        text
    }

    /// The statements that register all partitions of a table.
    pub fn add_partitions(&self, table: Table) -> Vec<String> {
        let head = format!("ALTER TABLE {} ADD IF NOT EXISTS", self.table_name(table));
        let key = self.by.column();
        let mut statements: Vec<String> = Vec::new();
        for partition in self.partitions(table) {
            let location = self.partition_location(table, *partition);
            let line = format!(
                "\n  PARTITION ({} = '{partition}') LOCATION {}",
                quote_name(key, '`'),
                quote_text(&location)
            );
            match statements.last_mut() {
                Some(last) if last.len() + line.len() <= STATEMENT_BYTES_MAX => {
                    last.push_str(&line);
                }
                _ => statements.push(head.clone() + &line),
            }
        }
        statements
    }

    /// The request of Glue's `CreateTable`, with projected partitions.
    pub fn glue_table(&self, table: Table) -> serde_json::Result<Value> {
        let mut request = Map::new();
        if let Some(database) = &self.database {
            request.insert("DatabaseName".to_owned(), Value::from(database.as_str()));
        }
        let input = serde_json::to_value(self.table_input(table, Catalog::Projection))?;
        request.insert("TableInput".to_owned(), input);
        Ok(Value::Object(request))
    }

    /// The table as a catalog is to have it.
    pub fn table_input(&self, table: Table, catalog: Catalog) -> TableInput {
        let column = |name: &str, athena: &str, comment: &str| CatalogColumn {
            name: name.to_owned(),
            r#type: athena.to_owned(),
            comment: Some(comment.to_owned()),
        };
        let fixed = [("EXTERNAL", "TRUE"), ("classification", "parquet")];
        let mut parameters: BTreeMap<String, String> =
            fixed.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        parameters.extend(self.properties(table, catalog));
        let partition = self.partition_comment(table);
        let serde_parameters = [("serialization.format".to_owned(), "1".to_owned())];
        TableInput {
            name: self.bare_name(table),
            description: meaning(table).to_owned(),
            table_type: "EXTERNAL_TABLE".to_owned(),
            parameters,
            partition_keys: vec![column(self.by.column(), "string", &partition)],
            storage_descriptor: StorageDescriptor {
                columns: columns(table)
                    .iter()
                    .map(|own| column(own.name, own.athena, &own.comment))
                    .collect(),
                location: self.table_location(table),
                input_format: INPUT_FORMAT.to_owned(),
                output_format: OUTPUT_FORMAT.to_owned(),
                serde_info: SerdeInfo {
                    serialization_library: SERDE.to_owned(),
                    parameters: serde_parameters.into(),
                },
            },
        }
    }

    fn partition_comment(&self, table: Table) -> String {
        let time = table.time_column();
        let example = match self.by {
            PartitionBy::Day => "day of {}, UTC, such as 2026-11-24",
            PartitionBy::Month => "month of {}, UTC, such as 2026-11",
        };
        format!("Partition key: {}; filter on it to read less", example.replace("{}", time))
    }
}

/// What a table is for, in one sentence.
fn meaning(table: Table) -> &'static str {
    match table {
        Table::Findings => {
            "One row for each version of a finding or AWS Health event, as reported for one account"
        }
        Table::Rejects => "One row for what could not become a finding, with its place and bytes",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Glue's limit for a comment.
    const COMMENT_BYTES_MAX: usize = 255;

    fn partitions(names: &[&str]) -> BTreeSet<Partition> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn facts(today: &str, findings: &[&str], rejects: &[&str]) -> LakeFacts {
        let today: Partition = today.parse().unwrap();
        LakeFacts {
            location: "s3://lake/health".into(),
            database: None,
            prefix: String::new(),
            by: today.by(),
            partitions: [partitions(findings), partitions(rejects)],
            today,
        }
    }

    #[test]
    fn ranges_begin_with_the_lake_and_never_end_before_it() {
        let check = |today, findings: &[&str], rejects: &[&str], ranges: [&str; 2]| {
            let facts = facts(today, findings, rejects);
            assert_eq!(Table::ALL.map(|table| facts.range(table)), ranges, "{facts:?}");
        };
        let day = "2026-11-24";
        check(day, &[], &[], ["2026-11-24,NOW+30DAYS"; 2]);
        check(day, &["2026-01-02"], &[], ["2026-01-02,NOW+30DAYS"; 2]);
        check(
            day,
            &["2026-01-02", "2027-11-24"],
            &["2026-03-01"],
            ["2026-01-02,NOW+365DAYS", "2026-03-01,NOW+30DAYS"],
        );
        check(day, &["2026-12-25"], &[], ["2026-11-24,NOW+31DAYS"; 2]);
        let month = "2026-11";
        check(month, &["2019-12"], &["2026-10"], ["2019-12,NOW+2MONTHS", "2026-10,NOW+2MONTHS"]);
        check(month, &["2027-03"], &[], ["2026-11,NOW+4MONTHS"; 2]);
    }

    #[test]
    fn places_that_athena_reads_wrongly_are_refused() {
        for location in ["s3://bucket", "s3://bucket/a/b c/ü'", "s3://bucket/a=b"] {
            assert_eq!(check_location(location), Ok(()));
        }
        for (location, why) in [
            ("file:///lake", "no `s3://"),
            ("s3://", "names no bucket"),
            ("s3:///a", "names no bucket"),
            ("s3://b/a//c", "two slashes"),
            ("s3://b/a*", "expands"),
            ("s3://b/${dt}", "expands"),
            ("s3://b/a\nb", "control"),
        ] {
            assert!(check_location(location).unwrap_err().contains(why), "{location}");
        }
    }

    #[test]
    fn quotes_are_escaped() {
        assert_eq!(quote_text(r"a'b\c"), r"'a\'b\\c'");
        assert_eq!(quote_name("a`b", '`'), "`a``b`");
        let mut facts = facts("2026-11", &["2026-11"], &[]);
        facts.location = "s3://lake/it's".into();
        facts.database = Some("sec`urity".into());
        let text = facts.create_table(Table::Findings, Catalog::Projection);
        assert!(text.starts_with("CREATE EXTERNAL TABLE IF NOT EXISTS `sec``urity`.`findings` ("));
        assert!(text.contains(r"LOCATION 's3://lake/it\'s/findings/'"), "{text}");
        let template = r"'storage.location.template' = 's3://lake/it\'s/findings/month=${month}/'";
        assert!(text.contains(template), "{text}");
    }

    #[test]
    fn many_partitions_are_registered_in_statements_that_athena_takes() {
        let mut facts = facts("2026-11-24", &[], &[]);
        let day = 86_400_000;
        facts.partitions[0] =
            (0..3_000).map(|n| Partition::of(n * day, PartitionBy::Day)).collect();
        let statements = facts.add_partitions(Table::Findings);
        assert!(statements.len() > 1);
        assert!(statements.iter().all(|text| text.len() <= STATEMENT_BYTES_MAX));
        let count = |text: &String| text.matches("PARTITION (`dt` = '").count();
        assert_eq!(statements.iter().map(count).sum::<usize>(), 3_000);
        assert!(facts.add_partitions(Table::Rejects).is_empty());
    }

    /// Words that Athena's DDL takes for its own; nested names cannot be quoted.
    #[test]
    fn comments_fit_and_nested_names_are_no_reserved_words() {
        let reserved = [
            "array", "as", "binary", "by", "case", "date", "decimal", "double", "end", "from",
            "group", "in", "int", "interval", "is", "map", "none", "not", "null", "of", "on", "or",
            "order", "out", "range", "row", "rows", "select", "set", "start", "table", "time",
            "to", "true", "user", "using", "values", "when", "with",
        ];
        for table in Table::ALL {
            for column in columns(table) {
                assert!(column.comment.len() <= COMMENT_BYTES_MAX, "{}", column.name);
                let nested =
                    column.athena.split(['<', ',']).filter_map(|part| part.split_once(':'));
                for (name, _) in nested {
                    assert!(!reserved.contains(&name), "{}.{name}", column.name);
                }
            }
        }
    }

    #[test]
    fn glue_is_told_the_same_as_athena() {
        let mut facts = facts("2026-11-24", &["2026-11-20"], &["2026-11-21"]);
        facts.database = Some("security".into());
        for table in Table::ALL {
            let request = facts.glue_table(table).unwrap();
            let input = &request["TableInput"];
            assert_eq!(request["DatabaseName"], "security");
            assert_eq!(input["TableType"], "EXTERNAL_TABLE");
            let told = input["StorageDescriptor"]["Columns"].as_array().unwrap();
            let own = columns(table);
            assert_eq!(told.len(), own.len());
            for (told, own) in told.iter().zip(own) {
                assert_eq!((&told["Name"], &told["Type"]), (&own.name.into(), &own.athena.into()));
            }
            assert_eq!(input["PartitionKeys"][0]["Name"], "dt");
            assert_eq!(input["Parameters"]["projection.dt.range"], facts.range(table).as_str());
        }
    }
}
