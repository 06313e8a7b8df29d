//! The classifier and its training against PyTorch (`golden/make.py`).
#![allow(clippy::unwrap_used)]

mod numbers;

use numbers::{images, initial, plain_step, tensor, tensors};
use promptfed_learn::{Augmentation, TrainConfig, train};
use promptfed_nn::Precision;

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

#[test]
fn gradients_agree() {
    let mut classifier = initial(Precision::F32);
    let config = plain_step(1.0);
    let report = train(&mut classifier, &images(), None, &config, &mut |_| ()).unwrap();
    assert!((report.curve[0].train_loss - tensor("losses").values[0]).abs() < 1e-5);
    let before = tensors("before.");
    let after = classifier.weights().unwrap();
    let gradients = tensors("gradient.");
    assert_eq!(gradients.len(), classifier.weights().unwrap().len() - 18);
    for (name, gradient) in gradients {
        let pairs = before[&name].values.iter().zip(&after[&name].values);
        let found: Vec<f32> = pairs.map(|(before, after)| before - after).collect();
        let difference = largest_difference(&found, &gradient.values);
        assert!(difference < 2e-5, "{name}: {difference}");
    }
}

#[test]
fn five_steps_of_the_recipe_agree() {
    let mut classifier = initial(Precision::F32);
    let config = TrainConfig {
        epochs: 5,
        batch_size: 12,
        augmentation: Augmentation::NONE,
        ..TrainConfig::default()
    };
    let report = train(&mut classifier, &images(), None, &config, &mut |_| ()).unwrap();
    let losses: Vec<f32> = report.curve.iter().map(|epoch| epoch.train_loss).collect();
    let difference = largest_difference(&losses, &tensor("losses").values);
    assert!(difference < 2e-4, "losses {losses:?}: {difference}");
    let expected = tensors("after.");
    for (name, found) in classifier.weights().unwrap() {
        let difference = largest_difference(&found.values, &expected[&name].values);
        let scale = expected[&name]
            .values
            .iter()
            .fold(1f32, |m, v| m.max(v.abs()));
        assert!(difference < 1e-3 * scale, "{name}: {difference}");
    }
    let probabilities = classifier.probabilities(&images()).unwrap();
    let difference = largest_difference(&probabilities, &tensor("probabilities").values);
    assert!(difference < 2e-3, "probabilities: {difference}");
}
