//! The messages, as far as they are used here.

use serde::{Deserialize, Serialize};

use crate::{ImageRequest, Sampler};

/// `POST sdapi/v1/txt2img`.
#[derive(Serialize)]
pub(super) struct Txt2Img<'a> {
    prompt: &'a str,
    negative_prompt: &'a str,
    seed: u32,
    steps: u32,
    cfg_scale: f32,
    width: u32,
    height: u32,
    sampler_name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduler: Option<&'static str>,
    batch_size: u32,
    n_iter: u32,
    send_images: bool,
    save_images: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    override_settings: Option<Settings>,
    override_settings_restore_afterwards: bool,
}

impl<'a> Txt2Img<'a> {
    pub(super) fn new(
        request: &'a ImageRequest,
        seed: u32,
        size: u32,
        model: Option<&str>,
        has_schedulers: bool,
    ) -> Self {
        let (sampler_name, scheduler) = words(request.sampler, has_schedulers);
        Self {
            prompt: &request.prompt,
            negative_prompt: &request.negative,
            seed,
            steps: request.steps,
            cfg_scale: request.guidance,
            width: size,
            height: size,
            sampler_name,
            scheduler,
            batch_size: 1,
            n_iter: 1,
            send_images: true,
            save_images: false,
            override_settings: model.map(|model| Settings {
                sd_model_checkpoint: Some(model.to_owned()),
            }),
            override_settings_restore_afterwards: false,
        }
    }
}

/// The samplers that have a name there.
pub(super) const SAMPLERS: [Sampler; 9] = [
    Sampler::EulerAncestral,
    Sampler::Euler,
    Sampler::Heun,
    Sampler::Ddim,
    Sampler::DpmPlusPlus2m,
    Sampler::DpmPlusPlus2mKarras,
    Sampler::UniPc,
    Sampler::Lcm,
    Sampler::Pndm,
];

/// What a sampler is called there, and its noise levels where these are asked for apart.
pub(super) fn words(
    sampler: Sampler,
    has_schedulers: bool,
) -> (&'static str, Option<&'static str>) {
    match sampler {
        Sampler::EulerAncestral => ("Euler a", None),
        Sampler::Euler => ("Euler", None),
        Sampler::Heun => ("Heun", None),
        Sampler::Ddim => ("DDIM", None),
        Sampler::DpmPlusPlus2m if has_schedulers => ("DPM++ 2M", Some("Normal")),
        Sampler::DpmPlusPlus2m => ("DPM++ 2M", None),
        Sampler::DpmPlusPlus2mKarras if has_schedulers => ("DPM++ 2M", Some("Karras")),
        Sampler::DpmPlusPlus2mKarras => ("DPM++ 2M Karras", None),
        Sampler::UniPc => ("UniPC", None),
        Sampler::Lcm => ("LCM", None),
        Sampler::Pndm => ("PLMS", None),
        Sampler::Ab2 | Sampler::Service => ("", None),
    }
}

/// What `sdapi/v1/txt2img` answers.
#[derive(Deserialize)]
pub(super) struct Answer {
    pub(super) images: Vec<String>,
    /// [`Made`] as JSON in a text.
    #[serde(default)]
    pub(super) info: String,
}

/// What the server says of an image.
#[derive(Default, Deserialize)]
pub(super) struct Made {
    pub(super) seed: Option<i64>,
    pub(super) sd_model_hash: Option<String>,
}

/// `GET sdapi/v1/options`.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Settings {
    pub(super) sd_model_checkpoint: Option<String>,
}

/// Of `GET sdapi/v1/samplers`.
#[derive(Deserialize)]
pub(super) struct SamplerEntry {
    pub(super) name: String,
}

/// Of `GET sdapi/v1/sd-models`.
#[derive(Deserialize)]
pub(super) struct Checkpoint {
    pub(super) title: String,
    #[serde(default)]
    model_name: String,
    #[serde(default)]
    hash: Option<String>,
    #[serde(default)]
    sha256: Option<String>,
}

impl Checkpoint {
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.title == name || self.model_name == name
    }

    /// Whether it is the same file, whatever the server has learned of it since.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let is_named = !self.model_name.is_empty() && self.model_name == other.model_name;
        self.title == other.title || is_named
    }

    /// The longer of its hashes.
    pub(super) fn hash(&self) -> Option<String> {
        self.sha256.clone().or_else(|| self.hash.clone())
    }
}
