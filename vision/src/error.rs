//! What can go wrong in this crate.

use std::path::PathBuf;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a model could not be loaded or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read; the message names it.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A model folder holds something that cannot be used.
    #[error("{}: {reason}", file.display())]
    Model {
        /// The file at fault.
        file: PathBuf,
        /// What is wrong with it and what would be right.
        reason: String,
    },
    /// The weights do not fit; every tensor at fault is listed.
    #[error(transparent)]
    Weights(#[from] promptfed_nn::Error),
    /// An image or a text that the model cannot take.
    #[error("{0}")]
    Input(String),
    /// A computation failed.
    #[error("the model failed: {0}")]
    Engine(#[from] candle_core::Error),
}
