//! A synthesis job's folder as a set of labelled images that can be referred to.

use std::path::{Path, PathBuf};

use promptfed_data::ImageSource;
use promptfed_prompts::ContentHash;

use crate::backends::{BACKENDS_FILE, BackendEntry, BackendsRecord};
use crate::fuse::{ROUNDS_FILE, jobs_of_rounds};
use crate::job::{JOB_FILE, JobRecord, MANIFEST_FILE, ManifestRow};
use crate::load::images;
use crate::{Error, Result};

/// The longest job file that is read.
const MAX_JOB_BYTES: u64 = 64 << 20;

/// Whether a folder is that of one engine's job.
pub(crate) fn is_one_job(folder: &Path) -> bool {
    folder.join(JOB_FILE).is_file() && folder.join(MANIFEST_FILE).is_file()
}

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
        if !is_one_job(folder) {
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

    /// All sets in a folder: the job of one engine, those of several ([`run_backends`](crate::run_backends)), or those of rounds
    /// ([`rounds`](crate::fuse::rounds())). The jobs of several have their own names; a single one is called `name`, or after its folder.
    ///
    /// # Errors
    /// A folder without a job, and a name for several.
    pub fn all_in(folder: &Path, name: Option<&str>) -> Result<Vec<Self>> {
        let jobs = if folder.join(BACKENDS_FILE).is_file() {
            let entries = BackendsRecord::read(folder)?.backends.into_iter();
            let job = |(name, entry): (String, BackendEntry)| (name, 0, folder.join(entry.folder));
            entries.map(job).collect()
        } else if folder.join(ROUNDS_FILE).is_file() {
            jobs_of_rounds(folder)?
        } else {
            let own = || name_of(folder);
            let name = name.map_or_else(own, str::to_owned);
            return Ok(vec![Self::open(folder, name, 0)?]);
        };
        if name.is_some() {
            return Err(Error::Fusion(format!(
                "{} holds the jobs of several engines, which have their own names; leave out the name",
                folder.display()
            )));
        }
        let begun = jobs.into_iter().filter(|(_, _, folder)| is_one_job(folder));
        begun
            .map(|(name, round, folder)| Self::open(&folder, name, round))
            .collect()
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

fn name_of(folder: &Path) -> String {
    let whole = fs_err::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let name = whole.file_name().unwrap_or(whole.as_os_str());
    name.to_string_lossy().into_owned()
}
