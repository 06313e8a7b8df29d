//! What one image is made from.

use crate::{Image, ImageSeed, Sampler};

/// Everything that determines one image of Stable Diffusion.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// What the image shows.
    pub prompt: String,
    /// What guidance leads away from. An empty text is one; `None` may stand for zeros, see
    /// [`TextStages::encode_none`](super::conditioning::TextStages::encode_none).
    pub negative: Option<String>,
    /// Height in pixels, a multiple of 8.
    pub height: u32,
    /// Width in pixels, a multiple of 8.
    pub width: u32,
    /// What noise is drawn from.
    pub seed: ImageSeed,
    /// Steps of the sampler.
    pub steps: u32,
    /// Guidance scale w in u + w (c - u) (Ho and Salimans 2022, eq. 6, with w = 1 + their w); 1 and below is no guidance.
    pub guidance: f32,
    /// The part of the way on which guidance acts, from 0 (noise) to 1 (image), both included (Kynkäänniemi et al. 2024).
    pub guidance_interval: [f64; 2],
    /// The sampler.
    pub sampler: Sampler,
    /// What the sampler begins with.
    pub start: Start,
    /// Noise in place of the seed's.
    pub noise: Option<GivenNoise>,
}

/// Noise that was made elsewhere.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GivenNoise {
    /// Standard normal values, [4, height / 8, width / 8].
    pub latents: Vec<f32>,
    /// The noise of the steps of a sampler that draws it, one after the other; the seed's where it ends.
    pub steps: Vec<f32>,
}

/// What a sampler begins with.
#[derive(Clone, Debug, PartialEq)]
pub enum Start {
    /// Noise.
    Noise,
    /// Another image of the same size, changed by the last `strength` (0 excluded, to 1) of the steps (Meng et al. 2021).
    Image {
        /// The image.
        image: Image,
        /// How much of the way is gone.
        strength: f64,
    },
}

impl Start {
    /// The share of the steps that are made.
    pub(super) fn strength(&self) -> f64 {
        match self {
            Start::Image { strength, .. } => *strength,
            Start::Noise => 1.0,
        }
    }
}

/// Sizes above this are taken for mistakes.
pub(super) const LARGEST: u32 = 8192;

impl Request {
    /// What is wrong with the request, if anything; `reduction` is the size of images over that of their latents.
    pub(super) fn fault(&self, reduction: u32) -> Option<String> {
        let sides = [self.height, self.width];
        if sides
            .iter()
            .any(|s| *s == 0 || s % reduction != 0 || *s > LARGEST)
        {
            return Some(format!(
                "height {} and width {}; ask for multiples of {reduction} up to {LARGEST}",
                self.height, self.width
            ));
        }
        let latents = (self.height / reduction * (self.width / reduction) * 4) as usize;
        if !(1..=1000).contains(&self.steps) {
            return Some(format!("{} steps; ask for 1 to 1000", self.steps));
        }
        if !self.guidance.is_finite() {
            return Some(format!(
                "guidance {}; ask for a finite number",
                self.guidance
            ));
        }
        let [from, to] = self.guidance_interval;
        if !(0.0..=1.0).contains(&from) || !(from..=1.0).contains(&to) {
            return Some(format!(
                "guidance from {from} to {to}; ask for an interval within 0 to 1"
            ));
        }
        if let Some(given) = &self.noise
            && given.latents.len() != latents
        {
            return Some(format!(
                "{} values of noise; an image of {} x {} begins with {latents}",
                given.latents.len(),
                self.height,
                self.width
            ));
        }
        match &self.start {
            Start::Image { image, .. }
                if (image.height(), image.width()) != (self.height, self.width) =>
            {
                Some(format!(
                    "the image to begin with has {} x {} pixels and not {} x {}; resize it",
                    image.height(),
                    image.width(),
                    self.height,
                    self.width
                ))
            }
            Start::Image { strength, .. } if !(*strength > 0.0 && *strength <= 1.0) => Some(
                format!("strength {strength}; ask for more than 0 and at most 1"),
            ),
            _ => None,
        }
    }
}
