//! A classifier, as the file that people keep.

use super::super::{Part, Payload};
use super::only;
use crate::Result;
use promptfed_learn::Classifier;
use promptfed_prompts::ledger::PayloadKind;

/// A classifier as a safetensors file in f32.
#[derive(Debug, Clone)]
pub struct Model(pub Classifier);

impl Payload for Model {
    const PARTS: usize = 1;

    fn encode(&self) -> Result<Vec<Part>> {
        Ok(vec![Part {
            kind: PayloadKind::Model,
            bytes: self.0.to_safetensors()?,
        }])
    }

    fn decode(parts: &[Part]) -> Result<Self> {
        let file = only(parts, "a model")?;
        Ok(Self(Classifier::from_safetensors(file)?))
    }
}
