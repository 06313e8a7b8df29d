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

#[cfg(test)]
mod tests {
    use super::rng;
    use rand::RngCore;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Case {
        purpose: String,
        seed: String,
        scheme: String,
        numbers: [String; 2],
    }

    /// `synth/golden/seeds.py` derives them by other code.
    #[test]
    fn numbers_are_derived_as_documented() {
        let cases = include_str!("../tests/seeds.json");
        let cases: Vec<Case> = serde_json::from_str(cases).unwrap();
        assert!(!cases.is_empty());
        for case in cases {
            let mut drawn = rng(&case.purpose, case.seed.parse().unwrap(), &case.scheme);
            let numbers = [drawn.next_u64(), drawn.next_u64()];
            assert_eq!(numbers.map(|n| n.to_string()), case.numbers);
        }
    }
}
