//! Texts as numbers of words.

use std::collections::BTreeMap;

/// Most words that are told apart; those that come later are unknown.
const MOST_WORDS: usize = 16_384;

/// Most words of a text that are read.
pub(super) const MOST_TOKENS: usize = 32;

/// What stands for a word that is not known, and for a text without words.
const UNKNOWN: u32 = 0;

/// Words by number. Words are runs of letters and digits, without case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vocabulary(BTreeMap<String, u32>);

impl Vocabulary {
    /// The words of texts, numbered as they come.
    pub fn of<'t>(texts: impl IntoIterator<Item = &'t str>) -> Self {
        let mut numbers = BTreeMap::new();
        for word in texts.into_iter().flat_map(words) {
            let next = numbers.len();
            if next < MOST_WORDS {
                numbers.entry(word).or_insert(next as u32 + 1);
            }
        }
        Self(numbers)
    }

    /// How many numbers there are, that of unknown words included.
    pub fn len(&self) -> usize {
        self.0.len() + 1
    }

    /// Whether no word is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A text's words by their numbers: its first 32, at least one.
    pub fn tokens(&self, text: &str) -> Vec<u32> {
        let number = |word: String| self.0.get(&word).copied().unwrap_or(UNKNOWN);
        let mut tokens: Vec<u32> = words(text).take(MOST_TOKENS).map(number).collect();
        if tokens.is_empty() {
            tokens.push(UNKNOWN);
        }
        tokens
    }
}

fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    let runs = text.split(|c: char| !c.is_alphanumeric());
    runs.filter(|run| !run.is_empty()).map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_numbered_as_they_come_and_others_are_unknown() {
        let known = Vocabulary::of(["A photo of_a cat,", "photo: DOG"]);
        assert_eq!(known.len(), 6);
        assert_eq!(known.tokens("photo of a dog"), [2, 3, 1, 5]);
        assert_eq!(known.tokens("Fox? cat!"), [0, 4]);
        assert_eq!(known.tokens(" ,;"), [0]);
        assert_eq!(known.tokens(&"cat ".repeat(100)).len(), MOST_TOKENS);
        assert!(Vocabulary::default().is_empty());
    }
}
