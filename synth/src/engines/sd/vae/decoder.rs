//! Latents to images.

use candle_core::Tensor;
use promptfed_nn::conv2d::Conv2d;
use promptfed_nn::convolution::ConvolutionShape;
use promptfed_nn::group_norm::GroupNorm;
use promptfed_nn::load::Loader;
use promptfed_nn::{Activation, Result};

use super::blocks::{EPS, MidBlock, load_resnet};
use super::config::VaeConfig;
use crate::engines::sd::resnet::ResnetBlock;

pub(super) struct Decoder {
    post_quant: Option<Conv2d>,
    conv_in: Conv2d,
    mid: MidBlock,
    levels: Vec<Level>,
    norm_out: GroupNorm,
    conv_out: Conv2d,
}

struct Level {
    resnets: Vec<ResnetBlock>,
    upsample: Option<Conv2d>,
}

impl Decoder {
    pub(super) fn load(loader: &mut Loader, config: &VaeConfig) -> Result<Self> {
        let channels = &config.block_out_channels;
        let (first, last) = (channels[0], channels[channels.len() - 1]);
        let kernel = ConvolutionShape::same(3, 1);
        let pointwise = ConvolutionShape::same(1, 1);
        let latent = config.latent_channels;
        let post_quant = config
            .use_post_quant_conv
            .then(|| Conv2d::load(loader, "post_quant_conv", pointwise, latent, latent))
            .transpose()?;
        let levels = (0..channels.len())
            .map(|i| Level::load(loader, config, i))
            .collect::<Result<_>>()?;
        let groups = config.norm_num_groups;
        Ok(Self {
            post_quant,
            conv_in: Conv2d::load(loader, "decoder.conv_in", kernel, latent, last)?,
            mid: MidBlock::load(loader, config, "decoder.mid_block", last)?,
            levels,
            norm_out: GroupNorm::load(loader, "decoder.conv_norm_out", groups, first, EPS)?,
            conv_out: Conv2d::load(
                loader,
                "decoder.conv_out",
                kernel,
                first,
                config.out_channels,
            )?,
        })
    }

    /// [n, h, w, 4] -> [n, h r, w r, 3], nominally in -1 to 1.
    pub(super) fn forward(&self, latents: &Tensor) -> Result<Tensor> {
        let mut x = match &self.post_quant {
            None => self.conv_in.forward(latents)?,
            Some(layer) => self.conv_in.forward(&layer.forward(latents)?)?,
        };
        x = self.mid.forward(&x)?;
        for level in &self.levels {
            for resnet in &level.resnets {
                x = resnet.forward(&x, None)?;
            }
            if let Some(upsample) = &level.upsample {
                x = upsample.forward_upsampled(&x)?;
            }
        }
        let x = self
            .norm_out
            .forward_as(&x, Activation::Silu, self.conv_out.operand())?;
        self.conv_out.forward(&x)
    }
}

impl Level {
    /// Level `i` of the way up, which is the `i`-th from below.
    fn load(loader: &mut Loader, config: &VaeConfig, i: usize) -> Result<Self> {
        let name = format!("decoder.up_blocks.{i}");
        let channels = &config.block_out_channels;
        let below = channels.len() - 1 - i.saturating_sub(1);
        let at = channels.len() - 1 - i;
        let (before, out) = (channels[below], channels[at]);
        let resnets = (0..=config.layers_per_block)
            .map(|j| {
                let input = if j == 0 { before } else { out };
                load_resnet(loader, config, &format!("{name}.resnets.{j}"), input, out)
            })
            .collect::<Result<_>>()?;
        let upsample = (at > 0)
            .then(|| {
                let name = format!("{name}.upsamplers.0.conv");
                Conv2d::load_upsampling(loader, &name, out, out)
            })
            .transpose()?;
        Ok(Self { resnets, upsample })
    }
}
