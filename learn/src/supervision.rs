//! What a training set says of its images beside their labels.

use crate::images::check_len;
use crate::{Error, Result};

/// How far the sum of an image's targets may be from 1.
const SUM_TOLERANCE: f64 = 1e-3;

const TRAINING: &str = "training";

/// What is known of `n` images of a training set beside their labels.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Supervision {
    /// The weight of every image in the loss, `[n]`, where they differ; 0 or above, and only their ratios count.
    pub weights: Option<Vec<f32>>,
    /// The probabilities that the network is to give the classes of every image, `[n, classes]`, where they are not its label alone; each
    /// image's are 0 or above and sum to 1.
    pub targets: Option<Vec<f32>>,
}

impl Supervision {
    /// Checks the numbers against those of images and classes, and the targets' values.
    ///
    /// # Errors
    /// [`Error::Inconsistent`] for a wrong number of values, [`Error::Targets`] for values that are no probabilities.
    pub fn check(&self, images: usize, classes: usize) -> Result<()> {
        if let Some(weights) = &self.weights {
            check_len(weights.len(), images, "sample weights", TRAINING)?;
        }
        let Some(targets) = &self.targets else {
            return Ok(());
        };
        check_len(targets.len(), images * classes, "soft labels", TRAINING)?;
        for (index, row) in targets.chunks_exact(classes.max(1)).enumerate() {
            let sum: f64 = row.iter().map(|p| f64::from(*p)).sum();
            let is_probability = |p: &f32| (0.0..=1.0 + SUM_TOLERANCE as f32).contains(p);
            if !row.iter().all(is_probability) || (sum - 1.0).abs() > SUM_TOLERANCE {
                return Err(Error::Targets { index, sum });
            }
        }
        Ok(())
    }

    /// That of the images at `kept`, of `images` in all.
    pub(crate) fn subset(&self, kept: &[usize], images: usize) -> Self {
        let rows = |values: &Vec<f32>| {
            let width = values.len() / images.max(1);
            let row = |&i: &usize| values[i * width..(i + 1) * width].iter().copied();
            kept.iter().flat_map(row).collect()
        };
        Self {
            weights: self.weights.as_ref().map(rows),
            targets: self.targets.as_ref().map(rows),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_probabilities_and_follow_their_images() {
        let of = |targets: &[f32]| Supervision {
            weights: None,
            targets: Some(targets.to_vec()),
        };
        let two = of(&[0.5, 0.5, 0.0, 0.0, 0.25, 0.75]);
        two.check(2, 3).unwrap();
        assert_eq!(two.subset(&[1], 2).targets.unwrap(), [0.0, 0.25, 0.75]);
        let too_few = two.check(3, 3).unwrap_err();
        assert!(matches!(too_few, Error::Inconsistent { .. }), "{too_few}");
        for wrong in [[0.5, 0.4], [1.5, -0.5], [f32::NAN, 1.0]] {
            let told = of(&wrong).check(1, 2).unwrap_err();
            assert!(matches!(told, Error::Targets { index: 0, .. }), "{told}");
        }
    }
}
