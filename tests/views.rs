//! What `ddl` prints: golden files of the samples' lake, and other readers of its tables and views.
//!
//! `UPDATE=1 cargo test views` rewrites the golden files; read the difference before you commit it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::foreign::python;
use crate::program::{gzip, health_event, healthtrail, key, number, run, text, write};

fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The lake that the samples become.
fn samples_lake(folder: &Path) -> PathBuf {
    let lake = folder.join("lake");
    run(text(&project().join("samples/archive")), text(&lake), &["--products", "all"], 0);
    lake
}

/// What `ddl` prints of a lake, which must go well.
fn ddl(lake: &Path, options: &[&str]) -> String {
    let mut arguments = vec!["ddl", "--lake", text(lake)];
    arguments.extend(options);
    let ran = healthtrail(&arguments);
    assert_eq!(ran.code, 0, "{arguments:?}\n{}", ran.stderr);
    ran.stdout
}

fn saved(folder: &Path, name: &str, content: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    text(&path).to_owned()
}

#[test]
fn the_samples_lake_is_shown_as_its_golden_files() {
    let folder = tempfile::tempdir().unwrap();
    let lake = samples_lake(folder.path());
    let athena = ["--location", "s3://my-lake/health", "--database", "security"];
    let table: [(&str, &[&str]); 4] = [
        ("ddl-projection.sql", &[]),
        ("ddl-partitions.sql", &["--catalog", "partitions"]),
        ("ddl-glue.json", &["--catalog", "glue-json"]),
        ("ddl-duckdb.sql", &["--engine", "duckdb"]),
    ];
    let place = fs::canonicalize(&lake).unwrap();
    for (name, options) in table {
        let options =
            if name.contains("duckdb") { options.to_vec() } else { [&athena, options].concat() };
        let told = ddl(&lake, &options).replace(text(&place), "/my-lake");
        let golden = project().join("tests/golden").join(name);
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&golden, told).unwrap();
        } else {
            assert_eq!(told, fs::read_to_string(&golden).unwrap(), "{}", golden.display());
        }
    }
}

#[test]
fn what_cannot_be_shown_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let lake = samples_lake(folder.path());
    let (lake, empty) = (text(&lake), text(folder.path()));
    let table: [(&[&str], i32, &str); 8] = [
        (&["--lake", lake], 2, "say where its files will lie with `--location"),
        (&["--lake", empty, "--location", "s3://b"], 2, "`healthtrail run` makes one"),
        (&["--lake", lake, "--location", "/srv/lake"], 2, "Athena reads only those"),
        (&["--lake", lake, "--location", "s3://b/a//b"], 2, "two slashes in a row"),
        (&["--lake", lake, "--location", "s3://b", "--database", "a.b"], 2, "letters, digits"),
        (&["--lake", lake, "--engine", "duckdb", "--database", "d"], 2, "is for Athena"),
        (&["--lake", lake, "--catalog", "glue-json", "--views"], 2, "takes views only from Athena"),
        (&["--lake", lake, "--table-json", "x.json"], 2, "--if-changed"),
    ];
    for (options, code, message) in table {
        let ran = healthtrail(&[&["ddl"], options].concat());
        assert_eq!(ran.code, code, "{options:?}\n{}", ran.stderr);
        assert!(ran.stderr.contains(message), "{options:?}\n{}", ran.stderr);
        assert_eq!(ran.stdout, "", "{options:?}");
    }
}

#[test]
fn only_what_a_table_lacks_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let lake = samples_lake(folder.path());
    let options = ["--location", "s3://my-lake", "--if-changed"];
    assert_eq!(ddl(&lake, &options), "");

    let tables: Value = serde_json::from_str(&ddl(
        &lake,
        &["--location", "s3://my-lake", "--catalog", "glue-json"],
    ))
    .unwrap();
    let mut table = tables[0]["TableInput"].clone();
    let as_told = |table: &Value| serde_json::json!({ "Table": table }).to_string();
    let same = saved(folder.path(), "same.json", &as_told(&table));
    let with = |file: &str| ddl(&lake, &[&options[..], &["--table-json", file]].concat());
    assert_eq!(with(&same), "");

    table["Parameters"]["projection.dt.range"] = "2026-11-21,NOW+1DAYS".into();
    let columns = table["StorageDescriptor"]["Columns"].as_array_mut().unwrap();
    columns.retain(|column| column["Name"] != "personas" && column["Name"] != "page");
    let older = with(&saved(folder.path(), "older.json", &as_told(&table)));
    assert_eq!(
        older,
        "ALTER TABLE `findings` ADD COLUMNS (\n  `page` int,\n  `personas` array<string>\n);\n\n\
         ALTER TABLE `findings` SET TBLPROPERTIES ('projection.dt.range' = '2026-11-03,NOW+30DAYS');\n"
    );
}

/// A lake that holds no rejects and one month.
#[test]
fn a_lake_without_rejects_is_shown_to_duckdb_as_an_empty_table() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, lake) = (folder.path().join("archive"), folder.path().join("la'ke [1]"));
    let event = health_event(1, "2026-08-03", "111122223333");
    write(&archive, &key("2026-08-03", 10, 1), &gzip(event.as_bytes()));
    run(text(&archive), text(&lake), &["--partition", "month"], 0);
    let statements = ddl(&lake, &["--engine", "duckdb", "--views", "--json"]);
    let file = saved(folder.path(), "duckdb.json", &statements);
    let Some(seen) = python("foreign/views.py", &["answers", text(&lake), &file, "2026-08-04"])
    else {
        return;
    };
    assert_eq!(number(&seen, "views.health_events"), 1);
    assert_eq!(number(&seen, "views.rejects_open"), 0);
}

#[test]
fn sqlglot_understands_what_athena_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let lake = samples_lake(folder.path());
    for (options, creates) in
        [(&["--views", "--database", "security-1"][..], 2), (&["--catalog", "partitions"][..], 2)]
    {
        let options = [options, &["--json", "--location", "s3://my-lake/it's"]].concat();
        let file = saved(folder.path(), "athena.json", &ddl(&lake, &options));
        let Some(seen) = python("foreign/views.py", &["parse", text(&lake), &file]) else { return };
        assert_eq!(number(&seen, "create table"), creates);
        assert!(number(&seen, "queries") >= 6);
    }
}

#[test]
fn views_and_queries_say_what_plain_code_finds_in_the_rows() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    let ran = healthtrail(&[
        "generate",
        "--to",
        text(&archive),
        "--objects",
        "60",
        "--events",
        "3000",
        "--days",
        "50",
        "--seed",
        "23",
        "--pages",
        "0.05",
        "--duplicates",
        "0.05",
        "--bad-bytes",
        "0.002",
        "--accounts",
        "12",
        "--oddities",
        "0.1",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for (partition, today) in [("day", "2026-08-25"), ("month", "2026-09-20")] {
        let lake = folder.path().join(partition);
        // All that is scheduled ends within the archive, so the lake ends before.
        let options = ["--products", "all", "--partition", partition, "--until", "2026-08-25"];
        run(text(&archive), text(&lake), &options, 0);
        let statements = ddl(&lake, &["--engine", "duckdb", "--views", "--json"]);
        let file = saved(folder.path(), "duckdb.json", &statements);
        let Some(seen) = python("foreign/views.py", &["answers", text(&lake), &file, today]) else {
            return;
        };
        for view in
            ["entities", "entity_tags", "exposure", "upcoming", "trend_daily", "rejects_open"]
        {
            assert!(number(&seen, &format!("views.{view}")) > 0, "{view} is empty: {seen}");
        }
        assert!(number(&seen, "queries.repeating_accounts") > 0, "{seen}");
    }
}

#[test]
fn what_a_table_holds_twice_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let lake = samples_lake(folder.path());
    let statements = ddl(&lake, &["--engine", "duckdb", "--views", "--json"]);
    let file = saved(folder.path(), "duckdb.json", &statements);
    let cases = folder.path().join("cases");
    let Some(seen) = python("foreign/views.py", &["cases", text(&lake), &file, text(&cases)])
    else {
        return;
    };
    assert_eq!(number(&seen, "cases"), 12);
}
