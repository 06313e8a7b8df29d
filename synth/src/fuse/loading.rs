//! A fused set in memory.

use std::path::Path;

use promptfed_data::{DecodeOptions, Fit, LabelledImages};
use promptfed_learn::Supervision;

use super::fused::open_fused;
use crate::Result;

/// Reads the images of a fused set, resized to `size` x `size`, with their weights where they differ and their soft labels where they
/// have some.
///
/// # Errors
/// As [`open_fused`], and an image that cannot be read.
pub fn load_fused(folder: &Path, size: usize) -> Result<(LabelledImages, Supervision)> {
    let dataset = open_fused(folder)?;
    let options = DecodeOptions {
        strict: true,
        ..DecodeOptions::default()
    };
    let (images, decoding) = promptfed_data::load(&dataset, size, Fit::Crop, &options)?;
    let supervision = Supervision {
        weights: dataset.weights_of_decoded(&decoding),
        targets: dataset.targets_of_decoded(&decoding),
    };
    Ok((images, supervision))
}
