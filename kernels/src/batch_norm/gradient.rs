//! Through a ReLU and the normalisation before it, backwards.

use rayon::prelude::*;

use super::blocks::{EachBlock, PerChannel, load, store};
use super::{BatchStatistics, task_len};
use crate::product::Shared;
use crate::values::Element;
use crate::{Kernels, Values, ValuesMut};

/// The gradients of the scale and the shift, `[channels]` each.
#[derive(Debug, Clone, PartialEq)]
pub struct AffineGradient {
    /// Of gamma.
    pub gamma: Vec<f32>,
    /// Of beta.
    pub beta: Vec<f32>,
}

/// What a normalisation by the batch's own statistics and a ReLU after it made of a batch, and the gradient of that. The
/// values are all f32 or all bf16, `[pixels, channels]`.
#[derive(Clone, Copy, Debug)]
pub struct NormRelu<'a> {
    /// What was normalised.
    pub values: Values<'a>,
    /// The result, after the sum with a residual, if there was one, and the ReLU.
    pub output: Values<'a>,
    /// The gradient of the result.
    pub gradient: Values<'a>,
    /// Of the values.
    pub statistics: &'a BatchStatistics,
    /// `[channels]`
    pub gamma: &'a [f32],
    /// What was added to the variance.
    pub eps: f32,
}

impl Kernels {
    /// Writes the gradient of the values to `to`, and the gradient before the ReLU, which is the residual's, to `before`.
    ///
    /// With `x^ = (x - mean) / s`, `s = sqrt(variance + eps)`, `m` pixels and gradient `g` before the ReLU:
    /// `dx = gamma / s * (g - sum(g) / m - x^ * sum(g x^) / m)`.
    ///
    /// # Panics
    /// If slices differ in length or format, or are not whole pixels.
    pub fn batch_norm_relu_gradient<'a>(
        self,
        norm: NormRelu<'_>,
        to: impl Into<ValuesMut<'a>>,
        before: Option<ValuesMut<'a>>,
    ) -> AffineGradient {
        let (x, y, g) = (norm.values, norm.output, norm.gradient);
        match (x, y, g, to.into(), before) {
            (Values::F32(x), Values::F32(y), Values::F32(g), ValuesMut::F32(to), before) => {
                let before = before.map(|before| match before {
                    ValuesMut::F32(before) => before,
                    ValuesMut::Bf16(_) => panic!("{FORMATS}"),
                });
                self.relu_gradient(norm, Maps { x, y, g }, to, before)
            }
            (Values::Bf16(x), Values::Bf16(y), Values::Bf16(g), ValuesMut::Bf16(to), before) => {
                let before = before.map(|before| match before {
                    ValuesMut::Bf16(before) => before,
                    ValuesMut::F32(_) => panic!("{FORMATS}"),
                });
                self.relu_gradient(norm, Maps { x, y, g }, to, before)
            }
            _ => panic!("{FORMATS}"),
        }
    }

    fn relu_gradient<T: Element>(
        self,
        norm: NormRelu<'_>,
        maps: Maps<'_, T>,
        to: &mut [T],
        before: Option<&mut [T]>,
    ) -> AffineGradient {
        let NormRelu {
            statistics,
            gamma,
            eps,
            ..
        } = norm;
        let (channels, total) = (gamma.len(), maps.x.len());
        assert_eq!(statistics.pixels * channels, total, "pixels");
        assert_eq!(statistics.mean.len(), channels, "channels of the mean");
        assert_eq!(
            statistics.variance.len(),
            channels,
            "channels of the variance"
        );
        let same = |len: usize| assert_eq!(len, total, "values");
        same(maps.y.len());
        same(maps.g.len());
        same(to.len());
        let before = before.map_or(&mut [][..], |before| {
            same(before.len());
            before
        });
        let len = task_len(channels);
        let mean = &statistics.mean;
        // As many parts as of the values, empty ones where nothing is written.
        let part_of_before = if before.is_empty() { 0 } else { len };
        let before = Shared::new(before);
        let parts: Vec<[Vec<f32>; 2]> = (0..total.div_ceil(len))
            .into_par_iter()
            .map(|task| {
                let maps = maps.part(task * len, len);
                let start = task * part_of_before;
                let end = start + part_of_before.min(maps.x.len());
                let mut sums = Sums {
                    maps,
                    // SAFETY: every task has a part of its own.
                    before: unsafe { before.range(start..end).slice() },
                    mean,
                    sums: [vec![0.0; channels], vec![0.0; channels]],
                };
                self.set.run(EachBlock {
                    task: &mut sums,
                    channels,
                    pixels: maps.x.len() / channels,
                });
                sums.sums
            })
            .collect();
        let mut sums = vec![0f64; channels];
        let mut products = vec![0f64; channels];
        for [part_sums, part_products] in parts {
            for c in 0..channels {
                sums[c] += f64::from(part_sums[c]);
                products[c] += f64::from(part_products[c]);
            }
        }
        // dx = g * a + (x - mean) * b + c, per channel.
        let m = statistics.pixels as f64;
        let mut factors = [(); 3].map(|()| vec![0f32; channels]);
        for i in 0..channels {
            let inverse = 1.0 / (f64::from(statistics.variance[i]) + f64::from(eps)).sqrt();
            products[i] *= inverse;
            let factor = f64::from(gamma[i]) * inverse;
            factors[0][i] = factor as f32;
            factors[1][i] = (-factor * products[i] / m * inverse) as f32;
            factors[2][i] = (-factor * sums[i] / m) as f32;
        }
        to.par_chunks_mut(len).enumerate().for_each(|(task, to)| {
            let pixels = to.len() / channels;
            let task = &mut Combine {
                maps: maps.part(task * len, len),
                to,
                mean,
                factors: &factors,
            };
            self.set.run(EachBlock {
                task,
                channels,
                pixels,
            });
        });
        let single = |values: Vec<f64>| values.into_iter().map(|v| v as f32).collect();
        AffineGradient {
            gamma: single(products),
            beta: single(sums),
        }
    }
}

const FORMATS: &str = "values, result and gradients in different formats";

/// Values, result and gradient of the result.
#[derive(Clone, Copy)]
struct Maps<'a, T> {
    x: &'a [T],
    y: &'a [T],
    g: &'a [T],
}

impl<T: Element> Maps<'_, T> {
    /// At most `len` values from `start` on.
    fn part(&self, start: usize, len: usize) -> Self {
        let range = start..(start + len).min(self.x.len());
        Self {
            x: &self.x[range.clone()],
            y: &self.y[range.clone()],
            g: &self.g[range],
        }
    }

    /// Values less the mean, and the gradient before the ReLU, of channels `first..first + W` of a pixel.
    #[inline(always)]
    fn at<const W: usize>(&self, place: usize, mean: &[f32; W]) -> [[f32; W]; 2] {
        let mut x: [f32; W] = load(self.x, place);
        let y: [f32; W] = load(self.y, place);
        let mut g: [f32; W] = load(self.g, place);
        for c in 0..W {
            x[c] -= mean[c];
            g[c] = if y[c] > 0.0 { g[c] } else { 0.0 };
        }
        [x, g]
    }
}

/// Sums of the gradient before the ReLU, and of its products with differences from the mean.
struct Sums<'a, T> {
    maps: Maps<'a, T>,
    /// Where that gradient goes; empty where nobody needs it.
    before: &'a mut [T],
    mean: &'a [f32],
    sums: [Vec<f32>; 2],
}

impl<T: Element> PerChannel for Sums<'_, T> {
    #[inline(always)]
    fn block<const W: usize>(&mut self, first: usize, from: usize, to: usize) {
        let channels = self.mean.len();
        let mean: [f32; W] = load(self.mean, first);
        let mut sums: [f32; W] = load(&self.sums[0], first);
        let mut products: [f32; W] = load(&self.sums[1], first);
        for pixel in from..to {
            let place = pixel * channels + first;
            let [x, g] = self.maps.at(place, &mean);
            for c in 0..W {
                sums[c] += g[c];
                products[c] += g[c] * x[c];
            }
            if !self.before.is_empty() {
                store(g, self.before, place);
            }
        }
        self.sums[0][first..first + W].copy_from_slice(&sums);
        self.sums[1][first..first + W].copy_from_slice(&products);
    }
}

/// `g * a + (x - mean) * b + c`.
struct Combine<'a, T> {
    maps: Maps<'a, T>,
    to: &'a mut [T],
    mean: &'a [f32],
    factors: &'a [Vec<f32>; 3],
}

impl<T: Element> PerChannel for Combine<'_, T> {
    #[inline(always)]
    fn block<const W: usize>(&mut self, first: usize, from: usize, to: usize) {
        let channels = self.mean.len();
        let mean: [f32; W] = load(self.mean, first);
        let a: [f32; W] = load(&self.factors[0], first);
        let b: [f32; W] = load(&self.factors[1], first);
        let constant: [f32; W] = load(&self.factors[2], first);
        for pixel in from..to {
            let place = pixel * channels + first;
            let [mut x, g] = self.maps.at(place, &mean);
            for c in 0..W {
                x[c] = g[c] * a[c] + x[c] * b[c] + constant[c];
            }
            store(x, self.to, place);
        }
    }
}
