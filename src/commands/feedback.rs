//! `promptfed feedback`: what a client tells of the backends' images.

use super::data::{self, ReadArgs};
use super::fusion::network;
use super::idle;
use super::sets::{self, SetArg};
use crate::{Context, interrupt};
use anyhow::Result;
use clap::{ArgMatches, Args as ClapArgs};
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use promptfed_data::{Dataset, Fit, LabelledImages, load};
use promptfed_eval::report::bytes;
use promptfed_files::{prove_writable, write_whole};
use promptfed_learn::Recipe;
use promptfed_synth::fuse::{
    Candidates, Feedback, FeedbackKind, Noise, Sensitivity, features_of, look_at, read_task_models,
};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Client: score generators by private images, a handful of numbers for `fuse`.
///
/// With --models, the small models that `promptfed fuse` trained on each backend's images are tested on the private images: two counts
/// for each backend, domain and class. With --sets, each private image votes for the synthetic ones of its class that it looks like
/// (WASP): one sum for each backend, domain and class. Nothing is sent: the file holds all that would leave this machine. Without --noise
/// the numbers are exact, and tell of each image.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Folder, list or Parquet file of private images
    data: PathBuf,
    #[command(flatten)]
    read: ReadArgs,
    /// Folder of task models: task-models/ in a folder of `promptfed fuse`
    #[arg(
        long,
        value_name = "DIR",
        required_unless_present = "sets",
        conflicts_with = "sets"
    )]
    models: Option<PathBuf>,
    /// Folders of `promptfed synth` to vote on; FOLDER, or NAME=FOLDER to name its backend
    #[arg(long, value_name = "SET", num_args = 1..)]
    sets: Vec<SetArg>,
    /// Synthetic images that each private image votes for, with weights 1, 1/2, 1/4, ..
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    neighbours: u16,
    /// Add noise to each number that private images have a part in, for differential privacy of each image: gaussian:SIGMA, its standard
    /// deviation, or laplace:EPSILON; what it promises is in the file
    #[arg(long, value_name = "KIND:NUMBER")]
    noise: Option<Noise>,
    /// Seed of the noise, which is a secret: it takes the noise off again [default: one drawn by the operating system and kept nowhere]
    #[arg(long, value_name = "N", requires = "noise")]
    noise_seed: Option<u64>,
    /// Where the numbers go (JSON)
    #[arg(long, value_name = "FILE", default_value = "feedback.json")]
    out: PathBuf,
}

/// Refuses flags that would have no effect.
pub(super) fn refuse_idle(matches: &ArgMatches) -> Result<()> {
    if matches.contains_id("models") {
        idle::refuse(
            matches,
            &["neighbours"],
            "beside --models, where no image votes",
        )?;
    }
    Ok(())
}

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    prove_writable(&args.out)?;
    let feedback = match &args.models {
        Some(models) => scores(&args, models, context)?,
        None => votes(&args, context)?,
    };
    let text = feedback.to_json()?;
    write_whole(&args.out, &text)?;
    if context.json {
        println!(
            "{}",
            json!({ "out": args.out.display().to_string(), "bytes": text.len(), "feedback": feedback })
        );
        return Ok(());
    }
    println!("{}", table(&feedback));
    for of in &feedback.noise {
        println!(
            "noise {} on {} numbers: {}",
            of.noise, of.numbers, of.promise
        );
    }
    println!(
        "{}: {} for all that is in this table. Nothing was sent.",
        args.out.display(),
        bytes(text.len() as u64)
    );
    Ok(())
}

/// Opens the private images with the classes of the models or sets.
fn private(args: &Args, classes: &[String], context: &Context) -> Result<Dataset> {
    let space = match &args.read.label_space {
        Some(name) => data::label_space(name)?,
        None => {
            promptfed_prompts::LabelSpace::from_names("models", classes.iter().map(String::as_str))?
        }
    };
    let layout = args.read.layout.into();
    let dataset = data::open(&args.data, layout, args.read.split.clone(), Some(&space))?;
    data::tell_parts(&dataset, context);
    Ok(dataset)
}

fn decoded(args: &Args, dataset: &Dataset, size: usize, fit: Fit) -> Result<LabelledImages> {
    let (images, report) = load(dataset, size, fit, &args.read.decode())?;
    data::tell_decoded(&report);
    Ok(images)
}

fn scores(args: &Args, models: &Path, context: &Context) -> Result<Feedback> {
    let models = read_task_models(models)?;
    let (classes, size, fit) = models
        .first()
        .map(|(_, model)| {
            let fit = model.recipe().map_or(Fit::Crop, |recipe| recipe.fit);
            (model.class_names().to_vec(), model.config().image_size, fit)
        })
        .unwrap_or_default();
    let dataset = private(args, &classes, context)?;
    let images = decoded(args, &dataset, size, fit)?;
    let feedback = Feedback::of_models(&models, &images)?;
    noisy(
        args,
        feedback,
        Sensitivity::of_scores(models.len()),
        &classes,
    )
}

fn votes(args: &Args, context: &Context) -> Result<Feedback> {
    let network = network()?;
    let mut candidates = Candidates::gather(sets::open(&args.sets)?)?;
    let dataset = private(args, candidates.class_names(), context)?;
    let recipe = Recipe::default();
    let images = decoded(args, &dataset, recipe.image_size, recipe.fit)?;
    let features = features_of(&network, &dataset, &args.read.decode())?;
    let scratch = tempfile::tempdir()?;
    let bar = context
        .progress
        .bar("looking at synthetic images", candidates.len() as u64);
    let cancel = interrupt::flag();
    let file = scratch.path().join("features");
    look_at(
        &network,
        &mut candidates,
        &file,
        &mut |done| bar.set_position(done as u64),
        &cancel,
    )?;
    bar.finish_and_clear();
    let neighbours = args.neighbours.into();
    let feedback = Feedback::of_votes(&candidates, &images, &features, neighbours)?;
    let classes = candidates.class_names();
    noisy(args, feedback, Sensitivity::of_votes(neighbours), classes)
}

/// The numbers as they leave, with noise where it is asked for.
fn noisy(
    args: &Args,
    feedback: Feedback,
    sensitivity: Sensitivity,
    classes: &[String],
) -> Result<Feedback> {
    let Some(noise) = args.noise else {
        return Ok(feedback);
    };
    Ok(feedback.with_noise(noise, sensitivity, classes, args.noise_seed)?)
}

fn table(feedback: &Feedback) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    table.set_header(match feedback.kind {
        FeedbackKind::Scores => ["backend", "domain", "class", "right", "of"],
        FeedbackKind::Votes => ["backend", "domain", "class", "votes", "images"],
    });
    for cell in &feedback.cells {
        table.add_row([
            cell.backend.clone(),
            cell.domain.clone().unwrap_or_else(|| "all".to_owned()),
            cell.class.clone(),
            cell.right.to_string(),
            cell.all.to_string(),
        ]);
    }
    for column in table.column_iter_mut().skip(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
