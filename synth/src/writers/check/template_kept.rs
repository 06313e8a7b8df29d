//! The words of the template are kept: they say the domain, and how the client's images look.

use super::names::Names;
use super::small_words::is_small;
use super::words::is_same;
use super::{Candidate, Reason, Refusal, Rule};

/// Every word of the topic's opening stands in the text, but for articles and the like, and those of the class, which have a
/// rule of their own.
pub(super) struct TemplateKept<'a>(pub(super) &'a Names);

impl Rule for TemplateKept<'_> {
    fn refuse(&self, candidate: &Candidate<'_>) -> Option<Refusal> {
        let class = candidate.topic.class;
        let missing: Vec<&str> = candidate
            .opening
            .iter()
            .map(String::as_str)
            .filter(|word| !is_small(word) && !self.0.has_word(class, word))
            .filter(|word| !candidate.words.iter().any(|there| is_same(there, word)))
            .collect();
        (!missing.is_empty()).then(|| Refusal::new(Reason::TemplateLost, missing.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use crate::writers::check::Reason;
    use crate::writers::check::tests::refused;

    #[test]
    fn the_domain_stays_and_articles_need_not() {
        let lost = |opening: &str, text: &str| {
            refused(&["dog"], 0, opening, text) == Some(Reason::TemplateLost)
        };
        assert!(!lost(
            "a sketch of a dog",
            "sketches of two dogs in the rain"
        ));
        assert!(!lost("a sketch of a dog", "the dog, sketch"));
        assert!(lost("a sketch of a dog", "a photo of a dog"));
        assert!(lost(
            "dog, real world images, high resolution",
            "a dog, high resolution"
        ));
    }
}
