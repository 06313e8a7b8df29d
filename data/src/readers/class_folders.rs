//! `ROOT/CLASS/picture`: the layout of ImageNet and of torchvision's `ImageFolder`.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use crate::folder::{Folder, folder_name};
use crate::listing::Listing;
use crate::{DatasetWarning, ImageSource, Result};

/// Adds the pictures of every class folder in `root`, named through `mapping` (folder name to class name) where it
/// has the folder. Folders below a class folder are not entered.
pub(crate) fn read(
    root: &Path,
    mapping: &HashMap<String, String>,
    domain: Option<&str>,
    listing: &mut Listing,
) -> Result<()> {
    for path in Folder::read(root)?.folders {
        let contents = Folder::read(&path)?;
        let ignored = contents.folders.clone();
        let pictures = contents.into_pictures();
        if pictures.is_empty() {
            listing.warn(DatasetWarning::FolderIgnored { path });
            continue;
        }
        for path in ignored {
            listing.warn(DatasetWarning::FolderIgnored { path });
        }
        let name = folder_name(&path)?;
        let class = listing.class(mapping.get(name).map_or(name, String::as_str));
        let domain = domain.map(|d| listing.domain(d));
        for picture in pictures {
            listing.push(class, domain, None, ImageSource::File(picture));
        }
    }
    Ok(())
}

/// Names of the class folders in `roots`, for looking them up in a mapping file.
pub(crate) fn names(roots: &[PathBuf]) -> Result<HashSet<String>> {
    let mut names = HashSet::new();
    for root in roots {
        for path in Folder::read(root)?.folders {
            names.insert(folder_name(&path)?.to_owned());
        }
    }
    Ok(names)
}
