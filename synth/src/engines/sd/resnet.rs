//! The residual block that the UNet and the autoencoder share.

use candle_core::Tensor;
use promptfed_nn::conv2d::Conv2d;
use promptfed_nn::convolution::ConvolutionShape;
use promptfed_nn::group_norm::GroupNorm;
use promptfed_nn::linear::{Bias, Linear};
use promptfed_nn::load::Loader;
use promptfed_nn::{Activation, Result};

/// Normalisation, SiLU and convolution twice, beside a shortcut (He et al. 2016; with the timestep: Ho et al. 2020,
/// appendix B).
pub(super) struct ResnetBlock {
    norm1: GroupNorm,
    conv1: Conv2d,
    time: Option<Linear>,
    norm2: GroupNorm,
    conv2: Conv2d,
    shortcut: Option<Conv2d>,
}

/// Channels and normalisation of a residual block.
#[derive(Clone, Copy)]
pub(super) struct ResnetShape {
    pub(super) channels_in: usize,
    pub(super) channels_out: usize,
    pub(super) groups: usize,
    pub(super) eps: f32,
    /// Width of the timestep's embedding, where the block takes one.
    pub(super) time_width: Option<usize>,
}

impl ResnetBlock {
    pub(super) fn load(loader: &mut Loader, name: &str, shape: ResnetShape) -> Result<Self> {
        let ResnetShape {
            channels_in,
            channels_out,
            groups,
            eps,
            time_width,
        } = shape;
        let at = |part: &str| format!("{name}.{part}");
        let kernel = ConvolutionShape::same(3, 1);
        let time = time_width
            .map(|d| Linear::load(loader, &at("time_emb_proj"), d, channels_out, Bias::Present))
            .transpose()?;
        let shortcut = (channels_in != channels_out)
            .then(|| {
                let kernel = ConvolutionShape::same(1, 1);
                Conv2d::load(
                    loader,
                    &at("conv_shortcut"),
                    kernel,
                    channels_in,
                    channels_out,
                )
            })
            .transpose()?;
        Ok(Self {
            norm1: GroupNorm::load(loader, &at("norm1"), groups, channels_in, eps)?,
            conv1: Conv2d::load(loader, &at("conv1"), kernel, channels_in, channels_out)?,
            time,
            norm2: GroupNorm::load(loader, &at("norm2"), groups, channels_out, eps)?,
            conv2: Conv2d::load(loader, &at("conv2"), kernel, channels_out, channels_out)?,
            shortcut,
        })
    }

    /// `x` [n, h, w, channels_in], `time` [n, time_width] after SiLU -> [n, h, w, channels_out].
    pub(super) fn forward(&self, x: &Tensor, time: Option<&Tensor>) -> Result<Tensor> {
        let silu = Activation::Silu;
        let h = self.norm1.forward_as(x, silu, self.conv1.operand())?;
        let mut h = self.conv1.forward(&h)?;
        if let (Some(layer), Some(time)) = (&self.time, time) {
            let shift = layer.forward(time)?;
            h = h.broadcast_add(&shift.unsqueeze(1)?.unsqueeze(1)?)?;
        }
        let h = self.norm2.forward_as(&h, silu, self.conv2.operand())?;
        match &self.shortcut {
            None => self.conv2.forward_added(&h, x),
            Some(shortcut) => self.conv2.forward_added(&h, &shortcut.forward(x)?),
        }
    }
}
