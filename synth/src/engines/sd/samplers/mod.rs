//! The samplers: one file each, all behind [`Sampling`], each with the numbers of the diffusers class that its file names.

mod ddim;
mod dpm_plus_plus_2m;
mod euler;
mod euler_ancestral;
mod lcm;
mod pndm;
mod sigmas;
mod timesteps;
mod unipc;

use super::schedule::SchedulerConfig;
use crate::{Error, Result, Sampler};

/// Draws this many standard normal values.
pub type DrawNoise<'a> = &'a mut dyn FnMut(usize) -> Vec<f32>;

/// The way of one image from noise to clean latents.
///
/// Latents start as noise times [`initial_sigma`](Self::initial_sigma), or as [`add_noise`](Self::add_noise) of an image's
/// latents. For every `i` in `0..len()`, in this order, the UNet is called at [`timestep(i)`](Self::timestep) with
/// [`scale_input(i, latents)`](Self::scale_input), and [`step(i, ..)`](Self::step) moves the latents.
pub struct Sampling {
    course: Course,
    /// Network calls left out at the start, when an image is changed rather than made.
    begin: usize,
}

/// What a sampler prepares for its whole run.
struct Course {
    /// The training step of every network call, possibly between two.
    timesteps: Vec<f64>,
    /// What latents consist of at every network call.
    levels: Vec<Level>,
    /// Standard deviation of the first latents.
    initial_sigma: f64,
    solver: Box<dyn Solver>,
}

/// Latents are `image` times the clean latents plus `noise` times standard normal noise; the network sees them times `input`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Level {
    image: f64,
    noise: f64,
    input: f64,
}

impl Level {
    /// Latents whose variance stays 1.
    fn variance_preserving(image: f64, noise: f64) -> Self {
        let input = 1.0;
        Self {
            image,
            noise,
            input,
        }
    }

    /// Latents whose variance grows with the noise.
    fn variance_exploding(sigma: f64) -> Self {
        Self {
            image: 1.0,
            noise: sigma,
            input: 1.0 / (sigma * sigma + 1.0).sqrt(),
        }
    }
}

/// The arithmetic of one step.
trait Solver: Send {
    /// Moves the latents over network call `index`.
    fn step(&mut self, index: usize, output: &[f32], latents: &mut [f32], noise: DrawNoise<'_>);
}

impl Sampling {
    /// Prepares `steps` steps. With a `strength` below 1, 0 excluded, only the last `strength * steps` of them are made, from an
    /// image's latents (image to image); diffusers counts likewise.
    ///
    /// # Errors
    /// Settings that the sampler does not offer, too many steps, or a strength that leaves none; the message says which.
    pub fn new(
        config: &SchedulerConfig,
        sampler: Sampler,
        steps: u32,
        strength: f64,
    ) -> Result<Self> {
        if config.thresholding == Some(true) {
            return Err(Error::Spec(
                "the folder's scheduler sets thresholding, which is for images, not for latents; set it to false".into(),
            ));
        }
        let count = steps as usize;
        let course = match sampler {
            Sampler::Ddim => ddim::course(config, count)?,
            Sampler::Euler => euler::course(config, count)?,
            Sampler::EulerAncestral => euler_ancestral::course(config, count)?,
            Sampler::DpmPlusPlus2m => dpm_plus_plus_2m::course(config, count, false)?,
            Sampler::DpmPlusPlus2mKarras => dpm_plus_plus_2m::course(config, count, true)?,
            Sampler::UniPc => unipc::course(config, count)?,
            Sampler::Lcm => lcm::course(config, count)?,
            Sampler::Pndm => pndm::course(config, count)?,
            Sampler::Heun | Sampler::Ab2 | Sampler::Service => {
                return Err(Error::Spec(format!(
                    "the sd engine has no sampler {sampler}; choose one of {}",
                    Sampler::names(Sampler::DIFFUSION)
                )));
            }
        };
        let kept = (f64::from(steps) * strength) as usize;
        if !(strength > 0.0 && strength <= 1.0) || kept == 0 {
            return Err(Error::Spec(format!(
                "strength {strength} of {steps} steps leaves no step; the strength lies between 1/steps and 1"
            )));
        }
        let begin = match (sampler, count - kept) {
            // See the module of PNDM: its second call belongs to its first.
            (Sampler::Pndm, 1) => 2.min(course.timesteps.len() - 1),
            (_, skipped) => skipped,
        };
        Ok(Self { course, begin })
    }

    /// Network calls of the run.
    #[allow(clippy::len_without_is_empty)] // Never empty.
    pub fn len(&self) -> usize {
        self.course.timesteps.len() - self.begin
    }

    /// The training step of network call `i`, 0 (clean) to T - 1 (noise), possibly between two.
    pub fn timestep(&self, i: usize) -> f64 {
        self.course.timesteps[self.begin + i]
    }

    /// What standard normal noise is multiplied with to give the first latents.
    pub fn initial_sigma(&self) -> f32 {
        self.course.initial_sigma as f32
    }

    /// What the network sees of the latents at call `i`.
    pub fn scale_input(&self, i: usize, latents: &[f32]) -> Vec<f32> {
        let scale = self.course.levels[self.begin + i].input as f32;
        latents.iter().map(|x| x * scale).collect()
    }

    /// Moves the latents over network call `i`, which gave `output`; `noise` is called where the sampler adds noise.
    pub fn step(&mut self, i: usize, output: &[f32], latents: &mut [f32], noise: DrawNoise<'_>) {
        let index = self.begin + i;
        self.course.solver.step(index, output, latents, noise);
    }

    /// The first latents of an image that is to be changed: its latents with as much noise as call 0 expects.
    pub fn add_noise(&self, original: &[f32], noise: &[f32]) -> Vec<f32> {
        let level = self.course.levels[self.begin];
        combine([(level.image, original), (level.noise, noise)])
    }
}

/// The sum of vectors with their coefficients; a vector with coefficient 0 does not count, whatever it holds.
fn combine<const N: usize>(terms: [(f64, &[f32]); N]) -> Vec<f32> {
    let mut sum = vec![0.0f64; terms[0].1.len()];
    for (coefficient, values) in terms {
        if coefficient != 0.0 {
            for (sum, value) in sum.iter_mut().zip(values) {
                *sum += coefficient * f64::from(*value);
            }
        }
    }
    sum.into_iter().map(|value| value as f32).collect()
}
