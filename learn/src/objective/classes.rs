//! Naming the classes: cross-entropy.

use promptfed_nn::cross_entropy::cross_entropy;

use super::{HeadBatch, HeadGradients, Objective};
use crate::Result;

/// Cross-entropy with label smoothing; with weights the mean of weight times loss (FuseGen, Zou et al. 2024, section 3.4).
#[derive(Debug, Clone, Copy)]
pub struct Classes {
    /// Probability mass spread evenly over all classes, in `0.0..1.0`.
    pub label_smoothing: f32,
}

impl Objective for Classes {
    fn head(&mut self, batch: &HeadBatch<'_>) -> Result<HeadGradients> {
        let HeadBatch {
            labels, weights, ..
        } = *batch;
        let mut found = cross_entropy(batch.logits, labels, weights, self.label_smoothing);
        if let Some(weights) = weights {
            // The mean of w * CE and not the weighted mean: a batch of light samples takes a small step.
            let mean = weights.iter().map(|w| f64::from(*w)).sum::<f64>() / weights.len() as f64;
            found.scale(mean as f32);
        }
        Ok(HeadGradients {
            loss: found.loss,
            correct: found.correct,
            logits: found.gradient,
            features: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::assert_slopes;
    use super::*;

    #[test]
    fn gradients_are_slopes() {
        assert_slopes(&mut Classes {
            label_smoothing: 0.1,
        });
    }
}
