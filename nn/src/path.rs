//! What the layers of training compute by.

use candle_core::{DType, Device};
use promptfed_kernels::Kernels;

use crate::{Precision, Result, cpu};

/// By what a layer computes: one meaning, two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// This crate's kernels for the processor.
    Kernels(Kernels),
    /// candle's own operations: on CUDA, and for comparison on the CPU.
    Operations,
}

impl Path {
    /// The kernels on the CPU, candle's operations elsewhere.
    ///
    /// # Errors
    /// If the environment names an instruction set that is not here.
    pub fn of(device: &Device) -> Result<Self> {
        Ok(if device.is_cpu() {
            Self::Kernels(cpu::kernels()?)
        } else {
            Self::Operations
        })
    }

    /// The format of feature maps and their gradients in training. Half precision means bf16: in f16 gradients would need a
    /// scaled loss.
    pub(crate) fn maps(precision: Precision) -> DType {
        match precision {
            Precision::F32 => DType::F32,
            Precision::Bf16 | Precision::F16 => DType::BF16,
        }
    }
}
