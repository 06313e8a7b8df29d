//! Measures of a classifier on labelled images.

use std::collections::BTreeMap;

use promptfed_data::LabelledImages;
use serde::{Deserialize, Serialize};

use crate::{Classifier, Result};

/// How well a classifier names images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The share of images whose most probable class is their label, in `0.0..=1.0`.
    pub accuracy: f64,
    /// The unweighted mean of the F1 scores of all classes that occur as a label or as a
    /// prediction, in `0.0..=1.0`; scikit-learn's `f1_score(average="macro", zero_division=0)`.
    pub macro_f1: f64,
    /// Images by `[label][predicted class]`.
    pub confusion: Vec<Vec<u64>>,
    /// Accuracy on the images of each domain that occurs, by the domain's name; empty when the
    /// images have no domains.
    pub per_domain: BTreeMap<String, f64>,
}

/// Classifies `images` and compares with their labels.
///
/// # Errors
/// If there are no images, or if they do not fit the classifier.
pub fn evaluate(classifier: &Classifier, images: &LabelledImages) -> Result<Evaluation> {
    let _ = (classifier, images);
    todo!()
}
