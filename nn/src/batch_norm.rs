//! Batch normalisation over the last dimension (Ioffe and Szegedy 2015), with what usually follows
//! it in the same pass: the addition of a residual and a ReLU.
//!
//! Values are `[pixels, channels]`, all pixels of all images counted together. Sums are formed over
//! chunks whose number depends on the shape alone, so results do not depend on the number of threads.

use candle_core::{D, Tensor};
use pulp::Arch;
use rayon::prelude::*;

use crate::Result;

/// The `eps` added to variances, PyTorch's default.
pub const EPSILON: f32 = 1e-5;

/// The share of a batch's statistics that enters the running ones, PyTorch's default.
pub const MOMENTUM: f32 = 0.1;

const CHUNKS: usize = 16;

/// Values in a chunk of `len` values in pixels of `channels` values.
fn chunk_len(len: usize, channels: usize) -> usize {
    (len / channels).div_ceil(CHUNKS).max(1) * channels
}

/// Mean and variance per channel of one batch.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchStatistics {
    /// `[channels]`.
    pub mean: Vec<f32>,
    /// `[channels]`, the mean of squared differences (biased).
    pub variance: Vec<f32>,
    /// Pixels that were counted.
    pub pixels: usize,
}

impl BatchStatistics {
    /// The statistics of `values [pixels, channels]`.
    ///
    /// # Panics
    /// If `values` is empty or not a whole number of pixels.
    pub fn of(values: &[f32], channels: usize) -> Self {
        assert!(!values.is_empty() && values.len().is_multiple_of(channels));
        let parts: Vec<(usize, Vec<f32>, Vec<f32>)> = values
            .par_chunks(chunk_len(values.len(), channels))
            .map(|chunk| Arch::new().dispatch(|| moments(chunk, channels)))
            .collect();
        // Chan et al. 1983: the moments of a union from those of its parts.
        let mut mean = vec![0f64; channels];
        let mut squares = vec![0f64; channels];
        let mut count = 0f64;
        for (pixels, part_mean, part_squares) in parts {
            let pixels = pixels as f64;
            let total = count + pixels;
            for c in 0..channels {
                let delta = f64::from(part_mean[c]) - mean[c];
                mean[c] += delta * pixels / total;
                squares[c] += f64::from(part_squares[c]) + delta * delta * count * pixels / total;
            }
            count = total;
        }
        Self {
            mean: mean.into_iter().map(|v| v as f32).collect(),
            variance: squares.into_iter().map(|v| (v / count) as f32).collect(),
            pixels: values.len() / channels,
        }
    }

    /// Moves running statistics by [`MOMENTUM`] towards these; the variance enters unbiased, as in
    /// PyTorch.
    pub fn update_running(&self, mean: &mut [f32], variance: &mut [f32]) {
        let n = self.pixels as f32;
        let unbias = if self.pixels > 1 { n / (n - 1.0) } else { 1.0 };
        for (running, batch) in mean.iter_mut().zip(&self.mean) {
            *running += MOMENTUM * (batch - *running);
        }
        for (running, batch) in variance.iter_mut().zip(&self.variance) {
            *running += MOMENTUM * (batch * unbias - *running);
        }
    }
}

/// Mean and sum of squared differences from it, per channel, in two passes.
#[inline(always)]
fn moments(values: &[f32], channels: usize) -> (usize, Vec<f32>, Vec<f32>) {
    let pixels = values.len() / channels;
    let mut mean = vec![0.0f32; channels];
    for pixel in values.chunks_exact(channels) {
        for (sum, v) in mean.iter_mut().zip(pixel) {
            *sum += v;
        }
    }
    for sum in &mut mean {
        *sum /= pixels as f32;
    }
    let mut squares = vec![0.0f32; channels];
    for pixel in values.chunks_exact(channels) {
        for ((sum, v), m) in squares.iter_mut().zip(pixel).zip(&mean) {
            *sum += (v - m) * (v - m);
        }
    }
    (pixels, mean, squares)
}

/// A normalisation folded into one multiplication and one addition per channel.
#[derive(Debug, Clone, PartialEq)]
pub struct ScaleShift {
    scale: Vec<f32>,
    shift: Vec<f32>,
}

impl ScaleShift {
    /// `(x - mean) / sqrt(variance + EPSILON) * gamma + beta`, all `[channels]`.
    pub fn new(mean: &[f32], variance: &[f32], gamma: &[f32], beta: &[f32]) -> Self {
        let scale: Vec<f32> = gamma
            .iter()
            .zip(variance)
            .map(|(gamma, variance)| gamma / (variance + EPSILON).sqrt())
            .collect();
        let shift = scale
            .iter()
            .zip(mean)
            .zip(beta)
            .map(|((scale, mean), beta)| beta - mean * scale)
            .collect();
        Self { scale, shift }
    }

    /// `output = values * scale + shift (+ residual)`, then negative values to zero if `relu`.
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn apply(&self, values: &[f32], residual: Option<&[f32]>, relu: bool, output: &mut [f32]) {
        assert_eq!(values.len(), output.len());
        let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
        let len = chunk_len(values.len(), self.scale.len());
        let chunks = output.par_chunks_mut(len).zip(values.par_chunks(len));
        match residual {
            None => chunks.for_each(|(output, values)| {
                Arch::new().dispatch(|| self.apply_chunk(values, floor, output));
            }),
            Some(residual) => {
                assert_eq!(values.len(), residual.len());
                let chunks = chunks.zip(residual.par_chunks(len));
                chunks.for_each(|((output, values), residual)| {
                    Arch::new().dispatch(|| self.add_chunk(values, residual, floor, output));
                });
            }
        }
    }

    #[inline(always)]
    fn apply_chunk(&self, values: &[f32], floor: f32, output: &mut [f32]) {
        let channels = self.scale.len();
        let pixels = output.chunks_exact_mut(channels);
        for (output, values) in pixels.zip(values.chunks_exact(channels)) {
            let folded = self.scale.iter().zip(&self.shift);
            for ((o, v), (scale, shift)) in output.iter_mut().zip(values).zip(folded) {
                *o = (v * scale + shift).max(floor);
            }
        }
    }

    #[inline(always)]
    fn add_chunk(&self, values: &[f32], residual: &[f32], floor: f32, output: &mut [f32]) {
        let channels = self.scale.len();
        let pixels = output
            .chunks_exact_mut(channels)
            .zip(values.chunks_exact(channels))
            .zip(residual.chunks_exact(channels));
        for ((output, values), residual) in pixels {
            let folded = self.scale.iter().zip(&self.shift);
            let lines = output.iter_mut().zip(values).zip(residual);
            for (((o, v), r), (scale, shift)) in lines.zip(folded) {
                *o = (v * scale + shift + r).max(floor);
            }
        }
    }
}

/// The gradients of the scale and the shift, `[channels]` each.
#[derive(Debug, Clone, PartialEq)]
pub struct AffineGradient {
    /// Of gamma.
    pub gamma: Vec<f32>,
    /// Of beta.
    pub beta: Vec<f32>,
}

/// The gradient through a ReLU whose output is `output`: `gradient` becomes zero where `output` is.
///
/// # Panics
/// If the slices differ in length.
pub fn relu_gradient(output: &[f32], gradient: &mut [f32]) {
    assert_eq!(output.len(), gradient.len());
    let len = chunk_len(output.len(), 1);
    let chunks = gradient.par_chunks_mut(len).zip(output.par_chunks(len));
    chunks.for_each(|(gradient, output)| {
        Arch::new().dispatch(|| {
            for (g, o) in gradient.iter_mut().zip(output) {
                *g = if *o > 0.0 { *g } else { 0.0 };
            }
        });
    });
}

/// The gradient through a normalisation by the batch's own statistics: `values`, the input of the
/// forward pass, is replaced by its gradient.
///
/// With `x^ = (x - mean) / s`, `s = sqrt(variance + EPSILON)`, `m` pixels and gradient `g`:
/// `dx = gamma / s * (g - sum(g) / m - x^ * sum(g x^) / m)`.
///
/// # Panics
/// If the slices differ in length.
pub fn input_gradient(
    values: &mut [f32],
    gradient: &[f32],
    statistics: &BatchStatistics,
    gamma: &[f32],
) -> AffineGradient {
    assert_eq!(values.len(), gradient.len());
    let channels = gamma.len();
    let len = chunk_len(values.len(), channels);
    let inverse: Vec<f32> = statistics
        .variance
        .iter()
        .map(|v| 1.0 / (v + EPSILON).sqrt())
        .collect();
    let parts: Vec<(Vec<f32>, Vec<f32>)> = values
        .par_chunks(len)
        .zip(gradient.par_chunks(len))
        .map(|(x, g)| Arch::new().dispatch(|| gradient_sums(x, g, &statistics.mean)))
        .collect();
    let mut sum = vec![0f64; channels];
    let mut product = vec![0f64; channels];
    for (part_sum, part_product) in parts {
        for c in 0..channels {
            sum[c] += f64::from(part_sum[c]);
            product[c] += f64::from(part_product[c]) * f64::from(inverse[c]);
        }
    }
    // dx = g * a + x * b + c, per channel.
    let m = statistics.pixels as f64;
    let mut a = vec![0.0f32; channels];
    let mut b = vec![0.0f32; channels];
    let mut c = vec![0.0f32; channels];
    for i in 0..channels {
        let s = f64::from(inverse[i]);
        let factor = f64::from(gamma[i]) * s;
        let slope = -factor * product[i] / m * s;
        a[i] = factor as f32;
        b[i] = slope as f32;
        c[i] = (-factor * sum[i] / m) as f32;
    }
    values
        .par_chunks_mut(len)
        .zip(gradient.par_chunks(len))
        .for_each(|(x, g)| {
            Arch::new().dispatch(|| combine(x, g, &statistics.mean, [&a, &b, &c]));
        });
    AffineGradient {
        gamma: product.into_iter().map(|v| v as f32).collect(),
        beta: sum.into_iter().map(|v| v as f32).collect(),
    }
}

#[inline(always)]
fn gradient_sums(values: &[f32], gradient: &[f32], mean: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let channels = mean.len();
    let mut sum = vec![0.0f32; channels];
    let mut product = vec![0.0f32; channels];
    let pixels = values
        .chunks_exact(channels)
        .zip(gradient.chunks_exact(channels));
    for (x, g) in pixels {
        let sums = sum.iter_mut().zip(&mut product);
        for (((x, g), m), (sum, product)) in x.iter().zip(g).zip(mean).zip(sums) {
            *sum += g;
            *product += g * (x - m);
        }
    }
    (sum, product)
}

#[inline(always)]
fn combine(values: &mut [f32], gradient: &[f32], mean: &[f32], [a, b, c]: [&[f32]; 3]) {
    let channels = mean.len();
    let pixels = values
        .chunks_exact_mut(channels)
        .zip(gradient.chunks_exact(channels));
    for (x, g) in pixels {
        let factors = mean.iter().zip(a).zip(b).zip(c);
        for ((x, g), (((m, a), b), c)) in x.iter_mut().zip(g).zip(factors) {
            *x = g * a + (*x - m) * b + c;
        }
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
