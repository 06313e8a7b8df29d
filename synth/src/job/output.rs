//! Where a job's images go.

use std::path::{Path, PathBuf};

use promptfed_files::OwnFolder;

use super::folder_names::{CLASSES_FILE, classes_file, folder_names};
use super::manifest::ManifestRow;
use super::shard::{self, SHARD_IMAGES};
use super::spec::OutputFormat;
use crate::Result;

/// Folder in which images wait for their shard, among what does not stay.
const STAGING: &str = "staging";

/// The images of a running job.
///
/// Parquet shards cannot be appended to: their images wait as files, under the same rules as in an image folder, until the shard is full.
pub(super) struct Output<'a> {
    folder: &'a OwnFolder,
    format: OutputFormat,
    class_names: Vec<String>,
    /// Of every class.
    folders: Vec<String>,
    staging: PathBuf,
    /// Rows of the shard in work.
    shard: Vec<ManifestRow>,
    /// Whether the shard in work holds images that its file lacks.
    is_unpacked: bool,
}

impl<'a> Output<'a> {
    pub(super) fn new(
        folder: &'a OwnFolder,
        format: OutputFormat,
        class_names: &[String],
    ) -> Result<Self> {
        Ok(Self {
            format,
            class_names: class_names.to_vec(),
            folders: folder_names(class_names),
            staging: folder.scratch(STAGING)?,
            folder,
            shard: Vec::new(),
            is_unpacked: false,
        })
    }

    /// Says beside the class folders which class each stands for.
    pub(super) fn name_classes(&self) -> Result<()> {
        if self.format == OutputFormat::Parquet {
            return Ok(());
        }
        let path = self.path("images").join(CLASSES_FILE);
        let text = classes_file(&self.class_names);
        if fs_err::read(&path).is_ok_and(|there| there == text.as_bytes()) {
            return Ok(());
        }
        Ok(self.folder.write(&path, text.as_bytes())?)
    }

    /// Removes the pictures from index `done` on, which a killed run has made and not written down: their places may be of other
    /// classes now.
    pub(super) fn sweep(&self, done: u64) -> Result<()> {
        if self.format == OutputFormat::Parquet {
            return Ok(());
        }
        for folder in &self.folders {
            let Ok(entries) = fs_err::read_dir(self.path("images").join(folder)) else {
                continue;
            };
            for entry in entries {
                let path = entry?.path();
                let index = path.file_name().and_then(|name| index_of(name.to_str()?));
                if index.is_some_and(|index| index >= done) {
                    fs_err::remove_file(&path)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn format(&self) -> OutputFormat {
        self.format
    }

    /// Images from `done` on that one batch may hold: a batch never reaches into another shard.
    pub(super) fn room(&self, done: u64) -> u64 {
        match self.format {
            OutputFormat::Folder => u64::MAX,
            OutputFormat::Parquet => SHARD_IMAGES - done % SHARD_IMAGES,
        }
    }

    /// What the manifest calls the file of an image.
    pub(super) fn file_of(&self, index: u64, class: u32) -> String {
        match self.format {
            OutputFormat::Folder => {
                let folder = self.folders.get(class as usize);
                let folder = folder.map(String::as_str).unwrap_or_default();
                format!("images/{folder}/{index:08}.png")
            }
            OutputFormat::Parquet => shard::file_name(index / SHARD_IMAGES),
        }
    }

    /// Path of a file as the manifest calls it.
    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.folder.root().join(file)
    }

    /// Writes one image.
    pub(super) fn write(&self, index: u64, file: &str, png: &[u8]) -> Result<()> {
        let path = match self.format {
            OutputFormat::Folder => self.path(file),
            OutputFormat::Parquet => self.staged(index),
        };
        Ok(self.folder.write(&path, png)?)
    }

    /// Takes up the rows of the shard in work, all of whose images are staged or, where `is_packed`, in its file.
    pub(super) fn take_up(&mut self, rows: Vec<ManifestRow>, is_packed: bool) {
        self.shard = rows;
        self.is_unpacked = !is_packed;
    }

    /// Takes notice of a row that is in the manifest, and packs the shard it completes.
    pub(super) fn settle(&mut self, row: ManifestRow) -> Result<()> {
        if self.format == OutputFormat::Folder {
            return Ok(());
        }
        let last = row.index % SHARD_IMAGES == SHARD_IMAGES - 1;
        self.shard.push(row);
        self.is_unpacked = true;
        if last {
            self.pack()?;
            for row in self.shard.drain(..) {
                let staged = self.staging.join(staged_name(row.index));
                if row.file.is_some() {
                    fs_err::remove_file(staged)?;
                }
            }
        }
        Ok(())
    }

    /// Packs the shard in work, complete or not, at the end of a run; `finished` when no image of the plan is left.
    pub(super) fn end(&mut self, finished: bool) -> Result<()> {
        self.pack()?;
        if finished {
            self.folder.discard(STAGING)?;
        }
        Ok(())
    }

    fn pack(&mut self) -> Result<()> {
        let Some(first) = self.shard.first().filter(|_| self.is_unpacked) else {
            return Ok(());
        };
        let file = self.path(&shard::file_name(first.index / SHARD_IMAGES));
        let images = self.shard.iter().filter(|row| row.file.is_some());
        let images = images.map(|row| Ok((row, fs_err::read(self.staged(row.index))?)));
        self.write_shard(&file, images)?;
        self.is_unpacked = false;
        Ok(())
    }

    /// Writes a shard of these images.
    pub(super) fn write_shard<'r>(
        &self,
        file: &Path,
        images: impl Iterator<Item = Result<(&'r ManifestRow, Vec<u8>)>>,
    ) -> Result<()> {
        let bytes = shard::encode(images, &self.class_names)?;
        Ok(self.folder.write(file, &bytes)?)
    }

    /// Where an image waits for its shard.
    pub(super) fn staged(&self, index: u64) -> PathBuf {
        self.staging.join(staged_name(index))
    }
}

/// The index of the image whose file has this name.
fn index_of(name: &str) -> Option<u64> {
    let index: u64 = name.strip_suffix(".png")?.parse().ok()?;
    (staged_name(index) == name).then_some(index)
}

fn staged_name(index: u64) -> String {
    format!("{index:08}.png")
}
