//! Whether a classifier is as sure of its answers as they are right.

use promptfed_nn::cross_entropy::arg_max;

/// Bins of equal width, as Guo et al. have in their tables.
const BINS: usize = 15;

/// What probabilities are worth beyond the classes that they name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Calibration {
    /// The expected calibration error, in `0.0..=1.0`.
    pub(crate) error: f64,
    /// The mean negative log-likelihood of the labels, in nats, from 0.
    pub(crate) negative_log_likelihood: f64,
}

impl Calibration {
    /// Of `probabilities [n, classes]` and the `labels [n]`, each below `classes`: Guo et al. 2017, "On Calibration of Modern Neural Networks",
    /// equation 3, by the confidence of the predicted class, a bin without its lower edge and with its upper one; and the mean of
    /// `-ln p` of the labels, `p` not below the step of an f32 at 1, as in scikit-learn's `log_loss`.
    ///
    /// `None` of no images, of probabilities that are not finite, and where all are 0 or 1: such a predictor names classes alone.
    pub(crate) fn of(probabilities: &[f32], classes: usize, labels: &[u32]) -> Option<Self> {
        let says_how_sure = probabilities.iter().any(|p| *p != 0.0 && *p != 1.0);
        if !says_how_sure || labels.is_empty() || probabilities.iter().any(|p| !p.is_finite()) {
            return None;
        }
        // How much more is right in a bin than its confidences say, summed over its images.
        let mut surplus = [0.0; BINS];
        let mut log_likelihood = 0.0;
        for (row, &label) in probabilities.chunks_exact(classes).zip(labels) {
            let predicted = arg_max(row);
            let confidence = f64::from(row[predicted]);
            let bin = ((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
            surplus[bin] += f64::from(u8::from(predicted == label as usize)) - confidence;
            log_likelihood += f64::from(*row.get(label as usize)?)
                .clamp(f64::from(f32::EPSILON), 1.0)
                .ln();
        }
        let images = labels.len() as f64;
        Some(Self {
            error: surplus.iter().map(|s| s.abs()).sum::<f64>() / images,
            negative_log_likelihood: -log_likelihood / images,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    /// Of `golden/calibration.py`.
    #[derive(Deserialize)]
    struct Case {
        classes: usize,
        labels: Vec<u32>,
        probabilities: Vec<f32>,
        calibration_error: f64,
        negative_log_likelihood: f64,
    }

    #[test]
    fn it_agrees_with_the_paper_and_with_scikit_learn() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../tests/golden/calibration.json")).unwrap();
        assert!(!cases.is_empty());
        for case in cases {
            let found = Calibration::of(&case.probabilities, case.classes, &case.labels).unwrap();
            assert!(
                (found.error - case.calibration_error).abs() < 1e-9,
                "{found:?}"
            );
            let apart = found.negative_log_likelihood - case.negative_log_likelihood;
            assert!(apart.abs() < 1e-5, "{found:?}");
        }
    }

    #[test]
    fn a_fair_coin_that_says_so_is_calibrated() {
        let found = Calibration::of(&[0.5; 8], 2, &[0, 1, 0, 1]).unwrap();
        assert!(found.error < 1e-12, "{found:?}");
        assert!((found.negative_log_likelihood - std::f64::consts::LN_2).abs() < 1e-7);
    }

    #[test]
    fn who_names_classes_alone_or_nothing_at_all_has_none() {
        assert_eq!(Calibration::of(&[1.0, 0.0, 0.0, 1.0], 2, &[0, 0]), None);
        assert_eq!(Calibration::of(&[0.0; 4], 2, &[0, 0]), None);
        assert_eq!(Calibration::of(&[f32::NAN; 4], 2, &[0, 0]), None);
        assert_eq!(Calibration::of(&[], 2, &[]), None);
    }
}
