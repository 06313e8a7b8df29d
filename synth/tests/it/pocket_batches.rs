//! An image depends on its request alone.

use promptfed_synth::{Error, Generator, ImageRequest, ImageSeed, Sampler};

use crate::fixtures::pocket;

fn requests() -> Vec<ImageRequest> {
    let prompts = [
        "a photo of a church",
        "a sketch of a horse",
        "",
        "a noto style emoji of a mammal, dark",
    ];
    (0..19)
        .map(|i| ImageRequest {
            prompt: prompts[i % 4].into(),
            negative: if i % 3 == 0 {
                "low quality".into()
            } else {
                String::new()
            },
            seed: ImageSeed::from_u64(i as u64),
            steps: if i % 5 == 0 { 3 } else { 2 },
            guidance: [2.5, 1.0, 1.5, 4.0, 2.5, 2.5][i % 6],
            sampler: if i % 7 == 0 {
                Sampler::Heun
            } else {
                Sampler::Euler
            },
        })
        .collect()
}

#[test]
fn an_image_is_the_same_bit_for_bit_in_any_company() {
    let requests = requests();
    let mut engine = pocket();
    let together = engine.generate(&requests).unwrap();
    let mut backwards: Vec<_> = requests.clone();
    backwards.reverse();
    let mut backwards = engine.generate(&backwards).unwrap();
    backwards.reverse();
    assert!(together == backwards, "the order matters");
    for chunk in [1, 5] {
        let mut fresh = pocket();
        let apart: Vec<_> = requests
            .chunks(chunk)
            .flat_map(|few| fresh.generate(few).unwrap())
            .collect();
        assert!(together == apart, "batches of {chunk} differ");
    }
    for (i, image) in together.iter().enumerate() {
        assert!(image.is_finite());
        assert!(!together[..i].contains(image), "image {i} came twice");
    }
}

#[test]
fn prompt_negative_and_settings_all_matter() {
    let base = ImageRequest {
        steps: 2,
        sampler: Sampler::Euler,
        ..ImageRequest::with_defaults(
            "a photo of a church",
            ImageSeed::from_u64(1),
            pocket().describe(),
        )
    };
    let variants = [
        base.clone(),
        ImageRequest {
            prompt: "a photo of a tench".into(),
            ..base.clone()
        },
        ImageRequest {
            negative: "blurry".into(),
            ..base.clone()
        },
        ImageRequest {
            guidance: 3.0,
            ..base.clone()
        },
        ImageRequest {
            guidance: 1.0,
            ..base.clone()
        },
        ImageRequest {
            steps: 3,
            ..base.clone()
        },
        ImageRequest {
            sampler: Sampler::Heun,
            ..base.clone()
        },
        ImageRequest {
            seed: ImageSeed::from_u64(2),
            ..base
        },
    ];
    let images = pocket().generate(&variants).unwrap();
    for (i, image) in images.iter().enumerate() {
        assert!(!images[..i].contains(image), "variant {i} changed nothing");
    }
}

#[test]
fn requests_out_of_range_are_named() {
    let mut engine = pocket();
    assert!(engine.generate(&[]).unwrap().is_empty());
    let good = ImageRequest::with_defaults("a", ImageSeed::from_u64(1), engine.describe());
    for bad in [
        ImageRequest {
            steps: 0,
            ..good.clone()
        },
        ImageRequest {
            guidance: f32::NAN,
            ..good.clone()
        },
    ] {
        let error = engine.generate(&[good.clone(), bad]).unwrap_err();
        assert!(matches!(error, Error::Request { index: 1, .. }), "{error}");
    }
}
