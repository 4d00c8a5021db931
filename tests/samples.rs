//! What becomes of the samples: the counts that samples/README.md promises, and golden files.
//!
//! `UPDATE=1 cargo test samples` rewrites the golden files; read the difference before you commit it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::program::{files, healthtrail, number, rows, run, text};

fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_samples_become_what_their_readme_promises() {
    let samples = project().join("samples/archive");
    let folder = tempfile::tempdir().unwrap();
    let table: [(&str, [u64; 4], [u64; 3]); 2] =
        [("health", [42, 29, 7, 6], [29, 20, 9]), ("all", [42, 32, 4, 6], [32, 22, 10])];
    for (products, documents, findings) in table {
        let lake = folder.path().join(products);
        let summary = run(text(&samples), text(&lake), &["--products", products], 0);
        assert_eq!(number(&summary, "objects.listed"), 13);
        assert_eq!(number(&summary, "objects.read"), 12);
        assert_eq!(number(&summary, "objects.skipped"), 1);
        let names = ["read", "with_findings", "passed_over", "rejected"];
        let counted = names.map(|name| number(&summary, &format!("documents.{name}")));
        assert_eq!(counted, documents, "{products}");
        let names = ["read", "added", "duplicates"];
        let counted = names.map(|name| number(&summary, &format!("findings.{name}")));
        assert_eq!(counted, findings, "{products}");
        assert_eq!(rows(&lake, "findings").len() as u64, findings[1]);
        assert_eq!(rows(&lake, "rejects").len(), 6);
    }
}

/// What `inspect` tells of each object, without what changes from place to place.
#[test]
fn each_sample_object_becomes_its_golden_file() {
    let samples = project().join("samples/archive");
    let update = std::env::var_os("UPDATE").is_some();
    let mut differing = Vec::new();
    for file in files(&samples) {
        let object = samples.join(&file);
        if fs::metadata(&object).unwrap().len() == 0 {
            continue;
        }
        let ran = healthtrail(&["inspect", "--json", text(&object)]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let mut told: Value = serde_json::from_str(&ran.stdout).unwrap();
        told["object"] = Value::from(text(&file));
        for document in told["documents"].as_array_mut().unwrap() {
            for row in document["rows"].as_array_mut().unwrap() {
                row["source_object"] = Value::from(text(&file));
            }
        }
        let told = serde_json::to_string_pretty(&told).unwrap() + "\n";
        let golden = golden(&file);
        if update {
            fs::create_dir_all(golden.parent().unwrap()).unwrap();
            fs::write(&golden, told).unwrap();
        } else if fs::read_to_string(&golden).ok().as_deref() != Some(&told) {
            differing.push(golden.display().to_string());
        }
    }
    assert!(differing.is_empty(), "`UPDATE=1` rewrites them; read the difference: {differing:#?}");
}

fn golden(file: &Path) -> PathBuf {
    let name = text(file).replace('/', "_");
    project().join("tests/golden").join(format!("{name}.json"))
}
