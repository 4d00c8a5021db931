//! Real events, when they are at hand: each file becomes what its kind must become.
//!
//! The folder is `../shared/corpus` beside the crate, or `HEALTHTRAIL_CORPUS`; without it there is
//! nothing to test.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::tests::{OPTIONS, read_all};
use super::*;
use crate::archive::unpack::pack;

fn corpus() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    let folder = std::env::var_os("HEALTHTRAIL_CORPUS").map_or(beside, PathBuf::from);
    folder.is_dir().then_some(folder)
}

/// How many documents had each outcome; then findings read, rows, passed over, rejected.
fn outcomes(bytes: &[u8], products: Products) -> String {
    let whole = read_all(bytes, &ReadOptions { products, ..OPTIONS });
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for report in &whole.reports {
        let outcome = match report.outcome {
            Outcome::WithFindings => "with_findings".to_owned(),
            Outcome::PassedOver(kind) => format!("({kind})"),
            Outcome::Rejected(reason) => format!("!{}", reason.name()),
        };
        *counts.entry(format!("{} {outcome}", report.envelope)).or_default() += 1;
    }
    let counts: Vec<_> = counts.iter().map(|(what, count)| format!("{what} {count}")).collect();
    let findings = whole.tally.findings;
    format!(
        "{}; {} {} {} {}",
        counts.join(", "),
        findings.read,
        findings.rows,
        findings.passed_over,
        findings.rejected
    )
}

/// Each file with what becomes of it, first when only Health is wanted, then when all products are.
const EXPECTED: [(&str, [&str; 2]); 12] = [
    ("asff-health-partial", ["asff !no_time 17; 0 0 0 0"; 2]),
    ("asff-health", ["asff with_findings 1; 1 1 0 0"; 2]),
    (
        "asff-other",
        [
            "asff (other_product) 270; 0 0 0 0",
            "asff !no_time 3, asff with_findings 267; 267 267 0 0",
        ],
    ),
    (
        "firehose-error",
        ["firehose_error !unreadable_wrapper 3, firehose_error (unrecognised) 3, \
          firehose_error with_findings 2; 2 0 0 2"; 2],
    ),
    (
        "health-detail-or-api",
        ["health_api (health_api) 19, health_detail with_findings 9; 9 9 0 0"; 2],
    ),
    ("health-eventbridge-abuse", ["eventbridge with_findings 4; 4 4 0 0"; 2]),
    ("health-eventbridge", ["eventbridge with_findings 38; 38 38 0 0"; 2]),
    (
        "ocsf-finding-other",
        ["ocsf (other_product) 24; 0 0 0 0", "ocsf with_findings 24; 24 24 0 0"],
    ),
    ("ocsf-non-finding", ["ocsf (ocsf_other_class) 12; 0 0 0 0"; 2]),
    ("ocsf-securityhub", ["ocsf (other_product) 3; 0 0 0 0", "ocsf with_findings 3; 3 3 0 0"]),
    (
        "securityhub-eventbridge",
        [
            "eventbridge (insight_results) 2, eventbridge (no_findings) 1, \
             eventbridge (other_product) 30; 0 0 0 0",
            "eventbridge (insight_results) 2, eventbridge (no_findings) 1, \
             eventbridge with_findings 30; 32 32 0 0",
        ],
    ),
    (
        "securityhub-v2-eventbridge",
        ["eventbridge (other_product) 6; 0 0 0 0", "eventbridge with_findings 6; 6 6 0 0"],
    ),
];

#[test]
fn every_real_event_becomes_what_it_must() {
    let Some(folder) = corpus() else { return };
    for (name, expected) in EXPECTED {
        let bytes = std::fs::read(folder.join(format!("{name}.ndjson"))).unwrap();
        for (products, expected) in [Products::Health, Products::All].into_iter().zip(expected) {
            assert_eq!(&outcomes(&bytes, products), expected, "{name} {}", products.name());
        }
    }
}

/// However the same events are framed and packed, the same becomes of them.
#[test]
fn framing_and_compression_change_nothing() {
    let Some(folder) = corpus() else { return };
    let lines: String = EXPECTED
        .iter()
        .map(|(name, _)| std::fs::read_to_string(folder.join(format!("{name}.ndjson"))).unwrap())
        .collect();
    let documents: Vec<&str> = lines.lines().filter(|line| !line.is_empty()).collect();
    let expected = outcomes(lines.as_bytes(), Products::All);
    let framings = [
        documents.concat(),
        documents.join("\\n"),
        documents.join("\r\n"),
        format!("\u{feff}[{}]", documents.join(",\n")),
    ];
    for framing in framings {
        let bytes = framing.as_bytes();
        let packings = [
            bytes.to_vec(),
            [pack::gzip(&bytes[..99_999]), pack::gzip(&bytes[99_999..])].concat(),
            pack::gzip(&pack::zstd(bytes)),
            pack::xerial(bytes, 32 << 10),
            pack::hadoop(bytes, 32 << 10),
        ];
        for packed in packings {
            assert_eq!(outcomes(&packed, Products::All), expected);
        }
    }
}
