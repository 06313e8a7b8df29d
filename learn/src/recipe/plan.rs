//! A recipe on the wire, and back. Both directions name every field, so that none is lost.

use promptfed_data::Fit;
use promptfed_prompts::protocol::{ClassifierArchitecture, PictureFit, TrainingPlan, decimal};

use super::Recipe;
use crate::{Architecture, Augmentation, Schedule, TrainConfig};

/// The share of a round's steps over which the learning rate rises.
const WARMUP_FRACTION: f32 = 0.3;

impl From<&TrainingPlan> for Recipe {
    fn from(plan: &TrainingPlan) -> Self {
        let &TrainingPlan {
            epochs,
            batch_size,
            learning_rate,
            momentum,
            label_smoothing,
            weight_decay,
            flip,
            shift,
            image_size,
            fit,
            width,
            architecture,
            validation_fraction,
            seed,
        } = plan;
        Self {
            image_size: image_size as usize,
            fit: match fit {
                PictureFit::Crop => Fit::Crop,
                PictureFit::Pad => Fit::Pad,
                PictureFit::Squash => Fit::Squash,
            },
            width: width as usize,
            architecture: architecture.into(),
            training: TrainConfig {
                epochs: epochs as usize,
                batch_size: batch_size as usize,
                learning_rate: learning_rate as f32,
                schedule: Schedule::Cosine,
                warmup_fraction: WARMUP_FRACTION,
                momentum: momentum as f32,
                weight_decay: weight_decay as f32,
                label_smoothing: label_smoothing as f32,
                augmentation: Augmentation {
                    flip,
                    shift: shift as f32,
                },
                seed,
            },
            validation_fraction,
        }
    }
}

impl Recipe {
    /// The recipe as a round agrees on it. Its schedule is always [`Schedule::Cosine`]; sizes beyond `u32` become its largest, which no round accepts.
    pub fn plan(&self) -> TrainingPlan {
        let Self {
            image_size,
            fit,
            width,
            architecture,
            training,
            validation_fraction,
        } = self;
        let TrainConfig {
            epochs,
            batch_size,
            learning_rate,
            schedule: _,
            warmup_fraction: _,
            momentum,
            weight_decay,
            label_smoothing,
            augmentation: Augmentation { flip, shift },
            seed,
        } = training;
        let size = |value: &usize| u32::try_from(*value).unwrap_or(u32::MAX);
        TrainingPlan {
            epochs: size(epochs),
            batch_size: size(batch_size),
            learning_rate: decimal(*learning_rate),
            momentum: decimal(*momentum),
            label_smoothing: decimal(*label_smoothing),
            weight_decay: decimal(*weight_decay),
            flip: *flip,
            shift: decimal(*shift),
            image_size: size(image_size),
            fit: match fit {
                Fit::Crop => PictureFit::Crop,
                Fit::Pad => PictureFit::Pad,
                Fit::Squash => PictureFit::Squash,
            },
            width: size(width),
            architecture: match architecture {
                Architecture::Small => ClassifierArchitecture::Small,
                Architecture::Resnet18 => ClassifierArchitecture::Resnet18,
            },
            validation_fraction: *validation_fraction,
            seed: *seed,
        }
    }
}

impl From<ClassifierArchitecture> for Architecture {
    fn from(told: ClassifierArchitecture) -> Self {
        match told {
            ClassifierArchitecture::Small => Self::Small,
            ClassifierArchitecture::Resnet18 => Self::Resnet18,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_crosses_the_wire_and_comes_back() {
        let recipe = Recipe {
            image_size: 48,
            fit: Fit::Pad,
            width: 12,
            architecture: Architecture::Resnet18,
            training: TrainConfig {
                epochs: 7,
                batch_size: 33,
                learning_rate: 0.07,
                momentum: 0.8,
                weight_decay: 3e-4,
                label_smoothing: 0.05,
                augmentation: Augmentation {
                    flip: false,
                    shift: 0.2,
                },
                seed: 99,
                ..TrainConfig::default()
            },
            validation_fraction: 0.25,
        };
        let plan = recipe.plan();
        plan.validate().unwrap();
        assert_eq!(plan.learning_rate, 0.07);
        assert_eq!(Recipe::from(&plan), recipe);
        assert_eq!(Recipe::from(&Recipe::default().plan()), Recipe::default());
    }
}
