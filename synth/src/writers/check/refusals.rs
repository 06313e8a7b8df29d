//! What was refused, and why.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Most examples that are kept of each reason.
pub const MAX_EXAMPLES: usize = 3;

/// Most characters of an example that are kept.
const MAX_SHOWN: usize = 120;

/// Why a written prompt is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Reason {
    /// The class is not named.
    ClassMissing,
    /// Another class of the label space is named.
    OtherClass,
    /// Words of the template are missing.
    TemplateLost,
    /// It is written in another language or script than the template.
    Language,
    /// It has too many characters, or more bytes than a caption may have.
    TooLong,
    /// The generator does not read it to its end.
    Cut,
    /// It has words that the generator was never shown.
    UnknownWords,
    /// It repeats too much of a client's caption: the mean over the caption's words of how much of each stands in it.
    NearCopy,
    /// The same words were accepted before, or it is the template alone.
    Repeated,
    /// It is no text that may cross the wire: empty, with control or hidden characters.
    Unfit,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClassMissing => "does not name its class",
            Self::OtherClass => "names another class",
            Self::TemplateLost => "leaves out words of the template",
            Self::Language => "is in another language",
            Self::TooLong => "is too long",
            Self::Cut => "is longer than the generator reads",
            Self::UnknownWords => "has words that the generator was never shown",
            Self::NearCopy => "is a near copy of a client's caption",
            Self::Repeated => "was written before",
            Self::Unfit => "is no usable text",
        })
    }
}

/// One refused prompt's reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// What exactly, such as the other class; may be empty.
    pub detail: String,
}

impl Refusal {
    pub(super) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
        }
    }
}

/// Refused prompts by reason, with a few examples of each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Refusals(BTreeMap<Reason, OfReason>);

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct OfReason {
    count: u64,
    examples: Vec<RefusalExample>,
}

/// A refused prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalExample {
    /// Its text, cut where it is long; characters that cannot be seen are replaced.
    pub text: String,
    /// What exactly was wrong; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl Refusals {
    /// Counts a refused text.
    pub fn add(&mut self, text: &str, refusal: &Refusal) {
        let of_reason = self.0.entry(refusal.reason).or_default();
        of_reason.count += 1;
        if of_reason.examples.len() < MAX_EXAMPLES {
            of_reason.examples.push(RefusalExample {
                text: shown(text),
                detail: shown(&refusal.detail),
            });
        }
    }

    /// Adds what was refused elsewhere, behind this.
    pub fn merge(&mut self, other: &Self) {
        for (reason, more) in &other.0 {
            let of_reason = self.0.entry(*reason).or_default();
            of_reason.count += more.count;
            let room = MAX_EXAMPLES.saturating_sub(of_reason.examples.len());
            let examples = more.examples.iter().take(room).cloned();
            of_reason.examples.extend(examples);
        }
    }

    /// All that were refused.
    pub fn total(&self) -> u64 {
        self.0.values().map(|of_reason| of_reason.count).sum()
    }

    /// How many were refused for a reason.
    pub fn count(&self, reason: Reason) -> u64 {
        self.0.get(&reason).map_or(0, |of_reason| of_reason.count)
    }

    /// Every reason with its count and examples, the most frequent first.
    pub fn by_count(&self) -> Vec<(Reason, u64, &[RefusalExample])> {
        let mut all: Vec<_> = self
            .0
            .iter()
            .map(|(reason, of)| (*reason, of.count, of.examples.as_slice()))
            .collect();
        all.sort_by_key(|(reason, count, _)| (std::cmp::Reverse(*count), *reason));
        all
    }
}

fn shown(text: &str) -> String {
    let is_hidden = |c: char| {
        c.is_control()
            || matches!(c as u32, 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0xFEFF)
    };
    let replaced = |c: char| {
        if is_hidden(c) {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        }
    };
    let mut shown: String = text.chars().take(MAX_SHOWN).map(replaced).collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_kept_and_examples_bounded() {
        let mut refusals = Refusals::default();
        for i in 0..10 {
            let text = format!("{i} {}\u{202e}\n", "x".repeat(500));
            refusals.add(&text, &Refusal::new(Reason::TooLong, "502 characters"));
        }
        refusals.add("cat", &Refusal::new(Reason::OtherClass, "cat"));
        let mut twice = refusals.clone();
        twice.merge(&refusals);
        assert_eq!(twice.total(), 22);
        assert_eq!(twice.count(Reason::OtherClass), 2);
        let told = twice.by_count();
        assert_eq!(
            (told[0].0, told[0].1, told[0].2.len()),
            (Reason::TooLong, 20, MAX_EXAMPLES)
        );
        let text = &told[0].2[0].text;
        assert!(
            text.chars().count() <= MAX_SHOWN + 3 && !text.contains('\u{202e}'),
            "{text}"
        );
        let json = serde_json::to_string(&twice).unwrap();
        assert!(json.contains("\"other-class\":{\"count\":2"), "{json}");
        assert_eq!(serde_json::from_str::<Refusals>(&json).unwrap(), twice);
    }
}
