//! No near copy of what a client said of one of its images.
//!
//! A caption can stand for a single private image. Writers are not told captions; one that comes close to a caption by
//! itself, or because somebody put it into its examples, is refused.
//!
//! Measured is how much of a caption stands in the text: of every word the share of its character trigrams, with a blank
//! before and behind, and of these shares the mean. Words of the class's name, articles and the like are left out. Order of
//! words makes no difference, endings make little. Captions of fewer than [`LEAST_WORDS`] words besides these say nothing
//! that another could not have said, and are not looked at.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use promptfed_prompts::{ClassIndex, LabelSpace};

use super::small_words::is_small;
use super::words::words;
use super::{Candidate, Reason, Refusal, Rule};
use crate::PromptSource;

/// The fewest words of a caption, beside the class and small words, that make it a description of its own.
const LEAST_WORDS: usize = 3;

/// The share of a caption below which its rarest trigrams need not be indexed; the rule's own bound is never below.
const LEAST_SHARE: f64 = 0.5;

type Trigram = [char; 3];

/// The captions of all clients, by their trigrams.
pub(super) struct Captions {
    captions: Vec<Entry>,
    /// Captions by the rarest of their trigrams: one of these stands in every text that holds half of the caption.
    by_rare: HashMap<Trigram, Vec<u32>>,
}

struct Entry {
    text: String,
    /// With their shares of the caption, which add up to 1; the rarest first.
    trigrams: Vec<(Trigram, f64)>,
}

impl Captions {
    pub(super) fn of(source: &PromptSource, space: &LabelSpace) -> Self {
        let mut distinct: BTreeSet<(&str, u32)> = BTreeSet::new();
        if let PromptSource::Set { prompts, .. } = source {
            for prompt in prompts.prompts() {
                if let Some(caption) = &prompt.caption {
                    distinct.insert((caption.as_str(), prompt.class.get()));
                }
            }
        }
        let mut captions = Vec::new();
        let mut uses: HashMap<Trigram, u32> = HashMap::new();
        for (text, class) in distinct {
            let class = words(
                space
                    .prompt_name(ClassIndex::new(class))
                    .unwrap_or_default(),
            );
            let words = words(text);
            let telling = telling(&words, &class);
            if telling.len() < LEAST_WORDS {
                continue;
            }
            let trigrams = shares(&telling);
            for trigram in trigrams.keys() {
                *uses.entry(*trigram).or_default() += 1;
            }
            captions.push(Entry {
                text: text.to_owned(),
                trigrams: trigrams.into_iter().collect(),
            });
        }
        let mut by_rare: HashMap<Trigram, Vec<u32>> = HashMap::new();
        for (number, caption) in (0..).zip(&mut captions) {
            caption
                .trigrams
                .sort_by_key(|(trigram, _)| (uses[trigram], *trigram));
            let mut missed = 0.0;
            for (trigram, share) in &caption.trigrams {
                by_rare.entry(*trigram).or_default().push(number);
                missed += share;
                if missed >= 1.0 - LEAST_SHARE {
                    break;
                }
            }
        }
        Self { captions, by_rare }
    }

    pub(super) fn len(&self) -> usize {
        self.captions.len()
    }

    /// The first caption of which more than `share` stands in a text, with that share.
    fn nearest(&self, text: &BTreeSet<Trigram>, share: f64) -> Option<(&str, f64)> {
        let numbers: BTreeSet<u32> = text
            .iter()
            .filter_map(|trigram| self.by_rare.get(trigram))
            .flatten()
            .copied()
            .collect();
        numbers.into_iter().find_map(|number| {
            let caption = self.captions.get(number as usize)?;
            let there = caption.trigrams.iter().filter(|(t, _)| text.contains(t));
            let found: f64 = there.map(|(_, share)| share).sum();
            // Sums of thirds are not exact.
            (found > share + 1e-9).then_some((caption.text.as_str(), found))
        })
    }
}

/// The words that tell something.
fn telling<'w>(words: &'w [String], class: &[String]) -> Vec<&'w str> {
    let words = words.iter().map(String::as_str);
    words
        .filter(|word| !is_small(word) && !class.iter().any(|own| own == word))
        .collect()
}

fn trigrams(word: &str) -> BTreeSet<Trigram> {
    let padded: Vec<char> = std::iter::once(' ')
        .chain(word.chars())
        .chain([' '])
        .collect();
    let threes = padded.windows(3);
    threes.map(|three| [three[0], three[1], three[2]]).collect()
}

/// What each trigram adds to the mean over words of the share of their trigrams.
fn shares(words: &[&str]) -> BTreeMap<Trigram, f64> {
    let mut shares = BTreeMap::new();
    for word in words {
        let of_word = trigrams(word);
        let share = 1.0 / (words.len() * of_word.len()) as f64;
        for trigram in of_word {
            *shares.entry(trigram).or_default() += share;
        }
    }
    shares
}

/// No more than `share` of any caption, which is at least one half.
pub(super) struct NearCopy<'a> {
    pub(super) captions: &'a Captions,
    pub(super) share: f64,
}

impl Rule for NearCopy<'_> {
    fn refuse(&self, candidate: &Candidate<'_>) -> Option<Refusal> {
        if self.captions.captions.is_empty() {
            return None;
        }
        let text = candidate
            .words
            .iter()
            .flat_map(|word| trigrams(word))
            .collect();
        let share = self.share.max(LEAST_SHARE);
        let (caption, found) = self.captions.nearest(&text, share)?;
        let told = format!("{:.0} % of {caption:?}", 100.0 * found);
        Some(Refusal::new(Reason::NearCopy, told))
    }
}

#[cfg(test)]
mod tests {
    use crate::writers::check::tests::{source, topic};
    use crate::writers::check::{Grounds, Limits, Reason};

    #[test]
    fn what_a_client_said_is_not_said_again() {
        let captions = [
            "sleeping under a blue umbrella on the beach",
            "red on white background",
            "a dog, at home",
        ];
        let source = source(&["dog", "cat"], &captions);
        let grounds = Grounds::new(&source).unwrap();
        // `at home` is too little to be a description of its own.
        assert_eq!(grounds.captions(), 2);
        let mut checker = grounds.checker(Limits::default(), &[]);
        let mut refused = |text: &str| {
            let refusal = checker.accept(&topic(0, "a dog"), text).err();
            refusal.map(|refusal| refusal.reason) == Some(Reason::NearCopy)
        };
        for text in [
            "a dog, sleeping under a blue umbrella on the beach",
            "on a beach sleeps a dog under its blue umbrella",
            "a dog on the beach, sleeping under an umbrella that is blue, cinematic light, wide view",
            "a dog, red on a white background",
        ] {
            assert!(refused(text), "{text}");
        }
        for text in [
            "a dog, sleeping in a basket",
            "a dog under a blue sky on the beach",
            "a dog, on white background",
            "a dog, at home",
        ] {
            assert!(!refused(text), "{text}");
        }
    }

    #[test]
    fn every_copy_among_thousands_is_found() {
        let said = |i: usize| {
            let [colour, place, deed] = [
                [
                    "crimson", "teal", "ochre", "violet", "beige", "maroon", "khaki",
                ][i % 7],
                ["harbour", "orchard", "stadium", "glacier", "library"][i / 7 % 5],
                [
                    "jumping", "resting", "swimming", "digging", "barking", "waiting",
                ][i / 35 % 6],
            ];
            format!("{deed} near the {colour} {place} number {i}")
        };
        let captions: Vec<String> = (0..2000).map(said).collect();
        let captions: Vec<&str> = captions.iter().map(String::as_str).collect();
        let source = source(&["dog"], &captions);
        let grounds = Grounds::new(&source).unwrap();
        let mut checker = grounds.checker(Limits::default(), &[]);
        for i in (0..2000).step_by(97) {
            let text = format!("a dog, {}", said(i));
            let refusal = checker.accept(&topic(0, "a dog"), &text).unwrap_err();
            assert_eq!(refusal.reason, Reason::NearCopy, "{text}");
        }
        assert!(
            checker
                .accept(&topic(0, "a dog"), "a dog on a mountain path at dawn")
                .is_ok()
        );
    }
}
