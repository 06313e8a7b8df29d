//! What can go wrong in this crate.

use std::path::{Path, PathBuf};

use promptfed_files::ErrorKind;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an engine could not be loaded, an image not made, or a job not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written; the message names it.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The files of a model cannot be used; every tensor at fault is listed.
    #[error(transparent)]
    Model(promptfed_nn::Error),
    /// Several components of a model cannot be used; the tensors at fault of each are listed.
    #[error("{}: {}", folder.display(), list(faults))]
    Components {
        /// The model's folder.
        folder: PathBuf,
        /// What is wrong with each of them.
        faults: Vec<Error>,
    },
    /// A request asks for something outside the engine's range.
    #[error("image request {index}: {reason}")]
    Request {
        /// The position of the request in the slice that was handed over.
        index: usize,
        /// What is wrong with it and what would be right.
        reason: String,
    },
    /// A model that the hub or its cache does not give.
    #[error("model {id}: {reason}")]
    Hub {
        /// The model and its revision, `owner/name@revision`.
        id: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A program without support for NVIDIA cards was asked to use one.
    #[error(
        "this program was built without CUDA; build it with --features cuda, or use the device cpu"
    )]
    WithoutCuda,
    /// No NVIDIA card can be used.
    #[error(
        "no NVIDIA card can be used ({0}); see that nvidia-smi lists one, or use the device cpu"
    )]
    NoCard(String),
    /// A computation failed inside the engine.
    #[error("the engine failed: {0}")]
    Engine(#[from] candle_core::Error),
    /// The bundled weights are nowhere.
    #[error("the bundled weights are in none of {}; set PROMPTFED_ASSETS to the repository's assets folder, or name a generator's own as pocket:DIR", paths(.places))]
    NoAssets {
        /// Where was looked.
        places: Vec<PathBuf>,
    },
    /// A job specification that no job can follow.
    #[error("job specification: {0}")]
    Spec(String),
    /// A line of a prompt file that is no prompt.
    #[error("{}, line {line}: {reason}", file.display())]
    PromptLine {
        /// The prompt file.
        file: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// What is wrong with it and what would be right.
        reason: String,
    },
    /// The CLIP model of a filter could not be loaded or used.
    #[error(transparent)]
    Clip(#[from] promptfed_vision::Error),
    /// A prompt of a prompt set that its label space or templates cannot render.
    #[error(transparent)]
    Prompts(#[from] promptfed_prompts::Error),
    /// A picture without a generation record that can be used.
    #[error("{}: the generation record: {reason}", file.display())]
    Record {
        /// The picture.
        file: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The output folder holds a different job.
    #[error(
        "{}: this folder holds a job with a different {field} ({found}, asked for {wanted}); choose another folder or repeat the job's own settings",
        file.display()
    )]
    DifferentJob {
        /// The job file in the folder.
        file: PathBuf,
        /// The setting that differs.
        field: String,
        /// Its value in the folder.
        found: String,
        /// Its value in the specification handed over.
        wanted: String,
    },
    /// An engine that does not do what it is asked for.
    #[error("the engine {engine} {reason}")]
    Backend {
        /// Name of the engine.
        engine: String,
        /// What it did, and what was expected.
        reason: String,
        /// Whether the same request may succeed later. A job tries again; see [`JobSpec::retry`](crate::JobSpec::retry).
        transient: bool,
    },
    /// A writer of prompts that cannot write.
    #[error("the writer {writer}: {reason}")]
    Writer {
        /// The writer's name.
        writer: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A file that is no grammar.
    #[error("{}: {reason}", file.display())]
    Grammar {
        /// The grammar's file.
        file: PathBuf,
        /// What is wrong with it and what would be right.
        reason: String,
    },
    /// Unfinished work of writing prompts, with which this run cannot go on.
    #[error("{}: {reason}", file.display())]
    UnfinishedWriting {
        /// The file with the steps that were done.
        file: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A setting of a writer, or of what is to be written, that cannot be used.
    #[error("{0}")]
    WriterSetting(String),
    /// An engine's name or settings that cannot be used.
    #[error("{0}")]
    EngineSetting(String),
    /// A service could not be used; see [`service`](crate::service).
    #[error(transparent)]
    Service(#[from] crate::service::ServiceError),
    /// No engine of the name that is asked for.
    #[error("there is no engine {name:?}; there {known}")]
    UnknownEngine {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// Images are to be judged by CLIP and there is no CLIP model.
    #[error("the images are to be judged by CLIP and there is no CLIP model")]
    NoClip,
    /// Every engine failed.
    #[error("no engine made its images: {}", told(faults))]
    AllSetAside {
        /// The engines by name, and why.
        faults: Vec<(String, Error)>,
    },
    /// The work was cancelled while an engine was at it; what was done before stays.
    #[error("cancelled")]
    Cancelled,
    /// A job that made no image that can be used.
    #[error("no image was accepted of {drawn}: {faults}")]
    NoImages {
        /// Images drawn.
        drawn: u64,
        /// What was wrong with them and what to do.
        faults: String,
    },
    /// A finished job without any image of some classes.
    #[error(
        "no image of {} was accepted, and a model trained on the others would never see it: {faults}",
        classes.join(", ")
    )]
    EmptyClasses {
        /// The classes, quoted.
        classes: Vec<String>,
        /// What was wrong with all images that were given up and what to do.
        faults: String,
    },
    /// A file could not be written or a folder not be used; the message names it.
    #[error(transparent)]
    File(#[from] promptfed_files::FileError),
    /// A file of an output folder that this version cannot read.
    #[error("{}: {reason}", file.display())]
    Output {
        /// The file at fault.
        file: PathBuf,
        /// What is wrong with it and what to do.
        reason: String,
    },
    /// The index of pixel hashes failed.
    #[error("the index of pixel hashes failed: {0}; delete {file} in the job's folder and run it again", file = crate::job::INDEX_FILE)]
    Index(#[from] rusqlite::Error),
    /// The ledger of shards failed, which workers share.
    #[error("{}: the ledger of shards failed: {reason}; stop all workers of this job, delete the file and run the job again", file.display())]
    Ledger {
        /// The ledger.
        file: PathBuf,
        /// What SQLite says.
        reason: String,
    },
    /// What workers make could not be put or read.
    #[error("the store of what workers make failed: {0}")]
    Store(String),
    /// Images that no worker could draw.
    #[error("{images} images were set aside from image {first} on: {}; mend it and run the job again", reasons.join("; "))]
    SetAside {
        /// The first of them.
        first: u64,
        /// How many.
        images: u32,
        /// What workers told.
        reasons: Vec<String>,
    },
    /// A worker that cannot work on a job.
    #[error("{}: {reason}", folder.display())]
    Worker {
        /// The job's folder.
        folder: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The run of a job that cannot do what it is told.
    #[error("{}: {reason}", folder.display())]
    Run {
        /// The job's folder.
        folder: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A Parquet shard could not be written or read.
    #[error("parquet: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
    /// A PNG file could not be encoded or decoded.
    #[error("png: {0}")]
    Png(#[from] ::image::ImageError),
    /// A selection looks at images by EfficientNet-lite0, and there is none.
    #[error("there is no EfficientNet-lite0 to look at images with")]
    NoNetwork,
    /// Sets that cannot be fused, or a fusion that cannot be done.
    #[error("{0}")]
    Fusion(String),
    /// A fused set whose images are no longer what they were.
    #[error("{}: the job in {} {reason}", fused.display(), folder.display())]
    ChangedSet {
        /// The file of the fused set that refers to the job.
        fused: PathBuf,
        /// The job's folder.
        folder: PathBuf,
        /// What became of it and what to do.
        reason: String,
    },
    /// A task model could not be trained or used.
    #[error(transparent)]
    Learn(#[from] promptfed_learn::Error),
    /// The images of a finished job could not be read.
    #[error(transparent)]
    Data(#[from] promptfed_data::DataError),
}

impl Error {
    /// What kind of failure it is; of several engines that all failed, what their faults have in common.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io(error) | Self::Model(promptfed_nn::Error::Io(error)) => {
                ErrorKind::of_io(error)
            }
            Self::File(error) => error.kind(),
            Self::Clip(error) => error.kind(),
            Self::Data(error) => error.kind(),
            Self::Learn(error) => error.kind(),
            Self::Service(error) => error.kind(),
            Self::Hub { .. } | Self::Backend { .. } => ErrorKind::Refused,
            Self::Cancelled => ErrorKind::Interrupted,
            Self::AllSetAside { faults } => common(faults.iter().map(|(_, fault)| fault)),
            Self::Model(promptfed_nn::Error::Tensor(_))
            | Self::Engine(_)
            | Self::Writer { .. }
            | Self::NoImages { .. }
            | Self::EmptyClasses { .. }
            | Self::Index(_)
            | Self::Ledger { .. }
            | Self::Store(_)
            | Self::SetAside { .. }
            | Self::Parquet(_)
            | Self::Png(_) => ErrorKind::Failed,
            Self::Model(_)
            | Self::Components { .. }
            | Self::Request { .. }
            | Self::WithoutCuda
            | Self::NoCard(_)
            | Self::NoAssets { .. }
            | Self::Spec(_)
            | Self::PromptLine { .. }
            | Self::Prompts(_)
            | Self::Record { .. }
            | Self::Worker { .. }
            | Self::Run { .. }
            | Self::DifferentJob { .. }
            | Self::Grammar { .. }
            | Self::UnfinishedWriting { .. }
            | Self::WriterSetting(_)
            | Self::EngineSetting(_)
            | Self::UnknownEngine { .. }
            | Self::NoClip
            | Self::Output { .. }
            | Self::NoNetwork
            | Self::Fusion(_)
            | Self::ChangedSet { .. } => ErrorKind::Input,
        }
    }

    /// Whether one engine is at fault, or the service behind it, and others may go on.
    pub fn is_of_engine(&self) -> bool {
        matches!(
            self,
            Self::Backend { .. }
                | Self::Service(_)
                | Self::Engine(_)
                | Self::Model(_)
                | Self::Components { .. }
                | Self::Hub { .. }
                | Self::Request { .. }
                | Self::NoImages { .. }
                | Self::EmptyClasses { .. }
                | Self::WithoutCuda
                | Self::NoCard(_)
        )
    }
}

/// The kind of all faults, where they have one.
fn common<'e>(faults: impl Iterator<Item = &'e Error>) -> ErrorKind {
    let mut kinds = faults.map(Error::kind);
    match kinds.next() {
        Some(first) if kinds.all(|kind| kind == first) => first,
        _ => ErrorKind::Failed,
    }
}

fn paths(places: &[PathBuf]) -> String {
    let places: Vec<String> = places.iter().map(|p| p.display().to_string()).collect();
    places.join(", ")
}

impl From<promptfed_nn::Error> for Error {
    fn from(error: promptfed_nn::Error) -> Self {
        match error {
            promptfed_nn::Error::Io(error) => Error::Io(error),
            other => Error::Model(other),
        }
    }
}

fn told(faults: &[(String, Error)]) -> String {
    let faults: Vec<String> = faults
        .iter()
        .map(|(name, e)| format!("{name}: {e}"))
        .collect();
    faults.join("; ")
}

fn list(faults: &[Error]) -> String {
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    faults.join("; ")
}

/// What makes a file of a model unusable.
pub(crate) fn model_fault(file: &Path, reason: String) -> Error {
    promptfed_nn::load::folder::model_fault(file, reason).into()
}
