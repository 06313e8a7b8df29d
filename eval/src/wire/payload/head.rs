//! A linear head, as the file that people keep.

use super::super::{Part, Payload};
use super::only;
use crate::Result;
use crate::methods::LinearHead;
use promptfed_prompts::ledger::PayloadKind;

/// A linear head as a safetensors file in f32. The network before it is where it is used already.
#[derive(Debug, Clone, PartialEq)]
pub struct Head(pub LinearHead);

impl Payload for Head {
    const PARTS: usize = 1;

    fn encode(&self) -> Result<Vec<Part>> {
        Ok(vec![Part {
            kind: PayloadKind::Model,
            bytes: self.0.to_safetensors()?,
        }])
    }

    fn decode(parts: &[Part]) -> Result<Self> {
        let file = only(parts, "a linear head")?;
        Ok(Self(LinearHead::from_safetensors(file)?))
    }
}
