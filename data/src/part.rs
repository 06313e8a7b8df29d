//! What the parts of a data set were taken for.

use std::fmt;

use serde::Serialize;

/// What a level of folders, a column or a part of a list was taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Meaning {
    /// The split that was read.
    Split,
    /// The samples' domains.
    Domain,
    /// The samples' classes.
    Class,
    /// The samples' captions.
    Caption,
    /// Nothing: folders inside a class, whose names are not used.
    NotUsed,
}

impl fmt::Display for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Meaning::Split => "split",
            Meaning::Domain => "domain",
            Meaning::Class => "class",
            Meaning::Caption => "caption",
            Meaning::NotUsed => "not used",
        })
    }
}

/// A level of folders, a column or a part of a list, and what it was taken for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Which one: `first level`, ``column `label` ``, `label of the list`.
    pub place: String,
    /// What it was taken for.
    pub meaning: Meaning,
    /// The first few of its names; may be empty.
    pub examples: Vec<String>,
    /// Number of distinct names.
    pub names: usize,
}

impl Part {
    /// Names that are shown.
    const SHOWN: usize = 4;

    /// A part with these names.
    pub fn new<'a>(
        place: impl Into<String>,
        meaning: Meaning,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let names: std::collections::BTreeSet<&str> = names.into_iter().collect();
        Self {
            place: place.into(),
            meaning,
            examples: names
                .iter()
                .take(Self::SHOWN)
                .map(|n| (*n).to_owned())
                .collect(),
            names: names.len(),
        }
    }
}

impl fmt::Display for Part {
    /// `first level: domain (art, cartoon, photo, sketch, and 2 more)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.meaning)?;
        if self.examples.is_empty() {
            return Ok(());
        }
        write!(f, " ({}", self.examples.join(", "))?;
        if self.names > self.examples.len() {
            write!(f, ", and {} more", self.names - self.examples.len())?;
        }
        f.write_str(")")
    }
}

/// `first`, `second`, ... for a depth from 0.
pub(crate) fn ordinal(depth: usize) -> String {
    const WORDS: [&str; 5] = ["first", "second", "third", "fourth", "fifth"];
    WORDS
        .get(depth)
        .map_or_else(|| format!("{}th", depth + 1), |w| (*w).to_owned())
}

/// The first names of a list that may be long.
pub(crate) fn abbreviate<T: AsRef<str>>(names: &[T]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<&str> = names.iter().take(SHOWN).map(AsRef::as_ref).collect();
    let mut text = shown.join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(", and {} more", names.len() - SHOWN));
    }
    text
}
