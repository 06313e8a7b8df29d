//! Features nearer to the global model's than to those of the client's last one.

use super::{HeadBatch, HeadGradients, Objective};
use crate::{Classifier, Result};

/// MOON (Li, He and Song 2021, "Model-Contrastive Federated Learning", eq. 3 and 5): another objective plus `mu` times
/// `-log(exp(sim(z, z_global) / tau) / (exp(sim(z, z_global) / tau) + exp(sim(z, z_last) / tau)))`, the mean over the batch, by cosine
/// similarity of features. Images count alike in the contrast, whatever their weights.
pub struct Contrastive<O> {
    /// What else is minimised.
    pub inner: O,
    /// Weight of the contrast, 0 or above.
    pub mu: f32,
    /// Temperature, above 0.
    pub temperature: f32,
    /// The model that the round began with.
    pub global: Classifier,
    /// The client's model at the end of its last round.
    pub last: Classifier,
}

impl<O: Objective> Objective for Contrastive<O> {
    fn head(&mut self, batch: &HeadBatch<'_>) -> Result<HeadGradients> {
        let mut found = self.inner.head(batch)?;
        let global = self.global.features_of(batch.pixels)?;
        let last = self.last.features_of(batch.pixels)?;
        let (loss, gradient) = contrast(
            batch.features,
            &global,
            &last,
            batch.channels(),
            self.temperature,
        );
        let scaled = gradient.into_iter().map(|g| g * self.mu).collect();
        found.add_by_features(f64::from(self.mu) * loss, scaled);
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

/// The mean loss over the rows of `own [n, width]`, and its gradient by them.
fn contrast(
    own: &[f32],
    near: &[f32],
    far: &[f32],
    width: usize,
    temperature: f32,
) -> (f64, Vec<f32>) {
    let rows = own.len() / width.max(1);
    let (mut loss, mut gradient) = (0.0, vec![0.0; own.len()]);
    let each = own
        .chunks_exact(width)
        .zip(near.chunks_exact(width))
        .zip(far.chunks_exact(width));
    for (((own, near), far), gradient) in each.zip(gradient.chunks_exact_mut(width)) {
        let to_near = cosine(own, near);
        let to_far = cosine(own, far);
        let tau = f64::from(temperature);
        // -log sigmoid(difference)
        let difference = (to_near.value - to_far.value) / tau;
        loss += softplus(-difference);
        let slope = -1.0 / (1.0 + difference.exp()) / tau / rows as f64;
        for (i, g) in gradient.iter_mut().enumerate() {
            *g = (slope * (to_near.slope(own, near, i) - to_far.slope(own, far, i))) as f32;
        }
    }
    (loss / rows.max(1) as f64, gradient)
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// Least length that is divided by, as in PyTorch.
const LEAST: f64 = 1e-8;

struct Cosine {
    value: f64,
    /// Lengths of both.
    lengths: [f64; 2],
}

impl Cosine {
    /// The derivative by the `i`-th value of the first.
    fn slope(&self, own: &[f32], other: &[f32], i: usize) -> f64 {
        let [own_length, other_length] = self.lengths;
        f64::from(other[i]) / (own_length * other_length)
            - self.value * f64::from(own[i]) / (own_length * own_length)
    }
}

fn cosine(a: &[f32], b: &[f32]) -> Cosine {
    let dot = |a: &[f32], b: &[f32]| {
        a.iter()
            .zip(b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum::<f64>()
    };
    let lengths = [a, b].map(|v| dot(v, v).sqrt().max(LEAST));
    Cosine {
        value: dot(a, b) / (lengths[0] * lengths[1]),
        lengths,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_is_the_slope() {
        let number = |i: usize| ((i * 29 + 5) % 17) as f32 / 8.0 - 1.0;
        let [own, near, far] =
            [0, 12, 24].map(|from| (from..from + 12).map(number).collect::<Vec<f32>>());
        let (_, gradient) = contrast(&own, &near, &far, 4, 0.5);
        for i in 0..own.len() {
            let loss = |by: f32| {
                let mut moved = own.clone();
                moved[i] += by;
                contrast(&moved, &near, &far, 4, 0.5).0
            };
            let slope = (loss(1e-3) - loss(-1e-3)) / 2e-3;
            assert!(
                (slope - f64::from(gradient[i])).abs() < 1e-3,
                "{slope} and not {}",
                gradient[i]
            );
        }
    }

    #[test]
    fn equal_distances_cost_a_bit() {
        let own = [1.0, 2.0, -1.0, 0.5];
        let (loss, gradient) = contrast(&own, &own, &own, 2, 0.5);
        assert!((loss - 2f64.ln()).abs() < 1e-12 && gradient.iter().all(|g| g.abs() < 1e-6));
        let far = own.map(|v| -v);
        assert!(contrast(&own, &own, &far, 2, 0.5).0 < 0.02);
    }
}
