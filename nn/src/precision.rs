//! How weights are kept and products computed.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use promptfed_kernels::Kernels;
use serde::{Deserialize, Serialize};

/// The number format of a model's weights and of the factors of products. Sums are f32 in each; on the CPU so is what lies between
/// layers, but for what only products read, which is kept in the format they read, and the feature maps of training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision throughout.
    F32,
    /// bfloat16 weights, sums in f32: half the memory, and the fastest where the processor has bf16 instructions.
    Bf16,
    /// IEEE half precision, on CUDA; on the CPU half-precision files become f32 or bf16.
    F16,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
            Precision::F16 => "f16",
        })
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "f32" => Ok(Precision::F32),
            "bf16" => Ok(Precision::Bf16),
            "f16" => Ok(Precision::F16),
            _ => Err(format!(
                "unknown precision {text:?}; there are f32, bf16 and f16"
            )),
        }
    }
}

static CHOSEN: OnceLock<Precision> = OnceLock::new();

impl Precision {
    /// Makes `self` what [`Precision::chosen`] says, for the whole process; the first call counts.
    pub fn choose(self) {
        // A later choice would split the process into two precisions.
        let _ = CHOSEN.set(self);
    }

    /// What the CPU computes in where this is asked for: it has no half precision.
    #[must_use]
    pub fn on_cpu(self) -> Self {
        match self {
            Self::F16 => Self::Bf16,
            other => other,
        }
    }

    /// The precision of models whose maker names none: the one chosen for the process, otherwise bf16 where the
    /// processor multiplies it faster than f32, and f32 elsewhere.
    pub fn chosen() -> Self {
        *CHOSEN.get_or_init(|| {
            let preferred = Kernels::chosen().map(Kernels::preferred_precision);
            match preferred {
                Ok(promptfed_kernels::Precision::Bf16) => Self::Bf16,
                _ => Self::F32,
            }
        })
    }
}
