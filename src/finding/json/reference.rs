//! The reader that has the last word: `serde_json`, building the same tree.
//!
//! In: UTF-8 text. Out: the tree, or a [`JsonError`] in `serde_json`'s words. It is asked where
//! [`quick`](super::quick) is in doubt, and by the tests that hold the two against each other.

use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};

use super::{Arena, Json, JsonError, JsonErrorKind, Member, Object, Orders};

/// How `serde_json` announces a number under its `arbitrary_precision` feature.
const NUMBER_TOKEN: &str = "$serde_json::private::Number";

/// Reads one value that fills the whole text, but for white space around it.
pub(super) fn parse<'a>(text: &'a str, arena: &'a Arena) -> Result<Json<'a>, JsonError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let json = Seed { text, arena }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(json)
}

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
    arena: &'a Arena,
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
        Ok(Json::Number(self.arena.bump.alloc_str(&integer.to_string())))
    }

    fn visit_i64<E>(self, integer: i64) -> Result<Json<'a>, E> {
        Ok(Json::Number(self.arena.bump.alloc_str(&integer.to_string())))
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Json<'a>, E> {
        Ok(Json::String(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'a>, E> {
        Ok(Json::String(self.arena.bump.alloc_str(text)))
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut access: A) -> Result<Json<'a>, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = access.next_element_seed(self)? {
            elements.push(element);
        }
        Ok(Json::Array(self.arena.bump.alloc_slice_copy(&elements)))
    }

    fn visit_map<A: MapAccess<'a>>(self, mut access: A) -> Result<Json<'a>, A::Error> {
        let mut members = Vec::new();
        while let Some((name, is_borrowed)) =
            access.next_key_seed(NameSeed { arena: self.arena })?
        {
            let value = access.next_value_seed(self)?;
            if members.is_empty() && is_borrowed && self.announces_number(name) {
                return match value {
                    Json::String(number) => Ok(Json::Number(number)),
                    _ => Err(A::Error::custom("a number without text")),
                };
            }
            members.push(Member::new(name, value));
        }
        Ok(Json::Object(Object::new(&members, &mut Orders::default(), self.arena)))
    }
}

/// Reads a member name, and whether it is borrowed, as it is where it has no escapes.
struct NameSeed<'a> {
    arena: &'a Arena,
}

impl<'a> DeserializeSeed<'a> for NameSeed<'a> {
    type Value = (&'a str, bool);

    fn deserialize<D: serde::Deserializer<'a>>(
        self,
        deserializer: D,
    ) -> Result<(&'a str, bool), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'a> for NameSeed<'a> {
    type Value = (&'a str, bool);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_borrowed_str<E>(self, name: &'a str) -> Result<(&'a str, bool), E> {
        Ok((name, true))
    }

    fn visit_str<E>(self, name: &str) -> Result<(&'a str, bool), E> {
        Ok((self.arena.bump.alloc_str(name), false))
    }
}
