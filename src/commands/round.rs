//! `promptfed round`: a server's rounds.

use super::client;
use super::identity::{AdminArgs, MemberArgs};
use super::out_file::refuse_other;
use super::round_images::{self, ImagesArgs};
use super::round_open::{OpenArgs, open};
use super::round_train::{self, PublishArgs, RedrawArgs, TrainArgs, change};
use super::round_view;
use super::submit::ServerArgs;
use crate::Context;
use crate::exit::BadInput;
use anyhow::Result;
use clap::{Args as ClapArgs, Subcommand};
use promptfed_client::{AdminClient, Session};
use promptfed_eval::observer::Observer;
use promptfed_files::{prove_writable, write_whole};
use promptfed_prompts::ContentHash;
use promptfed_prompts::protocol::{RoundId, RoundResults, RoundState, RoundStatus, shown};
use serde::Serialize;
use std::ops::{ControlFlow, Deref};
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
    /// Show what clients and server agreed on: classes, level, templates, quota, images
    Show(RoundArgs),
    /// List all rounds
    List(MemberArgs),
    /// Where a round stands; with --wait until it is done
    Status(StatusArgs),
    /// End the time for submissions and start the job (administrator)
    Close(EndArgs),
    /// End a round, or a later training of its images, without results (administrator)
    Cancel(JobArgs),
    /// Who has submitted and who has not (administrator)
    Submissions(EndArgs),
    /// What happened to a round: submissions, attempts, stages with their seconds (administrator)
    Log(EndArgs),
    /// Try the job of a round, or of a later training, that failed or is paused again (administrator)
    Retry(JobArgs),
    /// Remove a client's prompts from a round that is open, paused or has failed, and take none of it any more (administrator)
    Exclude(ExcludeArgs),
    /// Delete a round with its prompts, images and model, for good (administrator)
    Delete(DeleteArgs),
    /// What a finished round found: hashes, image counts, learning curve
    Results(ResultsArgs),
    /// Download a finished round's model
    Model(ModelArgs),
    /// Look through a round's images, download them, drop bad ones (administrator)
    ///
    /// What is dropped stays where it is and is told in the round's log and in results; no training takes it from then on. `promptfed round train`
    /// trains without it, `promptfed round redraw` makes a class's images again.
    Images(ImagesArgs),
    /// Train on a finished round's images once more, with other settings or without what was dropped (administrator)
    ///
    /// The round's results stay as they are. Clients get the new model once it is published, with --publish or `promptfed round publish`.
    Train(Box<TrainArgs>),
    /// Make the images of a class of a finished round again, and train on them (administrator)
    ///
    /// The new ones take the place of those that the class has, which stay on the disk. Seeds are derived from those of the first images and from how
    /// often the class was drawn, so that none is drawn twice. Clients get the model once it is published.
    Redraw(RedrawArgs),
    /// List the trainings of a round's images, which of them is published, and the hash of each model (administrator)
    Trainings(EndArgs),
    /// Make the model of a training the one that clients get (administrator)
    Publish(PublishArgs),
}

#[derive(ClapArgs)]
struct RoundArgs {
    /// The round's number
    round: RoundId,
    #[command(flatten)]
    member: MemberArgs,
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
pub(super) struct EndArgs {
    /// The round's number
    pub(super) round: RoundId,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    admin: AdminArgs,
}

impl EndArgs {
    /// A session as the administrator.
    pub(super) fn connect(&self) -> Result<AdminClient> {
        self.admin.connect(&self.server)
    }
}

#[derive(ClapArgs)]
struct JobArgs {
    #[command(flatten)]
    end: EndArgs,
    /// The later training, of `promptfed round trainings`, in place of the round itself
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    training: Option<u32>,
}

#[derive(ClapArgs)]
struct ResultsArgs {
    #[command(flatten)]
    round: RoundArgs,
    /// Those of this training, published or not (administrator) [default: the training that is published]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    training: Option<u32>,
}

#[derive(ClapArgs)]
struct ExcludeArgs {
    #[command(flatten)]
    end: EndArgs,
    /// The client's name or number
    client: String,
    /// Let the client submit again
    #[arg(long)]
    undo: bool,
}

#[derive(ClapArgs)]
struct DeleteArgs {
    #[command(flatten)]
    end: EndArgs,
    /// Do it; without it, only what would go is shown
    #[arg(long)]
    force: bool,
}

#[derive(ClapArgs)]
struct ModelArgs {
    #[command(flatten)]
    results: ResultsArgs,
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
        Command::Show(args) => {
            let session = args.member.connect()?;
            let (spec, status) = (session.round(args.round)?, session.status(args.round)?);
            let mut text = format!("{}\n{}", line(&status), round_view::plan(&spec));
            if status.attempts > 0 {
                text += &format!("\nthe job was begun {} times", status.attempts);
            }
            show(context, &spec, &text)
        }
        Command::List(args) => {
            let rounds = args.connect()?.rounds()?;
            let lines: Vec<String> = rounds.iter().map(line).collect();
            show(context, &rounds, &lines.join("\n"))
        }
        Command::Status(args) => {
            let client = args.round.member.connect()?;
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
        Command::Cancel(args) => match args.training {
            None => end(&args.end, context, AdminClient::cancel),
            Some(training) => change(&args.end, training, context, AdminClient::cancel_training),
        },
        Command::Submissions(args) => {
            let members = args.admin.connect(&args.server)?.members(args.round)?;
            show(context, &members, &round_view::members(&members))
        }
        Command::Log(args) => {
            let events = args.admin.connect(&args.server)?.log(args.round)?;
            show(context, &events, &round_view::events(&events))
        }
        Command::Retry(args) => match args.training {
            None => end(&args.end, context, AdminClient::retry),
            Some(training) => change(&args.end, training, context, AdminClient::retry_training),
        },
        Command::Exclude(args) => {
            let admin = args.end.admin.connect(&args.end.server)?;
            let client = client::find(&admin, &args.client)?.client_id;
            let status = if args.undo {
                admin.include(args.end.round, client)?
            } else {
                admin.exclude(args.end.round, client)?
            };
            show(context, &status, &line(&status))
        }
        Command::Delete(args) => delete(&args, context),
        Command::Results(args) => {
            let (_, results) = args.fetch()?;
            show(context, &results, &round_view::results(&results))
        }
        Command::Model(args) => {
            prove_writable(&args.out)?;
            let (session, results) = args.results.fetch()?;
            refuse_other("--out", &args.out, results.model.hash, args.force)?;
            let model = match args.results.training {
                None => session.model(&results)?,
                Some(_) => session.training_model(&results)?,
            };
            write_whole(&args.out, &model)?;
            let told = format!("{}: hash {}", args.out.display(), results.model.hash);
            show(context, &results.model, &told)
        }
        Command::Images(args) => round_images::run(&args, context),
        Command::Train(args) => round_train::train(&args, context),
        Command::Redraw(args) => round_train::redraw(&args, context),
        Command::Trainings(args) => round_train::trainings(&args, context),
        Command::Publish(args) => round_train::publish(&args, context),
    }
}

impl ResultsArgs {
    /// A session, and the results that are asked for.
    fn fetch(&self) -> Result<(Box<dyn Deref<Target = Session>>, RoundResults)> {
        let session = self.round.member.connect()?;
        let round = self.round.round;
        let results = match self.training {
            None => session.results(round)?,
            Some(training) => session.training_results(round, training)?,
        };
        Ok((session, results))
    }
}

fn delete(args: &DeleteArgs, context: &Context) -> Result<()> {
    let admin = args.end.admin.connect(&args.end.server)?;
    if !args.force {
        let status = admin.status(args.end.round)?;
        let text = format!(
            "{}; --force deletes its prompts, images and model for good",
            line(&status)
        );
        return Err(anyhow::Error::msg(text).context(BadInput));
    }
    let deleted = admin.delete(args.end.round)?;
    let text = format!(
        "round {} is deleted, with {} prompt sets",
        deleted.round_id, deleted.submissions
    );
    show(context, &deleted, &text)
}

fn save_spec(args: &SpecArgs, context: &Context) -> Result<()> {
    prove_writable(&args.out)?;
    let spec = args.round.member.connect()?.round(args.round.round)?;
    let text = format!("{}\n", serde_json::to_string_pretty(&spec)?);
    refuse_other(
        "--out",
        &args.out,
        ContentHash::of(text.as_bytes()),
        args.force,
    )?;
    write_whole(&args.out, text.as_bytes())?;
    let wording = match &spec.prompts {
        Some(plan) => {
            let templates = shown(plan.templates.name());
            format!("level {}, templates {templates}", plan.level)
        }
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
        shown(&spec.name),
        spec.label_space.len(),
        shown(spec.label_space.name()),
        spec.label_space.hash(),
        shown(&engines.join(", ")),
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

pub(super) fn show(context: &Context, value: &impl Serialize, text: &str) -> Result<()> {
    if context.json {
        println!("{}", serde_json::to_string(value)?);
    } else {
        println!("{text}");
    }
    Ok(())
}

/// Tells what the job in work warns of.
pub(super) fn tell(status: &RoundStatus, context: &Context) {
    for warning in &status.warnings {
        context.progress.warn(warning);
    }
}

pub(super) fn line(status: &RoundStatus) -> String {
    let expected = status
        .expected_clients
        .map_or(String::new(), |n| format!(" of {n}"));
    format!(
        "round {} ({}): {}, {}{expected} submissions",
        status.round_id,
        shown(&status.name),
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

pub(super) fn state(state: &RoundState) -> String {
    match state {
        RoundState::Synthesising { done, total } => {
            format!("synthesising, {done} of {total} images")
        }
        RoundState::Fusing { stage, done, total } => {
            format!("fusing, {stage}: {done} of {total}")
        }
        RoundState::Training { epoch, epochs } => {
            format!("training, {epoch} of {epochs} epochs done")
        }
        RoundState::Failed { reason } => format!("failed: {}", shown(reason)),
        RoundState::Paused { reason } => format!("paused: {}", shown(reason)),
        other => other.name().to_owned(),
    }
}
