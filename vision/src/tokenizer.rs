//! `tokenizer.json`.

use std::path::Path;

use promptfed_nn::load::folder::model_fault;
use tokenizers::Tokenizer;

use crate::Result;

/// Reads the tokenizer of a model folder.
pub(crate) fn read(folder: &Path) -> Result<Tokenizer> {
    let file = folder.join("tokenizer.json");
    let tokenizer = Tokenizer::from_bytes(fs_err::read(&file)?)
        .map_err(|e| model_fault(&file, format!("not a tokenizer ({e})")))?;
    Ok(tokenizer)
}
