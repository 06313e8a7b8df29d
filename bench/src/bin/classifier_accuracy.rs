//! Trains the demo's classifier on labelled images in one precision and prints its accuracy on others as JSON, once for
//! every seed.
//!
//! usage: classifier_accuracy TRAINING_IMAGES TEST_IMAGES (f32 | bf16) EPOCHS SEEDS

use std::path::Path;

use anyhow::{Context, Result};
use promptfed_data::{DecodeOptions, Fit, LabelledImages, OpenOptions, load, open};
use promptfed_learn::{Classifier, ClassifierConfig, TrainConfig, evaluate, train};
use promptfed_nn::Precision;
use serde_json::json;

/// The side of the images, as in the demo.
const SIZE: usize = 32;

fn images(path: &str) -> Result<LabelledImages> {
    let dataset = open(Path::new(path), &OpenOptions::default())?;
    Ok(load(&dataset, SIZE, Fit::Crop, &DecodeOptions::default())?.0)
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [training, test, precision, epochs, seeds] = words.as_slice() else {
        anyhow::bail!(
            "give training images, test images, f32 or bf16, epochs and the number of seeds"
        );
    };
    let precision: Precision = precision.parse().map_err(anyhow::Error::msg)?;
    precision.choose();
    let epochs = epochs.parse().context("epochs")?;
    let seeds = seeds.parse().context("the number of seeds")?;
    let (training, test) = (images(training)?, images(test)?);
    for seed in 0..seeds {
        let config = ClassifierConfig::new(training.class_names.len(), SIZE);
        let mut classifier = Classifier::new(config, seed)?;
        let recipe = TrainConfig {
            epochs,
            batch_size: 32,
            seed,
            ..TrainConfig::default()
        };
        train(&mut classifier, &training, None, &recipe, &mut |_| ())?;
        let accuracy = evaluate(&classifier, &test)?.accuracy;
        let precision = precision.to_string();
        println!(
            "{}",
            json!({ "precision": precision, "seed": seed, "images": training.len(), "accuracy": accuracy })
        );
    }
    Ok(())
}
