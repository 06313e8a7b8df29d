//! A synthesis job's folder as a set of labelled images that can be referred to.

use std::path::{Path, PathBuf};

use promptfed_data::ImageSource;
use promptfed_prompts::ContentHash;

use crate::job::{JOB_FILE, JobRecord, MANIFEST_FILE, ManifestRow};
use crate::load::images;
use crate::{Error, Result};

/// The longest job file that is read.
const MAX_JOB_BYTES: u64 = 64 << 20;

/// The accepted images of one job: its folder and its rows, named by the hashes of its two files.
///
/// An image is referred to by the job's hash and its row; with the manifest's hash the row names the same prompt, seed and pixels for
/// ever.
#[derive(Clone, Debug, PartialEq)]
pub struct SyntheticSet {
    backend: String,
    round: u32,
    folder: PathBuf,
    record: JobRecord,
    job: ContentHash,
    manifest: ContentHash,
}

impl SyntheticSet {
    /// Opens a job's folder as what `backend` made in `round`. A job that was stopped is a set of what it has made so far.
    ///
    /// # Errors
    /// A folder without a job.
    pub fn open(folder: &Path, backend: impl Into<String>, round: u32) -> Result<Self> {
        if !crate::is_job(folder) {
            return Err(Error::Fusion(format!(
                "{} is not the folder of a synthesis job; give a folder that `promptfed synth` has filled",
                folder.display()
            )));
        }
        let job = promptfed_files::read(&folder.join(JOB_FILE), MAX_JOB_BYTES)?;
        Ok(Self {
            backend: backend.into(),
            round,
            record: JobRecord::read(folder)?,
            job: ContentHash::of(&job),
            manifest: crate::hash::hash_file(&folder.join(MANIFEST_FILE))?,
            folder: folder.to_owned(),
        })
    }

    /// The name of the backend that made it.
    pub fn backend(&self) -> &str {
        &self.backend
    }

    /// The round of generation it is from, counted from 0.
    pub fn round(&self) -> u32 {
        self.round
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Everything that determined its images.
    pub fn record(&self) -> &JobRecord {
        &self.record
    }

    /// Hash of the job file.
    pub fn job(&self) -> ContentHash {
        self.job
    }

    /// Hash of the manifest.
    pub fn manifest(&self) -> ContentHash {
        self.manifest
    }

    /// The accepted images, in the order of their indices: their rows, and where they lie. Nothing is held in memory.
    ///
    /// # Errors
    /// A manifest that cannot be read, and for each item a line that is no row.
    pub fn images(
        &self,
    ) -> Result<impl Iterator<Item = Result<(ManifestRow, ImageSource)>> + use<>> {
        images(&self.folder, self.record.output)
    }
}
