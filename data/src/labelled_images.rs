//! Decoded, resized images with their labels in one array.

use crate::{
    Adjustment, DataError, Dataset, DecodeOptions, DecodeReport, Fit, Result, decode_map,
    resize_square,
};

/// Square RGB images of one size with their labels, ready for training. All is in memory: `size * size * 3` bytes for each image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledImages {
    /// Side of every image in pixels.
    pub size: usize,
    /// `[n, size, size, 3]`, RGB in 0..=255.
    pub pixels: Vec<u8>,
    /// Index into `class_names` per image, below their number.
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
        let Some((first, rest)) = parts.split_first() else {
            return Err(DataError::Mismatch("there are none to join".to_owned()));
        };
        let mut all = (*first).clone();
        for part in rest {
            if part.size != all.size {
                return Err(DataError::Mismatch(format!(
                    "sides of {} and {} pixels",
                    all.size, part.size
                )));
            }
            if part.class_names != all.class_names {
                return Err(DataError::Mismatch("class names differ".to_owned()));
            }
            if part.domain_names != all.domain_names {
                return Err(DataError::Mismatch("domain names differ".to_owned()));
            }
            all.pixels.extend_from_slice(&part.pixels);
            all.labels.extend_from_slice(&part.labels);
            all.domains.extend_from_slice(&part.domains);
        }
        Ok(all)
    }

    /// blake3 hash of size, names, labels, domains and pixels: equal exactly for equal contents.
    pub fn hash(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_derive_key("promptfed labelled images v1");
        hasher.update(&(self.size as u64).to_le_bytes());
        for names in [&self.class_names, &self.domain_names] {
            hasher.update(&(names.len() as u64).to_le_bytes());
            for name in names {
                hasher.update(&(name.len() as u64).to_le_bytes());
                hasher.update(name.as_bytes());
            }
        }
        for indices in [&self.labels, &self.domains] {
            hasher.update(&(indices.len() as u64).to_le_bytes());
            for index in indices {
                hasher.update(&index.to_le_bytes());
            }
        }
        hasher.update(&self.pixels);
        hasher.finalize()
    }
}

/// Decodes every sample and resizes it with [`resize_square`]. Images come in sample order; those in the report's
/// `skipped` are missing, and those that `fit` cuts much of are counted as [`Adjustment::EndsCut`].
///
/// # Errors
/// As [`decode`](crate::decode()); also when `size` is 0 or above 65535, and when more pictures are left out than decoded.
pub fn load(
    dataset: &Dataset,
    size: usize,
    fit: Fit,
    options: &DecodeOptions,
) -> Result<(LabelledImages, DecodeReport)> {
    if !(1..=65535).contains(&size) {
        return Err(DataError::Mismatch(format!(
            "{size} pixels is no side length"
        )));
    }
    let mut images = LabelledImages {
        size,
        pixels: Vec::with_capacity(dataset.len() * size * size * 3),
        labels: Vec::with_capacity(dataset.len()),
        domains: Vec::with_capacity(dataset.len()),
        class_names: dataset.class_names.clone(),
        domain_names: dataset.domain_names.clone(),
    };
    let mut failure = None;
    let mut cut = 0;
    let mut report = decode_map(
        dataset,
        options,
        |_, picture| {
            let cut = fit.lost_share(picture.width, picture.height) > Adjustment::MUCH;
            resize_square(&picture, size, fit).map(|pixels| (pixels, cut))
        },
        |index, resized| match resized {
            Ok((pixels, is_cut)) => {
                cut += usize::from(is_cut);
                let sample = &dataset.samples[index];
                images.pixels.extend_from_slice(&pixels);
                images.labels.push(sample.label);
                images.domains.push(sample.domain.unwrap_or(0));
            }
            Err(error) => failure = failure.take().or(Some(error)),
        },
    )?;
    if cut > 0 {
        report.adjusted.insert(Adjustment::EndsCut, cut);
    }
    if let Some(error) = failure {
        return Err(error);
    }
    report.check_most_decoded()?;
    Ok((images, report))
}
