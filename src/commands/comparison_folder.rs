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

/// Name of the folder with what has been measured, a file for each run.
const CELLS: &str = "cells";

/// Name of the file with features of images by the network that comes along.
const FEATURES: &str = "features/efficientnet-lite0.bin";

/// What becomes of an earlier comparison in a folder.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Earlier {
    /// It is left alone, and another folder is to be named.
    Refused,
    /// What it measured is kept and its report written anew.
    Continued,
    /// It is replaced by another.
    Replaced,
}

/// A comparison's folder, kept from other runs until this is dropped.
pub(super) struct ComparisonFolder {
    folder: OwnFolder,
    earlier: Earlier,
}

impl ComparisonFolder {
    /// Takes the folder. A report that is there is left in place until the new one is written.
    pub(super) fn take(folder: &Path, earlier: Earlier) -> Result<Self> {
        let taken = Self {
            folder: OwnFolder::claim(folder, KIND)?,
            earlier,
        };
        let numbers = taken.report().with_extension("json");
        let there = [taken.report(), numbers]
            .into_iter()
            .find(|file| file.exists());
        if let Some(there) = there.filter(|_| earlier == Earlier::Refused) {
            return Err(anyhow::Error::new(BadInput).context(format!(
                "{} is the report of an earlier comparison; give --resume to add to it, --force to replace it, or name another folder with --out",
                there.display()
            )));
        }
        Ok(taken)
    }

    /// Where the runs that are measured are kept. Those that replace others are put in their place when all are done
    /// ([`ComparisonFolder::finish`]).
    pub(super) fn cells(&self) -> Result<PathBuf> {
        if self.earlier == Earlier::Replaced {
            return Ok(self.folder.scratch(CELLS)?);
        }
        Ok(self.folder.root().join(CELLS))
    }

    /// Where features of images are kept: they are those of the images and the network, whatever the comparison. Where an earlier one is
    /// replaced, its are removed.
    pub(super) fn features(&self) -> Result<PathBuf> {
        let file = self.folder.root().join(FEATURES);
        if self.earlier == Earlier::Replaced && file.exists() {
            fs_err::remove_file(&file)?;
        }
        Ok(file)
    }

    /// Puts the runs that replace others in their place.
    pub(super) fn finish(&self) -> Result<()> {
        let (new, place) = (self.cells()?, self.folder.root().join(CELLS));
        if new == place || !new.exists() {
            return Ok(());
        }
        if place.exists() {
            fs_err::remove_dir_all(&place)?;
        }
        Ok(fs_err::rename(new, place)?)
    }

    /// An empty data folder for the server. What an earlier comparison left there is removed, because its unfinished round would be
    /// worked on first, on this run's time; no other program keeps anything in this place.
    pub(super) fn server(&self) -> Result<PathBuf> {
        let server = self.folder.scratch(SERVER)?;
        if is_locked(&server.join(DATA_FOLDER_LOCK)) {
            return Err(FileError::FolderInUse { folder: server }.into());
        }
        self.folder.discard(SERVER)?;
        Ok(server)
    }

    /// Where the report goes.
    pub(super) fn report(&self) -> PathBuf {
        self.folder.root().join(REPORT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_go_with_the_comparison_that_is_replaced() {
        let place = tempfile::tempdir().unwrap();
        let features = |earlier| {
            let folder = ComparisonFolder::take(place.path(), earlier).unwrap();
            folder.features().unwrap()
        };
        let file = features(Earlier::Refused);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "rows").unwrap();
        assert!(features(Earlier::Continued).exists());
        assert!(!features(Earlier::Replaced).exists());
        assert!(!features(Earlier::Replaced).exists());
    }
}
