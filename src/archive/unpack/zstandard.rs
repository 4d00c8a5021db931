//! Zstandard (RFC 8878).
//!
//! In: one or many frames, skippable ones among them. Out: their content. What limits it: a window of
//! 8 MiB, so that a hostile frame header cannot ask for more memory.

use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation as _, OutBuffer};

use crate::archive::unpack::UnpackFault;
use crate::archive::unpack::input::{Input, Layer};

/// The binary logarithm of the largest window: 8 MiB, which RFC 8878 asks every decoder to support and
/// no level of the `zstd` command below 20 goes beyond. A larger one is a reject, for `--memory` has to
/// hold with one such window for each thread.
const WINDOW_LOG_MAX: u32 = 23;

/// A Zstandard stream.
pub(super) struct Zstd<'s> {
    input: Input<'s>,
    decoder: Decoder<'static>,
    /// How many bytes the decoder would like next; 0 between frames.
    wanted: usize,
}

impl<'s> Zstd<'s> {
    pub(super) fn new(input: Input<'s>) -> Result<Self, UnpackFault> {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))?;
        Ok(Self { input, decoder, wanted: 0 })
    }

    /// One call of the decoder, over at most `bytes_max` bytes of input.
    fn step(&mut self, bytes_max: usize, out: &mut [u8]) -> Result<usize, UnpackFault> {
        let chunk = if bytes_max == 0 { &[] } else { self.input.chunk() };
        let chunk = chunk.get(..bytes_max).unwrap_or(chunk);
        let mut from = InBuffer::around(chunk);
        let mut to = OutBuffer::around(out);
        let result = self.decoder.run(&mut from, &mut to);
        let (taken, given) = (from.pos(), to.pos());
        let fed = !chunk.is_empty();
        self.input.consume(taken);
        let damaged =
            |error| UnpackFault::corrupt(format!("the Zstandard frame is damaged: {error}"));
        let wanted = result.map_err(damaged)?;
        if fed || given > 0 {
            self.wanted = wanted;
        }
        Ok(given)
    }
}

impl Layer for Zstd<'_> {
    fn read(&mut self, out: &mut [u8]) -> Result<usize, UnpackFault> {
        // A call that finds damage gives no bytes, so one call takes no more than one block, and
        // what is left of the block before comes first, by itself.
        if self.wanted > 0 {
            let given = self.step(0, out)?;
            if given > 0 {
                return Ok(given);
            }
        }
        while !self.input.chunk().is_empty() {
            let given = self.step(self.wanted.max(1), out)?;
            if given > 0 {
                return Ok(given);
            }
        }
        match self.input.take_fault() {
            Some(fault) => Err(fault),
            None if self.wanted > 0 => Err(UnpackFault::truncated("a Zstandard frame")),
            None => Ok(0),
        }
    }
}
