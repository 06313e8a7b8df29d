//! Two-dimensional convolution of NHWC feature maps.
//!
//! A weight is the matrix `[kernel * kernel * channels_in, channels_out]`, its rows ordered by
//! kernel row, kernel column, input channel. [`weight_from_oihw`] and [`weight_to_oihw`] convert
//! from and to PyTorch's `[channels_out, channels_in, kernel, kernel]`.

mod batch;
mod geometry;
mod kernel;

pub use geometry::ConvolutionShape;

use candle_core::{CpuStorage, CustomOp2, Layout, Shape, Tensor};

use crate::cpu::{read, slice};
use crate::{Error, Result};
use geometry::Geometry;

/// Convolves `images [n, h, w, ci]` (f32) with `weight [kernel * kernel * ci, co]` into
/// `[n, ho, wo, co]`, where `ho = (h + 2 * padding - kernel) / stride + 1`. The pixels beyond the
/// border count as zero. Both gradients are available.
///
/// # Errors
/// If the shapes do not fit each other.
pub fn convolution(images: &Tensor, weight: &Tensor, shape: ConvolutionShape) -> Result<Tensor> {
    if !images.device().is_cpu() {
        return composite(images, weight, shape);
    }
    let geometry = geometry(images.dims(), weight.dims(), shape)?;
    let images_have_gradient = images.track_op();
    Ok(images.contiguous()?.apply_op2(
        &weight.contiguous()?,
        Convolution {
            geometry,
            images_have_gradient,
        },
    )?)
}

/// [`convolution`] out of candle's own operations: the path on CUDA, and the reference for the
/// CPU kernels.
///
/// # Errors
/// If the shapes do not fit each other.
pub fn composite(images: &Tensor, weight: &Tensor, shape: ConvolutionShape) -> Result<Tensor> {
    geometry(images.dims(), weight.dims(), shape)?;
    let weight = weight_to_oihw(weight, shape)?;
    let images = images.permute((0, 3, 1, 2))?.contiguous()?;
    let output = images.conv2d(&weight, shape.padding, shape.stride, 1, 1)?;
    Ok(output.permute((0, 2, 3, 1))?.contiguous()?)
}

/// This crate's weight matrix from PyTorch's `[co, ci, kernel, kernel]`.
///
/// # Errors
/// If `weight` is not a square kernel.
pub fn weight_from_oihw(weight: &Tensor) -> Result<Tensor> {
    let (co, ci, kernel, width) = weight.dims4()?;
    if kernel != width {
        return Err(Error::shapes("a square kernel", weight.dims(), &[kernel]));
    }
    Ok(weight
        .permute((2, 3, 1, 0))?
        .reshape((kernel * kernel * ci, co))?
        .contiguous()?)
}

/// PyTorch's `[co, ci, kernel, kernel]` from this crate's weight matrix.
///
/// # Errors
/// If the matrix does not fit `shape`.
pub fn weight_to_oihw(weight: &Tensor, shape: ConvolutionShape) -> Result<Tensor> {
    let (depth, co) = weight.dims2()?;
    let kernel = shape.kernel;
    Ok(weight
        .reshape((kernel, kernel, depth / (kernel * kernel), co))?
        .permute((3, 2, 0, 1))?
        .contiguous()?)
}

fn geometry(images: &[usize], weight: &[usize], shape: ConvolutionShape) -> Result<Geometry> {
    let misfit = || Error::shapes("a convolution", images, weight);
    let (&[_, height, width, channels_in], &[depth, channels_out]) = (images, weight) else {
        return Err(misfit());
    };
    let positive = shape.kernel > 0 && shape.stride > 0 && depth > 0 && channels_out > 0;
    let fits = depth == shape.kernel * shape.kernel * channels_in;
    match (shape.output_size(height), shape.output_size(width)) {
        (Some(height_out), Some(width_out)) if positive && fits && height * width > 0 => {
            Ok(Geometry {
                shape,
                height,
                width,
                channels_in,
                channels_out,
                height_out,
                width_out,
            })
        }
        _ => Err(misfit()),
    }
}

struct Convolution {
    geometry: Geometry,
    images_have_gradient: bool,
}

impl CustomOp2 for Convolution {
    fn name(&self) -> &'static str {
        "convolution"
    }

    fn cpu_fwd(
        &self,
        images: &CpuStorage,
        images_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let images = slice(images, images_layout)?;
        let weight = slice(weight, weight_layout)?;
        let g = &self.geometry;
        let batch = images.len() / g.input_len();
        let output = batch::forward(g, images, weight);
        let shape = (batch, g.height_out, g.width_out, g.channels_out);
        Ok((CpuStorage::F32(output), shape.into()))
    }

    fn bwd(
        &self,
        images: &Tensor,
        weight: &Tensor,
        _output: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let for_images = if self.images_have_gradient {
            let values = read(&gradient, |gradient| {
                read(weight, |weight| {
                    batch::input_gradient(&self.geometry, weight, gradient)
                })
            })??;
            Some(Tensor::from_vec(values, images.shape(), images.device())?)
        } else {
            None
        };
        let values = read(&gradient, |gradient| {
            read(images, |images| {
                batch::weight_gradient(&self.geometry, images, gradient)
            })
        })??;
        let for_weight = Tensor::from_vec(values, weight.shape(), weight.device())?;
        Ok((for_images, Some(for_weight)))
    }
}
