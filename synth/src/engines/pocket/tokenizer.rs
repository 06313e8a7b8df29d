//! `tokenizer.json`: prompts to ids.

use std::path::Path;

use super::config::Config;
use crate::Result;
use crate::error::model_fault;

pub(super) struct Tokenizer(tokenizers::Tokenizer);

impl Tokenizer {
    /// Reads a `tokenizer.json` and checks that it gives what the network takes.
    pub(super) fn read(file: &Path, config: &Config) -> Result<Self> {
        let fault = |reason: String| model_fault(file, reason);
        let bytes = fs_err::read(file)?;
        let tokenizer = tokenizers::Tokenizer::from_bytes(bytes)
            .map_err(|e| fault(format!("not a tokenizer ({e}); export the weights again")))?;
        let vocab = tokenizer.get_vocab_size(true);
        if vocab > config.vocab {
            return Err(fault(format!(
                "it has {vocab} entries and the network {}; use the tokenizer of these weights",
                config.vocab
            )));
        }
        let tokenizer = Self(tokenizer);
        let length = tokenizer
            .encode("")
            .map_err(|e| fault(e.to_string()))?
            .len();
        if length != config.text_len {
            return Err(fault(format!(
                "it gives {length} ids to an empty prompt and the network takes {}; use the tokenizer of these weights",
                config.text_len
            )));
        }
        Ok(tokenizer)
    }

    /// The ids of a prompt, cut or padded to the network's length.
    pub(super) fn encode(&self, text: &str) -> Result<Vec<u32>, tokenizers::Error> {
        Ok(self.0.encode(text, true)?.get_ids().to_vec())
    }

    /// The end of a prompt that [`Tokenizer::encode`] leaves out.
    pub(super) fn cut<'t>(&self, text: &'t str) -> Option<&'t str> {
        let encoded = self.0.encode(text, true).ok()?;
        if encoded.get_overflowing().is_empty() {
            return None;
        }
        let offsets = encoded.get_offsets().iter();
        let words = offsets.zip(encoded.get_special_tokens_mask());
        let end = words.filter(|(_, is_special)| **is_special == 0);
        let end = end.map(|((_, end), _)| *end).max().unwrap_or(0);
        let cut = text.get(end..).unwrap_or(text).trim_start();
        (!cut.is_empty()).then_some(cut)
    }
}
