//! Numbers that a configuration gives once or for each level or side.

use std::fmt;

use serde::Deserialize;

/// One number for all levels or one for each.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(
    untagged,
    expecting = "it is a whole number, or a list with one for each level"
)]
pub enum PerLevel {
    /// The same everywhere.
    Same(usize),
    /// From the first level to the last.
    Each(Vec<usize>),
}

impl PerLevel {
    /// The number of a level that [`UNetConfig::read`](super::UNetConfig::read) has checked to be there.
    pub fn at(&self, level: usize) -> usize {
        match self {
            PerLevel::Same(number) => *number,
            PerLevel::Each(numbers) => numbers[level],
        }
    }

    /// Whether there is a positive number for each of so many levels.
    pub(super) fn fits(&self, levels: usize) -> bool {
        match self {
            PerLevel::Same(number) => *number > 0,
            PerLevel::Each(numbers) => numbers.len() == levels && numbers.iter().all(|n| *n > 0),
        }
    }
}

impl fmt::Display for PerLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PerLevel::Same(number) => write!(f, "{number}"),
            PerLevel::Each(numbers) => write!(f, "{numbers:?}"),
        }
    }
}

/// A size, square or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(
    untagged,
    expecting = "it is a whole number, or a list of two: height and width"
)]
pub enum Size {
    /// Height and width.
    One(usize),
    /// Height, then width.
    Two([usize; 2]),
}

impl Size {
    /// The larger side.
    pub fn longest(self) -> usize {
        match self {
            Size::One(side) => side,
            Size::Two([height, width]) => height.max(width),
        }
    }
}
