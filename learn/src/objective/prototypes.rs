//! Features near the mean features of their class.

use super::{HeadBatch, HeadGradients, Objective};
use crate::Result;

/// FedProto (Tan et al. 2022, "FedProto: Federated Prototype Learning across Heterogeneous Clients", eq. 7): another objective plus
/// `lambda` times the mean squared distance of an image's features to its class's prototype. Classes without one have no distance, and images
/// count alike in it, whatever their weights.
pub struct Prototypes<O> {
    /// What else is minimised.
    pub inner: O,
    /// Weight of the distance, 0 or above.
    pub lambda: f32,
    /// By class; each of as many values as an image has features.
    pub prototypes: Vec<Option<Vec<f32>>>,
}

impl<O: Objective> Objective for Prototypes<O> {
    fn head(&mut self, batch: &HeadBatch<'_>) -> Result<HeadGradients> {
        let mut found = self.inner.head(batch)?;
        let width = batch.channels();
        let share = f64::from(self.lambda) / batch.features.len().max(1) as f64;
        let (mut loss, mut gradient) = (0.0, vec![0.0; batch.features.len()]);
        let rows = batch
            .features
            .chunks_exact(width)
            .zip(gradient.chunks_exact_mut(width));
        for ((row, gradient), label) in rows.zip(batch.labels) {
            let prototype = self
                .prototypes
                .get(*label as usize)
                .and_then(Option::as_ref);
            for ((value, goal), g) in row
                .iter()
                .zip(prototype.into_iter().flatten())
                .zip(gradient)
            {
                let apart = f64::from(value - goal);
                loss += share * apart * apart;
                *g = (2.0 * share * apart) as f32;
            }
        }
        found.add_by_features(loss, gradient);
        Ok(found)
    }

    fn weights(
        &mut self,
        trained: &[candle_core::Tensor],
        gradients: &mut [candle_core::Tensor],
    ) -> Result<()> {
        self.inner.weights(trained, gradients)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Classes;
    use super::super::tests::assert_slopes;
    use super::*;

    #[test]
    fn gradients_are_slopes() {
        let prototype = |of: f32| Some((0..5).map(|i| of - 0.3 * i as f32).collect());
        assert_slopes(&mut Prototypes {
            inner: Classes {
                label_smoothing: 0.0,
            },
            lambda: 1.5,
            prototypes: vec![prototype(0.5), None, prototype(-0.2), None],
        });
        // The class of two of the three images has none.
        assert_slopes(&mut Prototypes {
            inner: Classes {
                label_smoothing: 0.0,
            },
            lambda: 1.5,
            prototypes: vec![prototype(0.5)],
        });
    }
}
