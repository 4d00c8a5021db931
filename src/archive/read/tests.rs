//! Whole objects: what becomes of each document, and that the sums hold for any bytes.

use proptest::prelude::*;

use super::*;
use crate::archive::unpack::pack;

pub(super) const OPTIONS: ReadOptions = ReadOptions {
    products: Products::Health,
    object_bytes_max: OBJECT_BYTES_MAX,
    document_bytes_max: 1 << 20,
    counts: CountLimits::DEFAULT,
};

pub(super) fn place() -> Place {
    Place { object: "s3://b/k".into(), etag: "e".into(), arrived_hour_ms: 0 }
}

pub(super) struct Whole {
    pub(super) reports: Vec<DocumentReport>,
    pub(super) rejects: Vec<Reject>,
    pub(super) tally: Tally,
    rows: usize,
}

pub(super) fn read_all(bytes: &[u8], options: &ReadOptions) -> Whole {
    let mut reader = ObjectReader::new(Box::new(bytes), place(), options);
    let (mut rows, mut rejects, mut reports) = (RowsBuilder::new(), Vec::new(), Vec::new());
    while let Some(report) = reader.step(&mut rows, &mut rejects).unwrap() {
        reports.push(report);
    }
    let tally = reader.tally().clone();
    check(&tally).unwrap();
    assert_eq!(tally.findings.rows, rows.len() as u64);
    assert_eq!(tally.documents.read, reports.len() as u64);
    Whole { reports, rejects, tally, rows: rows.len() }
}

fn health(time: &str) -> String {
    format!(
        r#"{{"detail-type":"AWS Health Event","source":"aws.health","account":"123456789012","time":"{time}","region":"us-east-1","detail":{{"eventArn":"arn:aws:health:us-east-1::event/EC2/C/C_1","service":"EC2","eventTypeCode":"C"}}}}"#
    )
}

fn asff(product: &str, more: &str) -> String {
    format!(
        r#"{{"Id":"i","ProductArn":"arn:aws:securityhub:us-east-1::product/aws/{product}","AwsAccountId":"1","UpdatedAt":"2026-11-24T00:00:00Z"{more}}}"#
    )
}

fn imported(findings: &[String]) -> String {
    format!(
        r#"{{"detail-type":"Security Hub Findings - Imported","source":"aws.securityhub","time":"2026-11-24T00:00:00Z","detail":{{"findings":[{}]}}}}"#,
        findings.join(",")
    )
}

/// A document's envelope and outcome, with its rows and rejects.
fn told(report: &DocumentReport) -> String {
    let outcome = match report.outcome {
        Outcome::WithFindings => "with".to_owned(),
        Outcome::PassedOver(kind) => format!("({kind})"),
        Outcome::Rejected(reason) => format!("!{}", reason.name()),
    };
    format!("{} {outcome} {} {}", report.envelope, report.rows.len(), report.rejects.len())
}

#[test]
fn documents_and_findings_are_counted_by_what_becomes_of_them() {
    let good = health("2026-11-24T03:00:00Z");
    let (ours, other) = (asff("health", ""), asff("guardduty", ""));
    let nameless =
        r#"{"ProductArn":"arn:aws:securityhub:us-east-1::product/aws/health","Title":"t"}"#;
    // Findings: read, rows, passed over, rejected.
    let table: [(String, &str, [u64; 4]); 12] = [
        (good.clone(), "eventbridge with 1 0", [1, 1, 0, 0]),
        (health("{{time}}"), "eventbridge !no_time 0 1", [0; 4]),
        (ours.clone(), "asff with 1 0", [1, 1, 0, 0]),
        (other.clone(), "asff (other_product) 0 0", [0; 4]),
        (nameless.to_owned(), "asff !no_identity 0 1", [0; 4]),
        (imported(&[ours.clone(), other.clone()]), "eventbridge with 1 0", [2, 1, 1, 0]),
        (imported(&[other.clone(), other.clone()]), "eventbridge (other_product) 0 0", [0; 4]),
        (imported(&[nameless.to_owned()]), "eventbridge with 0 1", [1, 0, 0, 1]),
        (
            imported(&["7".to_owned(), ours, other.clone(), nameless.to_owned()]),
            "eventbridge with 1 2",
            [4, 1, 1, 2],
        ),
        (imported(&[other, "7".to_owned()]), "eventbridge with 0 1", [2, 0, 1, 1]),
        ("{}".to_owned(), "unknown (unrecognised) 0 0", [0; 4]),
        ("{\"a\":}".to_owned(), "none !not_json 0 1", [0; 4]),
    ];
    for (text, expected, [read, rows, passed_over, rejected]) in table {
        let whole = read_all(text.as_bytes(), &OPTIONS);
        assert_eq!(told(&whole.reports[0]), expected, "{text}");
        let findings = whole.tally.findings;
        let found = [findings.read, findings.rows, findings.passed_over, findings.rejected];
        assert_eq!(found, [read, rows, passed_over, rejected], "{text}");
        if let Some(reject) = whole.rejects.first() {
            assert_eq!(reject.range, 0..text.len() as u64);
            assert_eq!(reject.bytes, text.as_bytes());
            assert_eq!(reject.ordinal.is_some(), whole.tally.findings.rejected > 0);
        }
    }
}

#[test]
fn a_cut_object_gives_what_is_before_the_cut_and_one_reject() {
    // Ids that compress badly, so that half of the bytes are about half of the documents.
    let mut id = 1_u128;
    let documents: Vec<String> = (0..60)
        .map(|minute| {
            id = id.wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645).wrapping_add(1);
            let event = health(&format!("2026-11-24T03:{minute:02}:00Z"));
            event.replacen('{', &format!("{{\"id\":\"{id:x}\","), 1)
        })
        .collect();
    let text = documents.concat();
    let bytes = pack::gzip(text.as_bytes());
    for cut in [bytes.len() / 2, bytes.len() - 8, bytes.len() - 1] {
        let whole = read_all(&bytes[..cut], &OPTIONS);
        let reject = &whole.rejects[0];
        assert_eq!(whole.rejects.len(), 1);
        assert_eq!((reject.stage, reject.reason), (Stage::Unpack, Reason::TruncatedCompression));
        assert_eq!(reject.range.end, whole.tally.bytes.decompressed);
        assert_eq!(reject.bytes.len() as u64, reject.range.end - reject.range.start);
        assert_eq!(whole.tally.documents.rejected, 1);
        assert!(whole.rows > 1);
        if cut > bytes.len() / 2 {
            assert_eq!((whole.rows, reject.bytes.len()), (60, 0));
        }
    }
    let small = ReadOptions { object_bytes_max: 1_000, ..OPTIONS };
    let whole = read_all(&bytes, &small);
    assert_eq!(whole.rejects[0].reason, Reason::ObjectTooLarge);
    assert_eq!(whole.tally.bytes.decompressed, 1_000);
    assert_eq!(whole.rows, 1_000 / documents[0].len());
    let whole = read_all(b"PAR1....", &OPTIONS);
    assert_eq!(
        (whole.rejects[0].reason, whole.tally.documents.rejected),
        (Reason::ForeignFormat, 1)
    );
}

#[test]
fn reading_pauses_when_enough_is_held_and_goes_on() {
    let text = health("2026-11-24T03:00:00Z").repeat(50) + &"{x}".repeat(50);
    let mut reader = ObjectReader::new(Box::new(text.as_bytes()), place(), &OPTIONS);
    let (mut pauses, mut rows, mut rejected) = (0, 0, 0);
    loop {
        let (mut builder, mut rejects) = (RowsBuilder::new(), Vec::new());
        let ended = reader.read_into(&mut builder, &mut rejects, 3_000).unwrap();
        rows += builder.len();
        rejected += rejects.len();
        if ended {
            break;
        }
        pauses += 1;
        assert!(builder.bytes() < 10_000 && rejects.len() < 50);
    }
    assert_eq!((rows, rejected), (50, 50));
    assert!(pauses > 10, "{pauses}");
    check(reader.tally()).unwrap();
}

#[test]
fn rejects_of_one_document_are_bounded() {
    let text = imported(&vec!["7".to_owned(); 100_000]);
    let whole = read_all(text.as_bytes(), &OPTIONS);
    assert_eq!(whole.tally.findings.rejected, 100_000);
    assert_eq!(whole.rejects.len() as u64, REJECTS_PER_DOCUMENT_MAX);
    assert!(whole.rejects.iter().map(held_bytes).sum::<usize>() < 2 * text.len());
}

#[test]
fn a_failing_source_is_an_error() {
    struct Fails;
    impl Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::from(io::ErrorKind::ConnectionReset))
        }
    }
    let mut reader = ObjectReader::new(Box::new(Fails), place(), &OPTIONS);
    let error = reader.step(&mut RowsBuilder::new(), &mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn a_sum_that_fails_is_named() {
    let mut tally = Tally::default();
    tally.documents.read = 1;
    assert!(check(&tally).unwrap_err().contains("documents read"));
}

/// An object of all kinds of documents, framed and packed in some way.
fn object() -> impl Strategy<Value = Vec<u8>> {
    let documents = prop::sample::select(vec![
        health("2026-11-24T03:00:00Z"),
        health("never"),
        asff("health", ""),
        asff("other", r#","Note":{"Text":"a } \" { b"}"#),
        imported(&[asff("health", ""), "null".to_owned(), asff("other", "")]),
        format!(r#"{{"Findings":[{}]}}"#, asff("health", "")),
        r#"{"attemptsMade":1,"rawData":"eyJhIjoxfSB4"}"#.to_owned(),
        r#"{"Type":"Notification","Message":"{\"a\":1}"}"#.to_owned(),
        "{\"a\":\"\\ud800\"}".to_owned(),
        "{\"a\":\"x}".to_owned(),
        "[1,2]".to_owned(),
        "junk".to_owned(),
    ]);
    let between = prop::sample::select(vec!["", "\n", ",", "\\n", "\u{feff}"]);
    (prop::collection::vec((documents, between), 0..12), 0_usize..4).prop_map(|(parts, packing)| {
        let text: String = parts
            .into_iter()
            .flat_map(|(document, between)| [document, between.to_owned()])
            .collect();
        match packing {
            0 => text.into_bytes(),
            1 => pack::gzip(text.as_bytes()),
            2 => pack::zstd(text.as_bytes()),
            _ => pack::hadoop(text.as_bytes(), 500),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_sums_hold_for_any_bytes(
        mut bytes in object(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        cut in prop::option::of(any::<prop::sample::Index>()),
        all in any::<bool>(),
    ) {
        if !bytes.is_empty() {
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
        }
        let products = if all { Products::All } else { Products::Health };
        let whole = read_all(&bytes, &ReadOptions { products, ..OPTIONS });
        let mut at = 0;
        for report in &whole.reports {
            prop_assert!(at <= report.range.start && report.range.start <= report.range.end);
            at = report.range.end;
        }
        prop_assert!(at <= whole.tally.bytes.decompressed);
    }
}
