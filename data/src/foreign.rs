//! Stores of other programs that are not read, named with the way to convert them.

use std::path::{Path, PathBuf};

use crate::DataError;
use crate::folder::{Folder, has_extension};

/// The error for a folder that holds such a store, where it does.
pub(crate) fn recognise(root: &Path) -> Option<DataError> {
    let contents = Folder::read(root).ok()?;
    let mut files: Vec<PathBuf> = contents.files;
    for folder in &contents.folders {
        files.extend(Folder::read(folder).ok()?.files);
    }
    files.iter().find_map(|file| of_file(file, root))
}

/// The error for a file of such a store.
pub(crate) fn of_file(file: &Path, root: &Path) -> Option<DataError> {
    let root = root.display();
    let is_named = |name: &str| file.file_name().is_some_and(|n| n == name);
    let (what, remedy) = if has_extension(file, &["arrow"]) || is_named("dataset_dict.json") {
        (
            "Arrow, as the `datasets` library saves it",
            format!(
                "convert it in Python: `d = datasets.load_from_disk(\"{root}\")`, then for each split \
                 `d[\"train\"].to_parquet(\"train.parquet\")` (without splits: `d.to_parquet(\"data.parquet\")`)"
            ),
        )
    } else if has_extension(file, &["zip", "tar", "tgz", "gz", "7z", "rar"]) {
        ("an archive", "unpack it and give the folder".to_owned())
    } else if has_extension(file, &["tfrecord", "h5", "hdf5", "npz", "mdb", "pkl"]) {
        (
            "a store of arrays",
            "write its pictures to files in class folders, or to Parquet with `image` and `label`"
                .to_owned(),
        )
    } else {
        return None;
    };
    Some(DataError::ForeignStore {
        path: file.to_owned(),
        what,
        remedy,
    })
}
