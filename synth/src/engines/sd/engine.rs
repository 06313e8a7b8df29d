//! A loaded model: requests to images.

use std::collections::HashMap;
use std::sync::Arc;

use super::conditioning::{Prompt, TextStages};
use super::pipeline::{Draft, Pipeline};
use super::request::{Request, Start};
use super::unet::UNet;
use super::vae::Vae;
use promptfed_nn::on_pool_thread;

use crate::engines::prompt_cache::PromptCache;
use crate::{
    EngineInfo, Error, Generator, Image, ImageRequest, ImageSeed, Result, SamplingDefaults,
};

/// A Stable Diffusion model with its weights in memory.
pub struct StableDiffusion {
    pub(super) info: EngineInfo,
    pub(super) text: TextStages,
    pub(super) pipeline: Pipeline,
    pub(super) prompts: PromptCache<Prompt>,
    pub(super) negatives: PromptCache<Prompt>,
    /// What stands for no negative prompt, by its windows, once it was needed.
    pub(super) without_negative: HashMap<usize, Arc<Prompt>>,
    pub(super) batch: usize,
}

impl StableDiffusion {
    /// A request with the folder's own settings: square, without negative prompt, from the noise of `seed`.
    pub fn request(&self, prompt: &str, seed: ImageSeed) -> Request {
        let SamplingDefaults {
            steps,
            guidance,
            sampler,
        } = self.info.defaults;
        Request {
            prompt: prompt.to_owned(),
            negative: None,
            height: self.info.image_size,
            width: self.info.image_size,
            seed,
            steps,
            guidance,
            guidance_interval: [0.0, 1.0],
            sampler,
            start: Start::Noise,
            noise: None,
        }
    }

    fn own_request(&self, request: &ImageRequest) -> Request {
        Request {
            negative: negative_of(request, false),
            steps: request.steps,
            guidance: request.guidance,
            sampler: request.sampler,
            ..self.request(&request.prompt, request.seed)
        }
    }

    /// The text encoders.
    pub fn text(&self) -> &TextStages {
        &self.text
    }

    /// The UNet.
    pub fn unet(&self) -> &UNet {
        &self.pipeline.unet
    }

    /// The autoencoder.
    pub fn vae(&self) -> &Vae {
        self.pipeline.vae.own()
    }

    /// Makes one image per request, in order. What is not a number in the autoencoder's number format is decoded again in f32
    /// ([`Image::is_upcast`]); where latents overflow, or f32 too, the values of that image alone are not numbers
    /// ([`Image::is_finite`]).
    ///
    /// # Errors
    /// A request outside the model's range.
    pub fn make(&mut self, requests: &[Request]) -> Result<Vec<Image>> {
        for (index, request) in requests.iter().enumerate() {
            if let Some(reason) = self.fault_of(request) {
                return Err(Error::Request { index, reason });
            }
        }
        let mut images: Vec<Option<Image>> = requests.iter().map(|_| None).collect();
        for group in self.groups(requests)? {
            let rows = if self.pipeline.device.is_cpu() {
                group.len()
            } else {
                self.batch
            };
            let drafts = (0..rows)
                // The group is filled up with its first image: see `LoadOptions::batch`.
                .map(|i| *group.get(i).unwrap_or(&group[0]))
                .map(|index| self.draft(index, &requests[index]))
                .collect::<Result<Vec<_>>>()?;
            let pipeline = &self.pipeline;
            let made = on_pool_thread(|| pipeline.make(&drafts, group.len()))?;
            for (index, image) in group.into_iter().zip(made) {
                images[index] = Some(image);
            }
        }
        Ok(images.into_iter().flatten().collect())
    }

    /// What is wrong with a request, if anything.
    pub(super) fn fault_of(&self, request: &Request) -> Option<String> {
        let reduction = self.vae().config().reduction() as u32;
        let fault = request.fault(reduction);
        fault.or_else(|| self.pipeline.sampler_fault(request))
    }

    fn draft<'a>(&mut self, index: usize, request: &'a Request) -> Result<Draft<'a>> {
        let windows = self.windows(request)?;
        let text = &self.text;
        let key = |prompt: &str| format!("{windows} {prompt}");
        let prompt = &request.prompt;
        let prompt = self
            .prompts
            .get_or_encode(&key(prompt), |_| text.encode_in(prompt, windows))?;
        let negative = match &request.negative {
            _ if !self.pipeline.guides(request) => Arc::clone(&prompt),
            Some(negative) => self
                .negatives
                .get_or_encode(&key(negative), |_| text.encode_in(negative, windows))?,
            None => match self.without_negative.get(&windows) {
                Some(encoded) => Arc::clone(encoded),
                None => {
                    let encoded = Arc::new(text.encode_none(windows)?);
                    self.without_negative.insert(windows, Arc::clone(&encoded));
                    encoded
                }
            },
        };
        Ok(Draft {
            request,
            index,
            prompt,
            negative,
        })
    }

    /// The windows that a request's prompts are read in: the longer of both decides.
    fn windows(&self, request: &Request) -> Result<usize> {
        let prompt = self.text.windows(&request.prompt)?;
        match &request.negative {
            Some(negative) if self.pipeline.guides(request) => {
                Ok(prompt.max(self.text.windows(negative)?))
            }
            _ => Ok(prompt),
        }
    }

    /// Groups of at most `batch` requests that can share the UNet's calls, in order of first appearance.
    fn groups(&self, requests: &[Request]) -> Result<Vec<Vec<usize>>> {
        let windows = requests.iter().map(|request| self.windows(request));
        let windows = windows.collect::<Result<Vec<_>>>()?;
        let alike = |a: &Request, b: &Request| {
            (a.height, a.width, a.steps, a.sampler) == (b.height, b.width, b.steps, b.sampler)
                && a.start.strength() == b.start.strength()
                && a.guidance_interval == b.guidance_interval
                && self.pipeline.guides(a) == self.pipeline.guides(b)
        };
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for (i, request) in requests.iter().enumerate() {
            let open = groups.iter_mut().rev().find(|group| {
                let first = group[0];
                windows[first] == windows[i] && alike(&requests[first], request)
            });
            match open {
                Some(group) if group.len() < self.batch => group.push(i),
                _ => groups.push(vec![i]),
            }
        }
        Ok(groups)
    }
}

/// The negative prompt of a request, whose empty text stands for none unless `empty_is_text`.
pub(super) fn negative_of(request: &ImageRequest, empty_is_text: bool) -> Option<String> {
    let text = &request.negative;
    (empty_is_text || !text.is_empty()).then(|| text.clone())
}

impl Generator for StableDiffusion {
    fn describe(&self) -> &EngineInfo {
        &self.info
    }

    fn cut<'t>(&self, text: &'t str) -> Option<&'t str> {
        self.text.cut(text)
    }

    fn tokens(&self, text: &str) -> Option<Vec<u32>> {
        // Every encoder's ids are padded to its own length.
        Some(self.text.token_ids(text).ok()?.concat())
    }

    fn takes_negatives(&self) -> bool {
        self.pipeline.unet_config.time_cond_proj_dim.is_none()
    }

    fn fault(&self, request: &ImageRequest) -> Option<String> {
        self.fault_of(&self.own_request(request))
    }

    fn generate(&mut self, requests: &[ImageRequest]) -> Result<Vec<Image>> {
        let requests: Vec<Request> = requests.iter().map(|r| self.own_request(r)).collect();
        self.make(&requests)
    }
}
