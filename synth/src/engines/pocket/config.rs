//! `config.json`: the shape of the network and how it is sampled.

use std::path::Path;

use promptfed_nn::load::folder::read_checked;
use serde::Deserialize;

use crate::{Result, Sampler, SamplingDefaults};

/// The configuration of a set of `pocket` weights, as its `config.json` says.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    architecture: Architecture,
    /// Entries of the tokenizer.
    pub vocab: usize,
    /// Height and width of the images in pixels.
    pub size: usize,
    /// Height and width of a patch in pixels; divides `size`.
    pub patch: usize,
    /// Width of the image network.
    pub d: usize,
    /// Blocks of the image network.
    pub depth: usize,
    /// Attention heads of the image network; divides `d`.
    pub heads: usize,
    /// Tokens of a prompt, padding among them.
    pub text_len: usize,
    /// Width of the text encoder.
    pub text_width: usize,
    /// Blocks of the text encoder.
    pub text_depth: usize,
    /// Attention heads of the text encoder; divides `text_width`.
    pub text_heads: usize,
    /// Tokens that the image network sees of a prompt.
    pub text_tokens: usize,
    /// What the network predicts.
    pub prediction: Prediction,
    /// How the weights were made to be sampled.
    pub sampler: SamplerConfig,
    /// Optimiser steps behind the weights, where known.
    pub train_steps: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Architecture {
    Pocket,
}

/// What the network predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Prediction {
    /// The clean image.
    X,
}

/// How the weights were made to be sampled.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamplerConfig {
    /// Integration method.
    pub kind: Sampler,
    /// Integration steps.
    pub steps: u32,
    /// Guidance scale.
    pub guidance: f32,
    /// Times from and to which guidance acts, both included; 0 is noise, 1 is the image.
    pub interval: [f64; 2],
    /// How much smaller the first steps are than the last: u becomes t = u / (u + shift (1 - u)). 1, the default, makes
    /// all steps equal.
    #[serde(default = "no_shift")]
    pub shift: f32,
}

fn no_shift() -> f32 {
    1.0
}

/// No shape of a usable model lies beyond this.
const LARGEST: usize = 1 << 20;

impl Config {
    /// Reads and checks a `config.json`.
    ///
    /// # Errors
    /// A file that cannot be read, is no such JSON, or describes no network; each names the file and the key.
    pub fn read(file: &Path) -> Result<Self> {
        Ok(read_checked(file, Self::fault)?)
    }

    /// Patches of an image.
    pub fn patches(&self) -> usize {
        (self.size / self.patch).pow(2)
    }

    /// Values of a patch.
    pub fn patch_values(&self) -> usize {
        3 * self.patch * self.patch
    }

    /// The settings the weights were made for.
    pub(super) fn defaults(&self) -> SamplingDefaults {
        SamplingDefaults {
            steps: self.sampler.steps,
            guidance: self.sampler.guidance,
            sampler: self.sampler.kind,
        }
    }

    fn fault(&self) -> Option<String> {
        let shapes = [
            ("vocab", self.vocab),
            ("size", self.size),
            ("patch", self.patch),
            ("d", self.d),
            ("depth", self.depth),
            ("heads", self.heads),
            ("text_len", self.text_len),
            ("text_width", self.text_width),
            ("text_depth", self.text_depth),
            ("text_heads", self.text_heads),
            ("text_tokens", self.text_tokens),
        ];
        if let Some((name, value)) = shapes.iter().find(|(_, v)| !(1..=LARGEST).contains(v)) {
            return Some(format!(
                "{name} is {value}; it lies between 1 and {LARGEST}"
            ));
        }
        let divisions = [
            ("size", self.size, "patch", self.patch),
            ("d", self.d, "heads", self.heads),
            ("text_width", self.text_width, "text_heads", self.text_heads),
        ];
        if let Some((a, x, b, y)) = divisions.iter().find(|(_, x, _, y)| x % y != 0) {
            return Some(format!("{a} ({x}) is not a multiple of {b} ({y})"));
        }
        let SamplerConfig {
            steps,
            guidance,
            interval: [from, to],
            shift,
            ..
        } = self.sampler;
        if steps == 0
            || !guidance.is_finite()
            || !(0.0..=1.0).contains(&from)
            || !(from..=1.0).contains(&to)
            || !(0.05..=20.0).contains(&shift)
        {
            return Some(format!(
                "sampler has {steps} steps, guidance {guidance}, interval {from} to {to}, shift {shift}; steps begin at 1, the interval lies within 0 to 1, the shift within 0.05 to 20"
            ));
        }
        if !Sampler::FLOW.contains(&self.sampler.kind) {
            return Some(format!(
                "sampler {} does not fit this network; there are {}",
                self.sampler.kind,
                Sampler::names(Sampler::FLOW)
            ));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Config> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.json");
        std::fs::write(&file, json).unwrap();
        Config::read(&file)
    }

    fn shipped() -> String {
        std::fs::read_to_string(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../assets/pocket/all/config.json"
        ))
        .unwrap()
    }

    #[test]
    fn the_shipped_configuration_is_followed() {
        let config = read(&shipped()).unwrap();
        assert_eq!(
            (config.size, config.patch, config.d, config.depth),
            (32, 8, 384, 4)
        );
        assert_eq!((config.patches(), config.patch_values()), (16, 192));
        let own = config.defaults();
        assert_eq!((own.sampler, own.steps), (Sampler::Ab2, 8));
        assert_eq!(config.sampler.shift, 2.5);
    }

    #[test]
    fn faults_are_named() {
        let faults = [
            ("\"patch\": 8", "\"patch\": 7", "multiple of patch"),
            ("\"heads\": 6", "\"heads\": 0", "heads is 0"),
            (
                "\"prediction\": \"x\"",
                "\"prediction\": \"v\"",
                "unknown variant",
            ),
            ("\"kind\": \"ab2\"", "\"kind\": \"ddpm\"", "unknown variant"),
            ("\"pocket\"", "\"unet\"", "unknown variant"),
            ("\"steps\": 8", "\"steps\": 0", "0 steps"),
            ("\"shift\": 2.5", "\"shift\": 0", "shift 0"),
            ("\"depth\": 4,", "", "missing field"),
        ];
        for (from, to, message) in faults {
            let text = shipped().replace(from, to);
            assert_ne!(text, shipped(), "{from} does not occur");
            let error = read(&text).unwrap_err().to_string();
            assert!(
                error.contains(message) && error.contains("config.json"),
                "{error}"
            );
        }
    }
}
