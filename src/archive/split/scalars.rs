//! Tells top-level numbers, strings, `true`, `false` and `null` from bytes that are nothing.

use crate::finding::json::{Arena, Json};
use crate::finding::reject::REJECT_BYTES_MAX;

/// Whether these are JSON scalars with nothing but separators between them; the last may be cut off
/// by the limit of what is kept.
pub(super) fn is_scalars(bytes: &[u8]) -> bool {
    let arena = Arena::default();
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        if matches!(first, b' ' | b'\t' | b'\n' | b'\r' | b',') {
            rest = rest.get(1..).unwrap_or_default();
            continue;
        }
        if rest.starts_with(b"\\n") || rest.starts_with(b"\\r") {
            rest = rest.get(2..).unwrap_or_default();
            continue;
        }
        let end = if *first == b'"' { string_end(rest) } else { word_end(rest) };
        let (scalar, tail) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        let is_cut = tail.is_empty() && bytes.len() == REJECT_BYTES_MAX;
        let is_scalar = std::str::from_utf8(scalar).is_ok_and(
            |text| matches!(Json::parse(text, &arena), Ok(json) if !is_container(&json)),
        );
        if !is_scalar && !is_cut {
            return false;
        }
        rest = tail;
    }
    true
}

fn is_container(json: &Json<'_>) -> bool {
    matches!(json, Json::Object(_) | Json::Array(_))
}

fn string_end(bytes: &[u8]) -> usize {
    let mut escaped = false;
    let end = bytes.iter().skip(1).position(|byte| {
        let closes = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        closes
    });
    end.map_or(bytes.len(), |at| at + 2)
}

fn word_end(bytes: &[u8]) -> usize {
    let is_of_word =
        |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    bytes.iter().take_while(is_of_word).count().max(1)
}
