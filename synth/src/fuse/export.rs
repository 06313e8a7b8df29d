//! A fused set as files of its own, for other programs.

use std::path::{Path, PathBuf};

use promptfed_data::{Dataset, DecodeOptions, ImageSource, Sample, read_encoded};
use promptfed_files::{FolderKind, OwnFolder};
use promptfed_prompts::ContentHash;
use serde::{Deserialize, Serialize};

use super::fused::each_image;
use super::record::{FUSED_FILE, FuseRecord};
use crate::hash::hash_file;
use crate::job::ManifestRow;
use crate::job::{CLASSES_FILE, SHARD_IMAGES, classes_file, encode, folder_names, shard_name};
use crate::{Error, OutputFormat, Result};

/// How an export's folder is known.
const EXPORT_FOLDER: FolderKind = FolderKind {
    what: "the folder of an export",
    mark: ".promptfed/export.lock",
    lock: ".promptfed/export.lock",
};

/// Scratch file that says of what the folder is.
const RECORD: &str = "export.json";

/// What was exported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Export {
    /// Hash of the references of the fused set.
    pub fused: ContentHash,
    /// The form.
    pub format: OutputFormat,
    /// Images.
    pub images: u64,
    /// Whether the images weigh differently, which the files do not say.
    pub weighted: bool,
}

/// Copies the images of a fused set to the folder `out`: `DOMAIN/CLASS/NUMBER.png` (`CLASS/NUMBER.png` without domains) beside
/// `classes.tsv`, or Parquet shards with the columns of a job's. The same fused set gives the same files; an export that was stopped is
/// made again in the same folder.
///
/// # Errors
/// As [`open_fused`](super::open_fused); a folder that holds anything else, also the export of another fused set.
pub fn export(fused: &Path, format: OutputFormat, out: &Path) -> Result<Export> {
    let record = FuseRecord::read(fused)?;
    let (mut images, mut weights) = (0, None);
    let mut weighted = false;
    each_image(fused, &record, |row, _, _| {
        images += 1;
        weighted |= *weights.get_or_insert(row.weight) != row.weight;
        Ok(())
    })?;
    let export = Export {
        fused: hash_file(&fused.join(FUSED_FILE))?,
        format,
        images,
        weighted,
    };
    let folder = OwnFolder::claim(out, EXPORT_FOLDER)?;
    let mark = folder.scratch(RECORD)?;
    let text = serde_json::to_vec(&export).map_err(|error| Error::Output {
        file: mark.clone(),
        reason: error.to_string(),
    })?;
    if mark.exists() && fs_err::read(&mark)? != text {
        return Err(Error::Fusion(format!(
            "{} holds the export of another fused set, or in another form; choose another folder",
            out.display()
        )));
    }
    folder.write(&mark, &text)?;
    let mut writer = Writer {
        folder: &folder,
        format,
        class_names: &record.class_names,
        folders: folder_names(&record.class_names),
        waiting: Vec::new(),
        written: 0,
    };
    if format == OutputFormat::Folder {
        let classes = classes_file(&record.class_names);
        folder.write(&out.join(CLASSES_FILE), classes.as_bytes())?;
    }
    each_image(fused, &record, |_, row, source| writer.add(row, source))?;
    writer.flush()?;
    Ok(export)
}

struct Writer<'a> {
    folder: &'a OwnFolder,
    format: OutputFormat,
    class_names: &'a [String],
    /// Of every class.
    folders: Vec<String>,
    waiting: Vec<(ManifestRow, ImageSource)>,
    written: u64,
}

impl Writer<'_> {
    fn add(&mut self, row: ManifestRow, source: ImageSource) -> Result<()> {
        self.waiting.push((row, source));
        if self.waiting.len() as u64 == SHARD_IMAGES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return Ok(());
        }
        let sample = |(_, source): &(ManifestRow, ImageSource)| Sample {
            label: 0,
            domain: None,
            caption: None,
            source: source.clone(),
        };
        let dataset = Dataset {
            samples: waiting.iter().map(sample).collect(),
            ..Dataset::default()
        };
        let strict = DecodeOptions {
            strict: true,
            ..DecodeOptions::default()
        };
        let mut pngs = Vec::with_capacity(waiting.len());
        read_encoded(&dataset, &strict, |_, png| pngs.push(png.to_vec()))?;
        let mut rows: Vec<ManifestRow> = waiting.into_iter().map(|(row, _)| row).collect();
        for (index, row) in (self.written..).zip(&mut rows) {
            row.index = index;
        }
        let root = self.folder.root();
        match self.format {
            OutputFormat::Folder => {
                for (row, png) in rows.iter().zip(&pngs) {
                    self.folder.write(&root.join(self.place(row)), png)?;
                }
            }
            OutputFormat::Parquet => {
                let images = rows.iter().zip(pngs).map(Ok);
                let bytes = encode(images, self.class_names)?;
                let name = shard_name(self.written / SHARD_IMAGES);
                self.folder.write(&root.join(name), &bytes)?;
            }
        }
        self.written += rows.len() as u64;
        Ok(())
    }

    fn place(&self, row: &ManifestRow) -> PathBuf {
        let domain = row.domain.as_slice().first();
        let domain = domain.map(|domain| folder_names(std::slice::from_ref(domain)).concat());
        let class = self.folders.get(row.class as usize);
        PathBuf::from(domain.unwrap_or_default())
            .join(class.map_or("", String::as_str))
            .join(format!("{:08}.png", row.index))
    }
}
