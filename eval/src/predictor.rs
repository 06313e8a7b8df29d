//! What a method leaves behind: something that names images.

use crate::Result;
use promptfed_data::LabelledImages;
use promptfed_learn::Classifier;

/// Names images.
pub trait Predictor: Send + Sync {
    /// The probability of every class for every image, `[n, classes]` in row-major order.
    ///
    /// # Errors
    /// Images that do not fit it.
    fn probabilities(&self, images: &LabelledImages) -> Result<Vec<f32>>;

    /// The file that people keep, where there is one.
    ///
    /// # Errors
    /// If it cannot be written down.
    fn file(&self) -> Result<Option<Vec<u8>>>;
}

impl Predictor for Classifier {
    fn probabilities(&self, images: &LabelledImages) -> Result<Vec<f32>> {
        self.check_classes(images)?;
        Ok(Self::probabilities(self, images)?)
    }

    fn file(&self) -> Result<Option<Vec<u8>>> {
        Ok(Some(self.to_safetensors()?))
    }
}
