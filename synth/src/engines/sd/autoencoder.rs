//! The autoencoder, and once more in f32 where its own number format overflows.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use candle_core::{DType, Device, Tensor};
use promptfed_nn::Precision;
use promptfed_nn::load::folder::{Preferred, open_weights};

use super::vae::{Vae, VaeConfig};
use crate::Result;
use crate::error::model_fault;

/// An autoencoder that computes again in f32 what is not a number in its own format, as diffusers' `upcast_vae` has it
/// for Stable Diffusion XL in f16.
pub(super) struct Autoencoder {
    vae: Vae,
    weights: blake3::Hash,
    precision: Precision,
    folder: PathBuf,
    preferred: Preferred,
    device: Device,
    /// The same weights in f32, from the first overflow on.
    wide: OnceLock<Vae>,
}

/// What an autoencoder gave.
pub(super) struct Coded {
    /// The values, row by row.
    pub(super) values: Vec<f32>,
    /// Whether they had to be computed again in f32.
    pub(super) upcast: bool,
}

impl Coded {
    /// What a decoder gave at once.
    pub(super) fn of(x: &Tensor) -> Result<Self> {
        Ok(Self {
            values: x.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?,
            upcast: false,
        })
    }
}

impl Autoencoder {
    /// Loads the weights of `folder`; f16 becomes f32 where the configuration forces it.
    ///
    /// # Errors
    /// A file that is missing or not what it should be; all tensors that do not fit, in one error.
    pub(super) fn load(
        folder: PathBuf,
        config: &VaeConfig,
        precision: Precision,
        device: &Device,
    ) -> Result<Self> {
        let preferred = Preferred::for_precision(precision);
        let precision = match precision {
            Precision::F16 if config.force_upcast => Precision::F32,
            other => other,
        };
        let (vae, weights) = load(&folder, preferred, config, precision, device)?;
        Ok(Self {
            vae,
            weights,
            precision,
            folder,
            preferred,
            device: device.clone(),
            wide: OnceLock::new(),
        })
    }

    /// A hash over its weights.
    pub(super) fn weights_hash(&self) -> blake3::Hash {
        self.weights
    }

    /// The autoencoder in its own number format.
    pub(super) fn own(&self) -> &Vae {
        &self.vae
    }

    /// What `call` gives, from the weights in f32 where those in the own format give values that are not numbers.
    ///
    /// # Errors
    /// If `call` fails, or the weights can no longer be read or are others.
    pub(super) fn finite(
        &self,
        call: impl Fn(&Vae) -> promptfed_nn::Result<Tensor>,
    ) -> Result<Coded> {
        let coded = Coded::of(&call(&self.vae)?)?;
        if self.precision == Precision::F32 || coded.values.iter().all(|v| v.is_finite()) {
            return Ok(coded);
        }
        Ok(Coded {
            upcast: true,
            ..Coded::of(&call(self.wide()?)?)?
        })
    }

    fn wide(&self) -> Result<&Vae> {
        if let Some(vae) = self.wide.get() {
            return Ok(vae);
        }
        let config = self.vae.config();
        let (vae, weights) = load(
            &self.folder,
            self.preferred,
            config,
            Precision::F32,
            &self.device,
        )?;
        if weights != self.weights {
            let reason = "its weights changed since they were loaded; start again".into();
            return Err(model_fault(&self.folder, reason));
        }
        Ok(self.wide.get_or_init(|| vae))
    }
}

fn load(
    folder: &Path,
    preferred: Preferred,
    config: &VaeConfig,
    precision: Precision,
    device: &Device,
) -> Result<(Vae, blake3::Hash)> {
    let mut loader = open_weights(folder, preferred, device)?.with_precision(precision);
    let vae = Vae::load(&mut loader, config)?;
    Ok((vae, loader.finish()?))
}
