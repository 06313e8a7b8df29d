//! What can go wrong in this crate.

use promptfed_data::ErrorKind;
use promptfed_nn::WeightProblem;

/// The result of an operation of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a classifier could not be built, trained, evaluated or averaged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is out of its range.
    #[error("{field} is {value}; it must be {expected}")]
    Config {
        /// The setting.
        field: &'static str,
        /// Its value.
        value: String,
        /// The range it must lie in.
        expected: &'static str,
    },

    /// There is no image to train on or to evaluate.
    #[error("the {role} set has no images; give at least one")]
    NoImages {
        /// What the images were for.
        role: &'static str,
    },

    /// The images are not of the size that the classifier takes.
    #[error(
        "the {role} images are {found} px and the classifier takes {expected} px; resize them when loading"
    )]
    ImageSize {
        /// What the images were for.
        role: &'static str,
        /// The side of the given images.
        found: usize,
        /// The side that the classifier takes.
        expected: usize,
    },

    /// A set of images whose arrays do not fit each other.
    #[error("the {role} set has {found} {what} where {expected} are needed; load it again")]
    Inconsistent {
        /// What the images were for.
        role: &'static str,
        /// The array at fault.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The length it must have.
        expected: usize,
    },

    /// A label names a class that the classifier does not have.
    #[error(
        "image {index} of the {role} set has label {label} and the classifier knows {classes} classes; use one label space for both"
    )]
    Label {
        /// What the images were for.
        role: &'static str,
        /// The image.
        index: usize,
        /// Its label.
        label: u32,
        /// The number of classes.
        classes: usize,
    },

    /// The images' classes are not those that the classifier was trained on.
    #[error(
        "the images have the classes {images:?} and the classifier {classifier:?}; open the images with the classifier's label space"
    )]
    ClassNames {
        /// The images' class names.
        images: Vec<String>,
        /// The classifier's class names.
        classifier: Vec<String>,
    },

    /// Sample weights that are negative, not finite or all zero.
    #[error(
        "sample weight {index} is {value}; weights must be finite, not negative and not all zero"
    )]
    SampleWeight {
        /// The sample.
        index: usize,
        /// Its weight.
        value: f32,
    },

    /// Soft labels that are no probabilities.
    #[error(
        "the soft label of image {index} sums to {sum}; probabilities are not negative and sum to 1"
    )]
    Targets {
        /// The image.
        index: usize,
        /// What its values sum to.
        sum: f64,
    },

    /// Batch normalisation of a single value per channel, which is that value's own mean: it would give 0 whatever the image.
    #[error(
        "a batch of 1 image of {image_size} px leaves one value per channel to normalise, which says nothing; train on 2 images or more, in batches of 2 or more, or on images of 9 px or more"
    )]
    OneValue {
        /// The side of the images.
        image_size: usize,
    },

    /// Training ran into values that are not finite.
    #[error("the loss became {loss} in epoch {epoch}; lower the learning rate ({learning_rate})")]
    Diverged {
        /// The epoch, from 1.
        epoch: usize,
        /// The loss.
        loss: f32,
        /// The peak learning rate.
        learning_rate: f32,
    },

    /// Training was asked to stop.
    #[error("training was cancelled")]
    Cancelled,

    /// Models that cannot be averaged.
    #[error(
        "model {model} cannot be averaged with model 0: {reason}; average models of one configuration"
    )]
    Averaging {
        /// The model at fault, counted from 0.
        model: usize,
        /// The first difference.
        reason: String,
    },

    /// Nothing to average, or all sizes zero.
    #[error(
        "there is nothing to average: {models} models with {samples} samples in total; give at least one with samples"
    )]
    NothingToAverage {
        /// The number of models.
        models: usize,
        /// The total of their sizes.
        samples: usize,
    },

    /// A file that is not a classifier.
    #[error("this is not a file of a classifier: {reason}; use one that promptfed wrote")]
    File {
        /// What is wrong with it.
        reason: String,
    },

    /// A layer or a file of weights failed.
    #[error(transparent)]
    Layer(#[from] promptfed_nn::Error),

    /// A tensor operation failed.
    #[error("tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
}

impl Error {
    /// Whether training ran into values that are not finite, which a lower learning rate may avoid. What the last step left of them is found
    /// where the weights are read again.
    pub fn is_divergence(&self) -> bool {
        match self {
            Self::Diverged { .. } => true,
            Self::Layer(promptfed_nn::Error::Mismatch { problems, .. }) => problems
                .iter()
                .any(|problem| matches!(problem, WeightProblem::NotFinite { .. })),
            _ => false,
        }
    }

    /// What kind of failure it is: settings and images that do not fit are wrong input.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Config { .. }
            | Self::NoImages { .. }
            | Self::ImageSize { .. }
            | Self::Label { .. }
            | Self::ClassNames { .. }
            | Self::SampleWeight { .. }
            | Self::Targets { .. }
            | Self::OneValue { .. }
            | Self::File { .. } => ErrorKind::Input,
            Self::Cancelled => ErrorKind::Interrupted,
            Self::Layer(promptfed_nn::Error::Io(error)) => ErrorKind::of_io(error),
            Self::Layer(
                promptfed_nn::Error::Format { .. }
                | promptfed_nn::Error::Model { .. }
                | promptfed_nn::Error::Mismatch { .. },
            ) => ErrorKind::Input,
            Self::Inconsistent { .. }
            | Self::Diverged { .. }
            | Self::Averaging { .. }
            | Self::NothingToAverage { .. }
            | Self::Layer(_)
            | Self::Tensor(_) => ErrorKind::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_that_are_not_finite_diverged_and_others_that_do_not_fit_did_not() {
        let of = |problem| {
            let origin = "the given weights".to_owned();
            let problems = vec![problem];
            Error::Layer(promptfed_nn::Error::Mismatch { origin, problems })
        };
        let name = || "head.weight".to_owned();
        assert!(of(WeightProblem::NotFinite { name: name() }).is_divergence());
        assert!(!of(WeightProblem::Unexpected { name: name() }).is_divergence());
    }
}
