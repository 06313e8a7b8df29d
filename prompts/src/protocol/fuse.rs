//! How a round's images are fused: what is asked for, and what came of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::name::check_setting;
use super::plan::{ImageBudget, SynthesisPlan, check_integer, check_number};
use super::problem::InvalidMessage;
use crate::ContentHash;

/// The selection that keeps every image.
const EVERYTHING: &str = "all";

/// How images of several sources are chosen and weighed before training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, expecting = "an object with `select` and `keep`")]
pub struct FusePlan {
    /// The selection, as `promptfed fuse --select` takes it, for example `random` or `cartography:0.5`. The server refuses one that it does
    /// not have, and says which there are.
    pub select: String,
    /// Images that are chosen in all, 1 to the number that is made; the selection `all`, which keeps everything, has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<u64>,
    /// What each source's share of a class and domain follows; without it, they are chosen from all sources together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quotas: Option<QuotaPlan>,
    /// Times that the images' weights are adjusted by training on them, 1 to 1000; without it each image weighs 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adjust_weights: Option<u32>,
    /// The part that the votes of the other sources' task models have in an image's label in training, above 0 and at most 1; without it an
    /// image is of its class alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soft_labels: Option<f64>,
    /// The models that say which source is good at what; they look at images at the size of the central model.
    #[serde(default)]
    pub task: TaskPlan,
    /// Whether confidence, variability and influence are worked out also where the selection does not read them.
    #[serde(default)]
    pub signals: bool,
}

/// How the sources' shares follow from scores: `floor / K + (1 - floor) softmax(score / temperature)` for `K` sources.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, expecting = "an object with `by`")]
pub struct QuotaPlan {
    /// Where the scores come from.
    pub by: QuotaSource,
    /// Scores that differ by it have shares that differ by a factor of e, above 0 and at most 1000; 0.05 where a plan does not say.
    #[serde(default = "own::temperature")]
    pub temperature: f64,
    /// The part that is dealt evenly whatever the scores, 0 to 1; 0.2 where a plan does not say.
    #[serde(default = "own::floor")]
    pub floor: f64,
}

/// What says how useful each source's images are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum QuotaSource {
    /// How much better each source's task model names the images of the others than the other models do; for three sources or more.
    Transfer,
}

/// A small model of each source, trained on its images alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "an object with the settings of the task models"
)]
pub struct TaskPlan {
    /// What it is.
    pub model: TaskModelKind,
    /// Passes of a network over its images, 1 to 10,000; 20 where a plan does not say.
    pub epochs: u32,
    /// Channels of a network's first stage, 1 to 512; 16 where a plan does not say.
    pub width: u32,
    /// Most images that it is trained on, 2 to 10,000,000; 4000 where a plan does not say.
    pub images: u64,
}

impl Default for TaskPlan {
    fn default() -> Self {
        Self {
            model: TaskModelKind::default(),
            epochs: 20,
            width: 16,
            images: 4000,
        }
    }
}

/// What a task model is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum TaskModelKind {
    /// A small residual network. This is the default.
    #[default]
    Network,
    /// Logistic regression on the features of EfficientNet-lite0.
    Features,
}

impl FusePlan {
    /// Checks every range, and that the images of this synthesis can be fused so. Which selections there are only a server knows.
    ///
    /// # Errors
    /// Names the first field that is out of its range.
    pub(super) fn validate(&self, synthesis: &SynthesisPlan) -> Result<(), InvalidMessage> {
        let sources = synthesis.sources.len();
        check_setting("synthesis.fuse.select", &self.select)?;
        if sources < 2 {
            let rule = "two sources or more, or no fusion";
            return Err(InvalidMessage::new("synthesis.fuse", "of one source", rule));
        }
        self.validate_keep(synthesis.images)?;
        if let Some(quotas) = self.quotas {
            if self.select == EVERYTHING {
                let rule = "none where everything is kept, or another selection such as `random`";
                return Err(InvalidMessage::new(
                    "synthesis.fuse.quotas",
                    "without effect",
                    rule,
                ));
            }
            quotas.validate(sources)?;
        }
        if let Some(times) = self.adjust_weights {
            check_integer("synthesis.fuse.adjust_weights", times.into(), 1..=1000)?;
        }
        if let Some(share) = self.soft_labels {
            check_number("synthesis.fuse.soft_labels", share, f64::MIN_POSITIVE..=1.0)?;
        }
        let TaskPlan {
            epochs,
            width,
            images,
            ..
        } = self.task;
        check_integer("synthesis.fuse.task.epochs", epochs.into(), 1..=10_000)?;
        check_integer("synthesis.fuse.task.width", width.into(), 1..=512)?;
        check_integer("synthesis.fuse.task.images", images, 2..=10_000_000)
    }

    fn validate_keep(&self, images: ImageBudget) -> Result<(), InvalidMessage> {
        const FIELD: &str = "synthesis.fuse.keep";
        let most = match images {
            ImageBudget::Total(images) => images,
            ImageBudget::PerPrompt(_) => 10_000_000,
        };
        let fault = |value: String, rule: String| Err(InvalidMessage::new(FIELD, value, rule));
        match (self.select.as_str(), self.keep) {
            (EVERYTHING, None) => Ok(()),
            (EVERYTHING, Some(keep)) => fault(
                keep.to_string(),
                "none where everything is kept, or another selection such as `random`".to_owned(),
            ),
            (_, None) => fault(
                "missing".to_owned(),
                format!("an integer from 1 to {most}, or the selection `{EVERYTHING}`"),
            ),
            (_, Some(keep)) => check_integer(FIELD, keep, 1..=most),
        }
    }
}

impl QuotaPlan {
    fn validate(self, sources: usize) -> Result<(), InvalidMessage> {
        if sources < 3 {
            let rule = "three sources or more, of which each is judged by the images of another and the model of a third";
            return Err(InvalidMessage::new(
                "synthesis.fuse.quotas",
                "by transfer between two sources",
                rule,
            ));
        }
        check_number(
            "synthesis.fuse.quotas.temperature",
            self.temperature,
            f64::MIN_POSITIVE..=1000.0,
        )?;
        check_number("synthesis.fuse.quotas.floor", self.floor, 0.0..=1.0)
    }
}

mod own {
    pub(super) fn temperature() -> f64 {
        0.05
    }

    pub(super) fn floor() -> f64 {
        0.2
    }
}

/// What a fusion chose.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FusionSummary {
    /// Images that were there.
    pub made: u64,
    /// Images that were chosen; the central model is trained on these.
    pub chosen: u64,
    /// Images chosen of each class, in the label space's order.
    pub per_class: Vec<u64>,
    /// Each source's part, sorted by name; a source without images has none.
    pub sources: Vec<FusedSource>,
    /// Hash of the record of everything that determines the choice, `fuse.json`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub record_hash: ContentHash,
    /// Hash of the list of chosen images and their weights, `fused.jsonl`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub chosen_hash: ContentHash,
    /// Wall time in seconds by stage; stages that an earlier run of the job had ended are not counted again.
    pub seconds: BTreeMap<String, f64>,
}

/// One source's part in a fusion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FusedSource {
    /// Its name.
    pub name: String,
    /// Images of it that were there.
    pub made: u64,
    /// Images of it that were chosen.
    pub chosen: u64,
    /// The mean weight of those, where images weigh 1 on average; nothing where none was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_weight: Option<f64>,
    /// What was chosen of each class, in the label space's order.
    pub classes: Vec<FusedPart>,
    /// What was chosen of each domain; empty where images have none.
    pub domains: BTreeMap<String, FusedPart>,
}

/// What was chosen of a source's images of a class or a domain, and how good it is at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FusedPart {
    /// Images chosen.
    pub chosen: u64,
    /// How useful its images were found, where that was worked out: how much more of the others' images its task model names rightly than the
    /// other models do, -1 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::SourcePlan;

    fn synthesis(json: &str) -> SynthesisPlan {
        SynthesisPlan {
            sources: ["a", "b", "c"].map(SourcePlan::new).into(),
            images: ImageBudget::Total(300),
            steps: None,
            guidance: None,
            sampler: None,
            min_clip_score: None,
            fuse: Some(serde_json::from_str(json).unwrap()),
            seed: 0,
        }
    }

    #[test]
    fn what_a_plan_leaves_open_has_a_meaning() {
        let plan = synthesis(r#"{"select":"random","keep":100,"quotas":{"by":"transfer"}}"#);
        plan.validate().unwrap();
        let fuse = plan.fuse.clone().unwrap();
        let quotas = fuse.quotas.unwrap();
        assert_eq!((quotas.temperature, quotas.floor), (0.05, 0.2));
        assert_eq!(fuse.task, TaskPlan::default());
        let json = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<SynthesisPlan>(&json).unwrap(), plan);
    }

    #[test]
    fn a_plan_without_fusion_reads_as_before() {
        let json = r#"{"engine":"pocket","images":{"per_prompt":1},"seed":1}"#;
        let plan: SynthesisPlan = serde_json::from_str(json).unwrap();
        assert_eq!(plan.fuse, None);
        assert!(!serde_json::to_string(&plan).unwrap().contains("fuse"));
    }

    #[test]
    fn what_a_round_is_not_told_is_refused_when_it_is_read() {
        for json in [
            r#"{"keep":3}"#,
            r#"{"select":"random","kept":3}"#,
            r#"{"select":"random","keep":3,"quotas":"transfer"}"#,
            r#"{"select":"random","keep":3,"quotas":{"by":"feedback"}}"#,
            r#"{"select":"random","keep":3,"quotas":{"by":"transfer","heat":1}}"#,
            r#"{"select":"random","keep":3,"task":{"layers":2}}"#,
        ] {
            assert!(serde_json::from_str::<FusePlan>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn every_range_is_checked() {
        type Break = fn(&mut SynthesisPlan, &mut FusePlan);
        let breaks: [(&str, Break); 18] = [
            ("select", |_, f| f.select.clear()),
            ("keep", |_, f| f.keep = None),
            ("keep", |_, f| f.keep = Some(0)),
            ("keep", |_, f| f.keep = Some(301)),
            ("keep", |s, f| {
                s.images = ImageBudget::PerPrompt(3);
                f.keep = Some(10_000_001);
            }),
            ("keep", |_, f| f.select = "all".into()),
            ("quotas", |_, f| {
                f.select = "all".into();
                f.keep = None;
            }),
            ("quotas", |s, _| s.sources.truncate(2)),
            ("", |s, f| {
                s.sources.truncate(1);
                f.quotas = None;
            }),
            ("quotas.temperature", |_, f| quotas(f).temperature = 0.0),
            ("quotas.temperature", |_, f| {
                quotas(f).temperature = f64::NAN
            }),
            ("quotas.floor", |_, f| quotas(f).floor = 1.1),
            ("adjust_weights", |_, f| f.adjust_weights = Some(0)),
            ("soft_labels", |_, f| f.soft_labels = Some(0.0)),
            ("soft_labels", |_, f| f.soft_labels = Some(1.1)),
            ("task.epochs", |_, f| f.task.epochs = 0),
            ("task.width", |_, f| f.task.width = 513),
            ("task.images", |_, f| f.task.images = 1),
        ];
        fn quotas(fuse: &mut FusePlan) -> &mut QuotaPlan {
            fuse.quotas.as_mut().unwrap()
        }
        for (field, break_it) in breaks {
            let mut plan =
                synthesis(r#"{"select":"random","keep":300,"quotas":{"by":"transfer"}}"#);
            plan.validate().unwrap();
            let mut fuse = plan.fuse.clone().unwrap();
            break_it(&mut plan, &mut fuse);
            plan.fuse = Some(fuse);
            let error = plan.validate().unwrap_err();
            let found = error.field().strip_prefix("synthesis.fuse").unwrap();
            assert_eq!(found.trim_start_matches('.'), field, "{error}");
        }
    }

    #[test]
    fn two_sources_and_everything_can_be_fused_without_quotas() {
        let mut plan = synthesis(r#"{"select":"easy","keep":9}"#);
        plan.sources.truncate(2);
        plan.validate().unwrap();
        plan.fuse = Some(serde_json::from_str(r#"{"select":"all"}"#).unwrap());
        plan.validate().unwrap();
    }
}
