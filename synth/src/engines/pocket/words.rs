//! `words.txt`: the words of the captions that the weights were trained on. Others mean nothing to the network.

use std::collections::BTreeSet;
use std::path::Path;

use promptfed_prompts::same_name::folded;

use crate::Result;

/// The file beside the weights: one word a line, in lower case.
const FILE: &str = "words.txt";

/// Most bytes of a word list that are read.
const MAX_BYTES: u64 = 16 << 20;

/// Words that tell no class from another.
const FUNCTION_WORDS: [&str; 16] = [
    "a", "an", "and", "as", "at", "by", "for", "from", "in", "into", "of", "on", "or", "the", "to",
    "with",
];

/// The words that a set of `pocket` weights was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownWords(BTreeSet<String>);

impl KnownWords {
    /// Reads the word list in a folder of weights, without the weights; `None` where there is none.
    ///
    /// # Errors
    /// A list that is there and cannot be read.
    pub fn read(weights: &Path) -> Result<Option<Self>> {
        let file = weights.join(FILE);
        if !file.try_exists()? {
            return Ok(None);
        }
        let text = promptfed_files::read_text(&file, MAX_BYTES)?;
        let words: BTreeSet<String> = text.split_whitespace().map(folded).collect();
        Ok((!words.is_empty()).then_some(Self(words)))
    }

    /// Number of words, at least 1.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// At most `most` words of four letters or more, from all over the alphabet.
    pub fn some(&self, most: usize) -> Vec<&str> {
        let long: Vec<&str> = self
            .0
            .iter()
            .filter(|word| word.chars().count() > 3)
            .map(String::as_str)
            .collect();
        let step = long.len().div_ceil(most.max(1)).max(1);
        long.into_iter().step_by(step).take(most).collect()
    }

    /// The words of a text that are not among these, each once, in lower case; without single letters and words such as `of`.
    /// Case and plural make no difference.
    pub fn unknown(&self, text: &str) -> Vec<String> {
        let mut unknown = Vec::new();
        for word in folded(text).split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '’') {
            let word = word
                .trim_end_matches("'s")
                .trim_end_matches("’s")
                .trim_matches(['\'', '’']);
            let is_letter = word.chars().count() < 2 && !word.starts_with(char::is_numeric);
            if !is_letter && !self.has(word) && !unknown.iter().any(|other| other == word) {
                unknown.push(word.to_owned());
            }
        }
        unknown
    }

    fn has(&self, word: &str) -> bool {
        let has = |word: &str| self.0.contains(word);
        FUNCTION_WORDS.contains(&word)
            || has(word)
            || has(&format!("{word}s"))
            || has(&format!("{word}es"))
            || word.strip_suffix('s').is_some_and(has)
            || word.strip_suffix("es").is_some_and(has)
            || word
                .strip_suffix("ies")
                .is_some_and(|stem| has(&format!("{stem}y")))
            || word
                .strip_suffix('y')
                .is_some_and(|stem| has(&format!("{stem}ies")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_is_forgiven_and_new_words_are_not() {
        let words = [
            "dog", "cherries", "box", "painting", "art", "french", "horn",
        ];
        let known = KnownWords(words.map(str::to_owned).into());
        for text in [
            "a dog",
            "Dogs",
            "the dog's boxes",
            "cherry",
            "art_painting",
            "French horn",
            "T-dog",
            "",
        ] {
            assert!(known.unknown(text).is_empty(), "{text}");
        }
        assert_eq!(
            known.unknown("a Basophil, dog and basophil; 12 lipids"),
            ["basophil", "12", "lipids"]
        );
        assert_eq!(known.some(2), ["cherries", "horn"]);
    }

    #[test]
    fn the_bundled_weights_have_their_words() {
        let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/pocket");
        let of = |name: &str| KnownWords::read(&bundled.join(name)).unwrap().unwrap();
        for name in ["all", "photo", "draw"] {
            assert!(
                of(name)
                    .unknown("a bright red dog on white background")
                    .is_empty()
            );
            assert_eq!(of(name).unknown("basophil"), ["basophil"]);
        }
        assert!(of("all").unknown("cassette player").is_empty());
        assert_eq!(of("draw").unknown("tench"), ["tench"]);
        assert_eq!(of("photo").unknown("twemoji"), ["twemoji"]);
        assert_eq!(KnownWords::read(&bundled).unwrap(), None);
    }
}
