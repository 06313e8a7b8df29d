//! Affine maps.

use candle_core::Tensor;

use crate::activation::Activation;
use crate::load::Loader;
use crate::{Error, Result};

/// Whether a layer adds a learned vector to its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bias {
    /// It does.
    Present,
    /// It does not.
    Absent,
}

/// x W^T + b over the last axis.
pub struct Linear {
    /// [in, out]
    weight: Tensor,
    /// [out]
    bias: Option<Tensor>,
}

impl Linear {
    /// Takes `name.weight` [outputs, inputs] and, where present, `name.bias` [outputs].
    ///
    /// # Errors
    /// See [`Loader::tensor`].
    pub fn load(
        loader: &mut Loader,
        name: &str,
        inputs: usize,
        outputs: usize,
        bias: Bias,
    ) -> Result<Self> {
        let weight = loader.tensor(&format!("{name}.weight"), &[outputs, inputs])?;
        let bias = match bias {
            Bias::Present => Some(loader.tensor(&format!("{name}.bias"), &[outputs])?),
            Bias::Absent => None,
        };
        Ok(Self {
            weight: weight.t()?.contiguous()?,
            bias,
        })
    }

    /// `x` [.., inputs] -> [.., outputs].
    ///
    /// # Errors
    /// If the last axis has another length.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_activated(x, Activation::None)
    }

    /// [`Linear::forward`] and the activation of the result.
    ///
    /// # Errors
    /// If the last axis has another length.
    pub fn forward_activated(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        let (inputs, outputs) = self.weight.dims2()?;
        if x.dims().last() != Some(&inputs) {
            return Err(Error::shapes("a linear map", x.dims(), &[inputs, outputs]));
        }
        let mut shape = x.dims().to_vec();
        let rows = shape.iter().rev().skip(1).product::<usize>();
        if let Some(last) = shape.last_mut() {
            *last = outputs;
        }
        let product = x
            .reshape((rows, inputs))?
            .matmul(&self.weight)?
            .reshape(shape)?;
        let sum = match &self.bias {
            Some(bias) => product.broadcast_add(bias)?,
            None => product,
        };
        Ok(activation.composite(&sum)?)
    }

    /// [`Linear::forward`] plus `residual`, which has the shape of the result.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward_added(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        Ok((self.forward(x)? + residual)?)
    }
}
