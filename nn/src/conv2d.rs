//! Convolution layers of NHWC feature maps.

use candle_core::{DType, Tensor};
use promptfed_kernels::convolution::{Convolution, PackedWeight, UpsampledWeight};
use promptfed_kernels::{self as kernels, Epilogue, Kernels};

use crate::activation::{Activation, check_residual, finish};
use crate::convolution::{ConvolutionShape, Padding, composite, misfit, weight_from_oihw};
use crate::cpu;
use crate::load::Loader;
use crate::{Error, Result};

/// A two-dimensional convolution with its bias.
pub struct Conv2d {
    shape: ConvolutionShape,
    channels_in: usize,
    channels_out: usize,
    weight: Weight,
}

enum Weight {
    Cpu {
        kernels: Kernels,
        precision: kernels::Precision,
        plain: PackedWeight,
        /// For images that the layer makes twice as large first.
        upsampled: Option<UpsampledWeight>,
        /// [co]
        bias: Vec<f32>,
    },
    Device {
        /// [kernel * kernel * ci, co]
        matrix: Tensor,
        /// [co]
        bias: Tensor,
    },
}

/// Whether a layer makes its images twice as large first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Upsampling {
    Never,
    Possible,
}

impl Conv2d {
    /// Takes `name.weight` [co, ci, kernel, kernel] and `name.bias` [co].
    ///
    /// # Errors
    /// See [`Loader::tensor`]; if the environment names an instruction set that is not here.
    pub fn load(
        loader: &mut Loader,
        name: &str,
        shape: ConvolutionShape,
        channels_in: usize,
        channels_out: usize,
    ) -> Result<Self> {
        let channels = [channels_out, channels_in];
        Self::take(loader, name, shape, channels, Upsampling::Never)
    }

    /// A 3x3 layer of stride 1 and padding 1 that is made for [`Conv2d::forward_upsampled`].
    ///
    /// # Errors
    /// As [`Conv2d::load`].
    pub fn load_upsampling(
        loader: &mut Loader,
        name: &str,
        channels_in: usize,
        channels_out: usize,
    ) -> Result<Self> {
        let shape = ConvolutionShape::same(3, 1);
        let channels = [channels_out, channels_in];
        Self::take(loader, name, shape, channels, Upsampling::Possible)
    }

    /// A 3x3 layer of stride 2.
    ///
    /// # Errors
    /// As [`Conv2d::load`].
    pub fn load_halving(
        loader: &mut Loader,
        name: &str,
        padding: Padding,
        channels: usize,
    ) -> Result<Self> {
        let shape = ConvolutionShape {
            kernel: 3,
            stride: 2,
            padding,
        };
        Self::load(loader, name, shape, channels, channels)
    }

    fn take(
        loader: &mut Loader,
        name: &str,
        shape: ConvolutionShape,
        channels: [usize; 2],
        upsampling: Upsampling,
    ) -> Result<Self> {
        let [channels_out, channels_in] = channels;
        let kernel = shape.kernel;
        let dims = [channels_out, channels_in, kernel, kernel];
        let weight = loader.tensor(&format!("{name}.weight"), &dims)?;
        let bias = loader.tensor(&format!("{name}.bias"), &[channels_out])?;
        let weight = if loader.device().is_cpu() {
            let kernels = cpu::kernels()?;
            let precision = cpu::packed(loader.precision());
            let (plain, upsampled) = cpu::read(&weight.contiguous()?, |values| {
                let plain = PackedWeight::from_oihw(kernels, shape, values, channels, precision);
                let upsampled = (upsampling == Upsampling::Possible)
                    .then(|| UpsampledWeight::from_oihw(kernels, values, channels, precision));
                (plain, upsampled)
            })?;
            Weight::Cpu {
                kernels,
                precision,
                plain,
                upsampled,
                bias: cpu::values(&bias)?,
            }
        } else {
            let dtype = loader.activations();
            Weight::Device {
                matrix: weight_from_oihw(&weight)?.to_dtype(dtype)?,
                bias: bias.to_dtype(dtype)?,
            }
        };
        Ok(Self {
            shape,
            channels_in,
            channels_out,
            weight,
        })
    }

    /// The format in which the layer's products read their images: what nothing else reads may as well be kept in it.
    pub fn operand(&self) -> DType {
        match &self.weight {
            Weight::Cpu { precision, .. } => match precision {
                kernels::Precision::F32 => DType::F32,
                kernels::Precision::Bf16 => DType::BF16,
            },
            Weight::Device { matrix, .. } => matrix.dtype(),
        }
    }

    /// `x` [n, h, w, ci] -> [n, ho, wo, co].
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.run(x, Activation::None, None)
    }

    /// [`Conv2d::forward`] and the activation of the result.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward_activated(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        self.run(x, activation, None)
    }

    /// [`Conv2d::forward`] plus `residual`, which has the shape of the result.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward_added(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        self.run(x, Activation::None, Some(residual))
    }

    /// The convolution of `x` [n, h, w, ci] made twice as large by repeating pixels: [n, 2 h, 2 w, co].
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward_upsampled(&self, x: &Tensor) -> Result<Tensor> {
        let (n, h, w, c) = x.dims4()?;
        if let Weight::Cpu {
            kernels,
            upsampled: Some(weight),
            bias,
            ..
        } = &self.weight
            && c == self.channels_in
        {
            let shape = (n, 2 * h, 2 * w, self.channels_out);
            return Ok(cpu::map(x, shape, DType::F32, |x, output| {
                let epilogue = Epilogue {
                    bias: Some(bias),
                    ..Epilogue::default()
                };
                weight.forward(*kernels, x, [h, w], epilogue, output);
            })?);
        }
        self.forward(&doubled(x)?)
    }

    fn run(&self, x: &Tensor, activation: Activation, residual: Option<&Tensor>) -> Result<Tensor> {
        let (n, h, w, c) = x.dims4()?;
        let weight = [self.channels_in, self.channels_out];
        if c != self.channels_in {
            return Err(Error::shapes("a convolution", x.dims(), &weight));
        }
        let convolution = Convolution::new(self.shape, [h, w, c], self.channels_out)
            .map_err(|_| misfit(x.dims(), &weight))?;
        let [height, width, channels] = convolution.output();
        let shape = [n, height, width, channels];
        check_residual(residual, &shape)?;
        match &self.weight {
            Weight::Cpu {
                kernels,
                plain,
                bias,
                ..
            } => Ok(cpu::read_if(residual, |residual| {
                cpu::map(x, &shape[..], DType::F32, |x, output| {
                    let epilogue = Epilogue {
                        bias: Some(bias),
                        activation,
                        residual,
                        ..Epilogue::default()
                    };
                    convolution.forward(*kernels, x, plain, epilogue, output);
                })
            })??),
            Weight::Device { matrix, bias } => {
                let sum = composite(x, matrix, self.shape)?.broadcast_add(bias)?;
                Ok(finish(&sum, activation, residual)?)
            }
        }
    }
}

/// Every pixel four times: [n, h, w, c] -> [n, 2 h, 2 w, c].
///
/// # Errors
/// If `x` has another number of axes.
pub fn doubled(x: &Tensor) -> Result<Tensor> {
    let (n, h, w, c) = x.dims4()?;
    Ok(x.reshape((n, h, 1, w, 1, c))?
        .broadcast_as((n, h, 2, w, 2, c))?
        .reshape((n, 2 * h, 2 * w, c))?)
}
