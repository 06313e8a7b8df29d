//! Euler's method on the probability-flow equation dx/dsigma = (x - clean) / sigma (Karras et al. 2022, algorithm 1 without
//! correction); diffusers' `EulerDiscreteScheduler`.

use super::sigmas::{SigmaTable, closed, karras, refuse_other_spacings};
use super::timesteps::Visits;
use super::{Course, DrawNoise, Level, Solver, combine};
use crate::engines::sd::schedule::{FinalSigma, Prediction, SchedulerConfig, Spacing};
use crate::{Error, Result, Sampler};

struct Euler {
    prediction: Prediction,
    sigmas: Vec<f64>,
}

pub(super) fn course(config: &SchedulerConfig, steps: usize) -> Result<Course> {
    refuse_other_spacings(config)?;
    for (key, value, offered) in [
        ("interpolation_type", &config.interpolation_type, "linear"),
        ("timestep_type", &config.timestep_type, "discrete"),
    ] {
        if value.as_deref().is_some_and(|value| value != offered) {
            return Err(Error::Spec(format!(
                "the folder's scheduler sets {key} to other than {offered}, which is not offered; use another sampler"
            )));
        }
    }
    let (mut timesteps, mut sigmas, table) = visited(config, Sampler::Euler, steps)?;
    if config.use_karras_sigmas == Some(true) {
        let greatest = config.sigma_max.unwrap_or(sigmas[0]);
        let least = config.sigma_min.unwrap_or(sigmas[sigmas.len() - 1]);
        sigmas = karras(greatest, least, steps);
        timesteps = sigmas.iter().map(|s| single(table.step_of(*s))).collect();
    }
    let end = config.final_sigmas_type.unwrap_or(FinalSigma::Zero);
    let sigmas = closed(sigmas, end, table.least());
    Ok(exploding_course(
        config,
        Sampler::Euler,
        timesteps,
        &sigmas,
        Box::new(Euler {
            prediction: config.prediction(),
            sigmas: sigmas.clone(),
        }),
    ))
}

/// The steps that are visited, their noise levels, and those of all training steps.
pub(super) fn visited(
    config: &SchedulerConfig,
    sampler: Sampler,
    steps: usize,
) -> Result<(Vec<f64>, Vec<f64>, SigmaTable)> {
    let table = SigmaTable::new(&config.alphas_cumprod(sampler)?);
    let train = config.train_timesteps();
    let timesteps = Visits::of(config, sampler, steps, train).timesteps()?;
    let timesteps: Vec<f64> = timesteps.into_iter().map(single).collect();
    let sigmas = timesteps.iter().map(|t| table.at(*t)).collect();
    Ok((timesteps, sigmas, table))
}

/// A course in latents whose variance grows with the noise.
pub(super) fn exploding_course(
    config: &SchedulerConfig,
    sampler: Sampler,
    timesteps: Vec<f64>,
    sigmas: &[f64],
    solver: Box<dyn Solver>,
) -> Course {
    let greatest = sigmas.iter().copied().fold(0.0, f64::max);
    Course {
        levels: sigmas[..timesteps.len()]
            .iter()
            .map(|sigma| Level::variance_exploding(*sigma))
            .collect(),
        timesteps,
        initial_sigma: match config.spacing(sampler) {
            Spacing::Linspace | Spacing::Trailing => greatest,
            Spacing::Leading => (greatest * greatest + 1.0).sqrt(),
        },
        solver,
    }
}

/// The clean latents as `c.0 x + c.1 output`, where x = image + sigma noise.
pub(super) fn clean(prediction: Prediction, sigma: f64) -> (f64, f64) {
    match prediction {
        Prediction::Epsilon => (1.0, -sigma),
        Prediction::VPrediction => (
            1.0 / (sigma * sigma + 1.0),
            -sigma / (sigma * sigma + 1.0).sqrt(),
        ),
        Prediction::Sample => (0.0, 1.0),
    }
}

/// diffusers keeps the steps of these classes in f32.
fn single(timestep: f64) -> f64 {
    f64::from(timestep as f32)
}

impl Solver for Euler {
    fn step(&mut self, index: usize, output: &[f32], latents: &mut [f32], _: DrawNoise<'_>) {
        let (now, next) = (self.sigmas[index], self.sigmas[index + 1]);
        let (x, o) = clean(self.prediction, now);
        let ratio = (next - now) / now;
        let moved = combine([(1.0 + ratio * (1.0 - x), latents), (-ratio * o, output)]);
        latents.copy_from_slice(&moved);
    }
}
