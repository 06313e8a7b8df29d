//! CLIP's tokenizer: lower-cased byte-level BPE (Radford et al. 2021, section 2.4).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use promptfed_nn::load::folder::read_json;
use serde::Deserialize;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::{Lowercase, NFC, Replace, Sequence as Normalizers};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence as Splitters;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior};

use super::few::few;
use super::keys::{Keys, Others};
use crate::Result;
use crate::error::model_fault;

const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";

/// Words, single digits and runs of other characters, as CLIP splits them.
const WORDS: &str =
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// Prompts to token ids.
pub struct Tokenizer {
    file: PathBuf,
    bpe: tokenizers::Tokenizer,
    start: u32,
    end: u32,
    padding: u32,
    length: usize,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenizerConfig {
    #[serde(flatten)]
    special: SpecialTokens,
    model_max_length: Option<f64>,
    /// Tokens by their ids, the special ones among them.
    added_tokens_decoder: BTreeMap<String, SpecialToken>,
    #[serde(flatten)]
    others: Others,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SpecialTokens {
    bos_token: Option<SpecialToken>,
    eos_token: Option<SpecialToken>,
    pad_token: Option<SpecialToken>,
    unk_token: Option<SpecialToken>,
}

impl SpecialTokens {
    /// What they say that is not so in CLIP's tokenizer.
    fn fault(&self) -> Option<String> {
        [
            ("bos_token", &self.bos_token, START),
            ("eos_token", &self.eos_token, END),
            ("unk_token", &self.unk_token, END),
        ]
        .into_iter()
        .find_map(|(key, token, wanted)| {
            let found = token.as_ref()?.text();
            (found != wanted).then(|| format!("{key} is {found:?}; only {wanted:?} is offered"))
        })
    }
}

/// The keys of `tokenizer_config.json` that are not read.
const KEYS: Keys = Keys {
    fixed: &[
        ("additional_special_tokens", "[]"),
        ("extra_special_tokens", "{}"),
        ("padding_side", "\"right\""),
        ("split_special_tokens", "false"),
        ("truncation_side", "\"right\""),
    ],
    harmless: &[
        // CLIP's tokenizer does not look at them.
        "add_prefix_space",
        "do_lower_case",
        "errors",
        // Of texts that are made of ids.
        "clean_up_tokenization_spaces",
        // Said with every call.
        "max_length",
        "pad_to_multiple_of",
        "stride",
        "truncation_strategy",
        // Notes.
        "auto_map",
        "backend",
        "is_local",
        "local_files_only",
        "model_input_names",
        "name_or_path",
        "processor_class",
        "special_tokens_map_file",
        "tokenizer_class",
        "tokenizer_file",
        "use_fast",
    ],
};

#[derive(Deserialize)]
#[serde(untagged, expecting = "it is a token, or an object with its content")]
enum SpecialToken {
    Text(String),
    Token { content: String },
}

impl SpecialToken {
    fn text(&self) -> &str {
        match self {
            SpecialToken::Text(text) | SpecialToken::Token { content: text } => text,
        }
    }
}

impl Tokenizer {
    /// Reads a `tokenizer` folder: `vocab.json` and `merges.txt`, or `tokenizer.json`. Prompts become at most `longest` ids.
    ///
    /// # Errors
    /// If a file is missing or is not a tokenizer of CLIP's kind.
    pub fn open(folder: &Path, longest: usize) -> Result<Self> {
        let (config_file, map_file) = (
            folder.join("tokenizer_config.json"),
            folder.join("special_tokens_map.json"),
        );
        let config: TokenizerConfig = read_optional(&config_file)?;
        let special: SpecialTokens = read_optional(&map_file)?;
        for (file, fault) in [
            (&config_file, config.special.fault()),
            (&config_file, KEYS.fault(&config.others)),
            (&map_file, special.fault()),
        ] {
            if let Some(reason) = fault {
                return Err(model_fault(file, reason));
            }
        }
        let padding = config.special.pad_token.or(special.pad_token);
        let padding = padding.map_or(END.to_owned(), |token| token.text().to_owned());
        let added = config.added_tokens_decoder.values().map(SpecialToken::text);
        let unknown: Vec<&str> = added
            .filter(|token| ![START, END, padding.as_str()].contains(token))
            .collect();
        if !unknown.is_empty() {
            let reason = format!(
                "added_tokens_decoder adds {} to CLIP's tokens, which is not offered; use the tokenizer of the family",
                few(unknown)
            );
            return Err(model_fault(&config_file, reason));
        }
        let (vocab, merges) = (folder.join("vocab.json"), folder.join("merges.txt"));
        let (file, mut bpe) = if vocab.is_file() || !folder.join("tokenizer.json").is_file() {
            (vocab.clone(), clip(&vocab, &merges)?)
        } else {
            let file = folder.join("tokenizer.json");
            let bpe = tokenizers::Tokenizer::from_bytes(fs_err::read(&file)?)
                .map_err(|e| model_fault(&file, format!("not a tokenizer ({e})")))?;
            (file, bpe)
        };
        // This type pads and truncates itself, to the length of the text encoder.
        bpe.with_padding(None);
        bpe.with_truncation(None)
            .map_err(|e| model_fault(&file, e.to_string()))?;
        let id = |token: &str| {
            bpe.token_to_id(token).ok_or_else(|| {
                let reason = format!("it has no {token:?}; use the tokenizer of this model");
                model_fault(&file, reason)
            })
        };
        let (start, end, padding_id) = (id(START)?, id(END)?, id(&padding)?);
        // The padding token counts as a word of its own in prompts too, even where it is "!".
        let tokens = [(START, true), (END, true), (padding.as_str(), false)];
        bpe.add_special_tokens(
            tokens.map(|(token, normalized)| AddedToken::from(token, true).normalized(normalized)),
        )
        .map_err(|e| model_fault(&file, e.to_string()))?;
        let told = config.model_max_length.unwrap_or(longest as f64) as usize;
        let length = told.min(longest);
        if length < 2 {
            let reason = format!("prompts of {length} ids have no room for start and end");
            return Err(model_fault(&file, reason));
        }
        Ok(Self {
            file,
            bpe,
            start,
            end,
            padding: padding_id,
            length,
        })
    }

    /// The ids of a prompt between start and end token, cut or padded to the fixed length.
    ///
    /// # Errors
    /// If the tokenizer cannot read the prompt.
    pub fn encode(&self, prompt: &str) -> Result<Vec<u32>> {
        Ok(self.encode_in(prompt, 1)?.concat())
    }

    /// The ids of a prompt in so many windows of the fixed length, each between start and end token and padded; what does not fit is left out.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_in(&self, prompt: &str, windows: usize) -> Result<Vec<Vec<u32>>> {
        let words = self.words(prompt)?;
        let room = self.length - 2;
        let window = |number: usize| {
            let from = words.len().min(number * room);
            let mut ids = vec![self.start];
            ids.extend(words[from..].iter().take(room));
            ids.push(self.end);
            ids.resize(self.length, self.padding);
            ids
        };
        Ok((0..windows).map(window).collect())
    }

    /// How many windows all of a prompt takes, at least 1.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn windows(&self, prompt: &str) -> Result<usize> {
        let room = (self.length - 2).max(1);
        Ok(self.words(prompt)?.len().div_ceil(room).max(1))
    }

    /// The ids of all of a prompt, without start and end.
    fn words(&self, prompt: &str) -> Result<Vec<u32>> {
        let encoded = self.bpe.encode(prompt, false).map_err(|e| {
            let reason = format!("prompt {prompt:?} cannot be tokenised: {e}");
            model_fault(&self.file, reason)
        })?;
        Ok(encoded.get_ids().to_vec())
    }

    /// The end of a prompt that [`Tokenizer::encode_in`] leaves out.
    pub fn cut<'t>(&self, prompt: &'t str, windows: usize) -> Option<&'t str> {
        let room = (self.length - 2) * windows;
        // No token is shorter than a letter of ASCII: most prompts need no second look.
        if prompt.is_ascii() && prompt.len() <= room {
            return None;
        }
        let encoded = self.bpe.encode(prompt, false).ok()?;
        let offsets = encoded.get_offsets();
        // A letter of several tokens of which some are read is none that is cut.
        let read = offsets.get(..room)?.last().map_or(0, |(_, end)| *end);
        let start = offsets.get(room)?.0.max(read);
        let cut = prompt.get(start..).unwrap_or(prompt).trim_start();
        (!cut.is_empty()).then_some(cut)
    }

    /// One more than the largest id.
    pub fn vocabulary(&self) -> usize {
        let ids = self.bpe.get_vocab(true).into_values();
        ids.max().map_or(0, |largest| largest as usize + 1)
    }

    /// The file that holds the vocabulary.
    pub fn file(&self) -> &Path {
        &self.file
    }
}

/// The tokenizer that a vocabulary and its merges stand for.
fn clip(vocab: &Path, merges: &Path) -> Result<tokenizers::Tokenizer> {
    let build = || -> tokenizers::Result<tokenizers::Tokenizer> {
        let bpe = BPE::builder()
            .files(vocab.display().to_string(), merges.display().to_string())
            .unk_token(END.into())
            .continuing_subword_prefix(String::new())
            .end_of_word_suffix("</w>".into())
            .build()?;
        let mut tokenizer = tokenizers::Tokenizer::new(bpe);
        let spaces = Replace::new(
            tokenizers::normalizers::replace::ReplacePattern::Regex(r"\s+".into()),
            " ",
        )?;
        tokenizer.with_normalizer(Some(Normalizers::new(vec![
            NFC.into(),
            spaces.into(),
            Lowercase.into(),
        ])))?;
        let split = Split::new(
            SplitPattern::Regex(WORDS.into()),
            SplitDelimiterBehavior::Removed,
            true,
        )?;
        tokenizer.with_pre_tokenizer(Some(Splitters::new(vec![
            split.into(),
            ByteLevel::new(false, true, true).into(),
        ])));
        Ok(tokenizer)
    };
    for file in [vocab, merges] {
        fs_err::metadata(file)?;
    }
    build().map_err(|e| {
        let reason = format!(
            "with merges.txt it is no tokenizer of CLIP's kind ({e}); restore the files of this model"
        );
        model_fault(vocab, reason)
    })
}

fn read_optional<T: Default + serde::de::DeserializeOwned>(file: &Path) -> Result<T> {
    if file.is_file() {
        Ok(read_json(file)?)
    } else {
        Ok(T::default())
    }
}
