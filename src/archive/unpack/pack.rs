//! Packs bytes for tests, in each format that is unpacked.

use std::io::Write as _;

use flate2::write::{DeflateEncoder, GzEncoder};
use flate2::{Compression, Crc, GzBuilder};

/// How a zip entry is written.
#[derive(Debug, Clone, Copy)]
pub(in crate::archive) struct ZipStyle {
    pub(in crate::archive) deflated: bool,
    pub(in crate::archive) descriptor: Option<Descriptor>,
    pub(in crate::archive) zip64: bool,
}

/// How the descriptor behind an entry is written.
#[derive(Debug, Clone, Copy)]
pub(in crate::archive) struct Descriptor {
    pub(in crate::archive) signature: bool,
    pub(in crate::archive) wide: bool,
}

pub(in crate::archive) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// A member whose header has every optional field.
pub(in crate::archive) fn gzip_with_fields(content: &[u8]) -> Vec<u8> {
    let builder = GzBuilder::new().filename("name").comment("comment").extra([7; 300]);
    let mut encoder = builder.write(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

pub(in crate::archive) fn zip(entries: &[&[u8]], style: ZipStyle) -> Vec<u8> {
    let mut out = Vec::new();
    for content in entries {
        zip_entry(content, style, &mut out);
    }
    let directory = out.len();
    for _ in entries {
        out.extend_from_slice(b"PK\x01\x02");
        out.extend_from_slice(&[0; 24]);
        out.extend_from_slice(&[4, 0, 2, 0, 1, 0]);
        out.extend_from_slice(&[0; 12]);
        out.extend_from_slice(b"name--c");
    }
    out.extend_from_slice(b"PK\x06\x06");
    out.extend_from_slice(&44_u64.to_le_bytes());
    out.extend_from_slice(&[0; 44]);
    out.extend_from_slice(b"PK\x06\x07");
    out.extend_from_slice(&[0; 16]);
    out.extend_from_slice(b"PK\x05\x06");
    out.extend_from_slice(&[0; 12]);
    out.extend_from_slice(&u32::try_from(directory).unwrap().to_le_bytes());
    out.extend_from_slice(&[2, 0, b'h', b'i']);
    out
}

fn zip_entry(content: &[u8], style: ZipStyle, out: &mut Vec<u8>) {
    let packed = if style.deflated {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    } else {
        content.to_vec()
    };
    let mut crc = Crc::new();
    crc.update(content);
    let (crc, sizes) = (crc.sum().to_le_bytes(), [packed.len() as u64, content.len() as u64]);
    let narrow = |size: u64| u32::try_from(size).unwrap().to_le_bytes();
    out.extend_from_slice(b"PK\x03\x04\x14\x00");
    out.extend_from_slice(&[if style.descriptor.is_some() { 8 } else { 0 }, 0]);
    out.extend_from_slice(&[if style.deflated { 8 } else { 0 }, 0, 0, 0, 0, 0]);
    if style.descriptor.is_some() {
        out.extend_from_slice(&[0; 12]);
    } else {
        out.extend_from_slice(&crc);
        for size in sizes {
            out.extend_from_slice(&if style.zip64 { [0xff; 4] } else { narrow(size) });
        }
    }
    let extra = if style.zip64 && style.descriptor.is_none() { 24 } else { 0 };
    out.extend_from_slice(&[4, 0, extra, 0]);
    out.extend_from_slice(b"name");
    if extra > 0 {
        out.extend_from_slice(b"\x99\x99\x00\x00\x01\x00\x10\x00");
        out.extend_from_slice(&sizes[1].to_le_bytes());
        out.extend_from_slice(&sizes[0].to_le_bytes());
    }
    out.extend_from_slice(&packed);
    if let Some(descriptor) = style.descriptor {
        if descriptor.signature {
            out.extend_from_slice(b"PK\x07\x08");
        }
        out.extend_from_slice(&crc);
        for size in sizes {
            if descriptor.wide {
                out.extend_from_slice(&size.to_le_bytes());
            } else {
                out.extend_from_slice(&narrow(size));
            }
        }
    }
}

pub(in crate::archive) fn zstd(content: &[u8]) -> Vec<u8> {
    zstd::encode_all(content, 3).unwrap()
}

fn snappy_block(content: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(content).unwrap()
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap().to_be_bytes()
}

pub(in crate::archive) fn xerial(content: &[u8], block_bytes: usize) -> Vec<u8> {
    let mut out = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
    for block in content.chunks(block_bytes) {
        let block = snappy_block(block);
        out.extend_from_slice(&length(block.len()));
        out.extend_from_slice(&block);
    }
    out
}

/// Each outer block holds up to two inner ones.
pub(in crate::archive) fn hadoop(content: &[u8], block_bytes: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for outer in content.chunks(2 * block_bytes) {
        out.extend_from_slice(&length(outer.len()));
        for block in outer.chunks(block_bytes) {
            let block = snappy_block(block);
            out.extend_from_slice(&length(block.len()));
            out.extend_from_slice(&block);
        }
    }
    out
}

pub(in crate::archive) fn framed(content: &[u8]) -> Vec<u8> {
    let mut encoder = snap::write::FrameEncoder::new(Vec::new());
    encoder.write_all(content).unwrap();
    encoder.into_inner().unwrap()
}
