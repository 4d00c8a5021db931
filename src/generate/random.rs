//! Seeded randomness that gives the same values with every version of every crate.
//!
//! In: a seed, a purpose and an index. Out: numbers, choices and hexadecimal ids. Only the raw
//! 64-bit output of `ChaCha8` is used, which is fixed by its reference vectors; ranges are mapped
//! here. Nothing can go wrong: an empty range gives 0.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// What a stream of random numbers is for; each purpose has streams of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum Purpose {
    /// Account numbers and names.
    World = 1,
    /// A story's identity and course.
    Story = 2,
    /// The course of a story's event: shared by the shapes that report it.
    Event = 3,
    /// The words of one version.
    Words = 4,
    /// One affected entity.
    Entity = 5,
    /// Envelope ids and delivery times.
    Delivery = 6,
    /// An object's name, compression and bad bytes.
    Object = 7,
    /// Ids of one message.
    Message = 8,
    /// The unique part of an event's or a finding's name.
    Name = 9,
}

/// One stream of random numbers.
#[derive(Debug)]
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    /// The stream of this purpose and index under this seed.
    pub(super) fn new(seed: u64, purpose: Purpose, index: u64) -> Self {
        let mut key = [0_u8; 32];
        let bytes = [seed, purpose as u64, index].into_iter().flat_map(u64::to_le_bytes);
        for (slot, byte) in key.iter_mut().zip(bytes) {
            *slot = byte;
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    /// Any 64 bits.
    pub(super) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number from 0 up to, not including, `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        let scaled = (u128::from(self.bits()) * u128::from(end)) >> 64;
        u64::try_from(scaled).unwrap_or(0)
    }

    /// A number from `first` to `last`, both included.
    pub(super) fn between(&mut self, first: i64, last: i64) -> i64 {
        let width = last.saturating_sub(first).max(0).unsigned_abs();
        first.saturating_add_unsigned(self.below(width + 1))
    }

    /// True in this share of all cases.
    pub(super) fn chance(&mut self, share: f64) -> bool {
        self.fraction() < share
    }

    /// A number from 0 up to, not including, 1.
    pub(super) fn fraction(&mut self) -> f64 {
        // The top 53 bits fit a double exactly.
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// An index below `length`.
    pub(super) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }

    /// One of them, all alike; the list is not empty.
    #[expect(clippy::indexing_slicing, reason = "the index is below the length of a full list")]
    pub(super) fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.index(list.len())]
    }

    /// `digits` lower-case hexadecimal digits.
    pub(super) fn hex(&mut self, digits: usize, out: &mut String) {
        let (mut bits, mut left) = (0_u64, 0);
        for _ in 0..digits {
            if left == 0 {
                (bits, left) = (self.bits(), 16);
            }
            out.push(hex_digit(bits & 15));
            (bits, left) = (bits >> 4, left - 1);
        }
    }

    /// A random UUID in lower case.
    pub(super) fn uuid(&mut self) -> String {
        let mut text = String::with_capacity(36);
        for (part, digits) in [8_usize, 4, 4, 4, 12].into_iter().enumerate() {
            if part > 0 {
                text.push('-');
            }
            match part {
                2 => text.push('4'),
                3 => text.push(hex_digit(8 | (self.bits() & 3))),
                _ => {}
            }
            self.hex(digits - usize::from(part == 2 || part == 3), &mut text);
        }
        text
    }
}

/// The lower-case digit of a number below 16.
pub(super) fn hex_digit(number: u64) -> char {
    char::from_digit(u32::try_from(number).unwrap_or(0), 16).unwrap_or('0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_values_never_change() {
        let mut dice = Dice::new(7, Purpose::Story, 42);
        let first: Vec<u64> = (0..3).map(|_| dice.below(1_000_000)).collect();
        let mut again = Dice::new(7, Purpose::Story, 42);
        assert_eq!(first, (0..3).map(|_| again.below(1_000_000)).collect::<Vec<_>>());
        assert_ne!(first, {
            let mut other = Dice::new(7, Purpose::Event, 42);
            (0..3).map(|_| other.below(1_000_000)).collect::<Vec<_>>()
        });
    }

    #[test]
    fn ranges_hold() {
        let mut dice = Dice::new(1, Purpose::World, 0);
        for _ in 0..10_000 {
            assert!(dice.below(3) < 3);
            assert!((-2..=2).contains(&dice.between(-2, 2)));
            assert!((0.0..1.0).contains(&dice.fraction()));
        }
        assert_eq!(dice.below(0), 0);
        assert_eq!(dice.between(5, 1), 5);
    }

    #[test]
    fn a_uuid_looks_like_one() {
        let uuid = Dice::new(1, Purpose::World, 0).uuid();
        assert_eq!(uuid.len(), 36);
        assert_eq!(uuid.as_bytes()[14], b'4');
        assert!(matches!(uuid.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
        assert!(uuid.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit()));
    }
}
