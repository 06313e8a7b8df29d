//! The weights and drawings that come with the program.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The environment variable that names the folder.
const ENVIRONMENT: &str = "PROMPTFED_ASSETS";

/// The folder of the bundled weights and drawings: the one that `PROMPTFED_ASSETS` names, else beside the program (`assets`), where installed
/// programs have their data (`../share/promptfed`), in the current folder (`assets`), or in the source tree.
///
/// # Errors
/// [`Error::NoAssets`] with the places, if it is in none of them. What the environment names is not looked at.
pub fn bundled_assets() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os(ENVIRONMENT) {
        return Ok(given.into());
    }
    let program = std::env::current_exe().ok();
    let places = places(program.as_deref());
    let found = places.iter().find(|place| place.join("pocket").is_dir());
    found.cloned().ok_or(Error::NoAssets { places })
}

/// That the bundled weights are nowhere, with the places where they were looked for.
pub(crate) fn no_assets() -> Error {
    Error::NoAssets {
        places: places(std::env::current_exe().ok().as_deref()),
    }
}

fn places(program: Option<&Path>) -> Vec<PathBuf> {
    let folder = program.and_then(Path::parent);
    let installed = folder.and_then(Path::parent);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    [
        folder.map(|folder| folder.join("assets")),
        installed.map(|prefix| prefix.join("share/promptfed")),
        Some("assets".into()),
        source.map(|source| source.join("assets")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installed_program_looks_where_data_is_installed() {
        let places = places(Some("/usr/local/bin/promptfed".as_ref()));
        assert_eq!(places[0], Path::new("/usr/local/bin/assets"));
        assert_eq!(places[1], Path::new("/usr/local/share/promptfed"));
        assert!(places[3].join("pocket/all").is_dir(), "{places:?}");
        assert_eq!(super::places(None).len(), 2);
        let told = Error::NoAssets { places }.to_string();
        assert!(
            told.contains("/usr/local/share/promptfed") && told.contains(ENVIRONMENT),
            "{told}"
        );
    }
}
