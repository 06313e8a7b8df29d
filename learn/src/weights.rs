//! A classifier's state as plain numbers: what federated learning moves and averages.

use std::collections::BTreeMap;

use candle_core::Tensor;

/// One f32 tensor in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightTensor {
    /// The extent of every dimension, in PyTorch's layout.
    pub shape: Vec<usize>,
    /// The values; as many as the product of `shape`.
    pub values: Vec<f32>,
}

/// All trained tensors of a classifier and the running statistics of its batch normalisations,
/// under PyTorch's names (`stem.0.weight`, `blocks.0.na.running_mean`, ...).
pub type Weights = BTreeMap<String, WeightTensor>;

/// The trained tensors of a classifier without the running statistics, where it computes and in an order of its own: what an
/// [`Objective`](crate::Objective) sees. [`Classifier::parameters`](crate::Classifier::parameters) and
/// [`Classifier::parameters_of`](crate::Classifier::parameters_of) make them.
#[derive(Debug, Clone)]
pub struct Parameters(Vec<Tensor>);

impl Parameters {
    pub(crate) fn new(tensors: Vec<Tensor>) -> Self {
        Self(tensors)
    }

    /// The tensors.
    pub fn tensors(&self) -> &[Tensor] {
        &self.0
    }
}
