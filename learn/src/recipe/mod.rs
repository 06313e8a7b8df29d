//! All that decides how a classifier comes out of labelled images, in one type from the command line to the training loop.

mod mirrored;
mod plan;

use std::sync::atomic::AtomicBool;

use promptfed_data::{Fit, LabelledImages};
use serde::{Deserialize, Serialize};

use crate::{
    Architecture, Classifier, ClassifierConfig, EpochStats, HeldOut, Result, Supervision,
    TrainConfig, TrainReport, train_held_out,
};

/// How a classifier is made from labelled images: its shape, its training, what is held out to choose the epoch.
///
/// A round agrees on it ([`TrainingPlan`](promptfed_prompts::protocol::TrainingPlan) is its form on the wire), and a model's file
/// carries it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// The side in pixels that images are resized to, 8 to 256. 32 by default.
    pub image_size: usize,
    /// How pictures that are not square become so. [`Fit::Crop`] by default.
    pub fit: Fit,
    /// Channels after the stem, 1 to 512; later blocks have a multiple. 24 by default.
    pub width: usize,
    /// The residual blocks.
    pub architecture: Architecture,
    /// The training run.
    pub training: TrainConfig,
    /// The share of the images held out to choose the epoch, in `0.0..=0.5`; fewer than could choose are not held out
    /// ([`HeldOut::of`]). 0.1 by default.
    pub validation_fraction: f64,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            image_size: 32,
            fit: Fit::default(),
            width: 24,
            architecture: Architecture::default(),
            training: TrainConfig::default(),
            validation_fraction: 0.1,
        }
    }
}

impl Recipe {
    /// The shape of the classifier of `classes` classes.
    pub fn classifier(&self, classes: usize) -> ClassifierConfig {
        ClassifierConfig {
            classes,
            image_size: self.image_size,
            width: self.width,
            architecture: self.architecture,
        }
    }

    /// A new classifier of `classes` classes, its weights drawn from the recipe's seed.
    ///
    /// # Errors
    /// As [`Classifier::new`].
    pub fn start(&self, classes: usize) -> Result<Classifier> {
        let mut model = Classifier::new(self.classifier(classes), self.training.seed)?;
        model.set_recipe(self.clone());
        Ok(model)
    }

    /// The same with another seed and so many epochs.
    #[must_use]
    pub fn with(&self, epochs: usize, seed: u64) -> Self {
        let training = TrainConfig {
            epochs,
            seed,
            ..self.training.clone()
        };
        Self {
            training,
            ..self.clone()
        }
    }

    /// What in the recipe is at odds with classes of these names, each with its remedy.
    pub fn doubts(&self, class_names: &[String]) -> Vec<String> {
        let mut doubts = Vec::new();
        if self.training.augmentation.flip
            && let Some((left, right)) = mirrored::mirrored_pair(class_names)
        {
            doubts.push(format!(
                "training mirrors images, which turns {left:?} into {right:?}; use --no-flip if these classes differ by a mirror"
            ));
        }
        doubts
    }

    /// The images to train on and those to choose the epoch by.
    pub fn hold_out(&self, images: &LabelledImages) -> HeldOut {
        HeldOut::of(images, self.validation_fraction, self.training.seed)
    }

    /// The same of images of which more is known than their labels.
    ///
    /// # Errors
    /// As [`HeldOut::supervised`].
    pub fn hold_out_supervised(
        &self,
        images: &LabelledImages,
        supervision: &Supervision,
    ) -> Result<HeldOut> {
        let (fraction, seed) = (self.validation_fraction, self.training.seed);
        HeldOut::supervised(images, supervision, fraction, seed)
    }

    /// Trains a classifier that [`Recipe::start`] made.
    ///
    /// # Errors
    /// As [`train_held_out`].
    pub fn train(
        &self,
        model: &mut Classifier,
        images: &HeldOut,
        cancel: Option<&AtomicBool>,
        progress: &mut dyn FnMut(&EpochStats),
    ) -> Result<TrainReport> {
        let report = train_held_out(model, images, &self.training, cancel, progress)?;
        model.set_recipe(self.clone());
        Ok(report)
    }
}
