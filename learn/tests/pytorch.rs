//! The classifier and its training against PyTorch (`golden/make.py`).
#![allow(clippy::unwrap_used)]

use promptfed_data::LabelledImages;
use promptfed_learn::{
    Augmentation, Classifier, ClassifierConfig, Schedule, TrainConfig, WeightTensor, Weights, train,
};
use safetensors::SafeTensors;

const GOLDEN: &[u8] = include_bytes!("golden/classifier.safetensors");

fn tensor(name: &str) -> WeightTensor {
    let file = SafeTensors::deserialize(GOLDEN).unwrap();
    let view = file.tensor(name).unwrap();
    let values = view
        .data()
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()));
    WeightTensor {
        shape: view.shape().to_vec(),
        values: values.collect(),
    }
}

fn tensors(prefix: &str) -> Weights {
    let file = SafeTensors::deserialize(GOLDEN).unwrap();
    let names = file.names();
    let of_prefix = names.iter().filter_map(|name| name.strip_prefix(prefix));
    of_prefix
        .map(|name| (name.to_owned(), tensor(&format!("{prefix}{name}"))))
        .collect()
}

fn images() -> LabelledImages {
    let pixels = tensor("images");
    let labels = tensor("labels").values;
    LabelledImages {
        size: pixels.shape[1],
        pixels: pixels.values.iter().map(|v| *v as u8).collect(),
        domains: vec![0; labels.len()],
        labels: labels.iter().map(|v| *v as u32).collect(),
        class_names: (0..5).map(|i| i.to_string()).collect(),
        domain_names: Vec::new(),
    }
}

fn initial() -> Classifier {
    // The golden numbers are f32 whatever the processor prefers.
    promptfed_nn::Precision::F32.choose();
    let config = ClassifierConfig::new(5, 16).with_width(4);
    let mut classifier = Classifier::new(config, 0).unwrap();
    classifier.load_weights(&tensors("before.")).unwrap();
    classifier
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

/// One step of plain descent at rate 1 moves every weight by its gradient.
#[test]
fn gradients_agree() {
    let mut classifier = initial();
    let config = TrainConfig {
        epochs: 1,
        batch_size: 12,
        learning_rate: 1.0,
        schedule: Schedule::Constant,
        momentum: 0.0,
        weight_decay: 0.0,
        augmentation: Augmentation::NONE,
        ..TrainConfig::default()
    };
    let report = train(&mut classifier, &images(), None, &config, &mut |_| ()).unwrap();
    assert!((report.curve[0].train_loss - tensor("losses").values[0]).abs() < 1e-5);
    let before = tensors("before.");
    let after = classifier.weights();
    let gradients = tensors("gradient.");
    assert_eq!(gradients.len(), classifier.weights().len() - 18);
    for (name, gradient) in gradients {
        let pairs = before[&name].values.iter().zip(&after[&name].values);
        let found: Vec<f32> = pairs.map(|(before, after)| before - after).collect();
        let difference = largest_difference(&found, &gradient.values);
        assert!(difference < 2e-5, "{name}: {difference}");
    }
}

#[test]
fn five_steps_of_the_recipe_agree() {
    let mut classifier = initial();
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
    for (name, found) in classifier.weights() {
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
