//! What the UNet predicts.

use serde::Deserialize;

/// What the UNet predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prediction {
    /// The noise.
    Epsilon,
    /// The velocity alpha noise - sigma image (Salimans and Ho 2022).
    VPrediction,
    /// The clean latents.
    Sample,
}

impl Prediction {
    /// The clean latents as `c.0 x + c.1 output`, where x = alpha image + sigma noise and alpha^2 + sigma^2 = 1.
    pub(in crate::engines::sd) fn clean(self, alpha: f64, sigma: f64) -> (f64, f64) {
        match self {
            Prediction::Epsilon => (1.0 / alpha, -sigma / alpha),
            Prediction::VPrediction => (alpha, -sigma),
            Prediction::Sample => (0.0, 1.0),
        }
    }

    /// The noise as `c.0 x + c.1 output`, likewise.
    pub(in crate::engines::sd) fn noise(self, alpha: f64, sigma: f64) -> (f64, f64) {
        match self {
            Prediction::Epsilon => (0.0, 1.0),
            Prediction::VPrediction => (sigma, alpha),
            Prediction::Sample => (1.0 / sigma, -alpha / sigma),
        }
    }
}
