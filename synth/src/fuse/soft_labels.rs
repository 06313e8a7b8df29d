//! Soft labels: what an image is to be called, its own class and what the other backends' task models see in it.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How labels are softened: the soft bootstrapping of Reed et al. 2015, with the votes of other models where it has the
/// network's own prediction: `q = (1 - share) e_y + share mean_k p_k`, over the task models of all backends but the one that made the
/// image, which has trained on it. Where there is no other, the label stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoftLabels {
    /// The part of the votes, above 0 and at most 1; the class that was asked for has the rest.
    pub share: f64,
}

impl SoftLabels {
    /// Checks the range.
    ///
    /// # Errors
    /// [`Error::Fusion`] if the share is out of it.
    pub fn validate(&self) -> Result<()> {
        if self.share > 0.0 && self.share <= 1.0 {
            return Ok(());
        }
        Err(Error::Fusion(format!(
            "soft labels with a part of {} of votes; give a number above 0 and at most 1, or leave them out",
            self.share
        )))
    }

    /// The probabilities of `classes` classes for an image of class `label`, which sum to 1. `votes` are the other models'
    /// probabilities, `[classes]` each.
    pub fn target<'a>(
        &self,
        label: usize,
        classes: usize,
        votes: impl Iterator<Item = &'a [f32]>,
    ) -> Vec<f32> {
        let mut sums = vec![0.0; classes];
        let mut models = 0.0;
        for vote in votes {
            models += 1.0;
            // Each has one vote, however its rounding errors add up.
            let whole: f64 = vote.iter().map(|p| f64::from(*p)).sum();
            for (sum, p) in sums.iter_mut().zip(vote) {
                *sum += f64::from(*p) / whole.max(f64::MIN_POSITIVE);
            }
        }
        let share = if models > 0.0 { self.share } else { 0.0 };
        let of_class = |(class, sum): (usize, f64)| {
            let own = f64::from(u8::from(class == label));
            ((1.0 - share) * own + share * sum / f64::max(models, 1.0)) as f32
        };
        sums.into_iter().enumerate().map(of_class).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;
    use crate::fuse::golden::golden;

    #[derive(Deserialize)]
    struct Case {
        share: f64,
        label: usize,
        votes: Vec<Vec<f32>>,
        target: Vec<f64>,
    }

    #[test]
    fn targets_agree_with_numpy() {
        for case in golden::<Vec<Case>>("soft_labels") {
            let soft = SoftLabels { share: case.share };
            let votes = case.votes.iter().map(Vec::as_slice);
            let found = soft.target(case.label, case.target.len(), votes);
            assert_eq!(found.len(), case.target.len());
            for (found, expected) in found.iter().zip(&case.target) {
                assert!((f64::from(*found) - expected).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn without_another_model_the_label_is_hard() {
        let soft = SoftLabels { share: 0.7 };
        assert_eq!(soft.target(1, 3, std::iter::empty()), [0.0, 1.0, 0.0]);
    }

    #[test]
    fn a_part_out_of_range_is_refused() {
        for share in [0.0, -0.1, 1.1, f64::NAN] {
            let told = SoftLabels { share }.validate().unwrap_err().to_string();
            assert!(told.contains("at most 1"), "{told}");
        }
        SoftLabels { share: 1.0 }.validate().unwrap();
    }

    proptest! {
        #[test]
        fn targets_are_probabilities_and_the_order_of_models_changes_nothing(
            share in 0.01f64..=1.0,
            label in 0usize..5,
            logits in prop::collection::vec(prop::collection::vec(-9f32..9.0, 5), 1..6),
        ) {
            let vote = |logits: &Vec<f32>| {
                let mut p = logits.clone();
                promptfed_nn::cross_entropy::softmax(&mut p, 5);
                p
            };
            let votes: Vec<Vec<f32>> = logits.iter().map(vote).collect();
            let soft = SoftLabels { share };
            let target = soft.target(label, 5, votes.iter().map(Vec::as_slice));
            let sum: f64 = target.iter().map(|p| f64::from(*p)).sum();
            prop_assert!((sum - 1.0).abs() < 1e-6, "{sum}");
            prop_assert!(target.iter().all(|p| (0.0..=1.0 + 1e-6).contains(p)));
            prop_assert!(f64::from(target[label]) >= 1.0 - share - 1e-6);
            let reversed = soft.target(label, 5, votes.iter().rev().map(Vec::as_slice));
            for (a, b) in target.iter().zip(&reversed) {
                prop_assert!((a - b).abs() < 1e-6);
            }
        }
    }
}
