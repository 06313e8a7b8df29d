//! Names of models on the hub.

use std::fmt;
use std::str::FromStr;

/// A model on the hub and one of its revisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelId {
    /// `owner/name`
    pub(super) name: String,
    /// Branch, tag or commit.
    pub(super) revision: String,
}

impl FromStr for ModelId {
    type Err = String;

    /// Reads `owner/name` or `owner/name@revision`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, revision) = text.split_once('@').unwrap_or((text, "main"));
        let fits = |part: &str| {
            !part.is_empty()
                && !part.starts_with(['.', '-'])
                && !part.contains("..")
                && part
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        };
        if name.split('/').count() == 2
            && name.split('/').all(fits)
            && revision.split('/').all(fits)
        {
            return Ok(Self {
                name: name.to_owned(),
                revision: revision.to_owned(),
            });
        }
        Err(format!(
            "{text:?} is neither a folder nor a model id; ids are owner/name or owner/name@revision"
        ))
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_owner_and_name() {
        let id: ModelId = "owner/sd-1.5".parse().unwrap();
        assert_eq!(id.to_string(), "owner/sd-1.5@main");
        let id: ModelId = "owner/name@refs/pr/3".parse().unwrap();
        assert_eq!(id.revision, "refs/pr/3");
        for text in [
            "name",
            "a/b/c",
            "../name",
            "owner/..",
            "owner/na me",
            "owner/name@",
            "owner/name@../x",
            "/etc/passwd",
            "owner/name@a b",
            "",
        ] {
            assert!(text.parse::<ModelId>().is_err(), "{text}");
        }
    }
}
