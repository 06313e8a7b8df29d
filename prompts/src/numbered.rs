//! Names that are counted: `001.Black_footed_Albatross`.

use std::collections::HashMap;

use crate::same_name::folded;
use crate::{ClassEntry, LabelSpace, Result};

/// The name behind a number and a point; `None` where there is none, as in `1.5 mm` and `cat`.
pub fn without_number(name: &str) -> Option<&str> {
    let (number, rest) = name.split_once('.')?;
    let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    (is_number && rest.starts_with(char::is_alphabetic)).then_some(rest)
}

impl LabelSpace {
    /// [`LabelSpace::from_names`] in which classes that are all counted have what follows their number as prompt name, underscores
    /// as spaces, where no other class has the same.
    ///
    /// # Errors
    /// As [`LabelSpace::new`].
    pub fn from_counted_names<'a>(
        name: impl Into<String>,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self> {
        let names: Vec<&str> = names.into_iter().collect();
        let words: Option<Vec<&str>> = names.iter().map(|name| without_number(name)).collect();
        let Some(words) = words else {
            return Self::from_names(name, names);
        };
        let mut uses: HashMap<String, usize> = HashMap::new();
        for words in &words {
            *uses.entry(folded(words)).or_default() += 1;
        }
        let entry = |(name, words): (&str, &str)| ClassEntry {
            name: name.to_owned(),
            prompt_name: (uses[&folded(words)] == 1).then(|| words.replace('_', " ")),
            aliases: Vec::new(),
        };
        Self::new(name, names.into_iter().zip(words).map(entry).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_before_a_point_and_a_word_is_taken_off() {
        for (name, rest) in [
            ("001.Black_footed_Albatross", Some("Black_footed_Albatross")),
            ("7.\u{e9}clair", Some("\u{e9}clair")),
            ("1.5 mm", None),
            ("12.", None),
            (".cat", None),
            ("a.b", None),
            ("St. Bernard", None),
            ("cat", None),
            ("", None),
        ] {
            assert_eq!(without_number(name), rest, "{name}");
        }
    }

    #[test]
    fn classes_have_words_where_all_are_counted_and_no_two_are_called_alike() {
        let words = |names: &[&str]| -> Vec<Option<String>> {
            let space = LabelSpace::from_counted_names("x", names.iter().copied()).unwrap();
            let kept: Vec<&str> = space.classes().iter().map(|c| c.name.as_str()).collect();
            assert_eq!(kept, names);
            let classes = space.classes().iter();
            classes.map(|class| class.prompt_name.clone()).collect()
        };
        assert_eq!(
            words(&["001.Laysan_Albatross", "002.Wren"]),
            [Some("Laysan Albatross".to_owned()), Some("Wren".to_owned())]
        );
        assert_eq!(words(&["001.Wren", "Sparrow"]), [None, None]);
        assert_eq!(
            words(&["001.Wren", "002.wren", "003.Jay"]),
            [None, None, Some("Jay".to_owned())]
        );
    }
}
