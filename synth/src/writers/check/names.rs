//! The names of all classes, found in a text.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use promptfed_prompts::{ClassIndex, LabelSpace};

use super::prompt_names;
use super::words::{forms, places, words};

/// The names and prompt names of a label space's classes as words.
pub(super) struct Names {
    classes: BTreeMap<u32, Class>,
    /// Names by every form of their first word.
    by_first_word: HashMap<String, Vec<(u32, usize)>>,
}

struct Class {
    /// What prompts call it.
    said: String,
    /// The same, its name and its prompt name, as words.
    names: Vec<Vec<String>>,
    /// The parts of the prompt name between commas, colons and brackets, as words.
    parts: Vec<Vec<String>>,
}

impl Names {
    pub(super) fn of(space: &LabelSpace) -> Self {
        let mut classes = BTreeMap::new();
        let mut by_first_word: HashMap<String, Vec<(u32, usize)>> = HashMap::new();
        for (index, (name, said)) in prompt_names(space) {
            let mut names = vec![words(&said), words(&name)];
            names.dedup();
            names.retain(|name| !name.is_empty());
            for (at, name) in names.iter().enumerate() {
                for form in forms(&name[0]) {
                    by_first_word.entry(form).or_default().push((index, at));
                }
            }
            let parts = said.split([',', ':', ';', '(', ')', '/']).map(words);
            let parts = parts.filter(|part| !part.is_empty()).collect();
            classes.insert(index, Class { said, names, parts });
        }
        Self {
            classes,
            by_first_word,
        }
    }

    /// What prompts call the first other classes, at most `most` of them.
    pub(super) fn others(&self, class: ClassIndex, most: usize) -> Vec<String> {
        let others = self
            .classes
            .iter()
            .filter(|(index, _)| **index != class.get());
        others
            .take(most)
            .map(|(_, other)| other.said.clone())
            .collect()
    }

    /// What prompts call a class.
    pub(super) fn said(&self, class: u32) -> &str {
        self.classes.get(&class).map_or("", |class| &class.said)
    }

    /// Whether a class's name has no letter and no number, so that it cannot be found as words.
    pub(super) fn is_wordless(&self, class: ClassIndex) -> bool {
        self.classes
            .get(&class.get())
            .is_none_or(|class| class.names.is_empty())
    }

    /// Where a class is named: the whole name, or the parts of a prompt name such as `kite, bird of prey` where all of
    /// them stand there.
    pub(super) fn own(&self, class: ClassIndex, text: &[String]) -> Vec<Range<usize>> {
        let Some(class) = self.classes.get(&class.get()) else {
            return Vec::new();
        };
        let all = |name: &Vec<String>| -> Vec<Range<usize>> {
            places(text, name).map(|at| at..at + name.len()).collect()
        };
        let mut spans: Vec<Range<usize>> = class.names.first().map(all).unwrap_or_default();
        let parts: Vec<Vec<Range<usize>>> = class.parts.iter().map(all).collect();
        if parts.iter().all(|spans| !spans.is_empty()) {
            spans.extend(parts.into_iter().flatten());
        }
        spans
    }

    /// Where other classes than `class` are named, with the class.
    pub(super) fn of_others(&self, class: ClassIndex, text: &[String]) -> Vec<(u32, Range<usize>)> {
        let mut found = Vec::new();
        for (at, word) in text.iter().enumerate() {
            let mut looked_at: Vec<(u32, usize)> = Vec::new();
            for form in forms(word) {
                for &(other, name) in self.by_first_word.get(&form).into_iter().flatten() {
                    if other == class.get() || looked_at.contains(&(other, name)) {
                        continue;
                    }
                    looked_at.push((other, name));
                    let Some(name) = self.classes.get(&other).map(|class| &class.names[name])
                    else {
                        continue;
                    };
                    let end = at + name.len();
                    let there = text.get(at..end);
                    if there.is_some_and(|there| places(there, name).next().is_some()) {
                        found.push((other, at..end));
                    }
                }
            }
        }
        found
    }

    /// Whether a word is of a class's name.
    pub(super) fn has_word(&self, class: ClassIndex, word: &str) -> bool {
        let class = self.classes.get(&class.get());
        class.is_some_and(|class| class.names.iter().flatten().any(|own| own == word))
    }
}

/// Whether `inner` lies in `outer`.
pub(super) fn lies_in(inner: &Range<usize>, outer: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}
