//! The prompts of an image folder in the form in which Hugging Face's `datasets` reads them with the pictures.

use std::io::{BufWriter, Write};
use std::path::Path;

use promptfed_files::OwnFolder;
use serde::Serialize;

use super::manifest::read_manifest;
use crate::Result;

/// Name of the file, in the folder of the images.
pub(super) const METADATA_FILE: &str = "metadata.jsonl";

/// Everything else of an image is in the manifest, and its class in its folder.
#[derive(Serialize)]
struct Row<'a> {
    file_name: &'a str,
    text: &'a str,
}

/// Writes a line for each image of the manifest in `out_dir`, whatever their number in little memory.
pub(super) fn write(folder: &OwnFolder, out_dir: &Path) -> Result<()> {
    let scratch = folder.scratch(METADATA_FILE)?;
    let mut lines = BufWriter::new(fs_err::File::create(&scratch)?);
    let mut any = false;
    for row in read_manifest(out_dir)? {
        let row = row?;
        let Some(file) = row.file.as_deref().and_then(|f| f.strip_prefix("images/")) else {
            continue;
        };
        any = true;
        let line = Row {
            file_name: file,
            text: &row.prompt,
        };
        serde_json::to_writer(&mut lines, &line).map_err(std::io::Error::from)?;
        lines.write_all(b"\n")?;
    }
    lines.flush()?;
    drop(lines);
    if any {
        fs_err::rename(&scratch, out_dir.join("images").join(METADATA_FILE))?;
        return Ok(());
    }
    Ok(folder.discard(METADATA_FILE)?)
}
