//! The activations that a configuration may put behind the embedding of the timestep.

use candle_core::Tensor;
use promptfed_nn::Result;
use promptfed_nn::activation::relu;
use serde::Deserialize;

/// An activation by the names of diffusers' `get_activation`, in letters of either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum TimeActivation {
    /// x sigmoid(x).
    Silu,
    /// x tanh(ln(1 + e^x)) (Misra 2019).
    Mish,
    /// x Phi(x).
    Gelu,
    /// max(x, 0).
    Relu,
}

impl TryFrom<String> for TimeActivation {
    type Error = String;

    fn try_from(name: String) -> std::result::Result<Self, String> {
        match name.to_lowercase().as_str() {
            "silu" | "swish" => Ok(Self::Silu),
            "mish" => Ok(Self::Mish),
            "gelu" => Ok(Self::Gelu),
            "relu" => Ok(Self::Relu),
            _ => Err(format!(
                "there is no activation {name:?}; silu, swish, mish, gelu and relu are offered"
            )),
        }
    }
}

impl TimeActivation {
    /// The function of every value.
    pub(super) fn forward(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Silu => Ok(x.silu()?),
            Self::Gelu => Ok(x.gelu_erf()?),
            Self::Relu => Ok(relu(x)?),
            Self::Mish => {
                // ln(1 + e^x) without an e^x that overflows.
                let softplus = ((x.abs()?.neg()?.exp()? + 1.0)?.log()? + relu(x)?)?;
                Ok((x * softplus.tanh()?)?)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn names_and_values_are_those_of_torch() {
        let x = Tensor::new(&[-100f32, -1.0, 0.0, 0.5, 2.0, 100.0], &Device::Cpu).unwrap();
        // torch.nn.functional, f32.
        for (name, wanted) in [
            (
                "swish",
                [0.0, -0.268_941_4, 0.0, 0.311_229_6, 1.761_594_2, 100.0],
            ),
            (
                "SiLU",
                [0.0, -0.268_941_4, 0.0, 0.311_229_6, 1.761_594_2, 100.0],
            ),
            (
                "mish",
                [0.0, -0.303_401_44, 0.0, 0.375_245_24, 1.943_959, 100.0],
            ),
            (
                "gelu",
                [0.0, -0.158_655_25, 0.0, 0.345_731_2, 1.954_499_7, 100.0],
            ),
            ("relu", [0.0, 0.0, 0.0, 0.5, 2.0, 100.0]),
        ] {
            let activation = TimeActivation::try_from(name.to_owned()).unwrap();
            let got: Vec<f32> = activation.forward(&x).unwrap().to_vec1().unwrap();
            for (got, wanted) in got.iter().zip(wanted) {
                assert!(
                    (got - wanted).abs() < 2e-6,
                    "{name}: {got} and not {wanted}"
                );
            }
        }
        let error = TimeActivation::try_from("tanh".to_owned()).unwrap_err();
        assert!(error.contains("tanh") && error.contains("mish"), "{error}");
    }
}
