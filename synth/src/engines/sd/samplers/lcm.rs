//! Multistep sampling of latent consistency models (Luo et al. 2023, algorithm 3): every step jumps to the clean latents and
//! adds fresh noise; diffusers' `LCMScheduler`.

use super::{Course, DrawNoise, Level, Solver, combine};
use crate::engines::sd::schedule::{Prediction, SchedulerConfig};
use crate::{Error, Result, Sampler};

/// Standard deviation of the data in the boundary condition.
const SIGMA_DATA: f64 = 0.5;

struct Lcm {
    prediction: Prediction,
    /// The product of 1 - beta at every step.
    products: Vec<f64>,
    /// c_skip and c_out of every step (Song et al. 2023, appendix C).
    boundary: Vec<(f64, f64)>,
    clip: Option<f32>,
}

pub(super) fn course(config: &SchedulerConfig, steps: usize) -> Result<Course> {
    let cumprod = config.alphas_cumprod(Sampler::Lcm)?;
    let original = config.original_inference_steps.unwrap_or(50);
    if !(1..=cumprod.len()).contains(&original) {
        return Err(Error::Spec(format!(
            "the folder's scheduler has original_inference_steps {original}; it lies between 1 and {}",
            cumprod.len()
        )));
    }
    if !(1..=original).contains(&steps) {
        return Err(Error::Spec(format!(
            "{steps} steps; the lcm sampler allows 1 to {original}, the steps of the schedule it was distilled from"
        )));
    }
    let stride = cumprod.len() / original;
    let timesteps: Vec<usize> = (0..steps)
        .map(|i| (original - i * original / steps) * stride - 1)
        .collect();
    let scaling = config.timestep_scaling.unwrap_or(10.0);
    let products: Vec<f64> = timesteps.iter().map(|t| f64::from(cumprod[*t])).collect();
    Ok(Course {
        levels: products
            .iter()
            .map(|a| Level::variance_preserving(a.sqrt(), (1.0 - a).sqrt()))
            .collect(),
        initial_sigma: 1.0,
        solver: Box::new(Lcm {
            prediction: config.prediction(),
            products,
            boundary: timesteps
                .iter()
                .map(|t| {
                    let t = *t as f64 * scaling;
                    let square = t * t + SIGMA_DATA * SIGMA_DATA;
                    (SIGMA_DATA * SIGMA_DATA / square, t / square.sqrt())
                })
                .collect(),
            clip: (config.clip_sample == Some(true))
                .then(|| config.clip_sample_range.unwrap_or(1.0) as f32),
        }),
        timesteps: timesteps.into_iter().map(|t| t as f64).collect(),
    })
}

impl Solver for Lcm {
    fn step(&mut self, index: usize, output: &[f32], latents: &mut [f32], noise: DrawNoise<'_>) {
        let now = self.products[index];
        let (x, o) = self.prediction.clean(now.sqrt(), (1.0 - now).sqrt());
        let mut clean = combine([(x, latents), (o, output)]);
        if let Some(range) = self.clip {
            for value in &mut clean {
                *value = value.clamp(-range, range);
            }
        }
        let (skip, out) = self.boundary[index];
        let moved = match self.products.get(index + 1) {
            None => combine([(out, &clean), (skip, latents)]),
            Some(next) => {
                let fresh = noise(latents.len());
                let image = next.sqrt();
                combine([
                    (image * out, &clean),
                    (image * skip, latents),
                    ((1.0 - next).sqrt(), &fresh),
                ])
            }
        };
        latents.copy_from_slice(&moved);
    }
}
