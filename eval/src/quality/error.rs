//! What can go wrong in measuring a set.

use promptfed_files::ErrorKind;

/// Why a set could not be measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QualityError {
    /// Too few images for the neighbours asked for.
    #[error("{images} {role} images are too few for {k} neighbours; give at least {}", k + 1)]
    TooFew {
        /// `real` or `synthetic`.
        role: &'static str,
        /// How many there are.
        images: usize,
        /// Neighbours that measures look at.
        k: usize,
    },
    /// Feature sets that do not belong together.
    #[error(
        "features of {found} values beside features of {expected}; measure both sets with one network"
    )]
    Width {
        /// Values of one set's features.
        found: usize,
        /// Values of the other's.
        expected: usize,
    },
    /// A feature that is no number.
    #[error("image {index} has features that are not finite; check the network's weights")]
    NotFinite {
        /// The image, from 0.
        index: usize,
    },
    /// Sets of other classes.
    #[error(
        "the synthetic images have the classes {synthetic:?} and the real ones {real:?}; open both with one --label-space"
    )]
    Classes {
        /// Of the synthetic set.
        synthetic: Vec<String>,
        /// Of the real set.
        real: Vec<String>,
    },
    /// Reading images failed.
    #[error(transparent)]
    Data(#[from] promptfed_data::DataError),
    /// The network failed.
    #[error(transparent)]
    Vision(#[from] promptfed_vision::Error),
    /// A tensor operation failed.
    #[error("tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
}

impl QualityError {
    /// What kind of failure it is: sets that do not belong together are wrong input.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Data(error) => error.kind(),
            Self::Vision(error) => error.kind(),
            Self::Tensor(_) => ErrorKind::Failed,
            _ => ErrorKind::Input,
        }
    }
}
