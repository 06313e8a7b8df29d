//! DDIM (Song, Meng and Ermon 2021, eq. 12, eta = 0); diffusers' `DDIMScheduler`.

use super::timesteps::Visits;
use super::{Course, DrawNoise, Level, Solver, combine};
use crate::engines::sd::schedule::{Prediction, SchedulerConfig};
use crate::{Result, Sampler};

struct Ddim {
    prediction: Prediction,
    /// The product of 1 - beta before and after every step.
    products: Vec<(f64, f64)>,
    /// To what clean latents are clipped.
    clip: Option<f32>,
}

pub(super) fn course(config: &SchedulerConfig, steps: usize) -> Result<Course> {
    let cumprod = config.alphas_cumprod(Sampler::Ddim)?;
    let train = cumprod.len();
    let timesteps = Visits::of(config, Sampler::Ddim, steps, train).whole()?;
    let end = if config.set_alpha_to_one.unwrap_or(true) {
        1.0
    } else {
        f64::from(cumprod[0])
    };
    let product = |t: usize| f64::from(cumprod[t]);
    // The step is the same everywhere, whatever the spacing of the steps.
    let stride = train / steps;
    let products: Vec<_> = timesteps
        .iter()
        .map(|t| (product(*t), t.checked_sub(stride).map_or(end, product)))
        .collect();
    Ok(Course {
        levels: products
            .iter()
            .map(|(a, _)| Level::variance_preserving(a.sqrt(), (1.0 - a).sqrt()))
            .collect(),
        timesteps: timesteps.into_iter().map(|t| t as f64).collect(),
        initial_sigma: 1.0,
        solver: Box::new(Ddim {
            prediction: config.prediction(),
            products,
            clip: config
                .clip_sample
                .unwrap_or(true)
                .then(|| config.clip_sample_range.unwrap_or(1.0) as f32),
        }),
    })
}

impl Solver for Ddim {
    fn step(&mut self, index: usize, output: &[f32], latents: &mut [f32], _: DrawNoise<'_>) {
        let (now, next) = self.products[index];
        let (alpha, sigma) = (now.sqrt(), (1.0 - now).sqrt());
        let (x, o) = self.prediction.clean(alpha, sigma);
        let mut clean = combine([(x, latents), (o, output)]);
        if let Some(range) = self.clip {
            for value in &mut clean {
                *value = value.clamp(-range, range);
            }
        }
        let (x, o) = self.prediction.noise(alpha, sigma);
        let rest = (1.0 - next).sqrt();
        let moved = combine([
            (next.sqrt(), &clean),
            (rest * x, latents),
            (rest * o, output),
        ]);
        latents.copy_from_slice(&moved);
    }
}
