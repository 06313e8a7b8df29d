//! The autoencoder between images and latents (Rombach et al. 2022, section 3.1).

mod blocks;
mod config;
mod decoder;
mod encoder;
mod tiling;
mod tiny;

use candle_core::{DType, Tensor};
use promptfed_nn::Result;
use promptfed_nn::load::Loader;

pub use config::{DecoderBlockType, EncoderBlockType, VaeConfig};
pub use tiny::{TinyConfig, TinyDecoder};

use self::decoder::Decoder;
use self::encoder::Encoder;

/// The autoencoder with its weights.
pub struct Vae {
    config: VaeConfig,
    encoder: Encoder,
    decoder: Decoder,
    dtype: DType,
}

impl Vae {
    /// Takes the autoencoder's tensors, in their present or old names.
    ///
    /// # Errors
    /// See [`Loader::tensor`].
    pub fn load(loader: &mut Loader, config: &VaeConfig) -> Result<Self> {
        loader.rename(blocks::present_name);
        Ok(Self {
            config: config.clone(),
            encoder: Encoder::load(loader, config)?,
            decoder: Decoder::load(loader, config)?,
            dtype: loader.activations(),
        })
    }

    /// The mean of the latents of images in -1 to 1: [n, h, w, 3] -> [n, h / r, w / r, 4], unscaled.
    ///
    /// # Errors
    /// If the image has another shape.
    pub fn encode(&self, image: &Tensor) -> Result<Tensor> {
        self.encoder.forward(&image.to_dtype(self.dtype)?)
    }

    /// Images of unscaled latents: [n, h, w, 4] -> [n, h r, w r, 3], nominally in -1 to 1.
    ///
    /// # Errors
    /// If the latents have another shape.
    pub fn decode(&self, latents: &Tensor) -> Result<Tensor> {
        self.decoder.forward(&latents.to_dtype(self.dtype)?)
    }

    /// [`Vae::decode`] of one image in tiles of the size that the weights were trained on.
    ///
    /// # Errors
    /// If the latents have another shape.
    pub fn decode_tiled(&self, latents: &Tensor) -> Result<Tensor> {
        let reduction = self.config.reduction();
        let tile = (self.config.sample_size / reduction).max(1);
        tiling::decode_tiled(latents, tile, reduction, |part| self.decode(part))
    }

    /// The configuration of the weights.
    pub fn config(&self) -> &VaeConfig {
        &self.config
    }
}
