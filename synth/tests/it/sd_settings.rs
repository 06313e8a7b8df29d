//! Keys of a folder's configurations: read, refused by name, or harmless.

use candle_core::Device;
use promptfed_synth::engines::sd::vae::TinyDecoder;
use serde_json::{Value, json};

use crate::sd_fixtures::{assert_says, copy, image, load, set};

const INDEX: &str = "model_index.json";
const UNET: &str = "unet/config.json";
const VAE: &str = "vae/config.json";
const TEXT: &str = "text_encoder/config.json";
const TOKENIZER: &str = "tokenizer/tokenizer_config.json";
const SCHEDULER: &str = "scheduler/scheduler_config.json";

/// What loading says of a checkpoint with another value of one key.
fn refusal(name: &str, file: &str, key: &str, value: Value) -> String {
    let (_dir, to) = copy(name);
    set(&to.join(file), &[(key, value.clone())]);
    match load(&to) {
        Ok(_) => panic!("{file} with {key} {value} was loaded"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_is_not_offered_is_refused_by_file_and_key() {
    for (file, key, value, said) in [
        (
            INDEX,
            "vae",
            json!(["diffusers", "AsymmetricAutoencoderKL"]),
            "only AutoencoderKL",
        ),
        (
            INDEX,
            "controlnet",
            json!(["diffusers", "ControlNetModel"]),
            "not known",
        ),
        (
            INDEX,
            "requires_aesthetics_score",
            json!(true),
            "only false",
        ),
        (UNET, "num_attention_heads", json!(8), "only null"),
        (UNET, "layers_per_block", json!([0, 1, 2]), "is [0, 1, 2];"),
        (
            UNET,
            "attention_head_dim",
            json!({}),
            "a list with one for each level",
        ),
        (UNET, "of_tomorrow", json!(1), "not known"),
        (VAE, "of_tomorrow", json!(1), "not known"),
        (TEXT, "use_attention_mask", json!(true), "only false"),
        (TOKENIZER, "padding_side", json!("left"), "only \"right\""),
        (
            TOKENIZER,
            "bos_token",
            json!("<s>"),
            "only \"<|startoftext|>\"",
        ),
        (
            TOKENIZER,
            "added_tokens_decoder",
            json!({"600": {"content": "<cat>"}}),
            "adds <cat>",
        ),
        (TOKENIZER, "of_tomorrow", json!(1), "not known"),
        (TEXT, "text_config", json!({}), "not known"),
        (SCHEDULER, "use_dynamic_shifting", json!(true), "only false"),
        (SCHEDULER, "of_tomorrow", json!(1), "not known"),
    ] {
        let error = refusal("sd15", file, key, value);
        assert_says(&error, &[file, key, said]);
        for debris in ["untagged", "Some(", "Each("] {
            assert!(!error.contains(debris), "{error}");
        }
    }
}

#[test]
fn the_unet_and_the_encoders_are_of_one_family() {
    for (name, file, key, value, said) in [
        (
            "sdxl",
            UNET,
            "addition_embed_type",
            json!(null),
            "addition_embed_type is null",
        ),
        (
            "sdxl",
            UNET,
            "num_attention_heads",
            json!([1, 2, 4]),
            "num_attention_heads is [1,2,4]",
        ),
        (
            "sdxl",
            INDEX,
            "text_encoder",
            json!(["transformers", "CLIPTextModelWithProjection"]),
            "only CLIPTextModel is",
        ),
        (
            "sdxl",
            INDEX,
            "text_encoder_2",
            json!(["transformers", "CLIPTextModel"]),
            "only CLIPTextModelWithProjection is",
        ),
    ] {
        assert_says(&refusal(name, file, key, value), &[file, said]);
    }
}

#[test]
fn keys_that_change_nothing_are_let_be() {
    let plain = ["sd15", "sdxl"].map(|name| {
        let (_dir, to) = copy(name);
        image(&mut load(&to).unwrap())
    });
    for (name, want) in ["sd15", "sdxl"].into_iter().zip(plain) {
        let (_dir, to) = copy(name);
        for (file, keys) in [
            (
                INDEX,
                &[
                    ("image_encoder", json!([null, null])),
                    ("ip_adapter", json!([null, null])),
                    (
                        "safety_checker",
                        json!(["stable_diffusion", "StableDiffusionSafetyChecker"]),
                    ),
                ][..],
            ),
            (
                UNET,
                &[("dropout", json!(0.1)), ("_commit_hash", json!("x"))][..],
            ),
            (
                VAE,
                &[("shift_factor", json!(0.5)), ("latents_mean", json!(null))][..],
            ),
            (
                TEXT,
                &[("torch_dtype", json!("float16")), ("top_k", json!(50))][..],
            ),
            (
                SCHEDULER,
                &[("rho", json!(7.0)), ("of_tomorrow", json!(null))][..],
            ),
        ] {
            set(&to.join(file), keys);
        }
        if name == "sdxl" {
            // diffusers' pipelines of XL do not look at it.
            set(&to.join(TEXT), &[("use_attention_mask", json!(true))]);
        }
        assert_eq!(image(&mut load(&to).unwrap()), want, "{name}");
    }
}

#[test]
fn a_tiny_decoder_that_doubles_otherwise_is_refused() {
    for (key, value, said) in [
        ("upsample_fn", json!("bilinear"), "bilinear"),
        ("of_tomorrow", json!(1), "not known"),
    ] {
        let (_dir, to) = copy("taesd");
        set(&to.join("config.json"), &[(key, value)]);
        let opened = TinyDecoder::open(&to, &Device::Cpu, promptfed_nn::Precision::F32);
        let Err(error) = opened else {
            panic!("{key} was taken")
        };
        assert_says(&error.to_string(), &["config.json", key, said]);
    }
}
