//! Every prompt once.

use std::collections::HashSet;

use promptfed_prompts::ContentHash;

use super::{Candidate, Reason, Refusal};
use crate::writers::Topic;

/// What was accepted, by class and words: case, signs and spaces make no difference.
#[derive(Default)]
pub(super) struct Seen(HashSet<ContentHash>);

impl Seen {
    /// Takes a candidate that is new and says more than the topic's opening.
    pub(super) fn take(&mut self, candidate: &Candidate<'_>) -> Result<(), Refusal> {
        if candidate.words == candidate.opening {
            return Err(Refusal::new(Reason::Repeated, "the template alone"));
        }
        if self.remember(candidate.topic, candidate.words) {
            return Ok(());
        }
        Err(Refusal::new(Reason::Repeated, ""))
    }

    /// Remembers a text; `false` where it was known.
    pub(super) fn remember(&mut self, topic: &Topic, words: &[String]) -> bool {
        let key = format!("{}\n{}", topic.class, words.join(" "));
        self.0.insert(ContentHash::of(key.as_bytes()))
    }
}
