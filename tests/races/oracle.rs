//! What must hold of a lake and its log at rest, said without any code of the program but its stores.
//!
//! In: a lake. Out: its rows and log, or a panic that says which law is broken: numbers are 1, 2, 3 … with
//! one record and one done mark each, visible files are exactly those that records add and none withdraws,
//! each with the bytes and rows that its record says, a row id stands once, nothing is left staged, and no
//! object is consumed twice unless that was asked for.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array as _, AsArray as _};
use bytes::Bytes;
use healthtrail::store::{GetOptions, Store, sha256_hex};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use crate::stores::keys;

/// What a lake holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The number of the last commit.
    pub(crate) version: u64,
    /// Row ids with the finding and account that they are of.
    pub(crate) rows: BTreeMap<String, (String, String)>,
    /// Ids and states of rejects.
    pub(crate) rejects: BTreeSet<(String, String)>,
    /// URIs and etags that the log names as consumed.
    pub(crate) consumed: BTreeSet<(String, String)>,
    /// URIs that it names as failed.
    pub(crate) failed: BTreeSet<String>,
}

impl Seen {
    /// What another lake has otherwise, in words; `None` when both hold the same.
    pub(crate) fn differs(&self, other: &Self) -> Option<String> {
        let rows = |one: &Self, two: &Self| -> Vec<String> {
            let missing = one.rows.iter().filter(|(id, _)| !two.rows.contains_key(*id));
            missing.map(|(_, (finding, _))| finding.clone()).collect()
        };
        let rest = |one: &Self, two: &Self| {
            (
                one.rejects.difference(&two.rejects).cloned().collect::<Vec<_>>(),
                one.consumed.difference(&two.consumed).cloned().collect::<Vec<_>>(),
            )
        };
        let missing = (rows(self, other), rest(self, other));
        let more = (rows(other, self), rest(other, self));
        let same = Default::default();
        (missing != same || more != same).then(|| format!("missing {missing:?}, more {more:?}"))
    }
}

async fn read(lake: &dyn Store, key: &str) -> Bytes {
    lake.get(key, GetOptions::default()).await.unwrap()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no text {name} in {value}"))
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// Columns of a part as text; nulls are empty.
pub(crate) fn columns(bytes: Bytes, names: &[&str]) -> Vec<Vec<String>> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
    let mut rows = Vec::new();
    for batch in reader {
        let batch = batch.unwrap();
        let columns: Vec<_> = names
            .iter()
            .map(|name| batch.column_by_name(name).unwrap().as_string::<i32>())
            .collect();
        let cell = |column: &arrow::array::StringArray, row| {
            if column.is_null(row) { String::new() } else { column.value(row).to_owned() }
        };
        rows.extend(
            (0..batch.num_rows())
                .map(|row| columns.iter().map(|column| cell(column, row)).collect::<Vec<String>>()),
        );
    }
    rows
}

/// The records, and that they are numbered and done as they must be.
async fn records(lake: &dyn Store) -> Vec<Value> {
    let log = keys(lake, "_healthtrail/log/").await;
    let mut expected = BTreeSet::new();
    let (mut records, mut commit_ids) = (Vec::new(), BTreeSet::new());
    for number in 1..=log.len() / 2 {
        let key = format!("_healthtrail/log/{number:010}.json");
        let record: Value = serde_json::from_slice(&read(lake, &key).await).unwrap();
        assert_eq!(record["number"], number, "{key}");
        assert_eq!(record["deduplicated_against"], number - 1, "{key}");
        assert!(
            commit_ids.insert(text(&record, "commit_id").to_owned()),
            "one commit twice: {key}"
        );
        expected.extend([format!("_healthtrail/log/{number:010}.done"), key]);
        records.push(record);
    }
    assert_eq!(log.into_iter().collect::<BTreeSet<_>>(), expected, "numbers, records, done marks");
    records
}

/// The objects that a record names, inline or beside it.
async fn objects(lake: &dyn Store, record: &Value) -> Value {
    let objects = &record["objects"];
    match objects.get("file") {
        None => objects["inline"].clone(),
        Some(file) => serde_json::from_slice(&read(lake, text(file, "key")).await).unwrap(),
    }
}

fn name(object: &Value) -> (String, String) {
    let uri = format!("{}/{}", text(object, "archive"), text(object, "key"));
    (uri, text(object, "etag").to_owned())
}

/// Files by their keys that the log adds and does not withdraw, and what it reopens.
fn files(records: &[Value]) -> (BTreeMap<String, Value>, BTreeSet<u64>) {
    let (mut files, mut reopened) = (BTreeMap::new(), BTreeSet::new());
    for record in records {
        for file in list(&record["files"]) {
            let key = text(&file, "key").to_owned();
            let number = record["number"].as_u64().unwrap();
            assert!(
                key.contains(&format!("/{number:010}-{}", &text(&file, "sha256")[..16])),
                "{key}"
            );
            assert!(files.insert(key, file).is_none());
        }
        for withdrawn in list(&record["withdrawn"]) {
            files.remove(text(&withdrawn, "key"));
            if withdrawn["reopen"] != false {
                reopened.insert(withdrawn["commit"].as_u64().unwrap());
            }
        }
    }
    (files, reopened)
}

/// Looks at a lake at rest.
pub(crate) async fn look(lake: &dyn Store) -> Seen {
    let records = records(lake).await;
    let mut seen = Seen { version: records.len() as u64, ..Seen::default() };
    let (files, reopened) = files(&records);
    let mut visible = keys(lake, "findings/").await;
    visible.extend(keys(lake, "rejects/").await);
    let visible: BTreeSet<String> = visible.into_iter().collect();
    assert_eq!(visible, files.keys().cloned().collect(), "what is visible, and what the log names");
    for (key, file) in &files {
        let bytes = read(lake, key).await;
        assert_eq!(bytes.len() as u64, file["bytes"].as_u64().unwrap(), "{key}");
        assert_eq!(sha256_hex(&bytes), text(file, "sha256"), "{key}");
        let table = key.split('/').next().unwrap();
        let names: &[&str] = match table {
            "findings" => &["row_id", "finding_id", "account_id"],
            _ => &["reject_id", "state"],
        };
        let rows = columns(bytes, names);
        assert_eq!(rows.len() as u64, file["rows"].as_u64().unwrap(), "{key}");
        for row in rows {
            let [id, second, rest @ ..] = row.as_slice() else { panic!("{row:?}") };
            if let [account] = rest {
                let of = (second.clone(), account.clone());
                assert!(seen.rows.insert(id.clone(), of).is_none(), "row {id} twice, in {key}");
            } else {
                seen.rejects.insert((id.clone(), second.clone()));
            }
        }
    }
    let mut settled: BTreeMap<(String, String), (u64, Value)> = BTreeMap::new();
    for record in &records {
        let objects = objects(lake, record).await;
        let number = record["number"].as_u64().unwrap();
        for object in list(&objects["consumed"]) {
            let name = name(&object);
            seen.consumed.insert(name.clone());
            let before = settled.insert(name.clone(), (number, record["settings"].clone()));
            let is_again = record["purpose"] == "redrive" || record["purpose"] == "rebuild";
            let may = is_again
                || before.as_ref().is_none_or(|(before, settings)| {
                    reopened.contains(before) || *settings != record["settings"]
                });
            assert!(may, "{name:?} was consumed by commits {before:?} and {number}");
        }
        seen.failed.extend(list(&objects["failed"]).iter().map(|object| name(object).0));
    }
    assert_eq!(keys(lake, "_healthtrail/staging/").await, Vec::<String>::new(), "staging is left");
    seen
}

/// What each commit says, a line each.
pub(crate) async fn story(lake: &dyn Store) -> String {
    let mut lines = Vec::new();
    for record in records(lake).await {
        let of = |value: &Value, name: &str| -> Vec<String> {
            list(value).iter().map(|one| one[name].to_string()).collect()
        };
        let objects = objects(lake, &record).await;
        lines.push(format!(
            "{} {} adds {:?} withdraws {:?} consumed {:?} tombstones {}",
            record["number"],
            record["purpose"],
            of(&record["files"], "key"),
            of(&record["withdrawn"], "key"),
            of(&objects["consumed"], "key"),
            record["tombstones"]
        ));
    }
    lines.join("\n")
}
