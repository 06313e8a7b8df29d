//! Mean and variance of a batch.

use rayon::prelude::*;

use super::blocks::{EachBlock, PerChannel, load};
use super::task_len;
use crate::values::Element;
use crate::{Kernels, Values};

/// Mean and variance per channel of one batch.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchStatistics {
    /// `[channels]`.
    pub mean: Vec<f32>,
    /// `[channels]`, the mean of squared differences (biased).
    pub variance: Vec<f32>,
    /// Pixels that were counted.
    pub pixels: usize,
}

impl Kernels {
    /// The statistics of `values [pixels, channels]`.
    ///
    /// # Panics
    /// If `values` is empty or not a whole number of pixels.
    pub fn batch_statistics<'a>(
        self,
        values: impl Into<Values<'a>>,
        channels: usize,
    ) -> BatchStatistics {
        match values.into() {
            Values::F32(values) => self.statistics(values, channels),
            Values::Bf16(values) => self.statistics(values, channels),
        }
    }

    fn statistics<T: Element>(self, values: &[T], channels: usize) -> BatchStatistics {
        assert!(!values.is_empty() && values.len().is_multiple_of(channels));
        let parts: Vec<(usize, Moments<'_, T>)> = values
            .par_chunks(task_len(channels))
            .map(|values| self.moments(values, channels))
            .collect();
        // Chan et al. 1983: the moments of a union from those of its parts.
        let mut mean = vec![0f64; channels];
        let mut squares = vec![0f64; channels];
        let mut count = 0f64;
        for (pixels, part) in parts {
            let pixels = pixels as f64;
            let total = count + pixels;
            for c in 0..channels {
                let delta = f64::from(part.mean[c]) - mean[c];
                mean[c] += delta * pixels / total;
                squares[c] += f64::from(part.sums[c]) + delta * delta * count * pixels / total;
            }
            count = total;
        }
        BatchStatistics {
            mean: mean.into_iter().map(|v| v as f32).collect(),
            variance: squares.into_iter().map(|v| (v / count) as f32).collect(),
            pixels: values.len() / channels,
        }
    }

    /// Mean and sums of squared differences from it, in two passes.
    fn moments<T: Element>(self, values: &[T], channels: usize) -> (usize, Moments<'_, T>) {
        let pixels = values.len() / channels;
        let mut task = Moments {
            values,
            mean: vec![0.0; channels],
            sums: vec![0.0; channels],
            squares: false,
        };
        for squares in [false, true] {
            task.squares = squares;
            self.set.run(EachBlock {
                task: &mut task,
                channels,
                pixels,
            });
            if !squares {
                std::mem::swap(&mut task.mean, &mut task.sums);
                for mean in &mut task.mean {
                    *mean /= pixels as f32;
                }
            }
        }
        (pixels, task)
    }
}

struct Moments<'a, T> {
    values: &'a [T],
    /// What is subtracted: zero in the first pass.
    mean: Vec<f32>,
    sums: Vec<f32>,
    /// Whether the differences are squared: in the second pass.
    squares: bool,
}

impl<T: Element> PerChannel for Moments<'_, T> {
    #[inline(always)]
    fn block<const W: usize>(&mut self, first: usize, from: usize, to: usize) {
        let channels = self.mean.len();
        let mean: [f32; W] = load(&self.mean, first);
        let mut sums: [f32; W] = load(&self.sums, first);
        for pixel in from..to {
            let x: [f32; W] = load(self.values, pixel * channels + first);
            for c in 0..W {
                let difference = x[c] - mean[c];
                sums[c] += if self.squares {
                    difference * difference
                } else {
                    difference
                };
            }
        }
        self.sums[first..first + W].copy_from_slice(&sums);
    }
}
