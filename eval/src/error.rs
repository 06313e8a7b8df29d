//! What can go wrong in a comparison.

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
    #[error(
        "{method} exchanges answers on public images, and there are none; give some with --public"
    )]
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
