//! The sd engine against diffusers and transformers: `golden/sd/make.py` makes checkpoints and numbers.

use std::path::PathBuf;

use candle_core::{Device, Tensor};
use promptfed_synth::engines::sd::lora::Network;
use promptfed_synth::engines::sd::unet::Conditions;
use promptfed_synth::engines::sd::vae::TinyDecoder;
use promptfed_synth::engines::sd::{
    GivenNoise, LoadOptions, Precision, Request, StableDiffusion, Start,
};
use promptfed_synth::{Image, ImageSeed, Sampler};
use serde_json::json;

use crate::sd_fixtures::{Golden, copy, folder, set, with_scheduler};

/// The same texts as in `reference.py`.
fn prompts() -> [String; 5] {
    [
        "a photo of a church".into(),
        String::new(),
        "A Caf\u{e9}'s   DOG!! 123 \u{1f642}, it's 35mm".into(),
        "snow on the hills ".repeat(40),
        "a <|endoftext|> b".into(),
    ]
}

const NEGATIVE: &str = "blurry, low quality";

fn load(folder: &std::path::Path) -> StableDiffusion {
    StableDiffusion::load(folder, &LoadOptions::default()).unwrap()
}

fn guided(model: &StableDiffusion, golden: &Golden, steps: u32) -> Request {
    let [_, _, h, w] = golden.shape("latents")[..] else {
        panic!("latents")
    };
    let reduction = model.vae().config().reduction();
    Request {
        negative: Some(NEGATIVE.into()),
        height: (h * reduction) as u32,
        width: (w * reduction) as u32,
        steps,
        guidance: 5.0,
        noise: given(golden.values("latents")),
        ..model.request(&prompts()[0], ImageSeed::from_u64(0))
    }
}

fn given(latents: Vec<f32>) -> Option<GivenNoise> {
    Some(GivenNoise {
        latents,
        steps: Vec::new(),
    })
}

/// The image of diffusers' image-to-image pipeline.
fn changed(model: &StableDiffusion, golden: &Golden) -> Request {
    let request = guided(model, golden, 5);
    let pixels = golden.nhwc("changed.start").flatten_all().unwrap();
    let pixels = pixels.to_vec1().unwrap();
    Request {
        start: Start::Image {
            image: Image::rectangle(request.height, request.width, pixels).unwrap(),
            strength: 0.6,
        },
        noise: given(golden.values("changed.noise")),
        ..request
    }
}

fn unguided(request: Request) -> Request {
    Request {
        guidance: 0.0,
        ..request
    }
}

/// Ids, features, two calls of the UNet, both ways of the autoencoder.
fn networks_agree(model: &StableDiffusion, golden: &Golden, pooled: bool) {
    for (i, prompt) in prompts().iter().enumerate() {
        let ids = model.text().token_ids(prompt).unwrap();
        for (ids, name) in ids.iter().zip(["ids", "ids_2"]) {
            assert_eq!(ids, &golden.ids(name, i), "{prompt:?}");
        }
        let encoded = model.text().encode(prompt).unwrap();
        golden.assert_row("text", i, &encoded.tokens);
        if pooled {
            golden.assert_row("pooled", i, &encoded.pooled.unwrap());
        }
    }
    let z = golden.nhwc("unet.z");
    let text = golden.tensor("unet.text");
    let added = pooled.then(|| {
        let sizes: Vec<f32> = golden.values("unet.time_ids");
        let sizes: Vec<[f32; 6]> = sizes.as_chunks().0.to_vec();
        (golden.tensor("unet.pooled"), sizes)
    });
    for t in [1, 801] {
        let conditions = Conditions {
            added: added.as_ref().map(|(p, s)| (p, s.as_slice())),
            // The script gives them less 1, as the pipeline does.
            guidance: Some(&[5.0, 7.5]),
        };
        let out = model
            .unet()
            .forward(&z, f64::from(t), &text, &conditions)
            .unwrap();
        golden.assert_nhwc(&format!("unet.{t}"), &out);
    }
    let mean = model.vae().encode(&golden.nhwc("vae.image")).unwrap();
    golden.assert_nhwc("vae.mean", &mean);
    let decoded = model.vae().decode(&golden.nhwc("vae.latents")).unwrap();
    golden.assert_nhwc("vae.decoded", &decoded);
}

#[test]
fn sd15_agrees_with_diffusers() {
    let golden = Golden::read("sd15");
    let mut model = load(&folder("sd15"));
    networks_agree(&model, &golden, false);
    let request = guided(&model, &golden, 4);
    assert_eq!(request.sampler, Sampler::Pndm);
    golden.assert_images(
        &mut model,
        &[
            ("image", request.clone()),
            ("image.unguided", unguided(request)),
        ],
    );
}

/// What processors that multiply it faster compute in.
#[test]
fn sd15_in_bf16_makes_diffusers_image() {
    let golden = Golden::read("sd15");
    let options = LoadOptions {
        precision: Precision::Bf16,
        ..LoadOptions::default()
    };
    let mut model = StableDiffusion::load(&folder("sd15"), &options).unwrap();
    let request = guided(&model, &golden, 4);
    golden.assert_images(&mut model, &[("image", request)]);
}

#[test]
fn latents_with_odd_sides_and_tiles_agree_with_diffusers() {
    let golden = Golden::read("sd15");
    let model = load(&folder("sd15"));
    let text = golden.tensor("unet.text").narrow(0, 0, 1).unwrap();
    let conditions = Conditions {
        added: None,
        guidance: None,
    };
    let out = model
        .unet()
        .forward(&golden.nhwc("odd.z"), 401.0, &text, &conditions)
        .unwrap();
    golden.assert_nhwc("odd.unet", &out);
    let tiled = model
        .vae()
        .decode_tiled(&golden.nhwc("tiled.latents"))
        .unwrap();
    golden.assert_nhwc("tiled.decoded", &tiled);
}

#[test]
fn sd21_agrees_with_diffusers() {
    let golden = Golden::read("sd21");
    let mut model = load(&folder("sd21"));
    networks_agree(&model, &golden, false);
    let request = guided(&model, &golden, 4);
    assert_eq!(request.sampler, Sampler::Ddim);
    golden.assert_images(
        &mut model,
        &[
            ("image", request.clone()),
            ("image.unguided", unguided(request)),
        ],
    );
}

#[test]
fn sd21_base_agrees_with_diffusers() {
    let golden = Golden::read("sd21");
    let (_dir, base) = with_scheduler("sd21", "base.json");
    let mut model = load(&base);
    let request = guided(&model, &golden, 4);
    golden.assert_images(&mut model, &[("image.base", request)]);
}

#[test]
fn turbo_agrees_with_diffusers() {
    let golden = Golden::read("turbo");
    let mut model = load(&folder("turbo"));
    networks_agree(&model, &golden, false);
    let own = model.request("", ImageSeed::from_u64(0));
    assert_eq!(
        (own.steps, own.guidance, own.sampler),
        (1, 1.0, Sampler::Euler)
    );
    let request = guided(&model, &golden, 2);
    golden.assert_images(
        &mut model,
        &[
            ("image", request.clone()),
            ("image.unguided", unguided(request)),
        ],
    );
}

#[test]
fn a_consistency_model_agrees_with_diffusers() {
    let golden = Golden::read("lcm");
    let mut model = load(&folder("lcm"));
    networks_agree(&model, &golden, false);
    let request = Request {
        noise: Some(GivenNoise {
            latents: golden.values("latents"),
            steps: golden.values("step_noise"),
        }),
        ..guided(&model, &golden, 4)
    };
    assert_eq!(request.sampler, Sampler::Lcm);
    golden.assert_images(&mut model, &[("image", request)]);
}

#[test]
fn sdxl_agrees_with_diffusers() {
    let golden = Golden::read("sdxl");
    let mut model = load(&folder("sdxl"));
    networks_agree(&model, &golden, true);
    let request = guided(&model, &golden, 4);
    let empty = Request {
        negative: None,
        ..request.clone()
    };
    let text = Request {
        negative: Some(String::new()),
        ..request.clone()
    };
    golden.assert_images(
        &mut model,
        &[("image", request), ("image.empty_negative", empty)],
    );
    // An empty text is one: only where there is none, zeros stand for it.
    Golden::read("settings").assert_images(&mut model, &[("sdxl.empty_text", text)]);
}

#[test]
fn statistics_of_latents_agree_with_diffusers() {
    let golden = Golden::read("sdxl");
    let (_dir, to) = copy("sdxl");
    let named = [
        ("latents_mean", json!([0.5, -0.25, 0.125, 1.0])),
        ("latents_std", json!([2.0, 1.0, 0.5, 1.5])),
        ("shift_factor", json!(0.3)),
        ("scaling_factor", json!(0.2605)),
    ];
    set(&to.join("vae/config.json"), &named);
    let mut model = load(&to);
    let request = guided(&model, &golden, 4);
    Golden::read("settings").assert_images(&mut model, &[("sdxl.statistics", request)]);

    // Of the families before XL, no pipeline of diffusers heeds them.
    let golden = Golden::read("sd15");
    let (_dir, to) = copy("sd15");
    set(&to.join("vae/config.json"), &named[..3]);
    let mut model = load(&to);
    let request = guided(&model, &golden, 4);
    golden.assert_images(&mut model, &[("image", request)]);
}

#[test]
fn activations_behind_the_timestep_agree_with_diffusers() {
    let (golden, plain) = (Golden::read("settings"), Golden::read("sd15"));
    for (name, post, last) in [
        ("unet.mish.None", json!("mish"), json!(null)),
        ("unet.None.relu", json!(null), json!("relu")),
        ("unet.gelu.swish", json!("gelu"), json!("swish")),
    ] {
        let (_dir, to) = copy("sd15");
        set(
            &to.join("unet/config.json"),
            &[("timestep_post_act", post), ("time_embedding_act_fn", last)],
        );
        let model = load(&to);
        let conditions = Conditions {
            added: None,
            guidance: None,
        };
        let (z, text) = (plain.nhwc("unet.z"), plain.tensor("unet.text"));
        let out = model.unet().forward(&z, 801.0, &text, &conditions).unwrap();
        golden.assert_nhwc(name, &out);
    }
}

#[test]
fn sdxl_turbo_agrees_with_diffusers() {
    let golden = Golden::read("sdxl");
    let (_dir, turbo) = with_scheduler("sdxl", "turbo.json");
    let mut model = load(&turbo);
    let request = unguided(guided(&model, &golden, 1));
    assert_eq!(request.sampler, Sampler::EulerAncestral);
    golden.assert_images(&mut model, &[("image.turbo", request)]);
}

#[test]
fn taesd_agrees_with_diffusers() {
    let golden = Golden::read("taesd");
    let tiny =
        TinyDecoder::open(&folder("taesd"), &Device::Cpu, promptfed_nn::Precision::F32).unwrap();
    let decoded = tiny.decode(&golden.nhwc("latents")).unwrap();
    golden.assert_nhwc("decoded", &decoded);
}

#[test]
fn lora_files_of_both_kinds_agree_with_diffusers() {
    let (golden, plain) = (Golden::read("lora"), Golden::read("sd15"));
    for kind in ["peft", "kohya"] {
        let file: PathBuf = folder("lora").join(format!("{kind}.safetensors"));
        let options = LoadOptions {
            loras: vec![(file, 0.7)],
            ..LoadOptions::default()
        };
        let model = StableDiffusion::load(&folder("sd15"), &options).unwrap();
        let conditions = Conditions {
            added: None,
            guidance: None,
        };
        let (z, text): (Tensor, Tensor) = (plain.nhwc("unet.z"), plain.tensor("unet.text"));
        let out = model.unet().forward(&z, 801.0, &text, &conditions).unwrap();
        golden.assert_nhwc(&format!("{kind}.unet"), &out);
        let encoded = model.text().encode(&prompts()[0]).unwrap();
        golden.assert_row(&format!("{kind}.text"), 0, &encoded.tokens);
        assert_eq!(Network::UNet.component(), "unet");
    }
}

#[test]
fn changed_images_agree_with_diffusers() {
    for (name, sampler) in [
        ("sd15", Sampler::Pndm),
        ("sd21", Sampler::Ddim),
        ("turbo", Sampler::Euler),
        ("sdxl", Sampler::Euler),
    ] {
        let golden = Golden::read(name);
        let mut model = load(&folder(name));
        let request = changed(&model, &golden);
        assert_eq!(request.sampler, sampler);
        golden.assert_images(&mut model, &[("changed.image", request)]);
    }
}
