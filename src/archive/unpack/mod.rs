//! Compression, told by content and never by name.
//!
//! In: the bytes of one object as a [`Read`]. Out: the decompressed bytes, a bounded piece at a time.
//! What can go wrong: the source fails ([`UnpackFault::Source`]: a bad world), or its bytes are
//! damaged, cut, too many, or of a foreign format ([`UnpackFault::Data`]: bad data); all bytes that
//! were decoded before are delivered first. What limits it: a few buffers of `INPUT_BYTES` a layer,
//! blocks of `BLOCK_BYTES_MAX`, a Zstandard window of 8 MiB, `LAYERS_MAX` layers,
//! `object_bytes_max` bytes out of any of them, and `zip_entries_max` entries of a zip archive.

mod gzip;
mod input;
mod snappy;
mod zip;
mod zstandard;

#[cfg(test)]
pub(in crate::archive) mod pack;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::archive::unpack::input::{Input, Layer, Source};
use crate::finding::limits::ZIP_ENTRIES_MAX;
use crate::finding::reject::Reason;

/// How many layers of compression are opened, one inside the other.
pub const LAYERS_MAX: usize = 4;

/// The buffer in front of each layer.
const INPUT_BYTES: usize = 64 << 10;

/// How many bytes the longest signature or plausibility check looks at.
const HEAD_BYTES: usize = 64;

/// A format of compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// Not compressed.
    None,
    /// gzip, one or many members.
    Gzip,
    /// zip, one or many entries, stored or deflated.
    Zip,
    /// Zstandard, one or many frames.
    Zstd,
    /// Snappy blocks in the framing of snappy-java (what Firehose calls `Snappy`).
    XerialSnappy,
    /// Snappy blocks in Hadoop's framing, which has no signature.
    HadoopSnappy,
    /// Snappy's official framing.
    FramedSnappy,
}

/// Why no more bytes come out.
#[derive(Debug, thiserror::Error)]
pub enum UnpackFault {
    /// The source itself failed; its bytes may well be good.
    #[error(transparent)]
    Source(#[from] io::Error),
    /// The bytes are bad.
    #[error("{detail}")]
    Data {
        /// `TruncatedCompression`, `CorruptCompression`, `ObjectTooLarge`, `TooManyEntries` or
        /// `ForeignFormat`.
        reason: Reason,
        /// What exactly is wrong.
        detail: String,
    },
}

/// Decompresses one object.
pub struct Unpacker<'s> {
    top: Input<'s>,
    opened: bool,
    formats: Vec<Format>,
    object_bytes_max: u64,
    zip_entries_max: u32,
    compressed: Arc<AtomicU64>,
    /// What all layers gave together.
    passed: Arc<AtomicU64>,
    decompressed: u64,
    /// A fault that opening found; no byte came before it.
    fault: Option<UnpackFault>,
}

impl Format {
    /// The name that `inspect` shows.
    pub fn name(self) -> &'static str {
        match self {
            Format::None => "none",
            Format::Gzip => "gzip",
            Format::Zip => "zip",
            Format::Zstd => "zstd",
            Format::XerialSnappy => "xerial_snappy",
            Format::HadoopSnappy => "hadoop_snappy",
            Format::FramedSnappy => "framed_snappy",
        }
    }
}

impl UnpackFault {
    fn truncated(what: &str) -> Self {
        let detail = format!("the object ends inside {what}");
        Self::Data { reason: Reason::TruncatedCompression, detail }
    }

    fn corrupt(detail: impl Into<String>) -> Self {
        Self::Data { reason: Reason::CorruptCompression, detail: detail.into() }
    }

    fn foreign(detail: impl Into<String>) -> Self {
        Self::Data { reason: Reason::ForeignFormat, detail: detail.into() }
    }
}

impl<'s> Unpacker<'s> {
    /// Unpacks `source`; nothing is read yet.
    pub fn new(source: Box<dyn Read + Send + 's>, object_bytes_max: u64) -> Self {
        let compressed = Arc::new(AtomicU64::new(0));
        let layer = Box::new(Source::new(source, Arc::clone(&compressed)));
        let passed = Arc::new(AtomicU64::new(0));
        Self {
            top: Input::new(layer, object_bytes_max, Arc::clone(&passed)),
            passed,
            opened: false,
            formats: Vec::new(),
            object_bytes_max,
            zip_entries_max: ZIP_ENTRIES_MAX,
            compressed,
            decompressed: 0,
            fault: None,
        }
    }

    /// Takes another number of entries from a zip archive than [`ZIP_ENTRIES_MAX`].
    #[must_use]
    pub fn zip_entries_max(self, zip_entries_max: u32) -> Self {
        Self { zip_entries_max, ..self }
    }

    /// Appends up to `bytes_max` decompressed bytes to `out` and returns how many; 0 is the end.
    ///
    /// # Errors
    /// [`UnpackFault`], once, after all bytes before it; then the end.
    pub fn read(&mut self, out: &mut Vec<u8>, bytes_max: usize) -> Result<usize, UnpackFault> {
        if bytes_max == 0 {
            return Ok(0);
        }
        if !self.opened {
            self.open();
        }
        if let Some(fault) = self.fault.take() {
            self.top = Input::empty();
            return Err(fault);
        }
        let before = out.len();
        if out.capacity() - before < bytes_max {
            // By a quarter, not by twice: a buffer that waits for the end of a long document may
            // be the largest thing in memory.
            out.reserve_exact(bytes_max.max(before / 4));
        }
        out.resize(before + bytes_max, 0);
        let read = self.top.read(out.get_mut(before..).unwrap_or_default());
        out.truncate(before + *read.as_ref().unwrap_or(&0));
        let bytes = read?;
        self.decompressed += bytes as u64;
        Ok(bytes)
    }

    /// Bytes taken from the source so far.
    pub fn compressed_bytes(&self) -> u64 {
        self.compressed.load(Ordering::Relaxed)
    }

    /// Bytes given out so far.
    pub fn decompressed_bytes(&self) -> u64 {
        self.decompressed
    }

    /// Bytes that went through any layer so far, in whatever form: what limits time.
    pub fn work_bytes(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
    }

    /// The layers that were found, the outermost first; `[None]` for plain bytes. Empty before the
    /// first [`Unpacker::read`].
    pub fn formats(&self) -> &[Format] {
        &self.formats
    }

    /// Puts a decoder over each layer that shows a signature.
    fn open(&mut self) {
        self.opened = true;
        loop {
            let format = match sniff(self.top.peek(HEAD_BYTES)) {
                Sniffed::Plain => break,
                Sniffed::Foreign(name) => {
                    let detail = format!("the object is {name}, not an archive of events");
                    self.fault = Some(UnpackFault::foreign(detail));
                    break;
                }
                Sniffed::Packed(format) => format,
            };
            if self.formats.len() == LAYERS_MAX {
                let detail = format!("compressed more than {LAYERS_MAX} times over");
                self.fault = Some(UnpackFault::corrupt(detail));
                break;
            }
            self.formats.push(format);
            let input = std::mem::replace(&mut self.top, Input::empty());
            match layer(format, input, self.zip_entries_max) {
                Ok(layer) => {
                    let passed = Arc::clone(&self.passed);
                    self.top = Input::new(layer, self.object_bytes_max, passed);
                }
                Err(fault) => {
                    self.fault = Some(fault);
                    break;
                }
            }
        }
        if self.formats.is_empty() {
            self.formats.push(Format::None);
        }
    }
}

impl fmt::Debug for Unpacker<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unpacker")
            .field("formats", &self.formats)
            .field("compressed", &self.compressed_bytes())
            .field("decompressed", &self.decompressed)
            .finish_non_exhaustive()
    }
}

fn layer(
    format: Format,
    input: Input<'_>,
    zip_entries_max: u32,
) -> Result<Box<dyn Layer + Send + '_>, UnpackFault> {
    Ok(match format {
        Format::None => Box::new(input),
        Format::Gzip => Box::new(gzip::Gzip::new(input)),
        Format::Zip => Box::new(zip::Zip::new(input, zip_entries_max)),
        Format::Zstd => Box::new(zstandard::Zstd::new(input)?),
        Format::XerialSnappy => Box::new(snappy::Xerial::new(input)),
        Format::HadoopSnappy => Box::new(snappy::Hadoop::new(input)),
        Format::FramedSnappy => Box::new(snappy::Framed::new(input)),
    })
}

enum Sniffed {
    Plain,
    Packed(Format),
    Foreign(&'static str),
}

/// Signatures that begin an object. gzip and zip name their only method too, so that text cannot
/// look like them.
const SIGNATURES: [(&[u8], Format); 6] = [
    (b"\x1f\x8b\x08", Format::Gzip),
    (b"PK\x03\x04", Format::Zip),
    (b"PK\x05\x06", Format::Zip),
    (b"\x28\xb5\x2f\xfd", Format::Zstd),
    (snappy::XERIAL_MAGIC, Format::XerialSnappy),
    (b"\xff\x06\x00\x00sNaPpY", Format::FramedSnappy),
];

const FOREIGN: [(&[u8], &str); 7] = [
    (b"PAR1", "Parquet"),
    (b"ORC", "ORC"),
    (b"Obj\x01", "Avro"),
    (b"BZh", "bzip2"),
    (b"\x04\x22\x4d\x18", "an LZ4 frame"),
    (b"\xfd7zXZ\0", "xz"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
];

fn sniff(head: &[u8]) -> Sniffed {
    for (signature, format) in SIGNATURES {
        if head.starts_with(signature) {
            return Sniffed::Packed(format);
        }
    }
    for (signature, name) in FOREIGN {
        if head.starts_with(signature) {
            return Sniffed::Foreign(name);
        }
    }
    // Skippable Zstandard frames (0x184D2A50 to 0x184D2A5F, little endian) may come first.
    if head.first().is_some_and(|byte| byte & 0xf0 == 0x50)
        && head.get(1..4) == Some(b"\x2a\x4d\x18".as_slice())
    {
        return Sniffed::Packed(Format::Zstd);
    }
    if snappy::is_hadoop(head) {
        return Sniffed::Packed(Format::HadoopSnappy);
    }
    Sniffed::Plain
}
