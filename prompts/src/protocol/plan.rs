//! What a round is to do: agreed before any client submits.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::fuse::FusePlan;
use super::name::{check_name, check_setting};
use super::problem::InvalidMessage;
use crate::{Error, LabelSpace, Level, MAX_PROMPTS, PromptSet, TemplateSet};

/// A whole round: the label space, how images are made, how the central model is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(
    deny_unknown_fields,
    expecting = "a round: an object with `label_space`, `synthesis` and `training`"
)]
pub struct RoundSpec {
    /// A name for people: 1 to 100 bytes of visible text.
    pub name: String,
    /// The classes; every submission must carry this label space's hash.
    #[cfg_attr(feature = "openapi", schema(value_type = super::schemas::LabelSpaceSchema))]
    pub label_space: LabelSpace,
    /// What prompts tell and how they are worded; without it the first submission decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompts: Option<PromptPlan>,
    /// How images are made from the pooled prompts.
    pub synthesis: SynthesisPlan,
    /// How the central model is trained on them.
    pub training: TrainingPlan,
    /// The round closes by itself once so many clients have submitted, 1 to 1,000,000; without it an administrator closes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_clients: Option<u32>,
    /// Whether clients that submitted nothing may fetch results and model too; they may not where a plan does not say.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub open_results: bool,
}

/// Most images that a round makes.
const MAX_IMAGES: u64 = 10_000_000;

impl RoundSpec {
    /// Checks every range. The label space checks itself when it is made.
    ///
    /// # Errors
    /// Names the first field that is out of its range.
    pub fn validate(&self) -> Result<(), InvalidMessage> {
        check_name("name", &self.name)?;
        if let Some(clients) = self.expected_clients {
            check_integer("expected_clients", clients.into(), 1..=1_000_000)?;
        }
        if let Some(prompts) = &self.prompts {
            prompts.validate()?;
        }
        self.synthesis.validate()?;
        self.training.validate()
    }

    /// Most distinct prompts of all clients together: what a prompt set holds, and no more than keeps a round that counts images for each
    /// prompt within ten million.
    pub fn most_pooled_prompts(&self) -> u64 {
        let most = MAX_PROMPTS as u64;
        match self.synthesis.images {
            ImageBudget::Total(_) => most,
            ImageBudget::PerPrompt(images) => {
                let each = u64::from(images) * self.synthesis.sources.len() as u64;
                (MAX_IMAGES / each.max(1)).clamp(1, most)
            }
        }
    }

    /// Most distinct classes of all clients together: every engine makes an image of each.
    pub fn most_pooled_classes(&self) -> u64 {
        let shares = self
            .synthesis
            .shares()
            .into_iter()
            .map(|share| match share {
                ImageBudget::Total(images) => images,
                ImageBudget::PerPrompt(_) => u64::MAX,
            });
        shares.min().unwrap_or(u64::MAX)
    }
}

/// What every client of a round puts into its prompts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(
    deny_unknown_fields,
    expecting = "an object with `level` and `templates`"
)]
pub struct PromptPlan {
    /// How much of each image its prompt tells.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub level: Level,
    /// The texts around class, domain and caption.
    #[cfg_attr(feature = "openapi", schema(value_type = super::schemas::TemplateSetSchema))]
    pub templates: TemplateSet,
    /// Most distinct prompts of one client, 1 to 1,000,000; without it, what a prompt set holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_per_client: Option<u32>,
}

impl PromptPlan {
    /// Checks that there is a template of the level, and the quota. The templates check themselves when they are made.
    ///
    /// # Errors
    /// When there is none, or the quota is out of its range.
    pub fn validate(&self) -> Result<(), InvalidMessage> {
        if let Some(quota) = self.max_per_client {
            check_integer(
                "prompts.max_per_client",
                quota.into(),
                1..=MAX_PROMPTS as u64,
            )?;
        }
        if self.templates.has_level(self.level) {
            return Ok(());
        }
        let rule = format!("a set with {}-level templates", self.level);
        Err(InvalidMessage::new(
            "prompts.templates",
            self.templates.name(),
            rule,
        ))
    }

    /// Checks that a client's prompts are of this level, worded by these templates, and no more than the quota.
    ///
    /// # Errors
    /// [`Error::LevelNotAgreed`], [`Error::QuotaExceeded`], [`Error::TemplateNotAgreed`], or [`Error::NoTemplate`] for a domain that the plan has no
    /// template for.
    pub fn check(&self, prompts: &PromptSet) -> Result<(), Error> {
        if prompts.level() != self.level {
            return Err(Error::LevelNotAgreed {
                found: prompts.level(),
                agreed: self.level,
            });
        }
        if let Some(agreed) = self
            .max_per_client
            .filter(|quota| prompts.len() > *quota as usize)
        {
            return Err(Error::QuotaExceeded {
                found: prompts.len(),
                agreed,
            });
        }
        for (domain, template) in prompts.templates() {
            let agreed = self.templates.for_prompt(self.level, domain)?;
            if template != agreed {
                return Err(Error::TemplateNotAgreed {
                    domain: domain.cloned(),
                    found: Box::new(template.clone()),
                    agreed: Box::new(agreed.clone()),
                });
            }
        }
        Ok(())
    }
}

/// How images are made from prompts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(
    deny_unknown_fields,
    expecting = "an object with `engine`, `images` and `seed`"
)]
pub struct SynthesisPlan {
    /// The engines that make the images, 1 to 16, each once.
    #[serde(alias = "engine", deserialize_with = "own::sources")]
    pub sources: Vec<SourcePlan>,
    /// How many images.
    pub images: ImageBudget,
    /// Denoising steps for each image, 1 to 1000; without it the engine's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
    /// Classifier-free guidance; without it the engine's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guidance: Option<GuidancePlan>,
    /// The sampler's name, for example `euler`; without it the engine's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampler: Option<String>,
    /// Least probability of an image's class among all classes as the server's CLIP model sees it, above 0 and at most 1;
    /// without it no image is judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_clip_score: Option<f64>,
    /// How the images of several sources are chosen and weighed; without it the central model is trained on all of them alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuse: Option<FusePlan>,
    /// Seed of the whole job; each image's seed is derived from it.
    pub seed: u64,
}

/// An engine of a round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SourcePlan {
    /// The engine's name, for example `pocket`.
    pub engine: String,
    /// Its parts of the images in all, 1 to 1000; 1 where a plan does not say. Where images are counted for each prompt, every engine makes
    /// them all and this is 1.
    #[serde(default = "own::share")]
    pub share: u32,
}

impl SourcePlan {
    /// An engine with one part.
    pub fn new(engine: impl Into<String>) -> Self {
        Self {
            engine: engine.into(),
            share: own::share(),
        }
    }
}

impl SynthesisPlan {
    /// The images of every source, in order: a total is dealt out by shares, as differences of rounded-down running totals.
    pub fn shares(&self) -> Vec<ImageBudget> {
        let ImageBudget::Total(images) = self.images else {
            return vec![self.images; self.sources.len()];
        };
        let parts = self.sources.iter().map(|source| u128::from(source.share));
        let whole = parts.clone().sum::<u128>().max(1);
        let mut before = 0;
        parts
            .map(|part| {
                let up_to = |parts: u128| (u128::from(images) * parts / whole) as u64;
                let share = up_to(before + part) - up_to(before);
                before += part;
                ImageBudget::Total(share)
            })
            .collect()
    }

    fn validate_sources(&self) -> Result<(), InvalidMessage> {
        check_integer("synthesis.sources", self.sources.len() as u64, 1..=16)?;
        let per_prompt = matches!(self.images, ImageBudget::PerPrompt(_));
        for (i, source) in self.sources.iter().enumerate() {
            check_setting("synthesis.sources.engine", &source.engine)?;
            let most = if per_prompt { 1 } else { 1000 };
            check_integer("synthesis.sources.share", source.share.into(), 1..=most)?;
            if self.sources[..i].iter().any(|s| s.engine == source.engine) {
                let rule = "names of which each stands once";
                return Err(InvalidMessage::new(
                    "synthesis.sources.engine",
                    &source.engine,
                    rule,
                ));
            }
        }
        if let Some(i) = self
            .shares()
            .iter()
            .position(|s| *s == ImageBudget::Total(0))
            && self.images != ImageBudget::Total(0)
        {
            let rule = format!(
                "enough that each of the {} sources makes one",
                self.sources.len()
            );
            let engine = &self.sources[i].engine;
            return Err(InvalidMessage::new(
                "synthesis.images.total",
                format!("none of {engine}"),
                rule,
            ));
        }
        Ok(())
    }

    /// Checks every range.
    ///
    /// # Errors
    /// Names the first field that is out of its range.
    pub fn validate(&self) -> Result<(), InvalidMessage> {
        self.validate_sources()?;
        if let Some(sampler) = &self.sampler {
            check_setting("synthesis.sampler", sampler)?;
        }
        if let Some(steps) = self.steps {
            check_integer("synthesis.steps", steps.into(), 1..=1000)?;
        }
        if let Some(score) = self.min_clip_score {
            check_number("synthesis.min_clip_score", score, f64::MIN_POSITIVE..=1.0)?;
        }
        match self.images {
            ImageBudget::PerPrompt(images) => {
                check_integer("synthesis.images.per_prompt", images.into(), 1..=10_000)
            }
            ImageBudget::Total(images) => {
                check_integer("synthesis.images.total", images, 1..=10_000_000)
            }
        }?;
        if let Some(fuse) = &self.fuse {
            fuse.validate(self)?;
        }
        self.guidance.map_or(Ok(()), GuidancePlan::validate)
    }
}

/// How many images a round makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ImageBudget {
    /// So many for each distinct prompt, 1 to 10,000.
    PerPrompt(u32),
    /// So many in total, shared evenly by the classes and, inside a class, by its prompts; 1 to 10,000,000.
    Total(u64),
}

/// The classifier-free guidance scales that images are made with; 1 is no guidance. Less would weaken the prompt (at 0 an image
/// shows anything and keeps its label) where an engine does not take it for 1, as diffusers does.
pub const GUIDANCE: RangeInclusive<f64> = 1.0..=50.0;

/// The classifier-free guidance scale of each image, in [`GUIDANCE`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum GuidancePlan {
    /// The same scale for every image.
    Fixed(f64),
    /// Drawn for each image from its own seed, evenly from `low` to `high`.
    Uniform {
        /// The smallest scale.
        low: f64,
        /// The largest scale, at least `low`.
        high: f64,
    },
}

impl GuidancePlan {
    /// Checks the range: for every engine the same.
    ///
    /// # Errors
    /// Names the scale that is out of it.
    pub fn validate(self) -> Result<(), InvalidMessage> {
        let check = |field, value, range: RangeInclusive<f64>| {
            if range.contains(&value) {
                return Ok(());
            }
            let rule = format!(
                "a number from {} to {}, where 1 is no guidance",
                range.start(),
                range.end()
            );
            Err(InvalidMessage::new(field, value, rule))
        };
        match self {
            Self::Fixed(scale) => check("synthesis.guidance.fixed", scale, GUIDANCE),
            Self::Uniform { low, high } => {
                check("synthesis.guidance.uniform.low", low, GUIDANCE)?;
                check(
                    "synthesis.guidance.uniform.high",
                    high,
                    low..=*GUIDANCE.end(),
                )
            }
        }
    }

    /// Whether no image is guided: negative prompts then have no effect.
    pub fn is_off(self) -> bool {
        match self {
            Self::Fixed(scale) | Self::Uniform { high: scale, .. } => scale <= *GUIDANCE.start(),
        }
    }
}

/// How a picture that is not square becomes so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PictureFit {
    /// By its middle; the ends are lost. This is the default.
    #[default]
    Crop,
    /// Whole, between bars.
    Pad,
    /// Whole, stretched.
    Squash,
}

/// The residual blocks of the classifier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ClassifierArchitecture {
    /// Four blocks, for small images. This is the default.
    #[default]
    Small,
    /// Eight blocks (He et al. 2016).
    Resnet18,
}

/// How the central model is trained on the synthetic images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(
    deny_unknown_fields,
    expecting = "an object with the settings of the training"
)]
pub struct TrainingPlan {
    /// Passes over the training images, 1 to 10,000.
    pub epochs: u32,
    /// Images in one step, 1 to 8192.
    pub batch_size: u32,
    /// Peak learning rate, above 0 and at most 10.
    pub learning_rate: f64,
    /// Nesterov momentum, 0 to 0.999; 0.9 where a plan does not say.
    #[serde(default = "own::momentum")]
    pub momentum: f64,
    /// Weight of the uniform distribution in the target, 0 to 0.9.
    pub label_smoothing: f64,
    /// Weight decay, 0 to 1.
    pub weight_decay: f64,
    /// Whether images are mirrored left to right at random; they are where a plan does not say. Classes that differ by a mirror,
    /// such as left and right, need `false`.
    #[serde(default = "own::flip")]
    pub flip: bool,
    /// The largest random shift as a share of the image's side, 0 to 0.5; 0.125 where a plan does not say.
    #[serde(default = "own::shift")]
    pub shift: f64,
    /// Side of the square input in pixels, 8 to 256.
    pub image_size: u32,
    /// How whoever uses the model makes pictures square; by their middle where a plan does not say. Synthetic images are square.
    #[serde(default)]
    pub fit: PictureFit,
    /// Channels of the classifier's first stage, 1 to 512.
    pub width: u32,
    /// The classifier's residual blocks; small ones where a plan does not say.
    #[serde(default)]
    pub architecture: ClassifierArchitecture,
    /// Share of the synthetic images, taken evenly from every class, that only selects the epoch, 0 to 0.5. 0, and a share of too few images
    /// to choose by, keep the last epoch.
    pub validation_fraction: f64,
    /// Seed of the initial weights, the order, the augmentation and the validation split.
    pub seed: u64,
}

/// What a plan means that does not say it: what servers did before plans could.
mod own {
    use serde::{Deserialize, Deserializer};

    use super::SourcePlan;

    pub(super) fn share() -> u32 {
        1
    }

    /// Plans named one engine before they could name several.
    pub(super) fn sources<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<SourcePlan>, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            One(String),
            Several(Vec<SourcePlan>),
        }
        Ok(match Either::deserialize(deserializer)? {
            Either::One(engine) => vec![SourcePlan::new(engine)],
            Either::Several(sources) => sources,
        })
    }

    pub(super) fn momentum() -> f64 {
        0.9
    }

    pub(super) fn flip() -> bool {
        true
    }

    pub(super) fn shift() -> f64 {
        0.125
    }
}

impl TrainingPlan {
    /// Checks every range.
    ///
    /// # Errors
    /// Names the first field that is out of its range.
    pub fn validate(&self) -> Result<(), InvalidMessage> {
        check_integer("training.epochs", self.epochs.into(), 1..=10_000)?;
        check_integer("training.batch_size", self.batch_size.into(), 1..=8192)?;
        check_number(
            "training.learning_rate",
            self.learning_rate,
            f64::MIN_POSITIVE..=10.0,
        )?;
        check_number("training.momentum", self.momentum, 0.0..=0.999)?;
        check_number("training.shift", self.shift, 0.0..=0.5)?;
        check_number("training.label_smoothing", self.label_smoothing, 0.0..=0.9)?;
        check_number("training.weight_decay", self.weight_decay, 0.0..=1.0)?;
        check_integer("training.image_size", self.image_size.into(), 8..=256)?;
        check_integer("training.width", self.width.into(), 1..=512)?;
        check_number(
            "training.validation_fraction",
            self.validation_fraction,
            0.0..=0.5,
        )
    }
}

pub(super) fn check_integer(
    field: &'static str,
    value: u64,
    range: RangeInclusive<u64>,
) -> Result<(), InvalidMessage> {
    if range.contains(&value) {
        return Ok(());
    }
    let rule = format!("an integer from {} to {}", range.start(), range.end());
    Err(InvalidMessage::new(field, value, rule))
}

pub(super) fn check_number(
    field: &'static str,
    value: f64,
    range: RangeInclusive<f64>,
) -> Result<(), InvalidMessage> {
    if range.contains(&value) {
        return Ok(());
    }
    let rule = if *range.start() == f64::MIN_POSITIVE {
        format!("a number above 0 and at most {}", range.end())
    } else {
        format!("a number from {} to {}", range.start(), range.end())
    };
    Err(InvalidMessage::new(field, value, rule))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> RoundSpec {
        RoundSpec {
            name: "round".into(),
            label_space: LabelSpace::from_names("pets", ["cat", "dog"]).unwrap(),
            prompts: Some(PromptPlan {
                level: Level::Class,
                templates: TemplateSet::builtin("pocket").unwrap(),
                max_per_client: Some(1000),
            }),
            synthesis: SynthesisPlan {
                sources: vec![SourcePlan::new("pocket")],
                images: ImageBudget::PerPrompt(2),
                steps: Some(10),
                guidance: Some(GuidancePlan::Uniform {
                    low: 1.0,
                    high: 3.0,
                }),
                sampler: Some("euler".into()),
                min_clip_score: Some(0.5),
                fuse: None,
                seed: u64::MAX,
            },
            training: TrainingPlan {
                epochs: 3,
                batch_size: 8,
                learning_rate: 0.05,
                momentum: 0.8,
                label_smoothing: 0.1,
                weight_decay: 5e-4,
                flip: false,
                shift: 0.25,
                image_size: 32,
                fit: PictureFit::Pad,
                width: 16,
                architecture: ClassifierArchitecture::Resnet18,
                validation_fraction: 0.1,
                seed: 7,
            },
            expected_clients: Some(2),
            open_results: true,
        }
    }

    #[test]
    fn a_spec_survives_json() {
        let spec = spec();
        let json = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<RoundSpec>(&json).unwrap(), spec);
        spec.validate().unwrap();
    }

    #[test]
    fn a_spec_of_before_prompts_were_agreed_is_read() {
        let mut json = serde_json::to_value(spec()).unwrap();
        json.as_object_mut().unwrap().remove("prompts");
        let old: RoundSpec = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(old.prompts, None);
        assert_eq!(serde_json::to_value(&old).unwrap(), json);
        old.validate().unwrap();
        json["prompts"] = serde_json::json!({ "level": "class", "templates": null });
        serde_json::from_value::<RoundSpec>(json).unwrap_err();
    }

    #[test]
    fn prompts_are_held_to_level_and_templates() {
        let set = |level, templates: &str, domain: Option<&str>| {
            let templates = TemplateSet::builtin(templates).unwrap();
            let mut builder = PromptSet::builder(&spec().label_space, level, &templates);
            let domain = domain.map(|name| crate::Domain::try_from(name).unwrap());
            builder
                .add(crate::ClassIndex::new(1), domain, None)
                .unwrap();
            builder.build().unwrap()
        };
        let plan = |level| PromptPlan {
            level,
            templates: TemplateSet::builtin("pocket").unwrap(),
            max_per_client: None,
        };
        plan(Level::Class)
            .check(&set(Level::Class, "pocket", Some("photo")))
            .unwrap();
        plan(Level::Domain)
            .check(&set(Level::Domain, "pocket", Some("dslr")))
            .unwrap();
        let error = plan(Level::Class)
            .check(&set(Level::Domain, "pocket", Some("photo")))
            .unwrap_err();
        let told = error.to_string();
        assert!(
            told.contains("`domain`") && told.contains("`class`"),
            "{told}"
        );
        let error = plan(Level::Domain)
            .check(&set(Level::Domain, "fgl", Some("dslr")))
            .unwrap_err();
        let told = error.to_string();
        assert!(
            told.contains("{label}, {domain}, high resolution") && told.contains("{a label}"),
            "{told}"
        );
        let mut tight = plan(Level::Class);
        let mut two = PromptSet::builder(&spec().label_space, Level::Class, &tight.templates);
        for class in 0..2 {
            two.add(crate::ClassIndex::new(class), None, None).unwrap();
        }
        let two = two.build().unwrap();
        tight.max_per_client = Some(2);
        tight.check(&two).unwrap();
        tight.max_per_client = Some(1);
        let told = tight.check(&two).unwrap_err().to_string();
        assert!(
            told.contains("2 prompts") && told.contains("--max-prompts 1"),
            "{told}"
        );
        tight.max_per_client = Some(0);
        let told = tight.validate().unwrap_err().to_string();
        assert!(told.contains("prompts.max_per_client"), "{told}");
        let mut none = spec();
        none.prompts = Some(PromptPlan {
            max_per_client: None,
            level: Level::Domain,
            templates: TemplateSet::from_toml(
                "name = \"own\"\n[[templates]]\nlevel = \"class\"\npositive = \"{label}\"",
            )
            .unwrap(),
        });
        let told = none.validate().unwrap_err().to_string();
        assert!(told.contains("prompts.templates"), "{told}");
    }

    #[test]
    fn a_pool_stays_within_the_images_of_a_round() {
        let mut plan = spec();
        plan.synthesis.images = ImageBudget::PerPrompt(2);
        assert_eq!(plan.most_pooled_prompts(), 1_000_000);
        plan.synthesis.images = ImageBudget::PerPrompt(10_000);
        plan.synthesis.sources = ["a", "b"].map(SourcePlan::new).into();
        assert_eq!(plan.most_pooled_prompts(), 500);
        assert_eq!(plan.most_pooled_classes(), u64::MAX);
        plan.synthesis.images = ImageBudget::Total(7);
        assert_eq!(plan.most_pooled_prompts(), 1_000_000);
        // Shares of 3 and 4.
        assert_eq!(plan.most_pooled_classes(), 3);
    }

    #[test]
    fn the_engine_s_own_sampling_needs_no_words() {
        let mut own = spec();
        own.synthesis.steps = None;
        own.synthesis.guidance = None;
        own.synthesis.sampler = None;
        own.synthesis.min_clip_score = None;
        own.validate().unwrap();
        let json = serde_json::to_value(&own).unwrap();
        for field in ["steps", "guidance", "sampler", "min_clip_score"] {
            assert!(json["synthesis"].get(field).is_none(), "{field}");
        }
        assert_eq!(serde_json::from_value::<RoundSpec>(json).unwrap(), own);
    }

    #[test]
    fn a_plan_of_before_means_what_it_meant() {
        let mut json = serde_json::to_value(spec().training).unwrap();
        let fields = json.as_object_mut().unwrap();
        for field in ["momentum", "flip", "shift", "fit", "architecture"] {
            assert!(fields.remove(field).is_some(), "{field}");
        }
        let plan: TrainingPlan = serde_json::from_value(json).unwrap();
        let expected = TrainingPlan {
            momentum: 0.9,
            flip: true,
            shift: 0.125,
            fit: PictureFit::Crop,
            architecture: ClassifierArchitecture::Small,
            ..spec().training
        };
        assert_eq!(plan, expected);
    }

    proptest::proptest! {
        #[test]
        fn shares_add_up_and_are_within_one_of_exact(
            parts in proptest::collection::vec(1u32..=1000, 1..=16),
            images in 1u64..=10_000_000,
        ) {
            let whole: u64 = parts.iter().map(|part| u64::from(*part)).sum();
            let sources = parts.iter().enumerate().map(|(i, share)| SourcePlan {
                engine: i.to_string(),
                share: *share,
            });
            let plan = SynthesisPlan {
                sources: sources.collect(),
                images: ImageBudget::Total(images),
                ..spec().synthesis
            };
            let mut dealt = 0;
            for (share, part) in plan.shares().into_iter().zip(parts) {
                let ImageBudget::Total(share) = share else {
                    panic!("{share:?}")
                };
                dealt += share;
                let exact = images as f64 * f64::from(part) / whole as f64;
                proptest::prop_assert!((share as f64 - exact).abs() <= 1.0);
            }
            proptest::prop_assert_eq!(dealt, images);
        }
    }

    #[test]
    fn a_plan_of_one_engine_is_read() {
        let mut json = serde_json::to_value(spec()).unwrap();
        let synthesis = json["synthesis"].as_object_mut().unwrap();
        synthesis.remove("sources");
        synthesis.insert("engine".into(), "pocket".into());
        assert_eq!(serde_json::from_value::<RoundSpec>(json).unwrap(), spec());
    }

    #[test]
    fn guidance_is_off_at_one() {
        assert!(GuidancePlan::Fixed(1.0).is_off());
        let uniform = |high| GuidancePlan::Uniform { low: 1.0, high };
        assert!(uniform(1.0).is_off() && !uniform(1.5).is_off());
        let told = GuidancePlan::Fixed(0.0).validate().unwrap_err().to_string();
        assert!(
            told.contains("from 1 to 50, where 1 is no guidance"),
            "{told}"
        );
    }

    #[test]
    fn a_total_is_dealt_out_by_shares() {
        let source = |engine: &str, share| SourcePlan {
            share,
            ..SourcePlan::new(engine)
        };
        let plan = |sources: Vec<SourcePlan>, images| SynthesisPlan {
            sources,
            images,
            ..spec().synthesis
        };
        let three = vec![source("a", 1), source("b", 1), source("c", 1)];
        assert_eq!(
            plan(three.clone(), ImageBudget::Total(100)).shares(),
            [33, 33, 34].map(ImageBudget::Total)
        );
        assert_eq!(
            plan(three, ImageBudget::PerPrompt(2)).shares(),
            [ImageBudget::PerPrompt(2); 3]
        );
        let uneven = plan(vec![source("a", 3), source("b", 1)], ImageBudget::Total(10));
        assert_eq!(uneven.shares(), [7, 3].map(ImageBudget::Total));
        uneven.validate().unwrap();
    }

    #[test]
    fn unknown_fields_are_refused_at_every_depth() {
        for path in [
            vec![],
            vec!["synthesis"],
            vec!["training"],
            vec!["synthesis", "guidance", "uniform"],
        ] {
            let mut json = serde_json::to_value(spec()).unwrap();
            let mut place = &mut json;
            for key in &path {
                place = &mut place[*key];
            }
            place["surprise"] = 1.into();
            assert!(
                serde_json::from_value::<RoundSpec>(json).is_err(),
                "{path:?}"
            );
        }
    }

    #[test]
    fn every_range_is_checked() {
        type Break = fn(&mut RoundSpec);
        let breaks: [(&str, Break); 27] = [
            ("name", |s| s.name.clear()),
            ("name", |s| s.name = "a\nb".into()),
            ("expected_clients", |s| s.expected_clients = Some(0)),
            ("synthesis.sources", |s| s.synthesis.sources.clear()),
            ("synthesis.sources", |s| {
                let source = |i| SourcePlan::new(format!("engine {i}"));
                s.synthesis.sources = (0..17).map(source).collect();
            }),
            ("synthesis.sources.engine", |s| {
                s.synthesis.sources[0].engine = "x".repeat(101);
            }),
            ("synthesis.sources.engine", |s| {
                s.synthesis.sources.push(SourcePlan::new("pocket"));
            }),
            ("synthesis.sources.share", |s| {
                s.synthesis.sources[0].share = 2;
            }),
            ("synthesis.images.total", |s| {
                s.synthesis.sources.push(SourcePlan::new("sd"));
                s.synthesis.images = ImageBudget::Total(1);
            }),
            ("synthesis.steps", |s| s.synthesis.steps = Some(0)),
            ("synthesis.images.total", |s| {
                s.synthesis.images = ImageBudget::Total(0)
            }),
            ("synthesis.images.per_prompt", |s| {
                s.synthesis.images = ImageBudget::PerPrompt(10_001)
            }),
            ("synthesis.guidance.fixed", |s| {
                s.synthesis.guidance = Some(GuidancePlan::Fixed(f64::NAN))
            }),
            ("synthesis.guidance.fixed", |s| {
                s.synthesis.guidance = Some(GuidancePlan::Fixed(0.0))
            }),
            ("synthesis.guidance.fixed", |s| {
                s.synthesis.guidance = Some(GuidancePlan::Fixed(50.5))
            }),
            ("synthesis.guidance.uniform.low", |s| {
                s.synthesis.guidance = Some(GuidancePlan::Uniform {
                    low: 0.9,
                    high: 2.0,
                })
            }),
            ("synthesis.guidance.uniform.high", |s| {
                s.synthesis.guidance = Some(GuidancePlan::Uniform {
                    low: 3.0,
                    high: 2.0,
                })
            }),
            ("synthesis.min_clip_score", |s| {
                s.synthesis.min_clip_score = Some(0.0)
            }),
            ("training.epochs", |s| s.training.epochs = 0),
            ("training.batch_size", |s| s.training.batch_size = 9000),
            ("training.learning_rate", |s| s.training.learning_rate = 0.0),
            ("training.momentum", |s| s.training.momentum = 1.0),
            ("training.shift", |s| s.training.shift = 0.6),
            ("training.label_smoothing", |s| {
                s.training.label_smoothing = 1.0
            }),
            ("training.image_size", |s| s.training.image_size = 4),
            ("training.width", |s| s.training.width = 0),
            ("training.validation_fraction", |s| {
                s.training.validation_fraction = -0.1
            }),
        ];
        for (field, break_it) in breaks {
            let mut spec = spec();
            break_it(&mut spec);
            let error = spec.validate().unwrap_err();
            assert_eq!(error.field(), field, "{error}");
        }
    }
}
