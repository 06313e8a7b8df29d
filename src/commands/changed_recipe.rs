//! A recipe of which some settings are changed, on the command line.

use super::recipe::{ArchitectureArg, out_of_range};
use anyhow::Result;
use clap::Args as ClapArgs;
use promptfed_data::Fit;
use promptfed_learn::Recipe;
use promptfed_prompts::protocol::TrainingPlan;

/// The settings of a training that are other than a plan says; the flags of `promptfed train`.
#[derive(ClapArgs, Clone, Default)]
#[command(
    next_help_heading = "Classifier and training [default of each: what the round's plan says]"
)]
pub(super) struct ChangedRecipeArgs {
    /// Passes over the images
    #[arg(long)]
    epochs: Option<usize>,
    /// Seed of the initial weights, the order, the augmentation and the validation split
    #[arg(long)]
    seed: Option<u64>,
    /// Side in pixels that images are resized to
    #[arg(long, value_name = "PIXELS")]
    image_size: Option<usize>,
    /// How pictures that are not square become so: crop (the middle, the ends are lost), pad (bars at the sides) or squash
    #[arg(long, value_name = "crop|pad|squash")]
    fit: Option<Fit>,
    /// The residual blocks of the classifier; resnet18 is meant for --width 64
    #[arg(long, value_enum)]
    architecture: Option<ArchitectureArg>,
    /// Channels of the classifier's first stage
    #[arg(long, value_name = "N")]
    width: Option<usize>,
    /// Images in one training step
    #[arg(long, value_name = "N")]
    batch_size: Option<usize>,
    /// Peak learning rate
    #[arg(long, value_name = "RATE")]
    learning_rate: Option<f32>,
    /// Nesterov momentum
    #[arg(long, value_name = "M")]
    momentum: Option<f32>,
    /// L2 penalty
    #[arg(long, value_name = "PENALTY")]
    weight_decay: Option<f32>,
    /// Probability spread over all classes in the target
    #[arg(long, value_name = "P")]
    label_smoothing: Option<f32>,
    /// Mirror images left to right at random
    #[arg(long, overrides_with = "no_flip")]
    flip: bool,
    /// Never mirror images: for classes that differ by a mirror, such as left and right
    #[arg(long, overrides_with = "flip")]
    no_flip: bool,
    /// The largest random shift as a share of the image's side, 0 to 0.5
    #[arg(long, value_name = "F")]
    shift: Option<f32>,
    /// Share of the images held out to choose the epoch; a share too small to choose by is trained on, and the last epoch is kept, as with 0
    #[arg(long, value_name = "F")]
    validation_fraction: Option<f64>,
}

impl ChangedRecipeArgs {
    /// The plan with these settings in place of its own.
    pub(super) fn change(&self, plan: &TrainingPlan) -> Result<TrainingPlan> {
        let mut recipe = Recipe::from(plan);
        let training = &mut recipe.training;
        set(&mut training.epochs, self.epochs);
        set(&mut training.seed, self.seed);
        set(&mut training.batch_size, self.batch_size);
        set(&mut training.learning_rate, self.learning_rate);
        set(&mut training.momentum, self.momentum);
        set(&mut training.weight_decay, self.weight_decay);
        set(&mut training.label_smoothing, self.label_smoothing);
        let flip = match (self.flip, self.no_flip) {
            (false, false) => None,
            (flip, _) => Some(flip),
        };
        set(&mut training.augmentation.flip, flip);
        set(&mut training.augmentation.shift, self.shift);
        set(&mut recipe.image_size, self.image_size);
        set(&mut recipe.fit, self.fit);
        set(&mut recipe.architecture, self.architecture.map(Into::into));
        set(&mut recipe.width, self.width);
        set(&mut recipe.validation_fraction, self.validation_fraction);
        let changed = recipe.plan();
        changed.validate().map_err(|fault| out_of_range(&fault))?;
        Ok(changed)
    }
}

fn set<T>(setting: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *setting = given;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use promptfed_prompts::protocol::ClassifierArchitecture;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        changed: ChangedRecipeArgs,
    }

    fn change(flags: &[&str], plan: &TrainingPlan) -> Result<TrainingPlan> {
        let line = [&["train"], flags].concat();
        Line::try_parse_from(line).unwrap().changed.change(plan)
    }

    #[test]
    fn what_is_not_given_stays() {
        let plan = Recipe::default().plan();
        assert_eq!(change(&[], &plan).unwrap(), plan);
        let flags = ["--epochs", "7", "--learning-rate", "0.02", "--no-flip"];
        let changed = change(&flags, &plan).unwrap();
        let expected = TrainingPlan {
            epochs: 7,
            learning_rate: 0.02,
            flip: false,
            ..plan
        };
        assert_eq!(changed, expected);
        let back = change(&["--flip", "--architecture", "resnet18"], &changed).unwrap();
        assert!(back.flip);
        assert_eq!(back.architecture, ClassifierArchitecture::Resnet18);
        let told = change(&["--epochs", "0"], &plan).unwrap_err();
        assert!(format!("{told:#}").contains("--epochs"), "{told:#}");
    }
}
