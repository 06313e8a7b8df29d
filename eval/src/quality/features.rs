//! Sets of feature vectors.

use promptfed_data::{Dataset, DecodeOptions, DecodeReport};
use promptfed_vision::EfficientNet;

use super::QualityError;

/// Feature vectors of images, one row each.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureSet {
    width: usize,
    values: Vec<f32>,
}

impl FeatureSet {
    /// Rows of `width` values, one after the other; a rest that fills no row is dropped.
    ///
    /// # Errors
    /// [`QualityError::NotFinite`] for the first image whose features are no numbers.
    pub fn new(width: usize, mut values: Vec<f32>) -> Result<Self, QualityError> {
        let width = width.max(1);
        values.truncate(values.len() / width * width);
        match values.iter().position(|v| !v.is_finite()) {
            Some(at) => Err(QualityError::NotFinite { index: at / width }),
            None => Ok(Self { width, values }),
        }
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.values.len() / self.width
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Values of one image.
    pub fn width(&self) -> usize {
        self.width
    }

    /// `[images, width]` in row-major order.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The rows at `indices`, in that order.
    ///
    /// # Panics
    /// If an index is not below [`len`](Self::len).
    #[must_use]
    pub fn subset(&self, indices: &[usize]) -> Self {
        let rows = indices.iter();
        let values = rows.flat_map(|&i| &self.values[i * self.width..(i + 1) * self.width]);
        Self {
            width: self.width,
            values: values.copied().collect(),
        }
    }

    pub(super) fn check_width(&self, other: &Self) -> Result<(), QualityError> {
        if self.width == other.width {
            return Ok(());
        }
        Err(QualityError::Width {
            found: other.width,
            expected: self.width,
        })
    }
}

/// Features with the class of every image.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    /// One row for each image.
    pub features: FeatureSet,
    /// Index into `class_names` for each image.
    pub labels: Vec<u32>,
    /// Class names in label order.
    pub class_names: Vec<String>,
}

/// Features of all pictures of a data set; `progress` is told how many are done. Pictures that cannot be decoded are left out and listed.
///
/// # Errors
/// If decoding fails as a whole, in strict mode at the first unfit picture, or if the network fails.
pub fn extract_features(
    network: &EfficientNet,
    dataset: &Dataset,
    options: &DecodeOptions,
    progress: &mut dyn FnMut(usize),
) -> Result<(Labelled, DecodeReport), QualityError> {
    let mut values = Vec::with_capacity(dataset.len() * EfficientNet::FEATURES);
    let mut labels = Vec::with_capacity(dataset.len());
    let report = network.look_through(dataset, options, &mut |indices, features| {
        labels.extend(indices.iter().map(|&i| dataset.samples[i].label));
        values.extend_from_slice(features);
        progress(labels.len());
    })?;
    let labelled = Labelled {
        features: FeatureSet::new(EfficientNet::FEATURES, values)?,
        labels,
        class_names: dataset.class_names.clone(),
    };
    Ok((labelled, report))
}
