//! The seed of one image.

use std::fmt;

use promptfed_prompts::{ClassIndex, RenderedPrompt};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What one image is drawn from: 32 bytes that depend on nothing but the job's seed, the prompt and the
/// image's index, so that the image can be made again alone.
///
/// Written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ImageSeed([u8; 32]);

impl ImageSeed {
    /// Seed of image `index` of a job: BLAKE3 in key-derivation mode over the job's seed, the class, the
    /// index, and both rendered texts.
    pub fn derive(job_seed: u64, class: ClassIndex, prompt: &RenderedPrompt, index: u64) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("promptfed synth 2026 image seed v1");
        hasher.update(&job_seed.to_le_bytes());
        hasher.update(&class.get().to_le_bytes());
        hasher.update(&index.to_le_bytes());
        for text in [&prompt.positive, &prompt.negative] {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        Self(*hasher.finalize().as_bytes())
    }

    /// A seed for an image outside any job.
    pub fn from_u64(number: u64) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("promptfed synth 2026 number seed v1");
        hasher.update(&number.to_le_bytes());
        Self(*hasher.finalize().as_bytes())
    }

    /// The seed of draw `attempt` of the same image; attempt 0 is this seed itself.
    pub fn attempt(self, attempt: u32) -> Self {
        if attempt == 0 {
            return self;
        }
        let mut hasher = blake3::Hasher::new_derive_key("promptfed synth 2026 redraw seed v1");
        hasher.update(&self.0);
        hasher.update(&attempt.to_le_bytes());
        Self(*hasher.finalize().as_bytes())
    }

    /// The raw seed, for engines that draw their noise with another generator.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A stream of random numbers for one `purpose`; streams of different purposes are independent.
    pub(crate) fn stream(&self, purpose: &str) -> ChaCha20Rng {
        let mut hasher = blake3::Hasher::new_derive_key("promptfed synth 2026 stream v1");
        hasher.update(&self.0);
        hasher.update(purpose.as_bytes());
        ChaCha20Rng::from_seed(*hasher.finalize().as_bytes())
    }
}

impl fmt::Display for ImageSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for ImageSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImageSeed({self})")
    }
}

impl std::str::FromStr for ImageSeed {
    type Err = blake3::HexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(*blake3::Hash::from_hex(text)?.as_bytes()))
    }
}

impl Serialize for ImageSeed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ImageSeed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(|_| serde::de::Error::custom("a seed is 64 hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngCore;

    fn rendered(positive: &str, negative: &str) -> RenderedPrompt {
        RenderedPrompt {
            positive: positive.into(),
            negative: negative.into(),
        }
    }

    #[test]
    fn every_part_of_the_derivation_counts() {
        let base = ImageSeed::derive(1, ClassIndex::new(2), &rendered("ab", "c"), 3);
        let others = [
            ImageSeed::derive(2, ClassIndex::new(2), &rendered("ab", "c"), 3),
            ImageSeed::derive(1, ClassIndex::new(3), &rendered("ab", "c"), 3),
            ImageSeed::derive(1, ClassIndex::new(2), &rendered("a", "bc"), 3),
            ImageSeed::derive(1, ClassIndex::new(2), &rendered("ab", ""), 3),
            ImageSeed::derive(1, ClassIndex::new(2), &rendered("ab", "c"), 4),
            base.attempt(1),
            base.attempt(2),
        ];
        for (i, other) in others.iter().enumerate() {
            assert_ne!(&base, other);
            assert!(!others[..i].contains(other));
        }
        assert_eq!(base, base.attempt(0));
    }

    /// `golden/seeds.py` derives them by other code.
    #[test]
    fn seeds_are_derived_as_documented() {
        let golden = include_str!("../tests/golden/seeds.json");
        let golden: serde_json::Value = serde_json::from_str(golden).unwrap();
        let images = golden["images"].as_array().unwrap();
        let numbers = golden["numbers"].as_array().unwrap();
        assert!(!images.is_empty() && !numbers.is_empty());
        for case in images {
            let text = |key: &str| case[key].as_str().unwrap();
            let number = |key: &str| text(key).parse().unwrap();
            let class = ClassIndex::new(case["label"].as_u64().unwrap() as u32);
            let prompt = rendered(text("positive"), text("negative"));
            let seed = ImageSeed::derive(number("job"), class, &prompt, number("index"));
            assert_eq!(seed.to_string(), text("seed"));
            assert_eq!(seed.attempt(2).to_string(), text("attempt_2"));
            let mut noise = seed.stream("noise");
            for expected in case["noise"].as_array().unwrap() {
                assert_eq!(noise.next_u64().to_string(), expected.as_str().unwrap());
            }
        }
        for case in numbers {
            let number = case["number"].as_str().unwrap().parse().unwrap();
            let seed = ImageSeed::from_u64(number).to_string();
            assert_eq!(seed, case["seed"].as_str().unwrap());
        }
    }

    #[test]
    fn streams_of_one_seed_differ_by_purpose() {
        let seed = ImageSeed::from_u64(1);
        assert_eq!(
            seed.stream("noise").next_u64(),
            seed.stream("noise").next_u64()
        );
        assert_ne!(
            seed.stream("noise").next_u64(),
            seed.stream("guidance").next_u64()
        );
    }

    #[test]
    fn text_form_round_trips() {
        let seed = ImageSeed::from_u64(5);
        assert_eq!(seed.to_string().len(), 64);
        assert_eq!(seed.to_string().parse::<ImageSeed>().unwrap(), seed);
        let json = serde_json::to_string(&seed).unwrap();
        assert_eq!(serde_json::from_str::<ImageSeed>(&json).unwrap(), seed);
        assert!(serde_json::from_str::<ImageSeed>("\"12\"").is_err());
    }
}
