//! Snappy, in the three framings that occur.
//!
//! In: blocks as snappy-java ("xerial"), Hadoop, or the official framing put them one after the
//! other. Out: their content. What limits it: a block's lengths are checked against
//! [`BLOCK_BYTES_MAX`] and against the bytes that are really there before anything is allocated.
//! The layouts are those of the projects named; Firehose writes the first two.

use std::io::{self, Read};

use crate::archive::unpack::UnpackFault;
use crate::archive::unpack::input::{Input, Layer};

/// The longest block, plain or compressed. Writers' defaults are 32 KiB to 256 KiB.
pub(super) const BLOCK_BYTES_MAX: usize = 32 << 20;

/// What begins a xerial stream, before two version numbers.
pub(super) const XERIAL_MAGIC: &[u8] = b"\x82SNAPPY\0";

const XERIAL_HEADER_BYTES: usize = 16;

/// A copy element of three bytes gives at most 64: no block can grow more.
const GROWTH_MAX: usize = 22;

/// A xerial stream; its header may come again in mid-stream.
pub(super) struct Xerial<'s> {
    input: Input<'s>,
    block: Block,
}

/// A Hadoop stream.
pub(super) struct Hadoop<'s> {
    input: Input<'s>,
    block: Block,
    /// Bytes of content that the present outer block still owes.
    owed: usize,
}

/// A stream in the official framing.
pub(super) struct Framed<'s> {
    decoder: snap::read::FrameDecoder<FaultKeeper<'s>>,
}

/// One block's content, given out piece by piece.
#[derive(Default)]
struct Block {
    packed: Vec<u8>,
    content: Vec<u8>,
    given: usize,
}

impl Block {
    /// Copies what is left of the content; 0 when nothing is.
    fn give(&mut self, out: &mut [u8]) -> usize {
        let rest = self.content.get(self.given..).unwrap_or_default();
        let bytes = rest.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..bytes), rest.get(..bytes)) {
            to.copy_from_slice(from);
        }
        self.given += bytes;
        bytes
    }

    /// Reads and decodes a block of `bytes` compressed bytes.
    fn fill(&mut self, input: &mut Input<'_>, bytes: usize) -> Result<(), UnpackFault> {
        if bytes == 0 || bytes > BLOCK_BYTES_MAX {
            return Err(UnpackFault::corrupt(format!("a Snappy block claims {bytes} bytes")));
        }
        self.packed.clear();
        while self.packed.len() < bytes {
            let chunk = input.need(1, "a Snappy block")?;
            let step = chunk.len().min(bytes - self.packed.len());
            self.packed.extend_from_slice(chunk.get(..step).unwrap_or_default());
            input.consume(step);
        }
        self.given = 0;
        self.content.clear();
        let damaged = |error: snap::Error| {
            UnpackFault::corrupt(format!("a Snappy block is damaged: {error}"))
        };
        let content = snap::raw::decompress_len(&self.packed).map_err(damaged)?;
        if content > BLOCK_BYTES_MAX || content > bytes.saturating_mul(GROWTH_MAX) {
            let detail = format!("a Snappy block of {bytes} bytes claims to hold {content}");
            return Err(UnpackFault::corrupt(detail));
        }
        self.content.resize(content, 0);
        let decoded = snap::raw::Decoder::new().decompress(&self.packed, &mut self.content);
        if decoded.is_err() {
            self.content.clear();
        }
        decoded.map(|_| ()).map_err(damaged)
    }
}

/// The big-endian length at the front; `None` at the end of the input.
fn next_length(input: &mut Input<'_>) -> Result<Option<usize>, UnpackFault> {
    if input.chunk().is_empty() {
        return input.take_fault().map_or(Ok(None), Err);
    }
    let head = input.need(4, "a Snappy block's length")?;
    let length = u32::from_be_bytes(head.first_chunk().copied().unwrap_or_default());
    input.consume(4);
    Ok(Some(usize::try_from(length).unwrap_or(usize::MAX)))
}

impl<'s> Xerial<'s> {
    pub(super) fn new(input: Input<'s>) -> Self {
        Self { input, block: Block::default() }
    }
}

impl Layer for Xerial<'_> {
    fn read(&mut self, out: &mut [u8]) -> Result<usize, UnpackFault> {
        loop {
            let bytes = self.block.give(out);
            if bytes > 0 {
                return Ok(bytes);
            }
            if self.input.peek(XERIAL_MAGIC.len()).starts_with(XERIAL_MAGIC) {
                self.input.need(XERIAL_HEADER_BYTES, "a Snappy header")?;
                self.input.consume(XERIAL_HEADER_BYTES);
                continue;
            }
            let Some(length) = next_length(&mut self.input)? else { return Ok(0) };
            self.block.fill(&mut self.input, length)?;
        }
    }
}

impl<'s> Hadoop<'s> {
    pub(super) fn new(input: Input<'s>) -> Self {
        Self { input, block: Block::default(), owed: 0 }
    }
}

impl Layer for Hadoop<'_> {
    fn read(&mut self, out: &mut [u8]) -> Result<usize, UnpackFault> {
        loop {
            let bytes = self.block.give(out);
            if bytes > 0 {
                return Ok(bytes);
            }
            let Some(length) = next_length(&mut self.input)? else {
                if self.owed > 0 {
                    return Err(UnpackFault::truncated("a Hadoop Snappy block"));
                }
                return Ok(0);
            };
            if self.owed == 0 {
                self.owed = length;
                continue;
            }
            self.block.fill(&mut self.input, length)?;
            let content = self.block.content.len();
            if content > self.owed {
                self.block.content.clear();
                let detail = "a Hadoop Snappy block holds more than its length says";
                return Err(UnpackFault::corrupt(detail));
            }
            self.owed -= content;
        }
    }
}

/// Whether an object that begins with `head` can be a Hadoop stream, which has no signature: a first
/// block of a plausible length (text would make it a hundred million bytes or more) whose first part
/// fits into it and begins, as every Snappy block, with its own length and a literal.
pub(super) fn is_hadoop(head: &[u8]) -> bool {
    let length_at = |at: usize| {
        let bytes = head.get(at..).and_then(<[u8]>::first_chunk).copied();
        bytes.and_then(|bytes| usize::try_from(u32::from_be_bytes(bytes)).ok())
    };
    let (Some(outer), Some(packed)) = (length_at(0), length_at(4)) else { return false };
    let Some(block) = head.get(8..) else { return false };
    let Ok(content) = snap::raw::decompress_len(block) else { return false };
    let varint_bytes = block.iter().take_while(|byte| **byte >= 0x80).count() + 1;
    let begins_with_literal = block.get(varint_bytes).is_some_and(|tag| tag % 4 == 0);
    outer <= BLOCK_BYTES_MAX
        && (1..=outer).contains(&content)
        && (varint_bytes + 2..=snap::raw::max_compress_len(content)).contains(&packed)
        && begins_with_literal
}

/// Lets the frame decoder read from a layer, and keeps the layer's own fault, which an
/// [`io::Error`] could not carry.
struct FaultKeeper<'s> {
    input: Input<'s>,
    fault: Option<UnpackFault>,
}

impl Read for FaultKeeper<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.input.read(out).map_err(|fault| {
            self.fault = Some(fault);
            io::Error::other("the layer below failed")
        })
    }
}

impl<'s> Framed<'s> {
    pub(super) fn new(input: Input<'s>) -> Self {
        Self { decoder: snap::read::FrameDecoder::new(FaultKeeper { input, fault: None }) }
    }
}

impl Layer for Framed<'_> {
    fn read(&mut self, out: &mut [u8]) -> Result<usize, UnpackFault> {
        self.decoder.read(out).map_err(|error| {
            if let Some(fault) = self.decoder.get_mut().fault.take() {
                return fault;
            }
            if error.kind() == io::ErrorKind::UnexpectedEof {
                return UnpackFault::truncated("a Snappy chunk");
            }
            UnpackFault::corrupt(format!("a Snappy chunk is damaged: {error}"))
        })
    }
}
