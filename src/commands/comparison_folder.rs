//! The folder of a comparison: its report, and what the simulated server keeps.

use crate::exit::BadInput;
use anyhow::Result;
use promptfed_files::{FileError, FolderKind, OwnFolder, is_locked};
use promptfed_server::DATA_FOLDER_LOCK;
use std::path::{Path, PathBuf};

/// How it is known: a folder that holds anything else is not taken.
const KIND: FolderKind = FolderKind {
    what: "the folder of a comparison",
    mark: ".promptfed/comparison.lock",
    lock: ".promptfed/comparison.lock",
};

/// Name of the server's data folder, among what is not the report.
const SERVER: &str = "server";
const REPORT: &str = "report.html";

/// A comparison's folder, kept from other runs until this is dropped.
pub(super) struct ComparisonFolder(OwnFolder);

impl ComparisonFolder {
    /// Takes the folder. A report that is there is left in place until the new one is written, and only with `force` replaced.
    pub(super) fn take(folder: &Path, force: bool) -> Result<Self> {
        let taken = Self(OwnFolder::claim(folder, KIND)?);
        let numbers = taken.report().with_extension("json");
        let there = [taken.report(), numbers]
            .into_iter()
            .find(|file| file.exists());
        if let Some(there) = there.filter(|_| !force) {
            return Err(anyhow::Error::new(BadInput).context(format!(
                "{} is the report of an earlier comparison; name another folder with --out, or give --force to replace it",
                there.display()
            )));
        }
        Ok(taken)
    }

    /// An empty data folder for the server. What an earlier comparison left there is removed, because its unfinished round would be
    /// worked on first, on this run's time; no other program keeps anything in this place.
    pub(super) fn server(&self) -> Result<PathBuf> {
        let server = self.0.scratch(SERVER)?;
        if is_locked(&server.join(DATA_FOLDER_LOCK)) {
            return Err(FileError::FolderInUse { folder: server }.into());
        }
        self.0.discard(SERVER)?;
        Ok(server)
    }

    /// Where the report goes.
    pub(super) fn report(&self) -> PathBuf {
        self.0.root().join(REPORT)
    }
}
