//! The gradient of a training step against finite differences of its loss.
#![allow(clippy::unwrap_used)]

mod numbers;

use numbers::{images, initial, plain_step, tensor, tensors};
use promptfed_learn::{Weights, train};
use promptfed_nn::Precision;

/// The loss of the first step from `weights`.
fn loss(weights: &Weights) -> f64 {
    let mut classifier = initial(Precision::F32);
    classifier.load_weights(weights).unwrap();
    let config = plain_step(1e-9);
    let report = train(&mut classifier, &images(), None, &config, &mut |_| ()).unwrap();
    f64::from(report.curve[0].train_loss)
}

/// What one step of descent at rate 1 takes from every weight.
fn gradient() -> Weights {
    let mut classifier = initial(Precision::F32);
    train(
        &mut classifier,
        &images(),
        None,
        &plain_step(1.0),
        &mut |_| (),
    )
    .unwrap();
    let (mut before, after) = (tensors("before."), classifier.weights().unwrap());
    for (name, tensor) in &mut before {
        for (value, after) in tensor.values.iter_mut().zip(&after[name].values) {
            *value -= after;
        }
    }
    before
}

/// Along its own direction the gradient of every tensor is the slope of the loss.
#[test]
fn gradients_agree_with_finite_differences() {
    let start = tensors("before.");
    assert!((loss(&start) - f64::from(tensor("losses").values[0])).abs() < 1e-5);
    let mut checked = 0;
    for (name, gradient) in gradient() {
        if name.contains("running") || name.contains("num_batches") {
            continue;
        }
        let norm = |values: &[f32]| {
            values
                .iter()
                .map(|v| f64::from(*v).powi(2))
                .sum::<f64>()
                .sqrt()
        };
        let slope = norm(&gradient.values);
        assert!(slope > 5e-3, "{name} has no gradient");
        // Small beside the weights, so that few ReLUs change sides; large beside the rounding of the loss.
        let step = (3e-5 / slope).min(3e-4 * norm(&start[&name].values).max(0.5));
        let at = |sign: f64| {
            let mut weights = start.clone();
            let tensor = weights.get_mut(&name).unwrap();
            for (value, g) in tensor.values.iter_mut().zip(&gradient.values) {
                *value += (sign * step * f64::from(*g) / slope) as f32;
            }
            loss(&weights)
        };
        let found = (at(1.0) - at(-1.0)) / (2.0 * step);
        let error = (found - slope).abs() / slope;

        assert!(error < 0.03, "{name}: {found} and not {slope}");
        checked += 1;
    }
    assert_eq!(checked, tensors("gradient.").len());
}
