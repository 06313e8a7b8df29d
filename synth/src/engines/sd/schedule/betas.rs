//! The noise of the training steps.

use serde::Deserialize;

use super::{MOST_TRAIN_TIMESTEPS, SchedulerConfig};
use crate::{Error, Result, Sampler};

/// How betas go from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BetaSchedule {
    /// In equal steps (Ho et al. 2020).
    Linear,
    /// In equal steps of their roots (Rombach et al. 2022).
    ScaledLinear,
    /// From a squared cosine (Nichol and Dhariwal 2021).
    SquaredcosCapV2,
}

impl SchedulerConfig {
    pub(super) fn betas(&self, sampler: Sampler) -> Result<Vec<f32>> {
        let n = self.train_timesteps();
        if !(2..=MOST_TRAIN_TIMESTEPS).contains(&n) {
            return Err(Error::Spec(format!(
                "num_train_timesteps is {n}; it lies between 2 and {MOST_TRAIN_TIMESTEPS}"
            )));
        }
        // LCM's class alone has Stable Diffusion's schedule as its default.
        let (start, end, schedule) = if sampler == Sampler::Lcm {
            (0.00085, 0.012, BetaSchedule::ScaledLinear)
        } else {
            (0.0001, 0.02, BetaSchedule::Linear)
        };
        let start = self.beta_start.unwrap_or(start);
        let end = self.beta_end.unwrap_or(end);
        let betas: Vec<f32> = match (&self.trained_betas, self.beta_schedule.unwrap_or(schedule)) {
            (Some(betas), _) => betas.iter().map(|beta| *beta as f32).collect(),
            (None, BetaSchedule::Linear) => linspace(start as f32, end as f32, n),
            (None, BetaSchedule::ScaledLinear) => {
                linspace(start.sqrt() as f32, end.sqrt() as f32, n)
                    .into_iter()
                    .map(|root| root * root)
                    .collect()
            }
            (None, BetaSchedule::SquaredcosCapV2) => squared_cosine(n),
        };
        match betas.iter().find(|beta| !(**beta > 0.0 && **beta < 1.0)) {
            None => Ok(betas),
            Some(beta) => Err(Error::Spec(format!(
                "the noise schedule has a beta of {beta}; betas lie between 0 and 1"
            ))),
        }
    }

    /// The products of 1 - beta over the training steps so far, one for each training step, in the precision in which
    /// diffusers keeps them.
    pub(in crate::engines::sd) fn alphas_cumprod(&self, sampler: Sampler) -> Result<Vec<f32>> {
        let mut betas = self.betas(sampler)?;
        // diffusers' PNDM has no such option.
        let rescaled = self.rescale_betas_zero_snr == Some(true) && sampler != Sampler::Pndm;
        if rescaled {
            betas = zero_terminal_snr(&betas);
        }
        let mut cumprod = running_product(&betas);
        let by_sigma = !matches!(sampler, Sampler::Ddim | Sampler::Lcm);
        if rescaled
            && by_sigma
            && let Some(last) = cumprod.last_mut()
        {
            // The noise level of a schedule that ends in pure noise would be infinite.
            *last = 2.0f32.powi(-24);
        }
        Ok(cumprod)
    }
}

/// `torch.linspace` in f32.
fn linspace(start: f32, end: f32, n: usize) -> Vec<f32> {
    let step = (end - start) / (n - 1) as f32;
    (0..n)
        .map(|i| {
            if i < n / 2 {
                start + step * i as f32
            } else {
                end - step * (n - 1 - i) as f32
            }
        })
        .collect()
}

/// Nichol and Dhariwal 2021, eq. 17, with betas of at most 0.999.
fn squared_cosine(n: usize) -> Vec<f32> {
    let alpha_bar = |t: f64| {
        ((t + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2)
            .cos()
            .powi(2)
    };
    let at = |i: usize| alpha_bar(i as f64 / n as f64);
    (0..n)
        .map(|i| (1.0 - at(i + 1) / at(i)).min(0.999) as f32)
        .collect()
}

/// The running product of 1 - beta, summed up in f64 and kept in f32 as `torch.cumprod` does.
fn running_product(betas: &[f32]) -> Vec<f32> {
    betas
        .iter()
        .scan(1.0f64, |product, beta| {
            *product *= f64::from(1.0 - beta);
            Some(*product as f32)
        })
        .collect()
}

/// Lin et al. 2023, algorithm 1: shifts and scales the roots of the products so that the last is zero.
fn zero_terminal_snr(betas: &[f32]) -> Vec<f32> {
    let roots: Vec<f32> = running_product(betas).into_iter().map(f32::sqrt).collect();
    let (first, last) = (roots[0], roots[roots.len() - 1]);
    let products: Vec<f32> = roots
        .into_iter()
        .map(|root| ((root - last) * (first / (first - last))).powi(2))
        .collect();
    let mut before = 1.0;
    products
        .into_iter()
        .map(|product| 1.0 - product / std::mem::replace(&mut before, product))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// candle-transformers 0.11 divides the training step by their number as whole numbers, so that the time is 0 up to the
    /// last step and every beta before it too.
    #[test]
    fn betas_of_the_squared_cosine_do_not_divide_whole_numbers() {
        let config = SchedulerConfig {
            num_train_timesteps: Some(1000),
            beta_schedule: Some(BetaSchedule::SquaredcosCapV2),
            ..SchedulerConfig::default()
        };
        let betas = config.betas(Sampler::Ddim).unwrap();
        // Nichol and Dhariwal 2021, eq. 17, worked out in Python.
        for (i, want) in [
            (0, 4.128_422_5e-5),
            (1, 4.614_175e-5),
            (499, 3.145_886_2e-3),
            (998, 0.749_999_4),
            (999, 0.999),
        ] {
            let off = (betas[i] - want).abs();
            assert!(off < 1e-5 * want, "beta {i} is {} and not {want}", betas[i]);
        }
        assert!(betas.windows(2).all(|pair| pair[0] < pair[1]));
        let products = config.alphas_cumprod(Sampler::Ddim).unwrap();
        assert!(
            (products[499] - 0.493_843_6).abs() < 1e-4,
            "{}",
            products[499]
        );
    }
}
