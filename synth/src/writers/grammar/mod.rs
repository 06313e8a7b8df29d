//! Prompts from a grammar: no model, every text can be counted and named.

mod order;
mod rules;

use std::collections::BTreeMap;
use std::path::Path;

use promptfed_prompts::ContentHash;

use self::order::Order;
use self::rules::{Rules, Start};
use super::{Ask, Writer, WriterInfo};
use crate::{Error, Reproducible, Result};

/// The grammar that comes along: places, views, light, counts and styles.
const SCENES: &str = include_str!("scenes.toml");

/// Most bytes of a grammar file that are read.
const MAX_BYTES: u64 = 1 << 20;

/// A writer that puts phrases of a grammar behind the topic's opening: `a photo of a dog, in the snow, seen from above`.
///
/// It goes through all texts of the grammar in an order that the seed decides, each once.
pub struct Grammar {
    rules: Rules,
    info: WriterInfo,
}

impl Grammar {
    /// The bundled grammar.
    ///
    /// # Errors
    /// None; a test reads it.
    pub fn bundled() -> Result<Self> {
        Self::parse("scenes.toml".as_ref(), SCENES)
    }

    /// The grammar of a file in the form of the bundled one.
    ///
    /// # Errors
    /// A file that cannot be read, or [`Error::Grammar`].
    pub fn read(path: &Path) -> Result<Self> {
        let text = promptfed_files::read_text(path, MAX_BYTES)?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self> {
        let rules = Rules::parse(text).map_err(|reason| Error::Grammar {
            file: path.to_owned(),
            reason,
        })?;
        let info = WriterInfo {
            name: "grammar".to_owned(),
            version: "1".to_owned(),
            reproducible: Reproducible::Exact,
            hash: Some(ContentHash::of(text.as_bytes())),
            settings: BTreeMap::from([("grammar".to_owned(), rules.name().to_owned())]),
        };
        Ok(Self { rules, info })
    }

    /// Leaves out the phrases with a word that a generator was never shown, as `unknown` tells. Returns those that were left out.
    ///
    /// # Errors
    /// [`Error::WriterSetting`] where nothing is left.
    pub fn leave_out(&mut self, unknown: impl Fn(&str) -> Vec<String>) -> Result<Vec<String>> {
        let left_out = self.rules.retain(|phrase| unknown(phrase).is_empty());
        let count = left_out.len().to_string();
        self.info
            .settings
            .insert("phrases_left_out".to_owned(), count);
        let left = [Start::Plain, Start::InDomain].map(|start| self.rules.texts(start));
        if left.contains(&0) {
            return Err(Error::WriterSetting(format!(
                "the writer grammar: the generator was shown the words of too few of its {} phrases; write a grammar of words that it knows (grammar:FILE)",
                left_out.len()
            )));
        }
        Ok(left_out)
    }

    /// How many texts there are for one topic, with or without a domain.
    pub fn texts(&self, in_domain: bool) -> u64 {
        self.rules.texts(start(in_domain))
    }
}

const fn start(in_domain: bool) -> Start {
    if in_domain {
        Start::InDomain
    } else {
        Start::Plain
    }
}

impl Writer for Grammar {
    fn describe(&self) -> &WriterInfo {
        &self.info
    }

    fn write(&mut self, ask: &Ask<'_>) -> Result<Vec<String>> {
        let start = start(ask.topic.domain.is_some());
        let texts = self.rules.texts(start);
        let order = Order::new(texts, ask.seed_of(0));
        let last = ask.first.saturating_add(ask.wanted as u64).min(texts);
        let written = (ask.first..last).map(|number| {
            let detail = self.rules.text(start, order.place(number));
            format!("{}, {detail}", ask.topic.opening)
        });
        Ok(written.collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::atomic::AtomicBool;

    use promptfed_prompts::{ClassIndex, Domain};

    use super::*;
    use crate::writers::Topic;

    static NEVER: AtomicBool = AtomicBool::new(false);

    fn topic(domain: Option<&str>) -> Topic {
        Topic {
            class: ClassIndex::new(0),
            domain: domain.map(|d| Domain::try_from(d).unwrap()),
            opening: "a dog".to_owned(),
            negative: String::new(),
        }
    }

    fn ask(topic: &Topic, first: u64, wanted: usize, seed: u64) -> Ask<'_> {
        Ask {
            topic,
            class: "dog",
            others: &[],
            good: &[],
            bad: &[],
            longest: 240,
            first,
            wanted,
            seed,
            cancel: &NEVER,
        }
    }

    #[test]
    fn every_text_comes_once_and_the_seed_decides_when() {
        let mut grammar = Grammar::bundled().unwrap();
        for domain in [None, Some("sketch")] {
            let topic = topic(domain);
            let texts = grammar.texts(domain.is_some());
            let all = grammar.write(&ask(&topic, 0, usize::MAX, 1)).unwrap();
            assert_eq!(all.len() as u64, texts);
            assert!(texts > 25_000, "{texts}");
            assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
            let one_by_one: Vec<String> = (0..40)
                .flat_map(|n| grammar.write(&ask(&topic, n, 1, 1)).unwrap())
                .collect();
            assert_eq!(one_by_one, all[..40]);
            let other = grammar.write(&ask(&topic, 0, 40, 2)).unwrap();
            assert_ne!(other, all[..40]);
            assert!(grammar.write(&ask(&topic, texts, 5, 1)).unwrap().is_empty());
        }
    }

    #[test]
    fn a_domain_gets_no_other_style() {
        let mut grammar = Grammar::bundled().unwrap();
        let (plain, sketch) = (topic(None), topic(Some("sketch")));
        let styled =
            |texts: Vec<String>| texts.iter().filter(|text| text.contains(" style")).count();
        assert!(styled(grammar.write(&ask(&plain, 0, usize::MAX, 1)).unwrap()) > 100);
        assert_eq!(
            styled(grammar.write(&ask(&sketch, 0, usize::MAX, 1)).unwrap()),
            0
        );
    }

    #[test]
    fn only_words_that_are_known_are_left() {
        let mut grammar = Grammar::bundled().unwrap();
        let before = grammar.texts(true);
        let known = [
            "on",
            "white",
            "black",
            "background",
            "in",
            "the",
            "snow",
            "bright",
        ];
        let unknown = |text: &str| {
            let words = text
                .split(|c: char| !c.is_alphanumeric())
                .filter(|w| w.len() > 1);
            words
                .filter(|word| !known.contains(word))
                .map(str::to_owned)
                .collect()
        };
        let left_out = grammar.leave_out(unknown).unwrap();
        assert!(
            left_out.contains(&"seen from above".to_owned()),
            "{left_out:?}"
        );
        let (after, topic) = (grammar.texts(true), topic(Some("sketch")));
        assert!(0 < after && after < before);
        for text in grammar.write(&ask(&topic, 0, usize::MAX, 1)).unwrap() {
            assert!(
                unknown(text.strip_prefix("a dog, ").unwrap()).is_empty(),
                "{text}"
            );
        }
        assert!(grammar.leave_out(|_| vec!["all".to_owned()]).is_err());
    }

    #[test]
    fn articles_agree() {
        let mut grammar = Grammar::bundled().unwrap();
        let topic = topic(None);
        for text in grammar.write(&ask(&topic, 0, usize::MAX, 1)).unwrap() {
            for wrong in [
                " a old",
                " a empty",
                " a open",
                " an wooden",
                " a oil",
                " a ink",
            ] {
                assert!(!text.contains(wrong), "{text}");
            }
            assert!(!text.contains(['{', '}']) && !text.contains("  "), "{text}");
        }
    }
}
