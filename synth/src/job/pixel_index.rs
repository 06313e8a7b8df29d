//! Which pixels a job has already made: an index on disk, so that memory does not grow with the job.

use std::path::{Path, PathBuf};

use promptfed_prompts::ContentHash;
use rusqlite::{Connection, params};

use super::manifest::read_manifest;
use crate::Result;

/// Name of its SQLite file, among what does not stay.
pub(super) const PIXEL_INDEX: &str = "pixels.sqlite";

pub(super) struct PixelIndex {
    connection: Connection,
    path: PathBuf,
}

impl PixelIndex {
    /// Opens the index `path` of a job's folder and makes it agree with the manifest, which has `done` rows, `accepted` of them accepted.
    pub(super) fn open(path: &Path, out_dir: &Path, done: u64, accepted: u64) -> Result<Self> {
        let connection = Connection::open(path)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = NORMAL;
             CREATE TABLE IF NOT EXISTS pixels (hash BLOB PRIMARY KEY, image INTEGER NOT NULL) WITHOUT ROWID;",
        )?;
        let mut index = Self {
            connection,
            path: path.to_owned(),
        };
        index.settle(out_dir, done, accepted)?;
        Ok(index)
    }

    /// A kill may leave hashes whose rows were not written; a deleted index lacks hashes whose rows were.
    fn settle(&mut self, out_dir: &Path, done: u64, accepted: u64) -> Result<()> {
        self.connection
            .execute("DELETE FROM pixels WHERE image >= ?1", params![done as i64])?;
        let held: i64 = self
            .connection
            .query_row("SELECT count(*) FROM pixels", [], |row| row.get(0))?;
        if held as u64 == accepted {
            return Ok(());
        }
        self.rebuild(out_dir)
    }

    /// Takes all hashes from the manifest.
    pub(super) fn rebuild(&mut self, out_dir: &Path) -> Result<()> {
        let transaction = self.connection.transaction()?;
        transaction.execute("DELETE FROM pixels", [])?;
        for row in read_manifest(out_dir)? {
            let row = row?;
            if let Some(hash) = row.pixel_hash {
                transaction.execute(
                    "INSERT OR IGNORE INTO pixels VALUES (?1, ?2)",
                    params![hash.as_bytes(), row.index as i64],
                )?;
            }
        }
        Ok(transaction.commit()?)
    }

    /// Begins the changes of one batch.
    pub(super) fn begin(&mut self) -> Result<()> {
        Ok(self.connection.execute_batch("BEGIN")?)
    }

    /// Takes pixels for an image; `false` where an earlier image has the same.
    pub(super) fn claim(&mut self, hash: &ContentHash, image: u64) -> Result<bool> {
        let mut insert = self
            .connection
            .prepare_cached("INSERT OR IGNORE INTO pixels VALUES (?1, ?2)")?;
        Ok(insert.execute(params![hash.as_bytes(), image as i64])? == 1)
    }

    /// Ends the changes of one batch.
    pub(super) fn commit(&mut self) -> Result<()> {
        Ok(self.connection.execute_batch("COMMIT")?)
    }

    /// Removes the index of a finished job; it can be made again from the manifest.
    pub(super) fn remove(self) -> Result<()> {
        let Self { connection, path } = self;
        connection.close().map_err(|(_, error)| error)?;
        for suffix in ["-wal", "-shm", ""] {
            let mut name = path.clone().into_os_string();
            name.push(suffix);
            match fs_err::remove_file(PathBuf::from(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error.into());
                }
                _ => {}
            }
        }
        Ok(())
    }
}
