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

    /// The format of feature maps and their gradients: the kernels know half precision as bf16 only.
    pub fn maps(self, precision: Precision) -> DType {
        match (self, precision) {
            (_, Precision::F32) => DType::F32,
            (Self::Operations, Precision::F16) => DType::F16,
            _ => DType::BF16,
        }
    }
}
