//! Synthetic sets on the command line: folders of `promptfed synth`, each with the name of its backend.

use crate::exit::BadInput;
use anyhow::Result;
use promptfed_synth::{SyntheticSet, is_job};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// `FOLDER` or `NAME=FOLDER`.
#[derive(Debug, Clone)]
pub(crate) struct SetArg {
    name: Option<String>,
    folder: PathBuf,
}

impl FromStr for SetArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A folder whose own name has the sign is taken as it is.
        if let Some((name, folder)) = text.split_once('=').filter(|_| !Path::new(text).exists()) {
            if name.trim().is_empty() || folder.is_empty() {
                return Err(format!("`{text}` is no NAME=FOLDER"));
            }
            return Ok(Self {
                name: Some(name.trim().to_owned()),
                folder: folder.into(),
            });
        }
        Ok(Self {
            name: None,
            folder: text.into(),
        })
    }
}

/// The sets of these folders; one that holds the jobs of several backends, or of several rounds, is all of them.
pub(crate) fn open(args: &[SetArg]) -> Result<Vec<SyntheticSet>> {
    let mut sets = Vec::new();
    for arg in args {
        let found = jobs(&arg.folder)?;
        if found.len() > 1 && arg.name.is_some() {
            return Err(anyhow::Error::new(BadInput).context(format!(
                "{} holds the jobs of several backends, which have their own names; leave out the name",
                arg.folder.display()
            )));
        }
        for job in found {
            let name = arg.name.clone().unwrap_or(job.backend);
            sets.push(SyntheticSet::open(&job.folder, name, job.round)?);
        }
    }
    Ok(sets)
}

struct Job {
    backend: String,
    round: u32,
    folder: PathBuf,
}

/// The jobs in a folder: itself, those in `backends/`, or those in `round-N/backends/`.
fn jobs(folder: &Path) -> Result<Vec<Job>> {
    let backends = |folder: &Path, round| -> Result<Vec<Job>> {
        let jobs = folders(&folder.join("backends"))?.into_iter();
        let jobs = jobs.filter(|folder| is_job(folder));
        let job = |folder: PathBuf| Job {
            backend: name_of(&folder),
            round,
            folder,
        };
        Ok(jobs.map(job).collect())
    };
    if is_job(folder) {
        return Ok(vec![Job {
            backend: name_of(folder),
            round: 0,
            folder: folder.to_owned(),
        }]);
    }
    let mut found = backends(folder, 0)?;
    if found.is_empty() {
        for inside in folders(folder)? {
            let round = name_of(&inside).strip_prefix("round-").map(str::parse);
            if let Some(Ok(round)) = round {
                found.extend(backends(&inside, round)?);
            }
        }
    }
    if found.is_empty() {
        return Err(anyhow::Error::new(BadInput).context(format!(
            "{} holds no synthesis job; give a folder that `promptfed synth` has filled",
            folder.display()
        )));
    }
    Ok(found)
}

/// The folders in a folder, sorted; none where it is not there.
fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut folders = Vec::new();
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}

fn name_of(folder: &Path) -> String {
    let whole = fs_err::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let name = whole.file_name().unwrap_or(whole.as_os_str());
    name.to_string_lossy().into_owned()
}
