//! What a fusion is asked for.

use promptfed_learn::Recipe;
use serde::{Deserialize, Serialize};

use super::quotas::Softmax;
use super::select::Mode;
use super::signals::Needs;
use super::soft_labels::SoftLabels;
use super::weights::WeightAdjustment;
use crate::{Error, Result};

/// A whole fusion: everything that, with the sets, decides which images are chosen and what they weigh.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FuseSpec {
    /// How images are chosen.
    pub select: Mode,
    /// Images chosen in all; every mode but `all` needs it.
    pub keep: Option<u64>,
    /// What the backends' shares follow; without it each class and domain is chosen from all backends together.
    pub quotas: Option<QuotaSource>,
    /// How scores become shares.
    pub softmax: Softmax,
    /// How weights are adjusted; without it every image weighs 1.
    pub weights: Option<WeightAdjustment>,
    /// How the chosen images' labels are softened; without it an image is of its class alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soft_labels: Option<SoftLabels>,
    /// The task models.
    pub task: TaskSpec,
    /// Whether what the selection does not read is worked out too, for the lineage: confidence, variability, influence.
    pub signals: bool,
    /// Seed of the task models and of what is drawn at random.
    pub seed: u64,
}

/// What says how useful each backend's images are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QuotaSource {
    /// How much better each backend's task model names the others' images than the other models do ([`Transfer`](super::signals::Transfer)).
    Transfer,
    /// What clients found on private images ([`Feedback`](super::Feedback)).
    Feedback,
}

/// The small models that are trained on each backend's images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    /// What a task model is.
    pub model: TaskKind,
    /// How a network is trained; its seed is replaced by one of each model.
    pub recipe: Recipe,
    /// Most images that a task model is trained on, drawn at random; 2 or more.
    pub images: u64,
}

/// What a task model is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskKind {
    /// A small residual network, trained from scratch. This is the default.
    #[default]
    Network,
    /// Logistic regression on the frozen features of EfficientNet-lite0.
    Features,
}

impl std::str::FromStr for TaskKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "network" => Ok(Self::Network),
            "features" => Ok(Self::Features),
            _ => Err(format!(
                "unknown task model {text:?}; there are network, features"
            )),
        }
    }
}

impl Default for TaskSpec {
    fn default() -> Self {
        let recipe = Recipe {
            width: 16,
            validation_fraction: 0.0,
            ..Recipe::default()
        };
        Self {
            model: TaskKind::default(),
            recipe: recipe.with(20, 0),
            images: 4000,
        }
    }
}

impl FuseSpec {
    /// A fusion by this mode with no quotas, all weights 1, hard labels, the default task models and seed 0.
    pub fn new(select: Mode, keep: Option<u64>) -> Self {
        Self {
            select,
            keep,
            quotas: None,
            softmax: Softmax::default(),
            weights: None,
            soft_labels: None,
            task: TaskSpec::default(),
            signals: false,
            seed: 0,
        }
    }

    /// The signals that are worked out.
    pub fn needs(&self) -> Needs {
        let mut needs = self.select.select().needs();
        needs.agreement |= self.signals
            || self.quotas == Some(QuotaSource::Transfer)
            || self.soft_labels.is_some();
        needs.influence |= self.signals;
        needs
    }

    /// Whether EfficientNet-lite0 is looked through.
    pub fn needs_network(&self) -> bool {
        let needs = self.needs();
        let models = needs.agreement || needs.influence;
        needs.features || models && self.task.model == TaskKind::Features
    }

    /// Checks everything before any work is done.
    ///
    /// # Errors
    /// [`Error::Fusion`] for the first fault.
    pub fn validate(&self) -> Result<()> {
        self.softmax.validate()?;
        if let Some(weights) = &self.weights {
            weights.validate()?;
        }
        if let Some(soft) = &self.soft_labels {
            soft.validate()?;
        }
        let fault = match (self.select, self.keep) {
            (Mode::All, Some(_)) => {
                "the selection `all` keeps everything; leave out the number, or choose another"
            }
            (Mode::All, None) if self.quotas.is_some() => {
                "the selection `all` keeps everything, whatever the quotas; choose another, such as `random`"
            }
            (Mode::All, None) => return self.validate_task(),
            (_, None) => "say how many images are kept",
            (_, Some(0)) => "0 images are kept; ask for 1 or more",
            _ => return self.validate_task(),
        };
        Err(Error::Fusion(fault.into()))
    }

    fn validate_task(&self) -> Result<()> {
        if self.task.images < 2 {
            return Err(Error::Fusion(
                "a task model is trained on 2 images or more".into(),
            ));
        }
        Ok(self.task.recipe.training.validate()?)
    }
}

/// A seed for one purpose.
pub(super) fn seed_of(seed: u64, purpose: &str) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key("promptfed synth 2026 fuse seed v1");
    hasher.update(&seed.to_le_bytes());
    hasher.update(purpose.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::seed_of;
    use serde_json::Value;

    /// `golden/seeds.py` derives them by other code.
    #[test]
    fn seeds_are_derived_as_documented() {
        let golden = include_str!("../../tests/golden/seeds.json");
        let golden: Value = serde_json::from_str(golden).unwrap();
        let cases = golden["fusions"].as_array().unwrap();
        assert!(!cases.is_empty());
        for case in cases {
            let text = |key: &str| case[key].as_str().unwrap();
            let derived = seed_of(text("seed").parse().unwrap(), text("purpose"));
            assert_eq!(derived.to_string(), text("derived"));
        }
    }
}
