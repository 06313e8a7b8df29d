//! The steps of a run that is not finished, so that what a slow writer wrote is not lost.

use std::fs::{File, TryLockError};
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::check::Refusals;
use super::record::Settings;
use crate::{Error, Result};

/// Most bytes of a journal that are read.
const MAX_BYTES: u64 = 1 << 30;

/// One ask of a writer, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    /// Number of the topic.
    pub(super) topic: usize,
    /// Candidates asked for.
    pub(super) asked: u64,
    /// Those that were accepted.
    pub(super) accepted: Vec<String>,
    /// Those that were not.
    pub(super) refused: Refusals,
}

/// A file of JSON lines: the run's settings, then its steps. It is locked as long as this lives.
pub struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Opens the journal at `path`, or begins one.
    ///
    /// # Errors
    /// A file of another kind, one that another run holds, or what the operating system says.
    pub fn open(path: &Path) -> Result<Self> {
        if path.try_exists()? {
            promptfed_files::open_regular(path)?;
        }
        let named =
            |e: std::io::Error| std::io::Error::new(e.kind(), format!("{}: {e}", path.display()));
        let mut options = File::options();
        let file = options
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(named)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::UnfinishedWriting {
                    file: path.to_owned(),
                    reason: "another run is writing there; wait for it, or choose another --out"
                        .to_owned(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(named(error).into()),
        }
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// Removes the journal of a finished run.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn remove(self) -> Result<()> {
        Ok(fs_err::remove_file(&self.path)?)
    }

    /// Writes the settings down in a new journal; in one that is there, compares them and gives its steps.
    pub(super) fn begin(&mut self, settings: &Settings) -> Result<Vec<Step>> {
        let bytes = promptfed_files::read(&self.path, MAX_BYTES)?;
        // A kill in the middle of a line leaves it without its end.
        let whole = bytes
            .iter()
            .rposition(|&b| b == b'\n')
            .map_or(0, |at| at + 1);
        if whole < bytes.len() {
            self.file.set_len(whole as u64)?;
            self.file.seek(std::io::SeekFrom::End(0))?;
        }
        let mut lines = bytes[..whole]
            .split(|&b| b == b'\n')
            .filter(|line| !line.is_empty());
        let wanted = serde_json::to_value(settings).map_err(|e| self.fault(e.to_string()))?;
        let Some(first) = lines.next() else {
            self.line(&wanted)?;
            return Ok(Vec::new());
        };
        let found: Value = serde_json::from_slice(first).map_err(|_| self.foreign())?;
        self.compare(&found, &wanted)?;
        let steps = lines.map(|line| serde_json::from_slice(line).map_err(|_| self.foreign()));
        steps.collect()
    }

    /// Writes a step down.
    pub(super) fn append(&mut self, step: &Step) -> Result<()> {
        let step = serde_json::to_value(step).map_err(|e| self.fault(e.to_string()))?;
        self.line(&step)
    }

    fn line(&mut self, value: &Value) -> Result<()> {
        let named = |e: std::io::Error| {
            std::io::Error::new(e.kind(), format!("{}: {e}", self.path.display()))
        };
        self.file
            .write_all(format!("{value}\n").as_bytes())
            .map_err(named)?;
        Ok(self.file.sync_data().map_err(named)?)
    }

    /// Refuses to go on with other settings.
    fn compare(&self, found: &Value, wanted: &Value) -> Result<()> {
        let Value::Object(found) = found else {
            return Err(self.foreign());
        };
        let names = wanted
            .as_object()
            .into_iter()
            .flat_map(|wanted| wanted.keys());
        let differs = names
            .chain(found.keys())
            .find(|name| found.get(*name) != wanted.get(name.as_str()));
        let Some(name) = differs else {
            return Ok(());
        };
        let told = |value: Option<&Value>| value.map_or("none".to_owned(), Value::to_string);
        Err(self.fault(format!(
            "it was begun with another {} ({}, asked for {}); repeat its settings, or delete it to begin anew",
            name.replace('_', " "),
            told(found.get(name)),
            told(wanted.get(name)),
        )))
    }

    fn foreign(&self) -> Error {
        self.fault(
            "it is not what this command writes; move it away, or choose another --out".to_owned(),
        )
    }

    fn fault(&self, reason: String) -> Error {
        Error::UnfinishedWriting {
            file: self.path.clone(),
            reason,
        }
    }
}
