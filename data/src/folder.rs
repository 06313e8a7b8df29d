//! What lies in a folder, in an order that does not depend on the file system.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::picture::{self, EXTENSIONS_NOT_READ};
use crate::{DataError, Result};

/// Extensions of files that accompany pictures and are never listed as one.
const SIDECARS: [&str; 24] = [
    "txt", "caption", "json", "jsonl", "csv", "tsv", "xml", "yaml", "yml", "toml", "md", "html",
    "htm", "log", "db", "ini", "mat", "npy", "npz", "parquet", "arrow", "lst", "pdf", "sha256",
];

/// Extensions that pictures usually have; only used to recognise layouts, never to choose a decoder.
const PICTURES: [&str; 10] = [
    "jpg", "jpeg", "png", "gif", "webp", "bmp", "tif", "tiff", "dcm", "dicom",
];

/// Files looked at before a folder without picture extensions counts as one without pictures.
const FILES_TO_SNIFF: usize = 32;

/// Bytes by which every picture is known: DICOM has its mark behind 128 of anything.
const BYTES_TO_SNIFF: usize = 132;

/// The visible entries of a folder, sorted by name; symbolic links count as what they point to.
#[derive(Debug, Default)]
pub(crate) struct Folder {
    /// Sub-folders.
    pub(crate) folders: Vec<PathBuf>,
    /// Files.
    pub(crate) files: Vec<PathBuf>,
    /// Links that lead nowhere.
    pub(crate) dangling: Vec<PathBuf>,
    /// Named pipes, devices and sockets, which are never opened.
    pub(crate) not_regular: Vec<PathBuf>,
}

impl Folder {
    /// Lists `path`. Hidden entries and macOS's `__MACOSX` are left out.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let mut folder = Self::default();
        for entry in fs_err::read_dir(path)? {
            let entry = entry?;
            let path = entry.path();
            let name = path.file_name().unwrap_or_default();
            if name.as_encoded_bytes().starts_with(b".") || name == "__MACOSX" {
                continue;
            }
            let file_type = entry.file_type()?;
            let file_type = match file_type.is_symlink() {
                true => std::fs::metadata(&path).map_or(file_type, |m| m.file_type()),
                false => file_type,
            };
            let kind = if file_type.is_dir() {
                &mut folder.folders
            } else if file_type.is_file() {
                &mut folder.files
            } else if file_type.is_symlink() {
                &mut folder.dangling
            } else {
                &mut folder.not_regular
            };
            kind.push(path);
        }
        folder.folders.sort();
        folder.files.sort();
        folder.dangling.sort();
        folder.not_regular.sort();
        Ok(folder)
    }

    /// Files that may be pictures: everything but side-cars. Content decides when they are decoded.
    pub(crate) fn into_pictures(self) -> Vec<PathBuf> {
        let mut files = self.files;
        files.retain(|f| !has_extension(f, &SIDECARS));
        files
    }

    /// Whether a picture lies directly in the folder, by extension or by the first bytes.
    pub(crate) fn holds_pictures(&self) -> bool {
        self.files.iter().any(|f| has_picture_extension(f))
            || self
                .files
                .iter()
                .filter(|f| !has_extension(f, &SIDECARS))
                .take(FILES_TO_SNIFF)
                .any(|f| starts_like_a_picture(f))
    }
}

/// The last component of a folder's path as text.
///
/// # Errors
/// When it is not UTF-8.
pub(crate) fn folder_name(path: &Path) -> Result<&str> {
    path.file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| DataError::NameNotUtf8 {
            path: path.to_owned(),
        })
}

/// Whether the extension is one of `extensions`, without regard to case.
pub(crate) fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension()
        .and_then(|e| e.to_str())
        .is_some_and(|e| extensions.iter().any(|x| e.eq_ignore_ascii_case(x)))
}

/// Whether the extension is one that pictures have, of formats that are not decoded too, so that every picture is named.
pub(crate) fn has_picture_extension(path: &Path) -> bool {
    has_extension(path, &PICTURES) || has_extension(path, EXTENSIONS_NOT_READ)
}

/// The first `N` bytes of a regular file, fewer at its end; nothing when it cannot be read.
pub(crate) fn first_bytes<const N: usize>(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(N);
    if let Ok(file) = promptfed_files::open_regular(path) {
        // A read error leaves what was read: whoever opens the file for good reports it.
        let _ = file.take(N as u64).read_to_end(&mut bytes);
    }
    bytes
}

fn starts_like_a_picture(path: &Path) -> bool {
    path.is_file() && picture::starts_like_a_picture(&first_bytes::<BYTES_TO_SNIFF>(path))
}
