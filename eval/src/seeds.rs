//! Seeds for everything that a run draws, derived so that none is used twice.

use promptfed_prompts::ContentHash;

/// The seed for `purpose` in the run with `seed`: the first 8 bytes, little endian, of
/// BLAKE3("promptfed seed" | seed | purpose).
pub(crate) fn derive(seed: u64, purpose: &str) -> u64 {
    let mut message = b"promptfed seed".to_vec();
    message.extend_from_slice(&seed.to_le_bytes());
    message.extend_from_slice(purpose.as_bytes());
    let hash = ContentHash::of(&message);
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_le_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::derive;
    use std::collections::HashSet;

    /// `synth/golden/seeds.py` derives them by other code.
    #[test]
    fn seeds_are_derived_as_documented() {
        let cases = include_str!("../tests/golden/seeds.json");
        let cases: Vec<serde_json::Value> = serde_json::from_str(cases).unwrap();
        assert!(!cases.is_empty());
        for case in cases {
            let text = |key: &str| case[key].as_str().unwrap();
            let derived = derive(text("seed").parse().unwrap(), text("purpose"));
            assert_eq!(derived.to_string(), text("derived"));
        }
    }

    #[test]
    fn differs_by_seed_and_purpose() {
        let all: HashSet<u64> = (0..50)
            .flat_map(|seed| (0..50).map(move |i| derive(seed, &format!("round {i}"))))
            .collect();
        assert_eq!(all.len(), 2500);
        assert_eq!(derive(7, "x"), derive(7, "x"));
    }
}
