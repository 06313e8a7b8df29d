//! The residual classifier.

mod config;

pub use config::ClassifierConfig;

use candle_core::Device;
use promptfed_data::LabelledImages;

use crate::{Result, Weights};

/// A residual network for square RGB images of 16 to 96 pixels.
#[derive(Debug, Clone)]
pub struct Classifier {
    config: ClassifierConfig,
}

impl Classifier {
    /// A classifier with weights drawn from `seed`, on the CPU.
    ///
    /// # Errors
    /// If the configuration is out of range.
    pub fn new(config: ClassifierConfig, seed: u64) -> Result<Self> {
        let _ = seed;
        Ok(Self { config })
    }

    /// The same classifier with its weights on `device`.
    ///
    /// # Errors
    /// If the device lacks memory.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        let _ = device;
        todo!()
    }

    /// The configuration.
    pub fn config(&self) -> &ClassifierConfig {
        &self.config
    }

    /// The number of trained values (running statistics not counted).
    pub fn num_parameters(&self) -> usize {
        todo!()
    }

    /// The probability of every class for every image, `[n, classes]` in row-major order.
    ///
    /// # Errors
    /// If the images are not of the configured size.
    pub fn probabilities(&self, images: &LabelledImages) -> Result<Vec<f32>> {
        let _ = images;
        todo!()
    }

    /// A copy of all tensors, running statistics included.
    ///
    /// # Errors
    /// If the device cannot be read.
    pub fn weights(&self) -> Result<Weights> {
        todo!()
    }

    /// Replaces all tensors; on an error nothing is changed.
    ///
    /// # Errors
    /// If a tensor is missing, unknown or of another shape: the error lists all of them.
    pub fn load_weights(&mut self, weights: &Weights) -> Result<()> {
        let _ = weights;
        todo!()
    }

    /// The weights as a safetensors file, with the configuration in its header.
    ///
    /// # Errors
    /// If the device cannot be read.
    pub fn to_safetensors(&self) -> Result<Vec<u8>> {
        todo!()
    }

    /// A classifier from a file written by [`Classifier::to_safetensors`].
    ///
    /// # Errors
    /// If the bytes are not such a file; the error lists every tensor that does not fit.
    pub fn from_safetensors(bytes: &[u8]) -> Result<Self> {
        let _ = bytes;
        todo!()
    }
}
