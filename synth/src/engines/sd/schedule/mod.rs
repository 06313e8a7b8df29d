//! `scheduler_config.json`: the noise schedule that a Stable Diffusion folder was trained with, and how it is sampled.
//!
//! A key that the file leaves out takes the default of the diffusers class of the sampler that runs, as in diffusers'
//! `from_config`.

mod betas;
mod prediction;

use std::path::Path;

use serde::Deserialize;

pub use self::betas::BetaSchedule;
pub use self::prediction::Prediction;
use super::keys::{Keys, Others};
use crate::error::model_fault;
use crate::{Error, Result, Sampler};

/// The largest number of training steps that is believed.
const MOST_TRAIN_TIMESTEPS: usize = 100_000;

/// The keys of a `scheduler_config.json` that change what is computed; the others are harmless or refused.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct SchedulerConfig {
    /// diffusers' class, which chooses the sampler.
    #[serde(rename = "_class_name")]
    pub class_name: Option<String>,
    /// Steps of the training schedule, T.
    pub num_train_timesteps: Option<usize>,
    /// First beta.
    pub beta_start: Option<f64>,
    /// Last beta.
    pub beta_end: Option<f64>,
    /// How the betas go from the first to the last.
    pub beta_schedule: Option<BetaSchedule>,
    /// The betas themselves, in place of a schedule.
    pub trained_betas: Option<Vec<f64>>,
    /// What the UNet predicts.
    pub prediction_type: Option<Prediction>,
    /// Which of the training steps are visited.
    pub timestep_spacing: Option<Spacing>,
    /// Added to the steps of leading spacing.
    pub steps_offset: Option<usize>,
    /// Whether the last step ends at a clean image rather than at the first training step.
    pub set_alpha_to_one: Option<bool>,
    /// Whether the schedule is rescaled to end in pure noise.
    pub rescale_betas_zero_snr: Option<bool>,
    /// Whether DDIM and LCM clip the predicted clean latents.
    pub clip_sample: Option<bool>,
    /// To what they are clipped.
    pub clip_sample_range: Option<f64>,
    /// Dynamic thresholding, for pixels; not offered.
    pub thresholding: Option<bool>,
    /// Noise levels after Karras et al. 2022.
    pub use_karras_sigmas: Option<bool>,
    /// Not offered.
    pub use_exponential_sigmas: Option<bool>,
    /// Not offered.
    pub use_beta_sigmas: Option<bool>,
    /// Not offered.
    pub use_lu_lambdas: Option<bool>,
    /// Not offered.
    pub use_flow_sigmas: Option<bool>,
    /// Least noise level of Karras spacing.
    pub sigma_min: Option<f64>,
    /// Greatest noise level of Karras spacing.
    pub sigma_max: Option<f64>,
    /// Noise level after the last step: `zero` or `sigma_min`.
    pub final_sigmas_type: Option<FinalSigma>,
    /// Euler: how noise levels between training steps are found; only `linear`.
    pub interpolation_type: Option<String>,
    /// Euler: whether the UNet is told the step or the noise level; only `discrete`.
    pub timestep_type: Option<String>,
    /// Order of DPM-Solver++ (1 or 2) and UniPC (1 to 3).
    pub solver_order: Option<usize>,
    /// `midpoint` or `heun` for DPM-Solver++, `bh1` or `bh2` for UniPC.
    pub solver_type: Option<String>,
    /// DPM-Solver's variant; only `dpmsolver++`.
    pub algorithm_type: Option<String>,
    /// Whether the last steps of a short run are of lower order.
    pub lower_order_final: Option<bool>,
    /// Whether DPM-Solver++ ends with a first-order step.
    pub euler_at_final: Option<bool>,
    /// DPM-Solver++: noisier training steps than this log signal-to-noise ratio are left out.
    pub lambda_min_clipped: Option<f64>,
    /// UniPC: whether it integrates the clean latents; only `true`.
    pub predict_x0: Option<bool>,
    /// UniPC: steps after which nothing is corrected.
    pub disable_corrector: Option<Vec<usize>>,
    /// PNDM: whether the Runge-Kutta warm-up is left out; only `true`.
    pub skip_prk_steps: Option<bool>,
    /// LCM: steps of the schedule that was distilled.
    pub original_inference_steps: Option<usize>,
    /// LCM: scale of the steps in the boundary condition.
    pub timestep_scaling: Option<f64>,
    /// DPM-Solver++: `learned` variances come from more channels than Stable Diffusion has; all others change nothing.
    pub variance_type: Option<String>,
    #[serde(flatten)]
    others: Others,
}

/// The keys of diffusers' schedulers that are not read.
const KEYS: Keys = Keys {
    fixed: &[
        ("shift_terminal", "null"),
        ("solver_p", "null"),
        ("use_dynamic_shifting", "false"),
    ],
    harmless: &[
        // Of switches that are refused where they are on.
        "dynamic_thresholding_ratio",
        "flow_shift",
        "sample_max_value",
        "time_shift_type",
        // Of classes that no sampler is: diffusers' `from_config` drops what the class that runs does not have.
        "base_image_seq_len",
        "base_shift",
        "clip_denoised",
        "corrector_order",
        "eta",
        "invert_sigmas",
        "max_image_seq_len",
        "max_shift",
        "noise_sampler_seed",
        "num_inference_steps",
        "predictor_order",
        "rho",
        "s_noise",
        "scaler",
        "scheduler_type",
        "shift",
        "sigma_data",
        "sigma_schedule",
        "snr_shift_scale",
        "stochastic_sampling",
        "tau_func",
        "tensor_format",
    ],
};

/// Which training steps are visited (Lin et al. 2023, "Common Diffusion Noise Schedules", table 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spacing {
    /// Evenly, both ends included.
    Linspace,
    /// Evenly from the clean end.
    Leading,
    /// Evenly from the noisy end.
    Trailing,
}

/// Noise level after the last step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinalSigma {
    /// None.
    Zero,
    /// That of the first training step.
    SigmaMin,
}

impl SchedulerConfig {
    /// Reads a `scheduler_config.json`.
    ///
    /// # Errors
    /// A file that cannot be read, is no scheduler configuration, or asks for what no sampler here can do.
    pub fn read(file: &Path) -> Result<Self> {
        let text = fs_err::read_to_string(file)?;
        let fault = |reason: String| model_fault(file, reason);
        let config: Self = serde_json::from_str(&without_infinities(&text))
            .map_err(|e| fault(format!("not a scheduler configuration ({e})")))?;
        if let Some(reason) = config.key_fault() {
            return Err(fault(reason));
        }
        let sampler = config.default_sampler();
        match config.betas(sampler.unwrap_or(Sampler::Ddim)) {
            Ok(_) => Ok(config),
            Err(Error::Spec(reason)) => Err(fault(reason)),
            Err(other) => Err(other),
        }
    }

    fn key_fault(&self) -> Option<String> {
        match &self.variance_type {
            Some(kind) if kind.starts_with("learned") => Some(format!(
                "variance_type is {kind}; a UNet that predicts variances is not offered"
            )),
            _ => KEYS.fault(&self.others),
        }
    }

    /// The sampler that the folder's class names.
    ///
    /// # Errors
    /// A class without a sampler here; another sampler can be asked for.
    pub fn default_sampler(&self) -> Result<Sampler> {
        let class = self.class_name.as_deref().unwrap_or("none");
        let karras = self.use_karras_sigmas == Some(true);
        match class.trim_start_matches("Flax") {
            "DDIMScheduler" => Ok(Sampler::Ddim),
            "EulerDiscreteScheduler" => Ok(Sampler::Euler),
            "EulerAncestralDiscreteScheduler" => Ok(Sampler::EulerAncestral),
            "DPMSolverMultistepScheduler" if karras => Ok(Sampler::DpmPlusPlus2mKarras),
            "DPMSolverMultistepScheduler" => Ok(Sampler::DpmPlusPlus2m),
            "UniPCMultistepScheduler" => Ok(Sampler::UniPc),
            "LCMScheduler" => Ok(Sampler::Lcm),
            "PNDMScheduler" => Ok(Sampler::Pndm),
            _ => Err(Error::Spec(format!(
                "the folder's scheduler {class} has no sampler here; name one of {}",
                Sampler::names(Sampler::DIFFUSION)
            ))),
        }
    }

    /// T, the steps of the training schedule.
    pub fn train_timesteps(&self) -> usize {
        match &self.trained_betas {
            Some(betas) => betas.len(),
            None => self.num_train_timesteps.unwrap_or(1000),
        }
    }

    /// What the UNet predicts.
    pub fn prediction(&self) -> Prediction {
        self.prediction_type.unwrap_or(Prediction::Epsilon)
    }

    pub(in crate::engines::sd) fn spacing(&self, sampler: Sampler) -> Spacing {
        self.timestep_spacing.unwrap_or(match sampler {
            Sampler::Ddim | Sampler::Pndm | Sampler::Lcm => Spacing::Leading,
            _ => Spacing::Linspace,
        })
    }

    pub(in crate::engines::sd) fn offset(&self) -> usize {
        self.steps_offset.unwrap_or(0)
    }
}

/// Python writes infinities bare, which JSON does not know; as `null` they become the default.
fn without_infinities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (i, part) in text.split('"').enumerate() {
        if i > 0 {
            out.push('"');
        }
        if i % 2 == 0 {
            let part = part
                .replace("-Infinity", "null")
                .replace("Infinity", "null");
            out.push_str(&part.replace("NaN", "null"));
        } else {
            out.push_str(part);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<SchedulerConfig> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("scheduler_config.json");
        std::fs::write(&file, json).unwrap();
        SchedulerConfig::read(&file)
    }

    #[test]
    fn keys_are_optional_null_or_harmless() {
        let config = read(
            r#"{"_class_name": "DPMSolverMultistepScheduler", "lambda_min_clipped": -Infinity, "trained_betas": null,
                "_note": [1, {"a": "-Infinity"}], "some_future_key": null, "use_karras_sigmas": true,
                "variance_type": "fixed_small", "rho": 7.0, "use_dynamic_shifting": false}"#,
        )
        .unwrap();
        assert_eq!(config.lambda_min_clipped, None);
        assert_eq!(
            config.default_sampler().unwrap(),
            Sampler::DpmPlusPlus2mKarras
        );
        assert_eq!(config.prediction(), Prediction::Epsilon);
        assert_eq!(config.spacing(Sampler::Ddim), Spacing::Leading);
        assert_eq!(config.spacing(Sampler::Euler), Spacing::Linspace);
    }

    #[test]
    fn faults_name_the_file() {
        for (json, message) in [
            (r#"{"beta_start": 2.0}"#, "betas lie between 0 and 1"),
            (r#"{"num_train_timesteps": 0}"#, "num_train_timesteps is 0"),
            (
                r#"{"num_train_timesteps": 99999999999}"#,
                "num_train_timesteps is 99999999999",
            ),
            (r#"{"trained_betas": []}"#, "num_train_timesteps is 0"),
            (r#"{"prediction_type": "flow"}"#, "unknown variant"),
            ("[1, 2", "not a scheduler configuration"),
            (
                r#"{"variance_type": "learned_range"}"#,
                "variance_type is learned_range",
            ),
            (
                r#"{"use_dynamic_shifting": true}"#,
                "use_dynamic_shifting is true",
            ),
            (
                r#"{"some_future_key": [1]}"#,
                "some_future_key is not known",
            ),
        ] {
            let error = read(json).unwrap_err().to_string();
            assert!(
                error.contains(message) && error.contains("scheduler_config.json"),
                "{error}"
            );
        }
    }

    #[test]
    fn an_unknown_class_is_named() {
        let config = read(r#"{"_class_name": "HeunDiscreteScheduler"}"#).unwrap();
        let error = config.default_sampler().unwrap_err().to_string();
        assert!(
            error.contains("HeunDiscreteScheduler") && error.contains("dpm++2m-karras"),
            "{error}"
        );
    }
}
