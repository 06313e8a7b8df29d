//! A number or a word that a method may be told.

use super::MethodName;

/// A number that a method may be told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SettingOf {
    /// Its name.
    pub name: &'static str,
    /// Its value where nothing is said; `None` where it is that of all methods.
    pub default: Option<f64>,
    /// Least value, and whether it may be that.
    least: (f64, bool),
    /// Values must be below it.
    below: f64,
    /// Whether only whole numbers mean something.
    whole: bool,
    /// The words that are said in place of numbers 0, 1, ..., where they are.
    words: &'static [&'static str],
    /// What it is.
    pub about: &'static str,
}

impl SettingOf {
    pub(super) const fn new(name: &'static str, default: Option<f64>, about: &'static str) -> Self {
        Self {
            name,
            default,
            least: (0.0, true),
            below: f64::INFINITY,
            whole: false,
            words: &[],
            about,
        }
    }

    pub(super) const fn above_zero(self) -> Self {
        Self {
            least: (0.0, false),
            ..self
        }
    }

    pub(super) const fn below(self, below: f64) -> Self {
        Self { below, ..self }
    }

    pub(super) const fn whole(self) -> Self {
        Self {
            whole: true,
            ..self
        }
    }

    pub(super) const fn words(self, words: &'static [&'static str]) -> Self {
        Self { words, ..self }
    }

    /// The value that a text says.
    pub(super) fn read(&self, text: &str) -> Option<f64> {
        if self.words.is_empty() {
            return text.parse().ok().filter(|v| self.takes(*v));
        }
        let place = self.words.iter().position(|word| *word == text);
        place.map(|place| place as f64)
    }

    /// The words that may be said, where it is no number.
    pub fn one_of(&self) -> &'static [&'static str] {
        self.words
    }

    /// A value as it is said.
    pub(super) fn said(&self, value: f64) -> String {
        let word = self.words.get(value as usize);
        word.map_or_else(|| value.to_string(), |word| (*word).to_owned())
    }

    /// What may be said, and an example for `method`.
    pub(super) fn range(&self, method: MethodName) -> String {
        let name = self.name;
        if let Some(first) = self.words.first() {
            return format!(
                "give {}, as {method}:{name}={first}",
                self.words.join(" or ")
            );
        }
        let (least, may_be) = self.least;
        let kind = if self.whole {
            "a whole number"
        } else {
            "a number"
        };
        let from = if may_be { "from" } else { "above" };
        let below = if self.below.is_finite() {
            format!(" and below {}", self.below)
        } else {
            String::new()
        };
        let example = self.default.unwrap_or(0.05);
        format!("give {kind} {from} {least}{below}, as {method}:{name}={example}")
    }

    /// Whether a value means something, also as f32, in which most are used.
    fn takes(&self, value: f64) -> bool {
        let (least, may_be) = self.least;
        let narrow = f64::from(value as f32);
        let is_above = |v: f64| v > least || may_be && v == least;
        let is_within = is_above(value) && is_above(narrow) && value < self.below;
        is_within && narrow.is_finite() && (!self.whole || value.fract() == 0.0)
    }
}
