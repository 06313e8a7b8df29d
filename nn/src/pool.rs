//! Global average pooling.

use promptfed_kernels::Kernels;

use crate::{Result, cpu};

/// The mean over the pixels of every image, on slices: for code that keeps its own buffers.
#[derive(Debug, Clone, Copy)]
pub struct GlobalAverage {
    kernels: Kernels,
    shape: [usize; 2],
}

impl GlobalAverage {
    /// For images `[pixels, channels]`.
    ///
    /// # Errors
    /// If the environment names an instruction set that is not here.
    pub fn new(pixels: usize, channels: usize) -> Result<Self> {
        Ok(Self {
            kernels: cpu::kernels()?,
            shape: [pixels, channels],
        })
    }

    /// `output [n, channels]` from `values [n, pixels, channels]`.
    ///
    /// # Panics
    /// If the slices do not fit each other.
    pub fn forward(&self, values: &[f32], output: &mut [f32]) {
        self.kernels.global_average(values, self.shape, output);
    }

    /// The gradient of the values, `[n, pixels, channels]`, from that of the output.
    ///
    /// # Panics
    /// If the slices do not fit each other.
    pub fn gradient(&self, output_gradient: &[f32], gradient: &mut [f32]) {
        self.kernels
            .global_average_gradient(output_gradient, self.shape, gradient);
    }
}
