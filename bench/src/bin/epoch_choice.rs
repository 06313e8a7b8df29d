//! How well a classifier names test images by which of its epochs is kept: the table of docs/training.md.
//!
//! usage: epoch_choice TRAINING_IMAGES TEST_IMAGES IMAGES_OF_A_CLASS SEEDS
//!
//! For each seed so many images of every class are drawn. A tenth of every class, at least one image, is held out as it was before
//! there was a rule; the run on the others is tested after each epoch, and the epochs are chosen in two ways. Beside it a run on all of them,
//! whose last epoch is kept.

use std::path::Path;

use anyhow::{Context, Result};
use promptfed_data::{
    DecodeOptions, Fit, LabelledImages, OpenOptions, load, open, stratified_split,
};
use promptfed_learn::{EpochStats, HeldOut, Recipe, train};
use serde_json::json;

fn images(path: &str, size: usize) -> Result<LabelledImages> {
    let dataset = open(Path::new(path), &OpenOptions::default())?;
    Ok(load(&dataset, size, Fit::default(), &DecodeOptions::default())?.0)
}

/// `per_class` images of each class, drawn with `seed`.
fn some_of(images: &LabelledImages, per_class: usize, seed: u64) -> LabelledImages {
    let mut taken = vec![0; images.class_names.len()];
    let hashed = |i| (hash(seed, i as u64), i);
    let mut order: Vec<(u64, usize)> = (0..images.len()).map(hashed).collect();
    order.sort_unstable();
    let chosen: Vec<usize> = order
        .into_iter()
        .map(|(_, i)| i)
        .filter(|&i| {
            let count: &mut usize = &mut taken[images.labels[i] as usize];
            *count += 1;
            *count <= per_class
        })
        .collect();
    images.subset(&chosen)
}

/// SplitMix64 (Steele et al. 2014).
fn hash(seed: u64, index: u64) -> u64 {
    let mut z = seed ^ index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The curve of a run on `training` whose epochs are validated on `validation`.
fn curve(
    recipe: &Recipe,
    training: &LabelledImages,
    validation: &LabelledImages,
) -> Result<Vec<EpochStats>> {
    let mut model = recipe.start(training.class_names.len())?;
    let report = train(
        &mut model,
        training,
        Some(validation),
        &recipe.training,
        &mut |_| (),
    )?;
    Ok(report.curve)
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [training, test, per_class, seeds] = words.as_slice() else {
        anyhow::bail!(
            "give training images, test images, images of a class and the number of seeds"
        );
    };
    let per_class = per_class.parse().context("images of a class")?;
    let seeds: u64 = seeds.parse().context("the number of seeds")?;
    let size = Recipe::default().image_size;
    let (training, test) = (images(training, size)?, images(test, size)?);
    for seed in 0..seeds {
        let recipe = Recipe::default().with(30, seed);
        let drawn = some_of(&training, per_class, seed);
        let (kept, held) = stratified_split(&drawn.labels, recipe.validation_fraction, seed);
        let (part, held) = (drawn.subset(&kept), drawn.subset(&held));
        let chosen_by = curve(&recipe, &part, &held)?;
        let tested: Vec<f64> = accuracies(&curve(&recipe, &part, &test)?);
        let first_best = best(&chosen_by, |e| e.validation_accuracy, false);
        let last_best = best(&chosen_by, |e| e.validation_balanced_accuracy, true);
        let rule = HeldOut::of(&drawn, recipe.validation_fraction, seed);
        let all = accuracies(&curve(&recipe, &drawn, &test)?);
        println!(
            "{}",
            json!({
                "seed": seed, "images": drawn.len(), "held_out": held.len(),
                "first best accuracy": tested[first_best], "epoch": first_best + 1,
                "latest best balanced accuracy": tested[last_best], "balanced epoch": last_best + 1,
                "last": tested.last(), "last of all images": all.last(), "rule": rule.selection.to_string(),
                "by the rule": if rule.selection.is_by_validation() { tested[last_best] } else { all[all.len() - 1] },
            })
        );
    }
    Ok(())
}

fn accuracies(curve: &[EpochStats]) -> Vec<f64> {
    let of = |epoch: &EpochStats| f64::from(epoch.validation_accuracy.unwrap_or(f32::NAN));
    curve.iter().map(of).collect()
}

/// The epoch of the greatest figure: the latest of equals, or the first.
fn best(curve: &[EpochStats], figure: fn(&EpochStats) -> Option<f32>, latest: bool) -> usize {
    let mut best = (f32::NEG_INFINITY, 0);
    for (epoch, stats) in curve.iter().enumerate() {
        let value = figure(stats).unwrap_or(f32::NEG_INFINITY);
        if value > best.0 || latest && value == best.0 {
            best = (value, epoch);
        }
    }
    best.1
}
