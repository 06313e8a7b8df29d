//! The text-to-image engines of a server, and what a round asks of them.

use super::{data, synth};
use crate::Context;
use crate::exit::BadInput;
use anyhow::Result;
use clap::Args as ClapArgs;
use promptfed_prompts::protocol::{GuidancePlan, ImageBudget, SynthesisPlan};
use promptfed_server::Engines;
use promptfed_synth::engines::sd::{
    Configured, DeviceKind, LoadOptions, Precision, Settings, StableDiffusion,
};
use promptfed_synth::{Guidance, Sampler};
use std::path::PathBuf;

/// The name by which rounds ask for Stable Diffusion.
const SD: &str = "sd";

/// Where the engines' weights are.
#[derive(ClapArgs, Clone, Default)]
pub(crate) struct EngineArgs {
    /// Weights of the pocket engine [default: the bundled ones]
    #[arg(long, value_name = "DIR")]
    pocket: Option<PathBuf>,
    /// Stable Diffusion for the rounds that ask for the engine sd: a folder in diffusers' layout, or OWNER/NAME[@REVISION] on
    /// the hub
    #[arg(long, value_name = "DIR|ID")]
    sd: Option<String>,
    /// Where --sd runs: cpu or cuda [default: cpu]
    #[arg(long, requires = "sd")]
    sd_device: Option<DeviceKind>,
    /// Images that --sd makes together [default: 1]
    #[arg(long, value_name = "N", requires = "sd")]
    sd_batch: Option<usize>,
    /// Height and width of the images of --sd in pixels, a multiple of 8 [default: the model's]
    #[arg(long, value_name = "PIXELS", requires = "sd")]
    sd_size: Option<u32>,
}

impl EngineArgs {
    /// The pocket engine alone.
    pub(crate) fn of_pocket(pocket: Option<PathBuf>) -> Self {
        Self {
            pocket,
            ..Self::default()
        }
    }

    /// The engines, each loaded when a round needs it; a model of the hub is downloaded now.
    pub(crate) fn engines(&self, context: &Context) -> Result<Engines> {
        let pocket = match &self.pocket {
            Some(dir) => dir.clone(),
            None => data::assets()?.join("pocket/demo"),
        };
        let engines = Engines::new().with_pocket(pocket);
        let Some(model) = &self.sd else {
            return Ok(engines);
        };
        let precision = Precision::chosen();
        let (folder, origin) = synth::model_folder(model, precision, context)?;
        let options = LoadOptions {
            precision,
            device: self.sd_device.unwrap_or_default().open()?,
            batch: self.sd_batch.unwrap_or(1),
            size: self.sd_size,
            ..LoadOptions::default()
        };
        Ok(engines.with(SD, move || {
            let settings = Settings {
                origin: origin.clone(),
                ..Settings::default()
            };
            let model = StableDiffusion::load(&folder, &options)?;
            Ok(Box::new(Configured::new(model, settings)))
        }))
    }
}

/// How images are made in a round.
#[derive(ClapArgs, Clone)]
pub(crate) struct SynthesisArgs {
    /// The text-to-image engine: pocket, or sd where the server has it
    #[arg(long, default_value = "pocket")]
    pub(crate) engine: String,
    /// Integration steps for each image
    #[arg(long, default_value_t = 20)]
    pub(crate) steps: u32,
    /// Guidance scale: a number, or LOW..HIGH to draw one for each image
    #[arg(long, value_parser = synth::guidance, default_value = "2.5")]
    pub(crate) guidance: Guidance,
    /// Sampler [default: heun, or dpm++2m for sd]; `promptfed synth --help` lists them
    #[arg(long)]
    pub(crate) sampler: Option<Sampler>,
}

impl SynthesisArgs {
    /// What a round is told.
    pub(crate) fn plan(&self, images: ImageBudget, seed: u64) -> SynthesisPlan {
        SynthesisPlan {
            engine: self.engine.clone(),
            images,
            steps: self.steps,
            guidance: match self.guidance {
                Guidance::Fixed(scale) => GuidancePlan::Fixed(scale.into()),
                Guidance::Uniform { low, high } => GuidancePlan::Uniform {
                    low: low.into(),
                    high: high.into(),
                },
            },
            sampler: self.sampler().to_string(),
            seed,
        }
    }

    /// The sampler, that of the engine where none is given.
    pub(crate) fn sampler(&self) -> Sampler {
        self.sampler.unwrap_or(if self.engine == SD {
            Sampler::DpmPlusPlus2m
        } else {
            Sampler::Heun
        })
    }

    /// Fails where the engine is not among those of `engines`.
    pub(crate) fn check(&self, engines: &Engines) -> Result<()> {
        if engines.names().any(|name| name == self.engine) {
            return Ok(());
        }
        let text = if self.engine == SD {
            "the engine sd needs its weights: give --sd FOLDER, or --sd OWNER/NAME to download them"
                .into()
        } else {
            format!("there is no engine {:?}; use pocket or sd", self.engine)
        };
        Err(anyhow::Error::msg(text).context(BadInput))
    }
}
