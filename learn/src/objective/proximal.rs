//! Staying near the weights that a round began with.

use candle_core::Tensor;

use super::{HeadBatch, HeadGradients, Objective};
use crate::{Parameters, Result};

/// FedProx (Li et al. 2020, "Federated Optimization in Heterogeneous Networks", eq. 2): another objective plus
/// `mu / 2 ||w - anchor||^2`. The loss that is told is the other's alone.
pub struct Proximal<O> {
    /// What else is minimised.
    pub inner: O,
    /// Weight of the distance, 0 or above.
    pub mu: f64,
    /// The weights to stay near.
    pub anchor: Parameters,
}

impl<O: Objective> Objective for Proximal<O> {
    fn head(&mut self, batch: &HeadBatch<'_>) -> Result<HeadGradients> {
        self.inner.head(batch)
    }

    fn weights(&mut self, trained: &[Tensor], gradients: &mut [Tensor]) -> Result<()> {
        self.inner.weights(trained, gradients)?;
        for ((gradient, weight), anchor) in
            gradients.iter_mut().zip(trained).zip(self.anchor.tensors())
        {
            *gradient = (&*gradient + ((weight - anchor)? * self.mu)?)?;
        }
        Ok(())
    }
}
