//! Correcting a client's drift.

use candle_core::Tensor;

use super::{HeadBatch, HeadGradients, Objective};
use crate::{Parameters, Result};

/// SCAFFOLD (Karimireddy et al. 2020, algorithm 1, line 10): every gradient of another objective is corrected by the difference of the
/// server's control variate and the client's, `g + c - c_i`.
pub struct Controlled<O> {
    /// What is minimised.
    pub inner: O,
    /// `c - c_i`
    pub correction: Parameters,
}

impl<O: Objective> Objective for Controlled<O> {
    fn head(&mut self, batch: &HeadBatch<'_>) -> Result<HeadGradients> {
        self.inner.head(batch)
    }

    fn weights(&mut self, trained: &[Tensor], gradients: &mut [Tensor]) -> Result<()> {
        self.inner.weights(trained, gradients)?;
        for (gradient, correction) in gradients.iter_mut().zip(self.correction.tensors()) {
            *gradient = (&*gradient + correction)?;
        }
        Ok(())
    }
}
