//! Convolution layers of NHWC feature maps.

use candle_core::Tensor;

use crate::activation::Activation;
use crate::convolution::{ConvolutionShape, convolution, weight_from_oihw};
use crate::load::Loader;
use crate::{Error, Result};

/// A two-dimensional convolution with its bias.
pub struct Conv2d {
    shape: ConvolutionShape,
    /// Zeros below and to the right of the image only, instead of all around.
    padded_after: bool,
    /// [kernel * kernel * ci, co]
    weight: Tensor,
    /// [co]
    bias: Tensor,
}

impl Conv2d {
    /// Takes `name.weight` [co, ci, kernel, kernel] and `name.bias` [co].
    ///
    /// # Errors
    /// See [`Loader::tensor`].
    pub fn load(
        loader: &mut Loader,
        name: &str,
        shape: ConvolutionShape,
        channels_in: usize,
        channels_out: usize,
    ) -> Result<Self> {
        let kernel = shape.kernel;
        let weight = loader.tensor(
            &format!("{name}.weight"),
            &[channels_out, channels_in, kernel, kernel],
        )?;
        Ok(Self {
            shape,
            padded_after: false,
            weight: weight_from_oihw(&weight)?,
            bias: loader.tensor(&format!("{name}.bias"), &[channels_out])?,
        })
    }

    /// A layer whose `shape.padding` zeros stand below and to the right of the image only, as in the
    /// down-sampling layers of Stable Diffusion's image encoder.
    ///
    /// # Errors
    /// See [`Loader::tensor`].
    pub fn load_padded_after(
        loader: &mut Loader,
        name: &str,
        shape: ConvolutionShape,
        channels_in: usize,
        channels_out: usize,
    ) -> Result<Self> {
        Ok(Self {
            padded_after: true,
            ..Self::load(loader, name, shape, channels_in, channels_out)?
        })
    }

    /// `x` [n, h, w, ci] -> [n, ho, wo, co].
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_activated(x, Activation::None)
    }

    /// [`Conv2d::forward`] and the activation of the result.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward_activated(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        let output = if self.padded_after {
            let p = self.shape.padding;
            let x = x.pad_with_zeros(1, 0, p)?.pad_with_zeros(2, 0, p)?;
            let shape = ConvolutionShape {
                padding: 0,
                ..self.shape
            };
            convolution(&x, &self.weight, shape)?
        } else {
            convolution(x, &self.weight, self.shape)?
        };
        Ok(activation.composite(&output.broadcast_add(&self.bias)?)?)
    }

    /// [`Conv2d::forward`] plus `residual`, which has the shape of the result.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward_added(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        Ok((self.forward(x)? + residual)?)
    }

    /// The convolution of `x` [n, h, w, ci] made twice as large by repeating pixels: [n, 2 h, 2 w, co].
    ///
    /// # Errors
    /// If the shapes do not fit or the layer is not one of kernel 3, stride 1, padding 1.
    pub fn forward_upsampled(&self, x: &Tensor) -> Result<Tensor> {
        if self.shape != ConvolutionShape::same(3, 1) || self.padded_after {
            return Err(Error::shapes(
                "an up-sampling convolution, which has kernel 3, stride 1 and padding 1",
                x.dims(),
                self.weight.dims(),
            ));
        }
        let (n, h, w, c) = x.dims4()?;
        let large = x
            .reshape((n, h, 1, w, 1, c))?
            .broadcast_as((n, h, 2, w, 2, c))?
            .reshape((n, 2 * h, 2 * w, c))?;
        self.forward(&large)
    }
}
