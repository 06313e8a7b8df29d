//! What can go wrong with a file.

use std::path::PathBuf;

use crate::ErrorKind;

/// What this crate's functions return.
pub type Result<T, E = FileError> = std::result::Result<T, E>;

/// Why a file could not be read or written; every message names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Nothing lies at a path.
    #[error("{} does not exist", path.display())]
    NotFound {
        /// The path.
        path: PathBuf,
    },
    /// A named pipe, device, socket or folder where a file is needed.
    #[error("{} is {what}; only regular files are read", path.display())]
    NotRegular {
        /// What was opened.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// More bytes than are read.
    #[error("{} has more than {limit} bytes, the most that is read of such a file", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// Bytes that are no text.
    #[error("{}, line {line}: {reason}", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// Line of the first bytes at fault, from 1.
        line: usize,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A path where no file can be written.
    #[error("{} cannot be written: {reason}", path.display())]
    NotWritable {
        /// The path.
        path: PathBuf,
        /// What stands in the way and what to do.
        reason: String,
    },
    /// A folder that holds what is not this program's to replace.
    #[error(
        "{} holds {found} and is not {what}; nothing in it was touched; choose another folder or an empty one",
        folder.display()
    )]
    ForeignFolder {
        /// The folder.
        folder: PathBuf,
        /// What it would have to be, with its article.
        what: &'static str,
        /// The first entry that lies there.
        found: String,
    },
    /// A folder in which another run works.
    #[error("{}: another run works in this folder; wait for it or choose another folder", folder.display())]
    FolderInUse {
        /// The folder.
        folder: PathBuf,
    },
}

impl FileError {
    /// What kind of failure it is: a file that is not what it should be is wrong input, one that cannot be written is work that failed.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io(error) => ErrorKind::of_io(error),
            Self::NotWritable { .. } => ErrorKind::Failed,
            Self::NotFound { .. }
            | Self::NotRegular { .. }
            | Self::TooLarge { .. }
            | Self::NotText { .. }
            | Self::ForeignFolder { .. }
            | Self::FolderInUse { .. } => ErrorKind::Input,
        }
    }
}
