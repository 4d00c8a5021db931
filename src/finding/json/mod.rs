//! JSON text to a borrowed tree, and back to canonical text.
//!
//! In: one document as UTF-8 text, and an [`Arena`] for what cannot be borrowed from it. Out: a [`Json`]
//! whose objects are sorted by the bytes of their member names, with the last of duplicate names
//! kept, and whose numbers keep their own text, so that identity and `unmapped_json` do not depend on
//! a number type. Nesting is limited to 127 levels; beyond it the text is an error, never a stack
//! overflow.
//!
//! Two readers give the same tree: [`quick`](mod@quick), which every document passes, and
//! [`reference`](mod@reference), which is `serde_json`. What the quick one does not take, the
//! reference judges: it has the last word, and its messages are the ones that people see.

mod orders;
mod quick;
mod reference;

use std::cell::Cell;
use std::fmt::{self, Write as _};

use bumpalo::Bump;

use orders::Orders;
pub use quick::Doubt;

/// The deepest nesting of arrays and objects; `serde_json` stops beyond it.
pub const DEPTH_MAX: usize = 127;

/// The memory above which an arena is given back instead of used again.
const ARENA_KEPT_MAX: usize = 1 << 20;

/// Where trees keep their arrays, objects and unescaped texts: one block that is used again for
/// document after document.
#[derive(Default)]
pub struct Arena {
    bump: Bump,
    /// Lent to the reader.
    scratch: Cell<Scratch>,
}

/// What a reader needs for a moment.
#[derive(Debug, Default)]
struct Scratch {
    text: String,
    orders: Orders,
}

impl Arena {
    /// Forgets all trees.
    pub fn reset(&mut self) {
        let scratch = self.scratch.get_mut();
        let scratch_bytes = scratch.text.capacity() + scratch.orders.bytes();
        if self.bump.allocated_bytes().max(scratch_bytes) > ARENA_KEPT_MAX {
            *self = Self::default();
        } else {
            self.bump.reset();
        }
    }
}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arena").field("bytes", &self.bump.allocated_bytes()).finish_non_exhaustive()
    }
}

/// One JSON value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Json<'a> {
    /// `null`
    #[default]
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number by its text; only the exponent is spelled one way (`1E5` and `1e5` as `1e+5`).
    Number(&'a str),
    /// A string, unescaped.
    String(&'a str),
    /// An array.
    Array(&'a [Json<'a>]),
    /// An object.
    Object(Object<'a>),
}

/// A member of an object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Member<'a> {
    /// The beginning of the name: what decides most comparisons.
    start: u64,
    name: &'a str,
    value: Json<'a>,
}

impl<'a> Member<'a> {
    fn new(name: &'a str, value: Json<'a>) -> Self {
        Self::begun(start_of(name), name, value)
    }

    /// The same, where [`start_of`] the name is known.
    fn begun(start: u64, name: &'a str, value: Json<'a>) -> Self {
        Self { start, name, value }
    }

    /// Whether its name comes before the other's.
    fn precedes(&self, other: &Self) -> bool {
        self.start < other.start || self.start == other.start && self.name < other.name
    }
}

/// The first eight bytes of a name as a number, zeros behind a shorter one: where two of them differ,
/// the names are ordered alike.
pub(super) const fn start_of(name: &str) -> u64 {
    let bytes = name.as_bytes();
    if let Some(chunk) = bytes.first_chunk() {
        return u64::from_be_bytes(*chunk);
    }
    let mut start = [0; 8];
    let (place, _) = start.split_at_mut(bytes.len());
    place.copy_from_slice(bytes);
    u64::from_be_bytes(start)
}

/// The members of an object, sorted by the bytes of their names; names are unique.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Object<'a> {
    members: &'a [Member<'a>],
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
    pub fn parse(text: &'a str, arena: &'a Arena) -> Result<Json<'a>, JsonError> {
        quick::parse(text, arena).or_else(|_| reference::parse(text, arena))
    }

    /// Parses the value that begins the text, and says how many bytes it has. Where that is not quickly
    /// done there is no message.
    ///
    /// # Errors
    /// [`Doubt`] when the text does not begin with JSON, or when only [`Json::parse`] can tell.
    pub fn parse_first(text: &'a str, arena: &'a Arena) -> Result<(Json<'a>, usize), Doubt> {
        quick::parse_first(text, arena)
    }

    /// As [`Json::parse`], by `serde_json` alone: what tests compare with.
    ///
    /// # Errors
    /// [`JsonError`] when the text is anything else.
    pub fn parse_reference(text: &'a str, arena: &'a Arena) -> Result<Json<'a>, JsonError> {
        reference::parse(text, arena)
    }

    /// A tree that lives as long as the tests, which keep their texts where it suits them.
    #[cfg(test)]
    pub(crate) fn leaked(text: &str) -> Result<Json<'static>, JsonError> {
        Json::parse(text.to_owned().leak(), Box::leak(Box::default()))
    }

    /// The members, when it is an object.
    pub fn as_object(&self) -> Option<&Object<'a>> {
        match self {
            Json::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The elements, when it is an array.
    pub fn as_array(&self) -> Option<&'a [Json<'a>]> {
        match self {
            Json::Array(elements) => Some(elements),
            _ => None,
        }
    }

    /// The text, when it is a string.
    pub fn as_str(&self) -> Option<&'a str> {
        match self {
            Json::String(text) => Some(text),
            _ => None,
        }
    }

    /// The member `name`, when it is an object that has one.
    pub fn get(&self, name: &str) -> Option<&'a Json<'a>> {
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
    fn new(members: &[Member<'a>], orders: &mut Orders, arena: &'a Arena) -> Self {
        if members.is_sorted_by(Member::precedes) {
            return Self { members: arena.bump.alloc_slice_copy(members) };
        }
        let order = orders.of(members).iter();
        let member = |at: &u32| members.get(*at as usize).copied().unwrap_or_default();
        Self { members: arena.bump.alloc_slice_fill_iter(order.map(member)) }
    }

    /// The member `name`.
    pub fn get(&self, name: &str) -> Option<&'a Json<'a>> {
        let start = start_of(name);
        let compare =
            |member: &Member<'_>| member.start.cmp(&start).then_with(|| member.name.cmp(name));
        let index = self.members.binary_search_by(compare).ok()?;
        self.members.get(index).map(|member| &member.value)
    }

    /// Whether there is a member `name`.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The members in the order of their names' bytes.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&'a str, &'a Json<'a>)> {
        self.members.iter().map(|member| (member.name, &member.value))
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
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..b' ');
    // What is special is ASCII, so that the text is never cut within a character.
    while let Some(at) = rest.as_bytes().iter().position(is_special)
        && let Some((plain, tail)) = rest.split_at_checked(at)
    {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(text: &str) -> String {
        match Json::leaked(text) {
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
                r" [ 1.50 , -0, 1E5, 1e400, 123456789012345678901234567890 ] ",
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
            let error = Json::leaked(text).expect_err(text);
            assert_eq!(error.kind, expected, "{text}");
        }
    }

    /// The quick reader and the reference agree on a text, where the quick one does not pass.
    fn agree(text: &str) {
        let (one, two) = (Arena::default(), Arena::default());
        let reference = Json::parse_reference(text, &two);
        match (quick::parse(text, &one), &reference) {
            (Ok(quick), Ok(reference)) => assert_eq!(quick, *reference, "{text}"),
            (Ok(_), Err(error)) => panic!("only the quick reader takes {text:?}: {error}"),
            // Which fault comes first is the reference's to say.
            (Err(Doubt::Unsure), _) | (Err(Doubt::Syntax), Err(_)) => {}
            (Err(doubt), Ok(_)) => panic!("{doubt:?}, but the reference takes {text:?}"),
            (Err(Doubt::Truncated), Err(error)) => {
                assert_eq!(error.kind, JsonErrorKind::Truncated, "{text}");
            }
        }
        if let Ok(json) = &reference {
            let behind = format!("{text}{{");
            let first = Json::parse_first(&behind, &one);
            let is_number = matches!(json, Json::Number(_));
            if !is_number && let Ok((first, length)) = first {
                assert_eq!(first, *json, "{text}");
                assert_eq!(length, text.trim_end_matches([' ', '\n', '\t', '\r']).len(), "{text}");
            }
        }
    }

    const NEARLY_JSON: [&str; 70] = [
        "0",
        "-0",
        "00",
        "01",
        "-",
        "-01",
        "1.",
        "1.0",
        ".5",
        "1e",
        "1e+",
        "1E+05",
        "1e-0",
        "-1.5E10",
        "+1",
        "1.e5",
        "0e0",
        "1ee5",
        "1 ",
        " 1",
        "NaN",
        "tru",
        "true",
        "truee",
        "nul",
        "null",
        "False",
        "\"\"",
        "\"\\\"",
        "\"\\u00e9\"",
        "\"\\u00E9\"",
        "\"\\u00g9\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud83d\"",
        "\"\\ude00\"",
        "\"\\ud83d\\u0041\"",
        "\"\\x\"",
        "\"a\u{1}b\"",
        "\"a\u{7f}\u{80}b\"",
        "\"é\u{1f600}\"",
        "\"0123456789abcdef\"",
        "\"0123456789abcde\\n\"",
        "\"0123456789abcdefé\\t0123456789abcdef\"",
        "[",
        "]",
        "[]",
        "[,]",
        "[1,]",
        "[1 2]",
        "[1,2]",
        "[[],[[]]]",
        "{",
        "}",
        "{}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{a:1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":1,\"a\":2}",
        "{\"b\":1,\"a\":{\"b\":[],\"a\":2}}",
        "{\"a\" : [ 1 , { } ] }\n",
        "",
        " ",
        "{} {}",
        "\"a",
        "\"a\\",
        "\u{feff}{}",
        "{\"$serde_json::private::Number\":\"1\"}",
    ];

    #[test]
    fn both_readers_say_the_same_of_texts_that_are_nearly_json() {
        NEARLY_JSON.into_iter().for_each(agree);
        for depth in [126, 127, 128, 200] {
            agree(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
            agree(&"{\"a\":".repeat(depth));
        }
    }

    /// JSON of any shape, in spellings that writers use.
    fn json() -> impl Strategy<Value = String> {
        let number = prop_oneof!["-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,3})?"];
        let string = r#""([ -!#-\[\]-~é😀]|\\["\\/bfnrtu]|\\u[0-9a-fA-F]{4}){0,40}""#;
        let leaf = prop_oneof![Just("null".to_owned()), Just("true".to_owned()), number, string];
        leaf.prop_recursive(6, 64, 8, move |inner| {
            let member = (r#""[a-dA-D\\u0061"]{0,3}""#, " ?", inner.clone());
            let member = member.prop_map(|(name, space, value)| format!("{name}:{space}{value}"));
            prop_oneof![
                proptest::collection::vec(inner, 0..8)
                    .prop_map(|all| format!("[{}]", all.join(" ,"))),
                proptest::collection::vec(member, 0..8)
                    .prop_map(|all| format!("{{{}}}", all.join(","))),
            ]
        })
    }

    proptest! {
        #[test]
        fn both_readers_build_the_same_tree(text in json(), cut in any::<prop::sample::Index>(), byte in 0_u8..128) {
            agree(&text);
            // And of the same text cut off, and with a byte changed.
            let at = text.floor_char_boundary(cut.index(text.len()));
            agree(text.get(..at).unwrap());
            let mut changed = text.into_bytes();
            if let Some(place) = changed.get_mut(at).filter(|place| place.is_ascii()) {
                *place = byte;
            }
            agree(std::str::from_utf8(&changed).unwrap());
        }
    }
}
