//! Content hash and row id: when two findings are the same version of the same finding.
//!
//! In: a finding's body, its key and the day of its clock. Out: two 128-bit hashes, shown as 32
//! lower-case hex digits. Nothing can go wrong. The rules must not depend on which fields this
//! version of the program maps, or an upgrade would double rows; whoever changes a byte here counts
//! up [`IDENTITY_VERSION`]. Memory: one reused buffer, up to some five times the finding's text.
//!
//! # Content hash
//! XXH3-128, seed 0, over the body in this form. A value is a type byte, a length of 8 bytes in
//! little endian, and what the length counts:
//!
//! | value | type | length counts | then |
//! | --- | --- | --- | --- |
//! | `null` | `n` | 0 | |
//! | `false` | `f` | 0 | |
//! | `true` | `t` | 0 | |
//! | number | `#` | bytes | its literal text, with an exponent spelled `e+5` or `e-5` |
//! | string | `"` | bytes | UTF-8, unescaped |
//! | array | `[` | elements | the values |
//! | object | `{` | members | for each, by the bytes of its name, the name as a string, the value |
//!
//! Of equal names the last member counts. Some top-level members are left out, neither written nor
//! counted, because copies of one version differ in them:
//!
//! - native: `backupEvent`; and the elements of `affectedEntities` are sorted by the bytes of this
//!   form, because the order of pages' entities says nothing
//! - ASFF: `ProcessedAt`, `AwsAccountName`, `Region`
//! - OCSF: `processed_time`, `processed_time_dt`, `logged_time`, `logged_time_dt`, at the top and
//!   in `metadata`
//!
//! # Row id
//! XXH3-128, seed 0, over these texts, each behind its length in bytes as 8 bytes in little endian:
//!
//! - native: day, event ARN, account, content hash, second
//! - ASFF: day, product ARN, finding id, account, content hash, second
//! - OCSF: day, product uid, finding uid, account, content hash, second
//!
//! The day is that of `reported_at` in UTC (`2026-11-24`), the content hash 32 lower-case hex
//! digits, the second the envelope's time in whole seconds since 1970 in decimal digits. What is
//! missing is the empty text; a native event with a communication id has no second.

use std::ops::Range;

use xxhash_rust::xxh3::xxh3_128;

use crate::finding::envelope::Shape;
use crate::finding::json::{Json, Object};
use crate::finding::time;

/// The version of the rules on this page; it stands in `lake.json`.
pub const IDENTITY_VERSION: u32 = 1;

/// The capacity above which a buffer is not kept for the next finding.
const BUFFER_KEPT_MAX: usize = 1 << 20;

/// A type byte and a length.
const HEAD_BYTES: usize = 9;

/// What names a finding, beside its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key<'a> {
    /// Native: nothing. Else the product's ARN or uid, empty when there is none.
    pub product: Option<&'a str>,
    /// The event's ARN or the finding's id.
    pub id: &'a str,
    /// The account, empty when unknown.
    pub account: &'a str,
    /// The envelope's time in whole seconds since 1970, where it is part of the key.
    pub second: Option<i64>,
}

/// The content hash of a finding's body. `buffer` is scratch.
pub fn content_hash(shape: Shape, body: &Json<'_>, buffer: &mut Vec<u8>) -> u128 {
    buffer.clear();
    match body {
        Json::Object(object) => write_body(shape, object, buffer),
        other => write_value(other, buffer),
    }
    let hash = xxh3_128(buffer);
    if buffer.capacity() > BUFFER_KEPT_MAX {
        *buffer = Vec::new();
    }
    hash
}

/// The row id of a finding whose clock says `reported_at_ms`. `buffer` is scratch.
pub fn row_id(
    reported_at_ms: i64,
    key: &Key<'_>,
    content_hash: &str,
    buffer: &mut Vec<u8>,
) -> u128 {
    buffer.clear();
    let mut field = |text: &str| {
        write_length(text.len(), buffer);
        buffer.extend_from_slice(text.as_bytes());
    };
    field(time::day(reported_at_ms).as_str());
    if let Some(product) = key.product {
        field(product);
    }
    field(key.id);
    field(key.account);
    field(content_hash);
    match key.second {
        Some(second) => field(&second.to_string()),
        None => field(""),
    }
    xxh3_128(buffer)
}

/// How many digits a hash has.
pub const HEX_DIGITS: usize = 32;

/// A hash as it stands in the table: lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hex([u8; HEX_DIGITS]);

impl Hex {
    /// The digits.
    pub fn as_str(&self) -> &str {
        // Digits are ASCII, so this is never the empty text.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// The digits of a hash.
pub fn hex(hash: u128) -> Hex {
    let digit = |half: u8| if half < 10 { b'0' + half } else { b'a' + half - 10 };
    let mut digits = [0; HEX_DIGITS];
    for (pair, byte) in digits.as_chunks_mut().0.iter_mut().zip(hash.to_be_bytes()) {
        *pair = [digit(byte >> 4), digit(byte & 0xf)];
    }
    Hex(digits)
}

fn is_left_out(shape: Shape, name: &str) -> bool {
    match shape {
        Shape::Native => name == "backupEvent",
        Shape::Asff => matches!(name, "ProcessedAt" | "AwsAccountName" | "Region"),
        Shape::Ocsf => matches!(
            name,
            "processed_time" | "processed_time_dt" | "logged_time" | "logged_time_dt"
        ),
    }
}

fn write_body(shape: Shape, body: &Object<'_>, out: &mut Vec<u8>) {
    let count = body.iter().filter(|(name, _)| !is_left_out(shape, name)).count();
    write_head(b'{', count, out);
    for (name, value) in body.iter().filter(|(name, _)| !is_left_out(shape, name)) {
        write_text(b'"', name, out);
        match (shape, name, value) {
            (Shape::Native, "affectedEntities", Json::Array(entities)) => {
                write_unordered(entities, out);
            }
            // Not the body itself, but the same members are left out of it.
            (Shape::Ocsf, "metadata", Json::Object(metadata)) => {
                write_members(shape, metadata, out);
            }
            _ => write_value(value, out),
        }
    }
}

/// An object without the members that are left out, whose values stand as they are.
fn write_members(shape: Shape, object: &Object<'_>, out: &mut Vec<u8>) {
    let count = object.iter().filter(|(name, _)| !is_left_out(shape, name)).count();
    write_head(b'{', count, out);
    for (name, value) in object.iter().filter(|(name, _)| !is_left_out(shape, name)) {
        write_text(b'"', name, out);
        write_value(value, out);
    }
}

/// An array whose order says nothing: its elements are sorted by their bytes.
fn write_unordered(elements: &[Json<'_>], out: &mut Vec<u8>) {
    write_head(b'[', elements.len(), out);
    let start = out.len();
    let mut ends = Vec::with_capacity(elements.len());
    for element in elements {
        write_value(element, out);
        ends.push(out.len());
    }
    let starts = std::iter::once(&start).chain(&ends);
    let form = |range: Range<usize>| out.get(range).unwrap_or_default();
    let mut forms: Vec<&[u8]> = starts.zip(&ends).map(|(from, to)| form(*from..*to)).collect();
    if !forms.is_sorted() {
        forms.sort_unstable();
        let sorted = forms.concat();
        out.truncate(start);
        out.extend_from_slice(&sorted);
    }
}

fn write_value(value: &Json<'_>, out: &mut Vec<u8>) {
    match value {
        Json::Null => write_head(b'n', 0, out),
        Json::Bool(false) => write_head(b'f', 0, out),
        Json::Bool(true) => write_head(b't', 0, out),
        Json::Number(number) => write_text(b'#', number, out),
        Json::String(text) => write_text(b'"', text, out),
        Json::Array(elements) => {
            write_head(b'[', elements.len(), out);
            for element in *elements {
                write_value(element, out);
            }
        }
        Json::Object(object) => {
            write_head(b'{', object.len(), out);
            for (name, value) in object.iter() {
                write_text(b'"', name, out);
                write_value(value, out);
            }
        }
    }
}

fn write_text(kind: u8, text: &str, out: &mut Vec<u8>) {
    out.reserve(HEAD_BYTES + text.len());
    write_head(kind, text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

fn write_head(kind: u8, length: usize, out: &mut Vec<u8>) {
    let mut head = [kind; HEAD_BYTES];
    if let Some(place) = head.last_chunk_mut() {
        *place = (length as u64).to_le_bytes();
    }
    out.extend_from_slice(&head);
}

fn write_length(length: usize, out: &mut Vec<u8>) {
    // A length fits in 64 bits on every machine there is.
    out.extend_from_slice(&(length as u64).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Vector = (Shape, &'static str, Key<'static>, i64, &'static str, &'static str);

    /// Computed by a second implementation of the description above, in another language.
    const VECTORS: [Vector; 13] = [
        (
            Shape::Native,
            "{}",
            key(
                None,
                "arn:aws:health:us-east-1::event/EC2/AWS_EC2_X/AWS_EC2_X_1",
                "123456789012",
                Some(1_795_489_445),
            ),
            1_795_489_445_123,
            "301159136ebeac945bdfca491c8b7de7",
            "c1505ec304f1fbd7cd22967f4a184d10",
        ),
        (
            Shape::Native,
            r#"{"eventArn":"arn:aws:health:us-east-1::event/EC2/AWS_EC2_X/AWS_EC2_X_1","service":"EC2"}"#,
            key(None, "arn:aws:health:us-east-1::event/EC2/AWS_EC2_X/AWS_EC2_X_1", "", None),
            1_795_489_445_000,
            "4c426a3c4ebe348c0c252400d4a34d2e",
            "b0b98f07dd3b521c921f8eec527e9bec",
        ),
        (
            Shape::Native,
            r#"{"eventArn":"arn:aws:health:us-east-1::event/EC2/AWS_EC2_X/AWS_EC2_X_1","communicationId":"c-1","backupEvent":"true","page":"1"}"#,
            key(
                None,
                "arn:aws:health:us-east-1::event/EC2/AWS_EC2_X/AWS_EC2_X_1",
                "123456789012",
                None,
            ),
            1_795_478_400_000,
            "ae59a243d0f82b47ebe9dd56dd6113da",
            "1a98ef56ace7e6624ed66fb1368ceda8",
        ),
        (
            Shape::Native,
            r#"{"eventArn":"arn:aws:health:us-east-1::event/EC2/AWS_EC2_X/AWS_EC2_X_1","affectedEntities":[{"entityValue":"i-2","tags":{"b":"2","a":"1"}},{"entityValue":"i-1"}]}"#,
            key(
                None,
                "arn:aws:health:us-east-1::event/EC2/AWS_EC2_X/AWS_EC2_X_1",
                "123456789012",
                None,
            ),
            1_795_564_799_999,
            "e121f7d7152edeefeb642951f4d1203a",
            "6dc3e0fd6a0605f4928287ab96bdd1ac",
        ),
        (
            Shape::Native,
            r#"{"eventDescription":[{"language":"en_US","latestDescription":"a\\nb \"q\" \u00e9 \ud83d\ude00"}]}"#,
            key(
                None,
                "arn:aws:health:us-east-1::event/EC2/AWS_EC2_X/AWS_EC2_X_1",
                "123456789012",
                Some(1),
            ),
            1_420_070_400_000,
            "9e9aeaeded46ee47c6bc628139fbf6d4",
            "ff1f0eb3e18347e681ed79263d53498e",
        ),
        (
            Shape::Native,
            r#"{"n":[0,-0,1.50,1E5,123456789012345678901234567890],"l":[true,false,null,{},[],""]}"#,
            key(None, "arn:aws:health:us-east-1::event/EC2/AWS_EC2_X/AWS_EC2_X_1", "1", Some(0)),
            4_133_980_799_999,
            "aa3fc3c678593e01f06b10327241ac5e",
            "c14cefb764380708acac77d4c24b50a3",
        ),
        (
            Shape::Asff,
            "{}",
            key(
                Some("arn:aws:securityhub:us-east-1::product/aws/health"),
                "x",
                "123456789012",
                None,
            ),
            1_795_489_445_000,
            "301159136ebeac945bdfca491c8b7de7",
            "35f83a5fe4a61c655c4a046ad8900947",
        ),
        (
            Shape::Asff,
            r#"{"Id":"x","ProductArn":"arn:aws:securityhub:us-east-1::product/aws/health","Region":"eu-west-1","AwsAccountName":"n","ProcessedAt":"2026-11-24T03:04:05Z"}"#,
            key(
                Some("arn:aws:securityhub:us-east-1::product/aws/health"),
                "x",
                "123456789012",
                Some(1_795_489_445),
            ),
            1_795_489_445_000,
            "2b7ea66f6c55478a9ad49c3489e6c904",
            "36ea3121f07b9479fe124327bf7aab65",
        ),
        (
            Shape::Asff,
            r#"{"Id":"x","Severity":{"Label":"HIGH","Normalized":70},"Resources":[{"Type":"Other","Id":"r","Region":"us-east-1"}]}"#,
            key(Some("arn:aws:securityhub:us-east-1::product/aws/health"), "x", "", None),
            1_795_489_445_000,
            "8686cf464e468df59d567066861ae48a",
            "a0971866ff06e65629fa6949f74abb9f",
        ),
        (
            Shape::Asff,
            r#"{"Id":"ü","Types":["a","b"],"Types":["b","a"]}"#,
            key(
                Some("arn:aws:securityhub:us-east-1::product/aws/health"),
                "ü",
                "123456789012",
                Some(1_795_489_446),
            ),
            1_795_489_445_000,
            "50e3b5f4aea323b5397f585192d12d8d",
            "9bede0ba7d1bffcbda61017797b88500",
        ),
        (
            Shape::Ocsf,
            r#"{"class_uid":2004,"finding_info":{"uid":"u"},"metadata":{"product":{"uid":"arn:aws:securityhub:us-east-1::product/aws/health"},"version":"1.6.0"}}"#,
            key(
                Some("arn:aws:securityhub:us-east-1::product/aws/health"),
                "u",
                "123456789012",
                Some(1_795_489_445),
            ),
            1_795_489_445_000,
            "c537a3389fe7fcc9a9e61ae46ec7f30a",
            "85d604bb5e405eb842aae2b5fbeaa167",
        ),
        (
            Shape::Ocsf,
            r#"{"class_uid":2004,"logged_time":1,"processed_time_dt":"t","metadata":{"processed_time":1795489445000,"logged_time_dt":"t","uid":"u"},"time":1795489445000}"#,
            key(Some(""), "u", "", None),
            1_795_489_445_000,
            "ec0b0caaac97e34c9be571896c7fe26b",
            "f502fd243766a005c17050a3cb4ef3fb",
        ),
        (
            Shape::Ocsf,
            r#"{"metadata":[{"logged_time":1}],"cloud":{"processed_time":1}}"#,
            key(Some("p"), "u", "123456789012", Some(1)),
            1_795_489_445_000,
            "7a69257239142359487a2f0de0f22dd9",
            "8ded44c413a112437ab61d1efcdecc04",
        ),
    ];

    fn hash(shape: Shape, text: &str) -> String {
        hex(content_hash(shape, &Json::leaked(text).unwrap(), &mut Vec::new())).as_str().to_owned()
    }

    const fn key<'a>(
        product: Option<&'a str>,
        id: &'a str,
        account: &'a str,
        second: Option<i64>,
    ) -> Key<'a> {
        Key { product, id, account, second }
    }

    #[test]
    fn the_form_is_the_documented_one() {
        let mut form = Vec::new();
        let body = Json::leaked(r#"{"b":[null,true,false,1.50],"a":"é","Region":"r"}"#).unwrap();
        write_body(Shape::Asff, body.as_object().unwrap(), &mut form);
        let eight = |length: u8| [length, 0, 0, 0, 0, 0, 0, 0];
        let expected = [
            &b"{"[..],
            &eight(2),
            b"\"",
            &eight(1),
            b"a",
            b"\"",
            &eight(2),
            "é".as_bytes(),
            b"\"",
            &eight(1),
            b"b",
            b"[",
            &eight(4),
            b"n",
            &eight(0),
            b"t",
            &eight(0),
            b"f",
            &eight(0),
            b"#",
            &eight(4),
            b"1.50",
        ];
        assert_eq!(form, expected.concat());
    }

    #[test]
    fn spelling_and_what_copies_differ_in_say_nothing() {
        let table = [
            (Shape::Native, r#"{"a":1,"b":2}"#, r#" { "b" : 2, "a" : 0, "\u0061" : 1 }"#),
            (Shape::Native, r#"{"a":1e5}"#, r#"{"a":1E5,"backupEvent":"true"}"#),
            (
                Shape::Native,
                r#"{"affectedEntities":[{"entityValue":"b"},{"entityValue":"a"}]}"#,
                r#"{"affectedEntities":[{"entityValue":"a"},{"entityValue":"b"}]}"#,
            ),
            (
                Shape::Asff,
                r#"{"Id":"x"}"#,
                r#"{"Id":"x","ProcessedAt":"t","AwsAccountName":"n","Region":"r"}"#,
            ),
            (
                Shape::Ocsf,
                r#"{"metadata":{"uid":"x"}}"#,
                r#"{"logged_time":1,"metadata":{"logged_time_dt":"t","processed_time":1,"uid":"x"},"processed_time_dt":"t"}"#,
            ),
        ];
        for (shape, left, right) in table {
            assert_eq!(hash(shape, left), hash(shape, right), "{left} {right}");
        }
    }

    #[test]
    fn what_says_something_is_in_the_hash() {
        let table = [
            (Shape::Native, r#"{"a":1}"#, r#"{"a":1.0}"#),
            (Shape::Native, r#"{"a":1}"#, r#"{"a":"1"}"#),
            (Shape::Native, r#"{"a":{}}"#, r#"{"a":[]}"#),
            (Shape::Native, r#"{"a":null}"#, "{}"),
            (Shape::Native, r#"{"a":["b","c"]}"#, r#"{"a":["c","b"]}"#),
            (Shape::Native, r#"{"a":["bc",""]}"#, r#"{"a":["b","c"]}"#),
            (Shape::Native, r#"{"a":[[],[1]]}"#, r#"{"a":[[[]],1]}"#),
            (Shape::Native, r#"{"a":{"backupEvent":1}}"#, r#"{"a":{}}"#),
            (Shape::Native, r#"{"Region":"a"}"#, "{}"),
            (Shape::Native, r#"{"affectedEntities":[1,1]}"#, r#"{"affectedEntities":[1]}"#),
            (Shape::Asff, r#"{"Resources":[{"Region":"a"}]}"#, r#"{"Resources":[{}]}"#),
            (Shape::Ocsf, r#"{"cloud":{"logged_time":1}}"#, r#"{"cloud":{}}"#),
            (
                Shape::Ocsf,
                r#"{"metadata":{"product":{"logged_time":1}}}"#,
                r#"{"metadata":{"product":{}}}"#,
            ),
        ];
        for (shape, left, right) in table {
            assert_ne!(hash(shape, left), hash(shape, right), "{left} {right}");
        }
    }

    #[test]
    fn each_part_of_the_key_counts() {
        let id = |ms: i64, key: &Key<'_>, hash: &str| row_id(ms, key, hash, &mut Vec::new());
        let day = 1_795_478_400_000;
        let base = key(Some("p"), "i", "a", Some(1));
        let same = id(day, &base, "h");
        assert_eq!(same, id(day + 86_399_999, &base, "h"));
        let others = [
            id(day - 1, &base, "h"),
            id(day, &base, "g"),
            id(day, &key(None, "i", "a", Some(1)), "h"),
            id(day, &key(Some(""), "i", "a", Some(1)), "h"),
            id(day, &key(Some("pi"), "", "a", Some(1)), "h"),
            id(day, &key(Some("p"), "i", "", Some(1)), "h"),
            id(day, &key(Some("p"), "i", "a", Some(2)), "h"),
            id(day, &key(Some("p"), "i", "a", None), "h"),
        ];
        for other in others {
            assert_ne!(other, same);
        }
    }

    /// Frozen: whoever has to change one of these lines changes the identity of every row in every
    /// lake, and counts up [`IDENTITY_VERSION`].
    #[test]
    fn frozen_vectors() {
        assert_eq!(IDENTITY_VERSION, 1);
        for (shape, body, key, ms, expected_hash, expected_id) in VECTORS {
            let hash = hash(shape, body);
            let id = hex(row_id(ms, &key, &hash, &mut Vec::new())).as_str().to_owned();
            assert_eq!((hash.as_str(), id.as_str()), (expected_hash, expected_id), "{body}");
        }
    }

    proptest! {
        #[test]
        fn the_order_of_entities_says_nothing(
            values in proptest::collection::vec("[a-c]{0,3}", 0..8),
            turn in 0..8usize,
        ) {
            let body = |values: &[String]| {
                let entities: Vec<String> =
                    values.iter().map(|value| format!(r#"{{"entityValue":"{value}"}}"#)).collect();
                format!(r#"{{"affectedEntities":[{}]}}"#, entities.join(","))
            };
            let mut turned = values.clone();
            if !turned.is_empty() {
                let by = turn % turned.len();
                turned.rotate_left(by);
            }
            let hash = |values| hash(Shape::Native, &body(values));
            prop_assert_eq!(hash(&values), hash(&turned));
        }
    }
}
