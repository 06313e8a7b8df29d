//! Batch normalisation over the last dimension (Ioffe and Szegedy 2015), with what usually follows
//! it in the same pass: the addition of a residual and a ReLU.
//!
//! Feature maps are `[n, h, w, channels]`; mean and variance are over all pixels of all images together. Everything
//! `[channels]` is f32, and so are sums, whatever the format of the maps.

use candle_core::{D, DType, Device, Tensor};
use promptfed_kernels::batch_norm as kernels;

use crate::activation::relu;
use crate::fused::gradients;
use crate::{Error, Path, Result, cpu};

/// The `eps` added to variances, PyTorch's default.
pub const EPSILON: f32 = 1e-5;

/// The share of a batch's statistics that enters the running ones, PyTorch's default.
pub const MOMENTUM: f32 = 0.1;

/// Mean and variance per channel, `[channels]` each.
#[derive(Debug, Clone)]
pub struct Statistics {
    /// The mean.
    pub mean: Tensor,
    /// The mean of squared differences from it (biased).
    pub variance: Tensor,
}

/// Learned scale and shift, `[channels]` each.
#[derive(Debug, Clone, Copy)]
pub struct Affine<'a> {
    /// The scale.
    pub gamma: &'a Tensor,
    /// The shift.
    pub beta: &'a Tensor,
}

/// The gradients of a normalisation, a sum with a residual and a ReLU.
#[derive(Debug, Clone)]
pub struct NormGradients {
    /// Of the values that were normalised.
    pub values: Tensor,
    /// Of the residual, if that was asked for.
    pub residual: Option<Tensor>,
    /// Of the scale.
    pub gamma: Tensor,
    /// Of the shift.
    pub beta: Tensor,
}

/// `relu(normalised(values) * gamma + beta (+ residual))`.
///
/// On the kernels results do not depend on the number of threads.
#[derive(Debug, Clone, Copy)]
pub struct BatchNorm {
    path: Path,
}

impl BatchNorm {
    /// By kernels or candle's operations.
    pub fn new(path: Path) -> Self {
        Self { path }
    }

    /// The statistics of a batch.
    ///
    /// # Errors
    /// If there are no values.
    pub fn statistics(&self, values: &Tensor) -> Result<Statistics> {
        let channels = values.dim(D::Minus1)?;
        if values.elem_count() == 0 {
            return Err(Error::shapes("batch normalisation", values.dims(), &[1]));
        }
        let Path::Kernels(kernels) = self.path else {
            let flat = values.to_dtype(DType::F32)?.reshape(((), channels))?;
            let mean = flat.mean(0)?;
            let variance = flat.broadcast_sub(&mean)?.sqr()?.mean(0)?;
            return Ok(Statistics { mean, variance });
        };
        let found = cpu::read_either(values, |values| kernels.batch_statistics(values, channels))?;
        let tensor = |values| Tensor::from_vec(values, channels, &Device::Cpu);
        Ok(Statistics {
            mean: tensor(found.mean)?,
            variance: tensor(found.variance)?,
        })
    }

    /// `relu((values - mean) / sqrt(variance + EPSILON) * gamma + beta (+ residual))`, in the format of the values, which
    /// is the residual's too.
    ///
    /// # Errors
    /// If the shapes or formats do not fit.
    pub fn forward(
        &self,
        values: &Tensor,
        statistics: &Statistics,
        affine: Affine<'_>,
        residual: Option<&Tensor>,
    ) -> Result<Tensor> {
        check(values, statistics, affine, residual)?;
        let Path::Kernels(kernels) = self.path else {
            return Ok(composite(values, statistics, affine, residual)?);
        };
        let [mean, variance] = [&statistics.mean, &statistics.variance].map(cpu::values);
        let [gamma, beta] = [affine.gamma, affine.beta].map(cpu::values);
        let factors = kernels::ScaleShift::new(&mean?, &variance?, &gamma?, &beta?, EPSILON);
        let (shape, dtype) = (values.shape(), values.dtype());
        Ok(cpu::read_if(residual, |residual| {
            cpu::map(values, shape, dtype, |values, output| {
                kernels.scale_shift(values, &factors, residual, true, output);
            })
        })??)
    }

    /// The gradients through [`BatchNorm::forward`] by the batch's own statistics, whose result was `output`, from that of
    /// the result; all maps in one format. The residual's is made if `with_residual`. (candle's operations compute the statistics
    /// once more.)
    ///
    /// # Errors
    /// If the shapes or formats do not fit.
    pub fn gradients(
        &self,
        values: &Tensor,
        output: &Tensor,
        output_gradient: &Tensor,
        statistics: &Statistics,
        affine: Affine<'_>,
        with_residual: bool,
    ) -> Result<NormGradients> {
        check(values, statistics, affine, Some(output))?;
        check(values, statistics, affine, Some(output_gradient))?;
        let Path::Kernels(kernels) = self.path else {
            return Ok(composite_gradients(
                values,
                output,
                output_gradient,
                affine,
                with_residual,
            )?);
        };
        let channels = affine.gamma.elem_count();
        let gamma = cpu::values(affine.gamma)?;
        let statistics = kernels::BatchStatistics {
            mean: cpu::values(&statistics.mean)?,
            variance: cpu::values(&statistics.variance)?,
            pixels: values.elem_count() / channels,
        };
        let (shape, dtype) = (values.shape(), values.dtype());
        let mut affine = None;
        let mut residual = None;
        let of_values = cpu::read_either(values, |values| {
            cpu::read_either(output, |output| {
                cpu::read_either(output_gradient, |gradient| {
                    let norm = kernels::NormRelu {
                        values,
                        output,
                        gradient,
                        statistics: &statistics,
                        gamma: &gamma,
                        eps: EPSILON,
                    };
                    cpu::write(shape, dtype, |to| {
                        if !with_residual {
                            affine = Some(kernels.batch_norm_relu_gradient(norm, to, None));
                            return;
                        }
                        residual = Some(cpu::write(shape, dtype, |before| {
                            let found = kernels.batch_norm_relu_gradient(norm, to, Some(before));
                            affine = Some(found);
                        }));
                    })
                })
            })
        })????;
        let (gamma, beta) = affine.map_or_else(Default::default, |found| (found.gamma, found.beta));
        Ok(NormGradients {
            values: of_values,
            residual: residual.transpose()?,
            gamma: Tensor::from_vec(gamma, channels, &Device::Cpu)?,
            beta: Tensor::from_vec(beta, channels, &Device::Cpu)?,
        })
    }
}

/// Whether maps and channels fit each other.
fn check(
    values: &Tensor,
    statistics: &Statistics,
    affine: Affine<'_>,
    other: Option<&Tensor>,
) -> Result<()> {
    let misfit = |wrong: &[usize]| Error::shapes("batch normalisation", values.dims(), wrong);
    let channels = [values.dim(D::Minus1)?];
    let Statistics { mean, variance } = statistics;
    let vectors = [mean, variance, affine.gamma, affine.beta];
    if let Some(wrong) = vectors.into_iter().find(|v| v.dims() != channels) {
        return Err(misfit(wrong.dims()));
    }
    if values.elem_count() == 0 {
        return Err(misfit(&[0]));
    }
    match other {
        Some(other) if other.dims() != values.dims() || other.dtype() != values.dtype() => {
            Err(misfit(other.dims()))
        }
        _ => Ok(()),
    }
}

/// Moves running statistics by [`MOMENTUM`] towards those of a batch of `pixels`; the variance enters unbiased, as in
/// PyTorch.
///
/// # Errors
/// If the shapes differ.
pub fn update_running(
    running: &Statistics,
    batch: &Statistics,
    pixels: usize,
) -> Result<Statistics> {
    let n = pixels as f64;
    let unbias = if pixels > 1 { n / (n - 1.0) } else { 1.0 };
    let momentum = f64::from(MOMENTUM);
    let moved = |running: &Tensor, batch: &Tensor| running + ((batch - running)? * momentum)?;
    Ok(Statistics {
        mean: moved(&running.mean, &batch.mean)?,
        variance: moved(&running.variance, &(&batch.variance * unbias)?)?,
    })
}

/// [`BatchNorm::forward`] out of candle's own operations: on CUDA, and as the reference of the kernels.
fn composite(
    values: &Tensor,
    statistics: &Statistics,
    affine: Affine<'_>,
    residual: Option<&Tensor>,
) -> candle_core::Result<Tensor> {
    let dtype = values.dtype();
    let scale = (&statistics.variance + f64::from(EPSILON))?
        .sqrt()?
        .recip()?;
    let normed = values
        .to_dtype(DType::F32)?
        .broadcast_sub(&statistics.mean)?
        .broadcast_mul(&scale.mul(affine.gamma)?)?
        .broadcast_add(affine.beta)?;
    let sum = match residual {
        Some(residual) => (normed + residual.to_dtype(DType::F32)?)?,
        None => normed,
    };
    relu(&sum)?.to_dtype(dtype)
}

/// [`BatchNorm::gradients`] out of candle's own operations.
fn composite_gradients(
    values: &Tensor,
    output: &Tensor,
    output_gradient: &Tensor,
    affine: Affine<'_>,
    with_residual: bool,
) -> candle_core::Result<NormGradients> {
    let dtype = values.dtype();
    let gradient = output_gradient.to_dtype(DType::F32)?;
    let before = output
        .gt(0.0)?
        .where_cond(&gradient, &gradient.zeros_like()?)?;
    let channels = affine.gamma.elem_count();
    let flat = |tensor: &Tensor| tensor.to_dtype(DType::F32)?.reshape(((), channels));
    let arguments = [&flat(values)?, affine.gamma, affine.beta];
    let mut found = gradients(&arguments, &flat(&before)?, |a| {
        let centred = a[0].broadcast_sub(&a[0].mean_keepdim(0)?)?;
        let variance = centred.sqr()?.mean_keepdim(0)?;
        let scale = (variance + f64::from(EPSILON))?.sqrt()?.recip()?;
        centred
            .broadcast_mul(&scale.broadcast_mul(&a[1])?)?
            .broadcast_add(&a[2])
    })?;
    let mut next = || match found.pop().flatten() {
        Some(gradient) => Ok(gradient),
        None => candle_core::bail!("a gradient is missing"),
    };
    let (beta, gamma, of_values) = (next()?, next()?, next()?);
    Ok(NormGradients {
        values: of_values.reshape(values.shape())?.to_dtype(dtype)?,
        residual: with_residual.then(|| before.to_dtype(dtype)).transpose()?,
        gamma,
        beta,
    })
}
