//! The language of the template is kept, as far as letters and small words tell.
//!
//! 1. Four of five letters of the text are of scripts that the topic's opening is written in.
//! 2. Small words (`the`, `der`, `les`) vote for one of seven languages. Where the opening's own words have a winner, a text in which another
//!    language has two votes more than it is refused.
//!
//! What this cannot see: languages of one script whose small words are not listed here, texts without small words, and single
//! foreign words. The class's name has a rule of its own, which most texts in another language break.

use std::collections::BTreeSet;

use super::small_words::SMALL_WORDS;
use super::{Candidate, Reason, Refusal, Rule};

/// The least share of letters in the opening's scripts.
const LEAST_SHARE: f64 = 0.8;

/// Votes by which another language must be ahead.
const AHEAD: usize = 2;

/// Scripts by their letters; others have none of their own here and share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Script {
    Latin,
    Greek,
    Cyrillic,
    Hebrew,
    Arabic,
    Devanagari,
    Thai,
    Kana,
    Han,
    Hangul,
    Other,
}

fn script(c: char) -> Script {
    match c as u32 {
        0x41..=0x24F | 0x1E00..=0x1EFF | 0xFF21..=0xFF5A => Script::Latin,
        0x370..=0x3FF | 0x1F00..=0x1FFF => Script::Greek,
        0x400..=0x52F => Script::Cyrillic,
        0x590..=0x5FF => Script::Hebrew,
        0x600..=0x6FF | 0x750..=0x77F => Script::Arabic,
        0x900..=0x97F => Script::Devanagari,
        0xE00..=0xE7F => Script::Thai,
        0x3041..=0x30FF => Script::Kana,
        0x3400..=0x9FFF | 0xF900..=0xFAFF | 0x20000..=0x3FFFF => Script::Han,
        0x1100..=0x11FF | 0xAC00..=0xD7A3 => Script::Hangul,
        _ => Script::Other,
    }
}

fn scripts(text: &str) -> impl Iterator<Item = Script> + '_ {
    text.chars().filter(|c| c.is_alphabetic()).map(script)
}

/// How many different small words of each language a text has.
fn votes(words: &[String]) -> [usize; SMALL_WORDS.len()] {
    let words: BTreeSet<&str> = words.iter().map(String::as_str).collect();
    SMALL_WORDS.map(|(_, small)| small.split(' ').filter(|word| words.contains(word)).count())
}

/// The language with most votes, where one has more than all others.
fn winner(votes: &[usize]) -> Option<usize> {
    let (first, most) = votes.iter().enumerate().max_by_key(|(_, votes)| **votes)?;
    let equals = votes.iter().filter(|votes| *votes == most).count();
    (*most > 0 && equals == 1).then_some(first)
}

/// See the head of this file.
pub(super) struct Language;

impl Rule for Language {
    fn refuse(&self, candidate: &Candidate<'_>) -> Option<Refusal> {
        let own: BTreeSet<Script> = scripts(&candidate.topic.opening).collect();
        let letters = scripts(candidate.text).count();
        let foreign = scripts(candidate.text).filter(|script| !own.contains(script));
        let foreign = foreign.count();
        if !own.is_empty() && foreign as f64 > (1.0 - LEAST_SHARE) * letters as f64 {
            let told = format!("{foreign} of {letters} letters are of another script");
            return Some(Refusal::new(Reason::Language, told));
        }
        let language = winner(&votes(candidate.opening))?;
        let votes = votes(candidate.words);
        let other = (0..votes.len()).max_by_key(|&other| votes[other])?;
        (votes[other] >= votes[language] + AHEAD)
            .then(|| Refusal::new(Reason::Language, SMALL_WORDS[other].0))
    }
}

#[cfg(test)]
mod tests {
    use crate::writers::check::Reason;
    use crate::writers::check::tests::refused;

    #[test]
    fn scripts_and_small_words_tell() {
        let other = |opening: &str, text: &str| {
            refused(
                &["dog", "hund"],
                u32::from(opening.contains("hund")),
                opening,
                text,
            ) == Some(Reason::Language)
        };
        let english = "a photo of a dog";
        assert!(!other(
            english,
            "a photo of a dog in the caf\u{e9} on the Champs-Elys\u{e9}es"
        ));
        assert!(!other(english, "photo dog, red, snow, cinematic"));
        assert!(other(
            english,
            "a photo of a dog \u{441}\u{43e}\u{431}\u{430}\u{43a}\u{430} \u{43d}\u{430} \u{441}\u{43d}\u{435}\u{433}\u{443} \u{437}\u{438}\u{43c}\u{43e}\u{439}"
        ));
        assert!(other(
            english,
            "photo: dog der auf einem alten Teppich vor dem Haus ist"
        ));
        assert!(other(
            english,
            "photo dog dans les rues avec une balle sur le trottoir"
        ));
        assert!(!other(
            "hund, Bild von der Stra\u{df}e",
            "ein Bild von der Stra\u{df}e, der hund auf dem Weg"
        ));
        assert!(other(
            "hund, Bild von der Stra\u{df}e",
            "Bild Stra\u{df}e hund, this is the pet of her and his, with a bone"
        ));
    }
}
