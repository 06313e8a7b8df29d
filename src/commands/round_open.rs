//! `promptfed round open`: the plan of a round.

use super::engines::{sources, templates_of};
use super::extract::WordingArgs;
use super::filter::probability;
use super::fusion::{self, Choosing, FUSION_FLAGS, FusionArgs, KeepArgs};
use super::identity::AdminArgs;
use super::idle;
use super::label_space;
use super::recipe::{RecipeArgs, out_of_range, tell_doubts};
use super::round::{line, show, tell};
use super::submit::ServerArgs;
use super::synth::SamplingArgs;
use super::words::{Asked, UnknownWords};
use crate::Context;
use anyhow::{Context as _, Result};
use clap::{ArgMatches, Args as ClapArgs};
use promptfed_prompts::protocol::{ImageBudget, PromptPlan, RoundSpec, SynthesisPlan};
use promptfed_synth::fuse::select::Mode;

#[derive(ClapArgs)]
pub(super) struct OpenArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    admin: AdminArgs,
    /// A name for people
    #[arg(long, default_value = "round")]
    name: String,
    /// The classes: a built-in name, a TOML file, or labelled images whose classes are taken
    #[arg(value_name = "NAME|FILE|DATA", required_unless_present = "label_space")]
    classes: Option<String>,
    /// The classes, where they do not stand alone
    #[arg(long, value_name = "NAME|FILE|DATA", conflicts_with = "classes")]
    label_space: Option<String>,
    #[command(flatten)]
    wording: WordingArgs,
    /// Close by itself once so many clients have submitted
    #[arg(long, value_name = "N")]
    expected_clients: Option<u32>,
    /// Take at most so many distinct prompts of each client
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    max_per_client: Option<u32>,
    /// Give results and model to clients that submitted nothing too
    #[arg(long)]
    open_results: bool,
    /// A text-to-image engine of the server, as it was named there: pocket, pocket:draw, sd, remote, or a name of a [[backends]] table; may
    /// be given several times
    #[arg(long, value_name = "NAME", default_value = "pocket")]
    engine: Vec<String>,
    /// Images for each distinct prompt, of each engine
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        conflicts_with = "images",
        value_parser = clap::value_parser!(u32).range(1..=10_000)
    )]
    images_per_prompt: u32,
    /// Images in all, the same number for every class; several engines share them evenly
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    images: Option<u64>,
    #[command(flatten)]
    sampling: SamplingArgs,
    /// Draw images again whose class has a lower probability among all classes of the label space, as the CLIP model of a server
    /// with --filter-clip sees them [default: no image is judged]
    #[arg(long, value_name = "P", value_parser = probability)]
    min_score: Option<f32>,
    #[command(flatten)]
    recipe: RecipeArgs,
    /// Passes over the synthetic images
    #[arg(long, default_value_t = 30)]
    epochs: u32,
    /// Seed of synthesis and training
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Train on what is chosen of several engines' images by this mode of `promptfed fuse` [without a mode: random]; task models look at
    /// them at --image-size
    #[arg(long, value_name = "MODE", num_args = 0..=1, default_missing_value = "random", help_heading = "Fusion")]
    fuse: Option<Mode>,
    #[command(flatten)]
    keep: KeepArgs,
    #[command(flatten)]
    fusion: FusionArgs,
}

/// Refuses flags that would have no effect.
pub(super) fn refuse_idle(matches: &ArgMatches) -> Result<()> {
    if matches.contains_id("fuse") {
        return fusion::refuse_idle(matches, &[]);
    }
    let flags = [&["keep"][..], &FUSION_FLAGS].concat();
    idle::refuse(matches, &flags, "without --fuse")
}

impl OpenArgs {
    fn spec(&self, context: &Context) -> Result<RoundSpec> {
        let of_engine = templates_of(self.engine.first().map(String::as_str), context);
        let classes = self.classes.as_deref().or(self.label_space.as_deref());
        let classes = classes.context("name the classes")?;
        let label_space = label_space::named_or_of_data(classes)?;
        promptfed_client::check_label_space_words(&label_space)?;
        let recipe = self.recipe.recipe(self.epochs as usize, self.seed)?;
        let names = label_space.classes().iter().map(|c| c.name.clone());
        tell_doubts(&recipe, &names.collect::<Vec<_>>());
        let fuse = self.fuse.map(|select| {
            self.fusion.plan(Choosing {
                select,
                keep: self.keep.keep,
                image_size: recipe.image_size,
                seed: self.seed,
            })
        });
        let synthesis = self.sampling.plan(
            sources(self.engine.iter().map(String::as_str)),
            self.images.map_or(
                ImageBudget::PerPrompt(self.images_per_prompt),
                ImageBudget::Total,
            ),
            self.min_score,
            self.seed,
        );
        let spec = RoundSpec {
            name: self.name.clone(),
            label_space,
            prompts: Some(PromptPlan {
                max_per_client: self.max_per_client,
                ..self.wording.plan(of_engine)?
            }),
            synthesis: SynthesisPlan {
                fuse: fuse.transpose()?,
                ..synthesis
            },
            training: recipe.plan(),
            expected_clients: self.expected_clients,
            open_results: self.open_results,
        };
        // Nothing is sent that the server would refuse.
        spec.validate().map_err(|fault| out_of_range(&fault))?;
        Ok(spec)
    }
}

pub(super) fn open(args: &OpenArgs, context: &Context) -> Result<()> {
    let spec = args.spec(context)?;
    let unknown_words = unknown_words(&spec)?;
    let status = args.admin.connect(&args.server)?.open_round(&spec)?;
    tell(&status, context);
    let mut shown = serde_json::to_value(&status)?;
    shown["unknown_words"] = serde_json::to_value(unknown_words)?;
    show(context, &shown, &line(&status))
}

/// What the classes and the templates' domains say that the round's engine was never shown.
fn unknown_words(spec: &RoundSpec) -> Result<UnknownWords> {
    let names = spec.synthesis.sources.iter().map(|s| s.engine.as_str());
    let mut asked = Asked::server(names)?;
    asked.label_space(&spec.label_space);
    if let Some(plan) = spec.prompts.as_ref().filter(|p| p.level.has_domain()) {
        let entries = plan.templates.entries();
        for entry in entries.filter(|entry| entry.level == plan.level) {
            entry.domains.iter().for_each(|d| asked.domain(d.as_str()));
        }
    }
    Ok(asked.tell())
}
