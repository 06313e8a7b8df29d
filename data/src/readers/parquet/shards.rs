//! Which Parquet files of a folder belong to a split.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::folder::{first_bytes, has_extension};
use crate::listing::Listing;
use crate::part::{Meaning, Part};
use crate::split_names::{is_split, parts};
use crate::{DataError, DatasetWarning, Result, split_names};

/// Whether a file is Parquet, by its first bytes or, so that damaged files are reported as such, its extension.
pub(crate) fn is_parquet(path: &Path) -> bool {
    has_extension(path, &["parquet"]) || first_bytes::<4>(path) == b"PAR1"
}

/// What a shard's path says: `train-00000-of-00002-HASH.parquet` is shard 0 of 2 of `train`, and so is `train/0000.parquet`
/// of no number.
struct ShardName {
    split: Option<String>,
    shard: Option<(u32, u32)>,
}

impl ShardName {
    fn parse(path: &Path) -> Self {
        let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or("");
        let (before, shard) = match numbers(stem) {
            Some((before, index, of)) => (before, Some((index, of))),
            None => (stem, None),
        };
        let folder = path.parent().and_then(|p| p.file_name()?.to_str());
        let split = parts(before).split.or_else(|| {
            let folder = folder.filter(|f| is_split(f)).map(str::to_owned);
            // What stands before the numbers of a shard tells it from others, whatever it means.
            folder.or_else(|| shard.and(Some(before).filter(|b| !b.is_empty()).map(str::to_owned)))
        });
        Self { split, shard }
    }
}

/// What stands before `-INDEX-of-NUMBER` in a name, and the numbers; a hash may follow.
fn numbers(stem: &str) -> Option<(&str, u32, u32)> {
    let (left, right) = stem.rsplit_once("-of-")?;
    let (before, index) = left.rsplit_once('-').unwrap_or(("", left));
    let of = right.split('-').next()?;
    Some((before, index.parse().ok()?, of.parse().ok()?))
}

/// The files of the wanted split, in shard order, and that split; all files and `None` where no name tells one. Where any file
/// names a split, files that name none are left out with a warning.
///
/// # Errors
/// When names tell splits and the wanted one is not among them, none is wanted and there are several, or a shard is missing.
pub(crate) fn choose_shards(
    path: &Path,
    files: &[PathBuf],
    wanted: Option<&str>,
    listing: &mut Listing,
) -> Result<(Vec<PathBuf>, Option<String>)> {
    let names: Vec<ShardName> = files.iter().map(|f| ShardName::parse(f)).collect();
    let splits: Vec<String> = names.iter().filter_map(|n| n.split.clone()).collect();
    let wanted = wanted.filter(|_| !splits.is_empty());
    let Some(chosen) = split_names::choose(path, splits, wanted)? else {
        return Ok((files.to_vec(), None));
    };
    listing.part(Part::new(
        "name of the file",
        Meaning::Split,
        [chosen.as_str()],
    ));
    // Shards count within their folder.
    let mut shards: BTreeMap<(&Path, u32), BTreeSet<u32>> = BTreeMap::new();
    let mut selected = Vec::new();
    for (file, name) in files.iter().zip(&names) {
        if name.split.as_ref() == Some(&chosen) {
            selected.push(file.clone());
            if let Some((index, of)) = name.shard {
                let folder = file.parent().unwrap_or(Path::new(""));
                shards.entry((folder, of)).or_default().insert(index);
            }
        } else if name.split.is_none() {
            listing.warn(DatasetWarning::FileNotRead {
                path: file.clone(),
                reason: format!("its name tells no split, and `{chosen}` was read"),
            });
        }
    }
    let missing = shards.iter().find_map(|((_, of), found)| {
        let index = (0..*of).find(|index| !found.contains(index))?;
        Some((index, of))
    });
    if let Some((index, of)) = missing.filter(|_| path.is_dir()) {
        return Err(DataError::Parquet {
            path: path.to_owned(),
            reason: format!(
                "shard {index} of {of} of `{chosen}` is missing; download it, or open the shards one by one"
            ),
        });
    }
    Ok((selected, Some(chosen)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_are_told_by_names_of_files_and_folders() {
        for (path, split, shard) in [
            ("train-00000-of-00002.parquet", Some("train"), Some((0, 2))),
            (
                "data/train-00001-of-00002-b42af1d985bb7f5e.parquet",
                Some("train"),
                Some((1, 2)),
            ),
            ("x_train.parquet", Some("train"), None),
            ("train-0.parquet", Some("train"), None),
            ("default/train/0000.parquet", Some("train"), None),
            ("en-00000-of-00001.parquet", Some("en"), Some((0, 1))),
            ("00000-of-00001.parquet", None, Some((0, 1))),
            ("photos.parquet", None, None),
        ] {
            let name = ShardName::parse(Path::new(path));
            assert_eq!(
                (name.split.as_deref(), name.shard),
                (split, shard),
                "{path}"
            );
        }
    }
}
