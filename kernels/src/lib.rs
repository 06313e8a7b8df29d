//! CPU kernels for training and generation, chosen at run time by what the processor has.
//!
//! [`Kernels`] is the way in: `Kernels::chosen()` uses the best instructions here, `Kernels::with`
//! those one asks for. Feature maps are NHWC, matrices row-major, their values f32 or bf16. Weights are
//! packed once, as f32 or bf16; products of bf16 weights sum in f32.
//!
//! Results do not depend on the number of threads, and a row of a result not on the other rows.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod activation;
mod aligned;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod amx;
pub mod attention;
#[cfg(target_arch = "x86_64")]
mod avx512_bf16;
pub mod batch_norm;
mod bf16;
pub mod convolution;
pub mod depthwise;
mod exponential;
pub mod group_norm;
mod instruction_set;
pub mod layer_norm;
mod peak;
mod pool;
mod product;
mod unspecified;
mod values;
mod vector;

pub use activation::Activation;
pub use instruction_set::{ENVIRONMENT, InstructionSet, Unavailable};
pub use product::{Epilogue, Gate, MatrixView, PackedMatrix};
pub use unspecified::unspecified;
pub use values::{Element, Values, ValuesMut};

/// How a weight is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Single precision.
    F32,
    /// bfloat16: rounded to 8 bits of significand.
    Bf16,
}

/// The kernels of one instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernels {
    set: InstructionSet,
}

impl Kernels {
    /// The kernels for this processor; see [`InstructionSet::chosen`].
    ///
    /// # Errors
    /// If the environment names a set that is not available.
    pub fn chosen() -> Result<Self, Unavailable> {
        Ok(Self {
            set: InstructionSet::chosen()?,
        })
    }

    /// The kernels of `set`.
    ///
    /// # Errors
    /// If this processor lacks it.
    pub fn with(set: InstructionSet) -> Result<Self, Unavailable> {
        Ok(Self {
            set: set.or_unavailable()?,
        })
    }

    /// The instructions these kernels use.
    pub fn instruction_set(self) -> InstructionSet {
        self.set
    }

    /// The format that is fastest here: bf16 where the processor multiplies it faster than f32, f32 elsewhere.
    pub fn preferred_precision(self) -> Precision {
        if self.set.gains_by_bf16() {
            Precision::Bf16
        } else {
            Precision::F32
        }
    }
}
