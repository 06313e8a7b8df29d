//! Which names mean a split of a data set, and choosing one.

use std::path::Path;

use crate::{DataError, Result};

/// Names that mean a split wherever they stand; anything else may be a class, a domain or a file of its own.
const SPLITS: [&str; 11] = [
    "train",
    "training",
    "val",
    "valid",
    "validation",
    "dev",
    "test",
    "testing",
    "eval",
    "public",
    "private",
];

/// Whether a folder, list or shard of this name is a split.
pub(crate) fn is_split(name: &str) -> bool {
    SPLITS.iter().any(|s| name.eq_ignore_ascii_case(s))
}

/// The split to read of those that exist: the wanted one, or the only one. `None` when there are none and none is wanted.
///
/// # Errors
/// When the wanted one does not exist, or there are several and none is wanted.
pub(crate) fn choose<'a>(
    path: &Path,
    mut splits: Vec<&'a str>,
    wanted: Option<&str>,
) -> Result<Option<&'a str>> {
    splits.sort_unstable();
    splits.dedup();
    let owned = |splits: &[&str]| splits.iter().map(|s| (*s).to_owned()).collect();
    match (wanted, splits.as_slice()) {
        (Some(split), _) => match splits.iter().find(|s| s.eq_ignore_ascii_case(split)) {
            Some(found) => Ok(Some(*found)),
            None => Err(DataError::SplitNotFound {
                path: path.to_owned(),
                split: split.to_owned(),
                splits: owned(&splits),
            }),
        },
        (None, []) => Ok(None),
        (None, [only]) => Ok(Some(*only)),
        (None, _) => Err(DataError::SplitNotChosen {
            path: path.to_owned(),
            splits: owned(&splits),
        }),
    }
}
