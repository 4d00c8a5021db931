//! Texts that many findings share, each kept once.
//!
//! In: texts of the lake's rows, which may be anything. Out: small numbers, and the texts again.
//! Bounds: a text is cut to [`NAME_CHARS_MAX`] characters, and once all take [`NAMES_BYTES_MAX`] bytes
//! new ones become [`OTHERS`], counted.

use std::collections::HashMap;
use std::sync::Arc;

/// Longest text that is kept.
const NAME_CHARS_MAX: usize = 200;
/// Most bytes of all texts together; their index takes as much again.
const NAMES_BYTES_MAX: usize = 16 << 20;
/// What a text takes beside its bytes.
const ENTRY_BYTES: usize = 64;
/// What stands for texts beyond the bound.
pub(crate) const OTHERS: &str = "(others)";

/// The number of a text; 0 for none.
pub(crate) type Name = u32;

/// No text.
pub(crate) const NONE: Name = 0;

#[derive(Debug, Default)]
pub(crate) struct Names {
    numbers: HashMap<Arc<str>, Name>,
    texts: Vec<Arc<str>>,
    bytes: usize,
    merged: u64,
}

impl Names {
    /// The number of a text; [`NONE`] for an empty one.
    pub(crate) fn number(&mut self, text: &str) -> Name {
        let cut = text.char_indices().nth(NAME_CHARS_MAX).map_or(text.len(), |(at, _)| at);
        let text = text.get(..cut).unwrap_or_default();
        if text.is_empty() {
            return NONE;
        }
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        if self.bytes + text.len() + ENTRY_BYTES > NAMES_BYTES_MAX && text != OTHERS {
            self.merged += 1;
            return self.number(OTHERS);
        }
        self.bytes += text.len() + ENTRY_BYTES;
        let shared: Arc<str> = Arc::from(text);
        self.texts.push(Arc::clone(&shared));
        let number = Name::try_from(self.texts.len()).unwrap_or(Name::MAX);
        self.numbers.insert(shared, number);
        number
    }

    /// The text of a number; empty for [`NONE`].
    pub(crate) fn text(&self, number: Name) -> &str {
        let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        index.and_then(|index| self.texts.get(index)).map_or("", AsRef::as_ref)
    }

    /// How often a text was not kept.
    pub(crate) fn merged(&self) -> u64 {
        self.merged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_have_one_number() {
        let mut names = Names::default();
        let (ec2, rds) = (names.number("EC2"), names.number("RDS"));
        assert_eq!((names.number("EC2"), names.number("")), (ec2, NONE));
        assert_eq!((names.text(ec2), names.text(rds), names.text(NONE)), ("EC2", "RDS", ""));
        assert_eq!(names.text(99), "");
    }

    #[test]
    fn long_and_many_texts_are_bounded() {
        let mut names = Names::default();
        let long = names.number(&"ä".repeat(1_000));
        assert_eq!(names.text(long).chars().count(), NAME_CHARS_MAX);
        for number in 0..NAMES_BYTES_MAX / ENTRY_BYTES {
            names.number(&number.to_string());
        }
        let last = names.number("one too many");
        assert_eq!(names.text(last), OTHERS);
        assert!(names.merged() > 1 && names.bytes <= NAMES_BYTES_MAX + ENTRY_BYTES + OTHERS.len());
    }
}
