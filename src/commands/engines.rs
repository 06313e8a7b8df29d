//! The text-to-image engines of a server.

use super::synth::{self, Engine};
use crate::Context;
use crate::exit::BadInput;
use anyhow::Result;
use clap::Args as ClapArgs;
use promptfed_server::Engines;
use promptfed_synth::engines::DeviceKind;
use promptfed_synth::engines::sd::{Configured, LoadOptions, Precision, Settings, StableDiffusion};

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

    /// The weights of the pocket engine, as they are named.
    pub(crate) fn pocket(&self) -> Option<&str> {
        self.pocket.as_deref()
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
        Ok(engines.with(Engine::Sd.name(), move || {
            let settings = Settings {
                origin: origin.clone(),
                ..Settings::default()
            };
            let model = StableDiffusion::load(&folder, &options)?;
            Ok(Box::new(Configured::new(model, settings)))
        }))
    }
}

impl Engine {
    /// Fails where a server with `engines` does not have this one.
    pub(crate) fn check(self, engines: &Engines) -> Result<()> {
        if engines.names().any(|name| name == self.name()) {
            return Ok(());
        }
        let text = "the engine sd needs its weights: give --sd FOLDER, or --sd OWNER/NAME to download them";
        Err(anyhow::Error::msg(text).context(BadInput))
    }
}
