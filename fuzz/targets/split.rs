//! Any bytes to documents: each byte lies in one document, in one reject, or between, in order, and it
//! does not matter how the bytes were cut into pieces. The first byte says how.
#![no_main]

use std::ops::Range;

use healthtrail::archive::split::{Piece, SplitLimits, Splitter};
use healthtrail::finding::limits::CountLimits;
use libfuzzer_sys::fuzz_target;

const LIMITS: SplitLimits = 
    SplitLimits { document_bytes_max: 4 << 10, counts: CountLimits::DEFAULT };

#[derive(Debug, PartialEq)]
struct Seen {
    range: Range<u64>,
    what: String,
    repairs: u64,
    bytes: Vec<u8>,
}

fn look(piece: Piece<'_>) -> Seen {
    match piece {
        Piece::Document { range, bytes, parsed } => {
            assert!(bytes.len() <= LIMITS.document_bytes_max);
            assert_eq!(range.end - range.start, bytes.len() as u64);
            let (what, repairs) = (parsed.json.to_canonical(), parsed.repairs);
            Seen { range, what, repairs, bytes: bytes.to_vec() }
        }
        Piece::Reject { range, reason, detail, bytes } => {
            assert!(range.start < range.end);
            let what = format!("{}: {detail}", reason.name());
            Seen { range, what, repairs: 0, bytes: bytes.to_vec() }
        }
    }
}

fn split<'b>(pieces: impl Iterator<Item = &'b [u8]>) -> (Vec<Seen>, u64) {
    let mut splitter = Splitter::new(LIMITS);
    let mut seen = Vec::new();
    for piece in pieces {
        splitter.push(piece);
        while let Some(piece) = splitter.next(look) {
            seen.push(piece);
        }
    }
    splitter.finish();
    while let Some(piece) = splitter.next(look) {
        seen.push(piece);
    }
    (seen, splitter.between_documents_bytes())
}

fuzz_target!(|data: &[u8]| {
    let Some((first, bytes)) = data.split_first() else { return };
    let (seen, between) = split(std::iter::once(bytes));
    let mut end = 0;
    let mut covered = 0;
    for piece in &seen {
        assert!(piece.range.start >= end, "{seen:?}");
        end = piece.range.end;
        covered += piece.range.end - piece.range.start;
        let range = piece.range.start as usize..piece.range.end as usize;
        assert!(bytes[range].starts_with(&piece.bytes));
    }
    assert!(end <= bytes.len() as u64);
    assert_eq!(covered + between, bytes.len() as u64, "{seen:?}");
    let cut = split(bytes.chunks(usize::from(*first) + 1));
    assert_eq!((seen, between), cut);
});
