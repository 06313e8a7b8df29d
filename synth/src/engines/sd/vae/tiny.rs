//! TAESD, a small decoder for the same latents (Ollin Boer Bohan, "Tiny AutoEncoder for Stable Diffusion", 2023).

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use promptfed_nn::activation::relu;
use promptfed_nn::conv2d::Conv2d;
use promptfed_nn::convolution::ConvolutionShape;
use promptfed_nn::load::Loader;
use promptfed_nn::load::folder::{Preferred, open_weights, read_checked};
use promptfed_nn::{Activation, Precision, Result};
use serde::Deserialize;

use crate::engines::sd::keys::{Keys, Others};

/// The keys of the `config.json` of an `AutoencoderTiny` that the decoder depends on; the others are harmless or refused.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct TinyConfig {
    /// Channels of every level, from the latents up.
    pub decoder_block_out_channels: Vec<usize>,
    /// Residual blocks of every level.
    pub num_decoder_blocks: Vec<usize>,
    /// What latents are multiplied with for the UNet; 1 as TAESD takes the UNet's latents.
    pub scaling_factor: f64,
    latent_channels: usize,
    out_channels: usize,
    upsampling_scaling_factor: usize,
    act_fn: ActFn,
    upsample_fn: UpsampleFn,
    #[serde(flatten)]
    others: Others,
}

/// The keys of diffusers' `AutoencoderTiny` that are not read.
const KEYS: Keys = Keys {
    fixed: &[("quantization_config", "null")],
    harmless: &[
        // The decoder's channels once more.
        "block_out_channels",
        // Of the encoder.
        "encoder_block_out_channels",
        "in_channels",
        "num_encoder_blocks",
        // Of latents that are stored as images.
        "latent_magnitude",
        "latent_shift",
        // No pipeline of Stable Diffusion heeds them in this decoder.
        "force_upcast",
        "shift_factor",
    ],
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ActFn {
    Relu,
}

/// How `torch.nn.Upsample` doubles the sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum UpsampleFn {
    Nearest,
}

impl Default for TinyConfig {
    fn default() -> Self {
        Self {
            decoder_block_out_channels: vec![64; 4],
            num_decoder_blocks: vec![3, 3, 3, 1],
            scaling_factor: 1.0,
            latent_channels: 4,
            out_channels: 3,
            upsampling_scaling_factor: 2,
            act_fn: ActFn::Relu,
            upsample_fn: UpsampleFn::Nearest,
            others: Others::new(),
        }
    }
}

impl TinyConfig {
    fn fault(&self) -> Option<String> {
        if let Some(fault) = KEYS.fault(&self.others) {
            return Some(fault);
        }
        let channels = &self.decoder_block_out_channels;
        if channels.is_empty() || channels.len() != self.num_decoder_blocks.len() {
            return Some(
                "decoder_block_out_channels and num_decoder_blocks do not have the same number of entries".into(),
            );
        }
        if channels.iter().any(|c| *c != channels[0] || *c == 0) {
            return Some("decoder_block_out_channels differ; only equal ones are offered".into());
        }
        if (
            self.latent_channels,
            self.out_channels,
            self.upsampling_scaling_factor,
        ) != (4, 3, 2)
        {
            return Some(format!(
                "latent_channels is {}, out_channels {} and upsampling_scaling_factor {}; only 4, 3 and 2 are offered",
                self.latent_channels, self.out_channels, self.upsampling_scaling_factor
            ));
        }
        None
    }
}

/// The decoder with its weights.
pub struct TinyDecoder {
    config: TinyConfig,
    weights: blake3::Hash,
    layers: Vec<Layer>,
    dtype: DType,
}

enum Layer {
    In(Conv2d),
    Block(Box<[Conv2d; 3]>),
    Up(Conv2d),
    Out(Conv2d),
}

impl TinyDecoder {
    /// Loads the decoder from the folder of an `AutoencoderTiny`.
    ///
    /// # Errors
    /// If a file is missing or not what it should be; all tensors that do not fit, in one error.
    pub fn open(folder: &Path, device: &Device, precision: Precision) -> Result<Self> {
        let file = folder.join("config.json");
        let config = read_checked(&file, TinyConfig::fault)?;
        let mut loader = open_weights(folder, Preferred::for_precision(precision), device)?
            .with_precision(precision);
        loader.ignore(|name| name.starts_with("encoder."));
        let layers = Self::layers(&mut loader, &config)?;
        Ok(Self {
            config,
            layers,
            dtype: loader.activations(),
            weights: loader.finish()?,
        })
    }

    fn layers(loader: &mut Loader, config: &TinyConfig) -> Result<Vec<Layer>> {
        let d = config.decoder_block_out_channels[0];
        let kernel = ConvolutionShape::same(3, 1);
        let conv = |loader: &mut Loader, at: String, inputs, outputs| {
            Conv2d::load(
                loader,
                &format!("decoder.layers.{at}"),
                kernel,
                inputs,
                outputs,
            )
        };
        let mut layers = vec![Layer::In(conv(loader, "0".into(), 4, d)?)];
        // The activation behind the first convolution has number 1, every up-sampling a number before its convolution's.
        let mut next = 2;
        let levels = config.num_decoder_blocks.len();
        for (level, blocks) in config.num_decoder_blocks.iter().enumerate() {
            for _ in 0..*blocks {
                layers.push(Layer::Block(Box::new([
                    conv(loader, format!("{next}.conv.0"), d, d)?,
                    conv(loader, format!("{next}.conv.2"), d, d)?,
                    conv(loader, format!("{next}.conv.4"), d, d)?,
                ])));
                next += 1;
            }
            if level + 1 < levels {
                loader.supply_zeros(&format!("decoder.layers.{}.bias", next + 1), &[d]);
                layers.push(Layer::Up(conv(loader, (next + 1).to_string(), d, d)?));
                next += 2;
            } else {
                layers.push(Layer::Out(conv(loader, next.to_string(), d, 3)?));
            }
        }
        Ok(layers)
    }

    /// A hash over its weights.
    pub fn weights_hash(&self) -> blake3::Hash {
        self.weights
    }

    /// How many times smaller latents are than images.
    pub fn reduction(&self) -> usize {
        1 << (self.config.num_decoder_blocks.len() - 1)
    }

    /// What latents of the UNet are divided by before.
    pub fn scaling_factor(&self) -> f64 {
        self.config.scaling_factor
    }

    /// [n, h, w, 4] -> [n, h r, w r, 3], nominally in -1 to 1.
    ///
    /// # Errors
    /// If the latents have another shape.
    pub fn decode(&self, latents: &Tensor) -> Result<Tensor> {
        let mut x = ((latents.to_dtype(self.dtype)? / 3.0)?.tanh()? * 3.0)?;
        for layer in &self.layers {
            x = match layer {
                Layer::In(conv) => conv.forward_activated(&x, Activation::Relu)?,
                Layer::Block(block) => {
                    let [a, b, c] = block.as_ref();
                    let h = a.forward_activated(&x, Activation::Relu)?;
                    let h = b.forward_activated(&h, Activation::Relu)?;
                    relu(&c.forward_added(&h, &x)?)?
                }
                Layer::Up(conv) => conv.forward_upsampled(&x)?,
                Layer::Out(conv) => conv.forward(&x)?,
            };
        }
        Ok(((x * 2.0)? - 1.0)?)
    }
}
