//! Which weights the pocket engine gets.

use crate::commands::data;
use crate::exit::BadInput;
use anyhow::Result;
use std::path::PathBuf;

/// The bundled weights by name; the first is the default.
const BUNDLED: [&str; 3] = ["all", "photo", "draw"];

/// The folder of the named weights: a bundled name, or a folder; without a name the bundled default.
pub(crate) fn pocket_folder(name: Option<&str>) -> Result<PathBuf> {
    let name = name.unwrap_or(BUNDLED[0]);
    if BUNDLED.contains(&name) {
        return Ok(data::assets()?.join("pocket").join(name));
    }
    let folder = PathBuf::from(name);
    if folder.is_dir() {
        return Ok(folder);
    }
    Err(anyhow::Error::new(BadInput).context(format!(
        "`{name}` is neither a folder nor one of the bundled pocket weights; bundled are {}",
        BUNDLED.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bundled_name_has_weights() {
        for name in BUNDLED {
            let folder = pocket_folder(Some(name)).unwrap();
            for file in ["model.safetensors", "config.json", "tokenizer.json"] {
                assert!(folder.join(file).is_file(), "{name} has no {file}");
            }
        }
        assert_eq!(
            pocket_folder(None).unwrap(),
            pocket_folder(Some("all")).unwrap()
        );
    }

    #[test]
    fn folders_are_weights_too_and_other_names_are_answered_with_a_list() {
        let folder = std::env::temp_dir();
        assert_eq!(pocket_folder(folder.to_str()).unwrap(), folder);
        let error = pocket_folder(Some("large")).unwrap_err().to_string();
        assert!(
            error.contains("`large`") && error.contains("all, photo, draw"),
            "{error}"
        );
    }
}
