//! The text of `unmapped_json`: what of a finding no column holds.
//!
//! In: members of a finding, in the order of their names, with the path that they stand under.
//! Out: canonical JSON text, or nothing when nothing was left over. It is written straight into
//! one reused buffer; an object or array that stays empty is taken back. Nothing can go wrong; the
//! text is at most about as long as the finding's own.

use crate::finding::json::{Json, write_string};

/// Writes what is left over.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    text: String,
    /// How many leftovers stand in the text, those not counted that only say which element is
    /// meant.
    count: usize,
}

/// Where an object or array began, so that it can be closed or taken back.
#[derive(Debug)]
#[must_use = "what is opened must be closed"]
pub(super) struct Mark {
    length: usize,
    count: usize,
    end: char,
}

impl Leftovers {
    /// Begins a finding, in a buffer that is used again.
    pub(super) fn new(mut buffer: String) -> Self {
        buffer.clear();
        buffer.push('{');
        Self { text: buffer, count: 0 }
    }

    /// Keeps a member of the object that is open.
    pub(super) fn put(&mut self, name: &str, value: &Json<'_>) {
        self.label(name, value);
        self.count += 1;
    }

    /// Writes a member that says which element is meant; alone it does not keep the element.
    pub(super) fn label(&mut self, name: &str, value: &Json<'_>) {
        self.name(name);
        value.write_canonical(&mut self.text);
    }

    /// Keeps an element of the array that is open.
    pub(super) fn put_element(&mut self, value: &Json<'_>) {
        self.comma();
        value.write_canonical(&mut self.text);
        self.count += 1;
    }

    /// Opens a member that is an object.
    pub(super) fn open(&mut self, name: &str) -> Mark {
        self.open_member(name, '{', '}')
    }

    /// Opens a member that is an array.
    pub(super) fn open_array(&mut self, name: &str) -> Mark {
        self.open_member(name, '[', ']')
    }

    /// Opens an element that is an object.
    pub(super) fn open_element(&mut self) -> Mark {
        let mark = self.mark('}');
        self.comma();
        self.text.push('{');
        mark
    }

    /// Closes what was opened last, or takes it back when nothing in it is kept.
    #[expect(clippy::needless_pass_by_value, reason = "what is closed cannot be closed again")]
    pub(super) fn close(&mut self, mark: Mark) {
        if self.count == mark.count {
            self.text.truncate(mark.length);
        } else {
            self.text.push(mark.end);
        }
    }

    /// Ends the finding; nothing is kept after it.
    pub(super) fn finish(&mut self) {
        self.text.push('}');
    }

    /// The text of a finding that has ended, when there is any.
    pub(super) fn text(&self) -> Option<&str> {
        (self.count > 0).then_some(self.text.as_str())
    }

    /// The buffer, for the next finding.
    pub(super) fn into_buffer(self) -> String {
        self.text
    }

    fn open_member(&mut self, name: &str, begin: char, end: char) -> Mark {
        let mark = self.mark(end);
        self.name(name);
        self.text.push(begin);
        mark
    }

    fn mark(&self, end: char) -> Mark {
        Mark { length: self.text.len(), count: self.count, end }
    }

    fn name(&mut self, name: &str) {
        self.comma();
        write_string(name, &mut self.text);
        self.text.push(':');
    }

    /// A value never ends in an opening bracket, so that one says that nothing stands before.
    fn comma(&mut self) {
        if !self.text.ends_with(['{', '[']) {
            self.text.push(',');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_left_over_is_no_text() {
        let mut leftovers = Leftovers::new(String::from("old"));
        let object = leftovers.open("a");
        let list = leftovers.open_array("b");
        let element = leftovers.open_element();
        leftovers.label("Id", &Json::Null);
        leftovers.close(element);
        leftovers.close(list);
        leftovers.close(object);
        leftovers.finish();
        assert_eq!(leftovers.text(), None);
    }

    #[test]
    fn what_is_kept_stands_at_its_path_and_the_text_is_json() {
        let text = Json::String("[{");
        let mut leftovers = Leftovers::new(String::new());
        leftovers.put("a\"", &text);
        let empty = leftovers.open("b");
        leftovers.close(empty);
        let list = leftovers.open_array("c");
        for kept in [false, true] {
            let element = leftovers.open_element();
            leftovers.label("Id", &Json::Bool(kept));
            if kept {
                leftovers.put("x", &Json::Null);
            }
            leftovers.close(element);
        }
        leftovers.put_element(&text);
        leftovers.close(list);
        leftovers.finish();
        let written = leftovers.text().unwrap();
        assert_eq!(written, r#"{"a\"":"[{","c":[{"Id":true,"x":null},"[{"]}"#);
        assert_eq!(Json::leaked(written).unwrap().to_canonical(), written);
    }
}
