//! A random order of many texts, none of which is written down.

use crate::writers::WritingSeed;

/// Rounds of the Feistel network; four give a pseudo-random permutation (Luby and Rackoff 1988).
const ROUNDS: u8 = 4;

/// A permutation of `0..size`: a Feistel network over the next even number of bits, walked on until it is below `size` again
/// (cycle walking, Black and Rogaway 2002).
pub(super) struct Order {
    size: u64,
    half_bits: u32,
    key: [u8; 32],
}

impl Order {
    pub(super) fn new(size: u64, seed: WritingSeed) -> Self {
        let bits = u64::BITS - size.saturating_sub(1).leading_zeros();
        Self {
            size,
            half_bits: bits.div_ceil(2).max(1),
            key: *seed.as_bytes(),
        }
    }

    /// What stands at `place`, which is below the size.
    pub(super) fn place(&self, place: u64) -> u64 {
        let mut value = self.network(place);
        // The network permutes its whole range, so that the walk comes back below the size.
        while value >= self.size {
            value = self.network(value);
        }
        value
    }

    fn network(&self, value: u64) -> u64 {
        let mask = (1_u64 << self.half_bits) - 1;
        let (mut left, mut right) = (value >> self.half_bits, value & mask);
        for round in 0..ROUNDS {
            let mut hasher = blake3::Hasher::new_keyed(&self.key);
            hasher.update(&[round]);
            hasher.update(&right.to_le_bytes());
            let mut bytes = [0; 8];
            hasher.finalize_xof().fill(&mut bytes);
            (left, right) = (right, (left ^ u64::from_le_bytes(bytes)) & mask);
        }
        (left << self.half_bits) | right
    }
}

#[cfg(test)]
mod tests {
    use promptfed_prompts::ClassIndex;
    use proptest::prelude::*;

    use super::*;
    use crate::writers::Topic;

    fn seed(number: u64) -> WritingSeed {
        let topic = Topic {
            class: ClassIndex::new(0),
            domain: None,
            opening: String::new(),
            negative: String::new(),
        };
        WritingSeed::derive(number, &topic, 0)
    }

    proptest! {
        #[test]
        fn everything_has_its_place(size in 1_u64..3000, number in any::<u64>()) {
            let order = Order::new(size, seed(number));
            let mut all: Vec<u64> = (0..size).map(|place| order.place(place)).collect();
            all.sort_unstable();
            prop_assert!(all.into_iter().eq(0..size));
        }
    }

    #[test]
    fn the_first_places_are_spread_over_all() {
        let order = Order::new(1_000_000, seed(3));
        let first: Vec<u64> = (0..1000).map(|place| order.place(place)).collect();
        let mean = first.iter().sum::<u64>() as f64 / 1000.0;
        // The mean of 1,000 uniform numbers has a standard deviation of 9,129 around 500,000.
        assert!((mean - 500_000.0).abs() < 50_000.0, "{mean}");
        assert!(!first.is_sorted());
    }
}
