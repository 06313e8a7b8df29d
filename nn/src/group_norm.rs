//! Group normalisation with learned scale and shift.

use candle_core::{D, Tensor};

use crate::activation::Activation;
use crate::load::Loader;
use crate::{Error, Result};

/// (x - mean) / sqrt(variance + eps) gamma + beta, mean and biased variance over all positions of a group
/// of neighbouring channels (Wu and He 2018, eq. 1, 2 and 6).
pub struct GroupNorm {
    groups: usize,
    eps: f32,
    /// [c]
    gamma: Tensor,
    /// [c]
    beta: Tensor,
}

impl GroupNorm {
    /// Takes `name.weight` and `name.bias`, [channels] each; `groups` divides `channels`.
    ///
    /// # Errors
    /// See [`Loader::tensor`]; if the channels do not split into groups.
    pub fn load(
        loader: &mut Loader,
        name: &str,
        groups: usize,
        channels: usize,
        eps: f32,
    ) -> Result<Self> {
        if groups == 0 || channels % groups != 0 {
            return Err(Error::shapes("group normalisation", &[channels], &[groups]));
        }
        Ok(Self {
            groups,
            eps,
            gamma: loader.tensor(&format!("{name}.weight"), &[channels])?,
            beta: loader.tensor(&format!("{name}.bias"), &[channels])?,
        })
    }

    /// Normalises `x` [n, .., c], each sample by itself, and applies `activation`.
    ///
    /// # Errors
    /// If `x` has another number of channels.
    pub fn forward(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        let channels = self.gamma.elem_count();
        if x.rank() < 2 || x.dims().last() != Some(&channels) {
            return Err(Error::shapes("group normalisation", x.dims(), &[channels]));
        }
        let n = x.dim(0)?;
        let positions = x.elem_count() / (n * channels).max(1);
        let grouped = x.reshape((n, positions, self.groups, channels / self.groups))?;
        let mean = grouped.mean_keepdim((1, 3))?;
        let centred = grouped.broadcast_sub(&mean)?;
        let variance = centred.sqr()?.mean_keepdim((1, 3))?;
        let normed = centred.broadcast_div(&(variance + f64::from(self.eps))?.sqrt()?)?;
        let scaled = normed
            .reshape((n, positions, channels))?
            .broadcast_mul(&self.gamma)?
            .broadcast_add(&self.beta)?
            .reshape(x.shape())?;
        debug_assert_eq!(scaled.dim(D::Minus1)?, channels);
        Ok(activation.composite(&scaled)?)
    }
}
