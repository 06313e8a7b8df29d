//! Group normalisation of NHWC feature maps.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::values::Element;
use crate::{Activation, Kernels, ValuesMut};

/// Values of one task.
const TASK: usize = 1 << 15;

/// Positions whose sums stay in f32.
const SHORT: usize = 64;

/// The layer's constants.
#[derive(Clone, Copy, Debug)]
pub struct GroupNorm<'a> {
    /// Groups of neighbouring channels; divides the channels.
    pub groups: usize,
    /// Added to the variance.
    pub eps: f32,
    /// `[channels]`
    pub gamma: &'a [f32],
    /// `[channels]`
    pub beta: &'a [f32],
    /// Applied to the result.
    pub activation: Activation,
}

impl Kernels {
    /// (x - mean) / sqrt(variance + eps) gamma + beta, mean and biased variance over all positions of a group of
    /// channels, each sample by itself (Wu and He 2018, eq. 1, 2 and 6).
    ///
    /// `x` and `output` are `[samples, positions, channels]`.
    ///
    /// # Panics
    /// If the slices do not fit these shapes, or the channels do not split into the groups.
    pub fn group_norm<'a>(
        self,
        x: &[f32],
        samples: usize,
        norm: GroupNorm<'_>,
        output: impl Into<ValuesMut<'a>>,
    ) {
        match output.into() {
            ValuesMut::F32(output) => self.norm_groups(x, samples, norm, output),
            ValuesMut::Bf16(output) => self.norm_groups(x, samples, norm, output),
        }
    }

    fn norm_groups<T: Element>(
        self,
        x: &[f32],
        samples: usize,
        norm: GroupNorm<'_>,
        output: &mut [T],
    ) {
        let channels = norm.gamma.len();
        assert_eq!(norm.beta.len(), channels, "gamma and beta");
        assert!(
            norm.groups > 0 && channels.is_multiple_of(norm.groups),
            "groups"
        );
        assert!(
            samples > 0 && x.len().is_multiple_of(samples * channels),
            "positions"
        );
        assert_eq!(x.len(), output.len(), "values of the result");
        let sample = x.len() / samples;
        if sample == 0 {
            return;
        }
        let per_task = (TASK / channels).max(1) * channels;
        let pairs = x.par_chunks(sample).zip(output.par_chunks_mut(sample));
        pairs.for_each(|(x, output)| {
            // Sums of differences from a value near the mean lose no digits to a mean far from zero.
            let origin: Vec<f32> = origins(x, channels, norm.groups);
            let parts: Vec<Vec<[f64; 2]>> = x
                .par_chunks(per_task)
                .map(|x| self.set.run(Moments { x, origin: &origin }))
                .collect();
            let (scale, shift) = coefficients(&parts, &origin, x.len() / channels, norm);
            let tasks = x.par_chunks(per_task).zip(output.par_chunks_mut(per_task));
            tasks.for_each(|(x, output)| {
                self.set.run(Apply {
                    x,
                    output,
                    scale: &scale,
                    shift: &shift,
                    activation: norm.activation,
                });
            });
        });
    }
}

/// For each channel the mean of its group over the first positions.
fn origins(x: &[f32], channels: usize, groups: usize) -> Vec<f32> {
    let width = channels / groups;
    let mut sums = vec![0f64; groups];
    let mut positions = 0;
    for position in x.chunks_exact(channels).take(16) {
        for (sum, group) in sums.iter_mut().zip(position.chunks_exact(width)) {
            *sum += group.iter().map(|v| f64::from(*v)).sum::<f64>();
        }
        positions += 1;
    }
    let mean = |sum: f64| (sum / (positions * width) as f64) as f32;
    sums.into_iter()
        .flat_map(|sum| std::iter::repeat_n(mean(sum), width))
        .collect()
}

/// For each channel the sums of the differences from the origin and of their squares.
struct Moments<'a> {
    x: &'a [f32],
    origin: &'a [f32],
}

impl WithSimd for Moments<'_> {
    type Output = Vec<[f64; 2]>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Vec<[f64; 2]> {
        let channels = self.origin.len();
        let mut totals = vec![[0f64; 2]; channels];
        let (mut first, mut second) = (vec![0f32; channels], vec![0f32; channels]);
        for block in self.x.chunks(SHORT * channels) {
            first.fill(0.0);
            second.fill(0.0);
            for position in block.chunks_exact(channels) {
                let values = position.iter().zip(self.origin);
                let sums = first.iter_mut().zip(second.iter_mut());
                for ((first, second), (value, origin)) in sums.zip(values) {
                    let difference = value - origin;
                    *first += difference;
                    *second += difference * difference;
                }
            }
            for (total, (first, second)) in totals.iter_mut().zip(first.iter().zip(&second)) {
                total[0] += f64::from(*first);
                total[1] += f64::from(*second);
            }
        }
        totals
    }
}

/// The factor and summand of each channel.
fn coefficients(
    parts: &[Vec<[f64; 2]>],
    origin: &[f32],
    positions: usize,
    norm: GroupNorm<'_>,
) -> (Vec<f32>, Vec<f32>) {
    let channels = norm.gamma.len();
    let width = channels / norm.groups;
    let count = (positions * width) as f64;
    let (mut scale, mut shift) = (vec![0f32; channels], vec![0f32; channels]);
    for first in (0..channels).step_by(width) {
        let mut sums = [0f64; 2];
        for part in parts {
            for [a, b] in &part[first..first + width] {
                sums[0] += a;
                sums[1] += b;
            }
        }
        let difference = sums[0] / count;
        let variance = (sums[1] / count - difference * difference).max(0.0);
        let mean = f64::from(origin[first]) + difference;
        let inverse = 1.0 / (variance + f64::from(norm.eps)).sqrt();
        for channel in first..first + width {
            let factor = f64::from(norm.gamma[channel]) * inverse;
            scale[channel] = factor as f32;
            shift[channel] = (f64::from(norm.beta[channel]) - mean * factor) as f32;
        }
    }
    (scale, shift)
}

struct Apply<'a, T> {
    x: &'a [f32],
    output: &'a mut [T],
    scale: &'a [f32],
    shift: &'a [f32],
    activation: Activation,
}

impl<T: Element> WithSimd for Apply<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let channels = self.scale.len();
        let rows = self.x.chunks_exact(channels);
        let mut scratch = Vec::new();
        for (output, x) in self.output.chunks_exact_mut(channels).zip(rows) {
            T::write(output, &mut scratch, |output| {
                let line = x.iter().zip(self.scale.iter().zip(self.shift));
                for (o, (v, (scale, shift))) in output.iter_mut().zip(line) {
                    *o = v * scale + shift;
                }
                self.activation.apply(output);
            });
        }
    }
}
