//! `ROOT/DOMAIN/CLASS/picture`: the layout of PACS and of Office-Home.

use std::collections::HashMap;
use std::path::Path;

use crate::Result;
use crate::folder::{Folder, folder_name};
use crate::listing::Listing;
use crate::readers::class_folders;

/// Adds the class folders of every domain folder in `root`; `mapping` as for class folders.
pub(crate) fn read(
    root: &Path,
    mapping: &HashMap<String, String>,
    listing: &mut Listing,
) -> Result<()> {
    for path in Folder::read(root)?.folders {
        class_folders::read(&path, mapping, Some(folder_name(&path)?), listing)?;
    }
    Ok(())
}
