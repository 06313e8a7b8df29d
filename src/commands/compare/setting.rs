//! What is run, how, and how often.

use super::simulation::SimulationArgs;
use super::tuning::Rates;
use crate::commands::data;
use crate::commands::engines::{self, EngineArgs};
use crate::commands::extract::PromptArgs;
use crate::commands::filter::FilterArgs;
use crate::commands::fusion::{Choosing, FusionArgs};
use crate::commands::recipe::{RecipeArgs, out_of_range};
use crate::commands::synth::SamplingArgs;
use crate::commands::words::{Asked, UnknownWords};
use crate::exit::BadInput;
use anyhow::Result;
use clap::Args as ClapArgs;
use promptfed_eval::feature_cache::FeatureCache;
use promptfed_eval::methods::{
    Asking, Budget, Fgl, FglConfig, FrozenNetwork, LocalServer, Method, MethodName, MethodSpec,
    Participation, WithSetQuality,
};
use promptfed_eval::{Experiment, Setting};
use promptfed_prompts::protocol::{ImageBudget, PromptPlan, SynthesisPlan};
use promptfed_synth::fuse::select::Mode;
use promptfed_synth::registry::{Prepared, files_of};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// Budgets and seeds of a comparison.
#[derive(ClapArgs, Clone)]
pub(crate) struct SettingArgs {
    /// Methods to run, with what they are told: `promptfed methods` lists both
    #[arg(long, value_name = "NAME[:SETTING=VALUE]", value_delimiter = ',', default_values = ["fgl", "fedavg", "centralised", "chance"])]
    pub(crate) methods: Vec<MethodSpec>,
    /// Number of seeds; every method runs once with each
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(crate) seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) engines: EngineArgs,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// Synthetic images that each generative method trains on, the same number for every class
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) images: u64,
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
    #[command(flatten)]
    pub(crate) recipe: RecipeArgs,
    /// Passes over real images where a model is trained in one place: all of centralised, a client's own of local
    #[arg(long, default_value_t = 30, value_parser = at_least_one)]
    pub(crate) epochs: usize,
    /// Passes over the synthetic images
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) synthetic_epochs: u32,
    /// Rounds of the methods that train in rounds
    #[arg(long, default_value_t = 30, value_parser = at_least_one)]
    pub(crate) rounds: usize,
    /// Passes over a client's own images in each round
    #[arg(long, default_value_t = 1, value_parser = at_least_one)]
    pub(crate) local_epochs: usize,
    /// Share of the clients that take part in a round, drawn anew for each; at least one does
    #[arg(long, value_name = "SHARE", default_value_t = 1.0, value_parser = above_zero_to_one)]
    pub(crate) participation: f64,
    /// Probability that a client of a round drops out of it: it has received the model, and nothing comes back
    #[arg(long, value_name = "PROBABILITY", default_value_t = 0.0, value_parser = below_one)]
    pub(crate) dropout: f64,
    /// Try these learning rates for every method, on a fifth of the private images that is held out, and give each the one that it does best with
    #[arg(long, value_name = "lr=RATE,RATE,..")]
    pub(crate) tune: Option<Rates>,
    #[command(flatten)]
    pub(crate) simulation: SimulationArgs,
    /// Also measure how good each synthetic set is beside the private images, as `promptfed quality` does; the figures stand in the report's
    /// provenance
    #[arg(long)]
    pub(crate) quality: bool,
    /// Images that the engines of fused make together, of which --images are chosen [default: --images of each engine]
    #[arg(long, value_name = "N", help_heading = "Fusion", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) generated: Option<u64>,
    /// How fused chooses images: a mode of `promptfed fuse`
    #[arg(
        long,
        value_name = "MODE",
        default_value = "random",
        help_heading = "Fusion"
    )]
    pub(crate) fuse: Mode,
    #[command(flatten)]
    pub(crate) fusion: FusionArgs,
}

/// Reads a whole number of 1 or more.
fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|&number| number > 0)
        .ok_or_else(|| "give a whole number of 1 or more".to_owned())
}

pub(super) fn above_zero_to_one(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|v| *v > 0.0 && *v <= 1.0);
    share.ok_or_else(|| "give a number above 0 and at most 1".to_owned())
}

fn below_one(text: &str) -> Result<f64, String> {
    let probability = text.parse().ok().filter(|v| (0.0..1.0).contains(v));
    probability.ok_or_else(|| "give a number from 0 and below 1".to_owned())
}

impl SettingArgs {
    pub(super) fn runs(&self, name: MethodName) -> bool {
        self.methods.iter().any(|method| method.name == name)
    }

    /// How many of all runs can go at the same time: of those that make images one.
    pub(super) fn runs_beside(&self) -> usize {
        let generative = self.methods.iter().filter(|m| m.name.is_generative());
        let generative = generative.count();
        let free = self.methods.len() - generative;
        free * self.seeds as usize + usize::from(generative > 0)
    }

    pub(super) fn is_generative(&self) -> bool {
        self.methods
            .iter()
            .any(|method| method.name.is_generative())
    }

    /// Refuses several engines where one alone would work, one where several are fused, an engine that there is not, and fewer images than
    /// are chosen.
    pub(super) fn check_engines(&self, engines: usize) -> Result<()> {
        let fuses = self.runs(MethodName::Fused);
        let one_alone = |method: &&MethodSpec| method.name == MethodName::Fgl;
        let alone = self.methods.iter().filter(one_alone);
        let last = alone.max_by_key(|method| method.engine());
        let last = last.filter(|method| method.engine() > 0);
        if let Some(method) = last.filter(|method| method.engine() >= engines.max(1)) {
            let text =
                format!("{method} has an engine that is not named; name as many with --engine");
            return Err(anyhow::Error::msg(text).context(BadInput));
        }
        let generated = self.generated(engines);
        let text = match engines {
            0 | 1 if fuses => {
                "fused chooses among the images of several engines; name another --engine, or leave fused out of --methods".to_owned()
            }
            2.. if !fuses && last.is_none() => {
                "a second --engine has no effect without fused, and fgl has the first alone; add fused or fgl:engine=2 to --methods".to_owned()
            }
            _ if fuses && generated < self.images => format!(
                "--generated {generated} are fewer than the {} of --images that are chosen; give as many or more",
                self.images
            ),
            _ => return Ok(()),
        };
        Err(anyhow::Error::msg(text).context(BadInput))
    }

    /// What all methods have in common.
    pub(crate) fn shared(&self) -> Result<Setting> {
        let recipe = self.recipe.recipe(self.epochs, self.seed)?;
        let seeds = (0..self.seeds).map(|i| self.seed.wrapping_add(i)).collect();
        Ok(Setting {
            simulation: self.simulation.simulation(),
            target_accuracy: self.simulation.target_accuracy,
            ..Setting::new(recipe, seeds)
        })
    }

    /// Refuses a number of images that leaves a class none, where it is known before which classes have prompts.
    pub(super) fn check_images(&self, experiment: &Experiment, prompts: &PromptArgs) -> Result<()> {
        let rules = prompts.release.rules();
        let may_lose_classes = rules.min_group.is_some() || rules.max_prompts.is_some();
        if may_lose_classes || !self.is_generative() {
            return Ok(());
        }
        let data = &experiment.data;
        let (included, _) = rules.included(&data.private, &data.label_space)?;
        let labels = included.iter().map(|&i| data.private.samples[i].label);
        let classes = labels.collect::<BTreeSet<_>>().len();
        if self.images >= classes as u64 {
            return Ok(());
        }
        let text = format!(
            "--images {} leaves some of the {classes} classes no image; give {classes} or more",
            self.images
        );
        Err(anyhow::Error::msg(text).context(BadInput))
    }

    /// What the classes and domains say that the engine was never shown, told before the work begins.
    pub(super) fn unknown_words(
        &self,
        prepared: &[Prepared],
        experiment: &Experiment,
        prompts: &PromptArgs,
    ) -> Result<UnknownWords> {
        let mut asked = Asked::engines(prepared)?;
        asked.label_space(&experiment.data.label_space);
        let levels = self.methods.iter().filter(|m| m.name.is_generative());
        let mut levels = levels.map(|m| m.level().unwrap_or(prompts.wording.level));
        if levels.any(|level| level.has_domain()) {
            let domains = &experiment.data.private.domain_names;
            domains.iter().for_each(|domain| asked.domain(domain));
        }
        Ok(asked.tell())
    }

    pub(super) fn methods(
        &self,
        prompts: &PromptArgs,
        server: &Path,
        prepared: &[Prepared],
        features: FeatureCache,
    ) -> Result<Vec<Box<dyn Method>>> {
        let budget = self.budget();
        let mut methods: Vec<Box<dyn Method>> = Vec::new();
        let server = if self.is_generative() {
            let engines = engines::engines(prepared.to_vec());
            let engines = self.filter.clip.add_to(engines)?;
            Some(Arc::new(LocalServer::start(server, engines)?))
        } else {
            None
        };
        let network = self.frozen_network(features)?;
        for spec in &self.methods {
            let on_features = || spec.on_features(network.as_ref()?);
            if let Some(method) = spec.method(&budget).or_else(on_features) {
                methods.push(method);
                continue;
            }
            let Some(server) = &server else { continue };
            let synthesis = match spec.name {
                MethodName::Fused => self.fused_synthesis(spec, prepared)?,
                _ => self.synthesis(engines_of(spec, prepared).iter(), self.images),
            };
            let config = self.fgl(spec, prompts, synthesis, prepared)?;
            let one_shot = Fgl::new(config, Arc::clone(server));
            let method = spec.generative(one_shot, &budget);
            methods.push(match &network {
                Some(network) if self.quality => {
                    Box::new(WithSetQuality::new(method, network.clone()))
                }
                _ => method,
            });
        }
        Ok(methods)
    }

    /// Whether a method, or the measure of sets, sees images by a network that is not trained.
    pub(super) fn sees_features(&self) -> bool {
        self.quality || self.methods.iter().any(|m| m.name.needs_features())
    }

    /// The network that comes with the program, where a method sees by it.
    fn frozen_network(&self, features: FeatureCache) -> Result<Option<FrozenNetwork>> {
        if !self.sees_features() {
            return Ok(None);
        }
        let folder = data::assets()?.join("efficientnet-lite0");
        Ok(Some(FrozenNetwork::load(&folder)?.with_cache(features)))
    }

    /// How long methods train, and who takes part.
    fn budget(&self) -> Budget {
        Budget {
            rounds: self.rounds,
            local_epochs: self.local_epochs,
            epochs: self.epochs,
            participation: Participation {
                share: self.participation,
                dropout: self.dropout,
            },
        }
    }

    /// So many images of these engines.
    fn synthesis<'p>(
        &self,
        prepared: impl Iterator<Item = &'p Prepared>,
        images: u64,
    ) -> SynthesisPlan {
        self.sampling.plan(
            engines::sources(prepared.map(|engine| engine.backend().name())),
            ImageBudget::Total(images),
            self.filter.min_score(),
            0,
        )
    }

    /// Images that the engines of fused make together, where it is told nothing else.
    pub(super) fn generated(&self, engines: usize) -> u64 {
        self.generated_for(self.fuse, engines)
    }

    fn generated_for(&self, select: Mode, engines: usize) -> u64 {
        match (self.generated, select) {
            (_, Mode::All) => self.images,
            (Some(generated), _) => generated,
            (None, _) => self.images.saturating_mul(engines as u64).min(10_000_000),
        }
    }

    /// The images of all engines, of which as many are chosen as fgl makes, or, where `budget` says so, as many are made.
    fn fused_synthesis(&self, method: &MethodSpec, prepared: &[Prepared]) -> Result<SynthesisPlan> {
        let told = method.choosing();
        let select = told.select.unwrap_or(self.fuse);
        let (made, kept) = match told.generated_share {
            Some(share) => {
                let kept = (share * self.images as f64).round() as u64;
                (self.images, kept.max(1))
            }
            None => (self.generated_for(select, prepared.len()), self.images),
        };
        let asked = Choosing {
            select,
            keep: (select != Mode::All).then_some(kept),
            image_size: self.recipe.image_size,
            seed: 0,
        };
        let plan = SynthesisPlan {
            fuse: Some(self.fusion.told(&told).plan(asked)?),
            ..self.synthesis(prepared.iter(), made)
        };
        plan.validate().map_err(|fault| out_of_range(&fault))?;
        Ok(plan)
    }

    /// What determines the engines' images and the captions, beside what is asked for: models and their files.
    fn identity(
        &self,
        method: &MethodSpec,
        prompts: &PromptArgs,
        prepared: &[Prepared],
    ) -> Result<String> {
        let mut told = String::new();
        for engine in engines_of(method, prepared) {
            let name = engine.backend().name();
            told.push_str(&format!("{name} {} ", engine.identity()?));
        }
        let models = [self.filter.clip.folder(), prompts.model.as_deref()];
        for folder in models.into_iter().flatten() {
            told.push_str(&format!("{} ", files_of(folder)?));
        }
        Ok(told)
    }

    fn fgl(
        &self,
        method: &MethodSpec,
        prompts: &PromptArgs,
        synthesis: SynthesisPlan,
        prepared: &[Prepared],
    ) -> Result<FglConfig> {
        let of_engine = engines::templates_of_first(prepared);
        let PromptPlan {
            level, templates, ..
        } = prompts.wording.plan(of_engine)?;
        let level = method.level().unwrap_or(level);
        Ok(FglConfig {
            name: method.to_string(),
            asking: match method.name {
                MethodName::ZeroUpload => Asking::ClassNames,
                _ => Asking::Clients,
            },
            level,
            templates,
            captioner: prompts.load_captioner(level)?,
            counts: prompts.counts,
            release: prompts.release.rules(),
            synthesis,
            epochs: self.synthetic_epochs,
            engines: self.identity(method, prompts, prepared)?,
        })
    }
}

/// The engines that a method has.
fn engines_of<'p>(method: &MethodSpec, prepared: &'p [Prepared]) -> &'p [Prepared] {
    match method.name {
        MethodName::Fused => prepared,
        _ => {
            let own = prepared.get(method.engine()..);
            own.map_or(&[], |own| &own[..own.len().min(1)])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Args;
    use clap::{Args as _, Command, FromArgMatches};

    #[test]
    fn runs_that_make_images_go_one_at_a_time() {
        for (methods, beside) in [
            ("fgl", 1),
            ("fgl,zero-upload", 1),
            ("chance", 3),
            ("fgl,fedavg,chance", 7),
        ] {
            let command = Args::augment_args(Command::new("compare").no_binary_name(true));
            let data = ["--private=pets/private", "--test=pets/test"];
            let told = ["--seeds=3", "--methods", methods];
            let matches = command
                .try_get_matches_from(data.iter().chain(&told))
                .unwrap();
            let args = Args::from_arg_matches(&matches).unwrap();
            assert_eq!(args.setting.runs_beside(), beside, "{methods}");
        }
    }
}
