//! Activation functions that layers apply to their results.

use candle_core::{Result, Tensor};
pub use promptfed_kernels::Activation;

/// The function of every value, by candle's operations.
pub(crate) fn composite(activation: Activation, x: &Tensor) -> Result<Tensor> {
    match activation {
        Activation::None => Ok(x.clone()),
        Activation::Relu => x.relu(),
        Activation::Silu => x.silu(),
        Activation::Gelu => x.gelu(),
        Activation::GeluErf => x.gelu_erf(),
        Activation::QuickGelu => {
            let gate = ((x * -1.702)?.exp()? + 1.0)?.recip()?;
            x * gate
        }
    }
}
