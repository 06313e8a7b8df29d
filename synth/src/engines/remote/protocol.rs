//! OpenAI's images API, as far as it is used here, with what servers of this program add to it.
//!
//! Fields of this program's own are `negative_prompt`, `steps`, `guidance_scale`, `sampler`, a `seed` that may be a whole image seed,
//! and the objects called `promptfed`.

use serde::{Deserialize, Serialize};

use promptfed_prompts::ContentHash;

use crate::{EngineInfo, ImageSeed};

/// `POST images/generations`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenerationRequest {
    /// What the image shows.
    pub prompt: String,
    /// The model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Images of the prompt; 1 where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u32>,
    /// `WIDTHxHEIGHT` in pixels, or `auto`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// `b64_json` or `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_format: Option<String>,
    /// What noise is drawn from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<RequestSeed>,
    /// What guidance leads away from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub negative_prompt: Option<String>,
    /// Integration steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
    /// Guidance scale; 1 is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guidance_scale: Option<f32>,
    /// Integration method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampler: Option<String>,
    /// Who asks, which changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

impl GenerationRequest {
    /// A request that says nothing but its prompt.
    pub fn of(prompt: String) -> Self {
        Self {
            prompt,
            model: None,
            n: None,
            size: None,
            response_format: None,
            seed: None,
            negative_prompt: None,
            steps: None,
            guidance_scale: None,
            sampler: None,
            user: None,
        }
    }
}

/// What noise is drawn from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RequestSeed {
    /// A number.
    Number(u64),
    /// The 64 hexadecimal digits of a whole image seed.
    Whole(String),
}

impl RequestSeed {
    /// The image seed; `None` of a text that is none. A number's is [`ImageSeed::from_u64`].
    pub fn image_seed(&self) -> Option<ImageSeed> {
        match self {
            Self::Number(number) => Some(ImageSeed::from_u64(*number)),
            Self::Whole(text) => text.parse().ok(),
        }
    }
}

/// What `POST images/generations` answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Generations {
    /// When, in seconds since 1970.
    #[serde(default)]
    pub created: u64,
    /// The images.
    pub data: Vec<Generated>,
    /// What made them, where a server of this program did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promptfed: Option<MadeBy>,
}

/// One image.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Generated {
    /// The picture file in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub b64_json: Option<String>,
    /// Where the picture file is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The whole seed of the image, where a server of this program made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<String>,
    /// Whether the draw held values that are not numbers; its picture then shows nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub non_finite: bool,
    /// Whether the draw had to be decoded again in f32.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub upcast: bool,
}

/// The engine that made an answer's images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeBy {
    /// Version of its arithmetic.
    pub version: String,
    /// Hash of its weights.
    pub weights_hash: ContentHash,
}

/// What `GET models` answers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Models {
    /// `list`.
    #[serde(default)]
    pub object: String,
    /// The models.
    pub data: Vec<Model>,
}

/// One model.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Model {
    /// Its name.
    pub id: String,
    /// `model`.
    #[serde(default)]
    pub object: String,
    /// When it was made, in seconds since 1970.
    #[serde(default)]
    pub created: u64,
    /// Whose it is.
    #[serde(default)]
    pub owned_by: String,
    /// What a server of this program says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promptfed: Option<Box<Extension>>,
}

/// What a server of this program says of an engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Extension {
    /// The engine.
    pub engine: EngineInfo,
    /// Height and width of its images in pixels.
    pub size: [u32; 2],
    /// Whether negative prompts have an effect.
    pub takes_negatives: bool,
    /// Whether weights of words, as in `a (red:1.3) car`, are more to it than plain text; earlier versions do not say.
    #[serde(default)]
    pub reads_weights: bool,
}
