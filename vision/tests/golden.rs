//! CLIP and BLIP against transformers: `golden/make.py` makes the numbers.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashMap;
use std::path::Path;

use promptfed_data::DecodedImage;
use promptfed_vision::{Blip, Clip, Error};
use safetensors::{Dtype, SafeTensors};

use support::{changed, golden, values};

fn picture() -> DecodedImage {
    let image = image::open(golden().join("image.png")).unwrap().into_rgb8();
    DecodedImage {
        width: image.width(),
        height: image.height(),
        pixels: image.into_raw(),
    }
}

fn numbers(file: &str) -> HashMap<String, Vec<f32>> {
    let bytes = std::fs::read(golden().join(file)).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let of = |data: &[u8], dtype| -> Vec<f32> {
        let words = data.as_chunks::<4>().0.iter();
        match dtype {
            Dtype::I32 => words.map(|b| i32::from_le_bytes(*b) as f32).collect(),
            _ => words.map(|b| f32::from_le_bytes(*b)).collect(),
        }
    };
    file.tensors()
        .into_iter()
        .map(|(name, view)| (name, of(view.data(), view.dtype())))
        .collect()
}

/// The picture that a network's normalised pixels [3, side, side] show: nothing of it is resized again.
fn picture_of(pixels: &[f32], side: u32) -> DecodedImage {
    // CLIP's (Radford et al. 2021), which both models have.
    const MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
    const DEVIATION: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];
    let plane = pixels.len() / 3;
    let level = |i: usize, c: usize| {
        let level = (pixels[c * plane + i] * DEVIATION[c] + MEAN[c]) * 255.0;
        assert!(
            (level - level.round()).abs() < 1e-3,
            "{level} is no level of 255"
        );
        level.round() as u8
    };
    DecodedImage {
        width: side,
        height: side,
        pixels: (0..plane)
            .flat_map(|i| [0, 1, 2].map(|c| level(i, c)))
            .collect(),
    }
}

/// The largest difference relative to the largest value.
fn apart(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len());
    let size = want.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    let worst = got.iter().zip(want).fold(0.0f32, |m, (a, b)| {
        assert!(a.is_finite());
        m.max((a - b).abs())
    });
    worst / size
}

const TEXTS: [&str; 3] = ["a photo of a church", "A pencil sketch!", ""];

#[test]
fn clip_is_transformers_clip() {
    let clip = Clip::load(&golden().join("clip")).unwrap();
    let want = numbers("clip.safetensors");
    let long = "the ".repeat(40);
    let texts: Vec<&str> = TEXTS.iter().copied().chain([long.as_str()]).collect();
    let features = clip.text_features(&texts).unwrap();
    assert!(apart(&values(&features), &want["texts"]) < 1e-5);
    let same = picture_of(&want["pixels"], 28);
    // Pillow and the resizer here may round a value to neighbouring levels of 255.
    for (picture, bound) in [(same, 1e-5), (picture(), 1e-3)] {
        let image = clip.image_features(&[(&picture).into()]).unwrap();
        assert!(apart(&values(&image), &want["image"]) < bound);
        let scores = clip.scores(&picture, &features).unwrap();
        assert!(apart(&scores, &want["scores"]) < bound);
        assert!((scores.iter().sum::<f32>() - 1.0).abs() < 1e-5);
    }
}

#[test]
fn blip_is_transformers_blip() {
    let blip = Blip::load(&golden().join("blip")).unwrap();
    let want = numbers("blip.safetensors");
    let same = picture_of(&want["pixels"], 32);
    let ids: Vec<u32> = want["ids"].iter().map(|id| *id as u32).collect();
    // As above.
    for (picture, bound, of_logits) in [(same, 1e-5, 1e-5), (picture(), 2e-3, 1e-3)] {
        let features = blip.image_features(&picture).unwrap();
        assert!(apart(&values(&features), &want["features"]) < bound);
        let logits = blip.logits(&picture, &ids).unwrap();
        assert!(apart(&values(&logits), &want["logits"]) < of_logits);
    }
    let written: Vec<u32> = want["written"].iter().map(|id| *id as u32).collect();
    assert_eq!(blip.caption_ids(&picture()).unwrap(), written);
    assert_eq!(blip.caption(&picture()).unwrap(), "phot chur");
}

#[test]
fn an_image_does_not_depend_on_others() {
    let clip = Clip::load(&golden().join("clip")).unwrap();
    let plain = DecodedImage {
        width: 2,
        height: 300,
        pixels: vec![90; 1800],
    };
    let alone = clip.image_features(&[(&picture()).into()]).unwrap();
    let both = clip
        .image_features(&[(&plain).into(), (&picture()).into()])
        .unwrap();
    assert_eq!(values(&alone), values(&both.narrow(0, 1, 1).unwrap()));
}

#[test]
fn faults_are_named() {
    let replace = |from: &'static str, to: &'static str| {
        move |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap();
            assert!(text.contains(from));
            text.replace(from, to).into_bytes()
        }
    };
    let told = |folder: &Path| -> String {
        match Clip::load(folder) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("it was loaded"),
        }
    };
    for (file, from, to, message) in [
        (
            "config.json",
            "\"patch_size\": 7",
            "\"patch_size\": 9",
            "patch_size",
        ),
        (
            "config.json",
            "\"num_attention_heads\": 3",
            "\"num_attention_heads\": 5",
            "5 heads",
        ),
        (
            "config.json",
            "\"vocab_size\": 320",
            "\"vocab_size\": 321",
            "token_embedding",
        ),
        ("config.json", "quick_gelu", "swish", "swish"),
        (
            "preprocessor_config.json",
            "\"resample\": 3",
            "\"resample\": 8",
            "resample 8",
        ),
        (
            "preprocessor_config.json",
            "\"height\": 28",
            "\"height\": 27",
            "squares of 28",
        ),
        ("tokenizer.json", "\"BPE\"", "\"LSTM\"", "not a tokenizer"),
    ] {
        let folder = changed("clip", file, replace(from, to));
        let error = told(folder.path());
        assert!(error.contains(message), "{error}");
    }
    let empty = tempfile::tempdir().unwrap();
    assert!(told(empty.path()).contains("config.json"));
    let cut = changed("clip", "model.safetensors", |bytes| bytes[..5000].to_vec());
    assert!(told(cut.path()).contains("model.safetensors"));
    // A folder of the other model lists what is missing.
    let other = changed("blip", "none", |bytes| bytes);
    assert!(matches!(Clip::load(other.path()), Err(Error::Model(_))));
}
