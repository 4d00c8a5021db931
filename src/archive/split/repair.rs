//! A document's bytes to JSON, with text that is no text made good.
//!
//! In: the bytes of one value. Out: its tree, and how many places became U+FFFD: invalid UTF-8, and
//! `\u` escapes of one half of a surrogate pair. Bytes that need neither are not copied.

use crate::finding::json::{Arena, Json, JsonError};

/// A parsed value.
#[derive(Debug)]
pub struct Parsed<'t> {
    /// The text it was parsed from, repaired.
    pub text: &'t str,
    /// Its tree.
    pub json: Json<'t>,
    /// How many places were repaired.
    pub repairs: u64,
}

/// Parses one value; `repaired` holds the text when it is not the bytes themselves.
///
/// # Errors
/// [`JsonError`] when it is no JSON, repaired or not.
pub fn parse<'t>(
    bytes: &'t [u8],
    repaired: &'t mut String,
    arena: &'t Arena,
) -> Result<Parsed<'t>, JsonError> {
    let mut repairs = 0;
    repaired.clear();
    if let Ok(text) = std::str::from_utf8(bytes) {
        let fault = match Json::parse(text, arena) {
            Ok(json) => return Ok(Parsed { text, json, repairs }),
            Err(fault) => fault,
        };
        repaired.push_str(text);
        repairs += repair_surrogates(repaired);
        if repairs == 0 {
            return Err(fault);
        }
    } else {
        for chunk in bytes.utf8_chunks() {
            repaired.push_str(chunk.valid());
            if !chunk.invalid().is_empty() {
                repaired.push(char::REPLACEMENT_CHARACTER);
                repairs += 1;
            }
        }
        repairs += repair_surrogates(repaired);
    }
    let text = repaired.as_str();
    Ok(Parsed { text, json: Json::parse(text, arena)?, repairs })
}

/// Replaces each escape of a surrogate that has no partner by the escape of U+FFFD.
fn repair_surrogates(text: &mut String) -> u64 {
    const REPLACEMENT: &[u8; 6] = b"\\ufffd";
    let mut bytes = std::mem::take(text).into_bytes();
    let mut repairs = 0;
    let mut at = 0;
    while let Some(step) = memchr::memchr(b'\\', bytes.get(at..).unwrap_or_default()) {
        at += step;
        let Some(unit) = escaped_unit(&bytes, at) else {
            at += 2;
            continue;
        };
        let is_pair = (0xd800..0xdc00).contains(&unit)
            && escaped_unit(&bytes, at + 6).is_some_and(|low| (0xdc00..0xe000).contains(&low));
        if is_pair {
            at += 12;
            continue;
        }
        if (0xd800..0xe000).contains(&unit)
            && let Some(escape) = bytes.get_mut(at..at + 6)
        {
            escape.copy_from_slice(REPLACEMENT);
            repairs += 1;
        }
        at += 6;
    }
    // ASCII replaced ASCII, so this is the same buffer and valid.
    *text = String::from_utf8(bytes).unwrap_or_default();
    repairs
}

/// The UTF-16 unit of the `\uXXXX` at `at`, if there is one.
fn escaped_unit(bytes: &[u8], at: usize) -> Option<u32> {
    let escape = bytes.get(at..at + 6)?;
    let digits = escape.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repairs_invalid_bytes_and_lone_surrogates() {
        let table: [(&[u8], &str, u64); 9] = [
            (br#"{"a":"b"}"#, r#"{"a":"b"}"#, 0),
            (b"{\"a\":\"\xff\"}", "{\"a\":\"\u{fffd}\"}", 1),
            (b"{\"a\":\"\xe2\x82\"}", "{\"a\":\"\u{fffd}\"}", 1),
            (b"{\"a\xc0\xc0\":1}", "{\"a\u{fffd}\u{fffd}\":1}", 2),
            (br#"{"a":"\ud800"}"#, "{\"a\":\"\u{fffd}\"}", 1),
            (br#"{"a":"\uDC00\ud800x"}"#, "{\"a\":\"\u{fffd}\u{fffd}x\"}", 2),
            (br#"{"a":"\ud800\ud83d\ude00"}"#, "{\"a\":\"\u{fffd}\u{1f600}\"}", 1),
            (br#"{"a":"\\ud800"}"#, r#"{"a":"\\ud800"}"#, 0),
            (b"{\"a\":\"\xff\\udfff\"}", "{\"a\":\"\u{fffd}\u{fffd}\"}", 2),
        ];
        for (bytes, expected, repairs) in table {
            let (mut repaired, arena) = (String::new(), Arena::default());
            let parsed = parse(bytes, &mut repaired, &arena).expect("JSON");
            assert_eq!(parsed.json.to_canonical(), expected);
            assert_eq!(parsed.repairs, repairs, "{expected}");
        }
    }

    #[test]
    fn what_is_no_json_stays_an_error() {
        for bytes in [&b"{\"a\":\"\\ud800\",}"[..], b"{\xff}", b"{\"a\":\"\\ud8\"}", b"{"] {
            assert!(parse(bytes, &mut String::new(), &Arena::default()).is_err());
        }
    }
}
