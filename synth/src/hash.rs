//! Hashes of files.

use std::path::Path;

use promptfed_prompts::ContentHash;

use crate::Result;

/// The hash of a file's contents.
///
/// # Errors
/// A file that cannot be read.
pub fn hash_file(file: &Path) -> Result<ContentHash> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(fs_err::File::open(file)?)?;
    Ok(ContentHash::from_bytes(*hasher.finalize().as_bytes()))
}

/// A hash over the contents of files, in order.
pub(crate) fn hash_files(files: impl IntoIterator<Item = impl AsRef<Path>>) -> Result<ContentHash> {
    let mut all = blake3::Hasher::new();
    for file in files {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(fs_err::File::open(file.as_ref())?)?;
        all.update(hasher.finalize().as_bytes());
    }
    Ok(ContentHash::from_bytes(*all.finalize().as_bytes()))
}
