//! What the sd engine accepts as a folder, and what it says of others.

use std::path::Path;

use candle_core::{Device, Tensor};
use promptfed_synth::engines::sd::tokenizer::Tokenizer;
use promptfed_synth::engines::sd::{LoadOptions, Precision, StableDiffusion};
use promptfed_synth::{Error, Generator};

use crate::sd_fixtures::{UNET, assert_says, change, copy, copy_folder, folder, image, load};

const VAE: &str = "vae/diffusion_pytorch_model.safetensors";
const TEXT: &str = "text_encoder/model.safetensors";

fn fault(folder: &Path) -> String {
    match load(folder) {
        Ok(_) => panic!("{} was loaded", folder.display()),
        Err(e) => e.to_string(),
    }
}

fn replace(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{from} is not in {}", file.display());
    std::fs::write(file, text.replace(from, to)).unwrap();
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
fn the_tensors_of_both_text_encoders_adapters_and_decoders_are_in_the_same_error() {
    let (_dir, to) = copy("sdxl");
    for (file, tensor) in [
        (TEXT, "text_model.final_layer_norm.bias"),
        (
            "text_encoder_2/model.safetensors",
            "text_model.final_layer_norm.weight",
        ),
        (UNET, "add_embedding.linear_1.weight"),
        (VAE, "decoder.conv_out.bias"),
    ] {
        change(&to.join(file), |tensors| {
            tensors.remove(tensor).unwrap();
        });
    }
    let tiny = to.join("taesd");
    copy_folder(&folder("taesd"), &tiny);
    change(&tiny.join("diffusion_pytorch_model.safetensors"), |all| {
        all.remove("decoder.layers.0.weight").unwrap();
    });
    let options = LoadOptions {
        tiny_decoder: Some(tiny),
        loras: vec![(folder("taesd/diffusion_pytorch_model.safetensors"), 1.0)],
        ..LoadOptions::default()
    };
    let Err(error) = StableDiffusion::load(&to, &options) else {
        panic!("it was loaded")
    };
    let text = error.to_string();
    let Error::Components { faults, .. } = error else {
        panic!("{text}")
    };
    assert_eq!(faults.len(), 6, "{text}");
    assert_says(
        &text,
        &[
            "text_encoder do not fit",
            "text_model.final_layer_norm.bias [32] is missing",
            "text_encoder_2 do not fit",
            "text_model.final_layer_norm.weight [",
            "unet do not fit",
            "add_embedding.linear_1.weight [",
            "vae",
            "decoder.conv_out.bias [3] is missing",
            "taesd do not fit",
            "decoder.layers.0.weight [",
            "are no low-rank pairs",
        ],
    );
}

#[test]
fn an_adapter_that_does_not_fit_hides_no_missing_tensors() {
    let (dir, to) = copy("sd15");
    for (file, tensor) in [
        (UNET, "conv_in.bias"),
        (TEXT, "text_model.final_layer_norm.bias"),
    ] {
        change(&to.join(file), |tensors| {
            tensors.remove(tensor).unwrap();
        });
    }
    let adapter = dir.path().join("adapter.safetensors");
    std::fs::copy(folder("lora/peft.safetensors"), &adapter).unwrap();
    change(&adapter, |tensors| {
        let odd = Tensor::zeros((7, 3), candle_core::DType::F32, &Device::Cpu).unwrap();
        for network in ["unet.", "text_encoder."] {
            let mut names: Vec<&String> = tensors.keys().collect();
            names.retain(|name| name.starts_with(network) && name.contains("lora_B"));
            let name = names[0].clone();
            tensors.insert(name, odd.clone());
        }
    });
    let options = LoadOptions {
        loras: vec![(adapter, 1.0)],
        ..LoadOptions::default()
    };
    let Err(error) = StableDiffusion::load(&to, &options) else {
        panic!("it was loaded")
    };
    assert_says(
        &error.to_string(),
        &[
            "the adapter does not fit the unet",
            "conv_in.bias [16] is missing",
            "the adapter does not fit the text_encoder",
            "text_model.final_layer_norm.bias [32] is missing",
        ],
    );
}

/// What is recorded of a hub's files must be what is loaded, also where the cache has both.
#[test]
fn the_f16_variant_is_for_f16_alone() {
    let (_dir, to) = copy("sdxl");
    for file in [UNET, VAE] {
        let half = to.join(file.replace(".safetensors", ".fp16.safetensors"));
        std::fs::copy(to.join(file), &half).unwrap();
        change(&half, |tensors| {
            tensors.clear();
        });
    }
    load(&to).unwrap();
    let half = LoadOptions {
        precision: Precision::F16,
        ..LoadOptions::default()
    };
    let Err(error) = StableDiffusion::load(&to, &half) else {
        panic!("it was loaded")
    };
    // The autoencoder's too, although it is kept in f32.
    assert_says(
        &error.to_string(),
        &["add_embedding.linear_1.weight [", "decoder.conv_in.bias ["],
    );
}

#[test]
fn everything_that_is_loaded_counts_in_the_hash() {
    let lora = |scale| LoadOptions {
        loras: vec![(folder("lora/peft.safetensors"), scale)],
        ..LoadOptions::default()
    };
    let hash = |folder: &Path, options: &LoadOptions| {
        let model = StableDiffusion::load(folder, options).unwrap();
        model.describe().weights_hash
    };
    let plain = LoadOptions::default();
    let bf16 = LoadOptions {
        precision: Precision::Bf16,
        ..LoadOptions::default()
    };
    let tiny = LoadOptions {
        tiny_decoder: Some(folder("taesd")),
        ..LoadOptions::default()
    };
    let mut hashes: Vec<_> = [&plain, &bf16, &tiny, &lora(1.0), &lora(0.5)]
        .map(|options| hash(&folder("sd15"), options))
        .into();
    for (file, tensor) in [
        (UNET, "conv_in.bias"),
        (VAE, "encoder.conv_in.bias"),
        (TEXT, "text_model.final_layer_norm.bias"),
    ] {
        let (_dir, to) = copy("sd15");
        change(&to.join(file), |tensors| {
            let twice = (&tensors[tensor] * 2.0).unwrap();
            tensors.insert(tensor.into(), twice);
        });
        hashes.push(hash(&to, &plain));
    }
    for (file, from, to) in [
        ("scheduler/scheduler_config.json", "0.012", "0.0121"),
        ("tokenizer/tokenizer_config.json", "77", "76"),
        ("unet/config.json", "{", "{ "),
    ] {
        let (_dir, copied) = copy("sd15");
        replace(&copied.join(file), from, to);
        hashes.push(hash(&copied, &plain));
    }
    for (i, hash) in hashes.iter().enumerate() {
        assert!(!hashes[..i].contains(hash), "{i} changes nothing");
    }
    let (_dir, same) = copy("sd15");
    assert_eq!(hash(&same, &plain), hashes[0]);
}

#[test]
fn files_that_are_missing_or_broken_are_named() {
    type Break = fn(&Path);
    let cases: [(Break, &[&str]); 14] = [
        (
            |to| std::fs::remove_file(to.join("model_index.json")).unwrap(),
            &["model_index.json", "diffusers' layout"],
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
    let mut whole = load(&folder("sd15")).unwrap();
    let mut parts = load(&to).unwrap();
    assert_eq!(image(&mut parts), image(&mut whole));
    assert_eq!(parts.describe().weights_hash, whole.describe().weights_hash);

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
                "layers are not there: down_blocks_1_attentions_0",
                " more",
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
