//! The crate's error type.

use std::path::PathBuf;

use promptfed_files::ErrorKind;

use crate::part::abbreviate;
use crate::{DatasetWarning, Layout, SkipReason};

/// Why a data set could not be read, decoded or dealt out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The operating system refused; the message names the file.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A file could not be read; the message names it.
    #[error(transparent)]
    File(#[from] promptfed_files::FileError),
    /// Nothing that looks like one of the layouts.
    #[error(
        "{path} holds no data set ({found}); expected one of: {layouts}",
        path = path.display(), layouts = Layout::DESCRIPTIONS
    )]
    UnknownLayout {
        /// What was opened.
        path: PathBuf,
        /// What lies there instead.
        found: String,
    },
    /// Pictures in folders whose names could mean something else than classes, or classes of another level.
    #[error(
        "{path}: it is not certain which folders are the classes: {why}. Say it: {choices}; or give the classes' names with \
         `--label-space`, or a names file (`classes.tsv` with lines of folder, tab, name) beside the folders",
        path = path.display(), choices = choices(first, second)
    )]
    UnclearLayout {
        /// What was opened.
        path: PathBuf,
        /// What could be otherwise.
        why: String,
        /// Names of the first-level folders.
        first: Vec<String>,
        /// Names of the second-level folders.
        second: Vec<String>,
    },
    /// A store of another program, which is not read.
    #[error("{path} is {what}, which is not read: {remedy}", path = path.display())]
    ForeignStore {
        /// The file that gives it away.
        path: PathBuf,
        /// What it is.
        what: &'static str,
        /// How to convert it.
        remedy: String,
    },
    /// More pictures would be left out than read.
    #[error(
        "{left_out} of the {pictures} pictures in {path} would be left out: {why}; mend the data, or say how it lies with `--layout`",
        path = path.display()
    )]
    MostLeftOut {
        /// What was opened.
        path: PathBuf,
        /// All pictures.
        pictures: usize,
        /// Those that fit nowhere.
        left_out: usize,
        /// Kinds and examples.
        why: String,
    },
    /// More pictures could not be decoded than could.
    #[error("{left_out} of {pictures} pictures cannot be used: {why}; mend or remove them")]
    MostUnfit {
        /// All pictures.
        pictures: usize,
        /// Those that cannot be used.
        left_out: usize,
        /// Reasons with the paths of the first.
        why: String,
    },
    /// Several splits lie side by side and none was asked for.
    #[error(
        "{path} holds the splits {splits}; choose one (`--split`; in `compare`, `--private-split` and `--test-split`), \
         since mixing them would train on test data; if these are classes or domains, say so with `--layout`",
        path = path.display(), splits = splits.join(", ")
    )]
    SplitNotChosen {
        /// What was opened.
        path: PathBuf,
        /// The splits that exist.
        splits: Vec<String>,
    },
    /// The split asked for does not exist.
    #[error(
        "{path} has no split `{split}`; it has {found}",
        path = path.display(), found = if splits.is_empty() { "no splits".to_owned() } else { splits.join(", ") }
    )]
    SplitNotFound {
        /// What was opened.
        path: PathBuf,
        /// The split asked for.
        split: String,
        /// The splits that exist.
        splits: Vec<String>,
    },
    /// The layout was recognised, but no sample is left.
    #[error("{path} holds no samples: {reason}", path = path.display())]
    NoSamples {
        /// What was opened.
        path: PathBuf,
        /// Why nothing is left.
        reason: String,
    },
    /// A folder that names a class or domain is not UTF-8.
    #[error("the folder name {path:?} is not UTF-8 and cannot name a class or domain; rename it")]
    NameNotUtf8 {
        /// The folder.
        path: PathBuf,
    },
    /// A line of a list or mapping file is malformed.
    #[error("{path}:{line}: {reason}", path = path.display())]
    ListLine {
        /// The list file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong and what is expected.
        reason: String,
    },
    /// A Parquet file is damaged or lacks what is needed.
    #[error("{path}: {reason}", path = path.display())]
    Parquet {
        /// The Parquet file.
        path: PathBuf,
        /// What is wrong and what is expected.
        reason: String,
    },
    /// A picture was left out although [`DecodeOptions::strict`](crate::DecodeOptions::strict) forbids that.
    #[error(
        "{source_name} is not usable: {reason} ({detail}); remove it, or decode without strict to skip it"
    )]
    UnfitImage {
        /// Where it lies.
        source_name: String,
        /// Why it is unfit.
        reason: SkipReason,
        /// What exactly was found.
        detail: String,
    },
    /// The worker threads could not be started.
    #[error("cannot start {threads} decoding threads: {reason}")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What the operating system said.
        reason: String,
    },
    /// Arrays that belong together do not fit.
    #[error("images do not fit together: {0}")]
    Mismatch(String),
    /// A text that names no way to make a picture square.
    #[error("`{text}` is no way to fit a picture into a square; write crop, pad or squash")]
    BadFit {
        /// The text.
        text: String,
    },
    /// A partition's text or numbers are out of range.
    #[error(
        "`{text}` is no partition: {reason}; write iid:CLIENTS, dirichlet:CLIENTS:ALPHA, domain or domain+dirichlet:ALPHA:CLIENTS_PER_DOMAIN"
    )]
    BadPartition {
        /// The partition as text.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// The samples do not allow the partition.
    #[error("cannot deal {samples} samples as {partition}: {reason}")]
    ImpossiblePartition {
        /// The partition as text.
        partition: String,
        /// How many samples there are.
        samples: usize,
        /// What is missing.
        reason: String,
    },
}

impl DataError {
    /// What kind of failure it is: nearly always data that is not what it should be.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io(error) => ErrorKind::of_io(error),
            Self::File(error) => error.kind(),
            Self::Threads { .. } => ErrorKind::Failed,
            _ => ErrorKind::Input,
        }
    }

    /// The error with what was not read beside it, where that may have told the classes.
    pub(crate) fn beside(mut self, unread: &[DatasetWarning]) -> Self {
        let why = match &mut self {
            DataError::UnclearLayout { why, .. } | DataError::MostLeftOut { why, .. } => why,
            DataError::UnknownLayout { found, .. } => found,
            _ => return self,
        };
        for line in DatasetWarning::by_kind(unread) {
            why.push_str("; ");
            why.push_str(&line);
        }
        self
    }
}

/// What each layout would take the levels of folders for.
fn choices(first: &[String], second: &[String]) -> String {
    let mut text = format!(
        "`--layout class-folders` takes the first level for the classes ({}) and reads all that lies below them",
        abbreviate(first)
    );
    if !second.is_empty() {
        text.push_str(&format!(
            ", `--layout domain-folders` takes the first level for the domains and the second for the classes ({})",
            abbreviate(second)
        ));
    }
    text
}
