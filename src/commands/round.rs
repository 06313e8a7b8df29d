//! `promptfed round`: a server's rounds.

use super::engines::sources;
use super::extract::WordingArgs;
use super::filter::probability;
use super::fusion::{self, Choosing, FUSION_FLAGS, FusionArgs, KeepArgs};
use super::idle;
use super::label_space;
use super::out_file::refuse_other;
use super::recipe::{RecipeArgs, out_of_range, tell_doubts};
use super::register::AdminArgs;
use super::submit::ServerArgs;
use super::synth::SamplingArgs;
use super::words::{Asked, UnknownWords};
use crate::Context;
use anyhow::{Context as _, Result};
use clap::{ArgMatches, Args as ClapArgs, Subcommand};
use promptfed_client::{AdminClient, FederationClient};
use promptfed_eval::observer::Observer;
use promptfed_files::{prove_writable, write_whole};
use promptfed_prompts::ContentHash;
use promptfed_prompts::protocol::{
    ImageBudget, RoundId, RoundSpec, RoundState, RoundStatus, SynthesisPlan,
};
use promptfed_synth::fuse::select::Mode;
use serde::Serialize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

/// Rounds of a server: open, watch, close, fetch the results and the model.
#[derive(ClapArgs)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Open a round (administrator)
    Open(Box<OpenArgs>),
    /// Save what clients and server agreed on: classes, level, templates, and the plan of the server's work
    Spec(SpecArgs),
    /// List all rounds
    List(TokenArgs),
    /// Where a round stands; with --wait until it is done
    Status(StatusArgs),
    /// End the time for submissions and start the job (administrator)
    Close(EndArgs),
    /// End a round without results (administrator)
    Cancel(EndArgs),
    /// What a finished round found: hashes, image counts, learning curve
    Results(RoundArgs),
    /// Download a finished round's model
    Model(ModelArgs),
}

#[derive(ClapArgs)]
struct OpenArgs {
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
    fn spec(&self) -> Result<RoundSpec> {
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
            prompts: Some(self.wording.plan()?),
            synthesis: SynthesisPlan {
                fuse: fuse.transpose()?,
                ..synthesis
            },
            training: recipe.plan(),
            expected_clients: self.expected_clients,
        };
        // Nothing is sent that the server would refuse.
        spec.validate().map_err(|fault| out_of_range(&fault))?;
        Ok(spec)
    }
}

#[derive(ClapArgs)]
struct TokenArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// A client's token, from `promptfed register`
    #[arg(long, env = "PROMPTFED_TOKEN", hide_env_values = true)]
    token: String,
}

impl TokenArgs {
    fn connect(&self) -> Result<FederationClient> {
        Ok(FederationClient::new(
            &self.server.server,
            "client",
            &self.token,
        )?)
    }
}

#[derive(ClapArgs)]
struct RoundArgs {
    /// The round's number
    round: RoundId,
    #[command(flatten)]
    token: TokenArgs,
}

#[derive(ClapArgs)]
struct StatusArgs {
    #[command(flatten)]
    round: RoundArgs,
    /// Wait until the round is done
    #[arg(long)]
    wait: bool,
    /// Give up waiting after so many seconds
    #[arg(long, value_name = "SECONDS", requires = "wait", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: Option<u64>,
}

#[derive(ClapArgs)]
struct EndArgs {
    /// The round's number
    round: RoundId,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    admin: AdminArgs,
}

#[derive(ClapArgs)]
struct ModelArgs {
    #[command(flatten)]
    round: RoundArgs,
    /// Where the model goes (safetensors)
    #[arg(long, value_name = "FILE", default_value = "model.safetensors")]
    out: PathBuf,
    /// Replace the file of --out where it holds something else
    #[arg(long)]
    force: bool,
}

#[derive(ClapArgs)]
struct SpecArgs {
    #[command(flatten)]
    round: RoundArgs,
    /// Where it goes (JSON); `promptfed extract DATA --round FILE` takes it where the server is out of reach
    #[arg(long, value_name = "FILE", default_value = "round.json")]
    out: PathBuf,
    /// Replace the file of --out where it holds something else
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    match args.command {
        Command::Open(args) => open(&args, context),
        Command::Spec(args) => save_spec(&args, context),
        Command::List(args) => {
            let rounds = args.connect()?.rounds()?;
            let lines: Vec<String> = rounds.iter().map(line).collect();
            show(context, &rounds, &lines.join("\n"))
        }
        Command::Status(args) => {
            let client = args.round.token.connect()?;
            let round = args.round.round;
            let status = if args.wait {
                let bar = context.progress.bar("round", 0);
                let limit = args.timeout.map(Duration::from_secs);
                let status = client.wait(round, limit, &mut |status| {
                    bar.set_message(awaited(status));
                    tell(status, context);
                    ControlFlow::Continue(())
                })?;
                bar.finish_and_clear();
                status
            } else {
                client.status(round)?
            };
            tell(&status, context);
            show(context, &status, &line(&status))
        }
        Command::Close(args) => end(&args, context, AdminClient::close),
        Command::Cancel(args) => end(&args, context, AdminClient::cancel),
        Command::Results(args) => {
            let results = args.token.connect()?.results(args.round)?;
            show(context, &results, &serde_json::to_string_pretty(&results)?)
        }
        Command::Model(args) => {
            prove_writable(&args.out)?;
            let client = args.round.token.connect()?;
            let results = client.results(args.round.round)?;
            refuse_other(&args.out, results.model.hash, args.force)?;
            write_whole(&args.out, &client.model(&results)?)?;
            let told = format!("{}: hash {}", args.out.display(), results.model.hash);
            show(context, &results.model, &told)
        }
    }
}

fn open(args: &OpenArgs, context: &Context) -> Result<()> {
    let spec = args.spec()?;
    let unknown_words = unknown_words(&spec)?;
    let status = args.admin.connect(&args.server)?.open_round(&spec)?;
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

fn save_spec(args: &SpecArgs, context: &Context) -> Result<()> {
    prove_writable(&args.out)?;
    let spec = args.round.token.connect()?.round(args.round.round)?;
    let text = format!("{}\n", serde_json::to_string_pretty(&spec)?);
    refuse_other(&args.out, ContentHash::of(text.as_bytes()), args.force)?;
    write_whole(&args.out, text.as_bytes())?;
    let wording = match &spec.prompts {
        Some(plan) => format!("level {}, templates {}", plan.level, plan.templates.name()),
        None => "no level and no templates agreed".to_owned(),
    };
    let engines: Vec<&str> = spec
        .synthesis
        .sources
        .iter()
        .map(|source| source.engine.as_str())
        .collect();
    let told = format!(
        "round {} ({}): {} classes of `{}` (hash {}), {wording}, engines {}; saved in {out}, for `promptfed extract DATA --round {out}`",
        args.round.round,
        spec.name,
        spec.label_space.len(),
        spec.label_space.name(),
        spec.label_space.hash(),
        engines.join(", "),
        out = args.out.display(),
    );
    show(context, &spec, &told)
}

fn end(
    args: &EndArgs,
    context: &Context,
    end: impl FnOnce(&AdminClient, RoundId) -> Result<RoundStatus, promptfed_client::RequestError>,
) -> Result<()> {
    let status = end(&args.admin.connect(&args.server)?, args.round)?;
    show(context, &status, &line(&status))
}

fn show(context: &Context, value: &impl Serialize, text: &str) -> Result<()> {
    if context.json {
        println!("{}", serde_json::to_string(value)?);
    } else {
        println!("{text}");
    }
    Ok(())
}

/// Tells what the job in work warns of.
fn tell(status: &RoundStatus, context: &Context) {
    for warning in &status.warnings {
        context.progress.warn(warning);
    }
}

fn line(status: &RoundStatus) -> String {
    let expected = status
        .expected_clients
        .map_or(String::new(), |n| format!(" of {n}"));
    format!(
        "round {} ({}): {}, {}{expected} submissions",
        status.round_id,
        status.name,
        state(&status.state),
        status.submissions
    )
}

/// What a round waits for, or what it does.
fn awaited(status: &RoundStatus) -> String {
    match (&status.state, status.expected_clients) {
        (RoundState::Open, Some(all)) => {
            format!(
                "open: {} of {all} clients have submitted",
                status.submissions
            )
        }
        (RoundState::Open, None) => format!(
            "open: {} clients have submitted, and an administrator closes it",
            status.submissions
        ),
        (other, _) => state(other),
    }
}

fn state(state: &RoundState) -> String {
    match state {
        RoundState::Synthesising { done, total } => {
            format!("synthesising, {done} of {total} images")
        }
        RoundState::Fusing { stage, done, total } => {
            format!("fusing, {stage}: {done} of {total}")
        }
        RoundState::Training { epoch, epochs } => format!("training, epoch {epoch} of {epochs}"),
        RoundState::Failed { reason } => format!("failed: {reason}"),
        other => other.name().to_owned(),
    }
}
