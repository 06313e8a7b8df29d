//! The prompts of an image folder in the form in which Hugging Face's `datasets` reads them with the pictures.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use promptfed_files::OwnFolder;
use serde::Serialize;

use super::manifest::ManifestRow;
use crate::Result;

/// Name of the file, in the folder of the images.
pub(super) const METADATA_FILE: &str = "metadata.jsonl";

/// Everything else of an image is in the manifest, and its class in its folder.
#[derive(Serialize)]
struct Line<'a> {
    file_name: &'a str,
    text: &'a str,
}

/// The file as it is written, whatever the number of its lines in little memory.
pub(super) struct Metadata {
    scratch: PathBuf,
    lines: BufWriter<fs_err::File>,
    any: bool,
}

impl Metadata {
    pub(super) fn begin(folder: &OwnFolder) -> Result<Self> {
        let scratch = folder.scratch(METADATA_FILE)?;
        Ok(Self {
            lines: BufWriter::new(fs_err::File::create(&scratch)?),
            scratch,
            any: false,
        })
    }

    /// Adds a line, where the row's image is a file of its own.
    pub(super) fn add(&mut self, row: &ManifestRow) -> Result<()> {
        let Some(file) = row.file.as_deref().and_then(|f| f.strip_prefix("images/")) else {
            return Ok(());
        };
        self.any = true;
        let line = Line {
            file_name: file,
            text: &row.prompt,
        };
        serde_json::to_writer(&mut self.lines, &line).map_err(std::io::Error::from)?;
        Ok(self.lines.write_all(b"\n")?)
    }

    /// Puts the file in its place; nothing where it has no line.
    pub(super) fn end(mut self, folder: &OwnFolder, out_dir: &Path) -> Result<()> {
        self.lines.flush()?;
        drop(self.lines);
        if self.any {
            fs_err::rename(&self.scratch, place(out_dir))?;
            return Ok(());
        }
        Ok(folder.discard(METADATA_FILE)?)
    }
}

/// Where the file stands.
pub(super) fn place(out_dir: &Path) -> PathBuf {
    out_dir.join("images").join(METADATA_FILE)
}
