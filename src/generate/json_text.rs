//! JSON text, written straight into a string.
//!
//! In: names and values. Out: one document after the other, compact, with nothing between them. A
//! comma is due unless something was just opened, which the last byte tells. Nothing is checked:
//! the caller closes what it opens.

use std::fmt::{Display, Write as _};

/// A growing text of JSON documents.
#[derive(Debug, Default)]
pub(super) struct JsonText {
    text: String,
}

impl JsonText {
    /// What was written so far.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Forgets what was written and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.text.clear();
    }

    /// Opens an outermost object.
    pub(super) fn start(&mut self) {
        self.text.push('{');
    }

    /// Opens the object that is the member `name`.
    pub(super) fn open(&mut self, name: &str) {
        self.name(name);
        self.text.push('{');
    }

    /// Opens the array that is the member `name`.
    pub(super) fn open_array(&mut self, name: &str) {
        self.name(name);
        self.text.push('[');
    }

    /// Opens an object that is an element.
    pub(super) fn open_element(&mut self) {
        self.separate();
        self.text.push('{');
    }

    /// Closes an object.
    pub(super) fn close(&mut self) {
        self.text.push('}');
    }

    /// Closes an array.
    pub(super) fn close_array(&mut self) {
        self.text.push(']');
    }

    /// A member that is a string.
    pub(super) fn string(&mut self, name: &str, value: &str) {
        self.name(name);
        self.quoted(value);
    }

    /// A member that is a number, `true`, `false` or `null`.
    pub(super) fn literal(&mut self, name: &str, value: impl Display) {
        self.name(name);
        // Writing into a string cannot fail.
        let _infallible = write!(self.text, "{value}");
    }

    /// An element that is a string.
    pub(super) fn element(&mut self, value: &str) {
        self.separate();
        self.quoted(value);
    }

    /// A member that is an array of strings.
    pub(super) fn strings(&mut self, name: &str, values: &[&str]) {
        self.open_array(name);
        for value in values {
            self.element(value);
        }
        self.close_array();
    }

    fn separate(&mut self) {
        if !matches!(self.text.as_bytes().last(), None | Some(b'{' | b'[')) {
            self.text.push(',');
        }
    }

    fn name(&mut self, name: &str) {
        self.separate();
        self.quoted(name);
        self.text.push(':');
    }

    fn quoted(&mut self, value: &str) {
        self.text.push('"');
        let mut rest = value;
        while let Some(at) = rest.find(|c: char| c == '"' || c == '\\' || c < ' ') {
            let (plain, special) = rest.split_at(at);
            self.text.push_str(plain);
            let mut characters = special.chars();
            match characters.next() {
                Some('\n') => self.text.push_str("\\n"),
                Some('\t') => self.text.push_str("\\t"),
                Some(c) if c < ' ' => {
                    let _infallible = write!(self.text, "\\u{:04x}", u32::from(c));
                }
                Some(c) => {
                    self.text.push('\\');
                    self.text.push(c);
                }
                None => {}
            }
            rest = characters.as_str();
        }
        self.text.push_str(rest);
        self.text.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_stand_one_after_the_other() {
        let mut json = JsonText::default();
        for _ in 0..2 {
            json.start();
            json.string("a", "say \"hi\"\\\n\u{1}é");
            json.literal("n", 1.5);
            json.open("o");
            json.close();
            json.strings("l", &["x", "y"]);
            json.open_array("e");
            json.open_element();
            json.close();
            json.open_element();
            json.string("k", "{");
            json.close();
            json.close_array();
            json.close();
        }
        let one = "{\"a\":\"say \\\"hi\\\"\\\\\\n\\u0001é\",\"n\":1.5,\"o\":{},\"l\":[\"x\",\"y\"],\
                   \"e\":[{},{\"k\":\"{\"}]}";
        assert_eq!(json.as_str(), format!("{one}{one}"));
    }
}
