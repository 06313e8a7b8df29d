//! What one written prompt is drawn from.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use super::Topic;

/// 32 bytes that depend on nothing but the run's seed, the topic and the candidate's number, so that what is written does not
/// depend on the order or on how many are written at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WritingSeed([u8; 32]);

impl WritingSeed {
    /// Seed of candidate `number` for `topic`: BLAKE3 in key-derivation mode over the run's seed, class, domain, opening
    /// and number.
    pub fn derive(run_seed: u64, topic: &Topic, number: u64) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("promptfed synth 2026 writing seed v1");
        hasher.update(&run_seed.to_le_bytes());
        hasher.update(&topic.class.get().to_le_bytes());
        hasher.update(&number.to_le_bytes());
        let domain = topic.domain.as_ref().map_or("", |domain| domain.as_str());
        for text in [domain, &topic.opening] {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        Self(*hasher.finalize().as_bytes())
    }

    /// A stream of random numbers.
    pub(super) fn stream(self) -> ChaCha20Rng {
        ChaCha20Rng::from_seed(self.0)
    }

    /// A number for services that take one as their seed: 31 bits, which all of them hold.
    pub(super) fn number(self) -> u32 {
        u32::from_le_bytes([self.0[0], self.0[1], self.0[2], self.0[3]]) >> 1
    }

    /// The raw seed.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}
