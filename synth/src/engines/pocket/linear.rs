//! Affine maps.

use candle_core::{Result, Tensor};
use promptfed_nn::load::Loader;

/// x W^T + b. The bias is left to the operation that follows where that can add it in passing.
pub(super) struct Linear {
    /// [in, out]
    weight: Tensor,
    /// [out]
    pub(super) bias: Tensor,
}

impl Linear {
    pub(super) fn load(
        loader: &mut Loader,
        name: &str,
        inputs: usize,
        outputs: usize,
    ) -> promptfed_nn::Result<Self> {
        let weight = loader.tensor(&format!("{name}.weight"), &[outputs, inputs])?;
        let bias = loader.tensor(&format!("{name}.bias"), &[outputs])?;
        Ok(Self {
            weight: weight.t()?.contiguous()?,
            bias,
        })
    }

    /// The product alone: `x` [.., in] -> [.., out].
    pub(super) fn product(&self, x: &Tensor) -> Result<Tensor> {
        let (inputs, outputs) = self.weight.dims2()?;
        let mut shape = x.dims().to_vec();
        let rows = shape.iter().rev().skip(1).product::<usize>();
        if let Some(last) = shape.last_mut() {
            *last = outputs;
        }
        x.reshape((rows, inputs))?
            .matmul(&self.weight)?
            .reshape(shape)
    }

    /// Product and bias.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.product(x)?.broadcast_add(&self.bias)
    }
}
