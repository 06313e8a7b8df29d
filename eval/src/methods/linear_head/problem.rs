//! What the training of a linear head makes small.

use super::{LinearHead, softmax};
use crate::quality::FeatureSet;
use crate::{Result, seeds};
use candle_core::{Device, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Steps of the power iteration, and what its estimate, which comes from below, is multiplied by.
const POWER_STEPS: usize = 30;
const MARGIN: f64 = 1.1;

/// What is made small, by the weights `[width, classes]` and after them the biases `[classes]` of features around their mean: so these turn
/// apart from the weights, which makes the descent short and changes nothing about the minimum.
pub(super) struct Problem<'a> {
    /// `[n, width]`
    rows: Tensor,
    mean: Vec<f64>,
    labels: &'a [u32],
    classes: usize,
    decay: f64,
}

/// The objective's slope somewhere.
pub(super) struct Slope {
    /// As the weights and the biases lie.
    pub(super) values: Vec<f64>,
    /// The mean cross-entropy there.
    pub(super) loss: f64,
    /// The share of features that are named rightly there.
    pub(super) accuracy: f64,
}

impl<'a> Problem<'a> {
    pub(super) fn new(
        features: &FeatureSet,
        labels: &'a [u32],
        classes: usize,
        decay: f64,
    ) -> Result<Self> {
        let (n, width) = (features.len(), features.width());
        let mut mean = vec![0.0; width];
        for row in features.values().chunks_exact(width) {
            for (mean, value) in mean.iter_mut().zip(row) {
                *mean += f64::from(*value) / n as f64;
            }
        }
        let rows = features.values().chunks_exact(width);
        let centred = rows.flat_map(|row| row.iter().zip(&mean));
        let centred: Vec<f32> = centred.map(|(v, m)| (f64::from(*v) - m) as f32).collect();
        Ok(Self {
            rows: Tensor::from_vec(centred, (n, width), &Device::Cpu)?,
            mean,
            labels,
            classes,
            decay,
        })
    }

    /// A bound on the largest eigenvalue of the objective's Hessian: half that of the features' covariance, or half of 1 for the biases (Böhning
    /// 1992, "Multinomial Logistic Regression Algorithm"), and the decay.
    pub(super) fn steepness(&self) -> Result<f64> {
        let (n, width) = self.rows.dims2()?;
        // Drawn, the same each time: one that is told apart from the data can be orthogonal to all features.
        let mut rng = ChaCha8Rng::seed_from_u64(seeds::derive(0, "power iteration"));
        let mut direction: Vec<f64> = (0..width).map(|_| rng.random_range(-1.0..1.0)).collect();
        let length = direction.iter().map(|v| v * v).sum::<f64>().sqrt();
        direction.iter_mut().for_each(|v| *v /= length);
        let mut largest = 0f64;
        for _ in 0..POWER_STEPS {
            let narrow = direction.iter().map(|v| *v as f32).collect();
            let column = Tensor::from_vec::<_, f32>(narrow, (width, 1), &Device::Cpu)?;
            let product = self.rows.t()?.matmul(&self.rows.matmul(&column)?)?;
            let product = product.flatten_all()?.to_vec1::<f32>()?;
            direction = product.iter().map(|v| f64::from(*v) / n as f64).collect();
            largest = direction.iter().map(|v| v * v).sum::<f64>().sqrt();
            if largest == 0.0 {
                break;
            }
            direction.iter_mut().for_each(|v| *v /= largest);
        }
        Ok(0.5 * (MARGIN * largest).max(1.0) + self.decay)
    }

    pub(super) fn slope(&self, at: &[f64]) -> Result<Slope> {
        let (n, width) = self.rows.dims2()?;
        let (weights, biases) = at.split_at(width * self.classes);
        let narrow = weights.iter().map(|v| *v as f32).collect();
        let map = Tensor::from_vec::<_, f32>(narrow, (width, self.classes), &Device::Cpu)?;
        let products = self.rows.matmul(&map)?.flatten_all()?.to_vec1::<f32>()?;
        let mut errors = Vec::with_capacity(products.len());
        let mut of_biases = vec![0.0; self.classes];
        let (mut loss, mut right) = (0.0, 0usize);
        let mut row = vec![0.0; self.classes];
        for (products, label) in products.chunks_exact(self.classes).zip(self.labels) {
            let label = *label as usize;
            for ((value, product), bias) in row.iter_mut().zip(products).zip(biases) {
                *value = f64::from(*product) + bias;
            }
            softmax(&mut row);
            loss -= row[label].max(f64::MIN_POSITIVE).ln();
            // The first of equals is named, as everywhere.
            let named = row.iter().position(|p| row.iter().all(|q| q <= p));
            right += usize::from(named == Some(label));
            row[label] -= 1.0;
            for (sum, error) in of_biases.iter_mut().zip(&row) {
                *sum += error / n as f64;
            }
            errors.extend(row.iter().map(|error| (error / n as f64) as f32));
        }
        let errors = Tensor::from_vec(errors, (n, self.classes), &Device::Cpu)?;
        let of_weights = self.rows.t()?.matmul(&errors)?.flatten_all()?;
        let of_weights = of_weights.to_vec1::<f32>()?.into_iter().zip(weights);
        let mut values: Vec<f64> = of_weights
            .map(|(slope, weight)| f64::from(slope) + self.decay * weight)
            .collect();
        values.extend(of_biases);
        Ok(Slope {
            values,
            loss: loss / n as f64,
            accuracy: right as f64 / n as f64,
        })
    }

    /// The head of features as they are, not around their mean.
    pub(super) fn head(&self, at: &[f64]) -> LinearHead {
        let (weights, biases) = at.split_at(self.mean.len() * self.classes);
        let of_class = |class: usize| weights.iter().skip(class).step_by(self.classes);
        let bias = biases.iter().enumerate().map(|(class, bias)| {
            let moved: f64 = of_class(class).zip(&self.mean).map(|(w, m)| w * m).sum();
            (bias - moved) as f32
        });
        LinearHead {
            bias: bias.collect(),
            weight: (0..self.classes)
                .flat_map(|class| of_class(class).map(|w| *w as f32))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_those_of_the_objective() {
        let rows = [0.3, 1.0, -0.5, 0.8, 0.0, 1.5, 2.0, -1.0];
        let set = FeatureSet::new(2, rows.to_vec()).unwrap();
        let labels = [0, 2, 1, 0];
        let problem = Problem::new(&set, &labels, 3, 0.1).unwrap();
        let at = [0.2, -0.1, 0.4, 0.0, 0.3, -0.5, 0.1, 0.0, -0.2];
        let objective = |at: &[f64]| {
            let squares: f64 = at[..6].iter().map(|w| w * w).sum();
            problem.slope(at).unwrap().loss + 0.05 * squares
        };
        let found = problem.slope(&at).unwrap().values;
        for (place, slope) in found.iter().enumerate() {
            let moved = |by: f64| {
                let mut moved = at;
                moved[place] += by;
                objective(&moved)
            };
            let difference = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            assert!(
                (difference - slope).abs() < 1e-4,
                "{difference} and not {slope}"
            );
        }
    }

    #[test]
    fn a_step_is_short_enough_whatever_way_features_vary() {
        // They vary across the direction of ones alone: their covariance has the eigenvalues 200 and 0.
        let set = FeatureSet::new(2, vec![10.0, -10.0, -10.0, 10.0]).unwrap();
        let problem = Problem::new(&set, &[0, 1], 2, 0.1).unwrap();
        let found = problem.steepness().unwrap();
        assert!((100.0..=111.0).contains(&found), "{found}");
        assert_eq!(found, problem.steepness().unwrap());
    }
}
