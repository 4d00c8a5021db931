//! Any bytes as an object, to rows and rejects: `recognize` and `normalize` with all three readers, and
//! all that unpacks what is inside documents. The sums hold, it does not matter how the source
//! cuts its bytes, and the quick JSON reader says what `serde_json` says.
#![no_main]

use std::io::Read;

use healthtrail::archive::read::{ObjectReader, ReadOptions, check};
use healthtrail::finding::json::{Arena, Doubt, Json};
use healthtrail::finding::limits::CountLimits;
use healthtrail::finding::place::Place;
use healthtrail::finding::product::Products;
use healthtrail::finding::reject::{REJECT_BYTES_MAX, Reject, Stage};
use healthtrail::finding::rows::{Rows, RowsBuilder};
use healthtrail::finding::tally::Tally;
use healthtrail_fuzz::Trickle;
use libfuzzer_sys::fuzz_target;

const OPTIONS: ReadOptions = ReadOptions {
    products: Products::All,
    object_bytes_max: 1 << 20,
    document_bytes_max: 64 << 10,
    counts: CountLimits::DEFAULT,
};

fn read<'b>(source: Box<dyn Read + Send + 'b>) -> (Tally, Rows, Vec<Reject>) {
    let place = Place { object: "s3://b/k".into(), etag: "e".into(), arrived_hour_ms: 0 };
    let mut reader = ObjectReader::new(source, place, &OPTIONS);
    let (mut rows, mut rejects) = (RowsBuilder::new(), Vec::new());
    while reader.step(&mut rows, &mut rejects).expect("the source does not fail").is_some() {}
    let mut tally = reader.into_tally();
    assert_eq!(check(&tally), Ok(()));
    // How much was taken from the source: where an object breaks off, that depends on how it came.
    if rejects.iter().any(|reject| reject.stage == Stage::Unpack) {
        tally.bytes.compressed = 0;
    }
    let rows = rows.finish();
    assert_eq!(tally.findings.rows, rows.batch.num_rows() as u64);
    for reject in &rejects {
        assert!(reject.bytes.len() <= REJECT_BYTES_MAX);
    }
    (tally, rows, rejects)
}

/// The quick reader takes what the reference takes, or doubts; where the value ends before the text
/// does, the reference is asked about the value.
fn both_json_readers(text: &str) {
    let (quick, reference) = (Arena::default(), Arena::default());
    let expected = Json::parse_reference(text, &reference);
    match (Json::parse_first(text, &quick), expected) {
        (Ok((json, length)), Ok(expected)) => {
            assert_eq!(json, expected);
            assert!(text[length..].bytes().all(|byte| b" \n\t\r".contains(&byte)));
        }
        (Ok((json, length)), Err(_)) => {
            assert!(length < text.len(), "only the quick reader takes it");
            assert_eq!(Ok(json), Json::parse_reference(&text[..length], &reference));
        }
        (Err(doubt), Ok(_)) => assert_eq!(doubt, Doubt::Unsure),
        (Err(_), Err(_)) => {}
    }
}

fuzz_target!(|data: &[u8]| {
    both_json_readers(&String::from_utf8_lossy(data));
    let (tally, rows, rejects) = read(Box::new(data));
    let (cut_tally, cut_rows, cut_rejects) = read(Box::new(Trickle::new(data, 12)));
    assert_eq!((tally, rejects), (cut_tally, cut_rejects));
    assert_eq!(rows.batch, cut_rows.batch);
});
