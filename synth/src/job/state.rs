//! The jobs below a folder, and where each stands.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use promptfed_files::SCRATCH;
use serde::Serialize;

use super::manifest::MANIFEST_FILE;
use super::orders::{Order, is_running, standing_order};
use super::record::{JOB_FILE, JobRecord};
use super::sharing::{ledger_file, now};
use crate::Result;
use crate::queue::{Ledger, Load};

/// How far below a folder jobs are looked for.
const DEEPEST: usize = 4;

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Running {
    /// A process runs it.
    Running,
    /// Its run draws nothing until it is told to go on.
    Paused,
    /// Its run is told to end.
    Ending,
    /// Nobody runs it, and images are left.
    Stopped,
    /// No image is left.
    Done,
}

/// A job's folder as it is now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JobState {
    /// The folder.
    pub folder: PathBuf,
    /// Name of the engine.
    pub engine: String,
    /// Where it stands.
    pub state: Running,
    /// Images of the whole plan.
    pub planned: u64,
    /// Those that are done, accepted or rejected.
    pub done: u64,
    /// The shards that workers are asked for; nothing where there are none.
    pub shards: Option<Load>,
}

impl JobState {
    /// Looks at a job. The manifest is read, and no image.
    ///
    /// # Errors
    /// A folder that holds no job, and disk.
    pub fn read(folder: &Path) -> Result<Self> {
        let record = JobRecord::read(folder)?;
        let ledger = Ledger::join(&ledger_file(folder))?;
        Self::of(folder, &record, ledger.as_ref(), || rows(folder))
    }

    /// That of a job whose record and ledger were read; `done` counts its rows.
    pub(super) fn of(
        folder: &Path,
        record: &JobRecord,
        ledger: Option<&Ledger>,
        done: impl FnOnce() -> Result<u64>,
    ) -> Result<Self> {
        // Before the rows are counted: a run that ends meanwhile is told as running, not as stopped.
        let standing = (is_running(folder), standing_order(folder));
        let done = done()?;
        let state = match standing {
            (true, None) => Running::Running,
            (true, Some(Order::Pause)) => Running::Paused,
            (true, Some(Order::Cancel)) => Running::Ending,
            (false, _) if done >= record.planned => Running::Done,
            (false, _) => Running::Stopped,
        };
        Ok(Self {
            folder: folder.to_owned(),
            engine: record.engine.name.clone(),
            state,
            planned: record.planned,
            done,
            shards: ledger.map(|ledger| ledger.load(now())).transpose()?,
        })
    }
}

/// Whole rows of the manifest.
fn rows(folder: &Path) -> Result<u64> {
    let path = folder.join(MANIFEST_FILE);
    if !path.is_file() {
        return Ok(0);
    }
    let mut reader = BufReader::with_capacity(1 << 20, fs_err::File::open(path)?);
    let mut rows = 0;
    loop {
        let part = reader.fill_buf()?;
        if part.is_empty() {
            return Ok(rows);
        }
        rows += part.iter().filter(|byte| **byte == b'\n').count() as u64;
        let read = part.len();
        reader.consume(read);
    }
}

/// The folders of the jobs in `folder`: itself, or those at most four levels below it, by name.
///
/// # Errors
/// A folder that cannot be read.
pub fn jobs_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    look(folder, 0, &mut found)?;
    found.sort();
    Ok(found)
}

fn look(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    if folder.join(JOB_FILE).is_file() {
        found.push(folder.to_owned());
        return Ok(());
    }
    let entries = match fs_err::read_dir(folder) {
        Ok(entries) => entries,
        // Of what lies below, only what can be read.
        Err(_) if depth > 0 => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for entry in entries {
        let entry = entry?;
        // A link may lead back up.
        if depth < DEEPEST && entry.file_type()?.is_dir() && entry.file_name() != SCRATCH {
            look(&entry.path(), depth + 1, found)?;
        }
    }
    Ok(())
}
