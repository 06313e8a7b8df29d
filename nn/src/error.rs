//! What can go wrong in this crate.

use std::fmt;
use std::path::PathBuf;

/// The result of an operation of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a layer could not be built, run or loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file of weights cannot be read.
    #[error("cannot read weights: {0}; check the path and its permissions")]
    Io(#[from] std::io::Error),

    /// The bytes are not a safetensors file.
    #[error("{origin} is not a safetensors file ({reason}); export the weights again")]
    Format {
        /// Where the bytes came from.
        origin: String,
        /// What the parser said.
        reason: String,
    },

    /// A file or a folder of a model that cannot be used.
    #[error("{}: {reason}", file.display())]
    Model {
        /// The file at fault.
        file: PathBuf,
        /// What is wrong with it and what would be right.
        reason: String,
    },

    /// The tensors of the file are not those of the model: every difference is listed.
    #[error(
        "the weights in {origin} do not fit the model: {}; use the file of this architecture",
        list(problems)
    )]
    Mismatch {
        /// Where the bytes came from.
        origin: String,
        /// Every difference, sorted by name.
        problems: Vec<WeightProblem>,
    },

    /// Tensors whose shapes do not fit each other.
    #[error("{left:?} and {right:?} do not fit {what}; check the configuration of the model")]
    Shapes {
        /// What they were to be used for.
        what: &'static str,
        /// The shape of the first.
        left: Vec<usize>,
        /// The shape of the second, or what it should be.
        right: Vec<usize>,
    },

    /// A tensor operation failed.
    #[error("tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
}

impl Error {
    pub(crate) fn shapes(what: &'static str, left: &[usize], right: &[usize]) -> Self {
        Self::Shapes {
            what,
            left: left.to_vec(),
            right: right.to_vec(),
        }
    }
}

/// One difference between a file of weights and the model that wants them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WeightProblem {
    /// The model needs a tensor that the file lacks.
    Missing {
        /// The tensor's name.
        name: String,
        /// The shape that the model needs.
        shape: Vec<usize>,
    },
    /// The file has the tensor in another shape.
    Shape {
        /// The tensor's name.
        name: String,
        /// The shape that the model needs.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// The file has the tensor in a type that is not a floating-point type.
    Type {
        /// The tensor's name.
        name: String,
        /// The type in the file.
        found: String,
    },
    /// The file has a tensor that the model does not know.
    Unexpected {
        /// The tensor's name.
        name: String,
    },
    /// The tensor holds a NaN or an infinity.
    NotFinite {
        /// The tensor's name.
        name: String,
    },
}

impl WeightProblem {
    /// The name of the tensor at fault.
    pub fn name(&self) -> &str {
        match self {
            Self::Missing { name, .. }
            | Self::Shape { name, .. }
            | Self::Type { name, .. }
            | Self::Unexpected { name }
            | Self::NotFinite { name } => name,
        }
    }
}

impl fmt::Display for WeightProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { name, shape } => write!(f, "{name} {shape:?} is missing"),
            Self::Shape {
                name,
                expected,
                found,
            } => write!(f, "{name} is {found:?} and not {expected:?}"),
            Self::Type { name, found } => {
                write!(f, "{name} has type {found} and not a floating-point type")
            }
            Self::Unexpected { name } => write!(f, "{name} is unknown"),
            Self::NotFinite { name } => write!(f, "{name} holds values that are not finite"),
        }
    }
}

fn list(problems: &[WeightProblem]) -> String {
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}
