//! Others read what we wrote: DuckDB and PyArrow the lake, an independent counter the archive.
//!
//! `tests/run` installs them and names their Python in `HEALTHTRAIL_TEST_PYTHON`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Once;

use serde_json::Value;

use crate::program::{healthtrail, number, run, text};
use crate::stores::{REQUIRE_SERVERS, say_skipped};

/// A Python that has DuckDB and PyArrow.
pub(crate) const PYTHON: &str = "HEALTHTRAIL_TEST_PYTHON";

/// Runs a script of the tests, or says that it was skipped.
pub(crate) fn python(script: &str, arguments: &[&str]) -> Option<Value> {
    static SAID: Once = Once::new();
    let Ok(python) = std::env::var(PYTHON) else {
        assert!(std::env::var(REQUIRE_SERVERS).is_err(), "set {PYTHON}, or use tests/run");
        say_skipped(&SAID, PYTHON);
        return None;
    };
    let script = format!("{}/tests/{script}", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(python).arg(script).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// Rows by service, account and day.
fn by_place(rows: &Value) -> BTreeMap<String, u64> {
    let mut places = BTreeMap::new();
    for row in rows.as_array().unwrap() {
        let text = |name: &str| row[name].as_str().unwrap_or("").to_owned();
        let place = format!("{} {} {}", text("day"), text("service"), text("account"));
        *places.entry(place).or_default() += row["rows"].as_u64().unwrap();
    }
    places
}

fn check(archive: &str, lake: &Path, products: &str) {
    let summary = run(archive, text(lake), &["--products", products], 0);
    let Some(seen) = python("foreign/lake.py", &[text(lake)]) else { return };
    let added = number(&summary, "findings.added");
    assert_eq!(number(&seen, "duckdb.rows"), added);
    assert_eq!(number(&seen, "duckdb.distinct_row_ids"), added);
    assert_eq!(number(&seen, "duckdb.in_a_wrong_partition"), 0);
    assert_eq!(number(&seen, "pyarrow.rows"), added);
    assert_eq!(number(&seen, "duckdb.entities"), number(&seen, "pyarrow.entities"));
    assert_eq!(seen["pyarrow"]["reported_at"], "timestamp[ms, tz=UTC]");

    let counted = python("oracle/count.py", &[archive, "--products", products]).unwrap();
    assert_eq!(
        by_place(&seen["duckdb"]["by_service_account_day"]),
        by_place(&counted["rows"]),
        "the lake and an independent count of the archive differ"
    );
    for name in ["read", "with_findings", "passed_over", "rejected"] {
        let path = format!("documents.{name}");
        let other = counted["documents"][name].as_u64().unwrap_or(0);
        assert_eq!(number(&summary, &path), other, "{path}");
    }
}

#[test]
fn duckdb_sees_in_the_lake_what_an_independent_count_sees_in_the_archive() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    let ran = healthtrail(&[
        "generate",
        "--to",
        text(&archive),
        "--objects",
        "60",
        "--events",
        "4000",
        "--days",
        "9",
        "--seed",
        "11",
        "--bad-bytes",
        "0.005",
        "--duplicates",
        "0.05",
        "--pages",
        "0.05",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for products in ["health", "all"] {
        check(text(&archive), &folder.path().join(products), products);
    }
}

#[test]
fn duckdb_sees_in_the_samples_what_an_independent_count_sees() {
    let folder = tempfile::tempdir().unwrap();
    let samples = format!("{}/samples/archive", env!("CARGO_MANIFEST_DIR"));
    for products in ["health", "all"] {
        check(&samples, &folder.path().join(products), products);
    }
}

#[test]
fn a_lake_of_two_versions_of_the_columns_reads_whole_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let samples = format!("{}/samples/archive", env!("CARGO_MANIFEST_DIR"));
    let summary = run(&samples, text(&lake), &[], 0);
    let Some(seen) = python("foreign/lake.py", &[text(&lake), "--older-columns", "3"]) else {
        return;
    };
    assert_eq!(number(&seen, "duckdb.rows"), number(&summary, "findings.added"));
    assert_eq!(number(&seen, "duckdb.distinct_row_ids"), number(&summary, "findings.added"));
}
