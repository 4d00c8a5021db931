//! gzip (RFC 1952), and the raw deflate stream (RFC 1951) that zip shares with it.
//!
//! In: one or many members, which may be cut anywhere inside a record. Out: their content, one after
//! the other. Zero bytes after a member are padding; anything else there is a fault, after the content.

use crc32fast::Hasher;
use flate2::{Decompress, FlushDecompress, Status};

use crate::archive::unpack::UnpackFault;
use crate::archive::unpack::input::{Input, Layer};

/// One deflate stream, with the checksum and the lengths of its content.
pub(super) struct Inflater {
    raw: Decompress,
    crc: Hasher,
    /// A fault found in the call that gave the last bytes.
    fault: Option<String>,
}

/// What [`Inflater::inflate`] gave.
pub(super) struct Inflated {
    pub(super) bytes: usize,
    pub(super) ended: bool,
}

/// A gzip stream.
pub(super) struct Gzip<'s> {
    input: Input<'s>,
    state: State,
    inflater: Inflater,
}

#[derive(Clone, Copy)]
enum State {
    Header,
    Body,
    Trailer,
    AfterMember,
    End,
}

/// The bits of the header's flags byte.
const HEADER_CRC: u8 = 1 << 1;
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;

impl Inflater {
    pub(super) fn new() -> Self {
        Self { raw: Decompress::new(false), crc: Hasher::new(), fault: None }
    }

    /// Makes ready for another stream.
    pub(super) fn reset(&mut self) {
        self.raw.reset(false);
        self.crc.reset();
        self.fault = None;
    }

    pub(super) fn crc(&self) -> u32 {
        self.crc.clone().finalize()
    }

    pub(super) fn compressed_bytes(&self) -> u64 {
        self.raw.total_in()
    }

    pub(super) fn content_bytes(&self) -> u64 {
        self.raw.total_out()
    }

    /// Fills some of `out`; no bytes are given only with the stream's end.
    pub(super) fn inflate(
        &mut self,
        input: &mut Input<'_>,
        out: &mut [u8],
    ) -> Result<Inflated, UnpackFault> {
        if let Some(fault) = self.fault.take() {
            return Err(UnpackFault::corrupt(fault));
        }
        loop {
            let chunk = input.chunk();
            let at_end = chunk.is_empty();
            let (taken, given) = (self.raw.total_in(), self.raw.total_out());
            let result = self.raw.decompress(chunk, out, FlushDecompress::None);
            let taken = usize::try_from(self.raw.total_in() - taken).unwrap_or(usize::MAX);
            let bytes = usize::try_from(self.raw.total_out() - given).unwrap_or(usize::MAX);
            input.consume(taken);
            self.crc.update(out.get(..bytes).unwrap_or_default());
            // What the library says of damage depends on how many bytes it was given at a time, and a reject must not.
            let ended = if let Ok(status) = result {
                status == Status::StreamEnd
            } else {
                let message = "the deflate stream is damaged".to_owned();
                if bytes == 0 {
                    return Err(UnpackFault::corrupt(message));
                }
                self.fault = Some(message);
                false
            };
            if bytes > 0 || ended {
                return Ok(Inflated { bytes, ended });
            }
            if at_end {
                let cut = || UnpackFault::truncated("a deflate stream");
                return Err(input.take_fault().unwrap_or_else(cut));
            }
            if taken == 0 {
                return Err(UnpackFault::corrupt("the deflate stream does not go on"));
            }
        }
    }
}

impl<'s> Gzip<'s> {
    pub(super) fn new(input: Input<'s>) -> Self {
        Self { input, state: State::Header, inflater: Inflater::new() }
    }

    fn header(&mut self) -> Result<(), UnpackFault> {
        let what = "a gzip header";
        let head = self.input.need(10, what)?;
        let flags = head.get(3).copied().unwrap_or_default();
        if !head.starts_with(b"\x1f\x8b\x08") || flags & RESERVED != 0 {
            return Err(UnpackFault::corrupt("the gzip header is damaged"));
        }
        self.input.consume(10);
        if flags & EXTRA != 0 {
            let extra = self.input.need(2, what)?;
            let bytes = u16::from_le_bytes(extra.first_chunk().copied().unwrap_or_default());
            self.input.consume(2);
            self.input.skip(u64::from(bytes), what)?;
        }
        for text in [NAME, COMMENT] {
            let mut is_open = flags & text != 0;
            while is_open {
                let chunk = self.input.need(1, what)?;
                let end = memchr::memchr(0, chunk);
                let step = end.map_or(chunk.len(), |at| at + 1);
                self.input.consume(step);
                is_open = end.is_none();
            }
        }
        if flags & HEADER_CRC != 0 {
            self.input.skip(2, what)?;
        }
        self.inflater.reset();
        Ok(())
    }

    fn trailer(&mut self) -> Result<(), UnpackFault> {
        let trailer = self.input.need(8, "a gzip trailer")?;
        let crc = u32::from_le_bytes(trailer.first_chunk().copied().unwrap_or_default());
        let size = trailer.get(4..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default();
        let size = u64::from(u32::from_le_bytes(size));
        self.input.consume(8);
        if crc != self.inflater.crc() || size != self.inflater.content_bytes() & 0xffff_ffff {
            return Err(UnpackFault::corrupt("the gzip content does not fit its checksum"));
        }
        Ok(())
    }

    /// Another member, the end, or something that is neither.
    fn after_member(&mut self) -> Result<State, UnpackFault> {
        loop {
            let chunk = self.input.peek(2);
            let zeros = chunk.iter().take_while(|byte| **byte == 0).count();
            if zeros > 0 {
                self.input.consume(zeros);
            } else if chunk.starts_with(b"\x1f\x8b") {
                return Ok(State::Header);
            } else if chunk.is_empty() {
                return self.input.take_fault().map_or(Ok(State::End), Err);
            } else if chunk == b"\x1f" {
                return Err(UnpackFault::truncated("a gzip header"));
            } else {
                return Err(UnpackFault::corrupt("bytes after the last gzip member are no member"));
            }
        }
    }
}

impl Layer for Gzip<'_> {
    fn read(&mut self, out: &mut [u8]) -> Result<usize, UnpackFault> {
        loop {
            self.state = match self.state {
                State::Header => {
                    self.header()?;
                    State::Body
                }
                State::Body => {
                    let inflated = self.inflater.inflate(&mut self.input, out)?;
                    if inflated.ended {
                        self.state = State::Trailer;
                    }
                    if inflated.bytes > 0 {
                        return Ok(inflated.bytes);
                    }
                    State::Trailer
                }
                State::Trailer => {
                    self.trailer()?;
                    State::AfterMember
                }
                State::AfterMember => self.after_member()?,
                State::End => return Ok(0),
            };
        }
    }
}
