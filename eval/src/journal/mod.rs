//! What a comparison has measured so far: one file for each cell, written whole when it is done.
//!
//! A cell is one method with one seed on one federation. Its name is a hash of everything that determines it, so that a comparison that was
//! interrupted, or asked for again with more methods or seeds, runs only what is missing, and a changed setting or picture runs anew.

mod cell;
mod images;
mod predictions;

pub use cell::{Cell, CellKey, Done, Outcome};
pub(crate) use images::KeptImages;
pub(crate) use predictions::KeptPredictions;

use crate::Result;
use std::path::{Path, PathBuf};

/// A cell holds a method's curves and prompts, what its models say of the test images, and a few small pictures.
const MAX_BYTES: u64 = 1 << 30;

/// The cells in a folder.
#[derive(Debug, Clone)]
pub struct Journal {
    folder: PathBuf,
    retry_failed: bool,
}

impl Journal {
    /// The journal in `folder`, which is made when the first cell is written. With `retry_failed`, cells that failed count as missing.
    pub fn new(folder: &Path, retry_failed: bool) -> Self {
        Self {
            folder: folder.to_owned(),
            retry_failed,
        }
    }

    /// The cell of this key, where it has been measured. One that cannot be read any more counts as missing.
    ///
    /// # Errors
    /// A key that has no form.
    pub fn find(&self, key: &CellKey) -> Result<Option<Cell>> {
        let file = self.file(key)?;
        let bytes = promptfed_files::read(&file, MAX_BYTES).ok();
        let cell: Option<Cell> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let is_kept = |cell: &Cell| {
            let failed = matches!(cell.outcome, Outcome::Failed { .. });
            cell.key == *key && !(failed && self.retry_failed)
        };
        Ok(cell.filter(is_kept))
    }

    /// Writes a cell down.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn keep(&self, cell: &Cell) -> Result<()> {
        fs_err::create_dir_all(&self.folder)?;
        let text = serde_json::to_vec(cell)?;
        Ok(promptfed_files::write_whole(&self.file(&cell.key)?, &text)?)
    }

    /// How many cells there are.
    pub fn count(&self) -> usize {
        let entries = fs_err::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten();
        let is_cell = |path: &Path| path.extension().is_some_and(|ending| ending == "json");
        entries.filter(|entry| is_cell(&entry.path())).count()
    }

    /// Takes a cell away.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn forget(&self, key: &CellKey) -> Result<()> {
        Ok(fs_err::remove_file(self.file(key)?)?)
    }

    fn file(&self, key: &CellKey) -> Result<PathBuf> {
        Ok(self.folder.join(format!("{}.json", key.hash()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u64) -> CellKey {
        CellKey {
            version: "1".into(),
            method: "fedavg".into(),
            determined_by: "30 rounds".into(),
            seed,
            data: "abc".into(),
            recipe: serde_json::json!({ "width": 24 }),
            precision: "f32".into(),
        }
    }

    #[test]
    fn what_was_kept_is_found_under_its_own_key_alone() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::new(folder.path(), false);
        let failed = Cell {
            key: key(1),
            outcome: Outcome::Failed {
                reason: "no luck".into(),
            },
        };
        assert!(journal.find(&key(1)).unwrap().is_none());
        journal.keep(&failed).unwrap();
        let found = journal.find(&key(1)).unwrap().unwrap();
        assert!(matches!(found.outcome, Outcome::Failed { reason } if reason == "no luck"));
        assert!(journal.find(&key(2)).unwrap().is_none());
        let again = Journal::new(folder.path(), true);
        assert!(again.find(&key(1)).unwrap().is_none(), "to be tried again");
        let file = journal.file(&key(1)).unwrap();
        std::fs::write(&file, b"{").unwrap();
        assert!(journal.find(&key(1)).unwrap().is_none(), "half a file");
    }
}
