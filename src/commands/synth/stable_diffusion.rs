//! `--engine sd:MODEL`: its flags, and loading it with them.

use super::JobArgs;
use super::job::Loaded;
use super::source::seed_of;
use crate::Context;
use anyhow::Result;
use clap::{Args as ClapArgs, ValueEnum};
use promptfed_synth::engines::sd::{
    Configured, LoadOptions, LongPrompts, Settings, StableDiffusion, read_image, read_latents,
};
use promptfed_synth::registry::SdModel;
use std::path::PathBuf;

/// How much of the way is gone from --init-image without --strength.
const STRENGTH: f64 = 0.8;

/// Flags that only Stable Diffusion has.
#[derive(ClapArgs)]
#[command(next_help_heading = "Stable Diffusion (--engine sd:MODEL)")]
pub(crate) struct SdArgs {
    /// Height of the images in pixels, a multiple of 8 [default: the model's]
    #[arg(long, value_name = "PIXELS", conflicts_with = "size")]
    height: Option<u32>,
    /// Width of the images in pixels, a multiple of 8 [default: the model's]
    #[arg(long, value_name = "PIXELS", conflicts_with = "size")]
    width: Option<u32>,
    /// The part of the way from noise (0) to image (1) on which guidance acts [default: 0..1]
    #[arg(long, value_name = "A..B", value_parser = interval)]
    guidance_interval: Option<Interval>,
    /// Start from this image instead of noise
    #[arg(long, value_name = "FILE")]
    init_image: Option<PathBuf>,
    /// How much of the way is gone from --init-image, to 1 [default: 0.8]
    #[arg(long, value_name = "S", requires = "init_image")]
    strength: Option<f64>,
    /// A LoRA adapter and its strength; may be given several times
    #[arg(long, value_name = "FILE[:SCALE]", value_parser = lora)]
    lora: Vec<Lora>,
    /// Folder of a TAESD, which decodes fast in place of the model's autoencoder
    #[arg(long, value_name = "DIR")]
    tiny_decoder: Option<PathBuf>,
    /// What becomes of prompts that are longer than the text encoder reads [default: cut]
    #[arg(long, value_enum)]
    long_prompts: Option<LongPromptsArg>,
    /// Noise in place of the seed's: the tensor `latents` [N,4,H/8,W/8], one for each of N images of --prompt; no image is drawn again
    #[arg(
        long,
        value_name = "FILE",
        requires = "prompt",
        conflicts_with_all = ["prompts", "images", "images_per_prompt", "attempts"]
    )]
    latents: Option<PathBuf>,
}

#[derive(ValueEnum, Clone, Copy)]
enum LongPromptsArg {
    /// Their end is not read, as in diffusers
    Cut,
    /// They are read in windows of 75 tokens, cut wherever the 75th ends, up to 16
    Chunk,
}

impl From<LongPromptsArg> for LongPrompts {
    fn from(argument: LongPromptsArg) -> Self {
        match argument {
            LongPromptsArg::Cut => Self::Cut,
            LongPromptsArg::Chunk => Self::Chunk,
        }
    }
}

#[derive(Clone, Copy)]
struct Interval([f64; 2]);

#[derive(Clone)]
struct Lora(PathBuf, f32);

/// Reads `0.1..0.8`.
fn interval(text: &str) -> Result<Interval, String> {
    let parts = text
        .split_once("..")
        .and_then(|(from, to)| Some([from.trim().parse().ok()?, to.trim().parse().ok()?]));
    match parts {
        Some([from, to]) if 0.0 <= from && from <= to && to <= 1.0 => Ok(Interval([from, to])),
        _ => Err(format!(
            "{text:?} is no interval within 0 to 1; write 0.1..0.8"
        )),
    }
}

/// Reads `adapter.safetensors` or `adapter.safetensors:0.7`.
fn lora(text: &str) -> Result<Lora, String> {
    match text.rsplit_once(':') {
        Some((file, scale)) if !file.is_empty() && !scale.contains(['/', '\\']) => {
            let scale: f32 = scale
                .parse()
                .map_err(|_| format!("{scale:?} is no number; write FILE:0.7"))?;
            Ok(Lora(file.into(), scale))
        }
        _ => Ok(Lora(text.into(), 1.0)),
    }
}

impl SdArgs {
    /// The flags that were given.
    pub(super) fn given(&self) -> Vec<&'static str> {
        [
            ("--height", self.height.is_some()),
            ("--width", self.width.is_some()),
            ("--guidance-interval", self.guidance_interval.is_some()),
            ("--init-image", self.init_image.is_some()),
            ("--lora", !self.lora.is_empty()),
            ("--tiny-decoder", self.tiny_decoder.is_some()),
            ("--long-prompts", self.long_prompts.is_some()),
            ("--latents", self.latents.is_some()),
        ]
        .into_iter()
        .filter_map(|(flag, is_given)| is_given.then_some(flag))
        .collect()
    }

    pub(super) fn guidance_interval_given(&self) -> Option<&'static str> {
        self.guidance_interval.map(|_| "--guidance-interval")
    }
}

/// Loads the model with the settings of the command line.
pub(super) fn load(args: &JobArgs, model: &SdModel, context: &Context) -> Result<Loaded> {
    let sd = &args.sd;
    let model = SdModel {
        options: LoadOptions {
            sampler: args.sampling.sampler,
            loras: sd.lora.iter().map(|Lora(f, s)| (f.clone(), *s)).collect(),
            tiny_decoder: sd.tiny_decoder.clone(),
            long_prompts: sd.long_prompts.map(Into::into).unwrap_or_default(),
            ..model.options.clone()
        },
        ..model.clone()
    };
    let noise = sd.latents.as_deref().map(read_latents).transpose()?;
    let waiting = context.progress.bar("loading the model", 0);
    let loaded = StableDiffusion::load(&model.folder, &model.options)?;
    waiting.finish_and_clear();

    let mut settings = Settings {
        height: sd.height,
        width: sd.width,
        guidance_interval: sd.guidance_interval.map(|Interval(ends)| ends),
        empty_negative: args.negative.as_deref() == Some(""),
        origin: model.origin,
        ..Settings::default()
    };
    if let Some(file) = &sd.init_image {
        let image = read_image(file, sd.height, sd.width)?;
        settings.height = Some(image.height());
        settings.width = Some(image.width());
        settings.image = Some((image, sd.strength.unwrap_or(STRENGTH)));
    }
    let mut images = None;
    if let Some((noise, [height, width])) = noise {
        let reduction = loaded.vae().config().reduction() as u32;
        settings
            .height
            .get_or_insert(height.saturating_mul(reduction));
        settings
            .width
            .get_or_insert(width.saturating_mul(reduction));
        images = Some(noise.len() as u32);
        let seeded = noise.into_iter().enumerate();
        settings.noise = seeded
            .map(|(i, values)| (seed_of(args, i as u64), values))
            .collect();
    }
    Ok(Loaded {
        engine: Box::new(Configured::new(loaded, settings)),
        images,
    })
}
