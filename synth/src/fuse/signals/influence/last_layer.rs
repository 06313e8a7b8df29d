//! The last linear map, its probabilities, gradients and Hessian.

use rayon::prelude::*;

/// The last linear map of a classifier: logits of an image's features.
#[derive(Clone, Debug, PartialEq)]
pub struct LastLayer {
    pub(super) classes: usize,
    pub(super) width: usize,
    /// `[classes, width + 1]`, the bias last.
    pub(super) weight: Vec<f64>,
}

/// Features of images, `[n, width]`, with their labels.
#[derive(Clone, Copy, Debug)]
pub struct Labelled<'a> {
    /// `[n, width]` in row-major order.
    pub features: &'a [f32],
    /// `[n]`
    pub labels: &'a [u32],
}

/// The log of zero in the reverse cross-entropy (Wang et al. 2019, section 3.1).
pub(super) const LOG_ZERO: f64 = -4.0;

/// Images that are summed by one thread.
const CHUNK: usize = 64;

impl LastLayer {
    /// From `weight` `[classes, width]` and `bias` `[classes]`.
    pub fn new(weight: &[f32], bias: &[f32]) -> Self {
        let classes = bias.len().max(1);
        let width = weight.len() / classes;
        let rows = weight.chunks_exact(width.max(1)).zip(bias);
        Self {
            classes,
            width,
            weight: rows
                .flat_map(|(row, bias)| row.iter().chain([bias]).map(|v| f64::from(*v)))
                .collect(),
        }
    }

    /// Values of an image's features.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Probabilities of all classes for an image.
    pub fn probabilities(&self, features: &[f32]) -> Vec<f64> {
        let mut logits = self.products(&self.weight, features);
        let peak = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        logits.iter_mut().for_each(|l| *l = (*l - peak).exp());
        let sum: f64 = logits.iter().sum();
        logits.iter_mut().for_each(|l| *l /= sum);
        logits
    }

    /// The gradient of the mean reverse cross-entropy `-log(0) (1 - p_y)` over held-out images by the weights.
    pub fn reverse_gradient(&self, held_out: Labelled<'_>) -> Vec<f64> {
        self.mean(held_out, |p, label| {
            let own = p[label];
            let change = |(class, p): (usize, &f64)| {
                LOG_ZERO * own * (f64::from(u8::from(class == label)) - p)
            };
            p.iter().enumerate().map(change).collect()
        })
    }

    /// The product of a vector and the Hessian of the mean cross-entropy over `images`, plus `damping` times the vector.
    pub fn hessian_product(&self, images: Labelled<'_>, damping: f64, vector: &[f64]) -> Vec<f64> {
        let mut product = self.mean_with(images, |features, p, _| {
            let along = self.products(vector, features);
            let mean: f64 = along.iter().zip(p).map(|(a, p)| a * p).sum();
            along.iter().zip(p).map(|(a, p)| p * (a - mean)).collect()
        });
        for (product, value) in product.iter_mut().zip(vector) {
            *product += damping * value;
        }
        product
    }

    /// The influence of an image: `-grad CE(image) . solution`. Below 0 it lowers the loss whose gradient was solved for.
    pub fn influence(&self, features: &[f32], label: u32, solution: &[f64]) -> f64 {
        let p = self.probabilities(features);
        let along = self.products(solution, features);
        let change = |(class, (p, along)): (usize, (&f64, f64))| {
            (p - f64::from(u8::from(class == label as usize))) * along
        };
        -p.iter().zip(along).enumerate().map(change).sum::<f64>()
    }

    /// `[classes]`: every row of `weights` times the features and a one.
    pub(super) fn products(&self, weights: &[f64], features: &[f32]) -> Vec<f64> {
        let rows = weights.chunks_exact(self.width + 1);
        let product = |row: &[f64]| {
            let terms = row.iter().zip(features).map(|(w, f)| w * f64::from(*f));
            terms.sum::<f64>() + row[self.width]
        };
        rows.map(product).collect()
    }

    pub(super) fn mean(
        &self,
        images: Labelled<'_>,
        of: impl Fn(&[f64], usize) -> Vec<f64> + Sync,
    ) -> Vec<f64> {
        self.mean_with(images, |_, p, label| of(p, label))
    }

    /// The mean over images of the outer product of what `of` says for every class and the features with a one.
    fn mean_with(
        &self,
        images: Labelled<'_>,
        of: impl Fn(&[f32], &[f64], usize) -> Vec<f64> + Sync,
    ) -> Vec<f64> {
        let width = self.width;
        let rows = images.features.par_chunks(CHUNK * width.max(1));
        let labels = images.labels.par_chunks(CHUNK);
        // Summed chunk by chunk, so that the number of threads changes no bit.
        let parts: Vec<Vec<f64>> = rows
            .zip(labels)
            .map(|(rows, labels)| {
                let mut sums = vec![0.0; self.weight.len()];
                for (features, label) in rows.chunks_exact(width).zip(labels) {
                    let p = self.probabilities(features);
                    let by_class = of(features, &p, *label as usize);
                    for (sums, factor) in sums.chunks_exact_mut(width + 1).zip(by_class) {
                        for (sum, value) in sums.iter_mut().zip(features) {
                            *sum += factor * f64::from(*value);
                        }
                        sums[width] += factor;
                    }
                }
                sums
            })
            .collect();
        let n = images.labels.len().max(1) as f64;
        let mut mean = vec![0.0; self.weight.len()];
        for part in parts {
            for (mean, value) in mean.iter_mut().zip(part) {
                *mean += value / n;
            }
        }
        mean
    }
}
