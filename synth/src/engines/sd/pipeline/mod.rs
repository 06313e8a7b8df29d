//! From prompts to images: guidance, sampling, decoding.

mod images;

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use promptfed_nn::noise::standard_normal;
use rand::Rng;
use rand_chacha::ChaCha20Rng;
use rand_distr::StandardNormal;

use super::autoencoder::Autoencoder;
use super::conditioning::Prompt;
use super::request::{Request, Start};
use super::samplers::Sampling;
use super::schedule::SchedulerConfig;
use super::unet::{Conditions, UNet, UNetConfig};
use super::vae::TinyDecoder;
use crate::{Error, Image, Result};

const CHANNELS: usize = 4;

/// The networks behind the text encoders.
pub(super) struct Pipeline {
    pub(super) unet: UNet,
    pub(super) unet_config: UNetConfig,
    pub(super) vae: Autoencoder,
    pub(super) tiny: Option<TinyDecoder>,
    pub(super) scheduler: SchedulerConfig,
    /// Images with more pixels than this are decoded in tiles.
    pub(super) tile_above: usize,
    pub(super) device: Device,
    pub(super) dtype: DType,
}

/// One image on its way.
pub(super) struct Draft<'a> {
    pub(super) request: &'a Request,
    /// The position of the request among those handed over.
    pub(super) index: usize,
    pub(super) prompt: Arc<Prompt>,
    pub(super) negative: Arc<Prompt>,
}

/// An image's latents, [4, h, w], and where it is on its way.
struct Run {
    sampling: Sampling,
    latents: Vec<f32>,
    noise: StepNoise,
    /// Whether the image to start from took f32.
    upcast: bool,
    /// Whether the latents held values that are not numbers.
    lost: bool,
}

impl Run {
    /// Gives latents up that are not numbers; zeros go on in their place beside the others of the batch.
    fn screen(&mut self) {
        if !self.latents.iter().all(|v| v.is_finite()) {
            self.lost = true;
            self.latents.fill(0.0);
        }
    }
}

/// The noise of the steps: first what was given, then the seed's.
struct StepNoise {
    given: Vec<f32>,
    drawn: ChaCha20Rng,
}

impl StepNoise {
    fn draw(&mut self, n: usize) -> Vec<f32> {
        if self.given.len() >= n {
            return self.given.drain(..n).collect();
        }
        (0..n).map(|_| self.drawn.sample(StandardNormal)).collect()
    }
}

/// What the UNet is told of the rows of a batch.
struct Context {
    tokens: Tensor,
    pooled: Option<Tensor>,
}

impl Pipeline {
    /// Makes the images of requests that share size, steps, sampler, strength and whether they are guided; of the first
    /// `wanted`, the others only fill up the batch. Where latents overflow, the values of the image are not numbers.
    pub(super) fn make(&self, drafts: &[Draft<'_>], wanted: usize) -> Result<Vec<Image>> {
        let Some(first) = drafts.first() else {
            return Ok(Vec::new());
        };
        let mut runs = drafts
            .iter()
            .map(|draft| self.begin(draft))
            .collect::<Result<Vec<_>>>()?;
        let prompts = || drafts.iter().map(|d| d.prompt.as_ref());
        let alone = self.context(prompts())?;
        let both = if self.guides(first.request) {
            let negatives = drafts.iter().map(|d| d.negative.as_ref());
            Some(self.context(negatives.chain(prompts()))?)
        } else {
            None
        };
        let scales: Vec<f32> = drafts.iter().map(|d| d.request.guidance).collect();
        runs.iter_mut().for_each(Run::screen);
        for i in 0..runs[0].sampling.len() {
            if runs.iter().all(|run| run.lost) {
                break;
            }
            let timestep = runs[0].sampling.timestep(i);
            let guiding = both
                .as_ref()
                .filter(|_| self.in_interval(first.request, timestep));
            let outputs =
                self.predict(&runs, i, guiding.unwrap_or(&alone), first.request, &scales)?;
            let values = runs[0].latents.len();
            for (j, run) in runs.iter_mut().enumerate() {
                let at = |row: usize| &outputs[row * values..][..values];
                let output = match guiding {
                    None => at(j).to_vec(),
                    Some(_) => guided(at(j), at(j + drafts.len()), scales[j]),
                };
                let noise = &mut run.noise;
                run.sampling
                    .step(i, &output, &mut run.latents, &mut |n| noise.draw(n));
                run.screen();
            }
        }
        drafts
            .iter()
            .zip(runs)
            .take(wanted)
            .map(|(draft, run)| {
                let image = if run.lost {
                    Image::lost(draft.request.height, draft.request.width)
                } else {
                    self.decode(draft, &run.latents)?
                };
                let upcast = run.upcast || image.is_upcast();
                Ok(image.with_upcast(upcast))
            })
            .collect()
    }

    /// Whether a request calls the UNet for its negative prompt too. Networks that are told the scale need no second call.
    pub(super) fn guides(&self, request: &Request) -> bool {
        request.guidance > 1.0 && self.unet_config.time_cond_proj_dim.is_none()
    }

    fn in_interval(&self, request: &Request, timestep: f64) -> bool {
        let time = 1.0 - timestep / self.scheduler.train_timesteps() as f64;
        let [from, to] = request.guidance_interval;
        (from..=to).contains(&time.clamp(0.0, 1.0))
    }

    /// What is wrong with a request's sampler, steps and strength, if anything.
    pub(super) fn sampler_fault(&self, request: &Request) -> Option<String> {
        match self.sampling(request).err()? {
            Error::Spec(reason) => Some(reason),
            other => Some(other.to_string()),
        }
    }

    fn sampling(&self, request: &Request) -> Result<Sampling> {
        Sampling::new(
            &self.scheduler,
            request.sampler,
            request.steps,
            request.start.strength(),
        )
    }

    fn begin(&self, draft: &Draft<'_>) -> Result<Run> {
        let request = draft.request;
        let sampling = self.sampling(request).map_err(|e| match e {
            Error::Spec(reason) => Error::Request {
                index: draft.index,
                reason,
            },
            other => other,
        })?;
        let (h, w) = self.latent_size(request);
        let noise = match &request.noise {
            Some(given) => given.latents.clone(),
            None => standard_normal(*request.seed.as_bytes(), CHANNELS * h * w),
        };
        let mut upcast = false;
        let latents = match &request.start {
            Start::Image { image, .. } => {
                let coded = self.encode(image)?;
                upcast = coded.upcast;
                sampling.add_noise(&coded.values, &noise)
            }
            Start::Noise => {
                let sigma = sampling.initial_sigma();
                noise.iter().map(|v| v * sigma).collect()
            }
        };
        let given = request
            .noise
            .as_ref()
            .map_or_else(Vec::new, |n| n.steps.clone());
        let drawn = request.seed.stream("steps");
        Ok(Run {
            sampling,
            latents,
            noise: StepNoise { given, drawn },
            upcast,
            lost: false,
        })
    }

    fn latent_size(&self, request: &Request) -> (usize, usize) {
        let reduction = self.vae.own().config().reduction();
        (
            request.height as usize / reduction,
            request.width as usize / reduction,
        )
    }

    fn context<'a>(&self, prompts: impl Iterator<Item = &'a Prompt>) -> Result<Context> {
        let prompts: Vec<&Prompt> = prompts.collect();
        let tokens: Vec<&Tensor> = prompts.iter().map(|p| &p.tokens).collect();
        let pooled: Option<Vec<&Tensor>> = prompts.iter().map(|p| p.pooled.as_ref()).collect();
        Ok(Context {
            tokens: Tensor::stack(&tokens, 0)?.to_dtype(self.dtype)?,
            pooled: pooled
                .map(|p| Tensor::stack(&p, 0)?.to_dtype(self.dtype))
                .transpose()?,
        })
    }

    /// The UNet's outputs for all rows of `context`, [rows, 4, h, w]; the images repeat where there are more rows.
    fn predict(
        &self,
        runs: &[Run],
        step: usize,
        context: &Context,
        request: &Request,
        scales: &[f32],
    ) -> Result<Vec<f32>> {
        let rows = context.tokens.dim(0)?;
        let inputs = runs
            .iter()
            .map(|run| run.sampling.scale_input(step, &run.latents))
            .collect::<Vec<_>>()
            .concat();
        let (h, w) = self.latent_size(request);
        let x = self.feature_map(inputs.repeat(rows / runs.len()), rows, h, w)?;
        let (height, width) = (request.height as f32, request.width as f32);
        let sizes = vec![[height, width, 0.0, 0.0, height, width]; rows];
        let conditions = Conditions {
            added: context.pooled.as_ref().map(|p| (p, sizes.as_slice())),
            guidance: Some(scales),
        };
        let timestep = runs[0].sampling.timestep(step);
        let output = self
            .unet
            .forward(&x, timestep, &context.tokens, &conditions)?;
        planes(&output)
    }

    /// [rows, 4, h, w] values -> [rows, h, w, 4] on the device.
    fn feature_map(&self, values: Vec<f32>, rows: usize, h: usize, w: usize) -> Result<Tensor> {
        Ok(
            Tensor::from_vec(values, (rows, CHANNELS, h, w), &Device::Cpu)?
                .permute((0, 2, 3, 1))?
                .contiguous()?
                .to_device(&self.device)?
                .to_dtype(self.dtype)?,
        )
    }
}

/// [n, h, w, c] -> the values of [n, c, h, w].
fn planes(x: &Tensor) -> Result<Vec<f32>> {
    Ok(x.to_dtype(DType::F32)?
        .to_device(&Device::Cpu)?
        .permute((0, 3, 1, 2))?
        .flatten_all()?
        .to_vec1()?)
}

/// u + w (c - u) (Ho and Salimans 2022, eq. 6).
fn guided(negative: &[f32], prompt: &[f32], scale: f32) -> Vec<f32> {
    negative
        .iter()
        .zip(prompt)
        .map(|(u, c)| u + scale * (c - u))
        .collect()
}
