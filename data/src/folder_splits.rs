//! The splits among the levels of folders, and choosing one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::folder_layout::{Evidence, names, usual_depth};
use crate::split_names::{self, is_split};
use crate::tree::Place;
use crate::{DataError, Layout, Result};

/// The split that was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// Level of the splits' folders, from 0.
    pub(crate) level: usize,
    /// Name of the split's folder.
    pub(crate) name: String,
}

/// Keeps the places of one split, without the split's name: the wanted one, or the only one.
///
/// # Errors
/// When the wanted split does not exist, or folders of two splits lie there and none is wanted.
pub(crate) fn choose(
    root: &Path,
    places: &mut Vec<Place>,
    layout: Layout,
    wanted: Option<&str>,
    evidence: Evidence<'_>,
) -> Result<Option<Chosen>> {
    let chosen = match wanted {
        Some(wanted) => Some(find(root, places, wanted)?),
        None => only(root, places, layout, evidence)?,
    };
    if let Some(Chosen { level, name }) = &chosen {
        places.retain_mut(|place| {
            let is_of_split = place.folders.get(*level) == Some(name);
            if is_of_split {
                place.folders.remove(*level);
            }
            is_of_split
        });
    }
    Ok(chosen)
}

/// The wanted split at the uppermost level that has it.
fn find(root: &Path, places: &[Place], wanted: &str) -> Result<Chosen> {
    for level in 0..depth(places) {
        let found = names(places, level)
            .into_iter()
            .find(|name| name.eq_ignore_ascii_case(wanted));
        if let Some(name) = found {
            return Ok(Chosen { level, name });
        }
    }
    let splits: BTreeSet<String> = (0..depth(places))
        .flat_map(|level| names(places, level))
        .filter(|name| is_split(name))
        .collect();
    Err(DataError::SplitNotFound {
        path: root.to_owned(),
        split: wanted.to_owned(),
        splits: splits.into_iter().collect(),
    })
}

/// The only split; `None` when the folders are no splits.
fn only(
    root: &Path,
    places: &[Place],
    layout: Layout,
    evidence: Evidence<'_>,
) -> Result<Option<Chosen>> {
    let needed = match layout {
        Layout::ClassFolders => 1,
        Layout::DomainFolders => 2,
        _ => 0,
    };
    let usual = usual_depth(places);
    if usual.is_some_and(|usual| usual <= needed) && needed > 0 {
        // The layout was said: every level is one of it.
        return Ok(None);
    }
    for level in 0..depth(places) {
        let all = names(places, level);
        let splits: Vec<String> = all
            .iter()
            .filter(|name| is_split(name) && !evidence.knows(name))
            .cloned()
            .collect();
        match splits.as_slice() {
            [only] if level == 0 && all.len() == 1 && usual.is_some_and(|usual| usual > 1) => {
                return Ok(Some(Chosen {
                    level,
                    name: only.clone(),
                }));
            }
            [] | [_] => {}
            _ if needed > 0 && level == 0 && !repeats_below(places) => {}
            _ => return split_names::choose(root, splits, None).map(|_| None),
        }
    }
    Ok(None)
}

/// Whether most of the first level's folders hold second-level ones of the same names, as splits do.
fn repeats_below(places: &[Place]) -> bool {
    let pairs: BTreeSet<(&str, &str)> = places
        .iter()
        .filter(|p| p.folders.len() > 1)
        .map(|p| (p.folders[0].as_str(), p.folders[1].as_str()))
        .collect();
    let mut uses: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, below) in &pairs {
        *uses.entry(below).or_insert(0) += 1;
    }
    pairs.iter().filter(|(_, below)| uses[below] > 1).count() * 2 >= pairs.len().max(1)
}

fn depth(places: &[Place]) -> usize {
    places.iter().map(|p| p.folders.len()).max().unwrap_or(0)
}
