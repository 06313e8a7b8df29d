//! What a training step minimises.
//!
//! An [`Objective`] sees what the network makes of a batch, its features and its logits, and says the loss and its gradients by both; what
//! concerns the weights themselves, it adds to their gradients. Most methods of federated learning are one of these and nothing else.

mod class_map;
mod classes;
mod consensus;
mod contrastive;
mod control;
mod distillation;
mod imitation;
mod pairs;
mod prototypes;
mod proximal;
mod representation;

pub use class_map::{ClassMap, Classification};
pub use classes::Classes;
pub use consensus::Consensus;
pub use contrastive::Contrastive;
pub use control::Controlled;
pub use distillation::Distillation;
pub use imitation::Imitation;
pub use pairs::Pairs;
pub use prototypes::Prototypes;
pub use proximal::Proximal;
pub use representation::{OfRepresentations, RepresentationLoss, Representing, unit_rows};

use candle_core::Tensor;

use crate::Result;

/// What the network makes of a batch of `n` images.
#[derive(Debug, Clone, Copy)]
pub struct HeadBatch<'a> {
    /// The images' positions in the training set, `[n]`.
    pub indices: &'a [usize],
    /// Their classes, `[n]`.
    pub labels: &'a [u32],
    /// Their weights in the loss, `[n]`, where they differ.
    pub weights: Option<&'a [f32]>,
    /// Their pixels as the network reads them, augmented, `[n, size, size, 3]` in -1..=1.
    pub pixels: &'a Tensor,
    /// What the last linear map reads, `[n, channels]`.
    pub features: &'a [f32],
    /// What it makes of that, `[n, classes]`.
    pub logits: &'a [f32],
}

impl HeadBatch<'_> {
    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Features of an image.
    pub fn channels(&self) -> usize {
        self.features.len() / self.len().max(1)
    }

    /// Classes of the network.
    pub fn classes(&self) -> usize {
        self.logits.len() / self.len().max(1)
    }
}

/// The loss of a batch and its gradients by what the network made.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadGradients {
    /// The loss, the mean over the batch; cross-entropy in nats.
    pub loss: f32,
    /// Images whose largest logit is at their label.
    pub correct: usize,
    /// By the logits, `[n, classes]`.
    pub logits: Vec<f32>,
    /// By the features, beside what comes through the logits, `[n, channels]`; nothing where the loss does not look at them.
    pub features: Option<Vec<f32>>,
}

impl HeadGradients {
    /// Adds a term of the loss that looks at features.
    fn add_by_features(&mut self, loss: f64, gradient: Vec<f32>) {
        self.loss += loss as f32;
        match &mut self.features {
            Some(sum) => sum.iter_mut().zip(gradient).for_each(|(s, g)| *s += g),
            None => self.features = Some(gradient),
        }
    }
}

/// What a training step minimises.
pub trait Objective: Send {
    /// The loss of a batch.
    ///
    /// # Errors
    /// What the objective itself holds does not fit the batch.
    fn head(&mut self, batch: &HeadBatch<'_>) -> Result<HeadGradients>;

    /// Adds what concerns the weights themselves to their gradients, before the optimiser's step. Both are in the order of
    /// [`Parameters`](crate::Parameters).
    ///
    /// # Errors
    /// A tensor operation that fails.
    fn weights(&mut self, _trained: &[Tensor], _gradients: &mut [Tensor]) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// A batch of three images with four classes and five features, none of whose numbers is special.
    pub(super) struct Example {
        pub(super) labels: Vec<u32>,
        pub(super) pixels: Tensor,
        pub(super) features: Vec<f32>,
        pub(super) logits: Vec<f32>,
    }

    impl Example {
        pub(super) fn new() -> Self {
            let number = |i: usize| ((i * 37 + 11) % 23) as f32 / 11.0 - 1.0;
            Self {
                labels: vec![2, 0, 2],
                pixels: Tensor::zeros((3, 8, 8, 3), candle_core::DType::F32, &Device::Cpu).unwrap(),
                features: (0..15).map(number).collect(),
                logits: (15..27).map(number).collect(),
            }
        }

        pub(super) fn batch(&self) -> HeadBatch<'_> {
            HeadBatch {
                indices: &[4, 0, 1],
                labels: &self.labels,
                weights: None,
                pixels: &self.pixels,
                features: &self.features,
                logits: &self.logits,
            }
        }
    }

    /// Along every logit and every feature the gradients are the slopes of the loss.
    pub(super) fn assert_slopes(objective: &mut dyn Objective) {
        const STEP: f32 = 1e-2;
        let example = Example::new();
        let found = objective.head(&example.batch()).unwrap();
        let mut check = |change: &dyn Fn(&mut Example, f32), gradient: f32| {
            let mut loss = |by: f32| {
                let mut moved = Example::new();
                change(&mut moved, by);
                f64::from(objective.head(&moved.batch()).unwrap().loss)
            };
            let slope = (loss(STEP) - loss(-STEP)) / f64::from(2.0 * STEP);
            assert!(
                (slope - f64::from(gradient)).abs() < 2e-3,
                "{slope} and not {gradient}"
            );
        };
        for (i, gradient) in found.logits.iter().enumerate() {
            check(&|example, by| example.logits[i] += by, *gradient);
        }
        for i in 0..example.features.len() {
            let gradient = found.features.as_ref().map_or(0.0, |g| g[i]);
            check(&|example, by| example.features[i] += by, gradient);
        }
    }
}
