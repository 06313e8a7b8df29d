//! What the generator was shown.

use super::{Candidate, Reason, Refusal, Rule};
use crate::Generator;

/// No word that the generator was never shown, but for those that the template says anyway.
pub(super) struct KnownWords<'a>(pub(super) &'a dyn Generator);

impl Rule for KnownWords<'_> {
    fn refuse(&self, candidate: &Candidate<'_>) -> Option<Refusal> {
        let unknown = self.0.unknown_words(candidate.text);
        if unknown.is_empty() {
            return None;
        }
        let told = self.0.unknown_words(&candidate.topic.opening);
        let new: Vec<String> = unknown
            .into_iter()
            .filter(|word| !told.contains(word))
            .collect();
        (!new.is_empty()).then(|| Refusal::new(Reason::UnknownWords, new.join(", ")))
    }
}
