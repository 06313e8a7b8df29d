//! Numbers that overflow: one image is decoded again in f32 or given up, the others and the job go on.

use std::path::Path;

use candle_core::{DType, Tensor};
use promptfed_prompts::LabelSpace;
use promptfed_synth::engines::sd::{
    GivenNoise, LoadOptions, Precision, Request, StableDiffusion, Start,
};
use promptfed_synth::job::{Fault, ManifestRow};
use promptfed_synth::{
    Error, Image, ImageBudget, ImageSeed, JobReport, JobSpec, PromptSource, Result, Sampler,
};

use tempfile::TempDir;

use crate::fixtures::{rows, run_quietly};
use crate::sd_fixtures::{UNET, assert_says, change, copy};

const VAE: &str = "vae/diffusion_pytorch_model.safetensors";

/// An f32 that rounds to infinity in bf16.
const TOO_MUCH_FOR_BF16: f32 = 3.4e38;

type Spoil = fn(&Tensor) -> Tensor;

/// `sd15` with some tensors of a file changed.
fn spoilt(
    file: &str,
    tensors: &[(&str, Spoil)],
    precision: Precision,
) -> (TempDir, StableDiffusion) {
    let (dir, to) = copy("sd15");
    spoil(&to.join(file), tensors);
    (dir, load(&to, precision))
}

fn spoil(file: &Path, tensors: &[(&str, Spoil)]) {
    change(file, |all| {
        for (name, spoil) in tensors {
            let tensor = all[*name].to_dtype(DType::F32).unwrap();
            all.insert((*name).into(), spoil(&tensor));
        }
    });
}

fn load(folder: &Path, precision: Precision) -> StableDiffusion {
    let options = LoadOptions {
        precision,
        batch: 2,
        ..LoadOptions::default()
    };
    StableDiffusion::load(folder, &options).unwrap()
}

fn times(factor: f32, of: &Tensor) -> Tensor {
    (of.ones_like().unwrap() * f64::from(factor)).unwrap()
}

/// The last layer of the decoder overflows in bf16 and, small as its input is, not in f32.
const LAST_LAYER: &[(&str, Spoil)] = &[
    ("decoder.conv_norm_out.weight", |x| times(1e-30, x)),
    ("decoder.conv_norm_out.bias", |x| times(0.0, x)),
    ("decoder.conv_out.weight", |x| {
        (x.sign().unwrap() * f64::from(TOO_MUCH_FOR_BF16)).unwrap()
    }),
];

/// The first layer of the encoder gives infinity times zero for a grey image in bf16, and zero in f32.
const FIRST_LAYER: &[(&str, Spoil)] =
    &[("encoder.conv_in.weight", |x| times(TOO_MUCH_FOR_BF16, x))];

fn request(model: &StableDiffusion, seed: u64) -> Request {
    Request {
        steps: 3,
        sampler: Sampler::Ddim,
        ..model.request("a photo of a church", ImageSeed::from_u64(seed))
    }
}

fn job(model: &mut StableDiffusion) -> (Result<JobReport>, Vec<ManifestRow>) {
    let dir = tempfile::tempdir().unwrap();
    let prompts = dir.path().join("prompts.jsonl");
    std::fs::write(&prompts, "{\"class\": \"cat\", \"prompt\": \"a cat\"}\n").unwrap();
    let source = PromptSource::JsonLines {
        path: prompts,
        label_space: LabelSpace::from_names("pets", ["cat"]).unwrap(),
    };
    let defaults = promptfed_synth::Generator::describe(model).defaults;
    let spec = JobSpec {
        images: ImageBudget::PerPrompt(2),
        steps: 2,
        attempts: 3,
        ..JobSpec::new(source, &defaults)
    };
    let out = dir.path().join("out");
    let result = run_quietly(model, &spec, &out);
    (result, rows(&out))
}

#[test]
fn an_image_that_overflows_leaves_the_others_of_its_batch_alone() {
    let (_dir, to) = copy("sd15");
    let mut model = load(&to, Precision::F32);
    let good = request(&model, 1);
    let overflowing = Request {
        noise: Some(GivenNoise {
            latents: vec![3e38; 256],
            steps: Vec::new(),
        }),
        ..request(&model, 2)
    };
    let alone = model.make(std::slice::from_ref(&good)).unwrap();
    let both = model.make(&[overflowing, good]).unwrap();
    assert!(!both[0].is_finite());
    assert!(!both[0].is_upcast());
    assert_eq!(both[1], alone[0]);
    assert!(both[1].is_finite());
}

#[test]
fn a_decoder_that_overflows_decodes_again_in_f32() {
    let (_narrow, mut narrow) = spoilt(VAE, LAST_LAYER, Precision::Bf16);
    let wanted = request(&narrow, 1);
    let decoded = narrow
        .make(std::slice::from_ref(&wanted))
        .unwrap()
        .remove(0);
    assert!(decoded.is_finite() && decoded.is_upcast());
    let (_wide, mut wide) = spoilt(VAE, LAST_LAYER, Precision::F32);
    let plain = wide.make(&[wanted]).unwrap().remove(0);
    assert!(plain.is_finite() && !plain.is_upcast());

    let (report, rows) = job(&mut narrow);
    let report = report.unwrap();
    assert_eq!((report.done, report.upcast, report.non_finite), (2, 2, 0));
    for row in rows {
        assert!(row.upcast);
        let json = serde_json::to_value(&row).unwrap();
        assert_eq!(json["upcast"], true);
    }
    let (report, rows) = job(&mut wide);
    assert_eq!(report.unwrap().upcast, 0);
    for row in rows {
        assert!(!row.upcast);
        assert!(serde_json::to_value(&row).unwrap().get("upcast").is_none());
    }
}

#[test]
fn weights_that_changed_behind_the_job_s_back_are_not_mixed_in() {
    let (_dir, to) = copy("sd15");
    spoil(&to.join(VAE), LAST_LAYER);
    let mut model = load(&to, Precision::Bf16);
    spoil(
        &to.join(VAE),
        &[("decoder.conv_in.bias", |x| times(2.0, x))],
    );
    let error = model.make(&[request(&model, 1)]).unwrap_err().to_string();
    assert_says(&error, &["vae", "changed since they were loaded"]);
}

#[test]
fn an_encoder_that_overflows_encodes_again_in_f32() {
    let (_dir, mut model) = spoilt(VAE, FIRST_LAYER, Precision::Bf16);
    let own = request(&model, 1);
    let pixels = vec![0.0; (own.height * own.width * 3) as usize];
    let image = Image::rectangle(own.height, own.width, pixels).unwrap();
    let changed = Request {
        start: Start::Image {
            image,
            strength: 0.7,
        },
        ..own.clone()
    };
    let made = model.make(&[changed, own]).unwrap();
    assert!(made[0].is_upcast());
    assert!(made[1].is_finite() && !made[1].is_upcast());
}

#[test]
fn a_job_whose_numbers_all_overflow_draws_again_and_fails_in_the_end() {
    let huge: &[(&str, &[(&str, Spoil)])] = &[
        (UNET, &[("conv_out.bias", |x| times(3e38, x))]),
        (VAE, &[("decoder.conv_norm_out.weight", |x| times(3e38, x))]),
    ];
    for (file, tensors) in huge {
        let (_dir, mut model) = spoilt(file, tensors, Precision::F32);
        let (report, rows) = job(&mut model);
        match report {
            Err(Error::NoImages { drawn: 2, faults }) => {
                assert!(
                    faults.starts_with("6 draws held values"),
                    "{file}: {faults}"
                );
            }
            other => panic!("{file}: {other:?}"),
        }
        assert_eq!(rows.len(), 2);
        for row in rows {
            assert_eq!(row.flags, [Fault::NonFinite; 3]);
            assert_eq!(row.rejected, Some(Fault::NonFinite));
        }
    }
}
