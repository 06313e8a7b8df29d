//! A fused set in memory.

use std::path::Path;

use promptfed_data::{DecodeOptions, Fit, LabelledImages};

use super::fused::open_fused;
use crate::Result;

/// Reads the images of a fused set, resized to `size` x `size`, and their weights where they differ.
///
/// # Errors
/// As [`open_fused`], and an image that cannot be read.
pub fn load_fused(folder: &Path, size: usize) -> Result<(LabelledImages, Option<Vec<f32>>)> {
    let dataset = open_fused(folder)?;
    let options = DecodeOptions {
        strict: true,
        ..DecodeOptions::default()
    };
    let (images, decoding) = promptfed_data::load(&dataset, size, Fit::Crop, &options)?;
    let weights = dataset.weights_of_decoded(&decoding);
    Ok((images, weights))
}
