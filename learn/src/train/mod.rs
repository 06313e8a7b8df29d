//! The training loop.

mod config;
mod schedule;
mod sgd;

pub use config::{Schedule, TrainConfig};

use candle_core::Tensor;
use promptfed_data::LabelledImages;
use promptfed_nn::cross_entropy::CrossEntropy;
use promptfed_nn::on_pool_thread;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::classifier::{Batch, Layout, State};
use crate::evaluate::predictions;
use crate::images::{check_labelled, check_len};
use crate::{Choice, Classifier, Error, HeldOut, Result, Selection, Tally};
use schedule::learning_rate;
use sgd::Sgd;

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
    /// The mean of the classes' accuracies on the validation images, by which an epoch is chosen; if there are any.
    #[serde(default)]
    pub validation_balanced_accuracy: Option<f32>,
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
    /// The epoch whose weights the classifier now has, from 0.
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
    let set = TrainingSet {
        images: train,
        weights: None,
    };
    run(model, &set, validation, config, progress)
}

/// Like [`train()`], on images of which some may be held out.
///
/// # Errors
/// As [`train()`].
pub fn train_held_out(
    model: &mut Classifier,
    images: &HeldOut,
    config: &TrainConfig,
    progress: &mut dyn FnMut(&EpochStats),
) -> Result<TrainReport> {
    let validation = (!images.validation.is_empty()).then_some(&images.validation);
    let training = &images.training;
    let mut report = match &images.weights {
        Some(weights) => train_weighted(model, training, weights, validation, config, progress)?,
        None => train(model, training, validation, config, progress)?,
    };
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
    check_len(
        sample_weights.len(),
        train.len(),
        "sample weights",
        TRAINING,
    )?;
    let wrong = |w: &f32| !w.is_finite() || *w < 0.0;
    let all_zero = sample_weights.iter().all(|w| *w == 0.0);
    let index = sample_weights.iter().position(wrong);
    if let Some(index) = index.or((all_zero && !sample_weights.is_empty()).then_some(0)) {
        return Err(Error::SampleWeight {
            index,
            value: sample_weights[index],
        });
    }
    let mean =
        sample_weights.iter().map(|w| f64::from(*w)).sum::<f64>() / train.len().max(1) as f64;
    let ratios: Vec<f32> = sample_weights
        .iter()
        .map(|w| (f64::from(*w) / mean) as f32)
        .collect();
    let set = TrainingSet {
        images: train,
        weights: Some(&ratios),
    };
    run(model, &set, validation, config, progress)
}

const TRAINING: &str = "training";

struct TrainingSet<'a> {
    images: &'a LabelledImages,
    weights: Option<&'a [f32]>,
}

fn run(
    model: &mut Classifier,
    set: &TrainingSet<'_>,
    validation: Option<&LabelledImages>,
    config: &TrainConfig,
    progress: &mut dyn FnMut(&EpochStats),
) -> Result<TrainReport> {
    config.validate()?;
    check_labelled(set.images, model.config(), TRAINING)?;
    if let Some(validation) = validation {
        check_labelled(validation, model.config(), "validation")?;
    }
    let batch = config.batch_size.min(set.images.len());
    model.check_batch(batch)?;
    let steps_per_epoch = set.images.len() / batch;
    let state = model.state().copied()?;
    let mut run = Run {
        set,
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
    let mut choice = Choice::new(Selection::by(
        &labels(set.images),
        &held,
        &set.images.class_names,
    ));
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
    model.set_state(best.unwrap_or(run.state));
    if set.images.class_names.len() == classes {
        model.set_class_names(&set.images.class_names)?;
    }
    Ok(report)
}

fn tally(model: &Classifier, state: &State, images: &LabelledImages) -> Result<Tally> {
    let classes = model.config().classes;
    let probabilities = model.probabilities_with(state, images, "validation")?;
    let predicted = predictions(&probabilities, classes);
    Ok(Tally::of_predictions(&images.labels, &predicted, classes))
}

/// A training run under way.
struct Run<'a> {
    set: &'a TrainingSet<'a>,
    config: &'a TrainConfig,
    state: State,
    layout: &'a Layout,
    optimiser: Sgd,
    batch: usize,
    steps: usize,
}

impl Run<'_> {
    fn epoch(&mut self, epoch: usize) -> Result<EpochStats> {
        let order = order(self.set.images.len(), self.config.seed, epoch);
        let per_epoch = order.len() / self.batch;
        let mut loss = 0.0;
        let mut correct = 0;
        let mut rate = 0.0;
        for (step, indices) in order.chunks_exact(self.batch).enumerate() {
            rate = learning_rate(self.config, epoch * per_epoch + step, self.steps);
            let outcome = self.step(indices, epoch, rate)?;
            if !outcome.loss.is_finite() {
                return Err(Error::Diverged {
                    epoch,
                    loss: outcome.loss,
                    learning_rate: self.config.learning_rate,
                });
            }
            loss += f64::from(outcome.loss);
            correct += outcome.correct;
        }
        Ok(EpochStats {
            epoch,
            learning_rate: rate,
            train_loss: (loss / per_epoch as f64) as f32,
            train_accuracy: correct as f32 / (per_epoch * self.batch) as f32,
            validation_accuracy: None,
            validation_balanced_accuracy: None,
        })
    }

    fn step(&mut self, indices: &[usize], epoch: usize, rate: f32) -> Result<CrossEntropy> {
        let images = self.set.images;
        let size = images.size;
        let mut pixels = vec![0.0; indices.len() * size * size * 3];
        let places = pixels.par_chunks_exact_mut(size * size * 3);
        places.zip(indices).for_each(|(to, &index)| {
            let augmentation = &self.config.augmentation;
            let change = augmentation.draw(size, self.config.seed, epoch, index);
            change.apply(images.image(index), size, to);
        });
        let labels: Vec<u32> = indices.iter().map(|&i| images.labels[i]).collect();
        let weights = self.set.weights.map(|weights| {
            let of_batch = indices.iter().map(|&i| weights[i]);
            of_batch.collect::<Vec<f32>>()
        });
        let shape = (indices.len(), size, size, 3);
        let batch = Batch {
            images: Tensor::from_vec(pixels, shape, self.state.device())?,
            labels: &labels,
            weights: weights.as_deref(),
        };
        let smoothing = self.config.label_smoothing;
        let step = self.layout.step(&mut self.state, &batch, smoothing)?;
        let trained = &mut self.state.trained;
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
