//! Through a ReLU and the normalisation before it, backwards.

use rayon::prelude::*;

use super::blocks::{EachBlock, PerChannel, load};
use super::{BatchStatistics, task_len};
use crate::Kernels;

/// The gradients of the scale and the shift, `[channels]` each.
#[derive(Debug, Clone, PartialEq)]
pub struct AffineGradient {
    /// Of gamma.
    pub gamma: Vec<f32>,
    /// Of beta.
    pub beta: Vec<f32>,
}

impl Kernels {
    /// The gradient through a normalisation by the batch's own statistics and a ReLU behind it, whose result was
    /// `output`: `gradient`, that of the result, becomes zero where `output` is (which is the gradient of a residual
    /// that was added before the ReLU), and `values`, the input of the normalisation, is replaced by its gradient.
    ///
    /// With `x^ = (x - mean) / s`, `s = sqrt(variance + eps)`, `m` pixels and gradient `g` before the ReLU:
    /// `dx = gamma / s * (g - sum(g) / m - x^ * sum(g x^) / m)`.
    ///
    /// # Panics
    /// If the slices differ in length or are not whole pixels.
    pub fn batch_norm_relu_gradient(
        self,
        values: &mut [f32],
        output: &[f32],
        gradient: &mut [f32],
        statistics: &BatchStatistics,
        gamma: &[f32],
        eps: f32,
    ) -> AffineGradient {
        let channels = gamma.len();
        assert!(values.len().is_multiple_of(channels), "pixels");
        assert_eq!(values.len(), gradient.len(), "gradient");
        assert_eq!(values.len(), output.len(), "values of the result");
        let len = task_len(channels);
        let mean = &statistics.mean;
        let tasks = values.par_chunks(len).zip(output.par_chunks(len));
        let parts: Vec<[Vec<f32>; 2]> = tasks
            .zip(gradient.par_chunks_mut(len))
            .map(|((values, output), gradient)| {
                let pixels = values.len() / channels;
                let mut task = Sums {
                    values,
                    output,
                    gradient,
                    mean,
                    sums: [vec![0.0; channels], vec![0.0; channels]],
                };
                self.set.run(EachBlock {
                    task: &mut task,
                    channels,
                    pixels,
                });
                task.sums
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
        let tasks = values.par_chunks_mut(len).zip(gradient.par_chunks(len));
        tasks.for_each(|(values, gradient)| {
            let pixels = values.len() / channels;
            let task = &mut Combine {
                values,
                gradient,
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

/// Passes the gradient through the ReLU and sums up it and its products with differences from the mean.
struct Sums<'a> {
    values: &'a [f32],
    output: &'a [f32],
    gradient: &'a mut [f32],
    mean: &'a [f32],
    sums: [Vec<f32>; 2],
}

impl PerChannel for Sums<'_> {
    #[inline(always)]
    fn block<const W: usize>(&mut self, first: usize, from: usize, to: usize) {
        let channels = self.mean.len();
        let mean: [f32; W] = load(self.mean, first);
        let mut sums: [f32; W] = load(&self.sums[0], first);
        let mut products: [f32; W] = load(&self.sums[1], first);
        for pixel in from..to {
            let place = pixel * channels + first;
            let x: [f32; W] = load(self.values, place);
            let y: [f32; W] = load(self.output, place);
            let mut g: [f32; W] = load(self.gradient, place);
            for c in 0..W {
                g[c] = if y[c] > 0.0 { g[c] } else { 0.0 };
                sums[c] += g[c];
                products[c] += g[c] * (x[c] - mean[c]);
            }
            self.gradient[place..place + W].copy_from_slice(&g);
        }
        self.sums[0][first..first + W].copy_from_slice(&sums);
        self.sums[1][first..first + W].copy_from_slice(&products);
    }
}

/// `g * a + (x - mean) * b + c` in place of x.
struct Combine<'a> {
    values: &'a mut [f32],
    gradient: &'a [f32],
    mean: &'a [f32],
    factors: &'a [Vec<f32>; 3],
}

impl PerChannel for Combine<'_> {
    #[inline(always)]
    fn block<const W: usize>(&mut self, first: usize, from: usize, to: usize) {
        let channels = self.mean.len();
        let mean: [f32; W] = load(self.mean, first);
        let a: [f32; W] = load(&self.factors[0], first);
        let b: [f32; W] = load(&self.factors[1], first);
        let constant: [f32; W] = load(&self.factors[2], first);
        for pixel in from..to {
            let place = pixel * channels + first;
            let g: [f32; W] = load(self.gradient, place);
            let mut x: [f32; W] = load(self.values, place);
            for c in 0..W {
                x[c] = g[c] * a[c] + (x[c] - mean[c]) * b[c] + constant[c];
            }
            self.values[place..place + W].copy_from_slice(&x);
        }
    }
}
