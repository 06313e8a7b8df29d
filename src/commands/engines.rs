//! The text-to-image engines of a server, and what a round asks of them.

use super::synth::{self, SamplingArgs};
use crate::Context;
use crate::exit::BadInput;
use anyhow::Result;
use clap::Args as ClapArgs;
use promptfed_prompts::protocol::{ImageBudget, SynthesisPlan};
use promptfed_server::Engines;
use promptfed_synth::engines::sd::{
    Configured, DeviceKind, LoadOptions, Precision, Settings, StableDiffusion,
};

/// The names by which rounds ask for an engine.
const POCKET: &str = "pocket";
const SD: &str = "sd";

/// Where the engines' weights are.
#[derive(ClapArgs, Clone, Default)]
pub(crate) struct EngineArgs {
    /// Weights of the pocket engine: all, photo, draw, or a folder [default: all]
    #[arg(long, value_name = "NAME|DIR")]
    pocket: Option<String>,
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
    pub(crate) fn of_pocket(pocket: Option<String>) -> Self {
        Self {
            pocket,
            ..Self::default()
        }
    }

    /// The engines, each loaded when a round needs it; a model of the hub is downloaded now.
    pub(crate) fn engines(&self, context: &Context) -> Result<Engines> {
        let pocket = synth::pocket_folder(self.pocket.as_deref())?;
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
    #[arg(long, default_value = POCKET)]
    pub(crate) engine: String,
    #[command(flatten)]
    sampling: SamplingArgs,
}

impl SynthesisArgs {
    /// The pocket engine and its own sampling.
    pub(crate) fn of_pocket() -> Self {
        Self {
            engine: POCKET.to_owned(),
            sampling: SamplingArgs::default(),
        }
    }

    /// What a round is told; what is not given is the engine's own.
    pub(crate) fn plan(&self, images: ImageBudget, seed: u64) -> SynthesisPlan {
        let SamplingArgs {
            steps,
            guidance,
            sampler,
        } = self.sampling;
        SynthesisPlan {
            engine: self.engine.clone(),
            images,
            steps,
            guidance: guidance.map(Into::into),
            sampler: sampler.map(|sampler| sampler.to_string()),
            seed,
        }
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
