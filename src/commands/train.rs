//! `promptfed train`: images to a classifier.

use super::data::{self, ReadArgs};
use super::out_file::refuse_to_replace;
use super::recipe::{RecipeArgs, tell_doubts};
use crate::Context;
use anyhow::Result;
use clap::Args as ClapArgs;
use promptfed_data::{Adjustment, Part, load};
use promptfed_files::{prove_writable, write_whole};
use promptfed_learn::{EpochStats, Recipe, Supervision};
use promptfed_prompts::ContentHash;
use promptfed_synth::engines::DeviceKind;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Train the residual classifier on labelled images, real or synthetic.
///
/// The epoch that is kept is the one that does best on a held-out part of the same images, by the mean of the classes'
/// accuracies, where that part is large enough to choose by, and otherwise the last. The images of a fused set weigh what `promptfed fuse`
/// found.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Folder, list or Parquet file of labelled images; or a folder of `promptfed synth` or `promptfed fuse`
    data: PathBuf,
    #[command(flatten)]
    read: ReadArgs,
    /// Where the model goes (safetensors)
    #[arg(long, value_name = "FILE", default_value = "model.safetensors")]
    out: PathBuf,
    #[command(flatten)]
    recipe: RecipeArgs,
    /// Passes over the images
    #[arg(long, default_value_t = 30)]
    epochs: usize,
    /// Where the classifier is trained: cpu or cuda [default: cpu]
    #[arg(long)]
    device: Option<DeviceKind>,
    /// Seed of the weights, the order, the augmentation and the held-out part
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// What `--json` prints. A type of its own: `json!` writes an f32 with all digits of an f64.
#[derive(Serialize)]
struct Shown<'a> {
    model: String,
    hash: ContentHash,
    parameters: usize,
    images: usize,
    validation_images: usize,
    data_hash: String,
    seed: u64,
    /// Whether images have weights.
    weighted: bool,
    /// Whether images have soft labels.
    soft_labels: bool,
    recipe: &'a Recipe,
    adjusted: &'a BTreeMap<Adjustment, usize>,
    selected_epoch: usize,
    selection: String,
    validation_accuracy: Option<f32>,
    validation_balanced_accuracy: Option<f32>,
    read_as: &'a [Part],
    warnings: &'a [String],
    curve: &'a [EpochStats],
}

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    let recipe = args.recipe.recipe(args.epochs, args.seed)?;
    let device = args.device.unwrap_or_default().open()?;
    prove_writable(&args.out)?;
    let (dataset, label_space) = args.read.open(&args.data)?;
    let others: Vec<_> = args.read.label_space_file().into_iter().collect();
    refuse_to_replace(&args.out, &args.data, &dataset, &others)?;
    data::tell_parts(&dataset, context);
    let (images, decoding) = load(&dataset, recipe.image_size, recipe.fit, &args.read.decode())?;
    data::tell_decoded(&decoding);
    let mut warnings = data::warnings(&dataset, &decoding);
    warnings.extend(recipe.doubts(&images.class_names));
    tell_doubts(&recipe, &images.class_names);
    let supervision = Supervision {
        weights: dataset.weights_of_decoded(&decoding),
        targets: dataset.targets_of_decoded(&decoding),
    };
    let held_out = recipe.hold_out_supervised(&images, &supervision)?;
    let mut model = recipe.start(label_space.len())?.on(&device)?;
    let bar = context.progress.bar("training", args.epochs as u64);
    let report = recipe.train(&mut model, &held_out, None, &mut |epoch| {
        bar.set_position(epoch.epoch as u64);
        let accuracy = epoch.validation_accuracy.map_or(String::new(), |a| {
            format!(", validation {:.1} %", 100.0 * a)
        });
        bar.set_message(format!("loss {:.3}{accuracy}", epoch.train_loss));
    })?;
    bar.finish_and_clear();
    let file = model.to_safetensors()?;
    write_whole(&args.out, &file)?;
    let kept = &report.curve[report.selected_epoch];
    let hash = ContentHash::of(&file);
    if context.json {
        let shown = Shown {
            model: args.out.display().to_string(),
            hash,
            parameters: model.num_parameters(),
            images: held_out.training.len(),
            validation_images: held_out.validation.len(),
            data_hash: images.hash().to_hex().to_string(),
            seed: args.seed,
            weighted: supervision.weights.is_some(),
            soft_labels: supervision.targets.is_some(),
            recipe: &recipe,
            adjusted: &decoding.adjusted,
            selected_epoch: report.selected_epoch + 1,
            selection: report.selection.to_string(),
            validation_accuracy: kept.validation_accuracy,
            validation_balanced_accuracy: kept.validation_balanced_accuracy,
            read_as: &dataset.parts,
            warnings: &warnings,
            curve: &report.curve,
        };
        println!("{}", serde_json::to_string(&shown)?);
    } else {
        println!(
            "{}: {} parameters, {} {}images, epoch {} of {} ({}){}",
            args.out.display(),
            model.num_parameters(),
            held_out.training.len(),
            described(&supervision),
            report.selected_epoch + 1,
            args.epochs,
            report.selection,
            kept.validation_accuracy.map_or(String::new(), |a| format!(
                ", validation accuracy {:.1} %",
                100.0 * a
            )),
        );
    }
    Ok(())
}

/// What is said of images of which more is known than their labels.
fn described(supervision: &Supervision) -> &'static str {
    match (&supervision.weights, &supervision.targets) {
        (None, None) => "",
        (Some(_), None) => "weighted ",
        (None, Some(_)) => "softly labelled ",
        (Some(_), Some(_)) => "weighted, softly labelled ",
    }
}
