//! The buffer between two layers of compression.
//!
//! In: a [`Layer`], which is the source or a decoder. Out: its bytes, with a look ahead. A fault of
//! the layer is held back until all bytes before it are taken. What limits it: one buffer of
//! [`INPUT_BYTES`], and `bytes_max` bytes in all.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::archive::unpack::{INPUT_BYTES, UnpackFault};
use crate::finding::reject::Reason;

/// What gives bytes: the source, or a decoder over another layer.
pub(super) trait Layer {
    /// Fills some of `out`, which is not empty, and returns how much; 0 is the end. A fault comes
    /// only when no byte is left before it.
    fn read(&mut self, out: &mut [u8]) -> Result<usize, UnpackFault>;
}

/// The object's own bytes.
pub(super) struct Source<'s> {
    reader: Box<dyn Read + Send + 's>,
    taken: Arc<AtomicU64>,
}

/// A layer's bytes, with a look ahead.
pub(super) struct Input<'s> {
    layer: Box<dyn Layer + Send + 's>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    bytes: u64,
    bytes_max: u64,
    /// What all layers gave together.
    passed: Arc<AtomicU64>,
    ended: bool,
    fault: Option<UnpackFault>,
}

impl<'s> Source<'s> {
    pub(super) fn new(reader: Box<dyn Read + Send + 's>, taken: Arc<AtomicU64>) -> Self {
        Self { reader, taken }
    }
}

impl Layer for Source<'_> {
    fn read(&mut self, out: &mut [u8]) -> Result<usize, UnpackFault> {
        loop {
            match self.reader.read(out) {
                Ok(bytes) => {
                    self.taken.fetch_add(bytes as u64, Ordering::Relaxed);
                    return Ok(bytes);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(UnpackFault::Source(error)),
            }
        }
    }
}

impl<'s> Input<'s> {
    pub(super) fn new(
        layer: Box<dyn Layer + Send + 's>,
        bytes_max: u64,
        passed: Arc<AtomicU64>,
    ) -> Self {
        Self {
            layer,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            bytes: 0,
            bytes_max,
            passed,
            ended: false,
            fault: None,
        }
    }

    /// Gives nothing.
    pub(super) fn empty() -> Self {
        Self::new(Box::new(Source::new(Box::new(io::empty()), Arc::default())), 0, Arc::default())
    }

    /// The bytes in the buffer, at least `bytes` of them unless the layer ends or faults before.
    pub(super) fn peek(&mut self, bytes: usize) -> &[u8] {
        while self.end - self.start < bytes && self.pull() {}
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Some bytes; none at the end or before a fault, which [`Input::take_fault`] tells apart.
    pub(super) fn chunk(&mut self) -> &[u8] {
        self.peek(1)
    }

    /// At least `bytes` bytes.
    pub(super) fn need(&mut self, bytes: usize, what: &str) -> Result<&[u8], UnpackFault> {
        if self.peek(bytes).len() < bytes {
            return Err(self.take_fault().unwrap_or_else(|| UnpackFault::truncated(what)));
        }
        Ok(self.buffer.get(self.start..self.end).unwrap_or_default())
    }

    /// The fault that ended the layer, if one did.
    pub(super) fn take_fault(&mut self) -> Option<UnpackFault> {
        self.fault.take()
    }

    pub(super) fn consume(&mut self, bytes: usize) {
        self.start = (self.start + bytes).min(self.end);
    }

    /// Passes over `bytes` bytes.
    pub(super) fn skip(&mut self, mut bytes: u64, what: &str) -> Result<(), UnpackFault> {
        while bytes > 0 {
            let step = self.need(1, what)?.len().min(usize::try_from(bytes).unwrap_or(usize::MAX));
            self.consume(step);
            bytes -= step as u64;
        }
        Ok(())
    }

    /// Reads more into the buffer; `false` when nothing more comes.
    fn pull(&mut self) -> bool {
        if self.ended {
            return false;
        }
        if self.buffer.is_empty() {
            self.buffer.resize(INPUT_BYTES, 0);
        }
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let read = self.layer.read(self.buffer.get_mut(self.end..).unwrap_or_default());
        let bytes = self.account(read);
        self.end += bytes;
        bytes > 0
    }

    /// Counts what the layer gave, and keeps its fault for later.
    fn account(&mut self, read: Result<usize, UnpackFault>) -> usize {
        let bytes = match read {
            Ok(bytes) => bytes as u64,
            Err(fault) => {
                self.fault = Some(fault);
                0
            }
        };
        let allowed = bytes.min(self.bytes_max - self.bytes);
        self.bytes += allowed;
        self.passed.fetch_add(allowed, Ordering::Relaxed);
        if allowed < bytes {
            let detail = format!(
                "the object holds more than {} decompressed bytes (`--object-bytes-max`)",
                self.bytes_max
            );
            self.fault = Some(UnpackFault::Data { reason: Reason::ObjectTooLarge, detail });
        }
        self.ended = bytes == 0 || allowed < bytes;
        usize::try_from(allowed).unwrap_or(usize::MAX)
    }
}

impl Layer for Input<'_> {
    /// Past the buffer when it is empty, so that plain bytes are copied once.
    fn read(&mut self, out: &mut [u8]) -> Result<usize, UnpackFault> {
        let buffered = self.buffer.get(self.start..self.end).unwrap_or_default();
        if buffered.is_empty() {
            if !self.ended {
                let read = self.layer.read(out);
                let bytes = self.account(read);
                if bytes > 0 {
                    return Ok(bytes);
                }
            }
            return self.take_fault().map_or(Ok(0), Err);
        }
        let bytes = buffered.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..bytes), buffered.get(..bytes)) {
            to.copy_from_slice(from);
        }
        self.start += bytes;
        Ok(bytes)
    }
}
