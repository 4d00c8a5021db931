//! zip (APPNOTE.TXT), read forward from its local headers.
//!
//! In: entries, stored or deflated, whose sizes may stand only in the descriptor behind them, as
//! Firehose writes them. Out: their content, one after the other. The central directory is passed
//! over; an object that is cut before its end gives what is there, then a fault, as does one of more
//! than `entries_max` entries.

use flate2::Crc;

use crate::archive::unpack::UnpackFault;
use crate::archive::unpack::gzip::Inflater;
use crate::archive::unpack::input::{Input, Layer};
use crate::finding::reject::Reason;

/// A zip stream.
pub(super) struct Zip<'s> {
    input: Input<'s>,
    /// Entries that may still come.
    entries_left: u32,
    entries_max: u32,
    state: State,
    entry: Entry,
    inflater: Inflater,
    stored_crc: Crc,
}

#[derive(Clone, Copy)]
enum State {
    /// Before a record: an entry, or a part of the directory.
    Record,
    Deflated,
    /// That many bytes of a stored entry are left.
    Stored(u64),
    EntryEnd,
    End,
}

/// What a local header says.
#[derive(Clone, Copy, Default)]
struct Entry {
    method: u16,
    /// Sizes and checksum stand behind the content.
    has_descriptor: bool,
    crc: u32,
    compressed: u64,
    content: u64,
}

const LOCAL_HEADER: &[u8; 4] = b"PK\x03\x04";
const DESCRIPTOR: &[u8; 4] = b"PK\x07\x08";
const DIRECTORY_END: &[u8; 4] = b"PK\x05\x06";
const STORED: u16 = 0;
const DEFLATED: u16 = 8;
/// The extra field that holds the sizes that 32 bits cannot.
const ZIP64_EXTRA: u16 = 0x0001;

impl<'s> Zip<'s> {
    pub(super) fn new(input: Input<'s>, entries_max: u32) -> Self {
        Self {
            input,
            entries_left: entries_max,
            entries_max,
            state: State::Record,
            entry: Entry::default(),
            inflater: Inflater::new(),
            stored_crc: Crc::new(),
        }
    }

    /// Reads the next record; entries lead to their content, parts of the directory are passed over.
    fn record(&mut self) -> Result<State, UnpackFault> {
        let what = "a zip archive, before the end of its directory";
        let head = self.input.need(4, what)?;
        let signature: [u8; 4] = head.first_chunk().copied().unwrap_or_default();
        if &signature == LOCAL_HEADER {
            return self.local_header();
        }
        // Fixed length, and where in it which lengths of variable parts stand.
        let (fixed, lengths): (usize, &[usize]) = match &signature {
            b"PK\x01\x02" => (46, &[28, 30, 32]),
            b"PK\x05\x05" => (6, &[4]),
            b"PK\x06\x07" => (20, &[]),
            DIRECTORY_END => (22, &[20]),
            b"PK\x06\x06" => {
                let bytes = u64_at(self.input.need(12, what)?, 4);
                self.input.skip(bytes.saturating_add(12), what)?;
                return Ok(State::Record);
            }
            _ => return Err(UnpackFault::corrupt("the zip archive holds an unknown record")),
        };
        let record = self.input.need(fixed, what)?;
        let variable: u64 = lengths.iter().map(|at| u64::from(u16_at(record, *at))).sum();
        self.input.skip(fixed as u64 + variable, what)?;
        if &signature != DIRECTORY_END {
            return Ok(State::Record);
        }
        self.after_directory()
    }

    /// Another archive that was joined to this one, padding, or the end.
    fn after_directory(&mut self) -> Result<State, UnpackFault> {
        loop {
            let rest = self.input.peek(4);
            let zeros = rest.iter().take_while(|byte| **byte == 0).count();
            if zeros > 0 {
                self.input.consume(zeros);
            } else if rest.is_empty() {
                return self.input.take_fault().map_or(Ok(State::End), Err);
            } else if rest.starts_with(LOCAL_HEADER) {
                return Ok(State::Record);
            } else {
                return Err(UnpackFault::corrupt("bytes after the zip archive are no archive"));
            }
        }
    }

    fn local_header(&mut self) -> Result<State, UnpackFault> {
        let what = "a zip entry's header";
        let Some(left) = self.entries_left.checked_sub(1) else {
            let most = self.entries_max;
            let detail =
                format!("the zip archive has more than {most} entries (`--zip-entries-max`)");
            return Err(UnpackFault::Data { reason: Reason::TooManyEntries, detail });
        };
        self.entries_left = left;
        let head = self.input.need(30, what)?;
        let flags = u16_at(head, 6);
        let mut entry = Entry {
            method: u16_at(head, 8),
            has_descriptor: flags & (1 << 3) != 0,
            crc: u32_at(head, 14),
            compressed: u64::from(u32_at(head, 18)),
            content: u64::from(u32_at(head, 22)),
        };
        let (name_bytes, extra_bytes) = (u16_at(head, 26), u16_at(head, 28));
        self.input.consume(30);
        self.input.skip(u64::from(name_bytes), what)?;
        let extra_bytes = usize::from(extra_bytes);
        let extra = self.input.need(extra_bytes, what)?;
        read_zip64(extra.get(..extra_bytes).unwrap_or_default(), &mut entry);
        self.input.consume(extra_bytes);
        if flags & 1 != 0 {
            return Err(UnpackFault::foreign("the zip archive is encrypted"));
        }
        self.entry = entry;
        match entry.method {
            DEFLATED => {
                self.inflater.reset();
                Ok(State::Deflated)
            }
            STORED if entry.has_descriptor && entry.compressed == 0 && entry.content == 0 => {
                Err(UnpackFault::foreign("a stored zip entry does not tell its size"))
            }
            STORED => {
                self.stored_crc.reset();
                Ok(State::Stored(entry.compressed))
            }
            method => Err(UnpackFault::foreign(format!(
                "the zip archive uses method {method}, neither stored nor deflated"
            ))),
        }
    }

    fn stored(&mut self, left: u64, out: &mut [u8]) -> Result<usize, UnpackFault> {
        let chunk = self.input.need(1, "a stored zip entry")?;
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        let bytes = chunk.len().min(out.len()).min(left);
        if let (Some(to), Some(from)) = (out.get_mut(..bytes), chunk.get(..bytes)) {
            to.copy_from_slice(from);
            self.stored_crc.update(from);
        }
        self.input.consume(bytes);
        Ok(bytes)
    }

    /// Compares the content with what header or descriptor say of it.
    fn entry_end(&mut self) -> Result<(), UnpackFault> {
        let found = if self.entry.method == STORED {
            Entry {
                crc: self.stored_crc.sum(),
                compressed: self.entry.compressed,
                content: self.entry.compressed,
                ..self.entry
            }
        } else {
            Entry {
                crc: self.inflater.crc(),
                compressed: self.inflater.compressed_bytes(),
                content: self.inflater.content_bytes(),
                ..self.entry
            }
        };
        let fits = if self.entry.has_descriptor {
            let rest = self.input.peek(24);
            let bytes = descriptor_bytes(rest, found);
            if bytes.is_none() && rest.len() < 16 {
                return self.input.need(24, "a zip entry's descriptor").map(|_| ());
            }
            self.input.consume(bytes.unwrap_or_default());
            bytes.is_some()
        } else {
            let Entry { crc, compressed, content, .. } = self.entry;
            (crc, compressed, content) == (found.crc, found.compressed, found.content)
        };
        if fits {
            Ok(())
        } else {
            Err(UnpackFault::corrupt("a zip entry does not fit its checksum"))
        }
    }
}

impl Layer for Zip<'_> {
    fn read(&mut self, out: &mut [u8]) -> Result<usize, UnpackFault> {
        loop {
            self.state = match self.state {
                State::Record => self.record()?,
                State::Deflated => {
                    let inflated = self.inflater.inflate(&mut self.input, out)?;
                    if inflated.ended {
                        self.state = State::EntryEnd;
                    }
                    if inflated.bytes > 0 {
                        return Ok(inflated.bytes);
                    }
                    State::EntryEnd
                }
                State::Stored(0) => State::EntryEnd,
                State::Stored(left) => {
                    let bytes = self.stored(left, out)?;
                    self.state = State::Stored(left - bytes as u64);
                    return Ok(bytes);
                }
                State::EntryEnd => {
                    self.entry_end()?;
                    State::Record
                }
                State::End => return Ok(0),
            };
        }
    }
}

/// How long the descriptor at the front of `rest` is: it may have a signature or not, and its sizes
/// may have 32 or 64 bits; the form that fits what was `found` is the right one.
fn descriptor_bytes(rest: &[u8], found: Entry) -> Option<usize> {
    for signature in [4, 0] {
        if signature == 4 && !rest.starts_with(DESCRIPTOR) {
            continue;
        }
        let (Some(fields), true) = (rest.get(signature..), u32_at(rest, signature) == found.crc)
        else {
            continue;
        };
        let narrow = (u64::from(u32_at(fields, 4)), u64::from(u32_at(fields, 8)));
        if fields.len() >= 12
            && narrow == (found.compressed & 0xffff_ffff, found.content & 0xffff_ffff)
            && found.compressed.max(found.content) <= 0xffff_ffff
            // With 64 bits the upper half of a small compressed size is zero, as is the content's
            // size only for an empty entry.
            && (u32_at(fields, 8) != 0 || u64_at(fields, 12) != found.content || fields.len() < 20)
        {
            return Some(signature + 12);
        }
        if fields.len() >= 20
            && (u64_at(fields, 4), u64_at(fields, 12)) == (found.compressed, found.content)
        {
            return Some(signature + 20);
        }
    }
    None
}

/// Takes the sizes that did not fit the header from its extra field.
fn read_zip64(extra: &[u8], entry: &mut Entry) {
    let mut rest = extra;
    while rest.len() >= 4 {
        let (id, bytes) = (u16_at(rest, 0), usize::from(u16_at(rest, 2)));
        let field = rest.get(4..4 + bytes).unwrap_or_default();
        if id == ZIP64_EXTRA {
            let mut at = 0;
            for size in [&mut entry.content, &mut entry.compressed] {
                if *size == 0xffff_ffff && field.len() >= at + 8 {
                    *size = u64_at(field, at);
                    at += 8;
                }
            }
        }
        rest = rest.get(4 + bytes..).unwrap_or_default();
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array_at(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

/// The bytes at a place that the caller knows to be there; zeros past the end.
fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
}
