//! Every format, whole, joined, nested, cut anywhere, damaged anywhere, and hostile.

use proptest::prelude::*;

use super::pack::{Descriptor, ZipStyle};
use super::*;

/// Gives a few bytes at a time, then perhaps an error.
struct Drip<'b> {
    bytes: &'b [u8],
    step: usize,
    fails: bool,
}

impl Read for Drip<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.bytes.is_empty() && self.fails {
            return Err(io::Error::from(io::ErrorKind::ConnectionReset));
        }
        let step = self.step.min(out.len()).min(self.bytes.len());
        let (now, rest) = self.bytes.split_at(step);
        out[..step].copy_from_slice(now);
        self.bytes = rest;
        Ok(step)
    }
}

/// The content, the reason of the fault if there was one, and the layers.
fn unpack(bytes: &[u8], step: usize, max: u64) -> (Vec<u8>, Option<Reason>, Vec<Format>) {
    let source = Drip { bytes, step, fails: false };
    let mut unpacker = Unpacker::new(Box::new(source), max);
    let mut out = Vec::new();
    let reason = loop {
        let before = out.len();
        match unpacker.read(&mut out, step) {
            Ok(0) => break None,
            Ok(read) => assert_eq!(out.len() - before, read),
            Err(UnpackFault::Data { reason, .. }) => break Some(reason),
            Err(UnpackFault::Source(error)) => panic!("{error}"),
        }
    };
    assert_eq!(unpacker.read(&mut out, step).unwrap(), 0, "nothing comes after the end");
    assert_eq!(unpacker.decompressed_bytes(), out.len() as u64);
    if reason.is_none() {
        assert_eq!(unpacker.compressed_bytes(), bytes.len() as u64);
    }
    (out, reason, unpacker.formats().to_vec())
}

fn content() -> Vec<u8> {
    (0..20_000_u32).flat_map(|i| format!("{{\"n\":{},\"m\":{i}}}", i % 7).into_bytes()).collect()
}

const DESCRIPTORS: [Option<Descriptor>; 5] = [
    None,
    Some(Descriptor { signature: true, wide: false }),
    Some(Descriptor { signature: true, wide: true }),
    Some(Descriptor { signature: false, wide: false }),
    Some(Descriptor { signature: false, wide: true }),
];

/// What Firehose writes.
const FIREHOSE_ZIP: ZipStyle = ZipStyle {
    deflated: true,
    descriptor: Some(Descriptor { signature: true, wide: false }),
    zip64: false,
};

fn packed(content: &[u8]) -> Vec<(Format, Vec<u8>)> {
    vec![
        (Format::None, content.to_vec()),
        (Format::Gzip, pack::gzip(content)),
        (Format::Zip, pack::zip(&[content], FIREHOSE_ZIP)),
        (Format::Zstd, pack::zstd(content)),
        (Format::XerialSnappy, pack::xerial(content, 32 << 10)),
        (Format::HadoopSnappy, pack::hadoop(content, 32 << 10)),
        (Format::FramedSnappy, pack::framed(content)),
    ]
}

#[test]
fn every_format_gives_its_content_at_any_pace() {
    let content = content();
    for (format, bytes) in packed(&content) {
        for step in [61, 4_096, 1 << 20] {
            let expected = (content.clone(), None, vec![format]);
            assert!(unpack(&bytes, step, u64::MAX) == expected, "{format:?} {step}");
        }
    }
    for (format, bytes) in packed(b"{}") {
        assert_eq!(unpack(&bytes, 1, u64::MAX), (b"{}".to_vec(), None, vec![format]));
    }
    assert_eq!(unpack(b"", 9, u64::MAX), (Vec::new(), None, vec![Format::None]));
}

#[test]
fn joined_streams_give_all_their_content() {
    let (one, two) = (&content()[..50_000], &content()[50_000..]);
    let skippable = b"\x53\x2a\x4d\x18\x05\x00\x00\x00hello";
    let joined = |pieces: &[&[u8]]| pieces.concat();
    let zeros = [0; 1_000];
    let table = [
        joined(&[&pack::gzip(one), &pack::gzip(b""), &pack::gzip_with_fields(two)]),
        joined(&[&pack::gzip(one), &pack::gzip(two), &zeros]),
        joined(&[&pack::gzip(one), &zeros, &pack::gzip(two)]),
        joined(&[skippable, &pack::zstd(one), skippable, &pack::zstd(two)]),
        joined(&[&pack::xerial(one, 9_999), &pack::xerial(two, 32 << 10)]),
        joined(&[&pack::hadoop(one, 9_999), &pack::hadoop(two, 32 << 10)]),
        joined(&[&pack::framed(one), &pack::framed(two)]),
        joined(&[&pack::zip(&[one], FIREHOSE_ZIP), &pack::zip(&[two], FIREHOSE_ZIP), &zeros]),
    ];
    for (index, bytes) in table.into_iter().enumerate() {
        let (out, reason, _) = unpack(&bytes, 1_000, u64::MAX);
        assert!(out == content() && reason.is_none(), "row {index}: {reason:?}");
    }
}

#[test]
fn zip_entries_of_every_style_are_read() {
    let (one, two) = (&content()[..70_000], &content()[70_000..]);
    for deflated in [true, false] {
        for descriptor in DESCRIPTORS {
            for zip64 in [false, true] {
                let style = ZipStyle { deflated, descriptor, zip64 };
                let (out, reason, _) = unpack(&pack::zip(&[one, b"", two], style), 999, u64::MAX);
                if !deflated && descriptor.is_some() {
                    // Where a stored entry ends, nothing tells.
                    assert_eq!(reason, Some(Reason::ForeignFormat));
                } else {
                    assert!(out == content() && reason.is_none(), "{style:?}: {reason:?}");
                }
            }
        }
    }
}

#[test]
fn layers_are_opened_up_to_their_limit() {
    let content = content();
    let formats = [Format::Gzip, Format::Zip, Format::Zstd, Format::XerialSnappy];
    let mut bytes = pack::xerial(&content, 32 << 10);
    bytes = pack::gzip(&pack::zip(&[&pack::zstd(&bytes)], FIREHOSE_ZIP));
    assert_eq!(unpack(&bytes, 777, u64::MAX), (content, None, formats.to_vec()));
    let (out, reason, _) = unpack(&pack::gzip(&bytes), 777, u64::MAX);
    assert_eq!((out.len(), reason), (0, Some(Reason::CorruptCompression)));
}

#[test]
fn a_cut_stream_gives_what_is_there() {
    let content = content();
    for (format, bytes) in packed(&content) {
        for cut in (24..bytes.len()).step_by(bytes.len() / 50 + 1) {
            let (out, reason, _) = unpack(&bytes[..cut], 5_000, u64::MAX);
            assert!(content.starts_with(&out), "{format:?} {cut}");
            let expected = match format {
                Format::None => None,
                // Blocks are not numbered: a cut between two of them cannot be seen.
                Format::XerialSnappy | Format::HadoopSnappy | Format::FramedSnappy
                    if reason.is_none() =>
                {
                    None
                }
                _ => Some(Reason::TruncatedCompression),
            };
            assert_eq!(reason, expected, "{format:?} {cut}");
        }
    }
    let (out, _, _) = unpack(&pack::gzip(&content)[..20_000], 5_000, u64::MAX);
    assert!(out.len() > 100_000, "{}", out.len());
}

#[test]
fn damage_comes_after_the_bytes_before_it() {
    let content = content();
    let gzip = pack::gzip(&content);
    let end = gzip.len();
    let damaged = |at: usize, bytes: &[u8]| {
        let mut damaged = bytes.to_vec();
        damaged[at] ^= 0x55;
        damaged
    };
    let zip = pack::zip(&[&content], FIREHOSE_ZIP);
    let descriptor = memchr::memmem::find(&zip, b"PK\x07\x08").unwrap();
    let table = [
        ("checksum", damaged(end - 8, &gzip), content.len()),
        ("size", damaged(end - 1, &gzip), content.len()),
        ("garbage", [&gzip[..], b"garbage"].concat(), content.len()),
        ("garbage after zeros", [&gzip[..], &vec![0; 70_000], b"x"].concat(), content.len()),
        ("next header", [&gzip[..], b"\x1f\x8b\x08\xff\0\0\0\0\0\0\0\0"].concat(), content.len()),
        ("zip descriptor", damaged(descriptor + 5, &zip), content.len()),
        ("after zip", [&zip[..], b"x"].concat(), content.len()),
        ("after zstd", [&pack::zstd(&content)[..], b"garbage"].concat(), content.len()),
    ];
    for (what, bytes, survives) in table {
        let (out, reason, _) = unpack(&bytes, 3_000, u64::MAX);
        assert_eq!((out.len(), reason), (survives, Some(Reason::CorruptCompression)), "{what}");
        assert!(out == content);
    }
    let (out, reason, _) = unpack(&damaged(end / 2, &gzip), 3_000, u64::MAX);
    assert_eq!(reason, Some(Reason::CorruptCompression));
    assert!(out.len() > content.len() / 3, "{}", out.len());
}

#[test]
fn bytes_beyond_the_limit_are_one_fault_after_those_within() {
    let content = content();
    for (format, bytes) in packed(&content) {
        let max = content.len() as u64;
        let (out, reason, _) = unpack(&bytes, 10_000, max);
        assert!(out == content && reason.is_none(), "{format:?}");
        let (out, reason, _) = unpack(&bytes, 10_000, max - 1);
        assert_eq!(reason, Some(Reason::ObjectTooLarge), "{format:?}");
        assert!(out == content[..content.len() - 1], "{format:?}");
    }
}

#[test]
fn foreign_formats_are_named_and_text_is_not_mistaken() {
    for signature in ["PAR1", "ORC", "Obj\u{1}", "BZh9", "\u{4}\"M\u{18}"] {
        let (out, reason, _) = unpack(&[signature.as_bytes(), &[7; 50]].concat(), 9, u64::MAX);
        assert_eq!((out.len(), reason), (0, Some(Reason::ForeignFormat)), "{signature}");
    }
    let inside = pack::gzip(b"PAR1 and more of it");
    assert_eq!(unpack(&inside, 9, u64::MAX).1, Some(Reason::ForeignFormat));
    let texts: [&[u8]; 8] = [
        b"{\"a\":1}",
        b"[{\"a\":1}]",
        b"\n\n\n\n\t\t\t\t    {}",
        b"\t\t\t\t\t\t\t\t\t\t\t\t{}",
        b"\xef\xbb\xbf{}",
        b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        b"PK",
        b"\x1f\x8b",
    ];
    for text in texts {
        assert_eq!(unpack(text, 5, u64::MAX), (text.to_vec(), None, vec![Format::None]));
    }
}

#[test]
fn hostile_lengths_allocate_nothing() {
    let window_of_2_gib = b"\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00\x00\x00\x00\x00\x00";
    let xerial = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\x7f\xff\xff\xff\x01\x02\x03";
    // A block of 6 bytes that claims to hold 30 MiB.
    let grown = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\0\0\0\x06\x80\x80\x80\x0f\0a";
    for bytes in [&window_of_2_gib[..], xerial, grown] {
        assert_eq!(unpack(bytes, 100, u64::MAX).1, Some(Reason::CorruptCompression));
    }
}

#[test]
fn a_failing_source_is_not_bad_data() {
    let content = content();
    for (format, bytes) in packed(&content) {
        let source = Drip { bytes: &bytes[..bytes.len() / 2], step: 1_000, fails: true };
        let mut unpacker = Unpacker::new(Box::new(source), u64::MAX);
        let mut out = Vec::new();
        let fault = loop {
            match unpacker.read(&mut out, 1_000) {
                Ok(0) => panic!("{format:?}: no fault"),
                Ok(_) => {}
                Err(fault) => break fault,
            }
        };
        assert!(matches!(fault, UnpackFault::Source(_)), "{format:?}: {fault}");
        assert!(content.starts_with(&out));
    }
}

proptest! {
    #[test]
    fn damaged_bytes_never_panic_and_never_exceed_the_limit(
        which in 0_usize..7,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let (_, mut bytes) = packed(&content()[..20_000]).swap_remove(which);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len()).max(bytes.len() / 2));
        let (out, _, _) = unpack(&bytes, 3_000, 60_000);
        prop_assert!(out.len() <= 60_000);
    }
}

/// The words of a reject came from the library, which says another thing of the same damage when it is given
/// fewer bytes at a time: the same archive could make other parts.
#[test]
fn r046_damage_is_told_alike_however_the_bytes_come() {
    fn fault(bytes: &[u8], step: usize) -> (usize, Option<String>) {
        let mut unpacker = Unpacker::new(Box::new(Drip { bytes, step, fails: false }), 1 << 20);
        let mut out = Vec::new();
        loop {
            match unpacker.read(&mut out, step) {
                Ok(0) => return (out.len(), None),
                Ok(_) => {}
                Err(fault) => return (out.len(), Some(format!("{fault:?}"))),
            }
        }
    }
    for (format, packed) in packed(&content()[..600]) {
        for place in 0..packed.len() {
            let mut damaged = packed.clone();
            damaged[place] ^= 0x5a;
            let whole = fault(&damaged, 4_096);
            for step in [1, 61] {
                assert_eq!(fault(&damaged, step), whole, "{format:?}, byte {place} by {step}");
            }
        }
    }
}
