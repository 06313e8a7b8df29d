//! A model folder of the transformers library.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use candle_core::Device;
use promptfed_nn::load::Loader;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokenizers::Tokenizer;

use crate::{Error, Result};

/// Reads a JSON file of a model folder.
pub(crate) fn read_json<T: DeserializeOwned>(file: &Path) -> Result<T> {
    serde_json::from_str(&fs_err::read_to_string(file)?)
        .map_err(|e| fault(file, format!("{e}; restore the file of this model")))
}

/// Opens `model.safetensors`, or the parts that its index names.
pub(crate) fn weights(folder: &Path) -> Result<Loader> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let single = folder.join("model.safetensors");
    if single.is_file() {
        return Ok(Loader::open(&single, &Device::Cpu)?);
    }
    let index = folder.join("model.safetensors.index.json");
    if !index.is_file() {
        return Err(fault(
            folder,
            "it holds no model.safetensors; save the model with safe_serialization=True".into(),
        ));
    }
    let names: BTreeSet<String> = read_json::<Index>(&index)?
        .weight_map
        .into_values()
        .collect();
    if let Some(name) = names.iter().find(|name| name.contains(['/', '\\'])) {
        return Err(fault(
            &index,
            format!("{name:?} is not a file of this folder; restore the file of this model"),
        ));
    }
    let parts: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
    let origin = folder.display().to_string();
    Ok(Loader::open_parts(&parts, &origin, &Device::Cpu)?)
}

/// Reads `tokenizer.json`.
pub(crate) fn tokenizer(folder: &Path) -> Result<Tokenizer> {
    let file = folder.join("tokenizer.json");
    Tokenizer::from_bytes(fs_err::read(&file)?)
        .map_err(|e| fault(&file, format!("not a tokenizer ({e})")))
}

/// What makes a file of a model folder unusable.
pub(crate) fn fault(file: &Path, reason: String) -> Error {
    Error::Model {
        file: file.to_owned(),
        reason,
    }
}
