//! Which names mean a split of a data set, and choosing one.

use std::path::Path;

use crate::{DataError, Result};

/// Words that mean a split; anything else may be a class, a domain or a file of its own.
const SPLITS: [&str; 18] = [
    "train",
    "training",
    "trainset",
    "trainval",
    "val",
    "valid",
    "validation",
    "valset",
    "dev",
    "test",
    "testing",
    "testset",
    "eval",
    "evaluation",
    "holdout",
    "crossval",
    "public",
    "private",
];

/// Words that stand beside a split's in names and tell nothing: `val_list`, `test_images`, `train_mini`.
const FILLERS: [&str; 21] = [
    "set",
    "split",
    "data",
    "dataset",
    "images",
    "image",
    "imgs",
    "img",
    "list",
    "lists",
    "label",
    "labels",
    "annotations",
    "files",
    "file",
    "gt",
    "mini",
    "full",
    "kfold",
    "of",
    "folder",
];

/// What a file's name says of its contents.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NameParts {
    /// The split, as the name writes it: `train` of `photo_train_mini`.
    pub(crate) split: Option<String>,
    /// What is left without split, fillers and numbers: `photo`. Empty when nothing is.
    pub(crate) rest: String,
}

/// Takes the stem of a file's name apart.
pub(crate) fn parts(stem: &str) -> NameParts {
    let words: Vec<&str> = words(stem).collect();
    let splits: Vec<&str> = words.iter().copied().filter(|w| is_split_word(w)).collect();
    let rest: Vec<&str> = words
        .into_iter()
        .filter(|w| !is_split_word(w) && !is_filler(w))
        .collect();
    NameParts {
        split: (!splits.is_empty()).then(|| splits.join("_")),
        rest: rest.join("_"),
    }
}

/// Whether a folder of this name is a split: nothing but a split's word with fillers and numbers (`test1`,
/// `train2017`, `training_set`).
pub(crate) fn is_split(name: &str) -> bool {
    let parts = parts(name);
    parts.split.is_some() && parts.rest.is_empty()
}

fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split(['_', '-', '.', ' ']).filter(|w| !w.is_empty())
}

fn is_split_word(word: &str) -> bool {
    let word = word.trim_end_matches(|c: char| c.is_ascii_digit());
    SPLITS.iter().any(|s| word.eq_ignore_ascii_case(s))
}

fn is_filler(word: &str) -> bool {
    word.bytes().all(|b| b.is_ascii_digit()) || FILLERS.iter().any(|f| word.eq_ignore_ascii_case(f))
}

/// The split to read of those that exist: the wanted one, or the only one. `None` when there are none and none is wanted.
///
/// # Errors
/// When the wanted one does not exist, or there are several and none is wanted.
pub(crate) fn choose(
    path: &Path,
    splits: impl IntoIterator<Item = String>,
    wanted: Option<&str>,
) -> Result<Option<String>> {
    let mut splits: Vec<String> = splits.into_iter().collect();
    splits.sort_unstable();
    splits.dedup();
    match (wanted, splits.as_slice()) {
        (Some(split), _) => match splits.iter().find(|s| s.eq_ignore_ascii_case(split)) {
            Some(found) => Ok(Some(found.clone())),
            None => Err(DataError::SplitNotFound {
                path: path.to_owned(),
                split: split.to_owned(),
                splits,
            }),
        },
        (None, []) => Ok(None),
        (None, [only]) => Ok(Some(only.clone())),
        (None, _) => Err(DataError::SplitNotChosen {
            path: path.to_owned(),
            splits,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        for (stem, split, rest) in [
            ("clipart_train", Some("train"), "clipart"),
            ("sketch_train_mini", Some("train"), "sketch"),
            ("art_painting_test_kfold", Some("test"), "art_painting"),
            ("val_list", Some("val"), ""),
            ("Art", None, "Art"),
            ("x_train", Some("train"), "x"),
            ("train-0", Some("train"), ""),
            ("labels", None, ""),
            ("train_test_split", Some("train_test"), ""),
            ("trained", None, "trained"),
        ] {
            let found = parts(stem);
            assert_eq!(
                (found.split.as_deref(), found.rest.as_str()),
                (split, rest),
                "{stem}"
            );
        }
    }

    #[test]
    fn folders_of_splits_are_told_from_others() {
        for name in [
            "train",
            "Test",
            "train2017",
            "test1",
            "training_set",
            "val-images",
            "private",
        ] {
            assert!(is_split(name), "{name}");
        }
        for name in [
            "training shoe",
            "images",
            "trainer",
            "photo_train",
            "annotations",
            "",
        ] {
            assert!(!is_split(name), "{name}");
        }
    }
}
