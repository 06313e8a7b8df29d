//! How a linear head is trained.

use super::LinearHead;
use super::problem::Problem;
use crate::quality::FeatureSet;
use crate::{Error, Result};
use promptfed_learn::Error as Misfit;
use std::sync::atomic::{AtomicBool, Ordering};

/// How a head is trained: the mean cross-entropy plus `decay / 2` times the squared weights is made small. Biases are not held back.
///
/// It is accelerated gradient descent on all features at once (Beck and Teboulle 2009, "A Fast Iterative Shrinkage-Thresholding Algorithm",
/// equations 4.1 to 4.3), begun anew where the momentum goes uphill (O'Donoghue and Candès 2015, "Adaptive Restart for Accelerated Gradient
/// Schemes", the gradient scheme). The objective has one minimum: nothing but the length of a step is estimated by draws, and these are the same each time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SoftmaxRegression {
    /// Weight of the squared weights, above 0.
    pub decay: f64,
    /// Steps at most, at least 1.
    pub steps: usize,
    /// It ends where no slope is steeper.
    pub tolerance: f64,
}

impl Default for SoftmaxRegression {
    fn default() -> Self {
        Self {
            decay: 1e-3,
            steps: 500,
            tolerance: 1e-5,
        }
    }
}

/// A head, and how its training went.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainedHead {
    /// The head.
    pub head: LinearHead,
    /// The mean cross-entropy of the features it was trained on, before the last step.
    pub loss: f64,
    /// The share of them that it named rightly, in 0..=1.
    pub accuracy: f64,
    /// The length of a step.
    pub rate: f64,
}

const ROLE: &str = "training";

impl SoftmaxRegression {
    /// Trains a head from zero on `features [n, width]` with their `labels [n]`; `on_step` is told the steps done and the loss.
    ///
    /// # Errors
    /// If there are no features, if labels do not fit them or the classes, or if `cancel` is set.
    pub fn fit(
        &self,
        features: &FeatureSet,
        labels: &[u32],
        classes: usize,
        cancel: &AtomicBool,
        on_step: &mut dyn FnMut(usize, f64),
    ) -> Result<TrainedHead> {
        check(features, labels, classes)?;
        let problem = Problem::new(features, labels, classes, self.decay)?;
        let rate = 1.0 / problem.steepness()?;
        let mut at = vec![0.0; (features.width() + 1) * classes];
        let mut ahead = at.clone();
        let mut pace = 1f64;
        let (mut loss, mut accuracy) = (f64::NAN, 0.0);
        for step in 0..self.steps.max(1) {
            if cancel.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            let slope = problem.slope(&ahead)?;
            (loss, accuracy) = (slope.loss, slope.accuracy);
            let next = ahead.iter().zip(&slope.values);
            let next: Vec<f64> = next.map(|(value, slope)| value - rate * slope).collect();
            let uphill = slope.values.iter().zip(next.iter().zip(&at));
            let uphill: f64 = uphill.map(|(slope, (next, at))| slope * (next - at)).sum();
            if uphill > 0.0 {
                pace = 1.0;
            }
            let faster = f64::midpoint(1.0, (1.0 + 4.0 * pace * pace).sqrt());
            let momentum = (pace - 1.0) / faster;
            ahead = next
                .iter()
                .zip(&at)
                .map(|(next, at)| next + momentum * (next - at))
                .collect();
            at = next;
            pace = faster;
            on_step(step + 1, loss);
            if slope
                .values
                .iter()
                .all(|slope| slope.abs() < self.tolerance)
            {
                break;
            }
        }
        Ok(TrainedHead {
            head: problem.head(&at),
            loss,
            accuracy,
            rate,
        })
    }
}

fn check(features: &FeatureSet, labels: &[u32], classes: usize) -> Result<()> {
    if features.is_empty() {
        return Err(Misfit::NoImages { role: ROLE }.into());
    }
    if labels.len() != features.len() {
        let misfit = Misfit::Inconsistent {
            role: ROLE,
            what: "labels",
            found: labels.len(),
            expected: features.len(),
        };
        return Err(misfit.into());
    }
    let wrong = labels.iter().position(|label| *label as usize >= classes);
    wrong.map_or(Ok(()), |index| {
        let misfit = Misfit::Label {
            role: ROLE,
            index,
            label: labels[index],
            classes,
        };
        Err(misfit.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    /// Of `golden/linear_head.py`: scikit-learn's regressions.
    #[derive(Deserialize)]
    struct Case {
        width: usize,
        classes: usize,
        decay: f64,
        rows: Vec<f32>,
        labels: Vec<u32>,
        weight: Vec<f32>,
        bias: Vec<f32>,
        loss: f64,
    }

    const EXACT: SoftmaxRegression = SoftmaxRegression {
        decay: 1e-3,
        steps: 5000,
        tolerance: 3e-7,
    };

    fn fit(
        how: SoftmaxRegression,
        features: &FeatureSet,
        labels: &[u32],
        classes: usize,
    ) -> TrainedHead {
        let never = AtomicBool::new(false);
        how.fit(features, labels, classes, &never, &mut |_, _| {})
            .unwrap()
    }

    #[test]
    fn heads_are_those_of_scikit_learn() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../../../tests/golden/linear_head.json")).unwrap();
        assert_eq!(cases.len(), 2);
        for case in cases {
            let set = FeatureSet::new(case.width, case.rows).unwrap();
            let decay = case.decay;
            let found = fit(
                SoftmaxRegression { decay, ..EXACT },
                &set,
                &case.labels,
                case.classes,
            );
            let pairs = found.head.weight.iter().zip(&case.weight);
            for (a, b) in pairs.chain(found.head.bias.iter().zip(&case.bias)) {
                assert!((a - b).abs() < 2e-3, "{a} and not {b}");
            }
            let squares: f64 = found
                .head
                .weight
                .iter()
                .map(|w| f64::from(*w).powi(2))
                .sum();
            let objective = found.loss + case.decay / 2.0 * squares;
            assert!(
                (objective - case.loss).abs() < 1e-5,
                "{objective} {}",
                case.loss
            );
            // What ends early is near it.
            let rough = SoftmaxRegression {
                decay,
                ..SoftmaxRegression::default()
            };
            let rough = fit(rough, &set, &case.labels, case.classes);
            assert!(
                (rough.loss - found.loss).abs() < 1e-3,
                "{} {}",
                rough.loss,
                found.loss
            );
            // What training says of accuracy is what the head does.
            let probabilities = found.head.probabilities(&set).unwrap();
            let rows = probabilities.chunks_exact(case.classes).zip(&case.labels);
            let right = rows.filter(|(row, label)| row.iter().all(|p| *p <= row[**label as usize]));
            let accuracy = right.count() as f64 / set.len() as f64;
            assert!(
                (accuracy - found.accuracy).abs() < 0.02,
                "{accuracy} {}",
                found.accuracy
            );
        }
    }

    #[test]
    fn classes_and_features_may_be_missing() {
        // Nobody has class 1, and all features are alike.
        let alike = FeatureSet::new(3, vec![0.5; 12]).unwrap();
        let found = fit(SoftmaxRegression::default(), &alike, &[0, 2, 2, 2], 3);
        let probabilities = found.head.probabilities(&alike).unwrap();
        for row in probabilities.chunks_exact(3) {
            assert!((row[2] - 0.75).abs() < 0.02 && row[1] < 0.02, "{row:?}");
        }
        let one = FeatureSet::new(2, vec![1.0, 2.0]).unwrap();
        let found = fit(SoftmaxRegression::default(), &one, &[1], 2);
        assert!(found.head.probabilities(&one).unwrap()[1] > 0.9);
    }

    #[test]
    fn what_cannot_be_trained_on_is_refused() {
        let never = AtomicBool::new(false);
        let how = SoftmaxRegression::default();
        let try_fit = |rows: &[f32], labels: &[u32], cancel: &AtomicBool| {
            let set = FeatureSet::new(2, rows.to_vec()).unwrap();
            how.fit(&set, labels, 2, cancel, &mut |_, _| {})
        };
        let misfit = |found: Result<TrainedHead>| match found {
            Err(Error::Learn(misfit)) => misfit,
            other => panic!("{other:?}"),
        };
        assert!(matches!(
            misfit(try_fit(&[], &[], &never)),
            Misfit::NoImages { .. }
        ));
        let few = misfit(try_fit(&[0.0; 4], &[1], &never));
        assert!(matches!(
            few,
            Misfit::Inconsistent {
                found: 1,
                expected: 2,
                ..
            }
        ));
        let unknown = misfit(try_fit(&[0.0; 4], &[1, 2], &never));
        assert!(matches!(
            unknown,
            Misfit::Label {
                index: 1,
                label: 2,
                ..
            }
        ));
        let stopped = try_fit(&[0.0; 4], &[0, 1], &AtomicBool::new(true));
        assert!(matches!(stopped, Err(Error::Interrupted)));
    }
}
