//! Hostile and broken input: small objects made here, each with what becomes of it, read by the library
//! one by one and by the program all in one archive.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use healthtrail::archive::read::{ObjectReader, ReadOptions, check};
use healthtrail::finding::place::Place;
use healthtrail::finding::product::Products;
use healthtrail::finding::rows::RowsBuilder;
use healthtrail::finding::tally::Tally;

use crate::program::{
    assert_unique, command, files, gzip, health_event, number, rows, run, text, write,
};

/// The limits that the library and the program read under here.
const OPTIONS: ReadOptions = ReadOptions {
    products: Products::All,
    object_bytes_max: 1 << 20,
    document_bytes_max: 256 << 10,
};
const LIMITS: [&str; 6] =
    ["--products", "all", "--object-bytes-max", "1MiB", "--document-bytes-max", "256KiB"];

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

/// An event with one piece of its text replaced.
fn event_with(from: &str, to: &str) -> Vec<u8> {
    let event = event(1);
    assert!(event.contains(from), "{from}");
    event.replacen(from, to, 1).into_bytes()
}

const ASFF: &str = r#"{"SchemaVersion":"2018-10-08","Id":"i","ProductArn":"arn:aws:securityhub:us-east-1::product/aws/guardduty","GeneratorId":"g","AwsAccountId":"111122223333","Types":["T"],"CreatedAt":"2026-08-01T00:00:00Z","UpdatedAt":"2026-08-01T00:00:00Z","Severity":{"Label":"LOW"},"Title":"t","Description":"d","Resources":[{"Type":"Other","Id":"r"}]}"#;
const OCSF: &str = r#"{"class_uid":2004,"category_uid":2,"time":1785542400000,"metadata":{"product":{"uid":"p"}},"finding_info":{"uid":"u"},"cloud":{"account":{"uid":"111122223333"}}}"#;

fn asff_with(from: &str, to: &str) -> Vec<u8> {
    assert!(ASFF.contains(from), "{from}");
    ASFF.replacen(from, to, 1).into_bytes()
}

fn sns(message: &str) -> String {
    let message = serde_json::to_string(message).unwrap();
    format!(r#"{{"Type":"Notification","TopicArn":"t","Message":{message}}}"#)
}

fn record(bytes: &[u8]) -> String {
    use base64::Engine as _;
    let data = base64::engine::general_purpose::STANDARD.encode(bytes);
    format!(r#"{{"attemptsMade":4,"errorCode":"x","rawData":"{data}"}}"#)
}

fn nested(depth: usize) -> Vec<u8> {
    format!(r#"{{"a":{}{}}}"#, "[".repeat(depth - 1), "]".repeat(depth - 1)).into_bytes()
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

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

struct Case {
    name: &'static str,
    bytes: Vec<u8>,
    expected: &'static str,
}

fn case(name: &'static str, bytes: impl Into<Vec<u8>>, expected: &'static str) -> Case {
    Case { name, bytes: bytes.into(), expected }
}

fn framings() -> Vec<Case> {
    let (one, two) = (event(1), event(2));
    let (a, b) = (one.as_bytes(), two.as_bytes());
    let many = |between: &str| format!("{one}{between}{two}{between}");
    let utf16: Vec<u8> = one.encode_utf16().flat_map(u16::to_le_bytes).collect();
    vec![
        case("empty", "", "0 rows"),
        case("white space", " \r\n\t \n", "0 rows"),
        case("bom alone", "\u{feff}", "0 rows"),
        case("half a bom", b"\xef\xbb", "0 rows, reject not_json 1"),
        case("bom first", format!("\u{feff}{one}"), "1 rows"),
        case("bom between", format!("{one}\u{feff}{two}"), "2 rows"),
        case("nothing between", many(""), "2 rows"),
        case("crlf", many("\r\n"), "2 rows"),
        case("literal newline", many("\\n"), "2 rows"),
        case("literal newline cut", format!("{one}\\"), "1 rows, reject not_json 1"),
        case("commas", many(","), "2 rows"),
        case("array", format!("[{one},{two}]"), "2 rows"),
        case("array without end", format!("[{one},{two}"), "2 rows"),
        case("two arrays", format!("[{one}][{two}]"), "2 rows"),
        case("array in an array", format!("[[{one}],{two}]"), "1 rows, passed unrecognised 1"),
        case("only an end", "]", "0 rows, reject not_json 1"),
        case("only a beginning", "{", "0 rows, reject cut_document 1"),
        case("only a quote", "\"", "0 rows, reject not_json 1"),
        case("numbers", "1 2 3 null true \"x\"", "0 rows, reject scalars 1"),
        case("brackets in strings", event_with("is impaired", "}{ ][ }\\\"{\\\\"), "1 rows"),
        case("nul bytes alone", [0; 64], "0 rows, reject not_json 1"),
        case("nul bytes between", join(&[a, &[0; 16], b]), "2 rows, reject not_json 1"),
        case(
            "nul byte in a string",
            event_with("impaired", "im\0paired"),
            "0 rows, reject not_json 1",
        ),
        case("utf-16", utf16, "0 rows, reject not_json 2"),
        case("bytes of no encoding", (128..=255).collect::<Vec<u8>>(), "0 rows, reject not_json 1"),
        case("html", "<html><body>503 Slow Down</body></html>", "0 rows, reject not_json 1"),
        case("csv", "a,b,c\n1,2,3\n", "0 rows, reject not_json 1"),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn broken() -> Vec<Case> {
    let (one, two) = (event(1), event(2));
    let cut = &one.as_bytes()[..one.len() / 2];
    let mut bad_utf8 = one.clone().into_bytes();
    bad_utf8[one.find("impaired").unwrap()] = 0xff;
    let quote_lost = one.replacen("\"service\":\"EC2\"", "\"service\":\"EC2", 1);
    vec![
        case("cut document", cut, "0 rows, reject cut_document 1"),
        case("cut, then a good one", join(&[cut, two.as_bytes()]), "1 rows, reject not_json 1"),
        case("good, junk, good", format!("{one} junk {two}"), "2 rows, reject not_json 1"),
        case(
            "quote lost, then a good one",
            format!("{quote_lost}{two}"),
            "1 rows, reject not_json 1",
        ),
        case(
            "comma behind the last",
            format!("{}{two}", one.replacen("\"}}", "\",}}", 1)),
            "1 rows, reject not_json 1",
        ),
        case("bracket too many", format!("{one}}}{two}"), "2 rows, reject not_json 1"),
        case(
            "wrong bracket",
            format!("{}{two}", one.replacen("}]", "}}", 1)),
            "1 rows, reject not_json 1",
        ),
        case("single quotes", "{'a':1}", "0 rows, reject not_json 1"),
        case("comment", format!("/* x */{one}// y\n{two}"), "2 rows, reject not_json 2"),
        case(
            "not a number",
            event_with("\"version\":\"0\"", "\"version\":NaN"),
            "0 rows, reject not_json 1",
        ),
        case(
            "leading zero",
            event_with("\"version\":\"0\"", "\"version\":007"),
            "0 rows, reject not_json 1",
        ),
        case("huge exponent", event_with("\"version\":\"0\"", "\"version\":1e400"), "1 rows"),
        case(
            "huge integer",
            asff_with("\"Types\"", "\"Confidence\":99999999999999999999,\"Types\""),
            "1 rows, unreadable confidence 1",
        ),
        case(
            "long number",
            format!("{{\"a\":{}}}", "9".repeat(100_000)),
            "0 rows, passed unrecognised 1",
        ),
        case("bad utf-8 in a value", bad_utf8, "1 rows, repaired 1"),
        case("lone surrogate in a value", event_with("impaired", "\\ud800"), "1 rows, repaired 1"),
        case(
            "lone surrogate in a name",
            event_with("\"version\"", "\"\\udc00\""),
            "1 rows, repaired 1",
        ),
        case(
            "surrogates the wrong way round",
            event_with("impaired", "\\udc00\\ud800"),
            "1 rows, repaired 2",
        ),
        case("broken escape", event_with("impaired", "\\x41"), "0 rows, reject not_json 1"),
        case("cut escape", b"{\"a\":\"\\u12", "0 rows, reject cut_document 1"),
        case("depth 127", nested(127), "0 rows, passed unrecognised 1"),
        case("depth 128", nested(128), "0 rows, reject too_deep 1"),
        case("depth 129", nested(129), "0 rows, reject too_deep 1"),
        case(
            "depth 100,000",
            join(&["[".repeat(100_000).as_bytes(), two.as_bytes()]),
            "1 rows, reject too_deep 1",
        ),
        case(
            "depth 100,000 of objects",
            join(&["{\"a\":".repeat(100_000).as_bytes(), two.as_bytes()]),
            "1 rows, reject too_deep 1",
        ),
        case(
            "document too long",
            format!("{{\"a\":\"{}\"}}{two}", "x".repeat(300 << 10)),
            "1 rows, reject document_too_large 1",
        ),
        case(
            "string without end",
            format!("{{\"a\":\"{}", "x".repeat(300 << 10)),
            "0 rows, reject document_too_large 1",
        ),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn fields() -> Vec<Case> {
    let many_keys: String = (0..10_000).fold(String::new(), |mut all, number| {
        write!(all, "\"k{number}\":1,").unwrap();
        all
    });
    let entities: String = (0..4_000).fold(String::new(), |mut all, number| {
        write!(all, "{{\"entityValue\":\"{number}\"}},").unwrap();
        all
    });
    let time = |time: &str| event_with("2026-08-01T10:00:00Z", time);
    let lone = |time: &str| {
        let detail = r#""lastUpdatedTime":"Mon, 3 Aug 2026 09:30:00 GMT","#;
        let start = r#""startTime":"Mon, 3 Aug 2026 09:00:00 GMT","#;
        event(1).replace("2026-08-01T10:00:00Z", time).replace(detail, "").replace(start, "")
    };
    vec![
        case(
            "duplicate keys",
            event_with("\"service\":\"EC2\"", "\"service\":\"S3\",\"service\":\"EC2\""),
            "1 rows",
        ),
        case("duplicate detail", event_with("\"detail\":", "\"detail\":7,\"detail\":"), "1 rows"),
        case(
            "detail is text",
            r#"{"detail-type":"AWS Health Event","source":"aws.health","detail":"{}"}"#,
            "0 rows, reject no_identity 1",
        ),
        case(
            "detail is null",
            r#"{"detail-type":"AWS Health Event","source":"aws.health","detail":null}"#,
            "0 rows, reject no_identity 1",
        ),
        case(
            "arn is a number",
            event_with(
                "\"arn:aws:health:us-east-1::event/EC2/AWS_EC2_OPERATIONAL_ISSUE/AWS_EC2_OPERATIONAL_ISSUE_1\"",
                "7",
            ),
            "0 rows, reject no_identity 1",
        ),
        case(
            "arn is empty",
            event_with(
                "\"arn:aws:health:us-east-1::event/EC2/AWS_EC2_OPERATIONAL_ISSUE/AWS_EC2_OPERATIONAL_ISSUE_1\"",
                "\"\"",
            ),
            "0 rows, reject no_identity 1",
        ),
        case(
            "envelope of wrong types",
            event_with("\"account\":\"111122223333\",\"time\"", "\"account\":[1],\"time\""),
            "1 rows, unreadable sent_to_account 1",
        ),
        case(
            "description is a number",
            event_with(
                "[{\"language\":\"en_US\",\"latestDescription\":\"Instance 1 is impaired.\"}]",
                "7",
            ),
            "1 rows, unreadable description 1",
        ),
        case(
            "entities are text",
            event_with(
                "[{\"entityValue\":\"i-00000000000000001\",\"status\":\"IMPAIRED\"}]",
                "\"all\"",
            ),
            "1 rows, unreadable entities 1",
        ),
        case(
            "entities of all types",
            event_with("[{\"entityValue\"", "[1,null,[],\"x\",{\"entityValue\""),
            "1 rows, unreadable entities 3",
        ),
        case(
            "page is an object",
            event_with("\"page\":\"1\"", "\"page\":{}"),
            "1 rows, unreadable page 1",
        ),
        case(
            "thousands of entities",
            event_with("[{\"entityValue\"", &format!("[{entities}{{\"entityValue\"")),
            "1 rows",
        ),
        case(
            "ten thousand keys",
            event_with("\"service\"", &format!("{many_keys}\"service\"")),
            "1 rows",
        ),
        case(
            "weekday that does not fit",
            event_with("Mon, 3 Aug 2026 09:30", "Sun, 3 Aug 2026 09:30"),
            "1 rows",
        ),
        case("template for a time", time("{{time}}"), "1 rows, unreadable event_time 1"),
        case("year 0", lone("0000-01-01T00:00:00Z"), "0 rows, reject no_time 1"),
        case("year 9999", lone("9999-12-31T23:59:59Z"), "0 rows, reject no_time 1"),
        case("30 February", lone("2026-02-30T00:00:00Z"), "0 rows, reject no_time 1"),
        case("epoch below zero", lone("-1"), "0 rows, reject no_time 1"),
        case("epoch as text", lone("1785542400"), "1 rows"),
        case(
            "epoch of 30 digits",
            lone("178554240000000000000000000000"),
            "0 rows, reject no_time 1",
        ),
        case(
            "times of wrong types",
            asff_with(
                "\"2026-08-01T00:00:00Z\",\"UpdatedAt\":\"2026-08-01T00:00:00Z\"",
                "[],\"UpdatedAt\":{}",
            ),
            "0 rows, reject no_time 1",
        ),
        case("asff without id", asff_with("\"Id\":\"i\",", ""), "0 rows, reject no_identity 1"),
        case(
            "asff id is an object",
            asff_with("\"Id\":\"i\"", "\"Id\":{}"),
            "0 rows, reject no_identity 1",
        ),
        case(
            "asff without product",
            asff_with(
                "\"ProductArn\":\"arn:aws:securityhub:us-east-1::product/aws/guardduty\",",
                "",
            ),
            "0 rows, reject no_identity 1",
        ),
        case(
            "asff of wrong types",
            asff_with("{\"Label\":\"LOW\"},\"Title\":\"t\"", "[1],\"Title\":{\"a\":[]}"),
            "1 rows, unreadable severity_label 1, unreadable title 1",
        ),
        case(
            "asff resources are text",
            asff_with("[{\"Type\":\"Other\",\"Id\":\"r\"}]", "\"r\""),
            "1 rows, unreadable resources 1",
        ),
        case("ocsf", OCSF, "1 rows"),
        case(
            "ocsf without uid",
            OCSF.replace("\"uid\":\"u\"", "\"title\":\"t\""),
            "0 rows, reject no_identity 1",
        ),
        case(
            "ocsf of wrong types",
            OCSF.replace("1785542400000", "\"soon\"")
                .replace("{\"account\":{\"uid\":\"111122223333\"}}", "[]"),
            "0 rows, reject no_time 1",
        ),
        case(
            "region climbs",
            event_with("\"region\":\"us-east-1\"", "\"region\":\"../../x\""),
            "1 rows",
        ),
        case("account climbs", health_event(1, "2026-08-01", "../x=\\n/").into_bytes(), "1 rows"),
        case(
            "findings of all types",
            format!(
                r#"{{"detail-type":"Security Hub Findings - Imported","time":"2026-08-01T00:00:00Z","detail":{{"findings":[1,null,"x",[],{{}},{ASFF},{OCSF}]}}}}"#
            ),
            "2 rows, reject no_identity 5",
        ),
        case(
            "findings is an object",
            format!(
                r#"{{"detail-type":"Security Hub Findings - Imported","time":"2026-08-01T00:00:00Z","detail":{{"findings":{ASFF}}}}}"#
            ),
            "1 rows",
        ),
    ]
}

fn wrappers() -> Vec<Case> {
    let one = event(1);
    let twice = sns(&record(sns(&one).as_bytes()));
    let six = (0..6).fold(one.clone(), |inner, _| sns(&inner));
    let records = (0..6).fold(one.clone(), |inner, _| record(inner.as_bytes()));
    vec![
        case("sns in firehose in sns", twice, "1 rows"),
        case("sns six times", six, "0 rows, reject too_deep 1"),
        case("records six times", records, "0 rows, reject too_deep 1"),
        case("sns of text", sns("hello"), "0 rows, reject unreadable_wrapper 1"),
        case("sns of a cut event", sns(&one[..200]), "0 rows, reject unreadable_wrapper 1"),
        case("record of gzip", record(&gzip(one.as_bytes())), "1 rows"),
        case(
            "record of cut gzip",
            record(&gzip(one.as_bytes())[..200]),
            "0 rows, reject truncated_compression 1",
        ),
        case(
            "record without base64",
            r#"{"attemptsMade":4,"errorCode":"x","rawData":"%%%"}"#,
            "0 rows, reject unreadable_wrapper 1",
        ),
        case("record of nothing", record(b""), "0 rows, passed no_findings 1"),
        case(
            "record of many",
            record(format!("{one}{}junk{}", event(2), event(3)).as_bytes()),
            "3 rows, reject not_json 1",
        ),
    ]
}

fn compressions() -> Vec<Case> {
    let (one, two) = (event(1), event(2));
    let (a, b) = (gzip(one.as_bytes()), gzip(two.as_bytes()));
    let both = format!("{one}{two}");
    let (left, right) = both.as_bytes().split_at(both.len() / 3);
    let five = (0..5).fold(one.clone().into_bytes(), |inner, _| gzip(&inner));
    let mut flipped = a.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x10;
    let mut wrong_sum = a.clone();
    let last = wrong_sum.len() - 6;
    wrong_sum[last] ^= 1;
    let bomb = gzip(&vec![b' '; 4 << 20]);
    let late_bomb = gzip(&join(&[one.as_bytes(), &vec![b' '; 4 << 20]]));
    let entries: Vec<String> = (0..300).map(event).collect();
    let entries: Vec<&[u8]> = entries.iter().map(String::as_bytes).collect();
    let zipped = zip(&[one.as_bytes(), two.as_bytes()]);
    vec![
        case("gzip of nothing", gzip(b""), "0 rows"),
        case("two members", join(&[&a, &b]), "2 rows"),
        case("members cut inside a record", join(&[&gzip(left), &gzip(right)]), "2 rows"),
        case(
            "member, then garbage",
            join(&[&a, b"garbage"]),
            "1 rows, reject corrupt_compression 1",
        ),
        case("member, then zeros", join(&[&a, &[0; 100]]), "1 rows"),
        case(
            "member, then plain text",
            join(&[&a, two.as_bytes()]),
            "1 rows, reject corrupt_compression 1",
        ),
        case("gzip in gzip", gzip(&a), "1 rows"),
        case("gzip five times", five, "0 rows, reject corrupt_compression 1"),
        case("bit flipped", flipped, "1 rows, reject corrupt_compression 1"),
        case("wrong checksum", wrong_sum, "1 rows, reject corrupt_compression 1"),
        case(
            "gzip header alone",
            b"\x1f\x8b\x08\0\0\0\0\0\0\0",
            "0 rows, reject truncated_compression 1",
        ),
        case("gzip bomb", bomb, "0 rows, reject object_too_large 1"),
        case("event, then bomb", late_bomb, "1 rows, reject object_too_large 1"),
        case("zip", zipped.clone(), "2 rows"),
        case("zip cut", &zipped[..zipped.len() / 2], "1 rows, reject truncated_compression 1"),
        case("zip of many entries", zip(&entries), "300 rows"),
        case("zip of nothing", zip(&[]), "0 rows"),
        case("zip in gzip", gzip(&zipped), "2 rows"),
        case("zip of gzip", zip(&[&a]), "1 rows"),
        case("parquet", b"PAR1\x15\x04", "0 rows, reject foreign_format 1"),
        case("bzip2", b"BZh91AY&SY", "0 rows, reject foreign_format 1"),
        case("zstd header alone", b"\x28\xb5\x2f\xfd", "0 rows, reject truncated_compression 1"),
        case(
            "snappy header alone",
            b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\x7f\xff\xff\xff",
            "0 rows, reject corrupt_compression 1",
        ),
    ]
}

fn cases() -> Vec<Case> {
    [framings(), broken(), fields(), wrappers(), compressions()].into_iter().flatten().collect()
}

#[test]
fn every_hostile_object_becomes_what_the_table_says() {
    let cases = cases();
    assert!(cases.len() >= 60);
    let mut wrong = String::new();
    for Case { name, bytes, expected } in &cases {
        let told = told(&read(bytes));
        if told != *expected {
            writeln!(wrong, "{name}\n  expected: {expected}\n  found:    {told}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
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

#[test]
fn an_archive_of_hostile_objects_is_read_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, lake) = (folder.path().join("archive"), folder.path().join("lake"));
    let mut expected = Tally::default();
    let mut objects = 0;
    for (number, Case { name, bytes, .. }) in cases().iter().enumerate() {
        write(&archive, &key(number, name), bytes);
        if !bytes.is_empty() {
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
        .args(LIMITS)
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(String::from_utf8_lossy(&ran.stderr), "");
    let summary: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(number(&summary, "objects.read"), objects);
    assert_eq!(number(&summary, "objects.skipped"), 1);
    assert_summary(&summary, &expected);
    assert_unique(&lake);
    assert_partitions(&lake);
    let rejects = rows(&lake, "rejects");
    assert_eq!(rejects.len() as u64, expected.by_reason.total());
    assert_eq!(rows(&lake, "findings").len() as u64, number(&summary, "findings.added"));

    let again = run(text(&archive), text(&lake), &LIMITS, 0);
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
    let summary = run(text(&archive), text(&lake), &LIMITS, 0);
    assert_summary(&summary, &expected);
    assert_eq!(rows(&lake, "findings").len(), 2);
    assert_eq!(rows(&lake, "rejects").len() as u64, expected.by_reason.total());
}
