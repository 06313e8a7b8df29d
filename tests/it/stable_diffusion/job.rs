//! Jobs.

use super::{failure, golden, images, json, synth};
use promptfed::synth::ImageSeed;
use promptfed::synth::engines::sd::{GivenNoise, LoadOptions, Request, StableDiffusion};
use serde_json::Value;
use std::path::Path;

fn job_file(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("job.json")).unwrap()).unwrap()
}

/// How near that is to diffusers' image, the engine's own tests say.
#[test]
fn an_image_from_given_noise_is_the_engine_s_image() {
    let folder = tempfile::tempdir().unwrap();
    let numbers = golden().join("sd15.safetensors");
    json(
        synth(folder.path(), golden().join("sd15"))
            .args(["--prompt", "a photo of a church"])
            .args(["--negative", "blurry, low quality"])
            .args(["--steps", "4", "--guidance", "5", "--out", "out"])
            .args(["--precision", "f32", "--latents"])
            .arg(&numbers),
    );
    let made = images(&folder.path().join("out"));
    assert_eq!(made.len(), 1);
    let made = image::load_from_memory(&made[0].1).unwrap().into_rgb8();
    assert_eq!(made.dimensions(), (64, 64));
    let bytes = std::fs::read(numbers).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let latents = file.tensor("latents").unwrap();
    let latents = latents.data().as_chunks::<4>().0.iter();
    let mut model = StableDiffusion::load(&golden().join("sd15"), &LoadOptions::default()).unwrap();
    let request = Request {
        negative: Some("blurry, low quality".into()),
        steps: 4,
        guidance: 5.0,
        noise: Some(GivenNoise {
            latents: latents.map(|value| f32::from_le_bytes(*value)).collect(),
            steps: Vec::new(),
        }),
        ..model.request("a photo of a church", ImageSeed::from_u64(0))
    };
    let want = model.make(&[request]).unwrap().remove(0).to_rgb8();
    assert!(made.as_raw() == &want, "the program's image is another");
    let job = job_file(&folder.path().join("out"));
    assert_eq!(job["engine"]["name"], "sd");
    assert_eq!(job["engine"]["settings"]["height"], "64");
    assert_eq!(job["sampler"], "pndm");
    assert_eq!(job["attempts"], 1);
}

#[test]
fn a_job_goes_on_where_it_stopped_and_keeps_to_its_settings() {
    let folder = tempfile::tempdir().unwrap();
    let run = |out: &str, more: &[&str]| {
        let mut command = synth(folder.path(), golden().join("turbo"));
        command
            .args(["--prompt", "a red fox", "--images-per-prompt", "3"])
            .args(["--height", "16", "--width", "32", "--guidance", "2"])
            .args(["--out", out])
            .args(more);
        command
    };
    json(run("stopped", &["--limit", "1"]).arg("--quiet"));
    let (code, told) = failure(&mut run("stopped", &["--guidance-interval", "0..0.5"]));
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("different engine"), "{told}");
    let report = json(&mut run("stopped", &[]));
    assert_eq!(report["report"]["resumed"], 1);
    json(&mut run("whole", &["--batch", "1"]));
    let strip = |out: &str| -> Vec<Vec<u8>> {
        images(&folder.path().join(out))
            .into_iter()
            .map(|(_, bytes)| bytes)
            .collect()
    };
    assert_eq!(strip("stopped").len(), 3);
    assert_eq!(strip("stopped"), strip("whole"));
    let first = image::load_from_memory(&strip("whole")[0]).unwrap();
    assert_eq!((first.width(), first.height()), (32, 16));
}

#[test]
fn adapters_and_starting_images_change_what_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let start = folder.path().join("start.png");
    image::RgbImage::from_fn(70, 66, |x, y| image::Rgb([x as u8 * 3, y as u8 * 3, 90]))
        .save(&start)
        .unwrap();
    let lora = golden().join("lora/peft.safetensors");
    let lora = lora.to_str().unwrap();
    let scaled = format!("{lora}:0.5");
    let start = start.to_str().unwrap();
    let mut all: Vec<Vec<u8>> = Vec::new();
    for (i, more) in [
        &[][..],
        &["--lora", lora],
        &["--lora", &scaled],
        &["--init-image", start],
        &["--init-image", start, "--strength", "0.3"],
        &["--sampler", "dpm++2m-karras"],
        &["--guidance-interval", "0.5..1"],
    ]
    .iter()
    .enumerate()
    {
        let out = format!("out{i}");
        json(
            synth(folder.path(), golden().join("sd15"))
                .args(["--prompt", "a church", "--steps", "4", "--out", &out])
                .args(*more),
        );
        let made = images(&folder.path().join(out)).remove(0).1;
        assert!(!all.contains(&made), "{more:?} changes nothing");
        all.push(made);
    }
}

#[test]
fn mistakes_are_told_with_their_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let model = golden().join("sd15");
    let model = model.to_str().unwrap();
    let numbers = golden().join("sd15.safetensors");
    let numbers = numbers.to_str().unwrap();
    std::fs::create_dir(here.join("empty")).unwrap();
    std::fs::write(here.join("text.png"), "text").unwrap();
    let picture = "picture.png";
    image::RgbImage::new(16, 16)
        .save(here.join(picture))
        .unwrap();
    let lora = golden().join("lora/kohya.safetensors");
    let turbo = golden().join("turbo");
    let turbo = turbo.to_str().unwrap();
    let cases: &[(&str, &[&str], i32, &str)] = &[
        ("", &[], 3, "sd:FOLDER"),
        ("no where", &[], 3, "owner/name"),
        ("empty", &[], 3, "model_index.json"),
        (
            model,
            &["--sampler", "heun"],
            3,
            "no sampler heun; choose one of ddim",
        ),
        (model, &["--sampler", "magic"], 2, "unipc"),
        (model, &["--height", "63"], 3, "multiples of 8"),
        (model, &["--precision", "f8"], 2, "f8"),
        (model, &["--guidance-interval", "0.5"], 2, "write 0.1..0.8"),
        (
            model,
            &["--init-image", picture, "--height", "100000"],
            3,
            "8 to 8192",
        ),
        (model, &["--strength", "0.5"], 2, "--init-image"),
        (model, &["--init-image", "text.png"], 3, "text.png"),
        (model, &["--init-image", model], 3, "is a folder"),
        (model, &["--latents", model], 3, "is a folder"),
        (
            model,
            &["--latents", numbers, "--height", "128"],
            3,
            "begins with",
        ),
        (
            model,
            &["--latents", numbers, "--images", "3"],
            2,
            "--images",
        ),
        (
            turbo,
            &["--lora", lora.to_str().unwrap()],
            3,
            "kohya.safetensors",
        ),
        (model, &["--lora", "x:much"], 2, "FILE:0.7"),
        (
            model,
            &["--device", "cuda"],
            3,
            if cfg!(feature = "cuda") {
                "nvidia-smi"
            } else {
                "--features cuda"
            },
        ),
        (model, &["--steps", "1001"], 3, "1 to 1000"),
    ];
    for (model, args, code, part) in cases {
        let mut command = synth(here, model);
        command.args(["--prompt", "x", "--out", "o"]).args(*args);
        let (found, told) = failure(&mut command);
        assert!(told.contains(part), "{args:?}: {told}");
        assert_eq!(found, *code, "{args:?}: {told}");
        // The next case is another job.
        let _ = std::fs::remove_dir_all(here.join("o"));
    }
}

#[test]
fn the_bundled_generator_refuses_what_it_does_not_have() {
    let folder = tempfile::tempdir().unwrap();
    let refuse = |more: &[&str]| {
        let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_promptfed"));
        command
            .env(
                "PROMPTFED_ASSETS",
                Path::new(env!("CARGO_MANIFEST_DIR")).join("assets"),
            )
            .current_dir(folder.path())
            .args(["--quiet", "synth", "--prompt", "x", "--out", "o"])
            .args(more);
        failure(&mut command)
    };
    let (code, told) = refuse(&["--height", "64", "--lora", "x"]);
    assert_eq!(code, 3);
    assert!(
        told.contains("the pocket engine has no --height, --lora"),
        "{told}"
    );
    if !cfg!(feature = "cuda") {
        let (code, told) = refuse(&["--device", "cuda"]);
        assert_eq!(code, 3);
        assert!(told.contains("--features cuda"), "{told}");
    }
    let (code, told) = refuse(&["--sampler", "unipc"]);
    assert_eq!(code, 3);
    assert!(
        told.contains("no sampler unipc; choose one of euler"),
        "{told}"
    );
}
