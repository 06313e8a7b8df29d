//! The training loop.

mod config;
mod schedule;
mod sgd;

pub use config::{Schedule, TrainConfig};

use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::Tensor;
use promptfed_data::LabelledImages;
use promptfed_nn::on_pool_thread;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::classifier::{Batch, Layout, State};
use crate::evaluate::predictions;
use crate::images::{check_labelled, check_len};
use crate::objective::{Classes, Distillation, HeadGradients, Objective};
use crate::{Choice, Classifier, Error, HeldOut, Result, Selection, Tally};
use schedule::learning_rate;
use sgd::Sgd;

/// What happened in one epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EpochStats {
    /// The epoch, or the round of a federated method, from 1.
    pub epoch: usize,
    /// The learning rate of the epoch's last step.
    pub learning_rate: f32,
    /// The mean loss (of cross-entropy in nats) over the epoch's images, as augmented, while the weights were moving; no number where nobody told it.
    #[serde(deserialize_with = "number_or_none")]
    pub train_loss: f32,
    /// The share of those images, 0 to 1, that were classified rightly; no number where nobody told it.
    #[serde(deserialize_with = "number_or_none")]
    pub train_accuracy: f32,
    /// Accuracy, 0 to 1, on the validation images after the epoch, if there are any.
    pub validation_accuracy: Option<f32>,
    /// The mean of the classes' accuracies, 0 to 1, on the validation images, by which an epoch is chosen; if there are any.
    #[serde(default)]
    pub validation_balanced_accuracy: Option<f32>,
}

/// JSON has `null` for what is no number.
fn number_or_none<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f32, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f32::NAN))
}

impl EpochStats {
    /// Notes what the model of this epoch makes of the validation images.
    pub fn validated(&mut self, tally: &Tally) {
        self.validation_accuracy = Some(tally.accuracy() as f32);
        self.validation_balanced_accuracy = Some(tally.balanced_accuracy() as f32);
    }
}

/// What happened in a training run.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainReport {
    /// Every epoch in order.
    pub curve: Vec<EpochStats>,
    /// Where in `curve` the epoch is whose weights the classifier now has.
    pub selected_epoch: usize,
    /// Why that one.
    pub selection: Selection,
}

/// Trains `model` in place.
///
/// Every epoch passes over the images in a new order in whole batches; the rest that does not fill
/// a batch is left out of that epoch, unless the set is smaller than a batch. The weights kept are
/// those that [`Selection::by`] says: of the epoch with the best balanced accuracy on the validation images where there are
/// enough of them, otherwise of the last. The same model, images and configuration give
/// the same weights, on the CPU bit for bit whatever the number of threads.
///
/// # Errors
/// If the configuration is out of range, if the images do not fit the model, if a batch leaves one value per channel to normalise
/// ([`Error::OneValue`]), or if the loss is no longer finite. After an error the model has the weights it was given.
pub fn train(
    model: &mut Classifier,
    train: &LabelledImages,
    validation: Option<&LabelledImages>,
    config: &TrainConfig,
    progress: &mut dyn FnMut(&EpochStats),
) -> Result<TrainReport> {
    let training = Training {
        validation,
        ..Training::on(train)
    };
    training.run(model, config, progress)
}

/// Like [`train()`], on images of which some may be held out, with their weights as [`train_weighted`] has them; where they have soft
/// labels, the network learns those in place of the labels ([`Distillation::of_probabilities`]). Setting `cancel` ends it within a batch.
///
/// # Errors
/// As [`train_weighted`] and [`Supervision::check`](crate::Supervision::check), and [`Error::Cancelled`].
pub fn train_held_out(
    model: &mut Classifier,
    images: &HeldOut,
    config: &TrainConfig,
    cancel: Option<&AtomicBool>,
    progress: &mut dyn FnMut(&EpochStats),
) -> Result<TrainReport> {
    let validation = (!images.validation.is_empty()).then_some(&images.validation);
    let classes = model.config().classes;
    images.supervision.check(images.training.len(), classes)?;
    let targets = images.supervision.targets.as_deref();
    let mut soft = targets
        .map(|targets| Distillation::of_probabilities(targets, classes, config.label_smoothing));
    let training = Training {
        weights: images.supervision.weights.as_deref(),
        validation,
        objective: soft.as_mut().map(|soft| soft as &mut dyn Objective),
        cancel,
        ..Training::on(&images.training)
    };
    let mut report = training.run(model, config, progress)?;
    if validation.is_none() {
        // Only who held nothing out knows why.
        report.selection = images.selection.clone();
    }
    Ok(report)
}

/// Like [`train()`], with a weight for every training image: a batch's loss is the mean of weight times loss over its images
/// (FuseGen, Zou et al. 2024, section 3.4). Weights are divided by their mean first, so that only their ratios count: weights that
/// are all the same give what [`train()`] gives, bit for bit.
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
    let training = Training {
        weights: Some(sample_weights),
        validation,
        ..Training::on(train)
    };
    training.run(model, config, progress)
}

const TRAINING: &str = "training";

/// A training run with everything that may be said of it.
pub struct Training<'a> {
    /// What is learned from.
    pub images: &'a LabelledImages,
    /// A weight for each image, as [`train_weighted`] has them.
    pub weights: Option<&'a [f32]>,
    /// What chooses the epoch.
    pub validation: Option<&'a LabelledImages>,
    /// What a step minimises; cross-entropy with the configuration's label smoothing where nothing is given.
    pub objective: Option<&'a mut dyn Objective>,
    /// Ends the run within a batch when it is set.
    pub cancel: Option<&'a AtomicBool>,
}

impl<'a> Training<'a> {
    /// On these images, and nothing else said.
    pub fn on(images: &'a LabelledImages) -> Self {
        Self {
            images,
            weights: None,
            validation: None,
            objective: None,
            cancel: None,
        }
    }

    /// Trains `model` in place, as [`train()`] does.
    ///
    /// # Errors
    /// As [`train_weighted`], [`Error::Cancelled`], and what the objective says. After an error the model has the weights it was given.
    pub fn run(
        self,
        model: &mut Classifier,
        config: &TrainConfig,
        progress: &mut dyn FnMut(&EpochStats),
    ) -> Result<TrainReport> {
        config.validate()?;
        let ratios = self.weights.map(|weights| ratios(weights, self.images));
        let ratios = ratios.transpose()?;
        let mut classes = Classes {
            label_smoothing: config.label_smoothing,
        };
        let objective: &mut dyn Objective = match self.objective {
            Some(objective) => objective,
            None => &mut classes,
        };
        let (set, validation) = (self.images, self.validation);
        check_labelled(set, model.config(), TRAINING)?;
        if let Some(validation) = validation {
            check_labelled(validation, model.config(), "validation")?;
        }
        let batch = config.batch_size.min(set.len());
        model.check_batch(batch)?;
        let steps_per_epoch = set.len() / batch;
        let state = model.state().copied()?;
        let mut run = Run {
            images: set,
            weights: ratios.as_deref(),
            objective,
            cancel: self.cancel,
            config,
            optimiser: Sgd::new(&state.trained, config.momentum, config.weight_decay)?,
            state,
            layout: model.layout(),
            batch,
            steps: steps_per_epoch * config.epochs,
        };
        let classes = model.config().classes;
        let labels = |images: &LabelledImages| Tally::of_labels(&images.labels, classes);
        let held = validation.map_or_else(Tally::default, labels);
        let mut choice = Choice::new(Selection::by(&labels(set), &held, &set.class_names));
        let mut report = TrainReport {
            curve: Vec::with_capacity(config.epochs),
            selected_epoch: 0,
            selection: choice.selection().clone(),
        };
        let mut best: Option<State> = None;
        for epoch in 0..config.epochs {
            let mut stats = on_pool_thread(|| run.epoch(epoch))?;
            let tally = validation.map(|images| tally(model, &run.state, images));
            let tally = tally.transpose()?;
            if let Some(tally) = &tally {
                stats.validated(tally);
            }
            if choice.takes(tally.as_ref()) {
                report.selected_epoch = epoch;
                if choice.selection().is_by_validation() {
                    best = Some(run.state.copied()?);
                }
            }
            progress(&stats);
            report.curve.push(stats);
        }
        let last = run.state;
        model.set_state(best.unwrap_or(last));
        if set.class_names.len() == classes {
            model.set_class_names(&set.class_names)?;
        }
        Ok(report)
    }
}

/// Weights by their mean.
fn ratios(weights: &[f32], images: &LabelledImages) -> Result<Vec<f32>> {
    check_len(weights.len(), images.len(), "sample weights", TRAINING)?;
    let wrong = |w: &f32| !w.is_finite() || *w < 0.0;
    let all_zero = weights.iter().all(|w| *w == 0.0);
    let index = weights.iter().position(wrong);
    if let Some(index) = index.or((all_zero && !weights.is_empty()).then_some(0)) {
        return Err(Error::SampleWeight {
            index,
            value: weights[index],
        });
    }
    let mean = weights.iter().map(|w| f64::from(*w)).sum::<f64>() / images.len().max(1) as f64;
    let ratio = |w: &f32| (f64::from(*w) / mean) as f32;
    Ok(weights.iter().map(ratio).collect())
}

fn tally(model: &Classifier, state: &State, images: &LabelledImages) -> Result<Tally> {
    let classes = model.config().classes;
    let probabilities = model.probabilities_with(state, images, "validation")?;
    let predicted = predictions(&probabilities, classes);
    Ok(Tally::of_predictions(&images.labels, &predicted, classes))
}

/// A training run under way.
struct Run<'a> {
    images: &'a LabelledImages,
    weights: Option<&'a [f32]>,
    objective: &'a mut dyn Objective,
    cancel: Option<&'a AtomicBool>,
    config: &'a TrainConfig,
    state: State,
    layout: &'a Layout,
    optimiser: Sgd,
    batch: usize,
    steps: usize,
}

impl Run<'_> {
    fn epoch(&mut self, epoch: usize) -> Result<EpochStats> {
        let order = order(self.images.len(), self.config.seed, epoch);
        let per_epoch = order.len() / self.batch;
        let mut loss = 0.0;
        let mut correct = 0;
        let mut rate = 0.0;
        for (step, indices) in order.chunks_exact(self.batch).enumerate() {
            rate = learning_rate(self.config, epoch * per_epoch + step, self.steps);
            let outcome = self.step(indices, epoch, rate)?;
            if !outcome.loss.is_finite() {
                return Err(Error::Diverged {
                    epoch: epoch + 1,
                    loss: outcome.loss,
                    learning_rate: self.config.learning_rate,
                });
            }
            loss += f64::from(outcome.loss);
            correct += outcome.correct;
        }
        Ok(EpochStats {
            epoch: epoch + 1,
            learning_rate: rate,
            train_loss: (loss / per_epoch as f64) as f32,
            train_accuracy: correct as f32 / (per_epoch * self.batch) as f32,
            validation_accuracy: None,
            validation_balanced_accuracy: None,
        })
    }

    fn step(&mut self, indices: &[usize], epoch: usize, rate: f32) -> Result<HeadGradients> {
        if self.cancel.is_some_and(|c| c.load(Ordering::Relaxed)) {
            return Err(Error::Cancelled);
        }
        let images = self.images;
        let size = images.size;
        let mut pixels = vec![0.0; indices.len() * size * size * 3];
        let places = pixels.par_chunks_exact_mut(size * size * 3);
        places.zip(indices).for_each(|(to, &index)| {
            let augmentation = &self.config.augmentation;
            let change = augmentation.draw(size, self.config.seed, epoch, index);
            change.apply(images.image(index), size, to);
        });
        let labels: Vec<u32> = indices.iter().map(|&i| images.labels[i]).collect();
        let weights = self.weights.map(|weights| {
            let of_batch = indices.iter().map(|&i| weights[i]);
            of_batch.collect::<Vec<f32>>()
        });
        let shape = (indices.len(), size, size, 3);
        let batch = Batch {
            indices,
            images: Tensor::from_vec(pixels, shape, self.state.device())?,
            labels: &labels,
            weights: weights.as_deref(),
        };
        let mut step = self
            .layout
            .step(&mut self.state, &batch, &mut *self.objective)?;
        let trained = &mut self.state.trained;
        self.objective.weights(trained, &mut step.gradients)?;
        self.optimiser.step(trained, &step.gradients, rate)?;
        Ok(step.loss)
    }
}

/// The order of the images in an epoch.
fn order(images: usize, seed: u64, epoch: usize) -> Vec<usize> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&(epoch as u64).to_le_bytes());
    bytes[24..].copy_from_slice(b"an order");
    let mut order: Vec<usize> = (0..images).collect();
    order.shuffle(&mut ChaCha8Rng::from_seed(bytes));
    order
}
