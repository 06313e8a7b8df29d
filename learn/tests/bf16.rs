//! A training step in bf16, the default where a processor multiplies it, against PyTorch's in f32.
#![allow(clippy::unwrap_used)]

mod numbers;

use numbers::{images, initial, plain_step, tensor, tensors};
use promptfed_learn::train;
use promptfed_nn::Precision;

#[test]
fn gradients_in_bf16_are_near_those_in_f32() {
    let mut classifier = initial(Precision::Bf16);
    let report = train(
        &mut classifier,
        &images(),
        None,
        &plain_step(1.0),
        &mut |_| (),
    )
    .unwrap();
    let loss = tensor("losses").values[0];
    assert!((report.curve[0].train_loss - loss).abs() < 1e-2 * loss);
    let mut worst = 0.0f64;
    let (before, after) = (tensors("before."), classifier.weights());
    for (name, gradient) in tensors("gradient.") {
        let pairs = before[&name].values.iter().zip(&after[&name].values);
        let (mut apart, mut size) = (0.0f64, 0.0f64);
        for ((before, after), want) in pairs.zip(&gradient.values) {
            apart += f64::from(before - after - want).powi(2);
            size += f64::from(*want).powi(2);
        }
        let error = (apart / size).sqrt();
        assert!(error < 0.05, "{name}: {error}");
        worst = worst.max(error);
    }
    println!("off by {worst} at most");
    // In f32 they are a thousand times nearer.
    assert!(worst > 1e-4);
}
