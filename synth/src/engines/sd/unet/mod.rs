//! The network that predicts the noise in latents (Rombach et al. 2022; with its added conditions, Podell et al. 2023).

mod activation;
mod blocks;
mod config;
mod numbers;
mod time;
mod transformer;

use candle_core::Tensor;
use promptfed_nn::conv2d::Conv2d;
use promptfed_nn::convolution::ConvolutionShape;
use promptfed_nn::group_norm::GroupNorm;
use promptfed_nn::load::Loader;
use promptfed_nn::{Activation, Result};

pub use activation::TimeActivation;
pub use config::{AdditionEmbedType, DownBlockType, MidBlockType, UNetConfig, UpBlockType};
pub use numbers::{PerLevel, Size};
pub use time::{Conditions, guidance_embedding};

use self::blocks::{DownBlock, MidBlock, Pass, UpBlock};
use self::time::TimeEmbedding;

/// The network with its weights.
pub struct UNet {
    time: TimeEmbedding,
    conv_in: Conv2d,
    down: Vec<DownBlock>,
    mid: Option<MidBlock>,
    up: Vec<UpBlock>,
    norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl UNet {
    /// Takes the network's tensors.
    ///
    /// # Errors
    /// See [`Loader::tensor`].
    pub fn load(loader: &mut Loader, config: &UNetConfig) -> Result<Self> {
        let levels = config.block_out_channels.len();
        let first = config.block_out_channels[0];
        let kernel = ConvolutionShape::same(3, 1);
        let time = TimeEmbedding::load(loader, config)?;
        let conv_in = Conv2d::load(loader, "conv_in", kernel, config.in_channels, first)?;
        let down = (0..levels)
            .map(|level| DownBlock::load(loader, config, level))
            .collect::<Result<_>>()?;
        let mid = config
            .mid_block_type
            .map(|_| MidBlock::load(loader, config))
            .transpose()?;
        let up = (0..levels)
            .map(|i| UpBlock::load(loader, config, i))
            .collect::<Result<_>>()?;
        let (groups, eps) = (config.norm_num_groups, config.norm_eps);
        Ok(Self {
            time,
            conv_in,
            down,
            mid,
            up,
            norm_out: GroupNorm::load(loader, "conv_norm_out", groups, first, eps)?,
            conv_out: Conv2d::load(loader, "conv_out", kernel, first, config.out_channels)?,
        })
    }

    /// One call: `latents` [n, h, w, 4] at a timestep, `context` [n, tokens, d] -> the prediction [n, h, w, 4].
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward(
        &self,
        latents: &Tensor,
        timestep: f64,
        context: &Tensor,
        conditions: &Conditions<'_>,
    ) -> Result<Tensor> {
        let time = self
            .time
            .forward(timestep as f32, latents.dim(0)?, conditions)?;
        let pass = Pass {
            time: &time,
            context,
        };
        let mut x = self.conv_in.forward(latents)?;
        let mut skips = vec![x.clone()];
        for block in &self.down {
            x = block.forward(&x, &pass, &mut skips)?;
        }
        if let Some(mid) = &self.mid {
            x = mid.forward(&x, &pass)?;
        }
        for block in &self.up {
            x = block.forward(&x, &pass, &mut skips)?;
        }
        let operand = self.conv_out.operand();
        let x = self.norm_out.forward_as(&x, Activation::Silu, operand)?;
        self.conv_out.forward(&x)
    }
}
