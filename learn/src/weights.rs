//! A classifier's state as plain numbers: what federated learning moves and averages.

use std::collections::BTreeMap;

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
