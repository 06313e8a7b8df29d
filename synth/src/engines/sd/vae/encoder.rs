//! Images to latents.

use candle_core::Tensor;
use promptfed_nn::conv2d::Conv2d;
use promptfed_nn::convolution::{ConvolutionShape, Padding};
use promptfed_nn::group_norm::GroupNorm;
use promptfed_nn::load::Loader;
use promptfed_nn::{Activation, Result};

use super::blocks::{EPS, MidBlock, load_resnet};
use super::config::VaeConfig;
use crate::engines::sd::resnet::ResnetBlock;

pub(super) struct Encoder {
    conv_in: Conv2d,
    levels: Vec<Level>,
    mid: MidBlock,
    norm_out: GroupNorm,
    conv_out: Conv2d,
    quant: Option<Conv2d>,
    latent_channels: usize,
}

struct Level {
    resnets: Vec<ResnetBlock>,
    downsample: Option<Conv2d>,
}

impl Encoder {
    pub(super) fn load(loader: &mut Loader, config: &VaeConfig) -> Result<Self> {
        let channels = &config.block_out_channels;
        let (first, last) = (channels[0], channels[channels.len() - 1]);
        let kernel = ConvolutionShape::same(3, 1);
        let conv_in = Conv2d::load(loader, "encoder.conv_in", kernel, config.in_channels, first)?;
        let levels = (0..channels.len())
            .map(|i| Level::load(loader, config, i))
            .collect::<Result<_>>()?;
        let moments = 2 * config.latent_channels;
        let pointwise = ConvolutionShape::same(1, 1);
        let quant = config
            .use_quant_conv
            .then(|| Conv2d::load(loader, "quant_conv", pointwise, moments, moments))
            .transpose()?;
        let groups = config.norm_num_groups;
        Ok(Self {
            conv_in,
            levels,
            mid: MidBlock::load(loader, config, "encoder.mid_block", last)?,
            norm_out: GroupNorm::load(loader, "encoder.conv_norm_out", groups, last, EPS)?,
            conv_out: Conv2d::load(loader, "encoder.conv_out", kernel, last, moments)?,
            quant,
            latent_channels: config.latent_channels,
        })
    }

    /// [n, h, w, 3] in -1 to 1 -> the mean of the latents' distribution, [n, h / r, w / r, 4].
    pub(super) fn forward(&self, image: &Tensor) -> Result<Tensor> {
        let mut x = self.conv_in.forward(image)?;
        for level in &self.levels {
            for resnet in &level.resnets {
                x = resnet.forward(&x, None)?;
            }
            if let Some(downsample) = &level.downsample {
                x = downsample.forward(&x)?;
            }
        }
        let x = self.mid.forward(&x)?;
        let x = self
            .norm_out
            .forward_as(&x, Activation::Silu, self.conv_out.operand())?;
        let mut moments = self.conv_out.forward(&x)?;
        if let Some(quant) = &self.quant {
            moments = quant.forward(&moments)?;
        }
        Ok(moments.narrow(3, 0, self.latent_channels)?.contiguous()?)
    }
}

impl Level {
    fn load(loader: &mut Loader, config: &VaeConfig, i: usize) -> Result<Self> {
        let name = format!("encoder.down_blocks.{i}");
        let channels = &config.block_out_channels;
        let (before, out) = (channels[i.saturating_sub(1)], channels[i]);
        let resnets = (0..config.layers_per_block)
            .map(|j| {
                let input = if j == 0 { before } else { out };
                load_resnet(loader, config, &format!("{name}.resnets.{j}"), input, out)
            })
            .collect::<Result<_>>()?;
        let downsample = (i + 1 < channels.len())
            .then(|| {
                // Below and to the right only.
                let padding = Padding {
                    before: 0,
                    after: 1,
                };
                let name = format!("{name}.downsamplers.0.conv");
                Conv2d::load_halving(loader, &name, padding, out)
            })
            .transpose()?;
        Ok(Self {
            resnets,
            downsample,
        })
    }
}
