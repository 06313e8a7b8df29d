//! Whether prompts can say classes in words, and so that they are told apart.

use std::collections::{BTreeMap, BTreeSet};

use promptfed_data::Dataset;
use promptfed_prompts::same_name::folded;
use promptfed_prompts::{ClassIndex, LabelSpace, is_identifier, without_number};

use crate::{Error, Result};

/// Checks that the classes of a data set can be said in words, before anything long begins: none is a number or an id whose
/// label space gives it no prompt name, they are not counted, and no two are the same in prompts.
///
/// # Errors
/// [`Error::ClassNotInLabelSpace`], [`Error::ClassWithoutWords`], [`Error::CountedClasses`], [`Error::SameWords`].
pub fn check_class_words(dataset: &Dataset, label_space: &LabelSpace) -> Result<()> {
    let used: BTreeSet<u32> = dataset.samples.iter().map(|sample| sample.label).collect();
    let names = used
        .into_iter()
        .filter_map(|l| dataset.class_names.get(l as usize));
    let classes = names
        .map(|name| class_index(name, label_space))
        .collect::<Result<BTreeSet<_>>>()?;
    check(&classes, label_space)
}

/// [`check_class_words`] of all classes of a label space.
///
/// # Errors
/// As that.
pub fn check_label_space_words(label_space: &LabelSpace) -> Result<()> {
    let classes = (0..label_space.len() as u32).map(ClassIndex::new);
    check(&classes.collect(), label_space)
}

fn check(classes: &BTreeSet<ClassIndex>, label_space: &LabelSpace) -> Result<()> {
    let entries = || {
        let of = |class: &ClassIndex| label_space.classes().get(class.get() as usize);
        classes.iter().filter_map(of)
    };
    let unnamed = |name: &&str| is_identifier(name);
    let own_words = entries().filter(|entry| entry.prompt_name.is_none());
    if let Some(class) = own_words.map(|entry| entry.name.as_str()).find(unnamed) {
        return Err(Error::ClassWithoutWords {
            class: class.to_owned(),
        });
    }
    let mut by_words: BTreeMap<String, &str> = BTreeMap::new();
    for entry in entries() {
        let words = entry.prompt_name.as_ref().unwrap_or(&entry.name);
        if let Some(other) = by_words.insert(folded(words), &entry.name) {
            return Err(Error::SameWords {
                classes: [other.to_owned(), entry.name.clone()],
                words: words.replace('_', " "),
            });
        }
    }
    let are_counted =
        classes.len() > 1 && entries().all(|entry| without_number(&entry.name).is_some());
    match entries().find(|entry| entry.prompt_name.is_none()) {
        Some(first) if are_counted => Err(Error::CountedClasses {
            class: first.name.clone(),
        }),
        _ => Ok(()),
    }
}

/// The class of a label space that a data set's class is.
///
/// # Errors
/// [`Error::ClassNotInLabelSpace`].
pub(crate) fn class_index(class: &str, label_space: &LabelSpace) -> Result<ClassIndex> {
    label_space.index_of(class).ok_or_else(|| {
        const SHOWN: usize = 20;
        let names: Vec<&str> = label_space
            .classes()
            .iter()
            .map(|class| class.name.as_str())
            .collect();
        let more = if names.len() > SHOWN { ", ..." } else { "" };
        Error::ClassNotInLabelSpace {
            class: class.to_owned(),
            label_space: label_space.name().to_owned(),
            known: format!("{}{more}", names[..names.len().min(SHOWN)].join(", ")),
        }
    })
}
