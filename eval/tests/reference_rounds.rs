//! A round of FedProx and two of SCAFFOLD beside those of fluke, a framework that others wrote (`golden/rounds.py`).
#![allow(clippy::unwrap_used)]

use promptfed_data::LabelledImages;
use promptfed_eval::methods::{
    Averaged, FedProx, LocalTask, Participation, RoundMethod, RoundPlan, Scaffold,
};
use promptfed_eval::wire::payload::{ControlVariates, Model};
use promptfed_learn::{
    Augmentation, Classifier, ClassifierConfig, Schedule, TrainConfig, WeightTensor, Weights,
};
use promptfed_synth::engines::sd::Precision;
use safetensors::SafeTensors;
use std::ops::Range;
use std::sync::atomic::AtomicBool;

const GOLDEN: &[u8] = include_bytes!("golden/rounds.safetensors");
const CLASSES: usize = 5;
const SIZE: usize = 16;
/// Images of each client.
const FEDPROX: [usize; 3] = [18, 12, 6];
const SCAFFOLD: [usize; 3] = [12, 12, 12];
/// What the change of a round may be off by, of its own length. A proximal term or a correction that is left out moves it by 0.16 or more.
const TOLERANCE: f64 = 0.01;

fn golden() -> SafeTensors<'static> {
    SafeTensors::deserialize(GOLDEN).unwrap()
}

/// The tensors below a prefix.
fn tensors(prefix: &str) -> Weights {
    let file = golden();
    let below = |name: &str| Some(name.strip_prefix(prefix)?.strip_prefix('.')?.to_owned());
    let tensors = file.iter().filter_map(|(name, view)| {
        let (values, _) = view.data().as_chunks::<4>();
        let tensor = WeightTensor {
            shape: view.shape().to_vec(),
            values: values.iter().map(|v| f32::from_le_bytes(*v)).collect(),
        };
        Some((below(name)?, tensor))
    });
    let found: Weights = tensors.collect();
    assert!(!found.is_empty(), "{prefix}");
    found
}

/// A network with the weights below a prefix, in f32 whatever this processor is quick at.
fn network(prefix: &str) -> Classifier {
    Precision::F32.choose();
    let config = ClassifierConfig::new(CLASSES, SIZE).with_width(2);
    let mut network = Classifier::new(config, 0).unwrap();
    network.load_weights(&tensors(prefix)).unwrap();
    network
}

/// Clients have their images one after the other.
fn clients(sizes: [usize; 3]) -> Vec<LabelledImages> {
    let file = golden();
    let (pixels, labels) = (
        file.tensor("pixels").unwrap(),
        file.tensor("labels").unwrap(),
    );
    let of = |range: Range<usize>| {
        let image = SIZE * SIZE * 3;
        let labels = &labels.data()[range.clone()];
        LabelledImages {
            size: SIZE,
            pixels: pixels.data()[range.start * image..range.end * image].to_vec(),
            labels: labels.iter().map(|label| u32::from(*label)).collect(),
            domains: vec![0; range.len()],
            class_names: (0..CLASSES).map(|class| class.to_string()).collect(),
            domain_names: Vec::new(),
        }
    };
    let mut end = 0;
    let ranges = sizes.map(|size| {
        end += size;
        end - size..end
    });
    ranges.map(of).into()
}

/// Three steps along all of a client's images by plain descent.
fn task<'a>(images: &'a LabelledImages, never: &'a AtomicBool) -> LocalTask<'a> {
    LocalTask {
        images,
        config: TrainConfig {
            epochs: 3,
            batch_size: images.len(),
            learning_rate: 0.02,
            schedule: Schedule::Constant,
            momentum: 0.0,
            weight_decay: 5e-4,
            label_smoothing: 0.1,
            augmentation: Augmentation::NONE,
            ..TrainConfig::default()
        },
        cancel: never,
    }
}

const PLAN: RoundPlan = RoundPlan {
    rounds: 2,
    local_epochs: 3,
    learning_rate: None,
    participation: Participation::FULL,
};

/// What `found` is off by from `expected`, by the length of the way from `start`; over the trained tensors: running
/// statistics move further and would hide what they do.
fn off(found: &Weights, expected: &Weights, start: &Weights) -> f64 {
    let squares = |a: &Weights, b: &Weights| -> f64 {
        let trained = start.keys().filter(|name| !name.contains("running"));
        let tensors = trained.map(|name| {
            let pairs = a[name].values.iter().zip(&b[name].values);
            pairs
                .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
                .sum::<f64>()
        });
        tensors.sum()
    };
    (squares(found, expected) / squares(expected, start)).sqrt()
}

fn zeros(like: &Weights) -> Weights {
    let mut zeros = like.clone();
    for tensor in zeros.values_mut() {
        tensor.values.fill(0.0);
    }
    zeros
}

#[test]
fn a_round_of_fedprox_is_that_of_fluke() {
    let (never, start) = (AtomicBool::new(false), network("initial"));
    let method = Averaged(FedProx {
        plan: PLAN,
        mu: 5.0,
    });
    let mut server = method.server(&start).unwrap();
    let down = method.broadcast(&server).unwrap();
    let clients = clients(FEDPROX);
    let ups = clients.iter().map(|images| {
        let (up, _) = method.local(&task(images, &never), &mut (), &down).unwrap();
        (up, images.len())
    });
    let ups = ups.collect();
    method.aggregate(&mut server, 0, ups, 36).unwrap();
    let found = server.weights().unwrap();
    let off = off(&found, &tensors("fedprox"), &tensors("initial"));
    assert!(off < TOLERANCE, "{off}");
}

/// The first has no control variates yet; the second begins with fluke's, so that what the first is off by does not grow.
#[test]
fn two_rounds_of_scaffold_are_those_of_fluke() {
    let (never, method) = (AtomicBool::new(false), Scaffold { plan: PLAN });
    let nothing = zeros(&tensors("scaffold.1.server"));
    for (round, before) in ["initial", "scaffold.1.model"].into_iter().enumerate() {
        let control = |whose: &str| match round {
            0 => nothing.clone(),
            _ => tensors(&format!("scaffold.{round}.{whose}")),
        };
        let start = network(before);
        let mut server = method.server(&start).unwrap();
        let told = (Model(start.clone()), ControlVariates(control("server")));
        method
            .aggregate(&mut server, 0, vec![(told, 36)], 36)
            .unwrap();
        let down = method.broadcast(&server).unwrap();
        let mut ups = Vec::new();
        for (index, images) in clients(SCAFFOLD).iter().enumerate() {
            let mut own = control(&index.to_string());
            let (up, _) = method
                .local(&task(images, &never), &mut own, &down)
                .unwrap();
            let expected = tensors(&format!("scaffold.{}.{index}", round + 1));
            let off = off(&own, &expected, &nothing);
            assert!(off < TOLERANCE, "round {round}, client {index}: {off}");
            ups.push((up, images.len()));
        }
        method.aggregate(&mut server, round, ups, 36).unwrap();
        let (Model(model), ControlVariates(control)) = method.broadcast(&server).unwrap();
        let after = |what: &str| tensors(&format!("scaffold.{}.{what}", round + 1));
        let of_model = off(&model.weights().unwrap(), &after("model"), &tensors(before));
        assert!(of_model < TOLERANCE, "round {round}: {of_model}");
        let of_control = off(&control, &after("server"), &nothing);
        assert!(of_control < TOLERANCE, "round {round}: {of_control}");
    }
}
