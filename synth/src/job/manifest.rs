//! The manifest: one row per image of the plan, in order, as JSON lines.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use promptfed_files::OwnFolder;
use promptfed_prompts::ContentHash;
use serde::{Deserialize, Serialize};

use super::check::Remade;
use super::screen::Fault;
use crate::{Error, ImageSeed, Result, Sampler};

/// Name of the manifest in a job's folder.
pub const MANIFEST_FILE: &str = "manifest.jsonl";

/// Everything about one image of a job: enough to make it again alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestRow {
    /// Position in the plan, from 0.
    pub index: u64,
    /// The rendered prompt.
    pub prompt: String,
    /// The rendered negative prompt.
    pub negative: String,
    /// The end of the prompt that the engine did not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<String>,
    /// The end of the negative prompt that the engine did not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub negative_cut: Option<String>,
    /// Index of the class in the job's label space.
    pub class: u32,
    /// Name of the class.
    pub class_name: String,
    /// Domain of the prompt.
    pub domain: Option<String>,
    /// Seed of the last draw.
    pub seed: ImageSeed,
    /// Integration steps.
    pub steps: u32,
    /// Guidance scale; 1 is none.
    pub guidance: f32,
    /// Integration method.
    pub sampler: Sampler,
    /// Name of the engine.
    pub engine: String,
    /// Version of the engine.
    pub engine_version: String,
    /// Hash of the engine's weights, configuration and tokenizer.
    pub weights_hash: ContentHash,
    /// The image file or the Parquet shard, relative to the job's folder; `None` where the image was rejected.
    pub file: Option<String>,
    /// Hash of the pixels; `None` where the image was rejected.
    pub pixel_hash: Option<ContentHash>,
    /// Draws it took, 1 or more.
    pub attempts: u32,
    /// Whether the last draw had to be decoded again in f32, because the engine's own number format overflowed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub upcast: bool,
    /// The probability, 0 to 1, of its class that CLIP gave each draw that it looked at, in order; without a filter empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clip_scores: Vec<f32>,
    /// Hash of the filter's CLIP model, where there is a filter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_hash: Option<ContentHash>,
    /// What was wrong with the draws thrown away, in order.
    pub flags: Vec<Fault>,
    /// Why the image was given up after the last draw.
    pub rejected: Option<Fault>,
    /// Whether the image was lost and made again by an engine that is not reproducible, so that its pixels are not those of the first time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub remade: bool,
}

/// Reads the rows of a job's folder, first to last, without holding them in memory. A torn last line, which a kill may
/// leave, is passed over.
///
/// # Errors
/// A folder without a manifest, and for each item a line that is no row or out of order.
pub fn read_manifest(out_dir: &Path) -> Result<impl Iterator<Item = Result<ManifestRow>> + use<>> {
    let path = out_dir.join(MANIFEST_FILE);
    let file = fs_err::File::open(&path)?;
    Ok(Rows::new(path, file))
}

struct Rows {
    path: PathBuf,
    reader: BufReader<fs_err::File>,
    line: Vec<u8>,
    rows: u64,
    /// Bytes of the whole rows read.
    bytes: u64,
}

impl Rows {
    fn new(path: PathBuf, file: fs_err::File) -> Self {
        Self {
            path,
            reader: BufReader::new(file),
            line: Vec::new(),
            rows: 0,
            bytes: 0,
        }
    }

    fn read(&mut self) -> Result<Option<ManifestRow>> {
        self.line.clear();
        self.reader.read_until(b'\n', &mut self.line)?;
        if self.line.last() != Some(&b'\n') {
            return Ok(None);
        }
        let row: Option<ManifestRow> = serde_json::from_slice(&self.line).ok();
        match row {
            Some(row) if row.index == self.rows => {
                self.rows += 1;
                self.bytes += self.line.len() as u64;
                Ok(Some(row))
            }
            _ => Err(Error::Output {
                file: self.path.clone(),
                reason: format!(
                    "line {} is damaged; delete it and all lines after it to make those images again",
                    self.rows + 1
                ),
            }),
        }
    }
}

impl Iterator for Rows {
    type Item = Result<ManifestRow>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

fn write_row(writer: &mut impl Write, row: &ManifestRow, path: &Path) -> Result<()> {
    serde_json::to_writer(&mut *writer, row).map_err(|e| Error::Output {
        file: path.to_owned(),
        reason: e.to_string(),
    })?;
    Ok(writer.write_all(b"\n")?)
}

/// The manifest of a running job.
pub(super) struct Manifest {
    writer: BufWriter<fs_err::File>,
    path: PathBuf,
}

impl Manifest {
    /// Opens the manifest of a job's folder, drops a torn last line, and hands every row there to `on_row`.
    pub(super) fn open(
        out_dir: &Path,
        mut on_row: impl FnMut(ManifestRow) -> Result<()>,
    ) -> Result<Self> {
        let path = out_dir.join(MANIFEST_FILE);
        let mut file = fs_err::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)?;
        let mut rows = Rows::new(path.clone(), fs_err::File::open(&path)?);
        while let Some(row) = rows.read()? {
            on_row(row)?;
        }
        file.set_len(rows.bytes)?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self {
            writer: BufWriter::new(file),
            path,
        })
    }

    /// Puts what images made again have now, pixels and score, into their rows.
    pub(super) fn remake(
        &mut self,
        folder: &OwnFolder,
        changed: &BTreeMap<u64, Remade>,
    ) -> Result<()> {
        if changed.is_empty() {
            return Ok(());
        }
        let draft = folder.scratch(MANIFEST_FILE)?;
        let mut writer = BufWriter::new(fs_err::File::create(&draft)?);
        for row in read_manifest(folder.root())? {
            let mut row = row?;
            if let Some(remade) = changed.get(&row.index) {
                row.pixel_hash = Some(remade.pixel_hash);
                row.remade = true;
                if let (Some(last), Some(score)) = (row.clip_scores.last_mut(), remade.clip_score) {
                    *last = score;
                }
            }
            write_row(&mut writer, &row, &self.path)?;
        }
        writer.flush()?;
        writer.get_ref().sync_all()?;
        fs_err::rename(draft, &self.path)?;
        let file = fs_err::OpenOptions::new().append(true).open(&self.path)?;
        self.writer = BufWriter::new(file);
        Ok(())
    }

    /// Appends rows and returns when they are on the disk.
    pub(super) fn append(&mut self, rows: &[ManifestRow]) -> Result<()> {
        for row in rows {
            write_row(&mut self.writer, row, &self.path)?;
        }
        self.writer.flush()?;
        self.writer.get_ref().sync_data()?;
        Ok(())
    }
}
