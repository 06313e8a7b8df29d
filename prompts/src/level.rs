//! How much of an image a prompt tells.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::text::excerpt;
use crate::{Error, Result};

/// How much of each private image goes into its prompt; each level tells more than the one before.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The class alone: one prompt per class that the client holds. This is the default.
    #[default]
    Class,
    /// Class and domain (drawing style, camera, site): one prompt per pair.
    Domain,
    /// Class, domain where there is one, and a caption of the image: one prompt per distinct caption.
    Instance,
}

impl Level {
    /// All levels, from the least telling to the most.
    pub const ALL: [Self; 3] = [Self::Class, Self::Domain, Self::Instance];

    /// Whether prompts of this level carry a domain.
    pub const fn has_domain(self) -> bool {
        !matches!(self, Self::Class)
    }

    /// Whether prompts of this level carry a caption.
    pub const fn has_caption(self) -> bool {
        matches!(self, Self::Instance)
    }

    /// The level's name: `class`, `domain` or `instance`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Class => "class",
            Self::Domain => "domain",
            Self::Instance => "instance",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Level {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|level| level.as_str() == text)
            .ok_or_else(|| Error::UnknownLevel {
                found: excerpt(text),
            })
    }
}
