//! Which Parquet files of a folder belong to a split.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::folder::{first_bytes, has_extension};
use crate::{DataError, Result, split_names};

/// Whether a file is Parquet, by its first bytes or, so that damaged files are reported as such, its extension.
pub(crate) fn is_parquet(path: &Path) -> bool {
    has_extension(path, &["parquet"]) || first_bytes::<4>(path) == b"PAR1"
}

/// A shard's file name: `train-00000-of-00002.parquet` is shard 0 of 2 of `train`.
struct ShardName<'a> {
    split: Option<&'a str>,
    shard: Option<(u32, u32)>,
}

impl<'a> ShardName<'a> {
    fn parse(path: &'a Path) -> Self {
        let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or("");
        if let Some((rest, of)) = stem.rsplit_once("-of-")
            && let Some((split, index)) = rest.rsplit_once('-')
            && let (Ok(index), Ok(of)) = (index.parse(), of.parse())
        {
            return Self {
                split: Some(split),
                shard: Some((index, of)),
            };
        }
        Self {
            split: split_names::is_split(stem).then_some(stem),
            shard: None,
        }
    }
}

/// The files of the wanted split, in shard order. Files whose names mean no split are taken whatever split is wanted.
///
/// # Errors
/// When the split does not exist, none is wanted and there are several, or a shard is missing.
pub(crate) fn choose_shards(
    path: &Path,
    files: &[PathBuf],
    wanted: Option<&str>,
) -> Result<Vec<PathBuf>> {
    let names: Vec<ShardName<'_>> = files.iter().map(|f| ShardName::parse(f)).collect();
    let splits: Vec<&str> = names.iter().filter_map(|n| n.split).collect();
    if splits.is_empty() {
        return Ok(files.to_vec());
    }
    let chosen = split_names::choose(path, splits, wanted)?;
    let mut shards = BTreeSet::new();
    let mut expected = 0;
    let mut selected = Vec::new();
    for (file, name) in files.iter().zip(&names) {
        if name.split == chosen {
            selected.push(file.clone());
            if let Some((index, of)) = name.shard {
                shards.insert(index);
                expected = expected.max(of);
            }
        }
    }
    let missing = (0..expected).find(|index| !shards.contains(index));
    if let Some(index) = missing.filter(|_| path.is_dir()) {
        return Err(DataError::Parquet {
            path: path.to_owned(),
            reason: format!(
                "shard {index} of {expected} of `{}` is missing; download it, or open the shards one by one",
                chosen.unwrap_or_default()
            ),
        });
    }
    Ok(selected)
}
