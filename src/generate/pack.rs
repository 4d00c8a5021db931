//! Compression as Firehose, and people who copy its objects, apply it.
//!
//! In: the raw bytes of one object, piece by piece. Out: its stored bytes. Memory: the stored bytes
//! and one block. Writing into memory does not fail; a compressor's own error is passed on.

use std::io::{self, Write as _};

use flate2::write::{DeflateEncoder, GzEncoder};
use flate2::{Compression, Crc};

/// Bytes of a snappy block before compression, as Firehose cuts them.
const SNAPPY_BLOCK_BYTES: usize = 32 * 1024;
/// Fast levels: a big archive shall not wait for them.
const DEFLATE_LEVEL: u32 = 3;
const ZSTD_LEVEL: i32 = 3;
/// Raw bytes of one member of a gzip object with several; documents do not end there.
const MEMBER_BYTES: usize = 50_000;

/// How an object's bytes are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Format {
    Plain,
    Gzip,
    GzipMembers,
    Zip,
    Zstd,
    Snappy,
    HadoopSnappy,
}

impl Format {
    /// Its name in reports.
    pub(super) fn name(self) -> &'static str {
        match self {
            Format::Plain => "none",
            Format::Gzip => "gzip",
            Format::GzipMembers => "gzip (several members)",
            Format::Zip => "zip",
            Format::Zstd => "zstd",
            Format::Snappy => "snappy",
            Format::HadoopSnappy => "hadoop-snappy",
        }
    }

    /// The suffix that goes with it.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Format::Plain => "",
            Format::Gzip | Format::GzipMembers => ".gz",
            Format::Zip => ".zip",
            Format::Zstd => ".zst",
            Format::Snappy | Format::HadoopSnappy => ".snappy",
        }
    }
}

/// One object in the making.
pub(super) enum Packer {
    Plain(Vec<u8>),
    Gzip(GzEncoder<Vec<u8>>),
    Members { encoder: GzEncoder<Vec<u8>>, room: usize },
    Zip(Box<Zip>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    Snappy(Box<Blocks>),
}

impl Packer {
    /// Begins an object; `entry` names the file inside a zip.
    pub(super) fn new(format: Format, entry: &str) -> io::Result<Self> {
        Ok(match format {
            Format::Plain => Self::Plain(Vec::new()),
            Format::Gzip => Self::Gzip(member(Vec::new())),
            Format::GzipMembers => {
                Self::Members { encoder: member(Vec::new()), room: MEMBER_BYTES }
            }
            Format::Zip => Self::Zip(Box::new(Zip::new(entry))),
            Format::Zstd => Self::Zstd(zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?),
            Format::Snappy => Self::Snappy(Box::new(Blocks::new(false))),
            Format::HadoopSnappy => Self::Snappy(Box::new(Blocks::new(true))),
        })
    }

    /// Adds raw bytes.
    pub(super) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.extend_from_slice(bytes),
            Self::Gzip(encoder) => encoder.write_all(bytes)?,
            Self::Members { encoder, room } => {
                while let Some((head, tail)) = bytes.split_at_checked(*room) {
                    encoder.write_all(head)?;
                    let finished = std::mem::replace(encoder, member(Vec::new())).finish()?;
                    *encoder = member(finished);
                    (*room, bytes) = (MEMBER_BYTES, tail);
                }
                encoder.write_all(bytes)?;
                *room -= bytes.len();
            }
            Self::Zip(zip) => zip.write(bytes)?,
            Self::Zstd(encoder) => encoder.write_all(bytes)?,
            Self::Snappy(blocks) => blocks.write(bytes)?,
        }
        Ok(())
    }

    /// Ends the object and gives its stored bytes.
    pub(super) fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Plain(out) => Ok(out),
            Self::Gzip(encoder) | Self::Members { encoder, .. } => encoder.finish(),
            Self::Zip(zip) => zip.finish(),
            Self::Zstd(encoder) => encoder.finish(),
            Self::Snappy(blocks) => blocks.finish(),
        }
    }
}

/// A gzip member without time or name, so that equal input gives equal bytes.
fn member(out: Vec<u8>) -> GzEncoder<Vec<u8>> {
    GzEncoder::new(out, Compression::new(DEFLATE_LEVEL))
}

/// A zip of one entry, sizes after the data, as a streaming writer makes it.
pub(super) struct Zip {
    entry: String,
    encoder: DeflateEncoder<Vec<u8>>,
    header_bytes: usize,
    crc: Crc,
}

impl Zip {
    fn new(entry: &str) -> Self {
        let mut out = b"PK\x03\x04".to_vec();
        // Version 2.0, sizes in the data descriptor, deflate, 1980-01-01; CRC and sizes unknown yet.
        out.extend_from_slice(&[20, 0, 8, 0, 8, 0, 0, 0, 0x21, 0]);
        out.extend_from_slice(&[0; 12]);
        out.extend_from_slice(&short(entry.len()));
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(entry.as_bytes());
        let header_bytes = out.len();
        let encoder = DeflateEncoder::new(out, Compression::new(DEFLATE_LEVEL));
        Self { entry: entry.to_owned(), encoder, header_bytes, crc: Crc::new() }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.crc.update(bytes);
        self.encoder.write_all(bytes)
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        let raw_bytes = usize::try_from(self.encoder.total_in()).map_err(io::Error::other)?;
        let mut out = self.encoder.finish()?;
        let mut sizes = self.crc.sum().to_le_bytes().to_vec();
        sizes.extend_from_slice(&long(out.len() - self.header_bytes)?);
        sizes.extend_from_slice(&long(raw_bytes)?);
        out.extend_from_slice(b"PK\x07\x08");
        out.extend_from_slice(&sizes);
        let directory_at = out.len();
        out.extend_from_slice(b"PK\x01\x02");
        out.extend_from_slice(&[20, 0, 20, 0, 8, 0, 8, 0, 0, 0, 0x21, 0]);
        out.extend_from_slice(&sizes);
        out.extend_from_slice(&short(self.entry.len()));
        // No extra field, no comment, disk 0, no attributes, local header at 0.
        out.extend_from_slice(&[0; 16]);
        out.extend_from_slice(self.entry.as_bytes());
        let directory_bytes = out.len() - directory_at;
        out.extend_from_slice(b"PK\x05\x06");
        out.extend_from_slice(&[0, 0, 0, 0, 1, 0, 1, 0]);
        out.extend_from_slice(&long(directory_bytes)?);
        out.extend_from_slice(&long(directory_at)?);
        out.extend_from_slice(&[0, 0]);
        Ok(out)
    }
}

/// Blocks of snappy in one of the two framings that Firehose writes: xerial's, and Hadoop's block
/// stream (measured on AWS by others).
pub(super) struct Blocks {
    hadoop: bool,
    block: Vec<u8>,
    out: Vec<u8>,
    encoder: snap::raw::Encoder,
}

impl Blocks {
    fn new(hadoop: bool) -> Self {
        let mut out = Vec::new();
        if !hadoop {
            out.extend_from_slice(b"\x82SNAPPY\0");
            out.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 1]);
        }
        let block = Vec::with_capacity(SNAPPY_BLOCK_BYTES);
        Self { hadoop, block, out, encoder: snap::raw::Encoder::new() }
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while let Some((head, tail)) = bytes.split_at_checked(SNAPPY_BLOCK_BYTES - self.block.len())
        {
            self.block.extend_from_slice(head);
            self.flush()?;
            bytes = tail;
        }
        self.block.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let packed = self.encoder.compress_vec(&self.block).map_err(io::Error::other)?;
        if self.hadoop {
            self.out.extend_from_slice(&big(self.block.len())?);
        }
        self.out.extend_from_slice(&big(packed.len())?);
        self.out.extend_from_slice(&packed);
        self.block.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<Vec<u8>> {
        if !self.block.is_empty() {
            self.flush()?;
        }
        Ok(self.out)
    }
}

/// Two bytes, little end first; entry names are short.
fn short(number: usize) -> [u8; 2] {
    u16::try_from(number).unwrap_or(u16::MAX).to_le_bytes()
}

/// Four bytes, little end first; fails where a zip would need its 64-bit form.
fn long(number: usize) -> io::Result<[u8; 4]> {
    u32::try_from(number).map(u32::to_le_bytes).map_err(io::Error::other)
}

/// Four bytes, big end first.
fn big(number: usize) -> io::Result<[u8; 4]> {
    u32::try_from(number).map(u32::to_be_bytes).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(format: Format, raw: &[u8]) -> Vec<u8> {
        let mut packer = Packer::new(format, "entry").expect("memory");
        for piece in raw.chunks(7_001) {
            packer.write(piece).expect("memory");
        }
        packer.finish().expect("memory")
    }

    fn unsnap(mut bytes: &[u8], hadoop: bool) -> Vec<u8> {
        let mut out = Vec::new();
        while !bytes.is_empty() {
            let number = |at: usize| {
                u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four")) as usize
            };
            let skip = if hadoop { 8 } else { 4 };
            let length = number(skip - 4);
            let block = snap::raw::Decoder::new()
                .decompress_vec(&bytes[skip..skip + length])
                .expect("a block");
            assert!(!hadoop || block.len() == number(0));
            out.extend_from_slice(&block);
            bytes = &bytes[skip + length..];
        }
        out
    }

    #[test]
    fn every_format_gives_back_what_went_in() {
        let raw: Vec<u8> = (0_u32..60_000).flat_map(|n| n.to_string().into_bytes()).collect();
        let mut gunzipped = Vec::new();
        for format in [Format::Gzip, Format::GzipMembers] {
            gunzipped.clear();
            io::copy(
                &mut flate2::read::MultiGzDecoder::new(&packed(format, &raw)[..]),
                &mut gunzipped,
            )
            .expect("gzip");
            assert_eq!(gunzipped, raw);
        }
        assert_eq!(packed(Format::Plain, &raw), raw);
        assert_eq!(zstd::stream::decode_all(&packed(Format::Zstd, &raw)[..]).expect("zstd"), raw);
        let xerial = packed(Format::Snappy, &raw);
        assert_eq!(&xerial[..8], b"\x82SNAPPY\0");
        assert_eq!(unsnap(&xerial[16..], false), raw);
        assert_eq!(unsnap(&packed(Format::HadoopSnappy, &raw), true), raw);
        let zip = packed(Format::Zip, &raw);
        let mut inflated = Vec::new();
        io::copy(&mut flate2::read::DeflateDecoder::new(&zip[35..]), &mut inflated).expect("zip");
        assert_eq!(inflated, raw);
    }

    #[test]
    fn members_and_blocks_are_cut_at_their_size_and_nothing_is_empty() {
        let raw = vec![b'x'; MEMBER_BYTES * 2];
        let members = packed(Format::GzipMembers, &raw);
        let heads = members.windows(3).filter(|bytes| *bytes == [0x1f, 0x8b, 8]).count();
        assert_eq!(heads, 3, "two full members and an empty one");
        assert_eq!(packed(Format::HadoopSnappy, b""), b"");
    }
}
