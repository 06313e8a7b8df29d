//! Activation functions that layers apply to their results.

use candle_core::{Result, Tensor};

/// A function of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x
    None,
    /// max(x, 0)
    Relu,
    /// x / (1 + e^-x) (Elfwing, Uchibe and Doya 2018, eq. 4)
    Silu,
    /// x Phi(x) in its tanh form (Hendrycks and Gimpel 2016, section 2)
    Gelu,
    /// x Phi(x) with the error function (Hendrycks and Gimpel 2016, section 2)
    GeluErf,
    /// x / (1 + e^(-1.702 x)) (Hendrycks and Gimpel 2016, section 2)
    QuickGelu,
}

impl Activation {
    /// The function of every value, by candle's operations.
    pub(crate) fn composite(self, x: &Tensor) -> Result<Tensor> {
        match self {
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
}
