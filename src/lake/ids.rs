//! Sets and maps of 128-bit identities, and their form as text.
//!
//! Identities are content hashes already, so hashing them again only has to keep somebody who
//! chooses their bits from filling one bucket: two multiplications with keys drawn once a map.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::hash::{BuildHasher, Hasher, RandomState};

/// A set of row, reject or object ids.
pub type IdSet = HashSet<u128, IdState>;
/// A map by row, reject or object id.
pub type IdMap<V> = HashMap<u128, V, IdState>;

/// Draws the keys of a map's [`IdHasher`]s.
#[derive(Debug, Clone)]
pub struct IdState {
    keys: [u64; 2],
}

impl Default for IdState {
    fn default() -> Self {
        let random = RandomState::new();
        Self { keys: [random.hash_one(0_u8), random.hash_one(1_u8)] }
    }
}

impl BuildHasher for IdState {
    type Hasher = IdHasher;

    fn build_hasher(&self) -> IdHasher {
        IdHasher { keys: self.keys, hash: 0 }
    }
}

/// Hashes one `u128` by a keyed, folded multiplication.
#[derive(Debug)]
pub struct IdHasher {
    keys: [u64; 2],
    hash: u64,
}

impl IdHasher {
    #[expect(clippy::cast_possible_truncation, reason = "the halves of a product are folded")]
    fn fold(one: u64, two: u64) -> u64 {
        let product = u128::from(one) * u128::from(two);
        (product as u64) ^ ((product >> 64) as u64)
    }
}

impl Hasher for IdHasher {
    #[expect(clippy::cast_possible_truncation, reason = "the halves of the identity")]
    fn write_u128(&mut self, id: u128) {
        let [one, two] = self.keys;
        let mixed = Self::fold(id as u64 ^ one, (id >> 64) as u64 ^ two);
        // A factor of zero would swallow the other half.
        self.hash = Self::fold(mixed ^ one, 0x9e37_79b9_7f4a_7c15) ^ (id as u64);
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u128(u128::from(self.hash) << 8 | u128::from(*byte));
        }
    }

    fn finish(&self) -> u64 {
        self.hash
    }
}

/// The 32 lower-case hex digits of an identity.
pub fn id_text(id: u128) -> String {
    crate::finding::identity::hex(id).as_str().to_owned()
}

/// Reads 32 lower-case hex digits; `None` for any other text.
pub fn parse_id(text: &[u8]) -> Option<u128> {
    if text.len() != 32 {
        return None;
    }
    let mut id = 0_u128;
    for byte in text {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        id = id << 4 | u128::from(digit);
    }
    Some(id)
}

/// Lower-case hex digits of any bytes.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_back() {
        for id in [0, 1, u128::MAX, 0x0123_4567_89ab_cdef_0011_2233_4455_6677] {
            assert_eq!(parse_id(id_text(id).as_bytes()), Some(id));
        }
        let upper = "0123456789ABCDEF0123456789ABCDEF".to_owned();
        for text in ["", "0", &"g".repeat(32), &"0".repeat(33), &upper] {
            assert_eq!(parse_id(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn ids_that_share_a_half_spread() {
        let state = IdState::default();
        for shift in [0, 64] {
            let hashes: HashSet<u64> =
                (0..10_000_u128).map(|id| state.hash_one(id << shift) % 65_536).collect();
            // 10,000 balls in 65,536 bins fill about 9,270 of them.
            assert!(hashes.len() > 8_500, "{}", hashes.len());
        }
    }
}
