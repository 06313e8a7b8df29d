//! Where a job's images go.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::manifest::ManifestRow;
use super::shard::{self, SHARD_IMAGES};
use super::spec::OutputFormat;
use crate::Result;

/// Name under which a file is written before it is moved to its place.
const PARTIAL_FILE: &str = "partial";
/// Folder in which images wait for their shard.
const STAGING_FOLDER: &str = "staging";

/// The images of a running job.
///
/// Parquet shards cannot be appended to: their images wait as files, under the same rules as in an image folder, until the shard is full.
pub(super) struct Output {
    out_dir: PathBuf,
    format: OutputFormat,
    class_names: Vec<String>,
    /// Rows of the shard in work.
    shard: Vec<ManifestRow>,
}

impl Output {
    pub(super) fn new(out_dir: &Path, format: OutputFormat, class_names: &[String]) -> Self {
        Self {
            out_dir: out_dir.to_owned(),
            format,
            class_names: class_names.to_vec(),
            shard: Vec::new(),
        }
    }

    /// Images from `done` on that one batch may hold: a batch never reaches into another shard.
    pub(super) fn room(&self, done: u64) -> u64 {
        match self.format {
            OutputFormat::Folder => u64::MAX,
            OutputFormat::Parquet => SHARD_IMAGES - done % SHARD_IMAGES,
        }
    }

    /// What the manifest calls the file of an image.
    pub(super) fn file_of(&self, index: u64, class_name: &str) -> String {
        match self.format {
            OutputFormat::Folder => format!("images/{}/{index:08}.png", folder_name(class_name)),
            OutputFormat::Parquet => shard::file_name(index / SHARD_IMAGES),
        }
    }

    /// Writes one image.
    pub(super) fn write(&self, index: u64, file: &str, png: &[u8]) -> Result<()> {
        let path = match self.format {
            OutputFormat::Folder => self.out_dir.join(file),
            OutputFormat::Parquet => self.staged(index),
        };
        write_atomically(&self.out_dir, &path, png)
    }

    /// Takes notice of a row that is in the manifest, and packs the shard it completes.
    pub(super) fn settle(&mut self, row: ManifestRow) -> Result<()> {
        if self.format == OutputFormat::Folder {
            return Ok(());
        }
        let last = row.index % SHARD_IMAGES == SHARD_IMAGES - 1;
        self.shard.push(row);
        if last { self.pack(true) } else { Ok(()) }
    }

    /// Packs the shard in work, complete or not, at the end of a run; `finished` when no image of the plan is left.
    pub(super) fn end(&mut self, finished: bool) -> Result<()> {
        self.pack(false)?;
        if finished {
            for leftover in [STAGING_FOLDER, PARTIAL_FILE] {
                remove(&self.out_dir.join(leftover))?;
            }
        }
        Ok(())
    }

    fn pack(&mut self, complete: bool) -> Result<()> {
        let Some(first) = self.shard.first().map(|row| row.index) else {
            return Ok(());
        };
        let file = self.out_dir.join(shard::file_name(first / SHARD_IMAGES));
        // A shard whose images have begun to leave the staging folder was packed before.
        if self.all_staged() || !file.exists() {
            let images = self.shard.iter().filter(|row| row.file.is_some());
            let images = images.map(|row| Ok((row, fs_err::read(self.staged(row.index))?)));
            let bytes = shard::encode(images, &self.class_names)?;
            write_atomically(&self.out_dir, &file, &bytes)?;
        }
        if complete {
            for row in &self.shard {
                remove(&self.staged(row.index))?;
            }
            self.shard.clear();
        }
        Ok(())
    }

    fn all_staged(&self) -> bool {
        self.shard
            .iter()
            .filter(|row| row.file.is_some())
            .all(|row| self.staged(row.index).exists())
    }

    fn staged(&self, index: u64) -> PathBuf {
        self.out_dir
            .join(STAGING_FOLDER)
            .join(format!("{index:08}.png"))
    }
}

/// Writes a file under another name, waits for the disk, then moves it to its place: a kill or a power cut leaves the whole
/// file or none.
pub(super) fn write_atomically(out_dir: &Path, path: &Path, bytes: &[u8]) -> Result<()> {
    let partial = out_dir.join(PARTIAL_FILE);
    let mut file = fs_err::File::create(&partial)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    drop(file);
    if let Some(folder) = path.parent() {
        fs_err::create_dir_all(folder)?;
    }
    Ok(fs_err::rename(&partial, path)?)
}

fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() {
        fs_err::remove_dir_all(path)
    } else {
        fs_err::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// A class name as a folder name of every file system: letters, digits, blank, `-`, `_`, `(`, `)`, `,` and `'` stay, every
/// other byte of ASCII is written `%xx`, as is a leading or trailing blank.
fn folder_name(class_name: &str) -> String {
    let last = class_name.len().saturating_sub(1);
    let mut name = String::with_capacity(class_name.len());
    for (i, c) in class_name.char_indices() {
        let inner_blank = c == ' ' && i > 0 && i < last;
        if c.is_ascii_alphanumeric() || !c.is_ascii() || "-_(),'".contains(c) || inner_blank {
            name.push(c);
        } else {
            name.push_str(&format!("%{:02x}", u32::from(c)));
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_names_are_safe_and_distinct() {
        assert_eq!(folder_name("french horn"), "french horn");
        assert_eq!(folder_name("kite, bird of prey"), "kite, bird of prey");
        assert_eq!(folder_name("../etc/passwd"), "%2e%2e%2fetc%2fpasswd");
        assert_eq!(folder_name(" a "), "%20a%20");
        assert_eq!(folder_name("100%"), "100%25");
        assert_ne!(folder_name("a/b"), folder_name("a%2fb"));
        assert_eq!(folder_name("\u{e9}clair"), "\u{e9}clair");
    }
}
