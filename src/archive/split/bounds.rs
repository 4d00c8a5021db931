//! Where a value ends: a scan that knows strings and counts brackets, and nothing else of JSON.
//!
//! In: the bytes from a value's first bracket on. Out: the offset behind the bracket that balances
//! it. Every byte of every document passes here, so that the parser sees one value and no more.
//! A backslash escapes a quote or a backslash behind it, inside a string or not, so that all scans of
//! the same bytes agree on which quotes count.

use crate::archive::split::window::Window;

/// How many bytes of a string are looked at one by one before a vectorized search pays.
const SHORT_STRING_BYTES: usize = 16;

/// A scan that can be paused anywhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// The next byte to look at.
    pub(super) at: u64,
    depth: u64,
    in_string: bool,
    escaped: bool,
}

impl Bounds {
    /// A scan of the value whose first bracket is at `start`.
    pub(super) fn new(start: u64) -> Self {
        Self { at: start, depth: 0, in_string: false, escaped: false }
    }

    /// Goes on to `until`, or to the end of the window, or to the value's end, which it returns.
    pub(super) fn run(&mut self, window: &Window, until: u64) -> Option<u64> {
        if until <= self.at {
            return None;
        }
        let bytes = window.slice(self.at..until);
        let mut index = 0;
        let mut end = None;
        while let Some(&byte) = bytes.get(index) {
            if self.escaped {
                self.escaped = false;
                if matches!(byte, b'"' | b'\\') {
                    index += 1;
                    continue;
                }
            }
            if self.in_string {
                index = self.string(bytes, index);
                continue;
            }
            index += 1;
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        end = Some(self.at + index as u64);
                        break;
                    }
                }
                b'\\' => self.escaped = true,
                _ => {}
            }
        }
        self.at += index.min(bytes.len()) as u64;
        end
    }

    /// Passes over the string's bytes from `index` on: to behind its closing quote or a backslash,
    /// or to the end of `bytes`.
    fn string(&mut self, bytes: &[u8], index: usize) -> usize {
        let rest = bytes.get(index..).unwrap_or_default();
        let is_special = |byte: &u8| matches!(byte, b'"' | b'\\');
        let short = rest.iter().take(SHORT_STRING_BYTES).position(is_special);
        let found = short.or_else(|| {
            let tail = rest.get(SHORT_STRING_BYTES..)?;
            memchr::memchr2(b'"', b'\\', tail).map(|at| at + SHORT_STRING_BYTES)
        });
        let Some(at) = found else { return bytes.len() };
        if rest.get(at) == Some(&b'"') {
            self.in_string = false;
        } else {
            self.escaped = true;
        }
        index + at + 1
    }
}
