//! Broken and hostile input: the files of samples/bad, each with what becomes of it by samples/bad/expected.tsv,
//! read by the library one by one, and by the program alone and all in one archive; what is too large to
//! be kept is made here; and objects that are cut at each of their bytes.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use healthtrail::archive::read::{ObjectReader, ReadOptions, check};
use healthtrail::finding::limits::CountLimits;
use healthtrail::finding::place::Place;
use healthtrail::finding::product::Products;
use healthtrail::finding::rows::RowsBuilder;
use healthtrail::finding::tally::Tally;

use crate::program::{
    assert_unique, command, files, gzip, health_event, healthtrail, number, rows, run, text, write,
};

/// The limits of the table, for the library; [`limits`] has them for the program.
const OPTIONS: ReadOptions = ReadOptions {
    products: Products::All,
    object_bytes_max: 1 << 20,
    document_bytes_max: 256 << 10,
    counts: CountLimits { depth_max: 127, zip_entries_max: 1_000, entities_max: 5_000 },
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/bad")
}

fn table() -> String {
    fs::read_to_string(folder().join("expected.tsv")).unwrap()
}

/// The options that the table says it was made with.
fn limits() -> Vec<String> {
    let table = table();
    let options = table.lines().find_map(|line| line.strip_prefix("# options: ")).unwrap();
    options.split(' ').map(str::to_owned).collect()
}

struct Case {
    /// Below `archive/`, or `made/`.
    file: String,
    bytes: Vec<u8>,
    expected: String,
}

/// All lines of the table.
fn cases() -> Vec<Case> {
    let table = table();
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    let case = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let [file, expected, _what] = fields[..] else { panic!("{line}") };
        let bytes = match file.strip_prefix("made/") {
            Some(name) => made(name),
            None => fs::read(folder().join("archive").join(file)).unwrap(),
        };
        Case { file: file.to_owned(), bytes, expected: expected.to_owned() }
    };
    lines.map(case).collect()
}

/// What is too large to be kept.
fn made(name: &str) -> Vec<u8> {
    let event = event(1);
    match name {
        "a-million-keys" => {
            let keys: Vec<String> =
                (0..1_000_000).map(|number| format!("\"k{number}\":1")).collect();
            format!("{{{}}}{event}", keys.join(",")).into_bytes()
        }
        // Members of a MiB of spaces, each of a KiB.
        "10-mib-that-become-10-gib" => gzip(&vec![b' '; 1 << 20]).repeat(10 << 10),
        "a-million-brackets-and-quotes" => {
            join(&["[{\"".repeat(350_000).as_bytes(), event.as_bytes()])
        }
        _ => panic!("{name}"),
    }
}

/// What an object becomes, by the library.
fn read(bytes: &[u8]) -> Tally {
    let place = Place { object: "s3://b/k".into(), etag: "e".into(), arrived_hour_ms: 0 };
    let mut reader = ObjectReader::new(Box::new(bytes), place, &OPTIONS);
    let (mut rows, mut rejects) = (RowsBuilder::new(), Vec::new());
    while reader.step(&mut rows, &mut rejects).unwrap().is_some() {}
    let tally = reader.into_tally();
    check(&tally).unwrap();
    assert_eq!(tally.findings.rows, rows.finish().batch.num_rows() as u64);
    tally
}

/// Rows, then what was passed over, rejected, unreadable and repaired, each with its count.
fn told(tally: &Tally) -> String {
    let mut told = format!("{} rows", tally.findings.rows);
    let maps = [("passed", &tally.passed_over_by_kind), ("reject", &tally.by_reason)];
    let unreadable = [("unreadable", &tally.unreadable_fields)];
    for (what, names) in maps.into_iter().chain(unreadable) {
        for (name, count) in &names.0 {
            write!(told, ", {what} {name} {count}").unwrap();
        }
    }
    if tally.repaired_text > 0 {
        write!(told, ", repaired {}", tally.repaired_text).unwrap();
    }
    told
}

fn event(number: u32) -> String {
    health_event(number, "2026-08-01", "111122223333")
}

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// A zip archive of deflated entries whose sizes stand in descriptors behind them.
fn zip(entries: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for content in entries {
        let mut encoder =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        let packed = encoder.finish().unwrap();
        let mut crc = flate2::Crc::new();
        crc.update(content);
        out.extend_from_slice(b"PK\x03\x04\x14\0\x08\0\x08\0");
        out.extend_from_slice(&[0; 16]);
        out.extend_from_slice(&[1, 0, 0, 0, b'n']);
        out.extend_from_slice(&packed);
        out.extend_from_slice(b"PK\x07\x08");
        out.extend_from_slice(&crc.sum().to_le_bytes());
        for length in [packed.len(), content.len()] {
            out.extend_from_slice(&u32::try_from(length).unwrap().to_le_bytes());
        }
    }
    out.extend_from_slice(b"PK\x05\x06");
    out.extend_from_slice(&[0; 18]);
    out
}

/// snappy-java's framing.
fn xerial(blocks: &[&[u8]]) -> Vec<u8> {
    let mut out = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
    for block in blocks {
        let packed = snap::raw::Encoder::new().compress_vec(block).unwrap();
        out.extend_from_slice(&u32::try_from(packed.len()).unwrap().to_be_bytes());
        out.extend_from_slice(&packed);
    }
    out
}

#[test]
fn every_bad_object_becomes_what_the_table_says() {
    let cases = cases();
    assert!(cases.len() >= 60);
    let mut wrong = String::new();
    for Case { file, bytes, expected } in &cases {
        let told = told(&read(bytes));
        if told != *expected {
            writeln!(wrong, "{file}\n  expected: {expected}\n  found:    {told}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    // Each file has its line.
    let files = files(&folder().join("archive"));
    let told: BTreeSet<PathBuf> = cases.iter().map(|case| PathBuf::from(&case.file)).collect();
    assert!(files.is_subset(&told), "{:?}", files.difference(&told));
}

/// Every `step`th file by `inspect` alone.
fn inspect_alone(step: usize) -> usize {
    let archive = folder().join("archive");
    let mut count = 0;
    for Case { file, expected, .. } in cases().iter().step_by(step) {
        if file.starts_with("made/") {
            continue;
        }
        let object = archive.join(file);
        // Limits are the program's own options in both commands; products are all without `--health`.
        let mut arguments =
            vec!["inspect".to_owned(), text(&object).to_owned(), "--json".to_owned()];
        arguments.extend(limits());
        let ran = healthtrail(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{file}");
        let inspected: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        let tally: Tally = serde_json::from_value(inspected["tally"].clone()).unwrap();
        assert_eq!(told(&tally), *expected, "{file}");
        count += 1;
    }
    count
}

#[test]
fn a_bad_object_alone_is_shown_as_the_table_says() {
    assert!(inspect_alone(7) > 20);
}

/// Part of `tests/attack hostile`.
#[test]
#[ignore = "takes a minute"]
fn matrix_of_objects_alone() {
    println!("hostile  {} objects alone, each as the table says", inspect_alone(1));
}

/// Keys that hold the object of a case: other folders, suffixes that lie, and odd characters.
fn key(number: usize, name: &str) -> String {
    let folders = ["2026/08/01/05", "a b+c%2F&=ü", "dt=..x/account=\u{202e}", "x\ny", "..."];
    let suffixes = ["", ".gz", ".zip", ".json", ".parquet", ".snappy"];
    let (folder, suffix) = (folders[number % folders.len()], suffixes[number % suffixes.len()]);
    format!("{folder}/{number} {name}{suffix}")
}

/// A file of a table lies in a partition of that table's form, and nowhere else.
fn assert_partitions(lake: &Path) {
    let is_digits = |text: &str, lengths: &[usize]| {
        let parts: Vec<&str> = text.split('-').collect();
        parts.len() == lengths.len()
            && parts.iter().zip(lengths).all(|(part, length)| {
                part.len() == *length && part.bytes().all(|byte| byte.is_ascii_digit())
            })
    };
    for file in files(lake) {
        let steps: Vec<&str> = text(&file).split('/').collect();
        if steps[0] == "_healthtrail" {
            continue;
        }
        let day = steps[1].strip_prefix("dt=").unwrap();
        let name = steps[2].strip_suffix(".parquet").unwrap();
        let (commit, hash) = name.split_once('-').unwrap();
        let is_right = steps.len() == 3
            && ["findings", "rejects"].contains(&steps[0])
            && is_digits(day, &[4, 2, 2])
            && is_digits(commit, &[10])
            && hash.len() == 16
            && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(is_right, "{}", file.display());
    }
}

/// The program's summary of a run must tell the same as the library of each object.
fn assert_summary(summary: &serde_json::Value, expected: &Tally) {
    let documents = &expected.documents;
    let bytes = &expected.bytes;
    let numbers = [
        ("documents.read", documents.read),
        ("documents.with_findings", documents.with_findings),
        ("documents.passed_over", documents.passed_over),
        ("documents.rejected", documents.rejected),
        ("findings.read", expected.findings.read),
        ("findings.rejected", expected.findings.rejected),
        ("bytes.compressed", bytes.compressed),
        ("bytes.decompressed", bytes.decompressed),
        ("bytes.in_documents", bytes.in_documents),
        ("bytes.between_documents", bytes.between_documents),
        ("bytes.rejected", bytes.rejected),
        ("repaired_text", expected.repaired_text),
    ];
    for (path, expected) in numbers {
        assert_eq!(number(summary, path), expected, "{path}");
    }
    for (path, names) in [
        ("by_reason", &expected.by_reason),
        ("by_shape", &expected.by_shape),
        ("passed_over_by_kind", &expected.passed_over_by_kind),
        ("unreadable_fields", &expected.unreadable_fields),
    ] {
        assert_eq!(summary[path], serde_json::to_value(names).unwrap(), "{path}");
    }
    assert_eq!(
        number(summary, "findings.added") + number(summary, "findings.duplicates"),
        expected.findings.rows
    );
}

fn run_with_limits(archive: &Path, lake: &Path) -> serde_json::Value {
    let limits = limits();
    let mut options = vec!["--products", "all"];
    options.extend(limits.iter().map(String::as_str));
    run(text(archive), text(lake), &options, 0)
}

#[test]
fn an_archive_of_hostile_objects_is_read_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, lake) = (folder.path().join("archive"), folder.path().join("lake"));
    let mut expected = Tally::default();
    let (mut objects, mut empty) = (0, 0);
    for (number, Case { file, bytes, .. }) in cases().iter().enumerate() {
        write(&archive, &key(number, &file.replace('/', " ")), bytes);
        if bytes.is_empty() {
            empty += 1;
        } else {
            expected += &read(bytes);
            objects += 1;
        }
    }
    // Arrival is a file's own time where the key tells none; these are as absurd as files allow.
    let times = [
        ("before 1970", SystemTime::UNIX_EPOCH - Duration::from_hours(24)),
        ("far off", SystemTime::UNIX_EPOCH + Duration::from_hours(4_000_000)),
    ];
    for (name, time) in times {
        write(&archive, name, b"neither json nor anything");
        expected += &read(b"neither json nor anything");
        objects += 1;
        let file = File::options().write(true).open(archive.join(name)).unwrap();
        file.set_modified(time).unwrap();
    }
    let ran = command()
        .args(["run", "--from", text(&archive), "--to", text(&lake), "--summary", "-"])
        .args(["--products", "all", "--progress", "none"])
        .args(limits())
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(String::from_utf8_lossy(&ran.stderr), "");
    let summary: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(number(&summary, "objects.read"), objects);
    assert_eq!(number(&summary, "objects.skipped"), empty);
    assert_summary(&summary, &expected);
    assert_unique(&lake);
    assert_partitions(&lake);
    let rejects = rows(&lake, "rejects");
    assert_eq!(rejects.len() as u64, expected.by_reason.total());
    assert_eq!(rows(&lake, "findings").len() as u64, number(&summary, "findings.added"));

    let again = run_with_limits(&archive, &lake);
    assert_eq!((number(&again, "objects.read"), number(&again, "commits")), (0, 0));
}

#[test]
fn gzip_cut_at_any_byte_gives_what_came_before_the_cut_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, lake) = (folder.path().join("archive"), folder.path().join("lake"));
    let whole = join(&[&gzip(format!("{}\n", event(1)).as_bytes()), &gzip(event(2).as_bytes())]);
    let mut expected = Tally::default();
    let mut rows_before = 0;
    for cut in 1..=whole.len() {
        let bytes = &whole[..cut];
        let tally = read(bytes);
        let is_whole =
            cut == whole.len() || cut == gzip(format!("{}\n", event(1)).as_bytes()).len();
        assert_eq!(tally.by_reason.total(), u64::from(!is_whole), "cut at {cut}: {tally:?}");
        assert!(tally.findings.rows >= rows_before, "cut at {cut}");
        rows_before = tally.findings.rows;
        expected += &tally;
        write(&archive, &format!("2026/08/01/05/{cut}"), bytes);
    }
    assert_eq!(rows_before, 2);
    let summary = run_with_limits(&archive, &lake);
    assert_summary(&summary, &expected);
    assert_eq!(rows(&lake, "findings").len(), 2);
    assert_eq!(rows(&lake, "rejects").len() as u64, expected.by_reason.total());
}

/// Two events in every form that a Firehose stream may write.
fn forms() -> Vec<(&'static str, Vec<u8>)> {
    let both = format!("{}\n{}", event(1), event(2));
    let zstd = zstd::bulk::compress(both.as_bytes(), 3).unwrap();
    vec![
        ("plain", both.clone().into_bytes()),
        ("gzip", gzip(both.as_bytes())),
        ("zip", zip(&[event(1).as_bytes(), event(2).as_bytes()])),
        ("zstd", zstd),
        ("snappy", xerial(&[event(1).as_bytes(), event(2).as_bytes()])),
    ]
}

#[test]
fn every_form_cut_at_any_byte_loses_nothing_without_a_word() {
    for (form, bytes) in forms() {
        let (mut rows_before, mut silent) = (0, 0);
        for cut in 0..=bytes.len() {
            let tally = read(&bytes[..cut]);
            let (rows, rejects) = (tally.findings.rows, tally.by_reason.total());
            assert!(rows >= rows_before && rejects <= 1, "{form} cut at {cut}: {tally:?}");
            // Nothing is told only where nothing is missing: plain text, and blocks of Snappy, which have no
            // end of their own, that end between two documents.
            let is_open = ["plain", "snappy"].contains(&form) && tally.bytes.rejected == 0;
            assert!(
                rejects == 1 || rows == 2 || cut == 0 || is_open,
                "{form} cut at {cut}: {tally:?}"
            );
            silent += usize::from(rejects == 0);
            rows_before = rows;
        }
        assert!((2..=4).contains(&silent), "{form}: {silent} cuts without a word");
        assert_eq!(rows_before, 2, "{form}");
    }
}

#[test]
fn limits_can_be_set_and_a_wider_one_brings_back_what_it_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, lake) = (folder.path().join("archive"), folder.path().join("lake"));
    let two =
        event(3).replacen("[{\"entityValue\"", "[{\"entityValue\":\"i-2\"},{\"entityValue\"", 1);
    write(&archive, "2026/08/01/05/entries", &zip(&[event(1).as_bytes(), event(2).as_bytes()]));
    write(&archive, "2026/08/01/05/entities", two.as_bytes());
    write(&archive, "2026/08/01/05/depth", event(4).as_bytes());
    let narrow = ["--zip-entries-max", "1", "--entities-max", "1", "--depth-max", "2"];
    let reasons = |summary: &serde_json::Value| summary["by_reason"].to_string();
    let first = run(text(&archive), text(&lake), &narrow[..4], 0);
    assert_eq!(reasons(&first), r#"{"too_many_entities":1,"too_many_entries":1}"#);
    assert_eq!(number(&first, "findings.added"), 2);
    let details: Vec<String> =
        rows(&lake, "rejects").into_iter().map(|mut row| row.remove("detail").unwrap()).collect();
    for option in ["--zip-entries-max", "--entities-max"] {
        assert!(details.iter().any(|detail| detail.contains(option)), "{details:?}");
    }
    // The same limits read nothing again, wider ones what they cut off.
    let again = run(text(&archive), text(&lake), &narrow[..4], 0);
    assert_eq!(number(&again, "objects.read"), 0);
    let wider = run(text(&archive), text(&lake), &[], 0);
    assert_eq!((number(&wider, "objects.read"), number(&wider, "findings.added")), (2, 2));
    let other = folder.path().join("other");
    let shallow = run(text(&archive), text(&other), &narrow[4..], 0);
    assert_eq!(reasons(&shallow), r#"{"too_deep":4}"#);
    let redriven = healthtrail(&[
        "redrive",
        "--lake",
        text(&other),
        "--from",
        text(&archive),
        "--reason",
        "too_deep",
        "--progress",
        "none",
    ]);
    assert_eq!(redriven.code, 0, "{}", redriven.stderr);
    assert_eq!(rows(&other, "findings").len(), 4);
}
