//! Self-boosting weight adjustment: samples that a model trained on all of them gets wrong lose weight (FuseGen, Zou et al. 2024,
//! section 3.4).

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How weights are adjusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightAdjustment {
    /// Fresh models trained one after the other, each with the weights that the one before has led to. FuseGen: 30.
    pub iterations: u32,
}

impl Default for WeightAdjustment {
    fn default() -> Self {
        Self { iterations: 30 }
    }
}

/// The weight of every sample at the start.
pub(super) const INITIAL: f64 = 0.5;

impl WeightAdjustment {
    /// Checks the number.
    ///
    /// # Errors
    /// [`Error::Fusion`] if it is 0.
    pub fn validate(&self) -> Result<()> {
        if self.iterations == 0 {
            return Err(Error::Fusion(
                "0 iterations adjust no weight; ask for 1 or more".into(),
            ));
        }
        Ok(())
    }

    /// The base `1 + sqrt(max(1, 2 ln(n / iterations)))` for `n` samples; 2 or more.
    pub fn base(&self, samples: usize) -> f64 {
        let ratio = samples as f64 / f64::from(self.iterations.max(1));
        1.0 + (2.0 * ratio.ln()).max(1.0).sqrt()
    }

    /// One adjustment: `w <- w base^(-(1 - correct)(1 - p))`, scaled so that the sum stays. `own` is the probability that the model
    /// gives each sample's class, in 0 to 1.
    pub fn adjust(&self, weights: &mut [f64], own: &[f32], correct: &[bool]) {
        let base = self.base(weights.len());
        let before: f64 = weights.iter().sum();
        for ((weight, own), correct) in weights.iter_mut().zip(own).zip(correct) {
            if !correct {
                *weight *= base.powf(f64::from(*own) - 1.0);
            }
        }
        let after: f64 = weights.iter().sum();
        if after > 0.0 {
            weights.iter_mut().for_each(|w| *w *= before / after);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fuse::golden::golden;

    #[derive(Deserialize)]
    struct Case {
        p: Vec<Vec<f32>>,
        correct: Vec<Vec<bool>>,
        iterations: u32,
        steps: Vec<Vec<f64>>,
        beta: Vec<(usize, u32, f64)>,
    }

    #[test]
    fn bases_and_weights_agree_with_numpy() {
        let case: Case = golden("weights");
        for (samples, iterations, base) in case.beta {
            assert!((WeightAdjustment { iterations }.base(samples) - base).abs() < 1e-12);
        }
        assert!((WeightAdjustment::default().base(1000) - 3.65).abs() < 0.005);
        let adjustment = WeightAdjustment {
            iterations: case.iterations,
        };
        let mut weights = vec![INITIAL; case.p[0].len()];
        for ((p, correct), expected) in case.p.iter().zip(&case.correct).zip(&case.steps) {
            adjustment.adjust(&mut weights, p, correct);
            for (found, expected) in weights.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-9);
            }
        }
    }

    proptest! {
        #[test]
        fn weights_stay_positive_keep_their_sum_and_fall_only_where_wrong(
            samples in prop::collection::vec((0.01f64..2.0, 0f32..=1.0, any::<bool>()), 1..50),
            iterations in 1u32..40,
        ) {
            let mut weights: Vec<f64> = samples.iter().map(|s| s.0).collect();
            let own: Vec<f32> = samples.iter().map(|s| s.1).collect();
            let correct: Vec<bool> = samples.iter().map(|s| s.2).collect();
            let (before, sum) = (weights.clone(), weights.iter().sum::<f64>());
            WeightAdjustment { iterations }.adjust(&mut weights, &own, &correct);
            prop_assert!(weights.iter().all(|w| *w > 0.0 && w.is_finite()));
            prop_assert!((weights.iter().sum::<f64>() - sum).abs() < 1e-9 * sum);
            let ratio = |right: bool| {
                let of = weights.iter().zip(&before).zip(&correct).filter(|(_, c)| **c == right);
                of.map(|((w, b), _)| w / b).collect::<Vec<f64>>()
            };
            let least_right = ratio(true).into_iter().fold(f64::INFINITY, f64::min);
            let most_wrong = ratio(false).into_iter().fold(0.0, f64::max);
            prop_assert!(most_wrong <= least_right * (1.0 + 1e-12));
        }
    }
}
