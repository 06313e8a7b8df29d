//! The training loop.

mod config;

pub use config::{Schedule, TrainConfig};

use promptfed_data::LabelledImages;
use serde::{Deserialize, Serialize};

use crate::{Classifier, Result};

/// What happened in one epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EpochStats {
    /// The epoch, from 0.
    pub epoch: usize,
    /// The learning rate of the epoch's last step.
    pub learning_rate: f32,
    /// The mean loss over the epoch's images, as augmented, while the weights were moving.
    pub train_loss: f32,
    /// The share of those images that were classified rightly.
    pub train_accuracy: f32,
    /// Accuracy on the validation images after the epoch, if there are any.
    pub validation_accuracy: Option<f32>,
}

/// What happened in a training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainReport {
    /// Every epoch in order.
    pub curve: Vec<EpochStats>,
    /// The epoch whose weights the classifier now has, from 0.
    pub selected_epoch: usize,
}

/// Trains `model` in place.
///
/// The weights kept are those of the epoch with the best validation accuracy (the earliest such
/// epoch), or those of the last epoch when there are no validation images. The same model, images
/// and configuration give the same weights bit for bit.
///
/// # Errors
/// If the configuration is out of range, if the images do not fit the model, or if the loss is no
/// longer finite; after an error in training the model has the weights it was given.
pub fn train(
    model: &mut Classifier,
    train: &LabelledImages,
    validation: Option<&LabelledImages>,
    config: &TrainConfig,
    progress: &mut dyn FnMut(&EpochStats),
) -> Result<TrainReport> {
    let _ = (model, train, validation, config, progress);
    todo!()
}

/// Like [`train()`], with a weight for every training image: a batch's loss is the weighted mean of
/// its images' losses.
///
/// # Errors
/// As [`train()`], and if a weight is negative or not finite or all are zero.
pub fn train_weighted(
    model: &mut Classifier,
    train: &LabelledImages,
    sample_weights: &[f32],
    validation: Option<&LabelledImages>,
    config: &TrainConfig,
    progress: &mut dyn FnMut(&EpochStats),
) -> Result<TrainReport> {
    let _ = (model, train, sample_weights, validation, config, progress);
    todo!()
}
