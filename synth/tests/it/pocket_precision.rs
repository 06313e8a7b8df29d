//! bf16 shows the same images as f32.

use promptfed_nn::Precision;
use promptfed_synth::engines::pocket::Pocket;
use promptfed_synth::{Generator, ImageRequest, ImageSeed, Sampler};

use crate::fixtures::weights;

/// Of 255 levels, the mean over an image's values.
const LARGEST_DIFFERENCE: f64 = 2.0;

#[test]
fn bf16_and_f32_show_the_same_images() {
    let prompts = [
        "a photo of a church",
        "a sketch of a horse",
        "a noto style emoji of a mammal",
        "",
    ];
    let mut engines =
        [Precision::F32, Precision::Bf16].map(|p| Pocket::load_with(&weights(), p).unwrap());
    let requests: Vec<ImageRequest> = (0..8)
        .map(|i| ImageRequest {
            steps: 10,
            guidance: if i % 2 == 0 { 2.5 } else { 1.0 },
            sampler: Sampler::Heun,
            ..ImageRequest::with_defaults(
                prompts[i % 4],
                ImageSeed::from_u64(i as u64),
                engines[0].describe(),
            )
        })
        .collect();
    let [single, half] = engines
        .each_mut()
        .map(|engine| engine.generate(&requests).unwrap());
    for (i, (a, b)) in single.iter().zip(&half).enumerate() {
        let (a, b) = (a.to_rgb8(), b.to_rgb8());
        let sum: f64 = a
            .iter()
            .zip(&b)
            .map(|(a, b)| f64::from(a.abs_diff(*b)))
            .sum();
        let mean = sum / a.len() as f64;
        println!("image {i}: {mean:.3} of 255");
        assert!(
            mean < LARGEST_DIFFERENCE,
            "image {i} differs by {mean} of 255"
        );
    }
    assert!(single != half, "bf16 changes nothing at all");
}
