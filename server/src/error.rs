//! What can go wrong in this crate.

use std::net::SocketAddr;
use std::path::PathBuf;

use promptfed_files::ErrorKind;
use promptfed_prompts::protocol::RoundId;

use crate::job::in_gigabytes;

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
    /// The address can be reached from other machines, and the connections are not protected. For the operator.
    #[error(
        "{address} can be reached from other machines, and over plain HTTP tokens and prompts can be read on the way: give --tls-cert and --tls-key (`promptfed serve` also takes --tls self-signed), or, where a TLS proxy stands before it or the network is trusted, --allow-plain-http"
    )]
    PlainHttp {
        /// The address asked for.
        address: SocketAddr,
    },
    /// A certificate or its key cannot be used. For the operator.
    #[error("{}: {reason}; TLS needs a certificate with those between it and its authority, and its private key, both in PEM", .file.display())]
    Certificate {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No certificate could be made. For the operator.
    #[error("no certificate could be made: {0}; give one with --tls-cert and --tls-key")]
    SelfSigned(String),
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
    /// The private key of a round is not where it was put. For the operator.
    #[error(
        "{}: the private key of round {round} {reason}, and its prompts cannot be opened; put the file back from where keys are kept, or delete the round", file.display()
    )]
    RoundKey {
        /// The round.
        round: RoundId,
        /// Where the key should be.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A stored prompt set cannot be opened. For the operator.
    #[error("a stored prompt set: {0}")]
    Sealing(#[from] promptfed_privacy::SealingError),
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
    /// The machine has less memory than a round needs.
    #[error(
        "the training needs {} of memory at least and this machine has {}; open a round with fewer images, smaller ones, or a smaller batch",
        in_gigabytes(*needed), in_gigabytes(*most)
    )]
    Memory {
        /// Bytes needed.
        needed: u64,
        /// Bytes there are.
        most: u64,
    },
    /// All of a round's images were dropped.
    #[error(
        "all images of round {round} were dropped; take some back in with `promptfed round images {round} --drop HASH --undo`, or open a new round"
    )]
    NoImage {
        /// The round.
        round: RoundId,
    },
    /// A class whose images cannot be made again.
    #[error(
        "nobody has submitted a prompt of {class:?}, so that no image of it can be made again; ask for a training without it"
    )]
    NoPrompt {
        /// The class.
        class: String,
    },
    /// A backup cannot be made or restored. For the operator.
    #[error("{}: {reason}", folder.display())]
    Backup {
        /// The folder of the backup.
        folder: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The job's code failed in a way that it should not.
    #[error("the job stopped unexpectedly: {0}; the server's log says more")]
    Panic(String),
}

impl Error {
    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io(error) => ErrorKind::of_io(error),
            Self::File(error) => error.kind(),
            Self::Synthesis(error) => error.kind(),
            Self::Fusing(error) => error.kind(),
            Self::Training(error) => error.kind(),
            Self::FolderInUse { .. }
            | Self::PlainHttp { .. }
            | Self::Certificate { .. }
            | Self::WeakAdminToken
            | Self::ForeignDatabase
            | Self::NewerDatabase { .. }
            | Self::Backup { .. }
            | Self::RoundKey { .. }
            | Self::Sealing(_)
            | Self::NoImage { .. }
            | Self::NoPrompt { .. }
            | Self::Prompts(_) => ErrorKind::Input,
            Self::Listen { .. }
            | Self::SelfSigned(_)
            | Self::Randomness(_)
            | Self::Database(_)
            | Self::Document(_)
            | Self::Memory { .. }
            | Self::Panic(_) => ErrorKind::Failed,
        }
    }
}
