//! `promptfed train`: images to a classifier.

use super::data::{self, ReadArgs};
use crate::Context;
use anyhow::Result;
use clap::{Args as ClapArgs, ValueEnum};
use promptfed_data::{Fit, load, stratified_split};
use promptfed_files::{prove_writable, write_whole};
use promptfed_learn::{Architecture, Classifier, ClassifierConfig, TrainConfig, train};
use promptfed_prompts::ContentHash;
use promptfed_synth::engines::DeviceKind;
use serde_json::json;
use std::path::PathBuf;

#[derive(ValueEnum, Clone, Copy)]
enum ArchitectureArg {
    /// Four blocks: for small images and few cores
    Small,
    /// Eight blocks
    Resnet18,
}

impl From<ArchitectureArg> for Architecture {
    fn from(argument: ArchitectureArg) -> Self {
        match argument {
            ArchitectureArg::Small => Self::Small,
            ArchitectureArg::Resnet18 => Self::Resnet18,
        }
    }
}

/// Train the residual classifier on labelled images, real or synthetic.
///
/// The epoch that is kept is the one that does best on a held-out part of the same images.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Folder, list or Parquet file of labelled images
    data: PathBuf,
    #[command(flatten)]
    read: ReadArgs,
    /// Where the model goes (safetensors)
    #[arg(long, value_name = "FILE", default_value = "model.safetensors")]
    out: PathBuf,
    #[command(flatten)]
    recipe: RecipeArgs,
    /// The residual blocks of the classifier; resnet18 is meant for --width 64
    #[arg(long, value_enum, default_value = "small")]
    architecture: ArchitectureArg,
    /// Passes over the images
    #[arg(long, default_value_t = 30)]
    epochs: usize,
    /// Share of the images held out to select the epoch; 0 keeps the last
    #[arg(long, default_value_t = 0.1)]
    validation_fraction: f64,
    /// Where the classifier is trained: cpu or cuda [default: cpu]
    #[arg(long)]
    device: Option<DeviceKind>,
    /// Seed of the weights, the order, the augmentation and the held-out part
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// The classifier and how it is trained.
#[derive(ClapArgs, Clone)]
pub(crate) struct RecipeArgs {
    /// Side in pixels that images are resized to
    #[arg(long, default_value_t = 32)]
    pub(crate) image_size: usize,
    /// Channels of the classifier's first stage
    #[arg(long, default_value_t = 24)]
    pub(crate) width: usize,
    /// Images in one training step
    #[arg(long, default_value_t = 64)]
    pub(crate) batch_size: usize,
    /// Peak learning rate
    #[arg(long, default_value_t = 0.1)]
    pub(crate) learning_rate: f32,
    /// L2 penalty
    #[arg(long, default_value_t = 5e-4)]
    pub(crate) weight_decay: f32,
    /// Probability spread over all classes in the target
    #[arg(long, default_value_t = 0.1)]
    pub(crate) label_smoothing: f32,
}

impl RecipeArgs {
    /// The training settings without epochs and seed.
    pub(crate) fn training(&self) -> TrainConfig {
        TrainConfig {
            batch_size: self.batch_size,
            learning_rate: self.learning_rate,
            weight_decay: self.weight_decay,
            label_smoothing: self.label_smoothing,
            ..TrainConfig::default()
        }
    }
}

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    let device = args.device.unwrap_or_default().open()?;
    prove_writable(&args.out)?;
    let (dataset, label_space) = args.read.open(&args.data)?;
    let (images, report) = load(
        &dataset,
        args.recipe.image_size,
        Fit::Crop,
        &args.read.decode(),
    )?;
    data::tell_decoded(&report);
    let config = TrainConfig {
        epochs: args.epochs,
        seed: args.seed,
        ..args.recipe.training()
    };
    let (keep, held_out) = stratified_split(&images.labels, args.validation_fraction, args.seed);
    let (train_images, validation) = (images.subset(&keep), images.subset(&held_out));
    let classifier = ClassifierConfig {
        width: args.recipe.width,
        architecture: args.architecture.into(),
        ..ClassifierConfig::new(label_space.len(), args.recipe.image_size)
    };
    let mut model = Classifier::new(classifier, args.seed)?.on(&device)?;
    let bar = context.progress.bar("training", args.epochs as u64);
    let validation = (!validation.is_empty()).then_some(&validation);
    let report = train(
        &mut model,
        &train_images,
        validation,
        &config,
        &mut |epoch| {
            bar.set_position(epoch.epoch as u64 + 1);
            let accuracy = epoch.validation_accuracy.map_or(String::new(), |a| {
                format!(", validation {:.1} %", 100.0 * a)
            });
            bar.set_message(format!("loss {:.3}{accuracy}", epoch.train_loss));
        },
    )?;
    bar.finish_and_clear();
    let file = model.to_safetensors()?;
    write_whole(&args.out, &file)?;
    let kept = &report.curve[report.selected_epoch];
    let hash = ContentHash::of(&file);
    if context.json {
        println!(
            "{}",
            json!({
                "model": args.out.display().to_string(), "hash": hash, "parameters": model.num_parameters(), "images": train_images.len(),
                "data_hash": images.hash().to_hex().as_str(), "seed": args.seed, "selected_epoch": report.selected_epoch,
                "validation_accuracy": kept.validation_accuracy, "curve": report.curve,
            })
        );
    } else {
        println!(
            "{}: {} parameters, {} images, epoch {} of {}{}",
            args.out.display(),
            model.num_parameters(),
            train_images.len(),
            report.selected_epoch + 1,
            args.epochs,
            kept.validation_accuracy.map_or(String::new(), |a| format!(
                ", validation accuracy {:.1} %",
                100.0 * a
            )),
        );
    }
    Ok(())
}
