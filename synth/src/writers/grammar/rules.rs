//! A finite grammar: rules of phrases that name other rules.

use std::collections::{BTreeMap, BTreeSet};

use promptfed_prompts::Template;
use serde::Deserialize;

/// Where texts begin.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// Topics without a domain.
    Plain,
    /// Topics with one, whose style the domain says.
    InDomain,
}

/// A parsed grammar. Its texts are numbered.
pub(super) struct Rules {
    name: String,
    /// The names of the rules that texts begin with, for both starts.
    starts: [Vec<Phrase>; 2],
    rules: BTreeMap<String, Vec<Phrase>>,
    /// Puts the article before a phrase, as templates do before class names.
    with_article: Template,
}

#[derive(Clone)]
struct Phrase(Vec<Piece>);

#[derive(Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Rule { name: String, article: bool },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    name: String,
    start: StartDocument,
    rules: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct StartDocument {
    any: Vec<String>,
    #[serde(default)]
    without_domain: Vec<String>,
}

/// Most texts of a grammar: more than anyone can use, and their number still fits.
const MOST_TEXTS: u64 = 1 << 40;

impl Rules {
    /// Reads a grammar file.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let document: Document =
            toml::from_str(text).map_err(|e| e.to_string().trim().replace('\n', " "))?;
        let phrases = |rule: &str, texts: &[String]| -> Result<Vec<Phrase>, String> {
            if texts.is_empty() {
                return Err(format!("`{rule}` has no phrase; give one or leave it out"));
            }
            let parsed = texts.iter().map(|text| {
                Phrase::parse(text).map_err(|problem| format!("{text:?} of `{rule}` {problem}"))
            });
            parsed.collect()
        };
        let any = phrases("any", &document.start.any)?;
        let mut plain = any.clone();
        if !document.start.without_domain.is_empty() {
            plain.extend(phrases("without-domain", &document.start.without_domain)?);
        }
        let rules = document.rules.iter();
        let rules = rules.map(|(name, texts)| Ok((name.clone(), phrases(name, texts)?)));
        let rules = Self {
            name: document.name,
            starts: [plain, any],
            rules: rules.collect::<Result<_, String>>()?,
            with_article: Template::new("{a label}", "").map_err(|e| e.to_string())?,
        };
        rules.check()?;
        Ok(rules)
    }

    /// Every rule that is named is there, none contains itself, and there are not too many texts.
    fn check(&self) -> Result<(), String> {
        let mut done = BTreeSet::new();
        for phrase in self.starts.iter().flatten() {
            self.check_phrase(phrase, &mut Vec::new(), &mut done)?;
        }
        for name in self.rules.keys() {
            if !done.contains(name.as_str()) {
                return Err(format!("no text uses the rule `{name}`; leave it out"));
            }
        }
        let texts = self.starts[0]
            .iter()
            .try_fold(0_u64, |sum, phrase| sum.checked_add(self.count(phrase)?));
        match texts {
            Some(texts) if texts <= MOST_TEXTS => Ok(()),
            _ => Err(format!(
                "it has more than {MOST_TEXTS} texts; make it smaller"
            )),
        }
    }

    fn check_phrase<'a>(
        &'a self,
        phrase: &'a Phrase,
        within: &mut Vec<&'a str>,
        done: &mut BTreeSet<&'a str>,
    ) -> Result<(), String> {
        for name in phrase.named() {
            if within.contains(&name) {
                return Err(format!(
                    "the rule `{name}` contains itself: {} {name}",
                    within.join(" ")
                ));
            }
            if done.contains(name) {
                continue;
            }
            let phrases = self
                .rules
                .get(name)
                .ok_or_else(|| format!("there is no rule `{name}`; write it below [rules]"))?;
            within.push(name);
            for phrase in phrases {
                self.check_phrase(phrase, within, done)?;
            }
            within.pop();
            done.insert(name);
        }
        Ok(())
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// How many texts begin at `start`.
    pub(super) fn texts(&self, start: Start) -> u64 {
        self.start(start)
            .iter()
            .filter_map(|phrase| self.count(phrase))
            .sum()
    }

    fn start(&self, start: Start) -> &[Phrase] {
        &self.starts[usize::from(start == Start::InDomain)]
    }

    fn count(&self, phrase: &Phrase) -> Option<u64> {
        let mut product = 1_u64;
        for name in phrase.named() {
            product = product.checked_mul(self.count_rule(name)?)?;
        }
        Some(product)
    }

    fn count_rule(&self, name: &str) -> Option<u64> {
        let phrases = self.rules.get(name).into_iter().flatten();
        phrases
            .map(|phrase| self.count(phrase))
            .try_fold(0_u64, |sum, count| sum.checked_add(count?))
    }

    /// Text `number` of those that begin at `start`; the number is below [`texts`](Self::texts).
    pub(super) fn text(&self, start: Start, number: u64) -> String {
        self.pick(self.start(start), number)
    }

    fn pick(&self, phrases: &[Phrase], mut number: u64) -> String {
        for phrase in phrases {
            let count = self.count(phrase).unwrap_or(0);
            if number < count {
                return self.fill(phrase, number);
            }
            number -= count;
        }
        String::new()
    }

    /// The number in mixed radix chooses a text of every rule that the phrase names.
    fn fill(&self, phrase: &Phrase, mut number: u64) -> String {
        let mut text = String::new();
        for piece in &phrase.0 {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Rule { name, article } => {
                    let count = self.count_rule(name).unwrap_or(1).max(1);
                    let phrases = self.rules.get(name).map_or(&[][..], Vec::as_slice);
                    let filled = self.pick(phrases, number % count);
                    number /= count;
                    if *article {
                        let rendered = self.with_article.render(&filled, None, None);
                        text.push_str(&rendered.positive);
                    } else {
                        text.push_str(&filled);
                    }
                }
            }
        }
        text
    }

    /// Keeps the phrases whose own words `keep` wants, and those that they leave something to say. Returns the others.
    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool) -> Vec<String> {
        let mut left_out = BTreeSet::new();
        let lists = self.rules.values_mut().chain(self.starts.iter_mut());
        for phrases in lists {
            phrases.retain(|phrase| {
                let own = phrase.own_words();
                let kept = own.is_empty() || keep(&own);
                if !kept {
                    left_out.insert(phrase.to_string());
                }
                kept
            });
        }
        left_out.into_iter().collect()
    }
}

impl Phrase {
    fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find(['{', '}']) {
            let (before, after) = rest.split_at(open);
            let end = after.find('}').filter(|_| after.starts_with('{'));
            let Some(end) = end else {
                return Err("has a brace without its other one".to_owned());
            };
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            let inner = &after[1..end];
            let (name, article) = match inner.strip_prefix("a ") {
                Some(name) => (name, true),
                None => (inner, false),
            };
            let name = name.to_owned();
            pieces.push(Piece::Rule { name, article });
            rest = &after[end + 1..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        if pieces.is_empty() || text.trim() != text {
            return Err("is empty, or begins or ends with a space".to_owned());
        }
        Ok(Self(pieces))
    }

    fn named(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Rule { name, .. } => Some(name.as_str()),
        })
    }

    /// Its words without those of the rules that it names.
    fn own_words(&self) -> String {
        let texts = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => text.as_str(),
            Piece::Rule { .. } => " ",
        });
        let text: String = texts.collect();
        let has_words = text.chars().any(char::is_alphanumeric);
        if has_words { text } else { String::new() }
    }
}

impl std::fmt::Display for Phrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::Rule {
                name,
                article: true,
            } => write!(f, "{{a {name}}}"),
            Piece::Rule {
                name,
                article: false,
            } => write!(f, "{{{name}}}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"
        name = "small"
        [start]
        any = ["on {a thing}", "{light}"]
        without-domain = ["{light}, {style}"]
        [rules]
        thing = ["{age} box", "egg"]
        age = ["old", "new"]
        light = ["dark", "bright"]
        style = ["oil"]
    "#;

    #[test]
    fn texts_are_numbered() {
        let rules = Rules::parse(SMALL).unwrap();
        let all = |start| -> Vec<String> {
            (0..rules.texts(start))
                .map(|n| rules.text(start, n))
                .collect()
        };
        let any = [
            "on an old box",
            "on a new box",
            "on an egg",
            "dark",
            "bright",
        ];
        assert_eq!(all(Start::InDomain), any);
        assert_eq!(all(Start::Plain)[5..], ["dark, oil", "bright, oil"]);
    }

    #[test]
    fn what_leaves_nothing_to_say_goes_too() {
        let mut rules = Rules::parse(SMALL).unwrap();
        let left_out =
            rules.retain(|words| !["oil", "egg"].contains(&words) && !words.contains("box"));
        assert_eq!(left_out, ["egg", "oil", "{age} box"]);
        assert_eq!(
            (rules.texts(Start::Plain), rules.texts(Start::InDomain)),
            (2, 2)
        );
        assert_eq!(rules.text(Start::Plain, 1), "bright");
    }

    #[test]
    fn faults_are_named() {
        for (from, to, part) in [
            ("style = [\"oil\"]", "style = []", "`style` has no phrase"),
            ("\"oil\"", "\"{oil\"", "brace"),
            ("\"oil\"", "\" oil\"", "space"),
            ("\"oil\"", "\"{ink}\"", "no rule `ink`"),
            ("\"oil\"", "\"{a style}\"", "contains itself"),
            ("\"old\"", "\"{thing}\"", "contains itself: thing age thing"),
            (
                "\"oil\"]",
                "\"oil\"]\nmore = [\"x\"]",
                "no text uses the rule `more`",
            ),
            ("name = \"small\"", "", "name"),
        ] {
            let problem = Rules::parse(&SMALL.replace(from, to)).err().unwrap();
            assert!(problem.contains(part), "{problem}");
        }
        let many: String = (0..7).map(|_| "{light}").collect();
        let lights: Vec<String> = (0..100).map(|i| format!("\"l{i}\"")).collect();
        let grown = SMALL
            .replace("\"dark\", \"bright\"", &lights.join(","))
            .replace("\"{light}\"", &format!("\"{many}\""));
        assert!(Rules::parse(&grown).err().unwrap().contains("texts"));
    }
}
