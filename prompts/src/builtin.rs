//! The label spaces and template sets that come with the crate; each is a file of its folder.

use crate::text::excerpt;
use crate::{Error, Result};

/// Name and text of every file in `label_spaces/`.
pub(crate) const LABEL_SPACES: &[(&str, &str)] = &[
    (
        "imagenette",
        include_str!("../label_spaces/imagenette.toml"),
    ),
    (
        "imagefruit",
        include_str!("../label_spaces/imagefruit.toml"),
    ),
    (
        "imageyellow",
        include_str!("../label_spaces/imageyellow.toml"),
    ),
    (
        "imagesquawk",
        include_str!("../label_spaces/imagesquawk.toml"),
    ),
    ("pacs", include_str!("../label_spaces/pacs.toml")),
    (
        "domainnet10",
        include_str!("../label_spaces/domainnet10.toml"),
    ),
    ("emoji", include_str!("../label_spaces/emoji.toml")),
];

/// Name and text of every file in `templates/`.
pub(crate) const TEMPLATE_SETS: &[(&str, &str)] = &[
    ("fgl", include_str!("../templates/fgl.toml")),
    (
        "fgl-domainnet",
        include_str!("../templates/fgl-domainnet.toml"),
    ),
    ("photo", include_str!("../templates/photo.toml")),
    ("pocket", include_str!("../templates/pocket.toml")),
];

/// The text of the built-in `name`.
pub(crate) fn find(
    kind: &'static str,
    files: &[(&'static str, &'static str)],
    name: &str,
) -> Result<&'static str> {
    files
        .iter()
        .find(|(known, _)| *known == name)
        .map(|&(_, text)| text)
        .ok_or_else(|| Error::UnknownBuiltin {
            kind,
            found: excerpt(name),
            known: names(files).join(", "),
        })
}

/// All names.
pub(crate) fn names(files: &[(&'static str, &'static str)]) -> Vec<&'static str> {
    files.iter().map(|&(name, _)| name).collect()
}
