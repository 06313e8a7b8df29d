//! Two-dimensional convolution of NHWC feature maps.
//!
//! A weight is the matrix `[kernel * kernel * channels_in, channels_out]`, its rows ordered by
//! kernel row, kernel column, input channel. [`weight_from_oihw`] and [`weight_to_oihw`] convert
//! from and to PyTorch's `[channels_out, channels_in, kernel, kernel]`.

pub use promptfed_kernels::Write;
pub use promptfed_kernels::convolution::{ConvolutionShape, Padding};

use candle_core::{CpuStorage, CustomOp2, Layout, Shape, Tensor};
use promptfed_kernels::convolution::{Convolution as Geometry, PackedWeight};
use promptfed_kernels::{Epilogue, Kernels, MatrixView, Precision, unspecified};

use crate::cpu::{self, read, slice};
use crate::{Error, Result};

/// The convolution of images of one size, on slices: for code that keeps its own buffers.
///
/// Results do not depend on the number of threads.
#[derive(Debug, Clone, Copy)]
pub struct Convolution {
    kernels: Kernels,
    geometry: Geometry,
    precision: Precision,
}

impl Convolution {
    /// For images `[height, width, channels_in]` and `channels_out` results per pixel.
    ///
    /// # Errors
    /// If an extent is zero or the kernel does not fit into the padded image, or the environment names an
    /// instruction set that is not here.
    pub fn new(
        shape: ConvolutionShape,
        [height, width, channels_in]: [usize; 3],
        channels_out: usize,
        precision: crate::Precision,
    ) -> Result<Self> {
        let image = [height, width, channels_in];
        Ok(Self {
            kernels: cpu::kernels()?,
            geometry: Geometry::new(shape, image, channels_out)
                .map_err(|_| misfit(&image, &[channels_in, channels_out]))?,
            precision: cpu::packed(precision),
        })
    }

    /// `[height, width, channels]` of a result.
    pub fn output(&self) -> [usize; 3] {
        self.geometry.output()
    }

    /// Values in a weight: `kernel * kernel * channels_in * channels_out`.
    pub fn weight_len(&self) -> usize {
        self.geometry.weight_len()
    }

    /// `output [n, ho, wo, co]` from `images [n, h, w, ci]` and `weight [kernel * kernel * ci, co]`.
    ///
    /// # Panics
    /// If a slice has another length than these shapes.
    pub fn forward(&self, images: &[f32], weight: &[f32], output: &mut [f32]) {
        let [_, _, channels_out] = self.geometry.output();
        let view = MatrixView::row_major(weight, channels_out);
        let shape = self.geometry.shape();
        let packed = PackedWeight::new(self.kernels, shape, view, self.precision);
        let epilogue = Epilogue::default();
        self.geometry
            .forward(self.kernels, images, &packed, epilogue, output);
    }

    /// The gradient of the images, `[n, h, w, ci]`.
    ///
    /// # Panics
    /// If a slice has another length than the shapes of [`Convolution::forward`].
    pub fn input_gradient(
        &self,
        weight: &[f32],
        output_gradient: &[f32],
        gradient: &mut [f32],
        write: Write,
    ) {
        self.geometry.input_gradient(
            self.kernels,
            weight,
            output_gradient,
            gradient,
            write,
            self.precision,
        );
    }

    /// The gradient of the weight, `[kernel * kernel * ci, co]`, replacing what `gradient` holds.
    ///
    /// # Panics
    /// If a slice has another length than the shapes of [`Convolution::forward`].
    pub fn weight_gradient(&self, images: &[f32], output_gradient: &[f32], gradient: &mut [f32]) {
        self.geometry.weight_gradient(
            self.kernels,
            images,
            output_gradient,
            gradient,
            self.precision,
        );
    }
}

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
    let op = TensorConvolution {
        convolution: geometry(images.dims(), weight.dims(), shape)?,
        images_have_gradient: images.track_op(),
    };
    Ok(images.contiguous()?.apply_op2(&weight.contiguous()?, op)?)
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
    let Padding { before, after } = shape.padding;
    let output = if before == after {
        images.conv2d(&weight, before, shape.stride, 1, 1)?
    } else {
        images
            .pad_with_zeros(2, before, after)?
            .pad_with_zeros(3, before, after)?
            .conv2d(&weight, 0, shape.stride, 1, 1)?
    };
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

pub(crate) fn misfit(images: &[usize], weight: &[usize]) -> Error {
    Error::shapes("a convolution", images, weight)
}

fn geometry(images: &[usize], weight: &[usize], shape: ConvolutionShape) -> Result<Convolution> {
    let (&[_, height, width, channels_in], &[depth, channels_out]) = (images, weight) else {
        return Err(misfit(images, weight));
    };
    if depth != shape.kernel * shape.kernel * channels_in {
        return Err(misfit(images, weight));
    }
    let image = [height, width, channels_in];
    Convolution::new(shape, image, channels_out, crate::Precision::F32)
}

struct TensorConvolution {
    convolution: Convolution,
    images_have_gradient: bool,
}

impl CustomOp2 for TensorConvolution {
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
        let [height, width, channels] = self.convolution.output();
        let batch = images_layout.dims()[0];
        let mut output = unspecified(batch * height * width * channels);
        self.convolution.forward(images, weight, &mut output);
        let shape = (batch, height, width, channels);
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
            let mut values = vec![0.0; images.elem_count()];
            read(&gradient, |gradient| {
                read(weight, |weight| {
                    let write = Write::Replace;
                    self.convolution
                        .input_gradient(weight, gradient, &mut values, write);
                })
            })??;
            Some(Tensor::from_vec(values, images.shape(), images.device())?)
        } else {
            None
        };
        let mut values = vec![0.0; weight.elem_count()];
        read(&gradient, |gradient| {
            read(images, |images| {
                self.convolution
                    .weight_gradient(images, gradient, &mut values);
            })
        })??;
        let for_weight = Tensor::from_vec(values, weight.shape(), weight.device())?;
        Ok((for_images, Some(for_weight)))
    }
}
