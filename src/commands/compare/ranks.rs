//! Average ranks of the methods of a grid, as a diagram.

use super::grid::Row;
use anyhow::Result;
use promptfed_eval::ranking::Block;
use promptfed_eval::report::critical_difference;
use promptfed_files::write_whole;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

const SVG: &str = "critical_difference.svg";

/// A diagram, or why there is none.
pub(super) enum Ranks {
    Drawn(PathBuf),
    None(String),
}

/// Draws the ranks over data sets and partitions. A diagram of before that no longer holds is removed.
pub(super) fn write(rows: &[Row], out: &Path) -> Result<Ranks> {
    let mut cells: BTreeMap<(&str, &str), Block> = BTreeMap::new();
    for row in rows {
        let block = cells
            .entry((row.data.as_str(), row.partition.as_str()))
            .or_default();
        block.insert(row.summary.name.clone(), row.summary.accuracy_mean);
    }
    let names = cells
        .keys()
        .map(|(data, partition)| format!("{data}, {partition}"));
    let names: Vec<String> = names.collect();
    let blocks: Vec<Block> = cells.into_values().collect();
    let place = out.join(SVG);
    match critical_difference(&blocks, &names) {
        Ok(svg) => {
            write_whole(&place, svg.as_bytes())?;
            Ok(Ranks::Drawn(place))
        }
        Err(why) => {
            match fs_err::remove_file(&place) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
            Ok(Ranks::None(why.to_string()))
        }
    }
}

impl Ranks {
    /// For JSON: the file.
    pub(super) fn file(&self) -> Option<String> {
        match self {
            Self::Drawn(file) => Some(file.display().to_string()),
            Self::None(_) => None,
        }
    }

    /// For JSON: why there is none.
    pub(super) fn missing(&self) -> Option<&str> {
        match self {
            Self::Drawn(_) => None,
            Self::None(why) => Some(why),
        }
    }
}
