//! Hostile and broken input: small objects made here, each with what becomes of it, read by the library
//! one by one and by the program all in one archive.

use std::collections::{BTreeMap, BTreeSet};
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
    assert_unique, files, gzip, health_event, healthtrail, key, number, rows, run, text, write,
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
        case("empty", "", ""),
        case("white space", " \r\n\t \n", ""),
        case("bom alone", "\u{feff}", ""),
        case("half a bom", b"\xef\xbb", ""),
        case("bom first", format!("\u{feff}{one}"), ""),
        case("bom between", format!("{one}\u{feff}{two}"), ""),
        case("nothing between", many(""), ""),
        case("crlf", many("\r\n"), ""),
        case("literal newline", many("\\n"), ""),
        case("literal newline cut", format!("{one}\\"), ""),
        case("commas", many(","), ""),
        case("array", format!("[{one},{two}]"), ""),
        case("array without end", format!("[{one},{two}"), ""),
        case("two arrays", format!("[{one}][{two}]"), ""),
        case("array in an array", format!("[[{one}],{two}]"), ""),
        case("only an end", "]", ""),
        case("only a beginning", "{", ""),
        case("only a quote", "\"", ""),
        case("numbers", "1 2 3 null true \"x\"", ""),
        case("brackets in strings", event_with("is impaired", "}{ ][ }\\\"{\\\\"), ""),
        case("nul bytes alone", [0; 64], ""),
        case("nul bytes between", join(&[a, &[0; 16], b]), ""),
        case("nul byte in a string", event_with("impaired", "im\0paired"), ""),
        case("utf-16", utf16, ""),
        case("bytes of no encoding", (128..=255).collect::<Vec<u8>>(), ""),
        case("html", "<html><body>503 Slow Down</body></html>", ""),
        case("csv", "a,b,c\n1,2,3\n", ""),
    ]
}

fn broken() -> Vec<Case> {
    let (one, two) = (event(1), event(2));
    let cut = &one.as_bytes()[..one.len() / 2];
    let quote_lost = one.replacen("\"service\":\"EC2\"", "\"service\":\"EC2", 1);
    vec![
        case("cut document", cut, ""),
        case("cut, then a good one", join(&[cut, two.as_bytes()]), ""),
        case("good, junk, good", format!("{one} junk {two}"), ""),
        case("quote lost, then a good one", format!("{quote_lost}{two}"), ""),
        case("comma behind the last", format!("{}{two}", one.replacen("\"}}", "\",}}", 1)), ""),
        case("bracket too many", format!("{one}}}{two}"), ""),
        case("wrong bracket", format!("{}{two}", one.replacen("}]", "}}", 1)), ""),
        case("single quotes", "{'a':1}", ""),
        case("comment", format!("/* x */{one}// y\n{two}"), ""),
        case("not a number", event_with("\"version\":\"0\"", "\"version\":NaN"), ""),
        case("leading zero", event_with("\"version\":\"0\"", "\"version\":007"), ""),
        case("huge exponent", event_with("\"version\":\"0\"", "\"version\":1e400"), ""),
        case(
            "huge integer",
            asff_with("\"Types\"", "\"Confidence\":99999999999999999999,\"Types\""),
            "",
        ),
        case("long number", format!("{{\"a\":{}}}", "9".repeat(100_000)), ""),
        case(
            "bad utf-8 in a value",
            join(&[&event_with("is impaired", "is \u{1}")])
                .iter()
                .map(|b| if *b == 1 { 0xff } else { *b })
                .collect::<Vec<u8>>(),
            "",
        ),
        case("lone surrogate in a value", event_with("impaired", "\\ud800"), ""),
        case("lone surrogate in a name", event_with("\"version\"", "\"\\udc00\""), ""),
        case("surrogates the wrong way round", event_with("impaired", "\\udc00\\ud800"), ""),
        case("broken escape", event_with("impaired", "\\x41"), ""),
        case("cut escape", b"{\"a\":\"\\u12", ""),
        case("depth 127", nested(127), ""),
        case("depth 128", nested(128), ""),
        case("depth 129", nested(129), ""),
        case("depth 100,000", join(&["[".repeat(100_000).as_bytes(), two.as_bytes()]), ""),
        case(
            "depth 100,000 of objects",
            join(&["{\"a\":".repeat(100_000).as_bytes(), two.as_bytes()]),
            "",
        ),
        case("document too long", format!("{{\"a\":\"{}\"}}{two}", "x".repeat(300 << 10)), ""),
        case("string without end", format!("{{\"a\":\"{}", "x".repeat(300 << 10)), ""),
    ]
}

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
            "",
        ),
        case("duplicate detail", event_with("\"detail\":", "\"detail\":7,\"detail\":"), ""),
        case(
            "detail is text",
            r#"{"detail-type":"AWS Health Event","source":"aws.health","detail":"{}"}"#,
            "",
        ),
        case(
            "detail is null",
            r#"{"detail-type":"AWS Health Event","source":"aws.health","detail":null}"#,
            "",
        ),
        case(
            "arn is a number",
            event_with(
                "\"arn:aws:health:us-east-1::event/EC2/AWS_EC2_OPERATIONAL_ISSUE/AWS_EC2_OPERATIONAL_ISSUE_1\"",
                "7",
            ),
            "",
        ),
        case(
            "arn is empty",
            event_with(
                "\"arn:aws:health:us-east-1::event/EC2/AWS_EC2_OPERATIONAL_ISSUE/AWS_EC2_OPERATIONAL_ISSUE_1\"",
                "\"\"",
            ),
            "",
        ),
        case(
            "envelope of wrong types",
            event_with("\"account\":\"111122223333\",\"time\"", "\"account\":[1],\"time\""),
            "",
        ),
        case(
            "description is a number",
            event_with(
                "[{\"language\":\"en_US\",\"latestDescription\":\"Instance 1 is impaired.\"}]",
                "7",
            ),
            "",
        ),
        case(
            "entities are text",
            event_with(
                "[{\"entityValue\":\"i-00000000000000001\",\"status\":\"IMPAIRED\"}]",
                "\"all\"",
            ),
            "",
        ),
        case(
            "entities of all types",
            event_with("[{\"entityValue\"", "[1,null,[],\"x\",{\"entityValue\""),
            "",
        ),
        case("page is an object", event_with("\"page\":\"1\"", "\"page\":{}"), ""),
        case(
            "thousands of entities",
            event_with("[{\"entityValue\"", &format!("[{entities}{{\"entityValue\"")),
            "",
        ),
        case(
            "ten thousand keys",
            event_with("\"service\"", &format!("{many_keys}\"service\"")),
            "",
        ),
        case(
            "weekday that does not fit",
            event_with("Mon, 3 Aug 2026 09:30", "Sun, 3 Aug 2026 09:30"),
            "",
        ),
        case("template for a time", time("{{time}}"), ""),
        case("year 0", lone("0000-01-01T00:00:00Z"), ""),
        case("year 9999", lone("9999-12-31T23:59:59Z"), ""),
        case("30 February", lone("2026-02-30T00:00:00Z"), ""),
        case("epoch below zero", lone("-1"), ""),
        case("epoch as text", lone("1785542400"), ""),
        case("epoch of 30 digits", lone("178554240000000000000000000000"), ""),
        case(
            "times of wrong types",
            asff_with(
                "\"2026-08-01T00:00:00Z\",\"UpdatedAt\":\"2026-08-01T00:00:00Z\"",
                "[],\"UpdatedAt\":{}",
            ),
            "",
        ),
        case("asff without id", asff_with("\"Id\":\"i\",", ""), ""),
        case("asff id is an object", asff_with("\"Id\":\"i\"", "\"Id\":{}"), ""),
        case(
            "asff without product",
            asff_with(
                "\"ProductArn\":\"arn:aws:securityhub:us-east-1::product/aws/guardduty\",",
                "",
            ),
            "",
        ),
        case(
            "asff of wrong types",
            asff_with("{\"Label\":\"LOW\"},\"Title\":\"t\"", "[1],\"Title\":{\"a\":[]}"),
            "",
        ),
        case(
            "asff resources are text",
            asff_with("[{\"Type\":\"Other\",\"Id\":\"r\"}]", "\"r\""),
            "",
        ),
        case("ocsf", OCSF, ""),
        case("ocsf without uid", OCSF.replace("\"uid\":\"u\"", "\"title\":\"t\""), ""),
        case(
            "ocsf of wrong types",
            OCSF.replace("1785542400000", "\"soon\"")
                .replace("{\"account\":{\"uid\":\"111122223333\"}}", "[]"),
            "",
        ),
        case("region climbs", event_with("\"region\":\"us-east-1\"", "\"region\":\"../../x\""), ""),
        case("account climbs", health_event(1, "2026-08-01", "../x=\\n/").into_bytes(), ""),
        case(
            "findings of all types",
            format!(
                r#"{{"detail-type":"Security Hub Findings - Imported","time":"2026-08-01T00:00:00Z","detail":{{"findings":[1,null,"x",[],{{}},{ASFF},{OCSF}]}}}}"#
            ),
            "",
        ),
        case(
            "findings is an object",
            format!(
                r#"{{"detail-type":"Security Hub Findings - Imported","time":"2026-08-01T00:00:00Z","detail":{{"findings":{ASFF}}}}}"#
            ),
            "",
        ),
    ]
}

fn wrappers() -> Vec<Case> {
    let one = event(1);
    let twice = sns(&record(sns(&one).as_bytes()));
    let six = (0..6).fold(one.clone(), |inner, _| sns(&inner));
    let records = (0..6).fold(one.clone(), |inner, _| record(inner.as_bytes()));
    vec![
        case("sns in firehose in sns", twice, ""),
        case("sns six times", six, ""),
        case("records six times", records, ""),
        case("sns of text", sns("hello"), ""),
        case("sns of a cut event", sns(&one[..200]), ""),
        case("record of gzip", record(&gzip(one.as_bytes())), ""),
        case("record of cut gzip", record(&gzip(one.as_bytes())[..200]), ""),
        case("record without base64", r#"{"attemptsMade":4,"errorCode":"x","rawData":"%%%"}"#, ""),
        case("record of nothing", record(b""), ""),
        case("record of many", record(format!("{one}{}junk{}", event(2), event(3)).as_bytes()), ""),
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
        case("gzip of nothing", gzip(b""), ""),
        case("two members", join(&[&a, &b]), ""),
        case("members cut inside a record", join(&[&gzip(left), &gzip(right)]), ""),
        case("member, then garbage", join(&[&a, b"garbage"]), ""),
        case("member, then zeros", join(&[&a, &[0; 100]]), ""),
        case("member, then plain text", join(&[&a, two.as_bytes()]), ""),
        case("gzip in gzip", gzip(&a), ""),
        case("gzip five times", five, ""),
        case("bit flipped", flipped, ""),
        case("wrong checksum", wrong_sum, ""),
        case("gzip header alone", b"\x1f\x8b\x08\0\0\0\0\0\0\0", ""),
        case("gzip bomb", bomb, ""),
        case("event, then bomb", late_bomb, ""),
        case("zip", zipped.clone(), ""),
        case("zip cut", &zipped[..zipped.len() / 2], ""),
        case("zip of many entries", zip(&entries), ""),
        case("zip of nothing", zip(&[]), ""),
        case("zip in gzip", gzip(&zipped), ""),
        case("zip of gzip", zip(&[&a]), ""),
        case("parquet", b"PAR1\x15\x04", ""),
        case("bzip2", b"BZh91AY&SY", ""),
        case("zstd header alone", b"\x28\xb5\x2f\xfd", ""),
        case("snappy header alone", b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\x7f\xff\xff\xff", ""),
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
