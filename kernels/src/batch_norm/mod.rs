//! Batch normalisation over the last dimension (Ioffe and Szegedy 2015), with what usually follows it in the same pass:
//! the addition of a residual and a ReLU.
//!
//! Values are `[pixels, channels]`, all pixels of all images counted together. Sums are formed over chunks whose size
//! depends on the shape alone, so results do not depend on the number of threads.

mod blocks;
mod gradient;
mod statistics;

use rayon::prelude::*;

use crate::values::Element;
use crate::{Kernels, Values, ValuesMut};
use blocks::{EachBlock, PerChannel, load, store};

pub use gradient::{AffineGradient, NormRelu};
pub use statistics::BatchStatistics;

/// Values of one task: what a second-level cache holds of each operand.
const TASK: usize = 1 << 14;

/// Values in a task of whole pixels.
fn task_len(channels: usize) -> usize {
    (TASK / channels).max(1) * channels
}

/// A normalisation folded into one multiplication and one addition per channel.
#[derive(Debug, Clone, PartialEq)]
pub struct ScaleShift {
    scale: Vec<f32>,
    shift: Vec<f32>,
}

impl ScaleShift {
    /// `(x - mean) / sqrt(variance + eps) * gamma + beta`, all `[channels]`.
    pub fn new(mean: &[f32], variance: &[f32], gamma: &[f32], beta: &[f32], eps: f32) -> Self {
        let scale: Vec<f32> = gamma
            .iter()
            .zip(variance)
            .map(|(gamma, variance)| gamma / (variance + eps).sqrt())
            .collect();
        let shift = scale
            .iter()
            .zip(mean)
            .zip(beta)
            .map(|((scale, mean), beta)| beta - mean * scale)
            .collect();
        Self { scale, shift }
    }
}

impl Kernels {
    /// `output = values * scale + shift (+ residual)`, then negative values to zero if `relu`.
    ///
    /// # Panics
    /// If the slices differ in length or format, or are not whole pixels.
    pub fn scale_shift<'a>(
        self,
        values: impl Into<Values<'a>>,
        factors: &ScaleShift,
        residual: Option<Values<'_>>,
        relu: bool,
        output: impl Into<ValuesMut<'a>>,
    ) {
        match (values.into(), residual, output.into()) {
            (Values::F32(x), None, ValuesMut::F32(to)) => self.shifted(x, factors, None, relu, to),
            (Values::F32(x), Some(Values::F32(r)), ValuesMut::F32(to)) => {
                self.shifted(x, factors, Some(r), relu, to);
            }
            (Values::Bf16(x), None, ValuesMut::Bf16(to)) => {
                self.shifted(x, factors, None, relu, to);
            }
            (Values::Bf16(x), Some(Values::Bf16(r)), ValuesMut::Bf16(to)) => {
                self.shifted(x, factors, Some(r), relu, to);
            }
            _ => panic!("values, residual and result in different formats"),
        }
    }

    fn shifted<T: Element>(
        self,
        values: &[T],
        factors: &ScaleShift,
        residual: Option<&[T]>,
        relu: bool,
        output: &mut [T],
    ) {
        let channels = factors.scale.len();
        assert!(values.len().is_multiple_of(channels), "pixels");
        assert_eq!(values.len(), output.len(), "values of the result");
        assert!(residual.is_none_or(|r| r.len() == values.len()), "residual");
        let len = task_len(channels);
        let tasks = output.par_chunks_mut(len).zip(values.par_chunks(len));
        tasks.enumerate().for_each(|(number, (output, values))| {
            let pixels = values.len() / channels;
            let task = &mut Apply {
                values,
                residual: residual.map(|all| &all[number * len..][..values.len()]),
                factors,
                floor: if relu { 0.0 } else { f32::NEG_INFINITY },
                output,
            };
            self.set.run(EachBlock {
                task,
                channels,
                pixels,
            });
        });
    }
}

struct Apply<'a, T> {
    values: &'a [T],
    residual: Option<&'a [T]>,
    factors: &'a ScaleShift,
    floor: f32,
    output: &'a mut [T],
}

impl<T: Element> PerChannel for Apply<'_, T> {
    #[inline(always)]
    fn block<const W: usize>(&mut self, first: usize, from: usize, to: usize) {
        let channels = self.factors.scale.len();
        let scale: [f32; W] = load(&self.factors.scale, first);
        let shift: [f32; W] = load(&self.factors.shift, first);
        for pixel in from..to {
            let place = pixel * channels + first;
            let x: [f32; W] = load(self.values, place);
            let mut y = [0.0; W];
            for c in 0..W {
                y[c] = x[c] * scale[c] + shift[c];
            }
            if let Some(residual) = self.residual {
                let r: [f32; W] = load(residual, place);
                for c in 0..W {
                    y[c] += r[c];
                }
            }
            for y in &mut y {
                // Unlike `max`, this keeps NaN.
                *y = if *y < self.floor { self.floor } else { *y };
            }
            store(y, self.output, place);
        }
    }
}
