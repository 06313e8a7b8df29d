//! What models say of images.

use super::super::{Part, Payload};
use super::{only, words};
use crate::Result;
use promptfed_prompts::ledger::PayloadKind;

/// The logarithms of the probabilities of every class for every image, `[images, classes]`, in f32.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Logits(pub Vec<f32>);

/// The least probability that is told apart from none.
const LEAST: f32 = 1e-8;

impl Logits {
    /// Of probabilities.
    pub fn of(probabilities: &[f32]) -> Self {
        Self(probabilities.iter().map(|p| p.max(LEAST).ln()).collect())
    }
}

impl Payload for Logits {
    const PARTS: usize = 1;

    fn encode(&self) -> Result<Vec<Part>> {
        Ok(vec![Part {
            kind: PayloadKind::Logits,
            bytes: self.0.iter().flat_map(|v| v.to_le_bytes()).collect(),
        }])
    }

    fn decode(parts: &[Part]) -> Result<Self> {
        let words = words(only(parts, "logits")?, "logits")?;
        Ok(Self(words.map(f32::from_le_bytes).collect()))
    }
}
