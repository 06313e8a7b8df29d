//! What lies beside the images of a folder for people and other programs: their prompts, and some of them on one page.

use std::io::ErrorKind;
use std::path::Path;

use promptfed_files::OwnFolder;

use super::contact_sheet::{self, ContactSheet};
use super::manifest::read_manifest;
use super::metadata::{self, Metadata};
use crate::Result;

/// Takes away what will not be true any more when images were made: a job that is killed leaves nothing that tells of fewer than there are.
pub(super) fn outdate(out_dir: &Path) -> Result<()> {
    for file in [metadata::place(out_dir), contact_sheet::place(out_dir)] {
        match fs_err::remove_file(file) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

/// Writes both, where one is missing, in one pass over the manifest.
pub(super) fn write(folder: &OwnFolder, out_dir: &Path) -> Result<()> {
    if metadata::place(out_dir).exists() && contact_sheet::place(out_dir).exists() {
        return Ok(());
    }
    let mut metadata = Metadata::begin(folder)?;
    let mut sheet = ContactSheet::default();
    for row in read_manifest(out_dir)? {
        let row = row?;
        metadata.add(&row)?;
        sheet.add(&row);
    }
    metadata.end(folder, out_dir)?;
    sheet.write(folder, out_dir)
}
