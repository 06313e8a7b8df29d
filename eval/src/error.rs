//! What can go wrong in a comparison.

use promptfed_files::ErrorKind;

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a comparison ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The data's classes are not those of the label space.
    #[error(
        "the {role} images have the classes {found:?}, and the label space has {expected:?}; open the data with the label space's class names"
    )]
    Classes {
        /// `private` or `test`.
        role: &'static str,
        /// The data's classes.
        found: Vec<String>,
        /// The label space's classes.
        expected: Vec<String>,
    },
    /// A data set without samples.
    #[error("there are no {role} images; check the path and the class names")]
    NoImages {
        /// `private` or `test`.
        role: &'static str,
    },
    /// A method that looks at public images where there are none.
    #[error("{method} looks at public images, and there are none; give some with --public")]
    NoPublicImages {
        /// The method.
        method: &'static str,
    },
    /// A comparison without seeds.
    #[error("there is no seed; give at least one")]
    NoSeeds,
    /// A method of rounds without rounds or epochs.
    #[error("training in rounds needs at least 1 round and 1 local epoch")]
    NoRounds,
    /// The comparison was asked to stop.
    #[error("interrupted; {kept} runs are kept")]
    Cancelled {
        /// Runs that are in the journal.
        kept: usize,
    },
    /// Too few private images to hold some out.
    #[error(
        "{images} private images are too few to hold some out to compare learning rates by: no class has two; leave out --tune, or give more images"
    )]
    NothingHeldOut {
        /// How many there are.
        images: usize,
    },
    /// Threads for runs at the same time could not be started.
    #[error("cannot start threads: {0}; run fewer at the same time (--jobs)")]
    Threads(#[from] rayon::ThreadPoolBuildError),
    /// A method was asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// What arrived is not what such a payload looks like.
    #[error("{what} could not be read: {reason}")]
    Payload {
        /// What it should be.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The report could not be written.
    #[error("cannot write the report: {0}")]
    Report(#[from] std::io::Error),
    /// A file of the report could not be written; the message names it.
    #[error("cannot write the report: {0}")]
    File(#[from] promptfed_files::FileError),
    /// The report's record could not be serialised.
    #[error("cannot write the report's JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The report's predictions could not be written as CSV.
    #[error("cannot write the report's predictions: {0}")]
    Csv(#[from] csv::Error),
    /// A gallery image could not be encoded.
    #[error("cannot encode an image for the report: {0}")]
    Png(image::ImageError),
    /// Reading data failed.
    #[error(transparent)]
    Data(#[from] promptfed_data::DataError),
    /// Prompts are wrong.
    #[error(transparent)]
    Prompts(#[from] promptfed_prompts::Error),
    /// Training or testing failed.
    #[error(transparent)]
    Learn(#[from] promptfed_learn::Error),
    /// A frozen network failed, or what it makes of images cannot be used.
    #[error(transparent)]
    Features(#[from] crate::quality::QualityError),
    /// A tensor operation failed.
    #[error("tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
    /// Extraction failed.
    #[error(transparent)]
    Client(#[from] promptfed_client::Error),
    /// Communication with the server failed, or the server gave up the round.
    #[error(transparent)]
    Request(#[from] promptfed_client::RequestError),
    /// The simulated server could not finish its round.
    #[error("the server's work failed: {0}")]
    Round(String),
    /// The server failed.
    #[error(transparent)]
    Server(#[from] promptfed_server::Error),
    /// Reading synthetic images failed.
    #[error(transparent)]
    Synth(#[from] promptfed_synth::Error),
}

/// What [`promptfed_learn::Error::Diverged`] is told by.
const DIVERGED: &str = "the loss became";

/// What is told of weights in which training went as far.
const NOT_FINITE: &str = "values that are not finite";

impl Error {
    /// Whether training ran into values that are not finite: with a lower learning rate it may not.
    pub(crate) fn is_divergence(&self) -> bool {
        match self {
            Self::Learn(error) => error.is_divergence(),
            // A server tells it in words.
            Self::Round(reason) => [DIVERGED, NOT_FINITE]
                .iter()
                .any(|words| reason.contains(words)),
            _ => false,
        }
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Classes { .. }
            | Self::NoImages { .. }
            | Self::NoPublicImages { .. }
            | Self::NoSeeds
            | Self::NoRounds
            | Self::NothingHeldOut { .. }
            | Self::Prompts(_) => ErrorKind::Input,
            Self::Cancelled { .. } | Self::Interrupted => ErrorKind::Interrupted,
            Self::File(error) => error.kind(),
            Self::Data(error) => error.kind(),
            Self::Learn(error) => error.kind(),
            Self::Features(error) => error.kind(),
            Self::Client(error) => error.kind(),
            Self::Request(error) => error.kind(),
            Self::Server(error) => error.kind(),
            Self::Synth(error) => error.kind(),
            Self::Payload { .. }
            | Self::Report(_)
            | Self::Json(_)
            | Self::Csv(_)
            | Self::Png(_)
            | Self::Tensor(_)
            | Self::Threads(_)
            | Self::Round(_) => ErrorKind::Failed,
        }
    }
}

/// An error and its causes in one line; a cause whose words end the line already is not told twice.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divergence_is_known_from_other_failures_also_where_a_server_tells_it() {
        let diverged = promptfed_learn::Error::Diverged {
            epoch: 2,
            loss: f32::NAN,
            learning_rate: 10.0,
        };
        assert!(Error::Round(diverged.to_string()).is_divergence());
        assert!(Error::Learn(diverged).is_divergence());
        let others = [
            Error::Round("the engine gave no image".into()),
            Error::Learn(promptfed_learn::Error::Cancelled),
            Error::NoSeeds,
        ];
        assert!(others.iter().all(|error| !error.is_divergence()));
    }
}
