//! What can go wrong in this crate.

use std::net::SocketAddr;
use std::path::PathBuf;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a server could not start or run, or a round's job ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written; the message names it. For the operator.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A file could not be written or the data folder not be used; the message names it. For the operator.
    #[error(transparent)]
    File(#[from] promptfed_files::FileError),
    /// Another server uses the data folder. For the operator.
    #[error("{}: another server uses this data folder; stop it or choose another folder", .folder.display())]
    FolderInUse {
        /// The data folder.
        folder: PathBuf,
    },
    /// The address cannot be listened on. For the operator.
    #[error(
        "cannot listen on {address}: {reason}; choose another address or port (0 takes any free port)"
    )]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the operating system said.
        reason: String,
    },
    /// The administrator's token is too short or has white space. For the operator.
    #[error(
        "the administrator's token must have at least 16 visible ASCII characters; leave it out to have one made"
    )]
    WeakAdminToken,
    /// The operating system gives no random numbers. For the operator.
    #[error("the operating system gives no random numbers: {0}; without them no token can be made")]
    Randomness(String),
    /// The database failed. For the operator.
    #[error("the database failed: {0}; check free space and permissions of the data folder")]
    Database(#[from] rusqlite::Error),
    /// The database file belongs to another program. For the operator.
    #[error("the database in the data folder was made by another program; choose another folder")]
    ForeignDatabase,
    /// The database was written by a later version. For the operator.
    #[error(
        "the database has version {found} and this program knows {supported}; use the newer program"
    )]
    NewerDatabase {
        /// Version of the file.
        found: usize,
        /// Latest version this program knows.
        supported: usize,
    },
    /// A document in the database cannot be read. For the operator.
    #[error("a document in the database cannot be read: {0}; restore the data folder from a copy")]
    Document(#[from] serde_json::Error),
    /// The prompts could not be pooled.
    #[error("pooling: {0}")]
    Prompts(#[from] promptfed_prompts::Error),
    /// The images could not be made or read.
    #[error("synthesis: {0}")]
    Synthesis(#[from] promptfed_synth::Error),
    /// The images of several sources could not be fused.
    #[error("fusing: {0}")]
    Fusing(Box<promptfed_synth::Error>),
    /// The central model could not be trained.
    #[error("training: {0}")]
    Training(#[from] promptfed_learn::Error),
    /// The job's code failed in a way that it should not.
    #[error("the job stopped unexpectedly: {0}; the server's log says more")]
    Panic(String),
}
