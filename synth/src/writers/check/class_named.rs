//! The class is named: otherwise the generator draws something else, and the image gets a wrong label.

use super::names::{Names, lies_in};
use super::{Candidate, Reason, Refusal, Rule};

/// All words of the class's prompt name stand in the text, whole and in order, in any case; English plurals will do. Words
/// that are part of a longer name of another class do not count: `hot dog` names no dog.
pub(super) struct ClassNamed<'a>(pub(super) &'a Names);

impl Rule for ClassNamed<'_> {
    fn refuse(&self, candidate: &Candidate<'_>) -> Option<Refusal> {
        let class = candidate.topic.class;
        if self.0.is_wordless(class) && candidate.text.contains(self.0.said(class.get())) {
            return None;
        }
        let own = self.0.own(class, candidate.words);
        let others = self.0.of_others(class, candidate.words);
        let is_named = own.iter().any(|own| {
            let mut longer = others.iter().filter(|(_, other)| other.len() > own.len());
            !longer.any(|(_, other)| lies_in(own, other))
        });
        (!is_named).then(|| Refusal::new(Reason::ClassMissing, self.0.said(class.get())))
    }
}

#[cfg(test)]
mod tests {
    use crate::writers::check::Reason;
    use crate::writers::check::tests::refused;

    #[test]
    fn whole_words_in_order_with_plurals() {
        let names = [
            "dog",
            "hot dog",
            "kite, bird of prey",
            "T-shirt/top",
            "HER2+",
            "\u{2600}",
        ];
        let missing =
            |class: u32, text: &str| refused(&names, class, "", text) == Some(Reason::ClassMissing);
        for (class, text) in [
            (0, "a Dog in the snow"),
            (0, "two dogs"),
            (0, "the dog's house"),
            (1, "a hot dog on a plate"),
            (2, "a kite, bird of prey, over hills"),
            (2, "birds of prey: a kite above a field"),
            (3, "a t-shirt top on a line"),
            (4, "her2+ tissue"),
            (5, "a sky with \u{2600} in it"),
        ] {
            assert!(!missing(class, text), "{text}");
        }
        for (class, text) in [
            (0, "a dogma"),
            (0, "a cat in the snow"),
            (0, "a hot dog on a plate"),
            (1, "a dog that is hot"),
            (2, "a kite in the wind"),
            (4, "HER2 tissue"),
            (4, "HER2- tissue"),
            (5, "a sky"),
        ] {
            assert!(missing(class, text), "{text}");
        }
    }
}
