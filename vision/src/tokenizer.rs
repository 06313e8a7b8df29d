//! Texts to tokens and back: `tokenizer.json`, or CLIP's `vocab.json` with `merges.txt`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use promptfed_nn::load::folder::{model_fault, read_json};
use serde_json::{Value, json};
use tokenizers::Tokenizer;
use tokenizers::processors::roberta::RobertaProcessing;

use crate::Result;

/// What CLIP's texts begin with.
const BEGIN: &str = "<|startoftext|>";

/// What CLIP's texts end with; also the token of unknown words.
const END: &str = "<|endoftext|>";

/// A tokenizer with the files that it was read from.
pub(crate) struct Words {
    pub(crate) tokenizer: Tokenizer,
    pub(crate) files: Vec<PathBuf>,
}

/// Reads the `tokenizer.json` of a folder.
pub(crate) fn read(folder: &Path) -> Result<Words> {
    let file = folder.join("tokenizer.json");
    if !file.is_file() {
        let reason = format!(
            "it holds no tokenizer.json; download it, or write it: python -c \"from transformers import AutoTokenizer; \
             AutoTokenizer.from_pretrained('{folder}').save_pretrained('{folder}')\"",
            folder = folder.display()
        );
        return Err(model_fault(folder, reason).into());
    }
    let json: Value = read_json(&file)?;
    let tokenizer = parsed(&json, &file)?;
    Ok(Words {
        tokenizer,
        files: vec![file],
    })
}

/// Reads CLIP's tokenizer. Its texts have a begin and an end token whatever post-processor the file has, as with transformers'
/// `CLIPTokenizer`; also returned is the id of the end token, where it has both.
pub(crate) fn read_clip(folder: &Path) -> Result<(Words, Option<u32>)> {
    let (vocabulary, merges) = (folder.join("vocab.json"), folder.join("merges.txt"));
    let whole = folder.join("tokenizer.json").is_file();
    let mut words = match (whole, vocabulary.is_file(), merges.is_file()) {
        (true, _, _) | (false, false, false) => read(folder)?,
        (false, true, true) => Words {
            tokenizer: built(&vocabulary, &merges)?,
            files: vec![vocabulary, merges],
        },
        (false, there, _) => {
            let (one, other) = if there {
                ("vocab.json", "merges.txt")
            } else {
                ("merges.txt", "vocab.json")
            };
            let reason =
                format!("it holds {one} and no {other}; download {other} or tokenizer.json");
            return Err(model_fault(folder, reason).into());
        }
    };
    let tokenizer = &mut words.tokenizer;
    let ids = tokenizer.token_to_id(BEGIN).zip(tokenizer.token_to_id(END));
    match ids {
        Some((begin, end)) => {
            tokenizer.with_post_processor(Some(framed(begin, end)));
        }
        None if tokenizer.get_post_processor().is_none() => {
            let reason = format!(
                "it has no tokens {BEGIN} and {END} for begin and end, and no post_processor that adds others; use the tokenizer \
                 of this model"
            );
            return Err(model_fault(&words.files[0], reason).into());
        }
        None => {}
    }
    Ok((words, ids.map(|(_, end)| end)))
}

fn framed(begin: u32, end: u32) -> RobertaProcessing {
    RobertaProcessing::new((END.into(), end), (BEGIN.into(), begin))
        .trim_offsets(false)
        .add_prefix_space(false)
}

fn parsed(json: &Value, file: &Path) -> Result<Tokenizer> {
    // What the tokenizers library says of a section that it cannot read names Rust's types.
    Ok(Tokenizer::from_bytes(json.to_string()).map_err(|_| {
        let model = &json["model"]["type"];
        let kind = match model {
            Value::Null => "without a model".to_owned(),
            model => format!("with a model of type {model}"),
        };
        let reason =
            format!("not a tokenizer that can be read ({kind}); restore the file of this model");
        model_fault(file, reason)
    })?)
}

/// What transformers' `CLIPTokenizer` makes of a vocabulary and its merges.
fn built(vocabulary: &Path, merges: &Path) -> Result<Tokenizer> {
    let ids: BTreeMap<String, u32> = read_json(vocabulary)?;
    let text = fs_err::read_to_string(merges)?;
    let mut pairs = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() || (number == 0 && line.starts_with("#version")) {
            continue;
        }
        let mut parts = line.split(' ');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(left), Some(right), None) => pairs.push([left, right]),
            _ => {
                let reason = format!(
                    "line {} is not two parts of a word; restore the file of this model",
                    number + 1
                );
                return Err(model_fault(merges, reason).into());
            }
        }
    }
    let added: Vec<Value> = [BEGIN, END]
        .iter()
        .filter_map(|token| {
            let id = ids.get(*token)?;
            Some(json!({
                "id": id, "content": token, "special": true, "normalized": false,
                "single_word": false, "lstrip": false, "rstrip": false,
            }))
        })
        .collect();
    let words = format!(
        r"{}|{}|'s|'t|'re|'ve|'m|'ll|'d|[\p{{L}}]+|[\p{{N}}]|[^\s\p{{L}}\p{{N}}]+",
        BEGIN.replace('|', r"\|"),
        END.replace('|', r"\|")
    );
    let json = json!({
        "version": "1.0",
        "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "NFC"},
            {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
            {"type": "Lowercase"},
        ]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": words}, "behavior": "Removed", "invert": true},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        ]},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {
            "type": "BPE", "unk_token": END, "continuing_subword_prefix": "", "end_of_word_suffix": "</w>",
            "fuse_unk": false, "byte_fallback": false, "ignore_merges": false, "vocab": ids, "merges": pairs,
        },
    });
    Ok(Tokenizer::from_bytes(json.to_string()).map_err(|_| {
        let reason = format!(
            "its tokens are not those of {}; download both again",
            merges.display()
        );
        model_fault(vocabulary, reason)
    })?)
}
