//! `promptfed round train`, `redraw`, `trainings` and `publish`: later trainings of a finished round's images.

use super::changed_recipe::ChangedRecipeArgs;
use super::round::{EndArgs, show, state};
use super::round_view;
use crate::Context;
use anyhow::Result;
use clap::Args as ClapArgs;
use promptfed_client::{AdminClient, RequestError};
use promptfed_eval::observer::Observer;
use promptfed_learn::Recipe;
use promptfed_prompts::protocol::{RoundId, TrainingRequest, TrainingStatus, shown};
use std::ops::ControlFlow;
use std::time::Duration;

#[derive(ClapArgs)]
pub(super) struct TrainArgs {
    #[command(flatten)]
    end: EndArgs,
    #[command(flatten)]
    after: AfterArgs,
    #[command(flatten)]
    changed: ChangedRecipeArgs,
}

#[derive(ClapArgs)]
pub(super) struct RedrawArgs {
    #[command(flatten)]
    end: EndArgs,
    /// The class whose images are made again, with seeds that none was drawn from before; may be given several times
    #[arg(long, value_name = "NAME", required = true)]
    class: Vec<String>,
    #[command(flatten)]
    after: AfterArgs,
}

/// What a training begins with and what comes after it.
#[derive(ClapArgs)]
struct AfterArgs {
    /// Begin with the images of this training of the round [default: the latest that is done or queued]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    images_of: Option<u32>,
    /// Make its model the one that clients get, once it is there
    #[arg(long)]
    publish: bool,
    /// Wait until it is done
    #[arg(long)]
    wait: bool,
    /// Give up waiting after so many seconds
    #[arg(long, value_name = "SECONDS", requires = "wait", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: Option<u64>,
}

#[derive(ClapArgs)]
pub(super) struct PublishArgs {
    #[command(flatten)]
    end: EndArgs,
    /// The training's number, of `promptfed round trainings`
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    training: u32,
}

pub(super) fn train(args: &TrainArgs, context: &Context) -> Result<()> {
    let admin = args.end.connect()?;
    let spec = admin.round(args.end.round)?;
    let plan = args.changed.change(&spec.training)?;
    let classes: Vec<String> = spec
        .label_space
        .classes()
        .iter()
        .map(|c| c.name.clone())
        .collect();
    for doubt in Recipe::from(&plan).doubts(&classes) {
        context.progress.warn(&doubt);
    }
    let request = TrainingRequest {
        plan: Some(plan),
        ..args.after.request()
    };
    ask(&admin, args.end.round, &request, &args.after, context)
}

pub(super) fn redraw(args: &RedrawArgs, context: &Context) -> Result<()> {
    let request = TrainingRequest {
        redraw: args.class.clone(),
        ..args.after.request()
    };
    let admin = args.end.connect()?;
    ask(&admin, args.end.round, &request, &args.after, context)
}

pub(super) fn trainings(args: &EndArgs, context: &Context) -> Result<()> {
    let trainings = args.connect()?.trainings(args.round)?;
    show(context, &trainings, &round_view::trainings(&trainings))
}

pub(super) fn publish(args: &PublishArgs, context: &Context) -> Result<()> {
    change(&args.end, args.training, context, AdminClient::publish)
}

/// Changes one training of a round.
pub(super) fn change(
    end: &EndArgs,
    training: u32,
    context: &Context,
    change: impl FnOnce(&AdminClient, RoundId, u32) -> Result<TrainingStatus, RequestError>,
) -> Result<()> {
    let status = change(&end.connect()?, end.round, training)?;
    show(context, &status, &line(&status))
}

impl AfterArgs {
    fn request(&self) -> TrainingRequest {
        TrainingRequest {
            images_of: self.images_of,
            publish: self.publish,
            ..TrainingRequest::default()
        }
    }
}

fn ask(
    admin: &AdminClient,
    round: RoundId,
    request: &TrainingRequest,
    after: &AfterArgs,
    context: &Context,
) -> Result<()> {
    let mut status = admin.train(round, request)?;
    if after.wait {
        let bar = context.progress.bar("training", 0);
        let limit = after.timeout.map(Duration::from_secs);
        let waited = admin.wait_for_training(round, status.training, limit, &mut |status| {
            bar.set_message(state(&status.state));
            ControlFlow::Continue(())
        });
        bar.finish_and_clear();
        status = waited?;
    }
    show(context, &status, &line(&status))
}

fn line(status: &TrainingStatus) -> String {
    let (training, round) = (status.training, status.round_id);
    let mut line = format!(
        "training {training} of round {round}: {}",
        state(&status.state)
    );
    if let Some(model) = &status.model {
        line += &format!(", model {}", model.hash);
    }
    if status.published {
        line += ", published";
    }
    let redrawn = status.redrawn.iter();
    let redrawn: Vec<String> = redrawn
        .map(|again| format!("{} ({})", shown(&again.class), again.draw))
        .collect();
    if !redrawn.is_empty() {
        line += &format!("; drawn again: {}", redrawn.join(", "));
    }
    line
}
