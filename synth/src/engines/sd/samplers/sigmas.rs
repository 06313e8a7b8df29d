//! Noise levels: the standard deviation of the noise relative to that of the image, sigma = sqrt((1 - a) / a) where a is the
//! product of 1 - beta so far (Karras et al. 2022, table 1, "VP").

use crate::Result;
use crate::engines::sd::schedule::{FinalSigma, SchedulerConfig};
use crate::error::Error;

/// Noise level of every training step, rising.
pub(super) struct SigmaTable(Vec<f64>);

impl SigmaTable {
    pub(super) fn new(alphas_cumprod: &[f32]) -> Self {
        let sigma = |a: &f32| ((1.0 - a) / a).sqrt();
        Self(alphas_cumprod.iter().map(|a| f64::from(sigma(a))).collect())
    }

    pub(super) fn least(&self) -> f64 {
        self.0[0]
    }

    pub(super) fn greatest(&self) -> f64 {
        self.0[self.0.len() - 1]
    }

    /// The level at a step, between training steps by linear interpolation.
    pub(super) fn at(&self, timestep: f64) -> f64 {
        let last = self.0.len() - 1;
        let low = (timestep.max(0.0) as usize).min(last);
        let high = (low + 1).min(last);
        let share = (timestep - low as f64).clamp(0.0, 1.0);
        self.0[low] + share * (self.0[high] - self.0[low])
    }

    /// The step of a level, by linear interpolation of the logarithms.
    pub(super) fn step_of(&self, sigma: f64) -> f64 {
        let log = sigma.max(1e-10).ln();
        let above = self.0.partition_point(|s| s.ln() <= log);
        let low = above.saturating_sub(1).min(self.0.len() - 2);
        let (from, to) = (self.0[low].ln(), self.0[low + 1].ln());
        low as f64 + ((log - from) / (to - from)).clamp(0.0, 1.0)
    }
}

/// `steps` levels from `greatest` to `least` (Karras et al. 2022, eq. 5, rho = 7).
pub(super) fn karras(greatest: f64, least: f64, steps: usize) -> Vec<f64> {
    const RHO: f64 = 7.0;
    let (from, to) = (greatest.powf(1.0 / RHO), least.powf(1.0 / RHO));
    let step = if steps == 1 {
        0.0
    } else {
        1.0 / (steps - 1) as f64
    };
    (0..steps)
        .map(|i| (from + i as f64 * step * (to - from)).powf(RHO))
        .collect()
}

/// Adds the level after the last step and brings all into the f32 in which diffusers keeps them.
pub(super) fn closed(mut sigmas: Vec<f64>, end: FinalSigma, least: f64) -> Vec<f64> {
    sigmas.push(match end {
        FinalSigma::Zero => 0.0,
        FinalSigma::SigmaMin => least,
    });
    sigmas.into_iter().map(|s| f64::from(s as f32)).collect()
}

/// Image and noise coefficient (alpha, sigma) of latents at a noise level that keep their variance.
pub(super) fn variance_preserving(sigma: f64) -> (f64, f64) {
    let alpha = 1.0 / (sigma * sigma + 1.0).sqrt();
    (alpha, sigma * alpha)
}

/// log(alpha / sigma), half the logarithm of the signal-to-noise ratio; infinite without noise.
pub(super) fn log_snr(sigma: f64) -> f64 {
    let (alpha, sigma) = variance_preserving(sigma);
    alpha.ln() - sigma.ln()
}

/// Refuses the spacings of noise levels that no sampler here offers.
pub(super) fn refuse_other_spacings(config: &SchedulerConfig) -> Result<()> {
    let asked = [
        ("use_exponential_sigmas", config.use_exponential_sigmas),
        ("use_beta_sigmas", config.use_beta_sigmas),
        ("use_lu_lambdas", config.use_lu_lambdas),
        ("use_flow_sigmas", config.use_flow_sigmas),
    ];
    match asked.iter().find(|(_, on)| *on == Some(true)) {
        None => Ok(()),
        Some((key, _)) => Err(Error::Spec(format!(
            "the folder's scheduler sets {key}, which is not offered; set it to false or use the ddim sampler"
        ))),
    }
}
