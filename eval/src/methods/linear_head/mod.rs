//! Softmax regression: a linear map from features to the logits of classes.

mod file;
mod problem;
mod regression;

pub use regression::{SoftmaxRegression, TrainedHead};

use crate::Result;
use crate::quality::{FeatureSet, QualityError};
use candle_core::{Device, Tensor};

/// Names classes by features: their logits are `W x + b`.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearHead {
    /// `[classes, width]` in row-major order.
    weight: Vec<f32>,
    /// `[classes]`
    bias: Vec<f32>,
}

impl LinearHead {
    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.bias.len()
    }

    /// Values of an image's features.
    pub fn width(&self) -> usize {
        self.weight.len() / self.bias.len().max(1)
    }

    /// The probability of every class for every row of features, `[n, classes]` in row-major order.
    ///
    /// # Errors
    /// Features of another width.
    pub fn probabilities(&self, features: &FeatureSet) -> Result<Vec<f32>> {
        let (width, classes) = (self.width(), self.classes());
        if features.width() != width {
            let misfit = QualityError::Width {
                found: features.width(),
                expected: width,
            };
            return Err(misfit.into());
        }
        if features.is_empty() {
            return Ok(Vec::new());
        }
        let rows = Tensor::from_slice(features.values(), (features.len(), width), &Device::Cpu)?;
        let map = Tensor::from_slice(&self.weight, (classes, width), &Device::Cpu)?;
        let products = rows.matmul(&map.t()?)?.flatten_all()?.to_vec1::<f32>()?;
        let mut probabilities = Vec::with_capacity(products.len());
        for products in products.chunks_exact(classes) {
            let logits = products.iter().zip(&self.bias);
            let mut row: Vec<f64> = logits.map(|(p, b)| f64::from(*p) + f64::from(*b)).collect();
            softmax(&mut row);
            probabilities.extend(row.into_iter().map(|p| p as f32));
        }
        Ok(probabilities)
    }
}

/// Makes probabilities of logits.
fn softmax(row: &mut [f64]) {
    let peak = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    row.iter_mut()
        .for_each(|value| *value = (*value - peak).exp());
    let sum: f64 = row.iter().sum();
    row.iter_mut().for_each(|value| *value /= sum);
}
