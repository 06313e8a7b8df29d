//! The interface every text-to-image engine offers.

use std::collections::BTreeMap;
use std::fmt;

use promptfed_prompts::ContentHash;
use promptfed_prompts::protocol::GUIDANCE;
use serde::{Deserialize, Serialize};

use crate::{Image, ImageSeed, Result};

/// A text-to-image engine.
///
/// What makes one image depends on its request alone: the same request gives the same image bit for bit
/// on one machine, whatever other requests stand beside it in the slice.
pub trait Generator: Send {
    /// What this engine is, and the settings it was made for.
    fn describe(&self) -> &EngineInfo;

    /// The words of a prompt that the engine was never shown, so that images of them will not look like them; none where the
    /// engine cannot tell.
    fn unknown_words(&self, _prompt: &str) -> Vec<String> {
        Vec::new()
    }

    /// The end of a text that the engine does not read, because its text encoder takes no more; `None` where it reads all of it.
    fn cut<'t>(&self, text: &'t str) -> Option<&'t str> {
        let _ = text;
        None
    }

    /// The tokens that the engine reads of a text, the same for texts that it cannot tell apart; `None` where it does not say.
    fn tokens(&self, text: &str) -> Option<Vec<u32>> {
        let _ = text;
        None
    }

    /// Whether negative prompts have an effect where guidance is above 1. A network that is told its guidance scale takes none.
    fn takes_negatives(&self) -> bool {
        true
    }

    /// Whether weights of words, as in `a (red:1.3) car`, are more to it than plain text, or may be.
    fn reads_weights(&self) -> bool {
        false
    }

    /// What is wrong with a request, if anything, and what would be right; told before anything is made or written. An engine
    /// that takes every request need not say so.
    fn fault(&self, request: &ImageRequest) -> Option<String> {
        let _ = request;
        None
    }

    /// Height and width in pixels of every image it makes.
    fn size(&self) -> [u32; 2] {
        [self.describe().image_size; 2]
    }

    /// Makes one image per request, in order.
    ///
    /// # Errors
    /// A request outside the engine's range ([`Error::Request`](crate::Error::Request)), a failed computation, or a service that does
    /// not give what it should ([`Error::Backend`](crate::Error::Backend)).
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
    /// The samplers it can be asked for, its own among them; none where it does not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samplers: Vec<Sampler>,
    /// Whether the same request makes the same image.
    #[serde(default)]
    pub reproducible: Reproducible,
    /// What else determines the images, by name, such as their height and width where they are not the engine's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// Where the weights are from, where they were downloaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// Whether an engine makes the same image of the same request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reproducible {
    /// Bit for bit, on one machine.
    #[default]
    Exact,
    /// It draws its noise from the seed, and promises no more.
    Seeded,
    /// It takes no seed.
    No,
}

impl Reproducible {
    /// What it means for an image that is made again, in words.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Exact => "the same images come of the same seeds, bit for bit",
            Self::Seeded => {
                "images come of seeds, and may differ a little when they are made again"
            }
            Self::No => "images are others when they are made again",
        }
    }
}

/// Where downloaded weights are from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The model's id on the hub, `owner/name`.
    pub model: String,
    /// The commit.
    pub revision: String,
    /// Hash of every file that was used, by its path in the model.
    pub files: BTreeMap<String, ContentHash>,
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
pub enum Sampler {
    /// Euler's method: one network call per step.
    #[serde(rename = "euler")]
    Euler,
    /// Heun's method: two network calls per step, one in the last.
    #[serde(rename = "heun")]
    Heun,
    /// The two-step method of Adams and Bashforth: one network call per step, for flow models.
    #[serde(rename = "ab2")]
    Ab2,
    /// Euler's method with fresh noise at every step.
    #[serde(rename = "euler-ancestral")]
    EulerAncestral,
    /// DDIM (Song, Meng and Ermon 2021).
    #[serde(rename = "ddim")]
    Ddim,
    /// DPM-Solver++(2M) (Lu et al. 2022).
    #[serde(rename = "dpm++2m")]
    DpmPlusPlus2m,
    /// DPM-Solver++(2M) with the noise levels of Karras et al. 2022.
    #[serde(rename = "dpm++2m-karras")]
    DpmPlusPlus2mKarras,
    /// UniPC (Zhao et al. 2023).
    #[serde(rename = "unipc")]
    UniPc,
    /// Latent consistency models' own (Luo et al. 2023).
    #[serde(rename = "lcm")]
    Lcm,
    /// PNDM without warm-up (Liu et al. 2022): one network call more than steps.
    #[serde(rename = "pndm")]
    Pndm,
    /// Whatever a service uses that is not told.
    #[serde(rename = "service")]
    Service,
}

impl Sampler {
    /// The samplers of the bundled generator.
    pub const FLOW: &[Sampler] = &[Sampler::Euler, Sampler::Heun, Sampler::Ab2];

    /// The samplers of diffusion models.
    pub const DIFFUSION: &[Sampler] = &[
        Sampler::Ddim,
        Sampler::Euler,
        Sampler::EulerAncestral,
        Sampler::DpmPlusPlus2m,
        Sampler::DpmPlusPlus2mKarras,
        Sampler::UniPc,
        Sampler::Lcm,
        Sampler::Pndm,
    ];

    /// Network calls for one image (guided ones are made for prompt and negative prompt together).
    pub fn network_calls(self, steps: u32) -> u32 {
        match self {
            Sampler::Heun => (2 * steps).saturating_sub(1),
            Sampler::Pndm if steps > 1 => steps + 1,
            _ => steps,
        }
    }

    /// The name under which a sampler is asked for and recorded.
    pub fn name(self) -> &'static str {
        match self {
            Sampler::Euler => "euler",
            Sampler::Heun => "heun",
            Sampler::Ab2 => "ab2",
            Sampler::EulerAncestral => "euler-ancestral",
            Sampler::Ddim => "ddim",
            Sampler::DpmPlusPlus2m => "dpm++2m",
            Sampler::DpmPlusPlus2mKarras => "dpm++2m-karras",
            Sampler::UniPc => "unipc",
            Sampler::Lcm => "lcm",
            Sampler::Pndm => "pndm",
            Sampler::Service => "service",
        }
    }

    /// The names of several samplers, for a message.
    pub(crate) fn names(samplers: &[Sampler]) -> String {
        let names: Vec<_> = samplers.iter().map(|sampler| sampler.name()).collect();
        names.join(", ")
    }
}

impl fmt::Display for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Sampler {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = || {
            [Sampler::Heun, Sampler::Ab2, Sampler::Service]
                .into_iter()
                .chain(Self::DIFFUSION.iter().copied())
        };
        all().find(|sampler| sampler.name() == text).ok_or_else(|| {
            let names: Vec<_> = all().map(Sampler::name).collect();
            format!("unknown sampler {text:?}; there are {}", names.join(", "))
        })
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
    /// Guidance scale, in [`GUIDANCE`]; 1 is no guidance.
    pub guidance: f32,
    /// Integration method.
    pub sampler: Sampler,
}

impl ImageRequest {
    /// What is wrong with the guidance, if anything: one rule for all engines.
    pub(crate) fn guidance_fault(&self) -> Option<String> {
        let [least, most] = [GUIDANCE.start(), GUIDANCE.end()];
        (!GUIDANCE.contains(&f64::from(self.guidance))).then(|| {
            format!(
                "guidance {}; ask for {least} (no guidance) to {most}",
                self.guidance
            )
        })
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_are_what_is_recorded() {
        for sampler in Sampler::DIFFUSION.iter().chain(Sampler::FLOW) {
            let name = sampler.to_string();
            assert_eq!(name.parse::<Sampler>().unwrap(), *sampler);
            assert_eq!(
                serde_json::to_string(sampler).unwrap(),
                format!("\"{name}\"")
            );
        }
        assert!("ddpm".parse::<Sampler>().unwrap_err().contains("unipc"));
    }
}
