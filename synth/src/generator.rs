//! The interface every text-to-image engine offers.

use std::fmt;

use promptfed_prompts::ContentHash;
use serde::{Deserialize, Serialize};

use crate::{Image, ImageSeed, Result};

/// A text-to-image engine.
///
/// What makes one image depends on its request alone: the same request gives the same image bit for bit
/// on one machine, whatever other requests stand beside it in the slice.
pub trait Generator: Send {
    /// What this engine is, and the settings it was made for.
    fn describe(&self) -> &EngineInfo;

    /// Makes one image per request, in order.
    ///
    /// # Errors
    /// A request outside the engine's range ([`Error::Request`](crate::Error::Request)) or a failed computation.
    fn generate(&mut self, requests: &[ImageRequest]) -> Result<Vec<Image>>;
}

/// What an engine is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EngineInfo {
    /// Name of the engine, for example `pocket`.
    pub name: String,
    /// Version of the engine's own arithmetic; changes when the same request would give another image.
    pub version: String,
    /// Hash over the weights, the configuration and the tokenizer.
    pub weights_hash: ContentHash,
    /// Height and width of the images in pixels.
    pub image_size: u32,
    /// The settings the weights were made for.
    pub defaults: SamplingDefaults,
}

/// The sampling settings an engine's weights were made for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SamplingDefaults {
    /// Number of integration steps.
    pub steps: u32,
    /// Guidance scale; 1 is no guidance.
    pub guidance: f32,
    /// Integration method.
    pub sampler: Sampler,
}

/// The method that integrates the generator's differential equation from noise to image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sampler {
    /// Euler's method: one network call per step.
    Euler,
    /// Heun's method: two network calls per step, one in the last.
    Heun,
}

impl Sampler {
    /// Network calls for one image (guided ones are made for prompt and negative prompt together).
    pub fn network_calls(self, steps: u32) -> u32 {
        match self {
            Sampler::Euler => steps,
            Sampler::Heun => (2 * steps).saturating_sub(1),
        }
    }
}

impl fmt::Display for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sampler::Euler => "euler",
            Sampler::Heun => "heun",
        })
    }
}

impl std::str::FromStr for Sampler {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "euler" => Ok(Sampler::Euler),
            "heun" => Ok(Sampler::Heun),
            _ => Err(format!(
                "unknown sampler {text:?}; there are euler and heun"
            )),
        }
    }
}

/// Everything that determines one image.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageRequest {
    /// What the image shows.
    pub prompt: String,
    /// What guidance leads away from; empty for the unconditional prompt.
    pub negative: String,
    /// What the noise is drawn from.
    pub seed: ImageSeed,
    /// Number of integration steps, 1 or more.
    pub steps: u32,
    /// Guidance scale; 1 is no guidance.
    pub guidance: f32,
    /// Integration method.
    pub sampler: Sampler,
}

impl ImageRequest {
    /// A request with the engine's own settings and no negative prompt.
    pub fn with_defaults(prompt: &str, seed: ImageSeed, engine: &EngineInfo) -> Self {
        Self {
            prompt: prompt.to_owned(),
            negative: String::new(),
            seed,
            steps: engine.defaults.steps,
            guidance: engine.defaults.guidance,
            sampler: engine.defaults.sampler,
        }
    }
}
