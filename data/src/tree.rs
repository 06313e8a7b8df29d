//! All folders below a root and the pictures in them.

use std::path::{Path, PathBuf};

use crate::Result;
use crate::folder::{Folder, folder_name, has_extension};

/// Folders below each other that are entered; deeper ones are left out.
const MAX_DEPTH: usize = 12;

/// Levels whose folder names may become classes, domains or splits, and must be text.
const NAMED_LEVELS: usize = 3;

/// What lies below a root.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// Folders that hold pictures, each before those below it.
    pub(crate) places: Vec<Place>,
    /// Folders without pictures in them or below them; of nested ones the uppermost.
    pub(crate) without_pictures: Vec<PathBuf>,
    /// Folders that were not entered: links to a folder that holds them, or too deep.
    pub(crate) not_entered: Vec<PathBuf>,
    /// Named pipes, devices and sockets.
    pub(crate) not_regular: Vec<PathBuf>,
    /// Links that lead nowhere.
    pub(crate) dangling: Vec<PathBuf>,
    /// Files of captions and labels, `metadata.csv` and its like.
    pub(crate) metadata: Vec<PathBuf>,
    /// Parquet files, `metadata.parquet` left out.
    pub(crate) parquet: Vec<PathBuf>,
}

/// A folder with pictures.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Names of the folders from the root (left out) to this one.
    pub(crate) folders: Vec<String>,
    /// The folder.
    pub(crate) path: PathBuf,
    /// Files in it that may be pictures.
    pub(crate) pictures: Vec<PathBuf>,
}

impl Tree {
    /// Walks everything below `root`; links are followed.
    pub(crate) fn walk(root: &Path) -> Result<Self> {
        let mut tree = Self::default();
        let root = fs_err::canonicalize(root).map(|canonical| (root, canonical))?;
        tree.enter(root.0, &mut Vec::new(), &mut vec![root.1])?;
        Ok(tree)
    }

    /// Number of pictures in a folder and below it.
    pub(crate) fn pictures_below(&self, folder: &Path) -> usize {
        let below = self.places.iter().filter(|p| p.path.starts_with(folder));
        below.map(|p| p.pictures.len()).sum()
    }

    /// Number of pictures.
    pub(crate) fn pictures(&self) -> usize {
        self.places.iter().map(|p| p.pictures.len()).sum()
    }

    /// Whether there were pictures in the folder or below it. `entered` holds the folders that lead here, links resolved.
    fn enter(
        &mut self,
        path: &Path,
        folders: &mut Vec<String>,
        entered: &mut Vec<PathBuf>,
    ) -> Result<bool> {
        let mut contents = Folder::read(path)?;
        self.not_regular.append(&mut contents.not_regular);
        self.dangling.append(&mut contents.dangling);
        for file in &contents.files {
            if is_metadata(file) {
                self.metadata.push(file.clone());
            } else if has_extension(file, &["parquet"]) {
                self.parquet.push(file.clone());
            }
        }
        let below = std::mem::take(&mut contents.folders);
        let mut found = contents.holds_pictures();
        if found {
            self.places.push(Place {
                folders: folders.clone(),
                path: path.to_owned(),
                pictures: contents.into_pictures(),
            });
        }
        let first_empty = self.without_pictures.len();
        for path in below {
            let canonical = fs_err::canonicalize(&path)?;
            if folders.len() == MAX_DEPTH || entered.contains(&canonical) {
                self.not_entered.push(path);
                continue;
            }
            let name = match folder_name(&path) {
                Err(error) if folders.len() < NAMED_LEVELS => return Err(error),
                Err(_) => path.to_string_lossy().into_owned(),
                Ok(name) => name.to_owned(),
            };
            folders.push(name);
            entered.push(canonical);
            if self.enter(&path, folders, entered)? {
                found = true;
            } else {
                self.without_pictures.push(path);
            }
            folders.pop();
            entered.pop();
        }
        if !found {
            self.without_pictures.truncate(first_empty);
        }
        Ok(found)
    }
}

fn is_metadata(file: &Path) -> bool {
    let name = file.file_name().and_then(|n| n.to_str());
    name.is_some_and(|name| {
        ["metadata.csv", "metadata.jsonl", "metadata.parquet"]
            .iter()
            .any(|m| name.eq_ignore_ascii_case(m))
    })
}
