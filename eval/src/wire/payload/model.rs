//! A model, as the file that people keep.

use super::super::{Part, Payload};
use super::only;
use crate::Result;
use crate::methods::LinearHead;
use promptfed_learn::Classifier;
use promptfed_prompts::ledger::PayloadKind;

/// What is kept as a safetensors file in f32.
pub trait Saved: Sized {
    /// What it is, for messages.
    const WHAT: &'static str;

    /// The file.
    ///
    /// # Errors
    /// What cannot be written down.
    fn to_file(&self) -> Result<Vec<u8>>;

    /// What such a file holds.
    ///
    /// # Errors
    /// Anything else.
    fn from_file(file: &[u8]) -> Result<Self>;
}

impl Saved for Classifier {
    const WHAT: &'static str = "a model";

    fn to_file(&self) -> Result<Vec<u8>> {
        Ok(self.to_safetensors()?)
    }

    fn from_file(file: &[u8]) -> Result<Self> {
        Ok(Self::from_safetensors(file)?)
    }
}

/// The network before it is where it is used already.
impl Saved for LinearHead {
    const WHAT: &'static str = "a linear head";

    fn to_file(&self) -> Result<Vec<u8>> {
        self.to_safetensors()
    }

    fn from_file(file: &[u8]) -> Result<Self> {
        Self::from_safetensors(file)
    }
}

/// A model as its file.
#[derive(Debug, Clone)]
pub struct Model<T = Classifier>(pub T);

impl<T: Saved> Payload for Model<T> {
    const PARTS: usize = 1;

    fn encode(&self) -> Result<Vec<Part>> {
        Ok(vec![Part {
            kind: PayloadKind::Model,
            bytes: self.0.to_file()?,
        }])
    }

    fn decode(parts: &[Part]) -> Result<Self> {
        Ok(Self(T::from_file(only(parts, T::WHAT)?)?))
    }
}
