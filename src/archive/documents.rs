//! Compressed bytes to documents: `unpack` and `split`, coupled.
//!
//! In: the bytes of one object, or of one record inside a document. Out: its pieces. What can go
//! wrong: the source fails, which is an [`io::Error`]; whatever is wrong with the bytes is a reject
//! among the pieces, and the pieces before it come first. What limits it: what limits the two.

use std::io::{self, Read};

use crate::archive::split::{Piece, SplitLimits, Splitter};
use crate::archive::unpack::{Format, UnpackFault, Unpacker};
use crate::finding::reject::{Reason, Stage};

/// How much is decompressed at once.
const STEP_BYTES: usize = 128 << 10;

/// The documents of one object.
#[derive(Debug)]
pub struct Documents<'s> {
    unpacker: Unpacker<'s>,
    splitter: Splitter,
    is_read: bool,
    /// What ended the decompressed bytes too early, until a reject tells it.
    fault: Option<(Reason, String)>,
}

impl<'s> Documents<'s> {
    /// The documents in `source`; nothing is read yet.
    pub fn new(
        source: Box<dyn Read + Send + 's>,
        object_bytes_max: u64,
        limits: SplitLimits,
    ) -> Self {
        Self {
            unpacker: Unpacker::new(source, object_bytes_max)
                .zip_entries_max(limits.counts.zip_entries_max),
            splitter: Splitter::new(limits),
            is_read: false,
            fault: None,
        }
    }

    /// Hands the next piece to `take`, with the stage that tells of it; `None` at the end.
    ///
    /// A document that is cut off where decompression failed tells of that failure; where nothing
    /// is cut off, an empty reject at the end does.
    ///
    /// # Errors
    /// The source's own; nothing comes after it.
    pub fn next<R>(
        &mut self,
        mut take: impl FnMut(Stage, Piece<'_>) -> R,
    ) -> io::Result<Option<R>> {
        loop {
            let end = self.unpacker.decompressed_bytes();
            let (fault, is_read) = (&mut self.fault, self.is_read);
            let taken = self.splitter.next(|piece| {
                let (stage, piece) = if is_read { blame(fault, end, piece) } else { split(piece) };
                take(stage, piece)
            });
            if taken.is_some() {
                return Ok(taken);
            }
            if self.is_read {
                let Some((reason, detail)) = self.fault.take() else { return Ok(None) };
                let rest = Piece::Reject { range: end..end, reason, detail, bytes: &[] };
                return Ok(Some(take(Stage::Unpack, rest)));
            }
            match self.unpacker.read(self.splitter.room(), STEP_BYTES) {
                Ok(0) => self.end(),
                Ok(_) => {}
                Err(UnpackFault::Data { reason, detail }) => {
                    self.fault = Some((reason, detail));
                    self.end();
                }
                Err(UnpackFault::Source(error)) => {
                    self.end();
                    return Err(error);
                }
            }
        }
    }

    /// Bytes taken from the source so far.
    pub fn compressed_bytes(&self) -> u64 {
        self.unpacker.compressed_bytes()
    }

    /// Bytes decompressed so far.
    pub fn decompressed_bytes(&self) -> u64 {
        self.unpacker.decompressed_bytes()
    }

    /// Bytes that went through any layer of compression so far: what limits time.
    pub fn work_bytes(&self) -> u64 {
        self.unpacker.work_bytes()
    }

    /// Bytes between documents so far.
    pub fn between_documents_bytes(&self) -> u64 {
        self.splitter.between_documents_bytes()
    }

    /// The layers of compression, the outermost first.
    pub fn formats(&self) -> &[Format] {
        self.unpacker.formats()
    }

    fn end(&mut self) {
        self.is_read = true;
        self.splitter.finish();
    }
}

fn split(piece: Piece<'_>) -> (Stage, Piece<'_>) {
    (Stage::Split, piece)
}

/// Puts the fault in the place of the cut that it made.
fn blame<'p>(
    fault: &mut Option<(Reason, String)>,
    end: u64,
    piece: Piece<'p>,
) -> (Stage, Piece<'p>) {
    match piece {
        Piece::Reject { range, reason: Reason::CutDocument, detail, bytes } if range.end == end => {
            match fault.take() {
                Some((reason, detail)) => {
                    (Stage::Unpack, Piece::Reject { range, reason, detail, bytes })
                }
                None => split(Piece::Reject { range, reason: Reason::CutDocument, detail, bytes }),
            }
        }
        piece => split(piece),
    }
}
