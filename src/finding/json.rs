//! JSON text to a borrowed tree, and back to canonical text.
//!
//! In: one document as UTF-8 text. Out: a [`Json`] whose objects are sorted by the bytes of their
//! member names, with the last of duplicate names kept, and whose numbers keep their own text, so
//! that identity and `unmapped_json` do not depend on a number type. Nesting is limited by
//! `serde_json` (128 levels); beyond it the text is an error, never a stack overflow.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::ops::Range;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};

/// How `serde_json` announces a number under its `arbitrary_precision` feature.
const NUMBER_TOKEN: &str = "$serde_json::private::Number";

/// One JSON value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number by its text; only the exponent is spelled one way (`1E5` and `1e5` as `1e+5`).
    Number(String),
    /// A string, unescaped.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Json<'a>>),
    /// An object.
    Object(Object<'a>),
}

/// The members of an object, sorted by the bytes of their names; names are unique.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Object<'a> {
    members: Vec<(Cow<'a, str>, Json<'a>)>,
}

/// Why a text is not JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonError {
    /// What kind of fault it is.
    pub kind: JsonErrorKind,
    /// What the parser said, with line and column.
    pub message: String,
}

/// The kinds of [`JsonError`] that a caller treats differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonErrorKind {
    /// The text ends inside the value.
    Truncated,
    /// Nested deeper than the limit.
    TooDeep,
    /// Anything else.
    Syntax,
}

impl<'a> Json<'a> {
    /// Parses one value that fills the whole text, but for white space around it.
    ///
    /// # Errors
    /// [`JsonError`] when the text is anything else.
    pub fn parse(text: &'a str) -> Result<Json<'a>, JsonError> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let json = Seed { text }.deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(json)
    }

    /// The members, when it is an object.
    pub fn as_object(&self) -> Option<&Object<'a>> {
        match self {
            Json::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The elements, when it is an array.
    pub fn as_array(&self) -> Option<&[Json<'a>]> {
        match self {
            Json::Array(elements) => Some(elements),
            _ => None,
        }
    }

    /// The text, when it is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Json::String(text) => Some(text),
            _ => None,
        }
    }

    /// The member `name`, when it is an object that has one.
    pub fn get(&self, name: &str) -> Option<&Json<'a>> {
        self.as_object()?.get(name)
    }

    /// The value at a path of member names.
    pub fn at(&self, path: &[&str]) -> Option<&Json<'a>> {
        path.iter().try_fold(self, |json, name| json.get(name))
    }

    /// Whether it is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Json::Null)
    }

    /// Canonical text: members in order, no white space, only the escapes that JSON demands.
    pub fn to_canonical(&self) -> String {
        let mut text = String::new();
        self.write_canonical(&mut text);
        text
    }

    /// Appends the canonical text to `out`.
    pub fn write_canonical(&self, out: &mut String) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Bool(true) => out.push_str("true"),
            Json::Bool(false) => out.push_str("false"),
            Json::Number(number) => out.push_str(number),
            Json::String(text) => write_string(text, out),
            Json::Array(elements) => {
                out.push('[');
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    element.write_canonical(out);
                }
                out.push(']');
            }
            Json::Object(object) => object.write_canonical(out),
        }
    }
}

impl<'a> Object<'a> {
    /// An object of these members; of equal names the last is kept.
    pub fn new(mut members: Vec<(Cow<'a, str>, Json<'a>)>) -> Self {
        let sorted = members.is_sorted_by(|a, b| a.0 < b.0);
        if !sorted {
            // Stable, so that the last of equal names stays last; reversed, it is the one kept.
            members.reverse();
            members.sort_by(|a, b| a.0.cmp(&b.0));
            members.dedup_by(|later, kept| later.0 == kept.0);
        }
        Self { members }
    }

    /// The member `name`.
    pub fn get(&self, name: &str) -> Option<&Json<'a>> {
        let index = self.members.binary_search_by(|member| member.0.as_ref().cmp(name)).ok()?;
        self.members.get(index).map(|member| &member.1)
    }

    /// Whether there is a member `name`.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The members in the order of their names' bytes.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Json<'a>)> {
        self.members.iter().map(|member| (member.0.as_ref(), &member.1))
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Appends the canonical text to `out`.
    pub fn write_canonical(&self, out: &mut String) {
        out.push('{');
        for (index, (name, value)) in self.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            write_string(name, out);
            out.push(':');
            value.write_canonical(out);
        }
        out.push('}');
    }
}

/// Appends `text` as a JSON string to `out`, with only the escapes that JSON demands.
pub fn write_string(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c == '"' || c == '\\' || c < ' ') {
        let (plain, tail) = rest.split_at(at);
        out.push_str(plain);
        let mut chars = tail.chars();
        match chars.next() {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some(control) => {
                // Writing to a String cannot fail.
                let _infallible = write!(out, "\\u{:04x}", u32::from(control));
            }
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for JsonError {}

impl From<serde_json::Error> for JsonError {
    fn from(error: serde_json::Error) -> Self {
        let message = error.to_string();
        let kind = match error.classify() {
            serde_json::error::Category::Eof => JsonErrorKind::Truncated,
            _ if message.starts_with("recursion limit exceeded") => JsonErrorKind::TooDeep,
            _ => JsonErrorKind::Syntax,
        };
        Self { kind, message }
    }
}

/// Builds a tree that borrows from `text`.
#[derive(Clone, Copy)]
struct Seed<'a> {
    text: &'a str,
}

impl Seed<'_> {
    /// Whether a member name is the parser's own announcement of a number. A document may hold a
    /// member of that very name; its text then lies inside the document's, or was unescaped into
    /// a buffer and is not borrowed at all.
    fn announces_number(self, name: &str) -> bool {
        let document: Range<*const u8> = self.text.as_bytes().as_ptr_range();
        name == NUMBER_TOKEN && !document.contains(&name.as_ptr())
    }
}

impl<'a> DeserializeSeed<'a> for Seed<'a> {
    type Value = Json<'a>;

    fn deserialize<D: serde::Deserializer<'a>>(
        self,
        deserializer: D,
    ) -> Result<Json<'a>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Seed<'a> {
    type Value = Json<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'a>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'a>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, integer: u64) -> Result<Json<'a>, E> {
        Ok(Json::Number(integer.to_string()))
    }

    fn visit_i64<E>(self, integer: i64) -> Result<Json<'a>, E> {
        Ok(Json::Number(integer.to_string()))
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Json<'a>, E> {
        Ok(Json::String(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'a>, E> {
        Ok(Json::String(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<Json<'a>, E> {
        Ok(Json::String(Cow::Owned(text)))
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut access: A) -> Result<Json<'a>, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = access.next_element_seed(self)? {
            elements.push(element);
        }
        Ok(Json::Array(elements))
    }

    fn visit_map<A: MapAccess<'a>>(self, mut access: A) -> Result<Json<'a>, A::Error> {
        let mut members = Vec::new();
        while let Some(name) = access.next_key_seed(NameSeed)? {
            let value = access.next_value_seed(self)?;
            if let (true, Cow::Borrowed(borrowed)) = (members.is_empty(), &name)
                && self.announces_number(borrowed)
            {
                return match value {
                    Json::String(number) => Ok(Json::Number(number.into_owned())),
                    _ => Err(A::Error::custom("a number without text")),
                };
            }
            members.push((name, value));
        }
        Ok(Json::Object(Object::new(members)))
    }
}

/// Reads a member name, borrowed where it has no escapes.
struct NameSeed;

impl<'a> DeserializeSeed<'a> for NameSeed {
    type Value = Cow<'a, str>;

    fn deserialize<D: serde::Deserializer<'a>>(
        self,
        deserializer: D,
    ) -> Result<Cow<'a, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'a> for NameSeed {
    type Value = Cow<'a, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_borrowed_str<E>(self, name: &'a str) -> Result<Cow<'a, str>, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Cow<'a, str>, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        match Json::parse(text) {
            Ok(json) => json.to_canonical(),
            Err(error) => format!("{:?}: {error}", error.kind),
        }
    }

    #[test]
    fn canonical_text_is_one_for_all_spellings() {
        let table = [
            (r#"{"b":1,"a":2}"#, r#"{"a":2,"b":1}"#),
            (r#"{"a":1,"b":0,"a":2}"#, r#"{"a":2,"b":0}"#),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
            (r#"{"a":3,"a":1,"a":2}"#, r#"{"a":2}"#),
            (r#"{"\u0061":1}"#, r#"{"a":1}"#),
            (
                " [ 1.50 , -0, 1E5, 1e400, 123456789012345678901234567890 ] ",
                "[1.50,-0,1e+5,1e+400,123456789012345678901234567890]",
            ),
            (r#""\u00e9\/\n\u0001\ud83d\ude00""#, "\"é/\\n\\u0001😀\""),
            ("[true,false,null,{},[]]", "[true,false,null,{},[]]"),
        ];
        for (text, expected) in table {
            assert_eq!(canonical(text), expected, "{text}");
        }
    }

    #[test]
    fn a_member_with_the_parsers_own_number_name_is_a_member() {
        for text in [
            r#"{"$serde_json::private::Number":"12"}"#,
            r#"{"$serde_json::private::Number":"x"}"#,
            r#"{"$serde_json::private::Number":[1]}"#,
        ] {
            assert_eq!(canonical(text), text);
        }
        assert_eq!(
            canonical(r#"{"\u0024serde_json::private::Number":"12"}"#),
            r#"{"$serde_json::private::Number":"12"}"#
        );
    }

    #[test]
    fn faults_have_their_kind() {
        let deep = "[".repeat(200);
        let table = [
            ("{\"a\":", JsonErrorKind::Truncated),
            ("\"abc", JsonErrorKind::Truncated),
            ("{\"a\":1}x", JsonErrorKind::Syntax),
            ("{'a':1}", JsonErrorKind::Syntax),
            (&deep, JsonErrorKind::TooDeep),
        ];
        for (text, expected) in table {
            let error = Json::parse(text).expect_err(text);
            assert_eq!(error.kind, expected, "{text}");
        }
    }
}
