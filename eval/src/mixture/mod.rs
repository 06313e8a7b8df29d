//! Gaussian mixtures with diagonal covariances: fitted to sets of features, and drawn from.

mod em;
mod start;

use crate::quality::FeatureSet;
use rand::Rng;
use rand_distr::StandardNormal;

/// Images that a component has on average, or more: the variance of a single one says nothing.
const IMAGES_OF_A_COMPONENT: usize = 2;

/// A mixture of Gaussians whose features are independent inside each.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixture {
    /// The components, none for a set without images. Their weights add up to 1, up to rounding.
    pub components: Vec<Component>,
}

/// One Gaussian of a mixture.
#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    /// Its share of the mixture, in 0..=1.
    pub weight: f64,
    /// `[width]`
    pub means: Vec<f64>,
    /// `[width]`, above 0.
    pub variances: Vec<f64>,
}

impl Mixture {
    /// Fits a mixture of at most `components` Gaussians by expectation maximisation, begun with k-means. There are fewer where there are less
    /// than two images for each, or where one comes to have none.
    pub fn fit(set: &FeatureSet, components: usize, seed: u64) -> Self {
        let count = components.min(set.len() / IMAGES_OF_A_COMPONENT).max(1);
        let nearest = start::clusters(set, count, seed);
        let mut responsibilities = vec![0.0; set.len() * count];
        for (row, cluster) in responsibilities.chunks_exact_mut(count).zip(nearest) {
            row[cluster] = 1.0;
        }
        em::Ending::DEFAULT.run(set, em::maximise(set, &responsibilities))
    }

    /// `count` draws, `[count, width]` in row-major order: a component by its weight, then each feature by itself.
    pub fn draw(&self, count: usize, rng: &mut impl Rng) -> Vec<f32> {
        let weights: Vec<f64> = self.components.iter().map(|c| c.weight).collect();
        let mut rows = Vec::new();
        for _ in 0..count {
            let Some(component) = pick(&weights, rng).map(|place| &self.components[place]) else {
                break;
            };
            let features = component.means.iter().zip(&component.variances);
            rows.extend(features.map(|(mean, variance)| {
                let noise: f64 = rng.sample(StandardNormal);
                (mean + variance.sqrt() * noise) as f32
            }));
        }
        rows
    }
}

/// A place drawn in proportion to `weights`, which are 0 or above; `None` where none is above 0.
fn pick(weights: &[f64], rng: &mut impl Rng) -> Option<usize> {
    let mut left = rng.random::<f64>() * weights.iter().sum::<f64>();
    let mut picked = None;
    for (place, weight) in weights
        .iter()
        .enumerate()
        .filter(|(_, weight)| **weight > 0.0)
    {
        picked = Some(place);
        if left < *weight {
            break;
        }
        left -= weight;
    }
    picked
}

/// Features whose squares are summed side by side, so that the sum needs no order of its own.
const LANES: usize = 8;

/// `Σ_j (x_j - m_j)² p_j`: the squared distance of a row from `means`, each feature by its precision.
fn squared_distance(row: &[f32], means: &[f64], precisions: &[f64]) -> f64 {
    let term = |x: &f32, mean: &f64, precision: &f64| {
        let apart = f64::from(*x) - mean;
        apart * apart * precision
    };
    let (rows, row) = row.as_chunks::<LANES>();
    let (all_means, means) = means.as_chunks::<LANES>();
    let (all_precisions, precisions) = precisions.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for ((x, m), p) in rows.iter().zip(all_means).zip(all_precisions) {
        for (((sum, x), m), p) in sums.iter_mut().zip(x).zip(m).zip(p) {
            *sum += term(x, m, p);
        }
    }
    let rest = row.iter().zip(means).zip(precisions);
    let rest: f64 = rest.map(|((x, m), p)| term(x, m, p)).sum();
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn two() -> Mixture {
        let component = |weight, means: [f64; 2], variances: [f64; 2]| Component {
            weight,
            means: means.into(),
            variances: variances.into(),
        };
        Mixture {
            components: vec![
                component(0.25, [-4.0, 1.0], [0.5, 2.0]),
                component(0.75, [3.0, 1.0], [1.0, 0.1]),
            ],
        }
    }

    fn moments(rows: &[f32], feature: usize) -> (f64, f64) {
        let values: Vec<f64> = rows
            .chunks_exact(2)
            .map(|row| f64::from(row[feature]))
            .collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares = values.iter().map(|v| (v - mean).powi(2));
        (mean, squares.sum::<f64>() / n)
    }

    /// Within five standard errors of the mixture's mean and variance.
    #[test]
    fn draws_have_the_mixture_s_mean_and_variance() {
        const DRAWS: usize = 40_000;
        let mixture = two();
        let rows = mixture.draw(DRAWS, &mut ChaCha8Rng::seed_from_u64(3));
        assert_eq!(rows.len(), 2 * DRAWS);
        for feature in 0..2 {
            let of = |value: &dyn Fn(&Component) -> f64| -> f64 {
                mixture.components.iter().map(|c| c.weight * value(c)).sum()
            };
            let mean = of(&|c| c.means[feature]);
            let variance = of(&|c| c.variances[feature] + (c.means[feature] - mean).powi(2));
            // Of a Gaussian: 3 v² + 6 v d² + d⁴.
            let fourth = of(&|c| {
                let (v, d) = (c.variances[feature], c.means[feature] - mean);
                3.0 * v * v + 6.0 * v * d * d + d.powi(4)
            });
            let (found_mean, found_variance) = moments(&rows, feature);
            let n = DRAWS as f64;
            let error = (variance / n).sqrt();
            assert!(
                (found_mean - mean).abs() < 5.0 * error,
                "{found_mean} {mean}"
            );
            let error = ((fourth - variance * variance) / n).sqrt();
            assert!(
                (found_variance - variance).abs() < 5.0 * error,
                "{found_variance} {variance}"
            );
        }
    }

    #[test]
    fn a_fit_finds_what_was_drawn() {
        let rows = two().draw(4000, &mut ChaCha8Rng::seed_from_u64(8));
        let set = FeatureSet::new(2, rows).unwrap();
        let mut found = Mixture::fit(&set, 2, 1).components;
        found.sort_by(|a, b| a.means[0].total_cmp(&b.means[0]));
        for (found, drawn) in found.iter().zip(&two().components) {
            assert!((found.weight - drawn.weight).abs() < 0.03, "{found:?}");
            for (a, b) in found.means.iter().zip(&drawn.means) {
                assert!((a - b).abs() < 0.2, "{found:?}");
            }
            for (a, b) in found.variances.iter().zip(&drawn.variances) {
                assert!((a / b - 1.0).abs() < 0.2, "{found:?}");
            }
        }
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn few_images_have_few_components() {
        let set = |rows: &[f32]| FeatureSet::new(2, rows.to_vec()).unwrap();
        let one = Mixture::fit(&set(&[1.0, -2.0]), 10, 0);
        assert_eq!(one.components.len(), 1);
        assert_eq!(one.components[0].means, [1.0, -2.0]);
        assert_eq!(one.components[0].weight, 1.0);
        assert!(
            one.components[0]
                .variances
                .iter()
                .all(|v| *v > 0.0 && *v < 1e-5)
        );
        assert_eq!(
            Mixture::fit(&set(&[0.0, 0.0, 1.0, 0.0, 2.0, 0.0]), 10, 0)
                .components
                .len(),
            1
        );
        let apart = set(&[0.0, 0.0, 0.1, 0.0, 9.0, 0.0, 9.1, 0.0]);
        assert_eq!(Mixture::fit(&apart, 10, 0).components.len(), 2);
        // The same image over and over is one component, whatever was asked for.
        let alike = Mixture::fit(&set(&[0.5; 40]), 10, 0);
        assert_eq!(alike.components.len(), 1);
        assert_eq!(alike.components[0].means, [0.5, 0.5]);
    }

    #[test]
    fn the_same_seed_fits_and_draws_the_same() {
        let rows = two().draw(200, &mut ChaCha8Rng::seed_from_u64(1));
        let set = FeatureSet::new(2, rows).unwrap();
        assert_eq!(Mixture::fit(&set, 4, 9), Mixture::fit(&set, 4, 9));
        let draw = |seed| two().draw(5, &mut ChaCha8Rng::seed_from_u64(seed));
        assert_eq!(draw(2), draw(2));
        assert_ne!(draw(2), draw(3));
        let none = Mixture {
            components: Vec::new(),
        };
        assert!(none.draw(5, &mut ChaCha8Rng::seed_from_u64(0)).is_empty());
    }

    #[test]
    fn only_what_has_weight_is_picked() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        for _ in 0..200 {
            assert!(matches!(
                pick(&[0.0, 0.3, 0.0, 0.7, 0.0], &mut rng),
                Some(1 | 3)
            ));
        }
        assert_eq!(pick(&[0.0, 0.0], &mut rng), None);
        assert_eq!(pick(&[], &mut rng), None);
    }
}
