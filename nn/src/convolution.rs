//! Two-dimensional convolution of NHWC feature maps.
//!
//! A weight is the matrix `[kernel * kernel * channels_in, channels_out]`, its rows ordered by
//! kernel row, kernel column, input channel. [`weight_from_oihw`] and [`weight_to_oihw`] convert
//! from and to PyTorch's `[channels_out, channels_in, kernel, kernel]`.

pub use promptfed_kernels::convolution::{ConvolutionShape, Padding};

use candle_core::{CpuStorage, CustomOp2, DType, Layout, Shape, Tensor};
use promptfed_kernels::convolution::{Convolution as Geometry, PackedWeight};
use promptfed_kernels::{Epilogue, MatrixView};

use crate::cpu::{self, either, slice};
use crate::fused::gradients;
use crate::{Error, Path, Precision, Result};

/// The convolution of images of one size, for training: forward, and both gradients.
///
/// Products are made in its precision; the kernels sum them in f32. On the kernels results do not depend on the number of threads.
#[derive(Debug, Clone, Copy)]
pub struct Convolution {
    path: Path,
    geometry: Geometry,
    precision: Precision,
}

/// The gradients of a convolution.
#[derive(Debug, Clone)]
pub struct ConvolutionGradients {
    /// Of the images, `[n, h, w, ci]`, in the format of feature maps; absent if nobody asked for it.
    pub images: Option<Tensor>,
    /// Of the weight, `[kernel * kernel * ci, co]`, f32.
    pub weight: Tensor,
}

/// Whether the gradient of a convolution's images is wanted.
#[derive(Debug, Clone, Copy)]
pub enum ForImages<'a> {
    /// It is not.
    Unwanted,
    /// It is.
    Wanted,
    /// It is, plus another gradient of the same images.
    Added(&'a Tensor),
}

impl Convolution {
    /// For images `[height, width, channels_in]` and `channels_out` results per pixel.
    ///
    /// # Errors
    /// If an extent is zero or the kernel does not fit into the padded image.
    pub fn new(
        path: Path,
        shape: ConvolutionShape,
        [height, width, channels_in]: [usize; 3],
        channels_out: usize,
        precision: Precision,
    ) -> Result<Self> {
        let image = [height, width, channels_in];
        Ok(Self {
            path,
            geometry: Geometry::new(shape, image, channels_out)
                .map_err(|_| misfit(&image, &[channels_in, channels_out]))?,
            precision,
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

    /// `[n, ho, wo, co]`, in the format of feature maps, from `images [n, h, w, ci]` in f32 or that format and
    /// `weight [kernel * kernel * ci, co]` in f32.
    ///
    /// # Errors
    /// If a tensor has another shape.
    pub fn forward(&self, images: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let batch = self.batch(images, self.geometry.input())?;
        self.check_weight(weight)?;
        let maps = Path::maps(self.precision);
        let Path::Kernels(kernels) = self.path else {
            let (images, weight) = (images.to_dtype(maps)?, weight.to_dtype(maps)?);
            return composite(&images, &weight, self.geometry.shape());
        };
        let [height, width, channels] = self.geometry.output();
        let packed = cpu::read(&weight.contiguous()?, |weight| {
            let view = MatrixView::row_major(weight, channels);
            let precision = cpu::packed(self.precision);
            PackedWeight::new(kernels, self.geometry.shape(), view, precision)
        })?;
        let shape = (batch, height, width, channels);
        Ok(cpu::map(images, shape, maps, |images, output| {
            let epilogue = Epilogue::default();
            self.geometry
                .forward(kernels, images, &packed, epilogue, output);
        })?)
    }

    /// The gradients of images and weight from that of the result, in f32 or the format of feature maps.
    ///
    /// candle's operations compute the convolution once more for them.
    ///
    /// # Errors
    /// If a tensor has another shape than those of [`Convolution::forward`].
    pub fn gradients(
        &self,
        images: &Tensor,
        weight: &Tensor,
        output_gradient: &Tensor,
        for_images: ForImages<'_>,
    ) -> Result<ConvolutionGradients> {
        let batch = self.batch(images, self.geometry.input())?;
        self.check_weight(weight)?;
        if self.batch(output_gradient, self.geometry.output())? != batch {
            return Err(misfit(images.dims(), output_gradient.dims()));
        }
        let added = match for_images {
            ForImages::Added(added) if added.dims() != images.dims() => {
                return Err(misfit(images.dims(), added.dims()));
            }
            ForImages::Added(added) => Some(added),
            ForImages::Wanted | ForImages::Unwanted => None,
        };
        let wanted = !matches!(for_images, ForImages::Unwanted);
        let maps = Path::maps(self.precision);
        let precision = cpu::packed(self.precision);
        let Path::Kernels(kernels) = self.path else {
            let arguments = [&images.to_dtype(maps)?, &weight.to_dtype(maps)?];
            let gradient = output_gradient.to_dtype(maps)?;
            let shape = self.geometry.shape();
            let mut found = gradients(&arguments, &gradient, |a| {
                composite(&a[0], &a[1], shape).map_err(candle_core::Error::wrap)
            })?;
            let mut next = || found.pop().flatten();
            let (of_weight, of_images) = (next(), next().filter(|_| wanted));
            let of_images = match (of_images, added) {
                (Some(gradient), Some(added)) => Some((gradient + added.to_dtype(maps)?)?),
                (gradient, _) => gradient,
            };
            let none = || weight.zeros_like();
            return Ok(ConvolutionGradients {
                images: of_images,
                weight: of_weight.map_or_else(none, |g| g.to_dtype(DType::F32))?,
            });
        };
        let of_images = if wanted {
            Some(cpu::read(&weight.contiguous()?, |weight| {
                cpu::read_if(added, |added| {
                    cpu::map(output_gradient, images.shape(), maps, |g, output| {
                        self.geometry
                            .input_gradient(kernels, weight, g, added, output, precision);
                    })
                })
            })???)
        } else {
            None
        };
        let mut values = vec![0.0; self.geometry.weight_len()];
        cpu::read_either(images, |images| {
            cpu::read_either(output_gradient, |g| {
                self.geometry
                    .weight_gradient(kernels, images, g, &mut values, precision);
            })
        })??;
        Ok(ConvolutionGradients {
            images: of_images,
            weight: Tensor::from_vec(values, weight.shape(), weight.device())?,
        })
    }

    /// How many images of `image` there are.
    fn batch(&self, images: &Tensor, image: [usize; 3]) -> Result<usize> {
        match images.dims() {
            [batch, rest @ ..] if rest == image => Ok(*batch),
            _ => Err(misfit(images.dims(), &image)),
        }
    }

    fn check_weight(&self, weight: &Tensor) -> Result<()> {
        let [.., channels_in] = self.geometry.input();
        let [.., channels_out] = self.geometry.output();
        let kernel = self.geometry.shape().kernel;
        if weight.dims() == [kernel * kernel * channels_in, channels_out] {
            Ok(())
        } else {
            Err(misfit(&self.geometry.input(), weight.dims()))
        }
    }
}

/// Convolves `images [n, h, w, ci]` (f32) with `weight [kernel * kernel * ci, co]` into
/// `[n, ho, wo, co]`, where `ho = (h + 2 * padding - kernel) / stride + 1`. The pixels beyond the
/// border count as zero. Both gradients are available.
///
/// # Errors
/// If the shapes do not fit each other, or the images are not f32.
pub fn convolution(images: &Tensor, weight: &Tensor, shape: ConvolutionShape) -> Result<Tensor> {
    if !images.device().is_cpu() {
        return composite(images, weight, shape);
    }
    if images.dtype() != DType::F32 {
        let found = images.dtype();
        return Err(candle_core::Error::msg(format!("images are {found:?} and not f32")).into());
    }
    let path = Path::of(images.device())?;
    let op = TensorConvolution {
        convolution: geometry(images.dims(), weight.dims(), shape, path)?,
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
    geometry(images.dims(), weight.dims(), shape, Path::Operations)?;
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

fn geometry(
    images: &[usize],
    weight: &[usize],
    shape: ConvolutionShape,
    path: Path,
) -> Result<Convolution> {
    let (&[_, height, width, channels_in], &[depth, channels_out]) = (images, weight) else {
        return Err(misfit(images, weight));
    };
    if depth != shape.kernel * shape.kernel * channels_in {
        return Err(misfit(images, weight));
    }
    let image = [height, width, channels_in];
    Convolution::new(path, shape, image, channels_out, Precision::F32)
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
        let Path::Kernels(kernels) = self.convolution.path else {
            candle_core::bail!("the processor's kernels are needed");
        };
        let images = either(images, images_layout)?;
        let geometry = &self.convolution.geometry;
        let [height, width, channels] = geometry.output();
        let view = MatrixView::row_major(slice(weight, weight_layout)?, channels);
        let precision = cpu::packed(self.convolution.precision);
        let packed = PackedWeight::new(kernels, geometry.shape(), view, precision);
        let batch = images_layout.dims()[0];
        let len = batch * height * width * channels;
        let output = cpu::written(len, DType::F32, |output| {
            let epilogue = Epilogue::default();
            geometry.forward(kernels, images, &packed, epilogue, output);
        })?;
        Ok((output, (batch, height, width, channels).into()))
    }

    fn bwd(
        &self,
        images: &Tensor,
        weight: &Tensor,
        _output: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let wanted = match self.images_have_gradient {
            true => ForImages::Wanted,
            false => ForImages::Unwanted,
        };
        let found = self
            .convolution
            .gradients(images, weight, gradient, wanted)
            .map_err(candle_core::Error::wrap)?;
        Ok((found.images, Some(found.weight)))
    }
}
