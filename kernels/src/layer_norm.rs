//! Layer normalisation of rows.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::values::Element;
use crate::vector::sum;
use crate::{Kernels, ValuesMut};

/// What follows the normalisation of a row: `normed * scale + shift`.
#[derive(Clone, Copy, Debug, Default)]
pub enum Modulation<'a> {
    /// Nothing.
    #[default]
    None,
    /// One scale and shift, `[d]` each, for all rows.
    Affine {
        /// Factors.
        scale: &'a [f32],
        /// Summands.
        shift: &'a [f32],
    },
    /// A scale and shift for each sample, `[samples, d]` each, applied as `normed * (1 + scale) + shift`
    /// (Peebles and Xie 2023, section 3.2).
    PerSample {
        /// Factors less one.
        scale: &'a [f32],
        /// Summands.
        shift: &'a [f32],
    },
}

impl Kernels {
    /// (x - mean) / sqrt(variance + eps) of every row of `d` values with the biased variance, modulated (Ba,
    /// Kiros and Hinton 2016, eq. 4).
    ///
    /// # Panics
    /// If `x` is not whole rows, `output` is not as long, or the modulation does not fit.
    pub fn layer_norm<'a>(
        self,
        x: &[f32],
        d: usize,
        eps: f32,
        modulation: Modulation<'_>,
        output: impl Into<ValuesMut<'a>>,
    ) {
        match output.into() {
            ValuesMut::F32(output) => self.norms(x, d, eps, modulation, output),
            ValuesMut::Bf16(output) => self.norms(x, d, eps, modulation, output),
        }
    }

    fn norms<T: Element>(
        self,
        x: &[f32],
        d: usize,
        eps: f32,
        modulation: Modulation<'_>,
        output: &mut [T],
    ) {
        assert!(d > 0 && x.len().is_multiple_of(d), "rows");
        assert_eq!(x.len(), output.len(), "values of the result");
        let rows = x.len() / d;
        let rows_per_sample = match modulation {
            Modulation::None => rows,
            Modulation::Affine { scale, shift } => {
                assert!(scale.len() == d && shift.len() == d, "scale and shift");
                rows
            }
            Modulation::PerSample { scale, shift } => {
                let samples = scale.len() / d;
                assert!(
                    scale.len() == samples * d && shift.len() == scale.len(),
                    "scale and shift"
                );
                assert!(
                    samples > 0 && rows.is_multiple_of(samples),
                    "rows per sample"
                );
                rows / samples
            }
        };
        let per_task = (1 << 14) / d + 1;
        output
            .par_chunks_mut(per_task * d)
            .zip(x.par_chunks(per_task * d))
            .enumerate()
            .for_each(|(task, (output, x))| {
                self.set.run(Norm {
                    x,
                    output,
                    d,
                    eps,
                    modulation,
                    first_row: task * per_task,
                    rows_per_sample,
                });
            });
    }
}

struct Norm<'a, T> {
    x: &'a [f32],
    output: &'a mut [T],
    d: usize,
    eps: f32,
    modulation: Modulation<'a>,
    first_row: usize,
    rows_per_sample: usize,
}

impl<T: Element> WithSimd for Norm<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let d = self.d;
        let rows = self.output.chunks_exact_mut(d).zip(self.x.chunks_exact(d));
        let mut scratch = Vec::new();
        for (i, (output, x)) in rows.enumerate() {
            let mean = sum(x, |v| v) / d as f32;
            let variance = sum(x, |v| (v - mean) * (v - mean)) / d as f32;
            let inverse = 1.0 / (variance + self.eps).sqrt();
            T::write(output, &mut scratch, |output| match self.modulation {
                Modulation::None => {
                    for (o, v) in output.iter_mut().zip(x) {
                        *o = (v - mean) * inverse;
                    }
                }
                Modulation::Affine { scale, shift } => {
                    let line = x.iter().zip(scale.iter().zip(shift));
                    for (o, (v, (scale, shift))) in output.iter_mut().zip(line) {
                        *o = (v - mean) * inverse * scale + shift;
                    }
                }
                Modulation::PerSample { scale, shift } => {
                    let sample = (self.first_row + i) / self.rows_per_sample * d;
                    let (scale, shift) = (&scale[sample..][..d], &shift[sample..][..d]);
                    let line = x.iter().zip(scale.iter().zip(shift));
                    for (o, (v, (scale, shift))) in output.iter_mut().zip(line) {
                        *o = (v - mean) * inverse * (1.0 + scale) + shift;
                    }
                }
            });
        }
    }
}
