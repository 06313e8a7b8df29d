//! The pocket engine against the PyTorch definition: `golden/make.py` makes the numbers.

use std::collections::HashMap;

use crate::fixtures::{golden, pocket};
use promptfed_synth::{ImageRequest, ImageSeed, Sampler};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    texts: Vec<Text>,
    encoded: Vec<usize>,
    call: Call,
    samples: Vec<Sample>,
}

#[derive(Deserialize)]
struct Text {
    text: String,
    ids: Vec<u32>,
}

#[derive(Deserialize)]
struct Call {
    text: usize,
    t: f32,
}

#[derive(Deserialize)]
struct Sample {
    prompt: String,
    negative: String,
    steps: u32,
    guidance: f32,
    sampler: Sampler,
}

fn settings() -> Golden {
    serde_json::from_slice(&golden("pocket.json")).unwrap()
}

fn tensors() -> HashMap<String, Vec<f32>> {
    let bytes = golden("pocket.safetensors");
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let floats = |data: &[u8]| {
        data.as_chunks::<4>()
            .0
            .iter()
            .map(|b| f32::from_le_bytes(*b))
            .collect()
    };
    file.tensors()
        .iter()
        .map(|(name, view)| (name.clone(), floats(view.data())))
        .collect()
}

fn assert_close(name: &str, got: &[f32], want: &[f32], tolerance: f32) {
    assert_eq!(got.len(), want.len(), "{name}");
    let worst = got
        .iter()
        .zip(want)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    println!("{name}: off by at most {worst:e}");
    assert!(worst <= tolerance, "{name} is off by {worst}");
}

/// [3, size, size] -> [size, size, 3]
fn interleave(planar: &[f32]) -> Vec<f32> {
    let plane = planar.len() / 3;
    (0..planar.len())
        .map(|i| planar[i % 3 * plane + i / 3])
        .collect()
}

#[test]
fn prompts_become_the_same_ids() {
    let engine = pocket();
    for Text { text, ids } in settings().texts {
        assert_eq!(engine.token_ids(&text).unwrap(), ids, "{text:?}");
    }
}

#[test]
fn prompts_become_the_same_features() {
    let (engine, tensors, settings) = (pocket(), tensors(), settings());
    for i in settings.encoded {
        let features = engine.encode(&settings.texts[i].text).unwrap();
        assert_close(
            "pooled",
            &features.pooled,
            &tensors[&format!("text.{i}.pooled")],
            1e-4,
        );
        assert_close(
            "tokens",
            &features.tokens,
            &tensors[&format!("text.{i}.tokens")],
            1e-4,
        );
    }
}

#[test]
fn one_network_call_sees_the_same_image() {
    let (engine, tensors, settings) = (pocket(), tensors(), settings());
    let prompt = engine
        .encode(&settings.texts[settings.call.text].text)
        .unwrap();
    let x = engine
        .denoise(&tensors["call.z"], settings.call.t, &prompt)
        .unwrap();
    assert_close("x", &x, &tensors["call.x"], 2e-4);
}

#[test]
fn the_same_noise_becomes_the_same_image() {
    let (mut engine, tensors) = (pocket(), tensors());
    for (i, sample) in settings().samples.into_iter().enumerate() {
        let request = ImageRequest {
            prompt: sample.prompt.clone(),
            negative: sample.negative,
            seed: ImageSeed::from_u64(0),
            steps: sample.steps,
            guidance: sample.guidance,
            sampler: sample.sampler,
        };
        let image = engine
            .generate_from(&request, &tensors[&format!("sample.{i}.noise")])
            .unwrap();
        let want = interleave(&tensors[&format!("sample.{i}.image")]);
        assert_close(&sample.prompt, image.values(), &want, 2e-3);
    }
}
