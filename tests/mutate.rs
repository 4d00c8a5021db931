//! A seeded mutator: documents of the samples and of a generated archive, cut, flipped, filled, doubled,
//! nested and swapped. Whatever comes out, nothing may panic, no byte may be lost sight of, and the
//! EventBridge events on both sides of a broken document must survive.

use std::fs;
use std::ops::Range;
use std::path::Path;

use healthtrail::archive::read::{DocumentReport, ObjectReader, Outcome, ReadOptions, check};
use healthtrail::finding::json::{Arena, Doubt, Json};
use healthtrail::finding::limits::CountLimits;
use healthtrail::finding::place::Place;
use healthtrail::finding::product::Products;
use healthtrail::finding::rows::RowsBuilder;
use healthtrail::finding::tally::Tally;

use crate::program::{files, gzip, healthtrail, text};

/// How many documents are mutated; `ATTACK_CASES` asks for more.
const DOCUMENTS: usize = 100_000;
/// How many the two JSON readers are held against each other on.
const JSON_DOCUMENTS: usize = 20_000;
const DOCUMENTS_PER_OBJECT: usize = 8;
/// Longer ones make the test slow and nothing else.
const DOCUMENT_BYTES_MAX: usize = 4_000;
const SEED: u64 = 0x5eed_2026_1124_0001;

/// What is put into documents: whatever means something to one of the readers.
const TOKENS: [&[u8]; 22] = [
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\\ud800",
    b"1e400",
    b"\n",
    b"\\n",
    b"{\"",
    b"\"}",
    b"null",
    b"\x1f\x8b\x08",
    b"\"detail\":{",
    b"\"Message\":\"",
    b"\"detail-type\":\"AWS Health Event\",",
];

/// The xorshift64* generator: the same numbers everywhere and for ever.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.roll()).unwrap() % bound.max(1)
    }

    fn range(&mut self, bytes: &[u8]) -> Range<usize> {
        let (one, two) = (self.below(bytes.len() + 1), self.below(bytes.len() + 1));
        one.min(two)..one.max(two)
    }
}

fn mutate(document: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = document.to_vec();
    for _ in 0..=dice.below(3) {
        let at = dice.below(bytes.len() + 1);
        match dice.below(10) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(..at)),
            2 => drop(bytes.drain(dice.range(&bytes))),
            3 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << dice.below(8);
                }
            }
            4 | 5 => {
                let token = TOKENS[dice.below(TOKENS.len())];
                drop(bytes.splice(at..at, token.iter().copied()));
            }
            6 => {
                let piece = bytes[dice.range(&bytes)].to_vec();
                drop(bytes.splice(at..at, piece));
            }
            7 => bytes = nest(&bytes, dice),
            8 => {
                let range = dice.range(&bytes);
                bytes[range].reverse();
            }
            _ => {
                let (start, end) = bytes.split_at(at);
                bytes = [end, start].concat();
            }
        }
        bytes.truncate(2 * DOCUMENT_BYTES_MAX);
    }
    bytes
}

/// Puts a document into a wrapper, an array, or an object that ends or does not.
fn nest(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    use base64::Engine as _;
    let lossy = String::from_utf8_lossy(bytes);
    let text = match dice.below(5) {
        0 => format!(
            r#"{{"Type":"Notification","Message":{}}}"#,
            serde_json::to_string(&lossy).unwrap()
        ),
        1 | 2 => {
            let packed = if dice.below(2) == 0 { gzip(bytes) } else { bytes.to_vec() };
            let data = base64::engine::general_purpose::STANDARD.encode(packed);
            format!(r#"{{"errorCode":"x","rawData":"{data}"}}"#)
        }
        3 => format!("[{lossy}]"),
        _ => format!("{{\"a\":{lossy}"),
    };
    text.into_bytes()
}

/// A short EventBridge event.
fn neighbour(number: usize) -> Vec<u8> {
    format!(
        r#"{{"detail-type":"AWS Health Event","source":"aws.health","account":"111122223333","time":"2026-08-01T10:00:00Z","detail":{{"eventArn":"arn:aws:health:us-east-1::event/EC2/C/C_{number}","service":"EC2","eventTypeCode":"C"}}}}"#
    )
    .into_bytes()
}

fn wanted(documents: usize) -> usize {
    std::env::var("ATTACK_CASES").ok().map_or(documents, |count| count.parse().unwrap())
}

fn read(bytes: &[u8]) -> (Vec<DocumentReport>, Tally) {
    let place = Place { object: "s3://b/k".into(), etag: "e".into(), arrived_hour_ms: 0 };
    let options = ReadOptions {
        products: Products::All,
        object_bytes_max: 1 << 20,
        document_bytes_max: 64 << 10,
        counts: CountLimits::DEFAULT,
    };
    let mut reader = ObjectReader::new(Box::new(bytes), place, &options);
    let (mut rows, mut rejects, mut reports) = (RowsBuilder::new(), Vec::new(), Vec::new());
    while let Some(report) = reader.step(&mut rows, &mut rejects).unwrap() {
        reports.push(report);
    }
    let tally = reader.into_tally();
    assert_eq!(check(&tally), Ok(()));
    assert_eq!(tally.findings.rows, rows.finish().batch.num_rows() as u64);
    assert_eq!(tally.by_reason.total(), rejects.len() as u64);
    (reports, tally)
}

/// Documents come in order and apart from each other; with what lies between they are all bytes.
fn assert_whole(reports: &[DocumentReport], tally: &Tally) {
    let mut end = 0;
    let mut covered = 0;
    for report in reports {
        assert!(report.range.start >= end, "{reports:?}");
        end = report.range.end;
        covered += report.range.end - report.range.start;
    }
    assert!(end <= tally.bytes.decompressed);
    assert_eq!(covered + tally.bytes.between_documents, tally.bytes.decompressed);
    assert_eq!(covered, tally.bytes.in_documents + tally.bytes.rejected);
}

/// The documents to begin with.
fn documents() -> Vec<Vec<u8>> {
    let events = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/events");
    let mut documents: Vec<Vec<u8>> =
        files(&events).iter().map(|file| fs::read(events.join(file)).unwrap()).collect();
    let folder = tempfile::tempdir().unwrap();
    let archive = text(folder.path());
    let options = ["--objects", "10", "--events", "400", "--compression", "none", "--days", "3"];
    let ran = healthtrail(&[&["generate", "--to", archive], options.as_slice()].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for file in files(folder.path()) {
        let bytes = fs::read(folder.path().join(file)).unwrap();
        let (reports, _) = read(&bytes);
        documents.extend(reports.into_iter().map(|report| {
            let index = |at: u64| usize::try_from(at).unwrap();
            bytes[index(report.range.start)..index(report.range.end)].to_vec()
        }));
    }
    documents.retain(|document| document.len() <= DOCUMENT_BYTES_MAX);
    assert!(documents.len() > 200, "{}", documents.len());
    documents
}

/// A quarter of the documents, from a seed of its own, so that the quarters run at the same time.
fn accounted_for_and_harm_no_neighbour(quarter: u64) {
    let documents = documents();
    let mut dice = Dice(SEED + 16 * quarter);
    let wanted = wanted(DOCUMENTS) / 4;
    let mut swallowed = 0;
    for _ in 0..wanted / DOCUMENTS_PER_OBJECT {
        let mut object = Vec::new();
        let mut neighbours = Vec::new();
        for number in 0..=DOCUMENTS_PER_OBJECT {
            let start = object.len() as u64;
            object.extend_from_slice(&neighbour(number));
            neighbours.push(start..object.len() as u64);
            if number < DOCUMENTS_PER_OBJECT {
                let document = &documents[dice.below(documents.len())];
                object.extend_from_slice(&mutate(document, &mut dice));
            }
        }
        let (reports, tally) = read(&object);
        assert_whole(&reports, &tally);
        for neighbour in neighbours {
            let is_own = reports
                .iter()
                .any(|report| report.range == neighbour && report.outcome == Outcome::WithFindings);
            if is_own {
                continue;
            }
            // Two broken documents may fit together around a good one: then it is a part of them.
            let around = reports.iter().find(|report| report.range.end >= neighbour.end).unwrap();
            let is_part = !matches!(around.outcome, Outcome::Rejected(_));
            assert!(is_part, "{neighbour:?} of {}", String::from_utf8_lossy(&object));
            swallowed += 1;
        }
    }
    assert!(swallowed < wanted / 1_000, "{swallowed} good events lie in others");
}

#[test]
fn mutated_documents_are_accounted_for_and_harm_no_neighbour() {
    accounted_for_and_harm_no_neighbour(0);
}

#[test]
fn mutated_documents_are_accounted_for_and_harm_no_neighbour_2() {
    accounted_for_and_harm_no_neighbour(1);
}

#[test]
fn mutated_documents_are_accounted_for_and_harm_no_neighbour_3() {
    accounted_for_and_harm_no_neighbour(2);
}

#[test]
fn mutated_documents_are_accounted_for_and_harm_no_neighbour_4() {
    accounted_for_and_harm_no_neighbour(3);
}

/// Part of `tests/attack mutate`, which asks for other seeds or for more by `ATTACK_CASES`.
#[test]
#[ignore = "takes minutes"]
fn matrix_of_other_seeds() {
    let seed = std::env::var("ATTACK_SEED").ok().map_or(4, |seed| seed.parse().unwrap());
    accounted_for_and_harm_no_neighbour(seed);
    println!("mutate   {} documents from seed {seed}, all accounted for", wanted(DOCUMENTS) / 4);
}

/// The reader that all documents pass is held to `serde_json`: the same trees, and nothing taken that
/// `serde_json` refuses.
#[test]
fn both_json_readers_say_the_same_of_mutated_documents() {
    let documents = documents();
    let mut dice = Dice(SEED + 2);
    let mut taken = 0;
    for nth in 0..wanted(JSON_DOCUMENTS) {
        let document = &documents[dice.below(documents.len())];
        // Every third as it is.
        let bytes = if nth % 3 == 0 { document.clone() } else { mutate(document, &mut dice) };
        let text = String::from_utf8_lossy(&bytes);
        let (quick, reference) = (Arena::default(), Arena::default());
        let expected = Json::parse_reference(&text, &reference);
        match (Json::parse_first(&text, &quick), expected) {
            (Ok((json, length)), Ok(expected)) => {
                assert_eq!(json, expected, "{text}");
                assert!(text[length..].bytes().all(|byte| b" \n\t\r".contains(&byte)), "{text}");
                taken += 1;
            }
            // The value ends before the text does.
            (Ok((json, length)), Err(error)) => {
                assert!(length < text.len(), "only the quick reader takes {text}: {error}");
                let expected = Json::parse_reference(&text[..length], &reference);
                assert_eq!(Ok(json), expected, "{text}");
            }
            (Err(doubt), Ok(_)) => assert_eq!(doubt, Doubt::Unsure, "{text}"),
            (Err(_), Err(_)) => {}
        }
    }
    assert!(taken > 1_000, "{taken}");
}

#[test]
fn mutated_compressed_objects_are_accounted_for() {
    let documents = documents();
    let mut dice = Dice(SEED + 1);
    for _ in 0..2_000 {
        let document = &documents[dice.below(documents.len())];
        let packed = gzip(document);
        let (reports, tally) = read(&mutate(&packed, &mut dice));
        assert_whole(&reports, &tally);
    }
}
