//! Any bytes through all layers of compression: no panic, no more bytes than allowed, and the same
//! whether the source gives them at once or in small pieces. The first byte says how small.
#![no_main]

use healthtrail::archive::unpack::{LAYERS_MAX, UnpackFault, Unpacker};
use healthtrail_fuzz::Trickle;
use libfuzzer_sys::fuzz_target;
use std::io::Read;

const BYTES_MAX: u64 = 1 << 20;

/// The bytes, and what ended them, if it was not the end.
fn unpack<'b>(source: Box<dyn Read + Send + 'b>, step: usize) -> (Vec<u8>, Option<String>) {
    let mut unpacker = Unpacker::new(source, BYTES_MAX);
    let mut out = Vec::new();
    let fault = loop {
        match unpacker.read(&mut out, step) {
            Ok(0) => break None,
            Ok(_) => {}
            Err(UnpackFault::Data { reason, detail }) => {
                break Some(format!("{}: {detail}", reason.name()));
            }
            Err(UnpackFault::Source(error)) => panic!("the source does not fail: {error}"),
        }
    };
    assert_eq!(unpacker.decompressed_bytes(), out.len() as u64);
    assert!(out.len() as u64 <= BYTES_MAX, "{}", out.len());
    assert!(unpacker.work_bytes() <= BYTES_MAX * (LAYERS_MAX as u64 + 1));
    assert!(unpacker.formats().len() <= LAYERS_MAX);
    (out, fault)
}

fuzz_target!(|data: &[u8]| {
    let Some((first, bytes)) = data.split_first() else { return };
    let whole = unpack(Box::new(bytes), 128 << 10);
    let pieces = unpack(Box::new(Trickle::new(bytes, *first)), 1 + usize::from(*first) * 7);
    assert_eq!(whole, pieces);
});
