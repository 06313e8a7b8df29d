//! Batch normalisation over the last dimension (Ioffe and Szegedy 2015), with what usually follows
//! it in the same pass: the addition of a residual and a ReLU.
//!
//! Values are `[pixels, channels]`, all pixels of all images counted together.

pub use promptfed_kernels::batch_norm::{AffineGradient, BatchStatistics, ScaleShift};

use candle_core::{D, Tensor};
use promptfed_kernels::Kernels;

use crate::{Result, cpu};

/// The `eps` added to variances, PyTorch's default.
pub const EPSILON: f32 = 1e-5;

/// The share of a batch's statistics that enters the running ones, PyTorch's default.
pub const MOMENTUM: f32 = 0.1;

/// Batch normalisation on slices: for code that keeps its own buffers.
///
/// Results do not depend on the number of threads.
#[derive(Debug, Clone, Copy)]
pub struct BatchNorm {
    kernels: Kernels,
}

impl BatchNorm {
    /// On the kernels of this processor.
    ///
    /// # Errors
    /// If the environment names an instruction set that is not here.
    pub fn new() -> Result<Self> {
        Ok(Self {
            kernels: cpu::kernels()?,
        })
    }

    /// The statistics of `values [pixels, channels]`.
    ///
    /// # Panics
    /// If `values` is empty or not a whole number of pixels.
    pub fn statistics(&self, values: &[f32], channels: usize) -> BatchStatistics {
        self.kernels.batch_statistics(values, channels)
    }

    /// `output = values * scale + shift (+ residual)`, then negative values to zero if `relu`; see [`factors`].
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn apply(
        &self,
        values: &[f32],
        factors: &ScaleShift,
        residual: Option<&[f32]>,
        relu: bool,
        output: &mut [f32],
    ) {
        self.kernels
            .scale_shift(values, factors, residual, relu, output);
    }

    /// The gradient through a normalisation by the batch's own statistics and a ReLU behind it, whose result was
    /// `output`: `gradient`, that of the result, becomes zero where `output` is (which is the gradient of a residual),
    /// and `values`, the input of the normalisation, is replaced by its gradient.
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn relu_gradient(
        &self,
        values: &mut [f32],
        output: &[f32],
        gradient: &mut [f32],
        statistics: &BatchStatistics,
        gamma: &[f32],
    ) -> AffineGradient {
        self.kernels
            .batch_norm_relu_gradient(values, output, gradient, statistics, gamma, EPSILON)
    }
}

/// `(x - mean) / sqrt(variance + EPSILON) * gamma + beta`, all `[channels]`.
pub fn factors(mean: &[f32], variance: &[f32], gamma: &[f32], beta: &[f32]) -> ScaleShift {
    ScaleShift::new(mean, variance, gamma, beta, EPSILON)
}

/// Moves running statistics by [`MOMENTUM`] towards those of a batch; the variance enters unbiased, as in PyTorch.
pub fn update_running(batch: &BatchStatistics, mean: &mut [f32], variance: &mut [f32]) {
    let n = batch.pixels as f32;
    let unbias = if batch.pixels > 1 { n / (n - 1.0) } else { 1.0 };
    for (running, batch) in mean.iter_mut().zip(&batch.mean) {
        *running += MOMENTUM * (batch - *running);
    }
    for (running, batch) in variance.iter_mut().zip(&batch.variance) {
        *running += MOMENTUM * (batch * unbias - *running);
    }
}

/// Normalisation by the statistics of the batch out of candle's own operations, for CUDA and as the
/// reference of the CPU kernels: `values [.., channels]`, `gamma` and `beta [channels]`; returns the
/// normalised values, the mean and the biased variance.
///
/// # Errors
/// If the shapes do not fit each other.
pub fn composite(
    values: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
) -> Result<(Tensor, Tensor, Tensor)> {
    let channels = values.dim(D::Minus1)?;
    let flat = values.reshape(((), channels))?;
    let mean = flat.mean_keepdim(0)?;
    let centred = flat.broadcast_sub(&mean)?;
    let variance = centred.sqr()?.mean_keepdim(0)?;
    let scale = (&variance + f64::from(EPSILON))?.sqrt()?.recip()?;
    let normalised = centred
        .broadcast_mul(&scale.broadcast_mul(gamma)?)?
        .broadcast_add(beta)?
        .reshape(values.shape())?;
    Ok((normalised, mean.flatten_all()?, variance.flatten_all()?))
}
