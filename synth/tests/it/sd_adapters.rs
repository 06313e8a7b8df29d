//! LoRA files: the forms that are read, against diffusers and peft (`golden/sd/{lora,adapters}.py`), and what is said of others.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use promptfed_synth::engines::sd::unet::Conditions;
use promptfed_synth::engines::sd::{LoadOptions, StableDiffusion};

use crate::sd_fixtures::{Golden, assert_says, change, folder};

/// The strength of the golden numbers.
const SCALE: f32 = 0.7;

fn with(files: &[&Path], scale: f32) -> promptfed_synth::Result<StableDiffusion> {
    let options = LoadOptions {
        loras: files.iter().map(|f| (f.to_path_buf(), scale)).collect(),
        ..LoadOptions::default()
    };
    StableDiffusion::load(&folder("sd15"), &options)
}

fn refusal(files: &[&Path]) -> String {
    match with(files, 1.0) {
        Ok(_) => panic!("{files:?} were loaded"),
        Err(error) => error.to_string(),
    }
}

/// A copy of a file of `lora.py` with other tensors or names.
fn changed(name: &str, how: impl Fn(&mut HashMap<String, Tensor>)) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(format!("{name}.safetensors"));
    std::fs::copy(folder("lora").join(format!("{name}.safetensors")), &file).unwrap();
    change(&file, how);
    (dir, file)
}

fn renamed(name: &str, new_name: impl Fn(&str) -> String) -> (tempfile::TempDir, PathBuf) {
    changed(name, |all| {
        let tensors = std::mem::take(all);
        all.extend(tensors.into_iter().map(|(k, v)| (new_name(&k), v)));
    })
}

fn unet_agrees(file: &Path, golden: &Golden, name: &str) -> StableDiffusion {
    let model = with(&[file], SCALE).unwrap();
    let plain = Golden::read("sd15");
    let conditions = Conditions {
        added: None,
        guidance: None,
    };
    let (z, text) = (plain.nhwc("unet.z"), plain.tensor("unet.text"));
    let out = model.unet().forward(&z, 801.0, &text, &conditions).unwrap();
    golden.assert_nhwc(name, &out);
    model
}

#[test]
fn what_peft_trains_beside_pairs_agrees_with_diffusers() {
    let golden = Golden::read("adapters");
    for name in ["dora", "patterns", "bias"] {
        let file = folder("adapters").join(format!("{name}.safetensors"));
        unet_agrees(&file, &golden, name);
    }
}

#[test]
fn lengths_of_rows_in_the_names_of_kohya_are_those_of_peft() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("dora.safetensors");
    let from = folder("adapters/dora.safetensors");
    let all = candle_core::safetensors::load(from, &Device::Cpu).unwrap();
    let mut named = HashMap::new();
    for (name, tensor) in all {
        let flat = |layer: &str| layer.replacen("unet.", "lora_unet_", 1).replace('.', "_");
        if let Some(layer) = name.strip_suffix(".lora_magnitude_vector") {
            let column = tensor.reshape((tensor.elem_count(), 1)).unwrap();
            named.insert(format!("{}.dora_scale", flat(layer)), column);
        } else if let Some(layer) = name.strip_suffix(".lora_A.weight") {
            let layer = flat(layer);
            named.insert(
                format!("{layer}.alpha"),
                Tensor::new(3f32, &Device::Cpu).unwrap(),
            );
            named.insert(format!("{layer}.lora_down.weight"), tensor);
        } else {
            let layer = flat(name.strip_suffix(".lora_B.weight").unwrap());
            named.insert(format!("{layer}.lora_up.weight"), tensor);
        }
    }
    candle_core::safetensors::save(&named, &file).unwrap();
    unet_agrees(&file, &Golden::read("adapters"), "dora");

    // LyCORIS may mean columns.
    change(&file, |all| {
        let name = "lora_unet_mid_block_attentions_0_proj_in.dora_scale";
        let row = all[name].reshape((1, ())).unwrap();
        all.insert(name.to_owned(), row);
    });
    assert_says(
        &refusal(&[&file]),
        &["dora_scale is [1, 32]", "DoRA of the 32 rows"],
    );
}

/// Its lengths are of the weights as they were: peft merges in turn, and another adapter first would change them.
#[test]
fn dora_comes_before_other_adapters() {
    let (plain, dora) = (
        folder("lora/peft.safetensors"),
        folder("adapters/dora.safetensors"),
    );
    with(&[&dora, &plain], 1.0).unwrap();
    assert_says(
        &refusal(&[&plain, &dora]),
        &["dora.safetensors", "give its file first"],
    );
}

#[test]
fn other_spellings_are_the_same_adapter() {
    let golden = Golden::read("lora");
    let text_agrees = |model: &StableDiffusion, name: &str| {
        let encoded = model.text().encode("a photo of a church").unwrap();
        golden.assert_row(name, 0, &encoded.tokens);
    };
    // Whole numbers as alphas.
    let (_dir, file) = changed("kohya", |all| {
        let alphas: Vec<String> = all
            .keys()
            .filter(|k| k.ends_with(".alpha"))
            .cloned()
            .collect();
        for name in alphas {
            all.insert(name, Tensor::new(2i64, &Device::Cpu).unwrap());
        }
    });
    text_agrees(&unet_agrees(&file, &golden, "kohya.unet"), "kohya.text");
    // The original names of the timestep's embedding.
    let (_dir, file) = renamed("kohya", |name| {
        name.replace(
            "lora_unet_time_embedding_linear_1.",
            "lora_unet_time_embed_0.",
        )
    });
    unet_agrees(&file, &golden, "kohya.unet");
    // No prefix, and that of peft.
    for prefix in ["", "base_model.model."] {
        let (_dir, file) = renamed("peft", |name| {
            let name = name.strip_prefix("unet.").unwrap_or(name);
            let name = name.strip_prefix("text_encoder.").unwrap_or(name);
            format!("{prefix}{name}")
        });
        text_agrees(&unet_agrees(&file, &golden, "peft.unet"), "peft.text");
    }
    // Old names of attention in text encoders.
    let (_dir, file) = renamed("peft", |name| {
        if !name.starts_with("text_encoder.") {
            return name.to_owned();
        }
        name.replace(".q_proj.lora_A.", ".to_q_lora.down.")
            .replace(".q_proj.lora_B.", ".to_q_lora.up.")
            .replace(".v_proj.lora_A.", ".to_v_lora.down.")
            .replace(".v_proj.lora_B.", ".to_v_lora.up.")
    });
    text_agrees(&unet_agrees(&file, &golden, "peft.unet"), "peft.text");
}

#[test]
fn whole_alphas_count_in_the_hash() {
    use promptfed_synth::Generator;
    let hash = |alpha: i64| {
        let (_dir, file) = changed("kohya", |all| {
            let name = "lora_unet_time_embedding_linear_1.alpha";
            assert!(all.contains_key(name));
            all.insert(name.to_owned(), Tensor::new(alpha, &Device::Cpu).unwrap());
        });
        with(&[&file], 1.0).unwrap().describe().weights_hash
    };
    assert_ne!(hash(2), hash(3));
    assert_eq!(hash(2), hash(2));
}

#[test]
fn adapters_that_would_change_nothing_or_the_wrong_are_refused() {
    let (_dir, empty) = changed("peft", HashMap::clear);
    assert_says(&refusal(&[&empty]), &["peft.safetensors", "no tensors"]);

    let (_dir, second) = renamed("kohya", |name| name.replace("lora_te_", "lora_te2_"));
    assert_says(
        &refusal(&[&second]),
        &[
            "kohya.safetensors",
            "layers of text_encoder_2, which this model does not have",
            " more",
        ],
    );

    let (_dir, twice) = changed("peft", |all| {
        let name = "unet.time_embedding.linear_1.lora_A.weight";
        let tensor = all[name].clone();
        all.insert(
            "lora_unet_time_embedding_linear_1.lora_down.weight".into(),
            tensor,
        );
    });
    assert_says(
        &refusal(&[&twice]),
        &[
            "two names stand for the same layer",
            "unet.time_embedding.linear_1",
            "keep one of them",
        ],
    );

    // The original name beside that of diffusers: one layer only once the model is known.
    let (_dir, twice) = changed("kohya", |all| {
        for end in ["lora_down.weight", "lora_up.weight", "alpha"] {
            let tensor = all[&format!("lora_unet_time_embedding_linear_1.{end}")].clone();
            all.insert(format!("lora_unet_time_embed_0.{end}"), tensor);
        }
    });
    assert_says(
        &refusal(&[&twice]),
        &[
            "two names stand for the same layer",
            "time_embed_0",
            "time_embedding_linear_1",
        ],
    );

    let (_dir, biased) = changed("peft", |all| {
        let one = Tensor::ones(16, candle_core::DType::F32, &Device::Cpu).unwrap();
        let layer = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q";
        all.insert(format!("{layer}.lora_B.bias"), one);
    });
    assert_says(
        &refusal(&[&biased]),
        &["attn1_to_q", "a bias and the model none"],
    );
}

#[test]
fn other_kinds_and_other_things_are_named_in_short_lines() {
    let (_dir, loha) = changed("kohya", |all| {
        let tensors = std::mem::take(all);
        for (name, tensor) in tensors {
            let name = name.replace("lora_down.weight", "hada_w1_a");
            all.insert(name.replace("lora_up.weight", "hada_w1_b"), tensor);
        }
    });
    let error = refusal(&[&loha]);
    assert_says(&error, &["LoHa", "hada_w1_a", " more", "low-rank pairs"]);
    assert!(error.len() < 1000, "{error}");

    assert_says(
        &refusal(&[&folder("lora")]),
        &["is a folder", "kohya.safetensors, peft"],
    );
    assert_says(
        &refusal(&[Path::new("owner/adapter")]),
        &["owner/adapter", "not downloaded"],
    );
    let dir = tempfile::tempdir().unwrap();
    let pickled = dir.path().join("pytorch_lora_weights.bin");
    std::fs::write(&pickled, "PK").unwrap();
    assert_says(
        &refusal(&[&pickled]),
        &["pickled (.bin)", "weights_only=True"],
    );
}

#[test]
fn layers_that_are_nowhere_are_counted() {
    let (_dir, file) = renamed("peft", |name| name.replace("up_blocks.", "up_blocks.9"));
    let error = refusal(&[&file]);
    assert_says(
        &error,
        &[
            "peft.safetensors",
            "layers are not there: up_blocks_9",
            " more",
        ],
    );
    assert!(error.len() < 1000, "{error}");
}
