//! The interface of everything that writes prompts.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use promptfed_prompts::ContentHash;
use serde::{Deserialize, Serialize};

use super::{Topic, WritingSeed};
use crate::{Reproducible, Result};

/// Something that writes prompts: a grammar, or a language model here or behind an address.
///
/// It offers candidates and promises nothing about them: they are checked before use.
pub trait Writer: Send {
    /// What this writer is.
    fn describe(&self) -> &WriterInfo;

    /// Writes up to `ask.wanted` candidates, each a whole prompt in one line; none where it has no more for this topic.
    ///
    /// Candidates have numbers, `ask.first` and on. A reproducible writer gives the same text for the same topic,
    /// examples, seed and number, however many are asked for at once.
    ///
    /// # Errors
    /// What keeps the writer from writing at all; a text that cannot be used is none.
    fn write(&mut self, ask: &Ask<'_>) -> Result<Vec<String>>;
}

/// What a writer is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WriterInfo {
    /// Its kind, as the command line names it: `grammar`, `gguf`, `chat`.
    pub name: String,
    /// Version of the code that writes; changes when the same ask would give other texts.
    pub version: String,
    /// Whether the same ask gives the same texts again: exactly, as far as a seed that is sent goes, or not.
    pub reproducible: Reproducible,
    /// Hash of its grammar, or of its model's file; none where nobody here can know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<ContentHash>,
    /// What else decides what it writes, by name: its model, temperature, address. Never a key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
}

/// What a writer is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// What the prompts are about.
    pub topic: &'a Topic,
    /// What prompts call the class.
    pub class: &'a str,
    /// What prompts call the other classes, which none may name.
    pub others: &'a [String],
    /// Texts for this topic whose images were useful, best first. They may be few or none.
    pub good: &'a [String],
    /// Texts for this topic whose images were not. A language model is shown both, to write like the ones and unlike the
    /// others (WASP's contrastive prompt); a grammar does not look at them.
    pub bad: &'a [String],
    /// The longest text that will be used, in characters.
    pub longest: usize,
    /// Number of the first candidate, counted from 0 for every topic.
    pub first: u64,
    /// Most candidates to write, 1 or more.
    pub wanted: usize,
    /// Seed of the whole run.
    pub seed: u64,
    /// Set where the work is to stop: a writer that waits or computes long looks at it, and may then give anything or an error.
    pub cancel: &'a AtomicBool,
}

impl Ask<'_> {
    /// The seed of candidate `number` of this topic.
    pub fn seed_of(&self, number: u64) -> WritingSeed {
        WritingSeed::derive(self.seed, self.topic, number)
    }
}
