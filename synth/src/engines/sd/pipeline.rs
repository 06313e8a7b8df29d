//! From prompts to images: guidance, sampling, decoding.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use promptfed_nn::noise::standard_normal;
use rand::Rng;
use rand_chacha::ChaCha20Rng;
use rand_distr::StandardNormal;

use super::conditioning::Prompt;
use super::request::{Request, Start};
use super::samplers::Sampling;
use super::schedule::SchedulerConfig;
use super::unet::{Conditions, UNet, UNetConfig};
use super::vae::{TinyDecoder, Vae};
use crate::{Error, Image, Result};

const CHANNELS: usize = 4;

/// The networks behind the text encoders.
pub(super) struct Pipeline {
    pub(super) unet: UNet,
    pub(super) unet_config: UNetConfig,
    pub(super) vae: Vae,
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
    /// Makes the images of requests that share size, steps, sampler, strength and whether they are guided.
    pub(super) fn make(&self, drafts: &[Draft<'_>]) -> Result<Vec<Image>> {
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
        for i in 0..runs[0].sampling.len() {
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
                if !run.latents.iter().all(|v| v.is_finite()) {
                    return Err(Error::NotFinite {
                        index: drafts[j].index,
                        place: format!("the latents after step {}", i + 1),
                    });
                }
            }
        }
        drafts
            .iter()
            .zip(runs)
            .map(|(draft, run)| self.decode(draft, &run.latents))
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

    fn begin(&self, draft: &Draft<'_>) -> Result<Run> {
        let request = draft.request;
        let sampling = Sampling::new(
            &self.scheduler,
            request.sampler,
            request.steps,
            request.start.strength(),
        )
        .map_err(|e| match e {
            Error::Spec(reason) => Error::Request {
                index: draft.index,
                reason,
            },
            other => other,
        })?;
        let (h, w) = self.latent_size(request);
        let drawn = || standard_normal(*request.seed.as_bytes(), CHANNELS * h * w);
        let scaled = |noise: &[f32]| {
            let sigma = sampling.initial_sigma();
            noise.iter().map(|v| v * sigma).collect::<Vec<f32>>()
        };
        let latents = match &request.start {
            Start::Noise => scaled(&drawn()),
            Start::Latents(noise) | Start::LatentsAndSteps(noise, _) => scaled(noise),
            Start::Image { image, .. } => sampling.add_noise(&self.encode(image)?, &drawn()),
        };
        let given = match &request.start {
            Start::LatentsAndSteps(_, steps) => steps.clone(),
            _ => Vec::new(),
        };
        let drawn = request.seed.stream("steps");
        Ok(Run {
            sampling,
            latents,
            noise: StepNoise { given, drawn },
        })
    }

    fn latent_size(&self, request: &Request) -> (usize, usize) {
        let reduction = self.vae.config().reduction();
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

    /// The UNet's latents of an image, [4, h, w].
    fn encode(&self, image: &Image) -> Result<Vec<f32>> {
        let (height, width) = (image.height() as usize, image.width() as usize);
        let pixels = Tensor::from_slice(image.values(), (1, height, width, 3), &self.device)?;
        let mut latents = planes(&self.vae.encode(&pixels)?)?;
        let (scale, shift) = self.scaling();
        for value in &mut latents {
            *value = (*value - shift) * scale;
        }
        Ok(latents)
    }

    fn scaling(&self) -> (f32, f32) {
        let config = self.vae.config();
        let shift = config.shift_factor.unwrap_or(0.0);
        (config.scaling_factor as f32, shift as f32)
    }

    /// One image at a time, so that memory does not grow with the batch.
    fn decode(&self, draft: &Draft<'_>, latents: &[f32]) -> Result<Image> {
        let request = draft.request;
        let (h, w) = self.latent_size(request);
        let unscaled = |scale: f32, shift: f32| {
            let values = latents.iter().map(|v| v / scale + shift).collect();
            // The autoencoder chooses its own number format.
            Ok::<_, Error>(
                Tensor::from_vec(values, (1, CHANNELS, h, w), &Device::Cpu)?
                    .permute((0, 2, 3, 1))?
                    .contiguous()?
                    .to_device(&self.device)?,
            )
        };
        let decoded = match &self.tiny {
            Some(tiny) => tiny.decode(&unscaled(tiny.scaling_factor() as f32, 0.0)?)?,
            None => {
                let (scale, shift) = self.scaling();
                let latents = unscaled(scale, shift)?;
                if request.height as usize * request.width as usize > self.tile_above {
                    self.vae.decode_tiled(&latents)?
                } else {
                    self.vae.decode(&latents)?
                }
            }
        };
        let values = decoded
            .to_dtype(DType::F32)?
            .flatten_all()?
            .to_vec1::<f32>()?;
        match Image::rectangle(request.height, request.width, values) {
            Some(image) if image.is_finite() => Ok(image),
            _ => Err(Error::NotFinite {
                index: draft.index,
                place: "the decoded image".into(),
            }),
        }
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
