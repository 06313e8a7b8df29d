//! What can go wrong in this crate.

use promptfed_data::ErrorKind;
use promptfed_nn::WeightProblem;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Tensors that a message names.
const NAMED: usize = 3;

/// Why a model could not be loaded or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read; the message names it.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The files of a model cannot be used.
    #[error(transparent)]
    Model(promptfed_nn::Error),
    /// The tensors of the weights are not those of the model; the message names the first and counts the others.
    #[error(
        "the weights in {origin} do not fit the model: {}; use weights and configuration of one model",
        first(problems)
    )]
    Weights {
        /// Where the weights are.
        origin: String,
        /// Every difference, sorted by name.
        problems: Vec<WeightProblem>,
    },
    /// An image or a text that the model cannot take.
    #[error("{0}")]
    Input(String),
    /// Images could not be read.
    #[error(transparent)]
    Data(#[from] promptfed_data::DataError),
    /// A computation failed.
    #[error("the model failed: {0}")]
    Engine(#[from] candle_core::Error),
}

impl Error {
    /// What kind of failure it is: a model folder that cannot be used is wrong input.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io(error) | Self::Model(promptfed_nn::Error::Io(error)) => {
                ErrorKind::of_io(error)
            }
            Self::Data(error) => error.kind(),
            Self::Engine(_) | Self::Model(promptfed_nn::Error::Tensor(_)) => ErrorKind::Failed,
            Self::Model(_) | Self::Weights { .. } | Self::Input(_) => ErrorKind::Input,
        }
    }
}

impl From<promptfed_nn::Error> for Error {
    fn from(error: promptfed_nn::Error) -> Self {
        match error {
            promptfed_nn::Error::Io(error) => Error::Io(error),
            promptfed_nn::Error::Mismatch { origin, problems } => {
                Error::Weights { origin, problems }
            }
            other => Error::Model(other),
        }
    }
}

fn first(problems: &[WeightProblem]) -> String {
    let named = problems.iter().take(NAMED).map(ToString::to_string);
    let named = named.collect::<Vec<_>>().join(", ");
    match problems.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
