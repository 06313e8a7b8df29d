//! The classifier and how it is trained, on the command line.

use crate::exit::BadInput;
use anyhow::Result;
use clap::{Args as ClapArgs, ValueEnum};
use promptfed_data::Fit;
use promptfed_learn::{Architecture, Augmentation, Recipe, TrainConfig};
use promptfed_prompts::protocol::InvalidMessage;

#[derive(ValueEnum, Clone, Copy)]
pub(crate) enum ArchitectureArg {
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

/// The classifier and how it is trained, but for epochs and seed.
#[derive(ClapArgs, Clone)]
#[command(next_help_heading = "Classifier and training")]
pub(crate) struct RecipeArgs {
    /// Side in pixels that images are resized to
    #[arg(long, value_name = "PIXELS", default_value_t = Recipe::default().image_size)]
    pub(crate) image_size: usize,
    /// How pictures that are not square become so: crop (the middle, the ends are lost), pad (bars at the sides) or squash
    #[arg(long, value_name = "crop|pad|squash", default_value_t = Recipe::default().fit)]
    pub(crate) fit: Fit,
    /// The residual blocks of the classifier; resnet18 is meant for --width 64
    #[arg(long, value_enum, default_value = "small")]
    pub(crate) architecture: ArchitectureArg,
    /// Channels of the classifier's first stage
    #[arg(long, value_name = "N", default_value_t = Recipe::default().width)]
    pub(crate) width: usize,
    /// Images in one training step
    #[arg(long, value_name = "N", default_value_t = TrainConfig::default().batch_size)]
    pub(crate) batch_size: usize,
    /// Peak learning rate
    #[arg(long, value_name = "RATE", default_value_t = TrainConfig::default().learning_rate)]
    pub(crate) learning_rate: f32,
    /// Nesterov momentum
    #[arg(long, value_name = "M", default_value_t = TrainConfig::default().momentum)]
    pub(crate) momentum: f32,
    /// L2 penalty
    #[arg(long, value_name = "PENALTY", default_value_t = TrainConfig::default().weight_decay)]
    pub(crate) weight_decay: f32,
    /// Probability spread over all classes in the target
    #[arg(long, value_name = "P", default_value_t = TrainConfig::default().label_smoothing)]
    pub(crate) label_smoothing: f32,
    /// Mirror images left to right at random. This is the default
    #[arg(long, overrides_with = "no_flip")]
    pub(crate) flip: bool,
    /// Never mirror images: for classes that differ by a mirror, such as left and right
    #[arg(long, overrides_with = "flip")]
    pub(crate) no_flip: bool,
    /// The largest random shift as a share of the image's side, 0 to 0.5
    #[arg(long, value_name = "F", default_value_t = Augmentation::default().shift)]
    pub(crate) shift: f32,
    /// Share of the images held out to choose the epoch (or round); a share too small to choose by is trained on, and the last
    /// epoch is kept, as with 0
    #[arg(long, value_name = "F", default_value_t = Recipe::default().validation_fraction)]
    pub(crate) validation_fraction: f64,
}

impl Default for RecipeArgs {
    fn default() -> Self {
        let Recipe {
            image_size,
            fit,
            width,
            validation_fraction,
            training,
            architecture: _,
        } = Recipe::default();
        Self {
            image_size,
            fit,
            architecture: ArchitectureArg::Small,
            width,
            batch_size: training.batch_size,
            learning_rate: training.learning_rate,
            momentum: training.momentum,
            weight_decay: training.weight_decay,
            label_smoothing: training.label_smoothing,
            flip: false,
            no_flip: false,
            shift: training.augmentation.shift,
            validation_fraction,
        }
    }
}

impl RecipeArgs {
    /// The recipe of so many epochs with this seed.
    pub(crate) fn recipe(&self, epochs: usize, seed: u64) -> Result<Recipe> {
        let recipe = Recipe {
            image_size: self.image_size,
            fit: self.fit,
            width: self.width,
            architecture: self.architecture.into(),
            training: TrainConfig {
                epochs,
                batch_size: self.batch_size,
                learning_rate: self.learning_rate,
                momentum: self.momentum,
                weight_decay: self.weight_decay,
                label_smoothing: self.label_smoothing,
                augmentation: Augmentation {
                    flip: !self.no_flip,
                    shift: self.shift,
                },
                seed,
                ..TrainConfig::default()
            },
            validation_fraction: self.validation_fraction,
        };
        // The ranges are those of a round for every command.
        recipe
            .plan()
            .validate()
            .map_err(|fault| out_of_range(&fault))?;
        Ok(recipe)
    }
}

/// That a field of a round's plan is out of range, by the flag that it has.
pub(crate) fn out_of_range(fault: &InvalidMessage) -> anyhow::Error {
    let flag = match fault.field() {
        "synthesis.min_clip_score" => "min-score".to_owned(),
        "synthesis.images.per_prompt" => "images-per-prompt".to_owned(),
        "synthesis.images.total" => "images".to_owned(),
        field if field.starts_with("synthesis.guidance") => "guidance".to_owned(),
        "synthesis.fuse" | "synthesis.fuse.select" => "fuse".to_owned(),
        field if field.starts_with("synthesis.fuse.task.") => {
            let name = field.rsplit('.').next().unwrap_or(field);
            format!("task-{name}")
        }
        field => {
            let name = field.rsplit('.').next().unwrap_or(field);
            name.replace('_', "-")
        }
    };
    let text = format!("--{flag} is out of range; give {}", fault.rule());
    anyhow::Error::msg(text).context(BadInput)
}

/// Tells what in a recipe is at odds with the classes.
pub(crate) fn tell_doubts(recipe: &Recipe, class_names: &[String]) {
    for doubt in recipe.doubts(class_names) {
        eprintln!("warning: {doubt}");
    }
}
