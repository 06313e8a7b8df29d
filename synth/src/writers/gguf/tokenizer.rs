//! Texts to ids and back, and conversations in ChatML.

use std::collections::BTreeSet;
use std::path::Path;

use candle_core::quantized::gguf_file::{Content, Value};
use tokenizers::Tokenizer;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;

use super::header;
use crate::error::model_fault;
use crate::{Error, Result};

/// What begins and ends a turn of a conversation in ChatML.
const BEGIN: &str = "<|im_start|>";
const END: &str = "<|im_end|>";

/// Names of entries that end a text in other models.
const OTHER_ENDS: [&str; 3] = ["<|endoftext|>", "</s>", "<|eot_id|>"];

/// The type of entries that control a conversation, in a GGUF file.
const CONTROL: i64 = 3;

/// Most bytes of a `tokenizer.json` that are read.
const MAX_BYTES: u64 = 256 << 20;

/// A tokenizer to which nothing in a text is special, with the entries that are.
pub(super) struct ChatTokenizer {
    tokenizer: Tokenizer,
    begin: u32,
    end: u32,
    /// Entries that end an answer: all that control a conversation.
    ends: BTreeSet<u32>,
}

impl ChatTokenizer {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// A file that is no tokenizer, or one without ChatML's entries.
    pub(super) fn read(file: &Path) -> Result<Self> {
        let fault = |reason: String| model_fault(file, reason);
        let bytes = promptfed_files::read(file, MAX_BYTES)?;
        let mut tokenizer = Tokenizer::from_bytes(bytes)
            .map_err(|e| fault(format!("not a tokenizer ({e}); fetch it again")))?;
        tokenizer.set_encode_special_tokens(true);
        let added = tokenizer.get_added_tokens_decoder();
        let ends = added
            .iter()
            .filter(|(_, token)| token.special)
            .map(|(id, _)| *id);
        let ends = ends.collect();
        Self::with_ends(file, tokenizer, ends)
    }

    /// The tokenizer of a GGUF file: byte-level BPE with single digits, as SmolLM has it.
    ///
    /// # Errors
    /// A file with another tokenizer.
    pub(super) fn of(file: &Path, content: &Content) -> Result<Self> {
        let fault = |reason: &str| {
            model_fault(
                file,
                format!("{reason}; put the model's tokenizer.json beside it"),
            )
        };
        let kind = header::text(content, "tokenizer.ggml.model").unwrap_or("none");
        let split = header::text(content, "tokenizer.ggml.pre").unwrap_or("none");
        if (kind, split) != ("gpt2", "smollm") {
            return Err(fault(&format!(
                "its tokenizer is {kind} with {split}, and only gpt2 with smollm is read from such a file"
            )));
        }
        let entries = header::texts(content, "tokenizer.ggml.tokens")
            .ok_or_else(|| fault("its tokenizer has no entries"))?;
        let merges = header::texts(content, "tokenizer.ggml.merges")
            .ok_or_else(|| fault("its tokenizer has no merges"))?;
        let vocabulary: Vocab = entries
            .iter()
            .zip(0..)
            .map(|(entry, id)| ((*entry).to_owned(), id))
            .collect();
        let pairs = merges.iter().map(|merge| {
            let pair = merge.split_once(' ');
            pair.map(|(one, other)| (one.to_owned(), other.to_owned()))
        });
        let pairs: Option<Vec<(String, String)>> = pairs.collect();
        let pairs = pairs.ok_or_else(|| fault("a merge of its tokenizer is no pair"))?;
        let model = BPE::builder().vocab_and_merges(vocabulary, pairs).build();
        let model =
            model.map_err(|e| fault(&format!("its tokenizer does not fit together ({e})")))?;
        let mut tokenizer = Tokenizer::new(model);
        let bytes = ByteLevel::new(false, true, true);
        tokenizer.with_pre_tokenizer(Some(Sequence::new(vec![
            Digits::new(true).into(),
            bytes.into(),
        ])));
        tokenizer.with_decoder(Some(bytes));
        let ends = match content.metadata.get("tokenizer.ggml.token_type") {
            Some(Value::Array(types)) => types
                .iter()
                .zip(0..)
                .filter(|(kind, _)| is_control(kind))
                .map(|(_, id)| id)
                .collect(),
            _ => BTreeSet::new(),
        };
        Self::with_ends(file, tokenizer, ends)
    }

    fn with_ends(file: &Path, tokenizer: Tokenizer, mut ends: BTreeSet<u32>) -> Result<Self> {
        let id = |entry: &str| {
            tokenizer.token_to_id(entry).ok_or_else(|| {
                let reason = format!(
                    "its tokenizer has no {entry}: it was not trained on conversations in ChatML; use a model that was, as SmolLM2-135M-Instruct, or \
                     serve this one and use chat:URL"
                );
                model_fault(file, reason)
            })
        };
        let (begin, end) = (id(BEGIN)?, id(END)?);
        ends.extend([begin, end]);
        ends.extend(
            OTHER_ENDS
                .iter()
                .filter_map(|entry| tokenizer.token_to_id(entry)),
        );
        Ok(Self {
            tokenizer,
            begin,
            end,
            ends,
        })
    }

    /// Number of entries.
    pub(super) fn size(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// Whether an answer ends with this id.
    pub(super) fn is_end(&self, id: u32) -> bool {
        self.ends.contains(&id)
    }

    /// The ids of a text.
    ///
    /// # Errors
    /// A text that the tokenizer does not take.
    pub(super) fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoded = self.tokenizer.encode(text, false).map_err(failed)?;
        Ok(encoded.get_ids().to_vec())
    }

    /// The text of ids.
    ///
    /// # Errors
    /// Ids that are none.
    pub(super) fn decode(&self, ids: &[u32]) -> Result<String> {
        self.tokenizer.decode(ids, false).map_err(failed)
    }

    /// Two turns in ChatML and the beginning of the third.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub(super) fn conversation(&self, system: &str, user: &str, answer: &str) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        for (role, text) in [("system", system), ("user", user)] {
            ids.push(self.begin);
            ids.extend(self.encode(&format!("{role}\n{text}"))?);
            ids.push(self.end);
            ids.extend(self.encode("\n")?);
        }
        ids.push(self.begin);
        ids.extend(self.encode(&format!("assistant\n{answer}"))?);
        Ok(ids)
    }
}

fn is_control(kind: &Value) -> bool {
    match kind {
        Value::I32(kind) => i64::from(*kind) == CONTROL,
        Value::U32(kind) => i64::from(*kind) == CONTROL,
        _ => false,
    }
}

fn failed(error: tokenizers::Error) -> Error {
    Error::Writer {
        writer: "gguf".to_owned(),
        reason: format!("its tokenizer failed: {error}"),
    }
}
