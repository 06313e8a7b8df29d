//! What is checked of every written prompt before it is used; one file per rule.

mod class_named;
mod cut;
mod known_words;
mod language;
mod length;
mod names;
mod near_copy;
mod other_class;
mod refusals;
mod repeated;
mod small_words;
mod template_kept;
mod words;

pub use refusals::{MAX_EXAMPLES, Reason, Refusal, RefusalExample, Refusals};

use std::collections::BTreeMap;

use promptfed_prompts::{Caption, LabelSpace, TextProblem};
use serde::{Deserialize, Serialize};

use self::names::Names;
use self::near_copy::Captions;
use self::repeated::Seen;
use super::Topic;
use crate::{Generator, PromptSource, Result};

/// A written text beside what it was written for.
struct Candidate<'a> {
    topic: &'a Topic,
    /// In normal form NFC, white space single and trimmed.
    text: &'a str,
    /// Its [words](words::words).
    words: &'a [String],
    /// Those of the topic's opening.
    opening: &'a [String],
}

/// One thing that every written prompt has to be or to have.
trait Rule {
    /// Why the candidate is refused, if it is.
    fn refuse(&self, candidate: &Candidate<'_>) -> Option<Refusal>;
}

/// Bounds of the rules.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// The longest text, in characters; none is longer than a caption's 400 bytes.
    pub longest: usize,
    /// The share of a client's caption that a text may repeat, 0.5 to 1, as [`NearCopy`](Reason::NearCopy) measures it;
    /// more is a near copy.
    pub caption_share: f64,
}

impl Default for Limits {
    /// 240 characters, and three quarters of a caption.
    fn default() -> Self {
        Self {
            longest: 240,
            caption_share: 0.75,
        }
    }
}

/// Checks written prompts, and remembers those it accepted.
pub struct Checker<'a> {
    names: &'a Names,
    rules: Vec<Box<dyn Rule + 'a>>,
    seen: Seen,
}

/// What the rules look things up in, made once for a run.
pub struct Grounds {
    names: Names,
    captions: Captions,
}

impl Grounds {
    /// Takes in the class names of a label space, and the captions of its clients' prompts.
    ///
    /// # Errors
    /// Prompts that cannot be read.
    pub fn new(source: &PromptSource) -> Result<Self> {
        let space = source.label_space();
        Ok(Self {
            names: Names::of(space),
            captions: Captions::of(source, space),
        })
    }

    /// Captions that a near copy is looked for among.
    pub fn captions(&self) -> usize {
        self.captions.len()
    }

    /// A checker that has accepted nothing yet. `readers` are the generators that will read the prompts, as far as they are
    /// known.
    pub fn checker<'a>(&'a self, limits: Limits, readers: &[&'a dyn Generator]) -> Checker<'a> {
        let mut rules: Vec<Box<dyn Rule + 'a>> = vec![
            Box::new(length::Length(limits.longest)),
            Box::new(class_named::ClassNamed(&self.names)),
            Box::new(other_class::OtherClass(&self.names)),
            Box::new(template_kept::TemplateKept(&self.names)),
            Box::new(language::Language),
            Box::new(near_copy::NearCopy {
                captions: &self.captions,
                share: limits.caption_share,
            }),
        ];
        for &reader in readers {
            rules.push(Box::new(known_words::KnownWords(reader)));
            rules.push(Box::new(cut::Cut(reader)));
        }
        Checker {
            names: &self.names,
            rules,
            seen: Seen::default(),
        }
    }
}

impl Checker<'_> {
    /// Accepts a text that passes every rule, in the form in which it is used, or says which rule refuses it.
    ///
    /// # Errors
    /// The first rule that refuses it.
    pub fn accept(&mut self, topic: &Topic, text: &str) -> Result<String, Refusal> {
        let clean = Caption::try_from(text).map_err(|problem| {
            let reason = match problem {
                TextProblem::TooLong { .. } => Reason::TooLong,
                _ => Reason::Unfit,
            };
            Refusal::new(reason, problem.to_string())
        })?;
        let text = clean.as_str();
        let words = words::words(text);
        let opening = words::words(&topic.opening);
        let candidate = Candidate {
            topic,
            text,
            words: &words,
            opening: &opening,
        };
        if let Some(refusal) = self.rules.iter().find_map(|rule| rule.refuse(&candidate)) {
            return Err(refusal);
        }
        self.seen.take(&candidate)?;
        Ok(text.to_owned())
    }

    /// Remembers a text that an earlier run accepted.
    pub(super) fn remember(&mut self, topic: &Topic, text: &str) {
        self.seen.remember(topic, &words::words(text));
    }

    /// What prompts call the first classes that no prompt of a topic may name.
    pub(super) fn others(&self, topic: &Topic, most: usize) -> Vec<String> {
        self.names.others(topic.class, most)
    }
}

/// What prompts call each class.
fn prompt_names(space: &LabelSpace) -> BTreeMap<u32, (String, String)> {
    let classes = (0..).zip(space.classes());
    classes
        .map(|(index, entry)| {
            let said = entry.prompt_name.as_ref().unwrap_or(&entry.name);
            (index, (entry.name.clone(), said.clone()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use promptfed_prompts::{ClassIndex, Level, PromptSet, TemplateSet};

    use super::*;

    pub(super) fn topic(class: u32, opening: &str) -> Topic {
        Topic {
            class: ClassIndex::new(class),
            domain: None,
            opening: opening.to_owned(),
            negative: String::new(),
        }
    }

    /// Prompts of classes with these names; the first class has the captions.
    pub(super) fn source(names: &[&str], captions: &[&str]) -> PromptSource {
        let label_space = LabelSpace::from_names("test", names.iter().copied()).unwrap();
        let level = if captions.is_empty() {
            Level::Class
        } else {
            Level::Instance
        };
        let templates = TemplateSet::builtin("pocket").unwrap();
        let mut builder = PromptSet::builder(&label_space, level, &templates);
        if captions.is_empty() {
            builder.add(ClassIndex::new(0), None, None).unwrap();
        }
        for caption in captions {
            let caption = Caption::try_from(*caption).unwrap();
            builder
                .add(ClassIndex::new(0), None, Some(caption))
                .unwrap();
        }
        PromptSource::Set {
            prompts: builder.build().unwrap(),
            label_space,
        }
    }

    /// Why a text is refused for a class of these names, if it is.
    pub(super) fn refused(names: &[&str], class: u32, opening: &str, text: &str) -> Option<Reason> {
        let grounds = Grounds::new(&source(names, &[])).unwrap();
        let mut checker = grounds.checker(Limits::default(), &[]);
        let refusal = checker.accept(&topic(class, opening), text).err();
        refusal.map(|refusal| refusal.reason)
    }

    #[test]
    fn a_text_is_accepted_once_in_its_clean_form() {
        let grounds = Grounds::new(&source(&["dog", "cat"], &[])).unwrap();
        let mut checker = grounds.checker(Limits::default(), &[]);
        let dog = topic(0, "a photo of a dog");
        let mut accept = |text: &str| checker.accept(&dog, text).map_err(|refusal| refusal.reason);
        assert_eq!(
            accept(" a photo of a dog,\n in snow"),
            Ok("a photo of a dog, in snow".into())
        );
        for again in ["a photo of a dog, in snow", "A Photo of a Dog in snow."] {
            assert_eq!(accept(again), Err(Reason::Repeated));
        }
        assert_eq!(accept("a photo of a dog"), Err(Reason::Repeated));
        assert_eq!(
            accept("a photo of a dog in\u{202e}snow"),
            Err(Reason::Unfit)
        );
        assert_eq!(accept(" "), Err(Reason::Unfit));
        assert_eq!(accept(&"dog ".repeat(9000)), Err(Reason::TooLong));
        assert!(accept("a photo of a dog, in rain").is_ok());
        checker.remember(&dog, "a photo of a dog, in fog");
        let refusal = checker.accept(&dog, "a photo of a dog in FOG").unwrap_err();
        assert_eq!(refusal.reason, Reason::Repeated);
    }
}
