//! The classifier that PyTorch trained, and the numbers it gave (`golden/make.py`).

use promptfed_data::LabelledImages;
use promptfed_learn::{
    Augmentation, Classifier, ClassifierConfig, Schedule, TrainConfig, WeightTensor, Weights,
};
use promptfed_nn::Precision;
use safetensors::SafeTensors;

const GOLDEN: &[u8] = include_bytes!("../golden/classifier.safetensors");

pub(crate) fn tensor(name: &str) -> WeightTensor {
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

pub(crate) fn tensors(prefix: &str) -> Weights {
    let file = SafeTensors::deserialize(GOLDEN).unwrap();
    let names = file.names();
    let of_prefix = names.iter().filter_map(|name| name.strip_prefix(prefix));
    of_prefix
        .map(|name| (name.to_owned(), tensor(&format!("{prefix}{name}"))))
        .collect()
}

pub(crate) fn images() -> LabelledImages {
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

/// As PyTorch's before its first step. The precision is the whole process's: a test binary has one.
pub(crate) fn initial(precision: Precision) -> Classifier {
    precision.choose();
    assert_eq!(Precision::chosen(), precision);
    let config = ClassifierConfig::new(5, 16).with_width(4);
    let mut classifier = Classifier::new(config, 0).unwrap();
    classifier.load_weights(&tensors("before.")).unwrap();
    classifier
}

/// One step of plain descent on all images, which moves every weight by `rate` times its gradient.
pub(crate) fn plain_step(rate: f32) -> TrainConfig {
    TrainConfig {
        epochs: 1,
        batch_size: 12,
        learning_rate: rate,
        schedule: Schedule::Constant,
        momentum: 0.0,
        weight_decay: 0.0,
        augmentation: Augmentation::NONE,
        ..TrainConfig::default()
    }
}
