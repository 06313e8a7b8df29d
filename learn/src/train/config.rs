//! The settings of a training run.

use serde::{Deserialize, Serialize};

use crate::{Augmentation, Error, Result};

/// How the learning rate moves over a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Rise by a half cosine from 1/25 of the peak to the peak over the warm-up, then fall by a
    /// half cosine to 1/250000 of it (Smith and Topin 2018; PyTorch's `OneCycleLR` with constant
    /// momentum).
    Cosine,
    /// The peak all the time. For the local steps of federated averaging.
    Constant,
}

/// The settings of a training run: SGD with Nesterov momentum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Passes over the training images, at least 1. 30 by default.
    pub epochs: usize,
    /// Images per step, at least 1; a smaller set is one batch. 64 by default.
    pub batch_size: usize,
    /// The peak learning rate, above 0. 0.1 by default.
    pub learning_rate: f32,
    /// How the learning rate moves. [`Schedule::Cosine`] by default.
    pub schedule: Schedule,
    /// The share of all steps over which the learning rate rises, in `0.0..=1.0`. 0.3 by default.
    pub warmup_fraction: f32,
    /// Nesterov momentum in `0.0..1.0`. 0.9 by default.
    pub momentum: f32,
    /// L2 penalty, 0 or above, added to the gradient of every parameter. 5e-4 by default.
    pub weight_decay: f32,
    /// Probability mass spread evenly over all classes, in `0.0..1.0`. 0.1 by default.
    pub label_smoothing: f32,
    /// Changes to every image. Flip and shift by default.
    pub augmentation: Augmentation,
    /// Seeds the order of the images and their augmentation. 0 by default.
    pub seed: u64,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            epochs: 30,
            batch_size: 64,
            learning_rate: 0.1,
            schedule: Schedule::Cosine,
            warmup_fraction: 0.3,
            momentum: 0.9,
            weight_decay: 5e-4,
            label_smoothing: 0.1,
            augmentation: Augmentation::default(),
            seed: 0,
        }
    }
}

impl TrainConfig {
    /// Checks every field's range.
    ///
    /// # Errors
    /// [`Error::Config`] for the first field out of range.
    pub fn validate(&self) -> Result<()> {
        let out_of_range = |field, value: f32, expected| {
            Err(Error::Config {
                field,
                value: value.to_string(),
                expected,
            })
        };
        if self.epochs == 0 {
            return out_of_range("epochs", 0.0, "at least 1");
        }
        if self.batch_size == 0 {
            return out_of_range("batch_size", 0.0, "at least 1");
        }
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            return out_of_range("learning_rate", self.learning_rate, "above 0 and finite");
        }
        if !(0.0..=1.0).contains(&self.warmup_fraction) {
            return out_of_range("warmup_fraction", self.warmup_fraction, "0 to 1");
        }
        if !(0.0..1.0).contains(&self.momentum) {
            return out_of_range("momentum", self.momentum, "at least 0 and below 1");
        }
        if !(self.weight_decay >= 0.0 && self.weight_decay.is_finite()) {
            return out_of_range("weight_decay", self.weight_decay, "at least 0 and finite");
        }
        if !(0.0..1.0).contains(&self.label_smoothing) {
            return out_of_range(
                "label_smoothing",
                self.label_smoothing,
                "at least 0 and below 1",
            );
        }
        if !(0.0..=0.5).contains(&self.augmentation.shift) {
            return out_of_range("augmentation.shift", self.augmentation.shift, "0 to 0.5");
        }
        Ok(())
    }
}
