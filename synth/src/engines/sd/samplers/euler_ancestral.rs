//! Euler's method with fresh noise at every step: down to less noise than the next level has, then up to it again (Song et
//! al. 2021, appendix C; Crowson's k-diffusion); diffusers' `EulerAncestralDiscreteScheduler`.

use super::euler::{clean, exploding_course, visited};
use super::sigmas::closed;
use super::{Course, DrawNoise, Solver, combine};
use crate::engines::sd::schedule::{FinalSigma, Prediction, SchedulerConfig};
use crate::{Result, Sampler};

struct EulerAncestral {
    prediction: Prediction,
    sigmas: Vec<f64>,
}

pub(super) fn course(config: &SchedulerConfig, steps: usize) -> Result<Course> {
    let (timesteps, sigmas, table) = visited(config, Sampler::EulerAncestral, steps)?;
    let sigmas = closed(sigmas, FinalSigma::Zero, table.least());
    Ok(exploding_course(
        config,
        Sampler::EulerAncestral,
        timesteps,
        &sigmas,
        Box::new(EulerAncestral {
            prediction: config.prediction(),
            sigmas: sigmas.clone(),
        }),
    ))
}

impl Solver for EulerAncestral {
    fn step(&mut self, index: usize, output: &[f32], latents: &mut [f32], noise: DrawNoise<'_>) {
        let (now, next) = (self.sigmas[index], self.sigmas[index + 1]);
        let up = (next.powi(2) * (now.powi(2) - next.powi(2)) / now.powi(2)).sqrt();
        let down = (next.powi(2) - up.powi(2)).max(0.0).sqrt();
        let (x, o) = clean(self.prediction, now);
        let ratio = (down - now) / now;
        let (x, o) = (1.0 + ratio * (1.0 - x), -ratio * o);
        let moved = if up > 0.0 {
            let fresh = noise(latents.len());
            combine([(x, latents), (o, output), (up, &fresh)])
        } else {
            combine([(x, latents), (o, output)])
        };
        latents.copy_from_slice(&moved);
    }
}
