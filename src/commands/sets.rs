//! Synthetic sets on the command line: folders of `promptfed synth`, each with the name of its backend.

use anyhow::Result;
use promptfed_synth::SyntheticSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// `FOLDER` or `NAME=FOLDER`.
#[derive(Debug, Clone)]
pub(crate) struct SetArg {
    name: Option<String>,
    folder: PathBuf,
}

impl FromStr for SetArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A folder whose own name has the sign is taken as it is.
        if let Some((name, folder)) = text.split_once('=').filter(|_| !Path::new(text).exists()) {
            if name.trim().is_empty() || folder.is_empty() {
                return Err(format!("`{text}` is no NAME=FOLDER"));
            }
            return Ok(Self {
                name: Some(name.trim().to_owned()),
                folder: folder.into(),
            });
        }
        Ok(Self {
            name: None,
            folder: text.into(),
        })
    }
}

/// The sets of these folders; one that holds the jobs of several engines, or of several rounds, is all of them.
pub(crate) fn open(args: &[SetArg]) -> Result<Vec<SyntheticSet>> {
    let mut sets = Vec::new();
    for arg in args {
        sets.extend(SyntheticSet::all_in(&arg.folder, arg.name.as_deref())?);
    }
    Ok(sets)
}
