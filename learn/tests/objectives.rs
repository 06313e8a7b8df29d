//! What objectives do to a training step, against closed forms and against training without them.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::atomic::AtomicBool;

use common::squares;
use promptfed_learn::objective::{
    Classes, Contrastive, Controlled, Distillation, Prototypes, Proximal,
};
use promptfed_learn::{
    Augmentation, Classifier, ClassifierConfig, Error, Objective, Schedule, TrainConfig, Training,
    Weights, evaluate, train,
};

fn classifier(seed: u64) -> Classifier {
    Classifier::new(ClassifierConfig::new(4, 16).with_width(6), seed).unwrap()
}

/// One step of plain SGD on the whole set.
fn one_step() -> TrainConfig {
    TrainConfig {
        epochs: 1,
        batch_size: 24,
        learning_rate: 0.1,
        schedule: Schedule::Constant,
        momentum: 0.0,
        weight_decay: 0.0,
        augmentation: Augmentation::NONE,
        ..TrainConfig::default()
    }
}

const CLASSES: Classes = Classes {
    label_smoothing: 0.1,
};

fn trained(objective: &mut dyn Objective, config: &TrainConfig) -> Classifier {
    let images = squares(24, 16, 4);
    let mut model = classifier(3);
    let training = Training {
        objective: Some(objective),
        ..Training::on(&images)
    };
    training.run(&mut model, config, &mut |_| ()).unwrap();
    model
}

fn plain(config: &TrainConfig) -> Classifier {
    let mut objective = CLASSES;
    trained(&mut objective, config)
}

fn each(a: &Weights, b: &Weights, mut check: impl FnMut(&str, f32, f32)) {
    assert_eq!(a.len(), b.len());
    for (name, tensor) in a {
        let pairs = tensor.values.iter().zip(&b[name].values);
        pairs.for_each(|(a, b)| check(name, *a, *b));
    }
}

fn shifted(model: &Classifier, by: f32) -> Weights {
    let mut weights = model.weights().unwrap();
    for (name, tensor) in &mut weights {
        if model.is_trained(name) {
            tensor.values.iter_mut().for_each(|v| *v += by);
        }
    }
    weights
}

#[test]
fn cross_entropy_as_an_objective_is_what_training_minimises_by_itself() {
    let config = TrainConfig {
        epochs: 3,
        batch_size: 8,
        ..TrainConfig::default()
    };
    let images = squares(24, 16, 4);
    let mut model = classifier(3);
    train(&mut model, &images, None, &config, &mut |_| ()).unwrap();
    let other = plain(&config);
    each(
        &model.weights().unwrap(),
        &other.weights().unwrap(),
        |name, a, b| {
            assert_eq!(a.to_bits(), b.to_bits(), "{name}");
        },
    );
}

/// A step differs from a plain one by `-rate * mu * (w - anchor)`.
#[test]
fn a_proximal_step_is_drawn_to_its_anchor() {
    let (start, config) = (classifier(3), one_step());
    let anchor = start.parameters_of(&shifted(&start, -0.5)).unwrap();
    let mut objective = Proximal {
        inner: CLASSES,
        mu: 0.2,
        anchor,
    };
    let near = trained(&mut objective, &config);
    let free = plain(&config);
    each(
        &near.weights().unwrap(),
        &free.weights().unwrap(),
        |name, near, free| {
            let expected = if start.is_trained(name) {
                -0.1 * 0.2 * 0.5
            } else {
                0.0
            };
            assert!(
                (near - free - expected).abs() < 1e-6,
                "{name}: {near} {free}"
            );
        },
    );
}

/// A step differs from a plain one by `-rate * correction`, and a correction that undoes the gradient stands still.
#[test]
fn a_controlled_step_is_corrected() {
    let (start, config) = (classifier(3), one_step());
    let free = plain(&config);
    let mut against = start.weights().unwrap();
    let after = free.weights().unwrap();
    for (name, tensor) in &mut against {
        // w' = w - rate * g, so -g = (w' - w) / rate
        let moved = after[name].values.iter();
        tensor
            .values
            .iter_mut()
            .zip(moved)
            .for_each(|(w, m)| *w = (m - *w) / 0.1);
    }
    let mut objective = Controlled {
        inner: CLASSES,
        correction: start.parameters_of(&against).unwrap(),
    };
    let still = trained(&mut objective, &config);
    each(
        &still.weights().unwrap(),
        &start.weights().unwrap(),
        |name, a, b| {
            if start.is_trained(name) {
                assert!((a - b).abs() < 1e-5, "{name}: {a} {b}");
            }
        },
    );
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    let squares = a.iter().zip(b).map(|(a, b)| f64::from((a - b) * (a - b)));
    squares.sum::<f64>().sqrt()
}

#[test]
fn features_come_nearer_to_their_prototypes() {
    let images = squares(24, 16, 4);
    let config = TrainConfig {
        epochs: 80,
        learning_rate: 0.05,
        ..one_step()
    };
    let channels = classifier(3).channels();
    let goal = |class: usize| Some((0..channels).map(|i| ((i + class) % 3) as f32).collect());
    let prototypes: Vec<Option<Vec<f32>>> = (0..4).map(goal).collect();
    let apart = |model: &Classifier| -> f64 {
        let features = model.features(&images).unwrap();
        let rows = features.chunks(channels).zip(&images.labels);
        let each =
            rows.map(|(row, label)| distance(row, prototypes[*label as usize].as_ref().unwrap()));
        each.sum()
    };
    let mut objective = Prototypes {
        inner: CLASSES,
        lambda: 20.0,
        prototypes: prototypes.clone(),
    };
    let (near, free) = (trained(&mut objective, &config), plain(&config));
    assert!(
        apart(&near) < 0.8 * apart(&free),
        "{} {}",
        apart(&near),
        apart(&free)
    );
}

#[test]
fn features_stay_nearer_to_the_global_model_than_without_the_contrast() {
    let images = squares(24, 16, 4);
    let config = TrainConfig {
        epochs: 12,
        learning_rate: 0.05,
        ..one_step()
    };
    let (global, last) = (classifier(3), classifier(8));
    let towards = |model: &Classifier, other: &Classifier| -> f64 {
        let (a, b) = (
            model.features(&images).unwrap(),
            other.features(&images).unwrap(),
        );
        let rows = a.chunks(model.channels()).zip(b.chunks(model.channels()));
        let cosine = |(a, b): (&[f32], &[f32])| {
            let dot: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
            f64::from(dot) / (distance(a, &vec![0.0; a.len()]) * distance(b, &vec![0.0; b.len()]))
        };
        rows.map(cosine).sum::<f64>() / images.len() as f64
    };
    let prefers = |model: &Classifier| towards(model, &global) - towards(model, &last);
    let mut objective = Contrastive {
        inner: CLASSES,
        mu: 5.0,
        temperature: 0.5,
        global: global.clone(),
        last: last.clone(),
    };
    let (contrasted, free) = (trained(&mut objective, &config), plain(&config));
    assert!(
        prefers(&contrasted) > prefers(&free) + 0.02,
        "{} {}",
        prefers(&contrasted),
        prefers(&free)
    );
    // Between two models that are the same there is nothing to choose.
    let mut idle = Contrastive {
        last: global.clone(),
        ..objective
    };
    each(
        &trained(&mut idle, &config).weights().unwrap(),
        &free.weights().unwrap(),
        |name, a, b| {
            assert!((a - b).abs() < 1e-5, "{name}");
        },
    );
}

#[test]
fn a_pupil_comes_to_say_what_its_teacher_says_without_labels() {
    let images = squares(24, 16, 4);
    let mut logits = vec![-4.0; 24 * 4];
    for (row, label) in logits.chunks_mut(4).zip(&images.labels) {
        // The teacher calls every class by the next one's name.
        row[(*label as usize + 1) % 4] = 4.0;
    }
    let mut objective = Distillation {
        logits,
        temperature: 2.0,
    };
    let config = TrainConfig {
        epochs: 60,
        batch_size: 8,
        augmentation: Augmentation::NONE,
        ..TrainConfig::default()
    };
    let pupil = trained(&mut objective, &config);
    let found = evaluate(&pupil, &images).unwrap();
    let next: u64 = (0..4)
        .map(|class| found.confusion[class][(class + 1) % 4])
        .sum();
    assert!(next >= 22, "{found:?}");
}

#[test]
fn a_cancelled_run_ends_and_leaves_the_model_as_it_was() {
    let images = squares(24, 16, 4);
    let (mut model, start) = (classifier(3), classifier(3));
    let cancel = AtomicBool::new(true);
    let training = Training {
        cancel: Some(&cancel),
        ..Training::on(&images)
    };
    let error = training
        .run(&mut model, &one_step(), &mut |_| ())
        .unwrap_err();
    assert!(matches!(error, Error::Cancelled));
    assert!(model.weights().unwrap() == start.weights().unwrap());
}

#[test]
fn parameters_that_do_not_fit_are_all_named() {
    let model = classifier(0);
    let mut weights = model.weights().unwrap();
    weights.remove("head.bias");
    weights.get_mut("head.weight").unwrap().values.pop();
    let told = model.parameters_of(&weights).unwrap_err().to_string();
    assert!(
        told.contains("head.bias") && told.contains("head.weight"),
        "{told}"
    );
    // Running statistics need not be there.
    let mut weights = model.weights().unwrap();
    weights.retain(|name, _| model.is_trained(name));
    assert!(weights.len() < model.weights().unwrap().len());
    model.parameters_of(&weights).unwrap();
}
