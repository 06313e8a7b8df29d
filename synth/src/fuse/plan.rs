//! A round's plan of a fusion as what is asked for here, and back.

use promptfed_learn::Recipe;
use promptfed_prompts::protocol::{self, FusePlan, QuotaPlan, TaskModelKind, TaskPlan};

use super::quotas::Softmax;
use super::soft_labels::SoftLabels;
use super::spec::{FuseSpec, QuotaSource, TaskKind, TaskSpec};
use super::weights::WeightAdjustment;
use crate::{Error, Result};

impl FuseSpec {
    /// What a round's plan asks for, with task models that look at images of `image_size` pixels.
    ///
    /// # Errors
    /// [`Error::Fusion`] for a selection that there is not, and as [`FuseSpec::validate`].
    pub fn of_plan(plan: &FusePlan, image_size: usize, seed: u64) -> Result<Self> {
        let TaskPlan {
            model,
            epochs,
            width,
            images,
        } = plan.task;
        let recipe = Recipe {
            image_size,
            width: width as usize,
            ..TaskSpec::default().recipe
        };
        let spec = Self {
            select: plan.select.parse().map_err(Error::Fusion)?,
            keep: plan.keep,
            quotas: plan.quotas.map(|quotas| match quotas.by {
                protocol::QuotaSource::Transfer => QuotaSource::Transfer,
            }),
            softmax: plan.quotas.map_or_else(Softmax::default, |quotas| Softmax {
                temperature: quotas.temperature,
                floor: quotas.floor,
            }),
            weights: plan
                .adjust_weights
                .map(|iterations| WeightAdjustment { iterations }),
            soft_labels: plan.soft_labels.map(|share| SoftLabels { share }),
            task: TaskSpec {
                model: match model {
                    TaskModelKind::Network => TaskKind::Network,
                    TaskModelKind::Features => TaskKind::Features,
                },
                recipe: recipe.with(epochs as usize, 0),
                images,
            },
            signals: plan.signals,
            seed,
        };
        spec.validate()?;
        Ok(spec)
    }

    /// The plan that asks a round for this; its seed and the size of its images are the round's.
    ///
    /// # Errors
    /// [`Error::Fusion`] for quotas by feedback, which a round's server does not have.
    pub fn plan(&self) -> Result<FusePlan> {
        let by = match self.quotas {
            None => None,
            Some(QuotaSource::Transfer) => Some(protocol::QuotaSource::Transfer),
            Some(QuotaSource::Feedback) => {
                return Err(Error::Fusion(
                    "a round's server has no feedback of clients; choose quotas by transfer".into(),
                ));
            }
        };
        let whole = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Ok(FusePlan {
            select: self.select.to_string(),
            keep: self.keep,
            quotas: by.map(|by| QuotaPlan {
                by,
                temperature: self.softmax.temperature,
                floor: self.softmax.floor,
            }),
            adjust_weights: self.weights.map(|weights| weights.iterations),
            soft_labels: self.soft_labels.map(|soft| soft.share),
            task: TaskPlan {
                model: match self.task.model {
                    TaskKind::Network => TaskModelKind::Network,
                    TaskKind::Features => TaskModelKind::Features,
                },
                epochs: whole(self.task.recipe.training.epochs),
                width: whole(self.task.recipe.width),
                images: self.task.images,
            },
            signals: self.signals,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuse::select::Mode;

    #[test]
    fn what_plans_leave_open_is_what_specifications_leave_open() {
        let json = r#"{"select":"random","keep":9,"quotas":{"by":"transfer"}}"#;
        let plan: FusePlan = serde_json::from_str(json).unwrap();
        let spec = FuseSpec::of_plan(&plan, 32, 0).unwrap();
        let own = FuseSpec {
            quotas: Some(QuotaSource::Transfer),
            ..FuseSpec::new(Mode::Random, Some(9))
        };
        assert_eq!(spec, own);
        assert_eq!(own.plan().unwrap(), plan);
    }

    #[test]
    fn every_selection_goes_there_and_back() {
        for name in Mode::NAMES {
            let mode: Mode = name.parse().unwrap();
            let mut spec = FuseSpec::new(mode, (mode != Mode::All).then_some(40));
            spec.weights = Some(WeightAdjustment { iterations: 3 });
            spec.soft_labels = Some(SoftLabels { share: 0.4 });
            spec.task.model = TaskKind::Features;
            spec.task.images = 77;
            spec.task.recipe = spec.task.recipe.with(5, 0);
            spec.signals = true;
            spec.seed = 4;
            let plan = spec.plan().unwrap();
            let size = spec.task.recipe.image_size;
            assert_eq!(FuseSpec::of_plan(&plan, size, 4).unwrap(), spec, "{name}");
        }
    }

    #[test]
    fn what_a_round_cannot_do_is_refused() {
        let mut plan = FuseSpec::new(Mode::Random, Some(9)).plan().unwrap();
        plan.select = "best".into();
        let told = FuseSpec::of_plan(&plan, 32, 0).unwrap_err().to_string();
        assert!(told.contains("there are all, random"), "{told}");
        let mut spec = FuseSpec::new(Mode::Random, Some(9));
        spec.quotas = Some(QuotaSource::Feedback);
        assert!(spec.plan().unwrap_err().to_string().contains("transfer"));
    }
}
