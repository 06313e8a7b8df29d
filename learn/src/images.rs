//! Checks of labelled images, and their pixels as numbers.

use promptfed_data::LabelledImages;
use rayon::prelude::*;

use crate::{ClassifierConfig, Error, Result};

/// A pixel's value in -1..=1.
pub(crate) fn normalised(value: u8) -> f32 {
    f32::from(value) / 127.5 - 1.0
}

pub(crate) fn normalise(pixels: &[u8]) -> Vec<f32> {
    pixels.par_iter().map(|&v| normalised(v)).collect()
}

/// Images of the classifier's size, with as many pixels as there are labels.
pub(crate) fn check_size(
    images: &LabelledImages,
    config: &ClassifierConfig,
    role: &'static str,
) -> Result<()> {
    if !images.is_empty() && images.size != config.image_size {
        return Err(Error::ImageSize {
            role,
            found: images.size,
            expected: config.image_size,
        });
    }
    let expected = images.len() * images.size * images.size * 3;
    check_len(images.pixels.len(), expected, "pixel values", role)
}

/// At least one image, of the classifier's size and classes.
pub(crate) fn check_labelled(
    images: &LabelledImages,
    config: &ClassifierConfig,
    role: &'static str,
) -> Result<()> {
    if images.is_empty() {
        return Err(Error::NoImages { role });
    }
    check_size(images, config, role)?;
    let unknown = |label: &u32| *label as usize >= config.classes;
    if let Some(index) = images.labels.iter().position(unknown) {
        return Err(Error::Label {
            role,
            index,
            label: images.labels[index],
            classes: config.classes,
        });
    }
    Ok(())
}

pub(crate) fn check_len(
    found: usize,
    expected: usize,
    what: &'static str,
    role: &'static str,
) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::Inconsistent {
        role,
        what,
        found,
        expected,
    })
}
