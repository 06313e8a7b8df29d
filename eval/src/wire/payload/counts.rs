//! Whole numbers: how many images of each class, or how many of them are named rightly.

use super::super::{Part, Payload};
use super::{only, words};
use crate::Result;
use promptfed_learn::Tally;
use promptfed_prompts::ledger::PayloadKind;

/// A number for each class, or two: four bytes each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(pub Vec<u32>);

impl Counts {
    /// The images of each class.
    pub fn of_labels(labels: &[u32], classes: usize) -> Self {
        let tally = Tally::of_labels(labels, classes);
        Self(tally.per_class().map(|n| n as u32).collect())
    }
}

impl Payload for Counts {
    const PARTS: usize = 1;

    fn encode(&self) -> Result<Vec<Part>> {
        Ok(vec![Part {
            kind: PayloadKind::Control,
            bytes: self.0.iter().flat_map(|n| n.to_le_bytes()).collect(),
        }])
    }

    fn decode(parts: &[Part]) -> Result<Self> {
        let words = words(only(parts, "counts")?, "counts")?;
        Ok(Self(words.map(u32::from_le_bytes).collect()))
    }
}
