//! Content hash and row id: when two findings are the same version of the same finding.
//!
//! In: a finding's body, its key and the day of its clock. Out: two 128-bit hashes, shown as 32
//! lower-case hex digits. Nothing can go wrong. The rules must not depend on which fields this
//! version of the program maps, or an upgrade would double rows; whoever changes a byte here counts
//! up [`IDENTITY_VERSION`]. Memory: one reused buffer, up to some five times the finding's text.
//!
//! # Content hash
//! XXH3-128, seed 0, over the body in this form. A value is a type byte, a length of 8 bytes in little
//! endian, and what the length counts:
//!
//! | value | type | length counts | then |
//! | --- | --- | --- | --- |
//! | `null` | `n` | 0 | |
//! | `false` | `f` | 0 | |
//! | `true` | `t` | 0 | |
//! | number | `#` | bytes | its literal text, with an exponent spelled `e+5` or `e-5` |
//! | string | `"` | bytes | UTF-8, unescaped |
//! | array | `[` | elements | the values |
//! | object | `{` | members | for each, sorted by the bytes of its name, the name as a string, then the value |
//!
//! Of equal names the last member counts. Some top-level members are left out, neither written nor
//! counted, because copies of one version differ in them:
//!
//! - native: `backupEvent`; and the elements of `affectedEntities` are sorted by the bytes of this
//!   form, because the order of pages' entities says nothing
//! - ASFF: `ProcessedAt`, `AwsAccountName`, `Region`
//! - OCSF: `processed_time`, `processed_time_dt`, `logged_time`, `logged_time_dt`, at the top and in
//!   `metadata`
//!
//! # Row id
//! XXH3-128, seed 0, over these texts, each behind its length in bytes as 8 bytes in little endian:
//!
//! - native: day, event ARN, account, content hash, second
//! - ASFF: day, product ARN, finding id, account, content hash, second
//! - OCSF: day, product uid, finding uid, account, content hash, second
//!
//! The day is that of `reported_at` in UTC (`2026-11-24`), the content hash 32 lower-case hex digits, the
//! second the envelope's time in whole seconds since 1970 in decimal digits. What is missing is the
//! empty text; a native event with a communication id has no second.

use xxhash_rust::xxh3::xxh3_128;

use crate::finding::envelope::Shape;
use crate::finding::json::{Json, Object};
use crate::finding::time;

/// The version of the rules on this page; it stands in `lake.json`.
pub const IDENTITY_VERSION: u32 = 1;

/// The capacity above which a buffer is not kept for the next finding.
const BUFFER_KEPT_MAX: usize = 1 << 20;

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
    field(&time::day(reported_at_ms));
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

/// A hash as it stands in the table.
pub fn hex(hash: u128) -> String {
    format!("{hash:032x}")
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
                write_members(shape, metadata, out)
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
    let mut forms: Vec<Vec<u8>> = elements
        .iter()
        .map(|element| {
            let mut form = Vec::new();
            write_value(element, &mut form);
            form
        })
        .collect();
    forms.sort_unstable();
    for form in forms {
        out.extend_from_slice(&form);
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
            for element in elements {
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
    write_head(kind, text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

fn write_head(kind: u8, length: usize, out: &mut Vec<u8>) {
    out.push(kind);
    write_length(length, out);
}

fn write_length(length: usize, out: &mut Vec<u8>) {
    // A length fits in 64 bits on every machine there is.
    out.extend_from_slice(&(length as u64).to_le_bytes());
}
