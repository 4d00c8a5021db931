//! What is said of a document quotes nothing of it: reasons in words, names of members, places.

use healthtrail::archive::read::{ObjectReader, ReadOptions};
use healthtrail::finding::limits::CountLimits;
use healthtrail::finding::place::Place;
use healthtrail::finding::product::Products;
use healthtrail::finding::reject::Reject;
use healthtrail::finding::rows::RowsBuilder;
use healthtrail::finding::tally::Tally;

use crate::program::health_event;

const CANARY: &str = "Q7canaryQ7";

fn read(bytes: &[u8]) -> (Tally, Vec<Reject>) {
    let place = Place { object: "s3://b/k".into(), etag: "e".into(), arrived_hour_ms: 0 };
    let options = ReadOptions {
        products: Products::All,
        object_bytes_max: 1 << 20,
        document_bytes_max: 1 << 16,
        counts: CountLimits::DEFAULT,
    };
    let mut reader = ObjectReader::new(Box::new(bytes), place, &options);
    let (mut rows, mut rejects) = (RowsBuilder::new(), Vec::new());
    while reader.step(&mut rows, &mut rejects).unwrap().is_some() {}
    (reader.into_tally(), rejects)
}

/// Documents of every kind, small enough to be broken at every place.
fn documents() -> Vec<String> {
    let health = health_event(1, "2026-08-01", "111122223333");
    let asff = r#"{"ProductArn":"arn:aws:securityhub:eu-west-1::product/aws/health","Id":"i","AwsAccountId":"111122223333","UpdatedAt":"2026-11-24T10:00:00Z","Types":["a"],"Severity":{"Label":"LOW"}}"#;
    let ocsf = r#"{"class_uid":2004,"metadata":{"uid":"u","product":{"uid":"p"}},"finding_info":{"uid":"f","title":"t"},"cloud":{"account":{"uid":"111122223333"}},"time":1790000000000}"#;
    let hub = format!(
        r#"{{"detail-type":"Security Hub Findings - Imported","source":"aws.securityhub","time":"2026-11-24T10:00:00Z","detail":{{"findings":[{asff},{asff}]}}}}"#
    );
    let sns = format!(
        r#"{{"Type":"Notification","TopicArn":"t","Message":{}}}"#,
        serde_json::to_string(asff).unwrap()
    );
    vec![health, asff.to_owned(), ocsf.to_owned(), hub, sns]
}

/// The same with each text replaced in turn, by a name or a text that must not be seen again.
fn planted(document: &str) -> Vec<String> {
    let mut all = Vec::new();
    let quotes: Vec<usize> = document.match_indices('"').map(|(at, _)| at).collect();
    for pair in quotes.windows(2) {
        let mut text = document.to_owned();
        text.replace_range(pair[0] + 1..pair[1], CANARY);
        all.push(text);
    }
    all
}

fn check(bytes: &[u8]) -> usize {
    let (_, rejects) = read(bytes);
    for reject in &rejects {
        let shown = String::from_utf8_lossy(bytes);
        assert!(!reject.detail.contains(CANARY), "`{}` quotes {shown}", reject.detail);
        assert!(reject.detail.len() < 300, "{}", reject.detail);
    }
    rejects.len()
}

#[test]
fn no_detail_of_a_reject_quotes_its_document() {
    let mut rejects = 0;
    for document in documents() {
        for text in planted(&document) {
            rejects += check(text.as_bytes());
            // Cut off, and with bytes that are no JSON after the text.
            let canary = text.find(CANARY).unwrap();
            for at in (canary..text.len()).step_by(23) {
                rejects += check(&text.as_bytes()[..at]);
                let mut broken = text.clone().into_bytes();
                broken[at] = b'}';
                rejects += check(&broken);
            }
        }
        for junk in [format!("{CANARY} "), format!("\"{CANARY}\" "), format!("{{\"{CANARY}\":}}")] {
            rejects += check((junk + &document).as_bytes());
        }
    }
    assert!(rejects > 1_000, "only {rejects} rejects were seen");
}

/// The names of members that no column has are counted by name, for documents that became findings; of a
/// document that was rejected no name is kept.
#[test]
fn names_are_kept_of_accepted_documents_alone() {
    let mut counted = 0;
    for document in documents() {
        for text in planted(&document) {
            let (tally, rejects) = read(text.as_bytes());
            let told = serde_json::to_string(&tally).unwrap();
            if tally.documents.rejected > 0 {
                assert!(!told.contains(CANARY), "{told} of {text}");
            }
            counted += usize::from(told.contains(CANARY) && rejects.is_empty());
        }
    }
    assert!(counted > 0);
}
