//! Every sampler against diffusers: `golden/sd/samplers.py` makes the numbers.

use std::collections::{BTreeMap, HashMap};

use crate::fixtures::golden;
use promptfed_synth::Sampler;
use promptfed_synth::engines::sd::samplers::Sampling;
use promptfed_synth::engines::sd::schedule::SchedulerConfig;
use serde::Deserialize;

const VALUES: usize = 4;

#[derive(Deserialize)]
struct Golden {
    configs: HashMap<String, SchedulerConfig>,
    runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    config: String,
    sampler: Sampler,
    steps: u32,
    strength: f64,
}

impl Run {
    fn name(&self) -> String {
        let Run {
            config,
            sampler,
            steps,
            strength,
        } = self;
        format!("{config}.{sampler}.{steps}.{strength:?}")
    }
}

fn read() -> (Golden, HashMap<String, Vec<f32>>) {
    let bytes = golden("sd/samplers.safetensors");
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let floats = |data: &[u8]| {
        data.as_chunks::<4>()
            .0
            .iter()
            .map(|b| f32::from_le_bytes(*b))
            .collect()
    };
    let tensors = file
        .tensors()
        .iter()
        .map(|(name, view)| (name.clone(), floats(view.data())))
        .collect();
    let settings = serde_json::from_slice(&golden("sd/samplers.json")).unwrap();
    (settings, tensors)
}

/// As in the script.
fn model(x: &[f32], t: f64) -> Vec<f32> {
    x.iter()
        .enumerate()
        .map(|(i, x)| (0.7 * f64::from(*x) + 0.3 * (0.01 * t + i as f64).sin()) as f32)
        .collect()
}

/// Latents before every call and after the last.
fn trajectory(
    sampling: &mut Sampling,
    first: Vec<f32>,
    mut fresh: std::slice::ChunksExact<'_, f32>,
) -> Vec<f32> {
    let mut latents = first;
    let mut all = latents.clone();
    for i in 0..sampling.len() {
        let output = model(&sampling.scale_input(i, &latents), sampling.timestep(i));
        sampling.step(i, &output, &mut latents, &mut |n| {
            assert_eq!(n, VALUES);
            fresh.next().unwrap().to_vec()
        });
        all.extend(&latents);
    }
    all
}

#[test]
fn every_trajectory_is_diffusers() {
    let (golden, tensors) = read();
    let (noise, image) = tensors["start"].split_at(VALUES);
    let mut worst = BTreeMap::<String, f32>::new();
    for run in &golden.runs {
        let name = run.name();
        let config = &golden.configs[&run.config];
        let mut sampling =
            Sampling::new(config, run.sampler, run.steps, run.strength).expect(&name);
        let timesteps: Vec<f32> = (0..sampling.len())
            .map(|i| sampling.timestep(i) as f32)
            .collect();
        assert_near(
            &name,
            &timesteps,
            &tensors[&format!("{name}.timesteps")],
            2e-4,
        );
        let first = if run.strength < 1.0 {
            sampling.add_noise(image, noise)
        } else {
            noise.iter().map(|x| x * sampling.initial_sigma()).collect()
        };
        let fresh = tensors["fresh"].chunks_exact(VALUES);
        // Latents of a noise level of 4096 lose that much in diffusers' own f32.
        let tolerance = if run.config == "v-zero-snr" {
            1e-3
        } else {
            1e-4
        };
        let got = trajectory(&mut sampling, first, fresh);
        let want = &tensors[&name];
        assert_eq!(got.len(), want.len(), "{name}");
        for (i, (got, want)) in got
            .chunks_exact(VALUES)
            .zip(want.chunks_exact(VALUES))
            .enumerate()
        {
            let size = want.iter().fold(0.0f32, |m, v| m.max(v.abs()));
            let apart = got
                .iter()
                .zip(want)
                .fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
            let error = apart / size;
            assert!(
                error < tolerance,
                "{name} after call {i}: {got:?} is not {want:?} ({error:e})"
            );
            let worst = worst
                .entry(format!("{} {}", run.sampler, run.config))
                .or_default();
            *worst = worst.max(error);
        }
    }
    for (name, error) in worst {
        println!("{name}: {error:.1e}");
    }
}

fn assert_near(name: &str, got: &[f32], want: &[f32], tolerance: f32) {
    assert_eq!(got.len(), want.len(), "{name}: {got:?} is not {want:?}");
    for (a, b) in got.iter().zip(want) {
        assert!(
            (a - b).abs() <= tolerance * b.abs().max(1.0),
            "{name}: {got:?} is not {want:?}"
        );
    }
}

/// diffusers 0.42 takes the second call of the first step for the first when an image is changed and one step is skipped, and
/// then goes back to noise that the image never had.
#[test]
fn pndm_keeps_its_place_when_one_step_is_skipped() {
    let (golden, tensors) = read();
    let config = &golden.configs["sd15"];
    let (noise, image) = tensors["start"].split_at(VALUES);
    let run = |strength| {
        let mut sampling = Sampling::new(config, Sampler::Pndm, 5, strength).unwrap();
        let first = sampling.add_noise(image, noise);
        let timesteps: Vec<f64> = (0..sampling.len()).map(|i| sampling.timestep(i)).collect();
        let way = trajectory(&mut sampling, first, [].chunks_exact(VALUES));
        (timesteps, way)
    };
    let (timesteps, way) = run(0.8);
    assert_eq!(timesteps, [601.0, 401.0, 201.0, 1.0]);
    assert_eq!(run(0.6), (timesteps, way));
}

/// diffusers 0.42 gives NaN: infinity times 0 in the last step.
#[test]
fn unipc_bh1_ends_without_noise() {
    let (golden, tensors) = read();
    let mut config = golden.configs["bh1"].clone();
    config.final_sigmas_type = None;
    for steps in [1, 2, 5] {
        let mut sampling = Sampling::new(&config, Sampler::UniPc, steps, 1.0).unwrap();
        let first = tensors["start"][..VALUES].to_vec();
        let way = trajectory(&mut sampling, first, [].chunks_exact(VALUES));
        assert!(way.iter().all(|x| x.is_finite()), "{way:?}");
    }
}

#[test]
fn what_no_sampler_offers_is_refused_with_a_remedy() {
    let (golden, _) = read();
    let config = |json: &str| serde_json::from_str::<SchedulerConfig>(json).unwrap();
    let sdxl = || golden.configs["sdxl"].clone();
    for (config, sampler, steps, strength, message) in [
        (
            sdxl(),
            Sampler::Heun,
            5,
            1.0,
            "no sampler heun; choose one of ddim",
        ),
        (sdxl(), Sampler::Ddim, 0, 1.0, "allows 1 to 1000"),
        (sdxl(), Sampler::Ddim, 1001, 1.0, "allows 1 to 1000"),
        (sdxl(), Sampler::Ddim, 1000, 1.0, "ask for fewer steps"),
        (sdxl(), Sampler::UniPc, 1000, 1.0, "allows 1 to 999"),
        (sdxl(), Sampler::Lcm, 51, 1.0, "allows 1 to 50"),
        (sdxl(), Sampler::Euler, 5, 0.1, "strength 0.1 of 5 steps"),
        (sdxl(), Sampler::Euler, 5, 1.5, "strength 1.5"),
        (sdxl(), Sampler::Euler, 5, f64::NAN, "strength NaN"),
        (
            config(r#"{"thresholding": true}"#),
            Sampler::Ddim,
            5,
            1.0,
            "thresholding",
        ),
        (
            config(r#"{"use_beta_sigmas": true}"#),
            Sampler::Euler,
            5,
            1.0,
            "use_beta_sigmas",
        ),
        (
            config(r#"{"algorithm_type": "sde-dpmsolver++"}"#),
            Sampler::DpmPlusPlus2m,
            5,
            1.0,
            "sde-dpmsolver++",
        ),
        (
            config(r#"{"solver_order": 3}"#),
            Sampler::DpmPlusPlus2m,
            5,
            1.0,
            "solver_order 3",
        ),
        (
            config(r#"{"predict_x0": false}"#),
            Sampler::UniPc,
            5,
            1.0,
            "predict_x0",
        ),
        (
            config(r#"{"_class_name": "PNDMScheduler"}"#),
            Sampler::Pndm,
            5,
            1.0,
            "skip_prk_steps",
        ),
        (
            config(r#"{"prediction_type": "sample"}"#),
            Sampler::Pndm,
            5,
            1.0,
            "clean latents",
        ),
        (
            config(r#"{"original_inference_steps": 0}"#),
            Sampler::Lcm,
            5,
            1.0,
            "original_inference_steps 0",
        ),
    ] {
        let error = Sampling::new(&config, sampler, steps, strength).err();
        let error = error.expect(message).to_string();
        assert!(error.contains(message), "{error}");
    }
}
