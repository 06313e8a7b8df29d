//! What training on one image more does to the loss on held-out images: influence functions (Koh and Liang 2017, equation 2) of the
//! last linear map of a network, whose Hessian under cross-entropy is closed-form.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Which end of the influences is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sign {
    /// The smallest: images that lower the loss on held-out images (Koh and Liang's sign). This is the default.
    #[default]
    Helpful,
    /// The largest, as FuseGen's text says: with Koh and Liang's sign those raise the loss, wrong labels among them.
    Largest,
}

impl Sign {
    /// A score of which the lowest is kept.
    pub fn score(self, influence: f32) -> f64 {
        match self {
            Self::Helpful => f64::from(influence),
            Self::Largest => -f64::from(influence),
        }
    }
}

/// The last linear map of a classifier: logits of an image's features.
#[derive(Clone, Debug, PartialEq)]
pub struct LastLayer {
    classes: usize,
    width: usize,
    /// `[classes, width + 1]`, the bias last.
    weight: Vec<f64>,
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
const LOG_ZERO: f64 = -4.0;

/// Most steps of a fit, and of the conjugate gradients inside each.
const NEWTON_STEPS: usize = 12;
const NEWTON_INNER_STEPS: usize = 30;

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

    /// Logistic regression: the weights with the least mean cross-entropy over `images` plus `decay / 2` times their squared length, by
    /// Newton's method from zero with steps by conjugate gradients.
    pub fn fit(images: Labelled<'_>, width: usize, classes: usize, decay: f64) -> Self {
        let mut layer = Self {
            classes,
            width,
            weight: vec![0.0; classes * (width + 1)],
        };
        for _ in 0..NEWTON_STEPS {
            let mut gradient = layer.mean(images, |p, label| {
                let of_class = |(class, p): (usize, &f64)| p - f64::from(u8::from(class == label));
                p.iter().enumerate().map(of_class).collect()
            });
            for (gradient, weight) in gradient.iter_mut().zip(&layer.weight) {
                *gradient += decay * weight;
            }
            let step = layer.solve(images, decay, &gradient, NEWTON_INNER_STEPS);
            let before = layer.objective(images, decay);
            let at = layer.weight.clone();
            let mut length = 1.0;
            // Far from the minimum a whole step may go beyond it.
            while length > 1e-3 {
                for ((weight, at), step) in layer.weight.iter_mut().zip(&at).zip(&step) {
                    *weight = at - length * step;
                }
                if layer.objective(images, decay) <= before {
                    break;
                }
                length /= 2.0;
            }
            if dot(&step, &step).sqrt() * length < 1e-4 * (1.0 + dot(&at, &at).sqrt()) {
                break;
            }
        }
        layer
    }

    fn objective(&self, images: Labelled<'_>, decay: f64) -> f64 {
        let rows = images.features.chunks_exact(self.width.max(1));
        let losses = rows.zip(images.labels).map(|(row, label)| {
            let p = self.probabilities(row);
            -p.get(*label as usize)
                .copied()
                .unwrap_or(0.0)
                .max(1e-300)
                .ln()
        });
        let n = images.labels.len().max(1) as f64;
        losses.sum::<f64>() / n + decay / 2.0 * dot(&self.weight, &self.weight)
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

    /// Solves `(H + damping) s = gradient` by conjugate gradients to a relative residual of 1e-8, or `steps` steps.
    pub fn solve(
        &self,
        images: Labelled<'_>,
        damping: f64,
        gradient: &[f64],
        steps: usize,
    ) -> Vec<f64> {
        let mut solution = vec![0.0; gradient.len()];
        let mut residual = gradient.to_vec();
        let mut direction = residual.clone();
        let mut square = dot(&residual, &residual);
        let enough = square * 1e-16;
        for _ in 0..steps {
            if square <= enough {
                break;
            }
            let along = self.hessian_product(images, damping, &direction);
            let step = square / dot(&direction, &along);
            for i in 0..solution.len() {
                solution[i] += step * direction[i];
                residual[i] -= step * along[i];
            }
            let next = dot(&residual, &residual);
            for (direction, residual) in direction.iter_mut().zip(&residual) {
                *direction = residual + next / square * *direction;
            }
            square = next;
        }
        solution
    }

    /// The same by LiSSA (Agarwal et al. 2017), as FuseGen computes it: `s <- v + s - (H_i + damping) s / scale` over single images in
    /// order, and `s / scale` at the end. It converges where `scale` exceeds the largest eigenvalue and the steps are many times it.
    pub fn lissa(&self, images: Labelled<'_>, lissa: Lissa, gradient: &[f64]) -> Vec<f64> {
        let n = images.labels.len().max(1);
        let mut solution = gradient.to_vec();
        for step in 0..lissa.samples {
            let i = step % n;
            let one = Labelled {
                features: &images.features[i * self.width..(i + 1) * self.width],
                labels: &images.labels[i..=i],
            };
            let product = self.hessian_product(one, lissa.damping, &solution);
            for ((s, v), h) in solution.iter_mut().zip(gradient).zip(product) {
                *s += v - h / lissa.scale;
            }
        }
        solution.iter_mut().for_each(|s| *s /= lissa.scale);
        solution
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
    fn products(&self, weights: &[f64], features: &[f32]) -> Vec<f64> {
        let rows = weights.chunks_exact(self.width + 1);
        let product = |row: &[f64]| {
            let terms = row.iter().zip(features).map(|(w, f)| w * f64::from(*f));
            terms.sum::<f64>() + row[self.width]
        };
        rows.map(product).collect()
    }

    fn mean(
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

/// How LiSSA runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lissa {
    /// Added to the Hessian's diagonal. FuseGen: 5e-3.
    pub damping: f64,
    /// What the Hessian is divided by. FuseGen: 1e4.
    pub scale: f64,
    /// Steps, one image each. FuseGen: 100.
    pub samples: usize,
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};
    use serde::Deserialize;

    use super::*;
    use crate::fuse::golden::golden;

    #[derive(Deserialize)]
    struct Case {
        weight: Vec<Vec<f32>>,
        bias: Vec<f32>,
        features: Vec<Vec<f32>>,
        labels: Vec<u32>,
        held_out_features: Vec<Vec<f32>>,
        held_out_labels: Vec<u32>,
        damping: f64,
        gradient: Vec<f64>,
        solution: Vec<f64>,
        influence: Vec<f64>,
        lissa_scale: f64,
        lissa_samples: usize,
        lissa: Vec<f64>,
    }

    fn close(a: &[f64], b: &[f64], tolerance: f64) {
        assert_eq!(a.len(), b.len());
        let size = b.iter().map(|v| v.abs()).fold(0.0, f64::max);
        for (a, b) in a.iter().zip(b) {
            assert!((a - b).abs() <= tolerance * size, "{a} {b} of {size}");
        }
    }

    #[test]
    fn gradient_solution_and_influence_agree_with_numpy() {
        let case: Case = golden("influence");
        let layer = LastLayer::new(&case.weight.concat(), &case.bias);
        let (features, held_out) = (case.features.concat(), case.held_out_features.concat());
        let images = Labelled {
            features: &features,
            labels: &case.labels,
        };
        let gradient = layer.reverse_gradient(Labelled {
            features: &held_out,
            labels: &case.held_out_labels,
        });
        close(&gradient, &case.gradient, 1e-9);
        let solution = layer.solve(images, case.damping, &gradient, 500);
        close(&solution, &case.solution, 1e-6);
        let influence: Vec<f64> = case
            .features
            .iter()
            .zip(&case.labels)
            .map(|(row, label)| layer.influence(row, *label, &solution))
            .collect();
        close(&influence, &case.influence, 1e-6);
        let lissa = Lissa {
            damping: case.damping,
            scale: case.lissa_scale,
            samples: case.lissa_samples,
        };
        close(&layer.lissa(images, lissa, &gradient), &case.lissa, 1e-9);
    }

    /// Points of three clouds, a fifth of the first hundred under wrong labels; and clean ones to hold out.
    struct Clouds {
        features: Vec<f32>,
        labels: Vec<u32>,
        wrong: Vec<bool>,
    }

    const WIDTH: usize = 6;

    fn clouds(n: usize, wrong_share: f64, seed: u64) -> Clouds {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut clouds = Clouds {
            features: Vec::new(),
            labels: Vec::new(),
            wrong: Vec::new(),
        };
        for i in 0..n {
            let class = (i % 3) as u32;
            for d in 0..WIDTH {
                let noise: f32 = StandardNormal.sample(&mut rng);
                clouds
                    .features
                    .push(noise + if d == class as usize { 2.5 } else { 0.0 });
            }
            let wrong = rng.random_bool(wrong_share);
            clouds
                .labels
                .push(if wrong { (class + 1) % 3 } else { class });
            clouds.wrong.push(wrong);
        }
        clouds
    }

    impl Clouds {
        fn labelled(&self) -> Labelled<'_> {
            Labelled {
                features: &self.features,
                labels: &self.labels,
            }
        }
    }

    /// The share of the `n` images first in `order` that have a wrong label.
    fn wrong_among(order: &[usize], wrong: &[bool], n: usize) -> f64 {
        order[..n].iter().filter(|i| wrong[**i]).count() as f64 / n as f64
    }

    #[test]
    fn a_fit_leaves_no_gradient() {
        let training = clouds(200, 0.1, 9);
        let layer = LastLayer::fit(training.labelled(), WIDTH, 3, 1e-3);
        let mut gradient = layer.mean(training.labelled(), |p, label| {
            (0..3)
                .map(|c| p[c] - f64::from(u8::from(c == label)))
                .collect()
        });
        for (gradient, weight) in gradient.iter_mut().zip(&layer.weight) {
            *gradient += 1e-3 * weight;
        }
        let length = dot(&gradient, &gradient).sqrt();
        assert!(length < 1e-5, "{length}");
    }

    #[test]
    fn wrong_labels_have_the_largest_influence_and_the_helpful_sign_leaves_them_out() {
        let training = clouds(300, 0.15, 1);
        let held_out = clouds(150, 0.0, 2);
        let layer = LastLayer::fit(training.labelled(), WIDTH, 3, 1e-3);
        let gradient = layer.reverse_gradient(held_out.labelled());
        let solution = layer.solve(training.labelled(), 5e-3, &gradient, 200);
        let influence: Vec<f32> = (0..300)
            .map(|i| {
                let row = &training.features[i * WIDTH..(i + 1) * WIDTH];
                layer.influence(row, training.labels[i], &solution) as f32
            })
            .collect();
        let order = |sign: Sign| {
            let mut order: Vec<usize> = (0..300).collect();
            order.sort_by(|a, b| {
                sign.score(influence[*a])
                    .total_cmp(&sign.score(influence[*b]))
            });
            order
        };
        let flipped = training.wrong.iter().filter(|w| **w).count();
        let largest = wrong_among(&order(Sign::Largest), &training.wrong, flipped);
        let helpful = wrong_among(&order(Sign::Helpful), &training.wrong, 150);
        assert!(
            largest > 0.75,
            "{largest} of the {flipped} largest are wrong"
        );
        assert!(
            helpful < 0.02,
            "{helpful} of the 150 most helpful are wrong"
        );
    }

    #[test]
    fn lissa_converges_to_the_closed_form() {
        let training = clouds(60, 0.1, 3);
        let held_out = clouds(60, 0.0, 4);
        let layer = LastLayer::fit(training.labelled(), WIDTH, 3, 1e-3);
        let gradient = layer.reverse_gradient(held_out.labelled());
        let exact = layer.solve(training.labelled(), 0.05, &gradient, 500);
        let lissa = Lissa {
            damping: 0.05,
            scale: 200.0,
            samples: 60_000,
        };
        close(
            &layer.lissa(training.labelled(), lissa, &gradient),
            &exact,
            0.05,
        );
    }

    /// A network with one hidden layer of three tanh units, small enough for its whole Hessian.
    struct Tiny {
        parameters: Vec<f64>,
    }

    const HIDDEN: usize = 3;
    const FIRST: usize = HIDDEN * (WIDTH + 1);

    impl Tiny {
        fn hidden(&self, row: &[f32]) -> Vec<f32> {
            let unit = |h: usize| {
                let w = &self.parameters[h * (WIDTH + 1)..(h + 1) * (WIDTH + 1)];
                let sum: f64 = w.iter().zip(row).map(|(w, v)| w * f64::from(*v)).sum();
                (sum + w[WIDTH]).tanh() as f32
            };
            (0..HIDDEN).map(unit).collect()
        }

        fn head(&self) -> LastLayer {
            LastLayer {
                classes: 3,
                width: HIDDEN,
                weight: self.parameters[FIRST..].to_vec(),
            }
        }

        /// The gradient of `factors(p)` pulled back through the whole network, for one image.
        fn gradient(&self, row: &[f32], factors: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
            let hidden = self.hidden(row);
            let head = self.head();
            let of_logits = factors(&head.probabilities(&hidden));
            let mut gradient = vec![0.0; self.parameters.len()];
            for (c, g) in of_logits.iter().enumerate() {
                let at = FIRST + c * (HIDDEN + 1);
                for h in 0..HIDDEN {
                    gradient[at + h] = g * f64::from(hidden[h]);
                    let slope = 1.0 - f64::from(hidden[h]).powi(2);
                    let back = g * self.parameters[at + h] * slope;
                    for (d, value) in row.iter().enumerate() {
                        gradient[h * (WIDTH + 1) + d] += back * f64::from(*value);
                    }
                    gradient[h * (WIDTH + 1) + WIDTH] += back;
                }
                gradient[at + HIDDEN] = *g;
            }
            gradient
        }

        fn cross_entropy(&self, row: &[f32], label: u32) -> Vec<f64> {
            self.gradient(row, |p| {
                let target = |c: usize| f64::from(u8::from(c == label as usize));
                (0..3).map(|c| p[c] - target(c)).collect()
            })
        }

        fn mean_gradient(&self, images: &Clouds) -> Vec<f64> {
            let mut mean = vec![0.0; self.parameters.len()];
            for (row, label) in images.features.chunks(WIDTH).zip(&images.labels) {
                for (m, g) in mean.iter_mut().zip(self.cross_entropy(row, *label)) {
                    *m += g / images.labels.len() as f64;
                }
            }
            mean
        }
    }

    /// Gauss's elimination with pivots.
    fn eliminate(mut matrix: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
        let n = right.len();
        for i in 0..n {
            let pivot = (i..n).max_by(|a, b| matrix[*a][i].abs().total_cmp(&matrix[*b][i].abs()));
            matrix.swap(i, pivot.unwrap());
            right.swap(i, pivot.unwrap());
            let (above, below) = matrix.split_at_mut(i + 1);
            let pivot = &above[i];
            for (row, line) in below.iter_mut().enumerate() {
                let factor = line[i] / pivot[i];
                for (value, above) in line[i..].iter_mut().zip(&pivot[i..]) {
                    *value -= factor * above;
                }
                right[i + 1 + row] -= factor * right[i];
            }
        }
        for i in (0..n).rev() {
            let known: f64 = (i + 1..n).map(|c| matrix[i][c] * right[c]).sum();
            right[i] = (right[i] - known) / matrix[i][i];
        }
        right
    }

    /// Spearman's correlation.
    fn rank_correlation(a: &[f64], b: &[f64]) -> f64 {
        let ranks = |values: &[f64]| {
            let mut order: Vec<usize> = (0..values.len()).collect();
            order.sort_by(|x, y| values[*x].total_cmp(&values[*y]));
            let mut ranks = vec![0.0; values.len()];
            for (rank, i) in order.into_iter().enumerate() {
                ranks[i] = rank as f64 - (values.len() - 1) as f64 / 2.0;
            }
            ranks
        };
        let (a, b) = (ranks(a), ranks(b));
        dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()
    }

    #[test]
    fn the_last_layer_ranks_images_as_the_whole_network_does() {
        let training = clouds(90, 0.15, 5);
        let held_out = clouds(90, 0.0, 6);
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut tiny = Tiny {
            parameters: (0..FIRST + 3 * (HIDDEN + 1))
                .map(|_| rng.random_range(-0.5..0.5))
                .collect(),
        };
        for _ in 0..600 {
            let gradient = tiny.mean_gradient(&training);
            for (p, g) in tiny.parameters.iter_mut().zip(gradient) {
                *p -= 0.5 * (g + 1e-3 * *p);
            }
        }
        const DAMPING: f64 = 0.02;
        // The whole Hessian by differences of the gradient.
        let n = tiny.parameters.len();
        let mut hessian = vec![vec![0.0; n]; n];
        for i in 0..n {
            let mut at = |shift: f64| {
                tiny.parameters[i] += shift;
                let gradient = tiny.mean_gradient(&training);
                tiny.parameters[i] -= shift;
                gradient
            };
            let (up, down) = (at(1e-3), at(-1e-3));
            for (line, (up, down)) in hessian.iter_mut().zip(up.iter().zip(&down)) {
                line[i] = (up - down) / 2e-3;
            }
            hessian[i][i] += DAMPING;
        }
        let mut held_gradient = vec![0.0; n];
        for (row, label) in held_out.features.chunks(WIDTH).zip(&held_out.labels) {
            let label = *label as usize;
            let one = tiny.gradient(row, |p| {
                let target = |c: usize| f64::from(u8::from(c == label));
                (0..3)
                    .map(|c| LOG_ZERO * p[label] * (target(c) - p[c]))
                    .collect()
            });
            held_gradient
                .iter_mut()
                .zip(one)
                .for_each(|(m, g)| *m += g / 90.0);
        }
        let solution = eliminate(hessian, held_gradient);
        let whole: Vec<f64> = training
            .features
            .chunks(WIDTH)
            .zip(&training.labels)
            .map(|(row, label)| -dot(&tiny.cross_entropy(row, *label), &solution))
            .collect();

        let head = tiny.head();
        let hidden = |clouds: &Clouds| -> Vec<f32> {
            clouds
                .features
                .chunks(WIDTH)
                .flat_map(|row| tiny.hidden(row))
                .collect()
        };
        let (features, held) = (hidden(&training), hidden(&held_out));
        let images = Labelled {
            features: &features,
            labels: &training.labels,
        };
        let gradient = head.reverse_gradient(Labelled {
            features: &held,
            labels: &held_out.labels,
        });
        let solution = head.solve(images, DAMPING, &gradient, 500);
        let last: Vec<f64> = features
            .chunks(HIDDEN)
            .zip(&training.labels)
            .map(|(row, label)| head.influence(row, *label, &solution))
            .collect();
        let agreement = rank_correlation(&whole, &last);
        assert!(agreement > 0.8, "{agreement}");
    }
}
