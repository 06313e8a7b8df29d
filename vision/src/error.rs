//! What can go wrong in this crate.

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a model could not be loaded or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read; the message names it.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The files of a model cannot be used; every tensor at fault is listed.
    #[error(transparent)]
    Model(promptfed_nn::Error),
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

impl From<promptfed_nn::Error> for Error {
    fn from(error: promptfed_nn::Error) -> Self {
        match error {
            promptfed_nn::Error::Io(error) => Error::Io(error),
            other => Error::Model(other),
        }
    }
}
