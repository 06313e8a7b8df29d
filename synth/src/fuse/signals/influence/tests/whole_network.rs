//! The last layer's influence beside that of all weights of a small network.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::last_layer::LOG_ZERO;
use super::super::solve::dot;
use super::super::{Labelled, LastLayer};
use super::{Clouds, WIDTH, clouds};

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
