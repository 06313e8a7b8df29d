//! `pocket`: a small flow-matching transformer in pixel space that predicts the clean image, after "Back to Basics: Let
//! Denoising Generative Models Denoise" (Li and He 2025), with classifier-free guidance (Ho and Salimans 2022).
//!
//! `synth/pocket/pocket.py` defines the same network in PyTorch.
//!
//! Every row of a product is computed alike whatever stands beside it, so that an image's bits do not depend on how many
//! others are made with it. They may differ in the last bits between instruction sets, which add in another order.

mod config;
mod network;
mod patches;
mod sampler;
mod text;
mod tokenizer;
mod words;

use std::path::Path;
use std::sync::Arc;

use candle_core::Device;
use promptfed_nn::Precision;
use promptfed_nn::load::Loader;
use promptfed_nn::noise::standard_normal;
use promptfed_prompts::ContentHash;
use rayon::prelude::*;

pub use config::{Config, Prediction, SamplerConfig};
pub use text::TextFeatures;
pub use words::KnownWords;

use self::network::{Conditions, Network};
use self::sampler::Schedule;
use self::text::TextEncoder;
use self::tokenizer::Tokenizer;
use crate::engines::device;
use crate::engines::prompt_cache::PromptCache;
use crate::{EngineInfo, Error, Generator, Image, ImageRequest, Reproducible, Result, Sampler};

/// Changes when the same request would give another image.
const VERSION: &str = "3";

/// Encoded prompts that are kept; at the usual width of 384 this is 8 MB.
const PROMPTS_KEPT: usize = 1024;

/// Rows of the largest matrices that a group aims at: enough for full speed, few enough for the caches.
const GROUP_ROWS: usize = 1024;

/// The engine with its weights in memory.
pub struct Pocket {
    info: EngineInfo,
    config: Config,
    tokenizer: Tokenizer,
    words: Option<KnownWords>,
    text: TextEncoder,
    network: Network,
    cache: PromptCache<TextFeatures>,
    /// See [`patches::planar_positions`].
    positions: Vec<usize>,
    /// Images made together.
    group: usize,
}

/// One image on its way.
struct Draft {
    prompt: Arc<TextFeatures>,
    negative: Arc<TextFeatures>,
    guidance: f32,
    /// In patches.
    noise: Vec<f32>,
}

impl Pocket {
    /// The generator that comes with the program, of photographs and drawings; `photo` and `draw` beside it are loaded from
    /// [`bundled_assets`](crate::bundled_assets).
    ///
    /// # Errors
    /// As [`Pocket::load`], and where the bundled weights are nowhere.
    pub fn bundled() -> Result<Self> {
        Self::load(&crate::bundled_assets()?.join("pocket/all"))
    }

    /// Loads `config.json`, `tokenizer.json` and `model.safetensors` (f16 or f32) from a folder.
    ///
    /// # Errors
    /// A file that is missing or not what it should be; tensors that are missing, unknown or of another shape, all
    /// in one error.
    pub fn load(dir: &Path) -> Result<Self> {
        Self::load_with(dir, Precision::chosen())
    }

    /// [`Pocket::load`] with the weights kept in `precision`.
    ///
    /// # Errors
    /// As [`Pocket::load`].
    pub fn load_with(dir: &Path, precision: Precision) -> Result<Self> {
        Self::load_on(dir, precision, &Device::Cpu)
    }

    /// [`Pocket::load_with`] on a device; on a graphics card the weights are f32 whatever the precision.
    ///
    /// # Errors
    /// As [`Pocket::load`].
    pub fn load_on(dir: &Path, precision: Precision, device: &Device) -> Result<Self> {
        let precision = if device.is_cpu() {
            precision
        } else {
            Precision::F32
        };
        let files =
            ["config.json", "tokenizer.json", "model.safetensors"].map(|name| dir.join(name));
        let [config_file, tokenizer_file, weights_file] = &files;
        let config = Config::read(config_file)?;
        let tokenizer = Tokenizer::read(tokenizer_file, &config)?;
        let words = KnownWords::read(dir)?;
        let mut loader = Loader::open(weights_file, device)?.with_precision(precision);
        let text = TextEncoder::load(&mut loader, &config)?;
        let network = Network::load(&mut loader, &config)?;
        loader.finish()?;
        let info = EngineInfo {
            name: "pocket".into(),
            version: VERSION.into(),
            weights_hash: hash_files(&files)?,
            image_size: config.size as u32,
            defaults: config.defaults(),
            samplers: Sampler::FLOW.to_vec(),
            reproducible: Reproducible::Exact,
            settings: device::settings(device, precision),
            origin: None,
        };
        let rows = 2 * (config.text_tokens + config.patches());
        Ok(Self {
            info,
            tokenizer,
            words,
            text,
            network,
            cache: PromptCache::new(PROMPTS_KEPT),
            positions: patches::planar_positions(&config),
            group: (GROUP_ROWS / rows).clamp(1, 32),
            config,
        })
    }

    /// The configuration of the weights.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The ids the network reads a prompt as, `text_len` of them: a longer prompt is cut, a shorter one padded.
    ///
    /// # Errors
    /// [`Error::Spec`] for a text that the tokenizer cannot read.
    pub fn token_ids(&self, prompt: &str) -> Result<Vec<u32>> {
        self.tokenizer
            .encode(prompt)
            .map_err(|e| Error::Spec(format!("prompt {prompt:?} cannot be tokenised: {e}")))
    }

    /// What the image network sees of a prompt.
    ///
    /// # Errors
    /// As [`Pocket::token_ids`], and a computation that fails.
    pub fn encode(&self, prompt: &str) -> Result<TextFeatures> {
        Ok(self.text.encode(&self.token_ids(prompt)?)?)
    }

    /// One network call: the clean image [3, size, size] that the network sees in the noisy image `z` [3, size, size]
    /// at time `t`, 0 (noise) to 1 (image). Values of images lie in -1 to 1.
    ///
    /// # Errors
    /// [`Error::Spec`] for a `z` of another size, and a computation that fails.
    pub fn denoise(&self, z: &[f32], t: f32, prompt: &TextFeatures) -> Result<Vec<f32>> {
        let conditions = self.network.conditions([prompt].into_iter())?;
        let x = self.network.denoise(self.patches_of(z)?, t, &conditions)?;
        let mut planar = vec![0.0; x.len()];
        for (value, i) in x.iter().zip(&self.positions) {
            planar[*i] = *value;
        }
        Ok(planar)
    }

    /// Makes the image of a request from given noise, [3, size, size] of standard normal values, in place of the noise of
    /// the request's seed.
    ///
    /// # Errors
    /// As [`Pocket::encode`] of both prompts, [`Error::Spec`] for noise of another size, and a computation that fails.
    pub fn generate_from(&mut self, request: &ImageRequest, noise: &[f32]) -> Result<Image> {
        let draft = self.draft(request, noise)?;
        let images = self.sample(&self.schedule(request), &[&draft])?;
        images
            .into_iter()
            .next()
            .ok_or_else(|| Error::Spec("no image was made".into()))
    }

    /// The patches of an image's values, plane by plane.
    fn patches_of(&self, planar: &[f32]) -> Result<Vec<f32>> {
        let (given, wanted) = (planar.len(), self.positions.len());
        if given != wanted {
            let size = self.info.image_size;
            let text = format!("{given} values are no image [3, {size}, {size}]; give {wanted}");
            return Err(Error::Spec(text));
        }
        Ok(patches::to_patches(planar, &self.positions))
    }

    fn draft(&mut self, request: &ImageRequest, noise: &[f32]) -> Result<Draft> {
        let noise = self.patches_of(noise)?;
        let (text, tokenizer) = (&self.text, &self.tokenizer);
        let mut encode = |prompt: &str| {
            self.cache
                .get_or_encode(prompt, |prompt| -> Result<TextFeatures> {
                    let ids = tokenizer.encode(prompt).map_err(|e| {
                        Error::Spec(format!("prompt {prompt:?} cannot be tokenised: {e}"))
                    })?;
                    Ok(text.encode(&ids)?)
                })
        };
        Ok(Draft {
            prompt: encode(&request.prompt)?,
            negative: encode(&request.negative)?,
            guidance: request.guidance,
            noise,
        })
    }

    fn schedule(&self, request: &ImageRequest) -> Schedule {
        Schedule {
            sampler: request.sampler,
            steps: request.steps,
            guided: request.guidance != 1.0,
            interval: self.config.sampler.interval,
            shift: self.config.sampler.shift,
        }
    }

    /// Samples one group of at most `self.group` images.
    fn sample(&self, schedule: &Schedule, drafts: &[&Draft]) -> Result<Vec<Image>> {
        let prompts = || drafts.iter().map(|d| d.prompt.as_ref());
        let negatives = drafts.iter().map(|d| d.negative.as_ref());
        let alone = self.network.conditions(prompts())?;
        let both = self.network.conditions(prompts().chain(negatives))?;
        let guidance: Vec<f32> = drafts.iter().map(|d| d.guidance).collect();
        let noise = drafts
            .iter()
            .flat_map(|d| d.noise.iter().copied())
            .collect();
        let z = schedule.integrate(noise, |z, t, guided| {
            if guided {
                self.denoise_guided(z, t, &both, &guidance)
            } else {
                Ok(self.network.denoise(z.to_vec(), t, &alone)?)
            }
        })?;
        z.chunks_exact(self.positions.len())
            .map(|patches| {
                let values = patches::to_interleaved(patches, &self.positions);
                Image::new(self.info.image_size, values)
                    .ok_or_else(|| Error::Spec("the network gave an image of another size".into()))
            })
            .collect()
    }

    /// Prompt and negative prompt in one batch: x = u + guidance (c - u) (Ho and Salimans 2022, eq. 6, with w = guidance - 1).
    fn denoise_guided(
        &self,
        z: &[f32],
        t: f32,
        both: &Conditions,
        guidance: &[f32],
    ) -> Result<Vec<f32>> {
        let mut x = self.network.denoise([z, z].concat(), t, both)?;
        let uncond = x.split_off(z.len());
        let image = self.positions.len();
        for ((x, u), guidance) in x
            .chunks_exact_mut(image)
            .zip(uncond.chunks_exact(image))
            .zip(guidance)
        {
            for (c, u) in x.iter_mut().zip(u) {
                *c = u + guidance * (*c - u);
            }
        }
        Ok(x)
    }
}

impl Generator for Pocket {
    fn describe(&self) -> &EngineInfo {
        &self.info
    }

    fn unknown_words(&self, prompt: &str) -> Vec<String> {
        let words = self.words.as_ref();
        words.map_or_else(Vec::new, |words| words.unknown(prompt))
    }

    fn cut<'t>(&self, text: &'t str) -> Option<&'t str> {
        self.tokenizer.cut(text)
    }

    fn tokens(&self, text: &str) -> Option<Vec<u32>> {
        self.token_ids(text).ok()
    }

    fn fault(&self, request: &ImageRequest) -> Option<String> {
        fault(request)
    }

    fn generate(&mut self, requests: &[ImageRequest]) -> Result<Vec<Image>> {
        for (index, request) in requests.iter().enumerate() {
            fault(request).map_or(Ok(()), |reason| Err(Error::Request { index, reason }))?;
        }
        let values = self.positions.len();
        let drafts = requests
            .iter()
            .map(|request| {
                let noise = standard_normal(*request.seed.as_bytes(), values);
                self.draft(request, &noise)
            })
            .collect::<Result<Vec<_>>>()?;
        let groups = group_alike(requests, self.group);
        let made = groups
            .par_iter()
            .map(|members| {
                let first = members[0];
                // On a card the bits of a product depend on its number of rows: the group is filled up with its first image.
                let rows = if self.network.device().is_cpu() {
                    members.len()
                } else {
                    self.group
                };
                let filled = (0..rows).map(|i| &drafts[*members.get(i).unwrap_or(&first)]);
                let drafts: Vec<&Draft> = filled.collect();
                let mut images = self.sample(&self.schedule(&requests[first]), &drafts)?;
                images.truncate(members.len());
                Ok(images)
            })
            .collect::<Result<Vec<_>>>()?;
        let mut images: Vec<Option<Image>> = requests.iter().map(|_| None).collect();
        for (i, image) in groups.iter().flatten().zip(made.into_iter().flatten()) {
            images[*i] = Some(image);
        }
        Ok(images.into_iter().flatten().collect())
    }
}

/// Groups of at most `size` requests that share a schedule, in order of first appearance.
fn group_alike(requests: &[ImageRequest], size: usize) -> Vec<Vec<usize>> {
    let kind =
        |r: &ImageRequest| -> (Sampler, u32, bool) { (r.sampler, r.steps, r.guidance != 1.0) };
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (i, request) in requests.iter().enumerate() {
        let open = groups
            .iter_mut()
            .rev()
            .find(|g| kind(&requests[g[0]]) == kind(request));
        match open {
            Some(group) if group.len() < size => group.push(i),
            _ => groups.push(vec![i]),
        }
    }
    groups
}

/// What is wrong with a request, if anything.
fn fault(request: &ImageRequest) -> Option<String> {
    if !(1..=1000).contains(&request.steps) {
        return Some(format!("{} steps; ask for 1 to 1000", request.steps));
    }
    if let Some(fault) = request.guidance_fault() {
        return Some(fault);
    }
    if !Sampler::FLOW.contains(&request.sampler) {
        return Some(format!(
            "the pocket engine has no sampler {}; choose one of {}",
            request.sampler,
            Sampler::names(Sampler::FLOW)
        ));
    }
    None
}

fn hash_files(files: &[std::path::PathBuf]) -> Result<ContentHash> {
    let mut hashes = String::new();
    for file in files {
        hashes.push_str(&ContentHash::of(&fs_err::read(file)?).to_string());
    }
    Ok(ContentHash::of(hashes.as_bytes()))
}
