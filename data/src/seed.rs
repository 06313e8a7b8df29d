//! Random numbers that depend on a seed and on what they are for.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// ChaCha8 seeded with the blake3 hash of the seed and `scheme`, in the context of `purpose`.
pub(crate) fn rng(purpose: &str, seed: u64, scheme: &str) -> ChaCha8Rng {
    let mut hasher = blake3::Hasher::new_derive_key("promptfed data seed v1");
    hasher.update(&(purpose.len() as u64).to_le_bytes());
    hasher.update(purpose.as_bytes());
    hasher.update(&seed.to_le_bytes());
    hasher.update(scheme.as_bytes());
    ChaCha8Rng::from_seed(hasher.finalize().into())
}
