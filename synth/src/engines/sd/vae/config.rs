//! `vae/config.json`: the shape of the autoencoder.

use std::path::Path;

use promptfed_nn::load::folder::read_checked;
use serde::Deserialize;

use crate::Result;
use crate::engines::sd::keys::{Keys, Others};

/// The keys of a `vae/config.json` that change the network, with diffusers' defaults; the others are harmless or refused.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct VaeConfig {
    /// Colours.
    pub in_channels: usize,
    /// Colours.
    pub out_channels: usize,
    /// The encoder's levels.
    pub down_block_types: Vec<EncoderBlockType>,
    /// The decoder's levels.
    pub up_block_types: Vec<DecoderBlockType>,
    /// Channels of every level.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks of every level of the encoder; one more in the decoder.
    pub layers_per_block: usize,
    /// Channels of the latents.
    pub latent_channels: usize,
    /// Groups of the group normalisations.
    pub norm_num_groups: usize,
    /// Side of the images that the weights were trained on, and of the tiles of a tiled decode.
    pub sample_size: usize,
    /// What latents are multiplied with on their way to the UNet.
    pub scaling_factor: f64,
    /// The mean of each channel of latents, which is taken from it before; counts together with `latents_std`, and in Stable
    /// Diffusion XL alone.
    pub latents_mean: Option<Vec<f64>>,
    /// The standard deviation of each channel of latents, by which it is divided.
    pub latents_std: Option<Vec<f64>>,
    /// Whether the weights overflow in f16. diffusers heeds it in Stable Diffusion XL alone, whose files say so.
    pub force_upcast: bool,
    /// Whether a convolution of kernel 1 follows the encoder.
    pub use_quant_conv: bool,
    /// Whether a convolution of kernel 1 precedes the decoder.
    pub use_post_quant_conv: bool,
    /// Whether the bottom has attention.
    pub mid_block_add_attention: bool,
    act_fn: ActFn,
    #[serde(flatten)]
    others: Others,
}

/// The keys of diffusers' `AutoencoderKL` that are not read.
const KEYS: Keys = Keys {
    fixed: &[("quantization_config", "null")],
    // No pipeline of Stable Diffusion takes it from latents.
    harmless: &["shift_factor"],
};

impl Default for VaeConfig {
    fn default() -> Self {
        Self {
            in_channels: 3,
            out_channels: 3,
            down_block_types: vec![EncoderBlockType::DownEncoderBlock2D],
            up_block_types: vec![DecoderBlockType::UpDecoderBlock2D],
            block_out_channels: vec![64],
            layers_per_block: 1,
            latent_channels: 4,
            norm_num_groups: 32,
            sample_size: 32,
            scaling_factor: 0.18215,
            latents_mean: None,
            latents_std: None,
            force_upcast: false,
            use_quant_conv: true,
            use_post_quant_conv: true,
            mid_block_add_attention: true,
            act_fn: ActFn::Silu,
            others: Others::new(),
        }
    }
}

/// A level of the encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum EncoderBlockType {
    /// Residual blocks.
    DownEncoderBlock2D,
}

/// A level of the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum DecoderBlockType {
    /// Residual blocks.
    UpDecoderBlock2D,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ActFn {
    Silu,
}

impl VaeConfig {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// A key with an impossible value, or one that asks for a network that is not offered; the message names file and key.
    pub fn read(file: &Path) -> Result<Self> {
        Ok(read_checked(file, Self::fault)?)
    }

    /// How many times smaller latents are than images.
    pub fn reduction(&self) -> usize {
        1 << (self.block_out_channels.len() - 1)
    }

    /// The mean and the standard deviation of a channel of the autoencoder's latents, as the UNet's are made from them: less
    /// the mean, over the deviation, times [`VaeConfig::scaling_factor`]. diffusers' pipelines heed them in Stable Diffusion XL
    /// alone.
    pub fn statistics(&self, channel: usize) -> (f32, f32) {
        match (&self.latents_mean, &self.latents_std) {
            (Some(mean), Some(deviation)) => (mean[channel] as f32, deviation[channel] as f32),
            _ => (0.0, 1.0),
        }
    }

    fn fault(&self) -> Option<String> {
        if let Some(fault) = KEYS.fault(&self.others) {
            return Some(fault);
        }
        let levels = self.block_out_channels.len();
        if levels == 0
            || self.down_block_types.len() != levels
            || self.up_block_types.len() != levels
        {
            return Some(format!(
                "block_out_channels, down_block_types and up_block_types have {levels}, {} and {} entries; they have the same number",
                self.down_block_types.len(),
                self.up_block_types.len()
            ));
        }
        let groups = self.norm_num_groups;
        let divides = |c: &usize| groups > 0 && *c > 0 && c.is_multiple_of(groups);
        if let Some(channels) = self.block_out_channels.iter().find(|c| !divides(c)) {
            return Some(format!(
                "block_out_channels has {channels}, which norm_num_groups {groups} does not divide"
            ));
        }
        if self.in_channels != 3 || self.out_channels != 3 || self.latent_channels != 4 {
            return Some(format!(
                "it has {} channels in, {} out and {} in latents; only 3, 3 and 4 are offered",
                self.in_channels, self.out_channels, self.latent_channels
            ));
        }
        for (key, values) in [
            ("latents_mean", &self.latents_mean),
            ("latents_std", &self.latents_std),
        ] {
            let count = values.as_ref().map_or(self.latent_channels, Vec::len);
            if count != self.latent_channels {
                return Some(format!(
                    "{key} has {count} entries; latents have {} channels",
                    self.latent_channels
                ));
            }
        }
        let mut deviations = self.latents_std.iter().flatten();
        if let Some(std) = deviations.find(|std| std.is_nan() || **std <= 0.0) {
            return Some(format!("latents_std has {std}; all of them are positive"));
        }
        if self.layers_per_block == 0 || self.scaling_factor.is_nan() || self.scaling_factor <= 0.0
        {
            return Some(format!(
                "layers_per_block is {} and scaling_factor {}; both are positive",
                self.layers_per_block, self.scaling_factor
            ));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_channel_of_latents_has_its_own_statistics() {
        let mut config = VaeConfig {
            latents_mean: Some(vec![1.0, 2.0, 3.0, 4.0]),
            ..VaeConfig::default()
        };
        assert_eq!(config.statistics(2), (0.0, 1.0));
        config.latents_std = Some(vec![5.0, 6.0, 7.0, 8.0]);
        assert_eq!(
            [0, 1, 2, 3].map(|c| config.statistics(c)),
            [(1.0, 5.0), (2.0, 6.0), (3.0, 7.0), (4.0, 8.0)]
        );
        config.latents_std = Some(vec![5.0, 6.0, 0.0, 8.0]);
        assert!(config.fault().unwrap().contains("latents_std has 0"));
    }

    #[test]
    fn keys_are_read_harmless_or_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.json");
        std::fs::write(&file, r#"{"_class_name": "X", "shift_factor": 0.1}"#).unwrap();
        VaeConfig::read(&file).unwrap();
        std::fs::write(&file, r#"{"patch_size": 2}"#).unwrap();
        let error = VaeConfig::read(&file).unwrap_err().to_string();
        assert!(
            error.contains("config.json") && error.contains("patch_size is not known"),
            "{error}"
        );
    }
}
