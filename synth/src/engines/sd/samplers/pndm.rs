//! PNDM with linear multistep steps only, also called PLMS (Liu et al. 2022, eqs. 9, 12 and 13); diffusers' `PNDMScheduler` with
//! `skip_prk_steps`, which Stable Diffusion 1 ships.
//!
//! The first step is made twice, the second time with the mean of the noise seen at both of its ends, so a run of `n` steps, 2 or
//! more, has `n + 1` network calls.
//!
//! When an image is changed and exactly one step is skipped, diffusers starts with the second of the two calls as if it were the
//! first and loses its place. Here the run starts after it.

use super::timesteps::Visits;
use super::{Course, DrawNoise, Level, Solver, combine};
use crate::engines::sd::schedule::{Prediction, SchedulerConfig};
use crate::{Error, Result, Sampler};

struct Pndm {
    prediction: Prediction,
    timesteps: Vec<usize>,
    cumprod: Vec<f32>,
    end: f64,
    stride: usize,
    /// Network outputs so far, the latest first.
    outputs: Vec<Vec<f32>>,
    /// The latents that the first step started from.
    first: Option<Vec<f32>>,
    calls: usize,
}

pub(super) fn course(config: &SchedulerConfig, steps: usize) -> Result<Course> {
    let is_own = config.class_name.as_deref() == Some("PNDMScheduler");
    if is_own && config.skip_prk_steps != Some(true) {
        return Err(Error::Spec(
            "the folder's scheduler wants a Runge-Kutta warm-up, which is not offered; set skip_prk_steps to true or use the ddim sampler".into(),
        ));
    }
    if config.prediction() == Prediction::Sample {
        return Err(Error::Spec(
            "the pndm sampler cannot follow a UNet that predicts clean latents; use the ddim sampler".into(),
        ));
    }
    let cumprod = config.alphas_cumprod(Sampler::Pndm)?;
    let train = cumprod.len();
    let mut timesteps = Visits::of(config, Sampler::Pndm, steps, train).whole()?;
    if let Some(second) = timesteps.get(1).copied() {
        timesteps.insert(1, second);
    }
    let product = |t: usize| f64::from(cumprod[t]);
    let end = if config.set_alpha_to_one.unwrap_or(false) {
        1.0
    } else {
        product(0)
    };
    Ok(Course {
        levels: timesteps
            .iter()
            .map(|t| Level::variance_preserving(product(*t).sqrt(), (1.0 - product(*t)).sqrt()))
            .collect(),
        initial_sigma: 1.0,
        solver: Box::new(Pndm {
            prediction: config.prediction(),
            timesteps: timesteps.clone(),
            cumprod,
            end,
            stride: train / steps,
            outputs: Vec::new(),
            first: None,
            calls: 0,
        }),
        timesteps: timesteps.into_iter().map(|t| t as f64).collect(),
    })
}

impl Pndm {
    /// The product of 1 - beta at a training step; before the first it is the end's.
    fn product(&self, timestep: Option<usize>) -> f64 {
        match timestep.and_then(|t| self.cumprod.get(t)) {
            Some(product) => f64::from(*product),
            None => self.end,
        }
    }

    /// Eq. 9: from `latents` at product `now` to product `next`.
    fn transfer(&self, latents: &[f32], output: &[f32], now: f64, next: f64) -> Vec<f32> {
        let (x, o) = self.prediction.noise(now.sqrt(), (1.0 - now).sqrt());
        let denominator = now * (1.0 - next).sqrt() + (now * (1.0 - now) * next).sqrt();
        let share = -(next - now) / denominator;
        combine([
            ((next / now).sqrt() + share * x, latents),
            (share * o, output),
        ])
    }
}

impl Solver for Pndm {
    fn step(&mut self, index: usize, output: &[f32], latents: &mut [f32], _: DrawNoise<'_>) {
        let timestep = self.timesteps[index];
        let call = self.calls;
        self.calls += 1;
        if call == 1 {
            // The first step again, with the noise at both of its ends.
            let mean = combine([(0.5, output), (0.5, &self.outputs[0])]);
            let start = self.first.take().unwrap_or_else(|| latents.to_vec());
            let now = self.product(Some(timestep + self.stride));
            let moved = self.transfer(&start, &mean, now, self.product(Some(timestep)));
            latents.copy_from_slice(&moved);
            return;
        }
        if call == 0 {
            self.first = Some(latents.to_vec());
        }
        self.outputs.insert(0, output.to_vec());
        self.outputs.truncate(4);
        // Adams-Bashforth, eq. 12.
        let mean = match self.outputs.as_slice() {
            [a, b] => combine([(1.5, a), (-0.5, b)]),
            [a, b, c] => combine([(23.0 / 12.0, a), (-16.0 / 12.0, b), (5.0 / 12.0, c)]),
            [a, b, c, d] => combine([
                (55.0 / 24.0, a),
                (-59.0 / 24.0, b),
                (37.0 / 24.0, c),
                (-9.0 / 24.0, d),
            ]),
            _ => output.to_vec(),
        };
        let now = self.product(Some(timestep));
        let next = self.product(timestep.checked_sub(self.stride));
        let moved = self.transfer(latents, &mean, now, next);
        latents.copy_from_slice(&moved);
    }
}
