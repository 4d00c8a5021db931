//! The reader that every document passes: JSON text to a tree in one pass.
//!
//! In: UTF-8 text, and the arena that takes what is not borrowed from it. Out: the tree that
//! [`reference`](super::reference) gives, or a [`Doubt`]. It takes nothing that the reference refuses; of
//! what it refuses, only `Doubt::Unsure` may be JSON all the same. Recursion ends at [`DEPTH_MAX`].

use bumpalo::collections::{String as BumpString, Vec as BumpVec};

use super::{Arena, DEPTH_MAX, Json, Member, Object, Scratch, start_of};

/// How many members and elements most documents have open at once.
const OPEN_MEMBERS: usize = 64;

/// Bytes of a text that are looked at together once it is known to be long.
const BLOCK_BYTES: usize = 32;
/// Room for a text with escapes, beside what is known of it at the first.
const ESCAPED_BYTES: usize = 64;
/// How many words of eight bytes are looked at before.
const WORDS_BEFORE_BLOCKS: usize = 3;

/// Why a text was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// The text ends inside the value.
    Truncated,
    /// It is not JSON.
    Syntax,
    /// Only the reference can tell: too deep, or an escape that is no character.
    Unsure,
}

type Quick<T> = Result<T, Doubt>;

/// Reads one value that fills the whole text, but for white space around it.
pub(super) fn parse<'a>(text: &'a str, arena: &'a Arena) -> Quick<Json<'a>> {
    let (json, length) = parse_first(text, arena)?;
    let rest = text.as_bytes().get(length..).unwrap_or_default();
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\t' | b'\r');
    if rest.iter().all(is_space) { Ok(json) } else { Err(Doubt::Syntax) }
}

/// Reads the value that begins the text, and says how many bytes it has, with the white space before.
pub(super) fn parse_first<'a>(text: &'a str, arena: &'a Arena) -> Quick<(Json<'a>, usize)> {
    let mut reader = Reader {
        text,
        bytes: text.as_bytes(),
        at: 0,
        arena,
        elements: BumpVec::with_capacity_in(OPEN_MEMBERS, &arena.bump),
        members: BumpVec::with_capacity_in(OPEN_MEMBERS, &arena.bump),
        scratch: arena.scratch.take(),
    };
    let json = reader.token().and_then(|first| reader.value(first, 0));
    let Reader { at, scratch, .. } = reader;
    arena.scratch.set(scratch);
    Ok((json?, at))
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    /// The next byte to read.
    at: usize,
    arena: &'a Arena,
    /// Elements of the arrays that are open, the outermost first.
    elements: BumpVec<'a, Json<'a>>,
    /// Members of the objects that are open.
    members: BumpVec<'a, Member<'a>>,
    scratch: Scratch,
}

impl<'a> Reader<'a> {
    /// Takes the next byte that is not white space.
    fn token(&mut self) -> Quick<u8> {
        loop {
            let byte = self.next()?;
            if !matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
                return Ok(byte);
            }
        }
    }

    fn next(&mut self) -> Quick<u8> {
        let byte = *self.bytes.get(self.at).ok_or(Doubt::Truncated)?;
        self.at += 1;
        Ok(byte)
    }

    /// Reads the value that begins with `first`, inside `depth` others.
    fn value(&mut self, first: u8, depth: usize) -> Quick<Json<'a>> {
        match first {
            b'"' => Ok(Json::String(self.string()?)),
            b'{' if depth < DEPTH_MAX => self.object(depth + 1),
            b'[' if depth < DEPTH_MAX => self.array(depth + 1),
            b'{' | b'[' => Err(Doubt::Unsure),
            b't' => self.word(b"rue", Json::Bool(true)),
            b'f' => self.word(b"alse", Json::Bool(false)),
            b'n' => self.word(b"ull", Json::Null),
            b'-' | b'0'..=b'9' => self.number(first),
            _ => Err(Doubt::Syntax),
        }
    }

    fn word(&mut self, rest: &[u8], value: Json<'a>) -> Quick<Json<'a>> {
        for expected in rest {
            if self.next()? != *expected {
                return Err(Doubt::Syntax);
            }
        }
        Ok(value)
    }

    fn array(&mut self, depth: usize) -> Quick<Json<'a>> {
        let floor = self.elements.len();
        let mut first = self.token()?;
        if first != b']' {
            loop {
                let element = self.value(first, depth)?;
                self.elements.push(element);
                match self.token()? {
                    b',' => first = self.token()?,
                    b']' => break,
                    _ => return Err(Doubt::Syntax),
                }
            }
        }
        let elements = self.elements.get(floor..).unwrap_or_default();
        let elements = self.arena.bump.alloc_slice_copy(elements);
        self.elements.truncate(floor);
        Ok(Json::Array(elements))
    }

    fn object(&mut self, depth: usize) -> Quick<Json<'a>> {
        let floor = self.members.len();
        let mut first = self.token()?;
        if first != b'}' {
            loop {
                if first != b'"' {
                    return Err(Doubt::Syntax);
                }
                let (start, name) = self.name()?;
                if self.token()? != b':' {
                    return Err(Doubt::Syntax);
                }
                let first_of_value = self.token()?;
                let value = self.value(first_of_value, depth)?;
                self.members.push(Member::begun(start, name, value));
                match self.token()? {
                    b',' => first = self.token()?,
                    b'}' => break,
                    _ => return Err(Doubt::Syntax),
                }
            }
        }
        let members = self.members.get(floor..).unwrap_or_default();
        let object = Object::new(members, &mut self.scratch.orders, self.arena);
        self.members.truncate(floor);
        Ok(Json::Object(object))
    }

    /// Reads a name as [`Reader::string`] does, with the start of it.
    fn name(&mut self) -> Quick<(u64, &'a str)> {
        let begin = self.at;
        let word = self.bytes.get(begin..).and_then(<[u8]>::first_chunk).copied();
        let name = self.string()?;
        // Each escape is longer than what it stands for.
        let is_plain = self.at == begin + name.len() + 1;
        let start = match word.filter(|_| is_plain).map(u64::from_be_bytes) {
            Some(word) if name.len() >= size_of::<u64>() => word,
            // What follows a short name is cut off.
            Some(word) if !name.is_empty() => {
                let bits = u64::BITS as usize - 8 * name.len();
                word >> bits << bits
            }
            _ => start_of(name),
        };
        Ok((start, name))
    }

    /// Reads a string whose opening quote is taken.
    fn string(&mut self) -> Quick<&'a str> {
        let start = self.at;
        let end = self.plain()?;
        if self.bytes.get(end) == Some(&b'"') {
            self.at = end + 1;
            return self.slice(start, end);
        }
        self.escaped(start, end)
    }

    /// The offset of the next quote, backslash or control character.
    fn plain(&self) -> Quick<usize> {
        let mut at = self.at;
        let mut words = 0;
        while let Some(chunk) = self.bytes.get(at..).and_then(<[u8]>::first_chunk) {
            let hits = specials(u64::from_le_bytes(*chunk));
            if hits != 0 {
                return Ok(at + (hits.trailing_zeros() / 8) as usize);
            }
            at += chunk.len();
            words += 1;
            // Most names and values end before this; a longer text is mostly much longer.
            if words == WORDS_BEFORE_BLOCKS {
                at += self.blocks(at);
            }
        }
        let rest = self.bytes.get(at..).unwrap_or_default();
        let hit = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..b' '));
        hit.map(|offset| at + offset).ok_or(Doubt::Truncated)
    }

    /// How many bytes from `at` on are passed over in blocks that hold nothing special.
    fn blocks(&self, at: usize) -> usize {
        let blocks = self.bytes.get(at..).unwrap_or_default().as_chunks::<BLOCK_BYTES>().0;
        // Without a branch for each byte, so that it is done for many bytes at once.
        let is_plain = |block: &&[u8; BLOCK_BYTES]| {
            block.iter().fold(0, |hits, byte| {
                hits | u8::from(*byte == b'"') | u8::from(*byte == b'\\') | u8::from(*byte < b' ')
            }) == 0
        };
        blocks.iter().take_while(is_plain).count() * BLOCK_BYTES
    }

    /// Reads the string from `start` on, whose first escape is at `end`.
    fn escaped(&mut self, start: usize, end: usize) -> Quick<&'a str> {
        // It grows in place, because nothing else is put into the arena meanwhile.
        let room = 2 * (end - start) + ESCAPED_BYTES;
        let mut text = BumpString::with_capacity_in(room, &self.arena.bump);
        let (mut start, mut end) = (start, end);
        loop {
            let plain = self.text.get(start..end).ok_or(Doubt::Unsure)?;
            text.push_str(plain);
            self.at = end + 1;
            match self.bytes.get(end) {
                Some(b'"') => return Ok(text.into_bump_str()),
                Some(b'\\') => text.push(self.escape()?),
                _ => return Err(Doubt::Syntax),
            }
            start = self.at;
            end = self.plain()?;
        }
    }

    /// Reads what follows a backslash.
    fn escape(&mut self) -> Quick<char> {
        Ok(match self.next()? {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.unit()?;
                let is_high = (0xd800..0xdc00).contains(&unit);
                let code = if is_high { self.pair(unit)? } else { unit };
                char::from_u32(code).ok_or(Doubt::Unsure)?
            }
            _ => return Err(Doubt::Syntax),
        })
    }

    /// Reads the low half that must follow a high one, and puts the two together.
    fn pair(&mut self, high: u32) -> Quick<u32> {
        if self.next()? != b'\\' || self.next()? != b'u' {
            return Err(Doubt::Unsure);
        }
        let low = self.unit()?;
        if !(0xdc00..0xe000).contains(&low) {
            return Err(Doubt::Unsure);
        }
        Ok(0x1_0000 + ((high - 0xd800) << 10 | (low - 0xdc00)))
    }

    fn unit(&mut self) -> Quick<u32> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = char::from(self.next()?).to_digit(16).ok_or(Doubt::Syntax)?;
            unit = unit << 4 | digit;
        }
        Ok(unit)
    }

    /// Reads a number whose first byte is taken.
    fn number(&mut self, first: u8) -> Quick<Json<'a>> {
        let start = self.at - 1;
        let first = if first == b'-' { self.next()? } else { first };
        match first {
            // No digit may follow; whoever comes next refuses it.
            b'0' => {}
            b'1'..=b'9' => self.digits(),
            _ => return Err(Doubt::Syntax),
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if !matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            return Ok(Json::Number(self.slice(start, self.at)?));
        }
        let mantissa = self.slice(start, self.at)?;
        self.at += 1;
        let sign = match self.bytes.get(self.at) {
            Some(b'-') => "-",
            _ => "+",
        };
        if matches!(self.bytes.get(self.at), Some(b'-' | b'+')) {
            self.at += 1;
        }
        let exponent_start = self.at;
        self.some_digits()?;
        let exponent = self.slice(exponent_start, self.at)?;
        self.scratch.text.clear();
        for text in [mantissa, "e", sign, exponent] {
            self.scratch.text.push_str(text);
        }
        Ok(Json::Number(self.arena.bump.alloc_str(&self.scratch.text)))
    }

    fn digits(&mut self) {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
    }

    fn some_digits(&mut self) -> Quick<()> {
        if !self.next()?.is_ascii_digit() {
            return Err(Doubt::Syntax);
        }
        self.digits();
        Ok(())
    }

    /// A stretch of the text; its ends are ASCII, so that they are no part of a character.
    fn slice(&self, start: usize, end: usize) -> Quick<&'a str> {
        self.text.get(start..end).ok_or(Doubt::Unsure)
    }
}

/// Finds quotes, backslashes and control characters among eight bytes: the lowest bit that is set is
/// the highest of the first one's byte. (Bytes behind it may be marked wrongly, by a carry.)
fn specials(word: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * EACH;
    let is_zero = |word: u64| word.wrapping_sub(EACH) & !word;
    let quote = is_zero(word ^ (u64::from(b'"') * EACH));
    let backslash = is_zero(word ^ (u64::from(b'\\') * EACH));
    let control = word.wrapping_sub(u64::from(b' ') * EACH) & !word;
    (quote | backslash | control) & HIGH
}
