//! Faults of candle-transformers 0.11's Stable Diffusion that the sd engine does not have; each test names one. That of the
//! squared cosine's betas is beside them, in `schedule/betas.rs`.

use std::collections::BTreeSet;

use promptfed_synth::engines::sd::unet::Conditions;
use promptfed_synth::engines::sd::{GivenNoise, LoadOptions, Precision, Request, StableDiffusion};
use promptfed_synth::{Generator, Image, ImageRequest, ImageSeed, Sampler};

use crate::fixtures::golden;
use crate::sd_fixtures::{Golden, copy, folder, image, load};

fn mean_difference(a: &[f32], b: &[f32]) -> f32 {
    let sum: f32 = a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum();
    sum / a.len() as f32
}

/// Its examples divide XL's latents by Stable Diffusion 1's 0.18215 whatever the folder says, which is 0.13025 for XL.
#[test]
fn latents_of_xl_are_scaled_as_the_folder_says() {
    let golden = Golden::read("sdxl");
    let last_image = |model: &mut StableDiffusion| {
        let [_, _, h, w] = golden.shape("latents")[..] else {
            panic!("latents")
        };
        let reduction = model.vae().config().reduction();
        let request = Request {
            height: (h * reduction) as u32,
            width: (w * reduction) as u32,
            negative: Some("blurry, low quality".into()),
            steps: 4,
            guidance: 5.0,
            noise: Some(GivenNoise {
                latents: golden.values("latents"),
                steps: Vec::new(),
            }),
            ..model.request("a photo of a church", ImageSeed::from_u64(0))
        };
        let image = model.make(&[request]).unwrap().remove(0);
        let values: Vec<f32> = image.values().iter().map(|v| v / 2.0 + 0.5).collect();
        values.iter().map(|v| v.clamp(0.0, 1.0)).collect::<Vec<_>>()
    };
    let want = golden.values("image");
    let mut own = load(&folder("sdxl")).unwrap();
    assert_eq!(own.vae().config().scaling_factor, 0.13025);
    let right = mean_difference(&last_image(&mut own), &want);
    assert!(right < 1.0 / 255.0, "{right}");

    let (_dir, to) = copy("sdxl");
    let config = to.join("vae/config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("0.13025", "0.18215")).unwrap();
    let wrong = mean_difference(&last_image(&mut load(&to).unwrap()), &want);
    assert!(
        wrong > 1.0 / 255.0,
        "{wrong}: the factor counts for nothing"
    );
}

/// It draws the noise of ancestral steps from a generator that cannot be seeded on the CPU.
#[test]
fn noise_of_the_steps_comes_from_the_seed() {
    for sampler in [Sampler::EulerAncestral, Sampler::Lcm] {
        let made = |seeds: &[u64]| -> Vec<Image> {
            let options = LoadOptions {
                batch: seeds.len(),
                ..LoadOptions::default()
            };
            let mut model = StableDiffusion::load(&folder("sd15"), &options).unwrap();
            let requests: Vec<ImageRequest> = seeds
                .iter()
                .map(|seed| ImageRequest {
                    steps: 4,
                    sampler,
                    ..ImageRequest::with_defaults(
                        "a photo of a church",
                        ImageSeed::from_u64(*seed),
                        model.describe(),
                    )
                })
                .collect();
            model.generate(&requests).unwrap()
        };
        let both = made(&[1, 2]);
        assert_eq!(both, made(&[1, 2]), "{sampler}");
        assert_eq!(both[1..], made(&[2])[..], "{sampler}");

        // Given the same noise to begin with, the seeds still draw other noise for the steps.
        let mut model = load(&folder("sd15")).unwrap();
        let noise = Golden::read("sd15").values("latents");
        let mut from = |seed| {
            let request = Request {
                steps: 4,
                sampler,
                noise: Some(GivenNoise {
                    latents: noise.clone(),
                    steps: Vec::new(),
                }),
                ..model.request("a photo of a church", ImageSeed::from_u64(seed))
            };
            model.make(&[request]).unwrap().remove(0)
        };
        assert_ne!(from(1), from(2), "{sampler}");
    }
}

/// Its UNet has no `add_embedding`, so that XL sees neither the pooled prompt nor the sizes.
#[test]
fn xl_sees_the_pooled_prompt_and_the_sizes() {
    let golden = Golden::read("sdxl");
    let model = load(&folder("sdxl")).unwrap();
    let sizes: Vec<f32> = golden.values("unet.time_ids");
    let sizes: Vec<[f32; 6]> = sizes.as_chunks().0.to_vec();
    let pooled = golden.tensor("unet.pooled");
    let out = |pooled: &candle_core::Tensor, sizes: &[[f32; 6]]| -> Vec<f32> {
        let conditions = Conditions {
            added: Some((pooled, sizes)),
            guidance: None,
        };
        let x = golden.nhwc("unet.z");
        let text = golden.tensor("unet.text");
        let out = model.unet().forward(&x, 801.0, &text, &conditions);
        out.unwrap().flatten_all().unwrap().to_vec1().unwrap()
    };
    let plain = out(&pooled, &sizes);
    assert_ne!(out(&(&pooled * 2.0).unwrap(), &sizes), plain);
    for i in 0..6 {
        let mut others = sizes.clone();
        others[0][i] += 256.0;
        let other = out(&pooled, &others);
        let half = plain.len() / 2;
        assert_ne!(other[..half], plain[..half], "size {i} counts for nothing");
        assert_eq!(other[half..], plain[half..], "the second image is another");
    }
}

/// It has no LCM, DPM-Solver++(2M) or plain Euler: here every sampler has trajectories of diffusers to agree with
/// (`sd_samplers.rs`).
#[test]
fn every_sampler_is_held_against_diffusers() {
    #[derive(serde::Deserialize)]
    struct Runs {
        runs: Vec<Run>,
    }
    #[derive(serde::Deserialize)]
    struct Run {
        sampler: Sampler,
    }
    let all: Runs = serde_json::from_slice(&golden("sd/samplers.json")).unwrap();
    let held: BTreeSet<_> = all.runs.iter().map(|run| run.sampler.name()).collect();
    for sampler in Sampler::DIFFUSION {
        assert!(held.contains(sampler.name()), "{sampler}");
    }
}

/// Its convolutions fail in bf16 on the CPU.
#[test]
fn bf16_works_on_the_cpu() {
    for name in ["sd15", "sdxl"] {
        let options = LoadOptions {
            precision: Precision::Bf16,
            ..LoadOptions::default()
        };
        let mut model = StableDiffusion::load(&folder(name), &options).unwrap();
        assert!(image(&mut model).is_finite(), "{name}");
    }
}
