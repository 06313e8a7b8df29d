//! Depthwise convolution layers of NHWC feature maps.

use candle_core::{DType, Tensor};
use promptfed_kernels::Kernels;
use promptfed_kernels::depthwise::Depthwise;

use crate::activation::{Activation, composite};
use crate::convolution::{ConvolutionShape, misfit};
use crate::cpu;
use crate::load::Loader;
use crate::{Path, Result};

/// A convolution of every channel by a kernel of its own, with its bias (Howard et al. 2017, section 3.1). It computes in f32.
pub struct DepthwiseConv2d {
    shape: ConvolutionShape,
    channels: usize,
    weight: Weight,
}

enum Weight {
    Cpu {
        kernels: Kernels,
        /// [kernel * kernel, c]
        weight: Vec<f32>,
        /// [c]
        bias: Vec<f32>,
    },
    Device {
        /// [c, 1, kernel, kernel]
        weight: Tensor,
        /// [1, c, 1, 1]
        bias: Tensor,
    },
}

impl DepthwiseConv2d {
    /// Takes `name.weight` [c, 1, kernel, kernel] and `name.bias` [c].
    ///
    /// # Errors
    /// See [`Loader::tensor`]; if the environment names an instruction set that is not here.
    pub fn load(
        loader: &mut Loader,
        name: &str,
        shape: ConvolutionShape,
        channels: usize,
    ) -> Result<Self> {
        let kernel = shape.kernel;
        let weight = loader.tensor(&format!("{name}.weight"), &[channels, 1, kernel, kernel])?;
        let bias = loader.tensor(&format!("{name}.bias"), &[channels])?;
        let weight = match Path::of(loader.device())? {
            Path::Kernels(kernels) => Weight::Cpu {
                kernels,
                weight: cpu::values(&weight.reshape((channels, kernel * kernel))?.t()?)?,
                bias: cpu::values(&bias)?,
            },
            Path::Operations => Weight::Device {
                weight,
                bias: bias.reshape((1, channels, 1, 1))?,
            },
        };
        Ok(Self {
            shape,
            channels,
            weight,
        })
    }

    /// `x` [n, h, w, c], f32 -> [n, ho, wo, c].
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        let (n, h, w, c) = x.dims4()?;
        let sizes = (self.shape.output_size(h), self.shape.output_size(w));
        let ((Some(height), Some(width)), true) = (sizes, c == self.channels && n > 0) else {
            return Err(misfit(x.dims(), &[self.channels]));
        };
        match &self.weight {
            Weight::Cpu {
                kernels,
                weight,
                bias,
            } => {
                let depthwise = Depthwise {
                    shape: self.shape,
                    weight,
                    bias,
                    activation,
                };
                let mut output = vec![0.0; n * height * width * c];
                cpu::read(&x.contiguous()?, |x| {
                    kernels.depthwise(x, [h, w], depthwise, &mut output);
                })?;
                Ok(Tensor::from_vec(output, (n, height, width, c), x.device())?)
            }
            Weight::Device { weight, bias } => {
                let padding = self.shape.padding;
                let sums = x
                    .to_dtype(DType::F32)?
                    .permute((0, 3, 1, 2))?
                    .pad_with_zeros(2, padding.before, padding.after)?
                    .pad_with_zeros(3, padding.before, padding.after)?
                    .conv2d(weight, 0, self.shape.stride, 1, self.channels)?
                    .broadcast_add(bias)?
                    .permute((0, 2, 3, 1))?
                    .contiguous()?;
                Ok(composite(activation, &sums)?)
            }
        }
    }
}
