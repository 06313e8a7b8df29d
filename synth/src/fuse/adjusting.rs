//! Weights of the chosen images, adjusted by training on them again and again.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use promptfed_files::OwnFolder;
use promptfed_learn::{Classifier, train_weighted};
use promptfed_nn::cross_entropy::arg_max;
use serde::{Deserialize, Serialize};

use super::spec::seed_of;
use super::task_model::{Trainer, check};
use super::weights::{INITIAL, WeightAdjustment};
use crate::{Error, Result};

/// Scratch file of the weights so far.
pub(super) const STATE: &str = "weights.json";

#[derive(Serialize, Deserialize)]
struct State {
    iterations: u32,
    weights: Vec<f64>,
}

/// The weight of each of `rows`, which ascend, divided by their mean. Each iteration trains a fresh network with the weights so far on
/// all of them, which are held in memory, and asks it about them; the state is kept after each.
pub(super) fn adjust(
    trainer: &Trainer<'_>,
    rows: &[usize],
    adjustment: WeightAdjustment,
    (folder, state_file): (&OwnFolder, &Path),
    cancel: &AtomicBool,
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<f32>> {
    let recipe = &trainer.spec.recipe;
    let images = trainer.candidates.load(rows, recipe.image_size)?;
    let mut state = read(state_file).filter(|state| state.weights.len() == rows.len());
    let mut state = state.take().unwrap_or_else(|| State {
        iterations: 0,
        weights: vec![INITIAL; rows.len()],
    });
    while state.iterations < adjustment.iterations {
        check(cancel)?;
        progress(state.iterations as usize);
        let seed = seed_of(trainer.seed, &format!("weights {}", state.iterations));
        let recipe = recipe.with(recipe.training.epochs, seed);
        let mut model: Classifier = recipe.start(images.class_names.len())?;
        let weights: Vec<f32> = state.weights.iter().map(|w| *w as f32).collect();
        train_weighted(
            &mut model,
            &images,
            &weights,
            None,
            &recipe.training,
            &mut |_| (),
        )?;
        let probabilities = model.probabilities(&images)?;
        let of_images = probabilities.chunks_exact(images.class_names.len());
        let (own, correct): (Vec<f32>, Vec<bool>) = of_images
            .zip(&images.labels)
            .map(|(p, label)| (p[*label as usize], arg_max(p) == *label as usize))
            .unzip();
        adjustment.adjust(&mut state.weights, &own, &correct);
        state.iterations += 1;
        let text = serde_json::to_vec(&state).map_err(|error| Error::Output {
            file: state_file.to_owned(),
            reason: error.to_string(),
        })?;
        folder.write(state_file, &text)?;
    }
    let mean = state.weights.iter().sum::<f64>() / rows.len().max(1) as f64;
    Ok(state.weights.iter().map(|w| (w / mean) as f32).collect())
}

/// The state of a run that was stopped.
fn read(file: &Path) -> Option<State> {
    const MAX_BYTES: u64 = 1 << 32;
    serde_json::from_slice(&promptfed_files::read(file, MAX_BYTES).ok()?).ok()
}
