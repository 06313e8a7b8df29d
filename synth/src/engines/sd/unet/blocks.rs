//! The levels of the network: the way down, the bottom, the way up.

use candle_core::Tensor;
use promptfed_nn::Result;
use promptfed_nn::conv2d::{Conv2d, doubled};
use promptfed_nn::convolution::Padding;
use promptfed_nn::load::Loader;

use super::config::{DownBlockType, UNetConfig, UpBlockType};
use super::transformer::{Transformer, TransformerShape};
use crate::engines::sd::resnet::{ResnetBlock, ResnetShape};

/// What every block of one pass sees.
pub(super) struct Pass<'a> {
    /// The timestep's embedding after SiLU, [n, width].
    pub(super) time: &'a Tensor,
    /// The prompt's tokens, [n, tokens, d].
    pub(super) context: &'a Tensor,
}

/// A residual block with the transformer behind it, where there is one.
struct Layer {
    resnet: ResnetBlock,
    transformer: Option<Transformer>,
}

impl Layer {
    fn forward(&self, x: &Tensor, pass: &Pass<'_>) -> Result<Tensor> {
        let x = self.resnet.forward(x, Some(pass.time))?;
        match &self.transformer {
            None => Ok(x),
            Some(transformer) => transformer.forward(&x, pass.context),
        }
    }
}

fn resnet_shape(config: &UNetConfig, channels_in: usize, channels_out: usize) -> ResnetShape {
    ResnetShape {
        channels_in,
        channels_out,
        groups: config.norm_num_groups,
        eps: config.norm_eps,
        time_width: Some(config.time_width()),
    }
}

fn transformer_shape(config: &UNetConfig, level: usize) -> TransformerShape {
    TransformerShape {
        channels: config.block_out_channels[level],
        groups: config.norm_num_groups,
        heads: config.heads(level),
        depth: config.transformer_layers_per_block.at(level),
        context: config.cross_attention_dim.at(level),
        linear_projection: config.use_linear_projection,
    }
}

fn load_layer(
    loader: &mut Loader,
    config: &UNetConfig,
    block: &str,
    j: usize,
    channels: (usize, usize),
    transformer: Option<usize>,
) -> Result<Layer> {
    let shape = resnet_shape(config, channels.0, channels.1);
    let resnet = ResnetBlock::load(loader, &format!("{block}.resnets.{j}"), shape)?;
    let transformer = transformer
        .map(|level| {
            let shape = transformer_shape(config, level);
            Transformer::load(loader, &format!("{block}.attentions.{j}"), shape)
        })
        .transpose()?;
    Ok(Layer {
        resnet,
        transformer,
    })
}

/// A level on the way down; the last has no way further down.
pub(super) struct DownBlock {
    layers: Vec<Layer>,
    downsample: Option<Conv2d>,
}

impl DownBlock {
    pub(super) fn load(loader: &mut Loader, config: &UNetConfig, level: usize) -> Result<Self> {
        let name = format!("down_blocks.{level}");
        let out = config.block_out_channels[level];
        let before = config.block_out_channels[level.saturating_sub(1)];
        let attends = config.down_block_types[level] == DownBlockType::CrossAttnDownBlock2D;
        let layers = (0..config.layers_per_block.at(level))
            .map(|j| {
                let channels = (if j == 0 { before } else { out }, out);
                load_layer(loader, config, &name, j, channels, attends.then_some(level))
            })
            .collect::<Result<_>>()?;
        let downsample = (level + 1 < config.block_out_channels.len())
            .then(|| {
                let name = format!("{name}.downsamplers.0.conv");
                Conv2d::load_halving(loader, &name, Padding::around(1), out)
            })
            .transpose()?;
        Ok(Self { layers, downsample })
    }

    /// Pushes every intermediate result onto `skips`.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        pass: &Pass<'_>,
        skips: &mut Vec<Tensor>,
    ) -> Result<Tensor> {
        let mut x = x.clone();
        for layer in &self.layers {
            x = layer.forward(&x, pass)?;
            skips.push(x.clone());
        }
        if let Some(downsample) = &self.downsample {
            x = downsample.forward(&x)?;
            skips.push(x.clone());
        }
        Ok(x)
    }
}

/// The bottom.
pub(super) struct MidBlock {
    first: Layer,
    second: ResnetBlock,
}

impl MidBlock {
    pub(super) fn load(loader: &mut Loader, config: &UNetConfig) -> Result<Self> {
        let level = config.block_out_channels.len() - 1;
        let d = config.block_out_channels[level];
        Ok(Self {
            first: load_layer(loader, config, "mid_block", 0, (d, d), Some(level))?,
            second: ResnetBlock::load(loader, "mid_block.resnets.1", resnet_shape(config, d, d))?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor, pass: &Pass<'_>) -> Result<Tensor> {
        let x = self.first.forward(x, pass)?;
        self.second.forward(&x, Some(pass.time))
    }
}

/// A level on the way up; the last has no way further up.
pub(super) struct UpBlock {
    layers: Vec<Layer>,
    upsample: Option<Conv2d>,
}

impl UpBlock {
    /// Block `i` of the way up, which is the `i`-th level from below.
    pub(super) fn load(loader: &mut Loader, config: &UNetConfig, i: usize) -> Result<Self> {
        let name = format!("up_blocks.{i}");
        let channels = &config.block_out_channels;
        let level = channels.len() - 1 - i;
        let out = channels[level];
        let below = channels[(level + 1).min(channels.len() - 1)];
        let above = channels[level.saturating_sub(1)];
        let attends = config.up_block_types[i] == UpBlockType::CrossAttnUpBlock2D;
        let count = config.layers_per_block.at(level) + 1;
        let layers = (0..count)
            .map(|j| {
                let before = if j == 0 { below } else { out };
                let skip = if j + 1 == count { above } else { out };
                let channels = (before + skip, out);
                load_layer(loader, config, &name, j, channels, attends.then_some(level))
            })
            .collect::<Result<_>>()?;
        let upsample = (level > 0)
            .then(|| {
                let name = format!("{name}.upsamplers.0.conv");
                Conv2d::load_upsampling(loader, &name, out, out)
            })
            .transpose()?;
        Ok(Self { layers, upsample })
    }

    /// Takes the intermediate results of the way down from the end of `skips`.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        pass: &Pass<'_>,
        skips: &mut Vec<Tensor>,
    ) -> Result<Tensor> {
        let mut x = x.clone();
        for layer in &self.layers {
            if let Some(skip) = skips.pop() {
                x = Tensor::cat(&[&x, &skip], 3)?;
            }
            x = layer.forward(&x, pass)?;
        }
        let Some(upsample) = &self.upsample else {
            return Ok(x);
        };
        let (_, h, w, _) = x.dims4()?;
        match skips.last().map(Tensor::dims4).transpose()? {
            Some((_, height, width, _)) if (height, width) != (2 * h, 2 * w) => {
                let large = doubled(&x)?.narrow(1, 0, height)?.narrow(2, 0, width)?;
                upsample.forward(&large.contiguous()?)
            }
            _ => upsample.forward_upsampled(&x),
        }
    }
}
