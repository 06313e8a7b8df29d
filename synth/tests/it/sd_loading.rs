//! What the sd engine accepts as a folder, and what it says of others.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use promptfed_synth::engines::sd::tokenizer::Tokenizer;
use promptfed_synth::engines::sd::{LoadOptions, Precision, Request, StableDiffusion, Start};
use promptfed_synth::{Generator, Image, ImageRequest, ImageSeed};

use crate::sd_fixtures::{Golden, copy, copy_folder, folder};

const UNET: &str = "unet/diffusion_pytorch_model.safetensors";
const VAE: &str = "vae/diffusion_pytorch_model.safetensors";
const TEXT: &str = "text_encoder/model.safetensors";

fn load(folder: &Path) -> promptfed_synth::Result<StableDiffusion> {
    StableDiffusion::load(folder, &LoadOptions::default())
}

fn fault(folder: &Path) -> String {
    match load(folder) {
        Ok(_) => panic!("{} was loaded", folder.display()),
        Err(e) => e.to_string(),
    }
}

fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

/// Changes the tensors of a safetensors file.
fn change(file: &Path, change: impl Fn(&mut HashMap<String, Tensor>)) {
    let mut tensors = candle_core::safetensors::load(file, &Device::Cpu).unwrap();
    change(&mut tensors);
    candle_core::safetensors::save(&tensors, file).unwrap();
}

fn replace(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{from} is not in {}", file.display());
    std::fs::write(file, text.replace(from, to)).unwrap();
}

fn image(model: &mut StableDiffusion) -> Image {
    let request = model.request("a photo of a church", ImageSeed::from_u64(1));
    let request = Request {
        steps: 2,
        ..request
    };
    model.make(&[request]).unwrap().remove(0)
}

#[test]
fn all_tensors_that_do_not_fit_are_in_one_error() {
    let (_dir, to) = copy("sd15");
    change(&to.join(UNET), |tensors| {
        tensors.remove("conv_in.bias");
        tensors.remove("mid_block.resnets.0.conv1.weight");
        let odd = Tensor::zeros((3, 4), candle_core::DType::F16, &Device::Cpu).unwrap();
        tensors.insert("conv_out.weight".into(), odd.clone());
        tensors.insert("conv_in_2.weight".into(), odd);
    });
    change(&to.join(VAE), |tensors| {
        tensors.remove("decoder.conv_in.weight");
    });
    change(&to.join(TEXT), |tensors| {
        tensors.remove("text_model.final_layer_norm.bias");
    });
    assert_says(
        &fault(&to),
        &[
            "unet",
            "conv_in.bias [16] is missing",
            "mid_block.resnets.0.conv1.weight [32, 32, 3, 3] is missing",
            "conv_out.weight is [3, 4] and not [4, 16, 3, 3]",
            "conv_in_2.weight is unknown",
            "vae",
            "decoder.conv_in.weight [16, 4, 3, 3] is missing",
            "text_encoder",
            "text_model.final_layer_norm.bias [32] is missing",
        ],
    );
}

#[test]
fn files_that_are_missing_or_broken_are_named() {
    type Break = fn(&Path);
    let cases: [(Break, &[&str]); 14] = [
        (
            |to| std::fs::remove_file(to.join("model_index.json")).unwrap(),
            &["model_index.json"],
        ),
        (
            |to| replace(&to.join("model_index.json"), "\"unet\"", "\"transformer\""),
            &["model_index.json", "has no unet", "Stable Diffusion"],
        ),
        (
            |to| std::fs::write(to.join("unet/config.json"), "{\"act_fn\": ").unwrap(),
            &["unet/config.json", "EOF"],
        ),
        (
            |to| {
                replace(
                    &to.join("unet/config.json"),
                    "\"norm_num_groups\": 8",
                    "\"norm_num_groups\": \"eight\"",
                );
            },
            &["unet/config.json", "norm_num_groups", "invalid type"],
        ),
        (
            |to| {
                replace(
                    &to.join("unet/config.json"),
                    "\"norm_num_groups\": 8",
                    "\"norm_num_groups\": 5",
                );
            },
            &["unet/config.json", "block_out_channels", "5 groups"],
        ),
        (
            |to| {
                replace(
                    &to.join("unet/config.json"),
                    "\"in_channels\": 4",
                    "\"in_channels\": 9",
                );
            },
            &["unet/config.json", "9 channels in", "text-to-image"],
        ),
        (
            |to| {
                replace(
                    &to.join("unet/config.json"),
                    "\"act_fn\": \"silu\"",
                    "\"act_fn\": \"mish\"",
                );
            },
            &["unet/config.json", "act_fn", "mish", "silu"],
        ),
        (
            |to| {
                replace(
                    &to.join("unet/config.json"),
                    "\"cross_attention_dim\": 32",
                    "\"cross_attention_dim\": 48",
                );
            },
            &["unet", "cross_attention_dim is 48", "give 32"],
        ),
        (
            |to| std::fs::remove_file(to.join(VAE)).unwrap(),
            &["vae", "diffusion_pytorch_model.safetensors"],
        ),
        (
            |to| {
                std::fs::remove_file(to.join(VAE)).unwrap();
                std::fs::write(to.join("vae/diffusion_pytorch_model.bin"), "x").unwrap();
            },
            &["vae", "pickled", "safe_serialization"],
        ),
        (
            |to| {
                let bytes = std::fs::read(to.join(UNET)).unwrap();
                std::fs::write(to.join(UNET), &bytes[..bytes.len() / 2]).unwrap();
            },
            &["unet", "diffusion_pytorch_model.safetensors", "announces"],
        ),
        (
            |to| std::fs::remove_file(to.join("tokenizer/merges.txt")).unwrap(),
            &["merges.txt"],
        ),
        (
            |to| std::fs::write(to.join("tokenizer/vocab.json"), "[]").unwrap(),
            &["vocab.json", "tokenizer"],
        ),
        (
            |to| {
                replace(
                    &to.join("text_encoder/config.json"),
                    "\"quick_gelu\"",
                    "\"tanh\"",
                );
            },
            &["text_encoder/config.json", "hidden_act", "tanh"],
        ),
    ];
    for (spoil, parts) in cases {
        let (_dir, to) = copy("sd15");
        spoil(&to);
        assert_says(&fault(&to), parts);
    }
}

#[test]
fn weights_in_parts_are_those_of_one_file() {
    let (_dir, to) = copy("sd15");
    std::fs::remove_dir_all(to.join("unet")).unwrap();
    copy_folder(&folder("sharded/unet"), &to.join("unet"));
    let whole = image(&mut load(&folder("sd15")).unwrap());
    assert_eq!(image(&mut load(&to).unwrap()), whole);

    let index = to.join("unet/diffusion_pytorch_model.safetensors.index.json");
    replace(&index, "00002-of", "00009-of");
    assert_says(&fault(&to), &["index.json", "00009-of", "missing"]);
    replace(&index, "diffusion_pytorch_model-00009-of", "../x-00009-of");
    assert_says(&fault(&to), &["index.json", "not a file of this folder"]);
}

#[test]
fn half_precision_variants_old_names_and_position_ids_load() {
    let (_dir, to) = copy("sd15");
    let variant = to.join("unet/diffusion_pytorch_model.fp16.safetensors");
    std::fs::rename(to.join(UNET), variant).unwrap();
    change(&to.join(VAE), |tensors| {
        for (present, old) in [
            ("to_q", "query"),
            ("to_k", "key"),
            ("to_v", "value"),
            ("to_out.0", "proj_attn"),
        ] {
            for part in ["encoder", "decoder"] {
                for end in ["weight", "bias"] {
                    let name = |layer: &str| format!("{part}.mid_block.attentions.0.{layer}.{end}");
                    let tensor = tensors.remove(&name(present)).unwrap();
                    tensors.insert(name(old), tensor);
                }
            }
        }
    });
    change(&to.join(TEXT), |tensors| {
        let ids = Tensor::arange(0i64, 77, &Device::Cpu).unwrap();
        tensors.insert("text_model.embeddings.position_ids".into(), ids);
    });
    let want = image(&mut load(&folder("sd15")).unwrap());
    assert_eq!(image(&mut load(&to).unwrap()), want);
}

#[test]
fn one_tokenizer_file_or_two_give_the_same_ids() {
    let two = Tokenizer::open(&folder("sd21/tokenizer"), 77).unwrap();
    let one = Tokenizer::open(&folder("tokenizer_json"), 77).unwrap();
    let long = "snow on the hills ".repeat(40);
    for prompt in [
        "",
        "a photo of a church",
        "A Caf\u{e9}!! <|endoftext|> 12",
        &long,
    ] {
        let ids = two.encode(prompt).unwrap();
        assert_eq!(ids.len(), 77);
        assert_eq!(one.encode(prompt).unwrap(), ids, "{prompt:?}");
    }
}

#[test]
fn an_adapter_of_another_model_is_refused() {
    for (file, parts) in [
        (
            folder("lora/peft.safetensors"),
            &[
                "peft.safetensors",
                "text_encoder",
                "unet",
                "down_blocks_2_",
                "is no layer of it",
            ][..],
        ),
        (
            folder("taesd/diffusion_pytorch_model.safetensors"),
            &["diffusion_pytorch_model.safetensors", "low-rank pairs"][..],
        ),
    ] {
        let options = LoadOptions {
            loras: vec![(file, 1.0)],
            ..LoadOptions::default()
        };
        let error = StableDiffusion::load(&folder("sd21"), &options)
            .err()
            .unwrap();
        assert_says(&error.to_string(), parts);
    }
}

#[test]
fn a_tiny_decoder_decodes_and_must_fit() {
    let options = LoadOptions {
        tiny_decoder: Some(folder("taesd")),
        ..LoadOptions::default()
    };
    let mut model = StableDiffusion::load(&folder("sd15"), &options).unwrap();
    let plain = load(&folder("sd15")).unwrap();
    assert_ne!(model.describe().weights_hash, plain.describe().weights_hash);
    assert!(image(&mut model).is_finite());
    let error = StableDiffusion::load(&folder("sd21"), &options)
        .err()
        .unwrap();
    assert_says(&error.to_string(), &["taesd", "8 times", "2 times"]);
}

#[test]
fn an_image_does_not_depend_on_its_batch() {
    for name in ["sd15", "sdxl"] {
        let options = LoadOptions {
            batch: 3,
            ..LoadOptions::default()
        };
        let mut model = StableDiffusion::load(&folder(name), &options).unwrap();
        let requests: Vec<ImageRequest> = (0..5)
            .map(|i| ImageRequest {
                steps: 2 + i % 2,
                guidance: 1.0 + i as f32,
                negative: "blurry".repeat(i as usize % 3),
                ..ImageRequest::with_defaults(
                    &format!("a photo of {i} dogs"),
                    ImageSeed::from_u64(u64::from(i)),
                    model.describe(),
                )
            })
            .collect();
        let together = model.generate(&requests).unwrap();
        let again = model.generate(&requests[3..]).unwrap();
        assert_eq!(together[3..], again[..]);
        let mut single = load(&folder(name)).unwrap();
        for (request, image) in requests.iter().zip(&together) {
            let alone = single.generate(std::slice::from_ref(request)).unwrap();
            assert_eq!(&alone[0], image);
            assert_eq!(image.height(), model.describe().image_size);
        }
        assert_ne!(together[0], together[1]);
    }
}

#[test]
fn half_precision_stays_near_f32() {
    let golden = Golden::read("sdxl");
    let want = image(&mut load(&folder("sdxl")).unwrap());
    for precision in [Precision::Bf16, Precision::F16] {
        let options = LoadOptions {
            precision,
            ..LoadOptions::default()
        };
        let mut model = StableDiffusion::load(&folder("sdxl"), &options).unwrap();
        let decoded = model.vae().decode(&golden.nhwc("vae.latents")).unwrap();
        let off = (decoded - golden.nhwc("vae.decoded"))
            .unwrap()
            .abs()
            .unwrap();
        let off: f32 = off.max_all().unwrap().to_scalar().unwrap();
        // The configuration forces the autoencoder into f32 where the rest is f16.
        let allowed = if precision == Precision::F16 {
            1e-4
        } else {
            0.1
        };
        assert!(off < allowed, "{precision}: off by {off}");
        let image = image(&mut model);
        let off: f32 = (image.values().iter().zip(want.values()))
            .map(|(a, b)| (a - b).abs())
            .sum();
        let mean = off / want.values().len() as f32;
        println!("{precision}: off by {mean} in the mean");
        assert!(mean < 0.05, "{precision}: off by {mean} in the mean");
    }
}

#[test]
fn an_image_can_be_changed_a_little_or_much() {
    let mut model = load(&folder("sd15")).unwrap();
    let first = image(&mut model);
    let distance = |a: &Image, b: &Image| -> f32 {
        a.values()
            .iter()
            .zip(b.values())
            .map(|(a, b)| (a - b).abs())
            .sum()
    };
    let mut changed = |strength| {
        let start = Start::Image {
            image: first.clone(),
            strength,
        };
        let request = Request {
            steps: 10,
            guidance: 1.0,
            sampler: promptfed_synth::Sampler::Ddim,
            start,
            ..model.request("a photo of a church", ImageSeed::from_u64(2))
        };
        model.make(&[request])
    };
    let (little, much) = (
        changed(0.1).unwrap().remove(0),
        changed(1.0).unwrap().remove(0),
    );
    assert!(little.is_finite() && much.is_finite());
    assert_ne!(little, much);
    assert!(distance(&little, &much) > 0.0);
    assert_says(&changed(0.0).unwrap_err().to_string(), &["strength 0"]);
    assert_says(&changed(0.01).unwrap_err().to_string(), &["strength 0.01"]);
}

#[test]
fn guidance_acts_within_its_interval() {
    let mut model = load(&folder("sd15")).unwrap();
    let mut made = |guidance, guidance_interval| {
        let request = Request {
            steps: 4,
            guidance,
            guidance_interval,
            ..model.request("a photo of a church", ImageSeed::from_u64(3))
        };
        model.make(&[request]).unwrap().remove(0)
    };
    let (off, on) = (made(1.0, [0.0, 1.0]), made(6.0, [0.0, 1.0]));
    let part = made(6.0, [0.3, 0.6]);
    assert!(off != on && part != on && part != off);
    // No timestep lies there.
    assert_eq!(made(6.0, [0.9999, 0.99991]), off);
}

#[test]
fn requests_outside_the_model_are_refused() {
    let golden = Golden::read("sd15");
    let mut model = load(&folder("sd15")).unwrap();
    let good = Request {
        start: Start::Latents(golden.values("latents")),
        steps: 1,
        ..model.request("x", ImageSeed::from_u64(0))
    };
    type Spoil = fn(&mut Request);
    let cases: [(Spoil, &str); 6] = [
        (|r| r.height = 60, "multiples of 8"),
        (|r| r.width = 0, "multiples of 8"),
        (|r| r.height = 128, "begins with 512"),
        (|r| r.steps = 0, "0 steps"),
        (|r| r.guidance = f32::NAN, "guidance NaN"),
        (|r| r.guidance_interval = [0.5, 0.2], "interval"),
    ];
    for (spoil, message) in cases {
        let mut bad = good.clone();
        spoil(&mut bad);
        let error = model.make(&[good.clone(), bad]).unwrap_err().to_string();
        assert_says(&error, &["request 1", message]);
    }
}

#[test]
fn numbers_that_overflow_are_an_error() {
    let (_dir, to) = copy("sd15");
    change(&to.join(UNET), |tensors| {
        let bias = tensors["conv_out.bias"]
            .to_dtype(candle_core::DType::F32)
            .unwrap();
        let huge = (bias.ones_like().unwrap() * 3e38).unwrap();
        tensors.insert("conv_out.bias".into(), huge);
    });
    let mut model = load(&to).unwrap();
    let request = Request {
        steps: 3,
        guidance: 5.0,
        sampler: promptfed_synth::Sampler::Ddim,
        ..model.request("x", ImageSeed::from_u64(0))
    };
    let error = model.make(&[request]).unwrap_err().to_string();
    assert_says(&error, &["request 0", "not numbers", "precision f32"]);
}
