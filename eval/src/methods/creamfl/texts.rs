//! What all parties know of the words: a vocabulary, the public captions, and how classes are said.

use crate::Federation;
use crate::captions::class_words;
use promptfed_learn::Vocabulary;

/// Texts in tokens.
pub(super) struct Texts {
    /// The words of the label space and of the public captions.
    pub(super) vocabulary: Vocabulary,
    /// The caption of each public image.
    pub(super) public: Vec<Vec<u32>>,
    /// The texts of each class.
    pub(super) classes: Vec<Vec<Vec<u32>>>,
    /// Whether each class may be answered: those that public captions name, or all where they name none.
    pub(super) answered: Vec<bool>,
    /// The classes that no public caption names.
    pub(super) unnamed: Vec<String>,
}

impl Texts {
    pub(super) fn of(federation: &Federation) -> Self {
        let captions = federation.public_captions();
        let names = &federation.class_names;
        let words = names
            .iter()
            .map(|name| class_words(name, &federation.label_space));
        let words: Vec<String> = words.collect();
        let classes: Vec<Vec<String>> = words.iter().map(|w| captions.of_class(w)).collect();
        let all = classes.iter().flatten().chain(&captions.texts);
        let vocabulary = Vocabulary::of(all.map(String::as_str));
        let tokens = |text: &String| vocabulary.tokens(text);
        let named: Vec<bool> = words.iter().map(|w| captions.classes.contains(w)).collect();
        let unnamed = names.iter().zip(&named).filter(|(_, named)| !**named);
        let none = !named.contains(&true);
        Self {
            public: captions.texts.iter().map(tokens).collect(),
            classes: classes
                .iter()
                .map(|texts| texts.iter().map(tokens).collect())
                .collect(),
            unnamed: unnamed.map(|(name, _)| name.clone()).collect(),
            answered: named.iter().map(|named| *named || none).collect(),
            vocabulary,
        }
    }

    /// What is to be told of classes that public captions do not name.
    pub(super) fn warning(&self) -> Option<String> {
        if self.unnamed.is_empty() {
            return None;
        }
        let classes = self.unnamed.join(", ");
        Some(if self.unnamed.len() == self.answered.len() {
            "creamfl: the public captions name no class of this federation, so that its answers are by words that nobody learned; give public images of its classes".to_owned()
        } else {
            format!(
                "creamfl: no public caption names {classes}; it never answers with these classes"
            )
        })
    }
}
