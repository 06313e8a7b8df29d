//! What the generator reads to its end.

use super::{Candidate, Reason, Refusal, Rule};
use crate::Generator;

/// The generator's text encoder takes the whole text.
pub(super) struct Cut<'a>(pub(super) &'a dyn Generator);

impl Rule for Cut<'_> {
    fn refuse(&self, candidate: &Candidate<'_>) -> Option<Refusal> {
        let cut = self.0.cut(candidate.text)?;
        Some(Refusal::new(Reason::Cut, cut))
    }
}
