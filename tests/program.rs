//! What the tests share: running the program, and reading lakes with nothing of our own code.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray as _};
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimestampMillisecondType};
use healthtrail::store::sha256_hex;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

/// Columns that equal rows need not share.
pub(crate) const DELIVERY_COLUMNS: [&str; 15] = [
    "event_id",
    "event_time",
    "reported_at",
    "time_source",
    "detail_type",
    "processed_at",
    "account_name",
    "arrived_hour",
    "sent_to_account",
    "sent_to_region",
    "backup",
    "source_object",
    "source_offset",
    "source_length",
    "source_ordinal",
];

/// A row by column name; nulls are left out.
pub(crate) type Row = BTreeMap<String, String>;

/// How the program ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The program, with no setting of the surroundings.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_healthtrail"));
    for (name, _) in std::env::vars() {
        if name.starts_with("HEALTHTRAIL_") {
            command.env_remove(name);
        }
    }
    // A panic is told by its place alone, unless this is set.
    command.env_remove("RUST_BACKTRACE");
    command
}

/// Runs the program.
pub(crate) fn healthtrail(arguments: &[&str]) -> Ran {
    let Output { status, stdout, stderr } = command().args(arguments).output().unwrap();
    Ran {
        code: status.code().unwrap_or(-1),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
    }
}

/// Runs `healthtrail run` and gives its summary; the exit code must be `code`.
pub(crate) fn run(from: &str, to: &str, options: &[&str], code: i32) -> Value {
    let mut arguments =
        vec!["run", "--from", from, "--to", to, "--progress", "none", "--summary", "-"];
    arguments.extend(options);
    let ran = healthtrail(&arguments);
    assert_eq!(ran.code, code, "{arguments:?}\n{}\n{}", ran.stdout, ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap_or(Value::Null)
}

/// A number in a summary, by path: `findings.added`.
pub(crate) fn number(summary: &Value, path: &str) -> u64 {
    let value = path.split('.').fold(summary, |value, name| &value[name]);
    value.as_u64().unwrap_or_else(|| panic!("no number at {path} in {summary}"))
}

/// Every file below a folder, relative to it.
pub(crate) fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let Ok(entries) = fs::read_dir(&next) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    found
}

/// Every file of the two tables, with its hash.
pub(crate) fn parts(lake: &Path) -> BTreeMap<PathBuf, String> {
    files(lake)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "parquet"))
        .map(|path| {
            let hash = sha256_hex(&fs::read(lake.join(&path)).unwrap());
            (path, hash)
        })
        .collect()
}

/// All rows of a table, sorted, as text by column; read by the parquet crate alone.
pub(crate) fn rows(lake: &Path, table: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    for path in parts(lake).into_keys().filter(|path| path.starts_with(table)) {
        let file = fs::File::open(lake.join(&path)).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
        for batch in reader {
            let batch = batch.unwrap();
            let columns: Vec<(String, ArrayRef)> = batch
                .schema()
                .fields()
                .iter()
                .zip(batch.columns())
                .map(|(field, column)| (field.name().clone(), Arc::clone(column)))
                .collect();
            for row in 0..batch.num_rows() {
                let filled = columns.iter().filter(|(_, column)| !column.is_null(row));
                let cells = filled.map(|(name, column)| (name.clone(), cell(column.as_ref(), row)));
                rows.push(cells.collect());
            }
        }
    }
    rows.sort();
    rows
}

/// A value as text, nested parts within.
fn cell(array: &dyn Array, row: usize) -> String {
    if array.is_null(row) {
        return "null".to_owned();
    }
    let all = |array: &dyn Array| -> Vec<String> {
        (0..array.len()).map(|row| cell(array, row)).collect()
    };
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        DataType::Binary => format!("{:?}", array.as_binary::<i32>().value(row)),
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Timestamp(..) => {
            array.as_primitive::<TimestampMillisecondType>().value(row).to_string()
        }
        DataType::List(_) => format!("{:?}", all(array.as_list::<i32>().value(row).as_ref())),
        DataType::Map(..) => format!("{:?}", all(&array.as_map().value(row))),
        DataType::Struct(_) => {
            let columns = array.as_struct().columns();
            format!("{:?}", columns.iter().map(|column| cell(column, row)).collect::<Vec<_>>())
        }
        other => panic!("no column has the type {other}"),
    }
}

/// The rows of `findings` without the columns that depend on how a finding was delivered.
pub(crate) fn undelivered(lake: &Path) -> Vec<Row> {
    let mut rows = rows(lake, "findings");
    for row in &mut rows {
        row.retain(|name, _| !DELIVERY_COLUMNS.contains(&name.as_str()));
    }
    rows.sort();
    rows
}

/// `row_id` must be unique over the table.
pub(crate) fn assert_unique(lake: &Path) {
    let rows = rows(lake, "findings");
    let ids: BTreeSet<&String> = rows.iter().map(|row| &row["row_id"]).collect();
    assert_eq!(ids.len(), rows.len(), "a row id stands twice in {}", lake.display());
}

/// The text of a path.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Writes an object into an archive.
pub(crate) fn write(archive: &Path, key: &str, bytes: &[u8]) {
    let path = archive.join(key);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A gzip member.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A native Health event as EventBridge delivers it.
pub(crate) fn health_event(number: u32, day: &str, account: &str) -> String {
    format!(
        r#"{{"version":"0","id":"{number:08x}-0000-4000-8000-000000000000","detail-type":"AWS Health Event","source":"aws.health","account":"{account}","time":"{day}T10:00:00Z","region":"us-east-1","resources":[],"detail":{{"eventArn":"arn:aws:health:us-east-1::event/EC2/AWS_EC2_OPERATIONAL_ISSUE/AWS_EC2_OPERATIONAL_ISSUE_{number}","service":"EC2","eventTypeCode":"AWS_EC2_OPERATIONAL_ISSUE","eventTypeCategory":"issue","eventScopeCode":"ACCOUNT_SPECIFIC","communicationId":"c{number}-1","startTime":"Mon, 3 Aug 2026 09:00:00 GMT","lastUpdatedTime":"Mon, 3 Aug 2026 09:30:00 GMT","statusCode":"open","eventRegion":"us-east-1","eventDescription":[{{"language":"en_US","latestDescription":"Instance {number} is impaired."}}],"affectedEntities":[{{"entityValue":"i-{number:017x}","status":"IMPAIRED"}}],"page":"1","totalPages":"1","backupEvent":"false","affectedAccount":"{account}"}}}}"#
    )
}

/// The key that Firehose gives an object of this day and hour.
pub(crate) fn key(day: &str, hour: u32, number: u32) -> String {
    let folder = day.replace('-', "/");
    format!(
        "{folder}/{hour:02}/health-1-{day}-{hour:02}-00-00-{number:08x}-0000-4000-8000-000000000000"
    )
}
