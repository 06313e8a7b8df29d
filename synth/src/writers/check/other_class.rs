//! No other class is named: its image would carry the wrong label, or show both.

use super::names::{Names, lies_in};
use super::{Candidate, Reason, Refusal, Rule};

/// No name and no prompt name of another class stands in the text, whole and in order, in any case or as an English plural.
/// What stands within the own class's name does not count (`dog` in `hot dog`), nor what the template itself says.
pub(super) struct OtherClass<'a>(pub(super) &'a Names);

impl Rule for OtherClass<'_> {
    fn refuse(&self, candidate: &Candidate<'_>) -> Option<Refusal> {
        let class = candidate.topic.class;
        let others = self.0.of_others(class, candidate.words);
        if others.is_empty() {
            return None;
        }
        let own = self.0.own(class, candidate.words);
        let template = self.0.of_others(class, candidate.opening);
        let named = others.into_iter().find(|(other, place)| {
            let is_own = own.iter().any(|own| lies_in(place, own));
            !is_own && template.iter().all(|(told, _)| told != other)
        });
        named.map(|(other, _)| Refusal::new(Reason::OtherClass, self.0.said(other)))
    }
}

#[cfg(test)]
mod tests {
    use crate::writers::check::Reason;
    use crate::writers::check::tests::refused;

    #[test]
    fn names_within_names_do_not_count() {
        let names = ["dog", "hot dog", "cat", "photo", "HER2+", "HER2-"];
        let other = |class: u32, opening: &str, text: &str| {
            refused(&names, class, opening, text) == Some(Reason::OtherClass)
        };
        for (class, opening, text) in [
            (0, "", "a dog beside Cats"),
            (0, "", "a dog eats a hot dog"),
            (0, "", "a dog, a photo"),
            (1, "", "a hot dog for the dog"),
            (4, "", "HER2+ beside HER2- cells"),
        ] {
            assert!(other(class, opening, text), "{text}");
        }
        for (class, opening, text) in [
            (1, "", "a hot dog on a plate"),
            (0, "", "a dog in a category of its own"),
            (0, "a photo of a dog", "a photo of a dog in the snow"),
            (4, "", "HER2+ cells"),
        ] {
            assert!(!other(class, opening, text), "{text}");
        }
    }
}
