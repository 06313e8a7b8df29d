//! The files of a model's folder: JSON configurations, and weights in one file or in several.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use candle_core::Device;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Loader;
use crate::{Error, Precision, Result};

/// Reads a JSON file.
///
/// # Errors
/// If the file cannot be read, is not JSON, or a key has a value of another kind; the message names file and key.
pub fn read_json<T: DeserializeOwned>(file: &Path) -> Result<T> {
    let text = fs_err::read_to_string(file)?;
    let mut json = serde_json::Deserializer::from_str(&text);
    serde_path_to_error::deserialize(&mut json).map_err(|e| {
        let (path, inner) = (e.path().to_string(), e.into_inner());
        let at = if path == "." {
            String::new()
        } else {
            format!("key {path}: ")
        };
        model_fault(file, format!("{at}{inner}; restore the file of this model"))
    })
}

/// [`read_json`], where `fault` says what makes the values impossible, if anything.
///
/// # Errors
/// As [`read_json`], and what `fault` says.
pub fn read_checked<T: DeserializeOwned>(
    file: &Path,
    fault: impl FnOnce(&T) -> Option<String>,
) -> Result<T> {
    let value = read_json(file)?;
    match fault(&value) {
        None => Ok(value),
        Some(reason) => Err(model_fault(file, reason)),
    }
}

/// What makes a file or a folder of a model unusable.
pub fn model_fault(file: &Path, reason: String) -> Error {
    Error::Model {
        file: file.to_owned(),
        reason,
    }
}

/// The `weight_map` of an index of several files.
#[derive(Deserialize)]
struct Parts {
    weight_map: BTreeMap<String, String>,
}

/// Which weights are taken where a folder has them in full precision and in f16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preferred {
    /// Those in full precision.
    Full,
    /// The f16 variant.
    F16,
}

impl Preferred {
    /// What suits weights that are kept in `precision`.
    pub fn for_precision(precision: Precision) -> Self {
        match precision {
            Precision::F16 => Self::F16,
            Precision::F32 | Precision::Bf16 => Self::Full,
        }
    }

    /// Both, the preferred one first.
    pub fn in_turn(self) -> [Self; 2] {
        match self {
            Self::Full => [Self::Full, Self::F16],
            Self::F16 => [Self::F16, Self::Full],
        }
    }

    /// The endings of weights in one file and of the indices of several.
    pub fn endings(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Full => ("safetensors", &["safetensors.index.json"]),
            Self::F16 => (
                "fp16.safetensors",
                &["fp16.safetensors.index.json", "safetensors.index.fp16.json"],
            ),
        }
    }
}

/// The weights in a folder of the diffusers or the transformers library: one safetensors file or the parts that an index names,
/// the preferred ones where there are two.
///
/// # Errors
/// If there are none, or a part is missing or outside the folder.
pub fn weight_files(folder: &Path, preferred: Preferred) -> Result<Vec<PathBuf>> {
    for (single, indices) in preferred.in_turn().map(Preferred::endings) {
        for stem in ["diffusion_pytorch_model", "model"] {
            let file = folder.join(format!("{stem}.{single}"));
            if file.is_file() {
                return Ok(vec![file]);
            }
            let indices = indices
                .iter()
                .map(|index| folder.join(format!("{stem}.{index}")));
            if let Some(file) = indices.into_iter().find(|file| file.is_file()) {
                return parts(folder, &file);
            }
        }
    }
    let pickled = ["diffusion_pytorch_model.bin", "pytorch_model.bin"]
        .iter()
        .any(|name| folder.join(name).is_file());
    let reason = if pickled {
        "its weights are pickled (.bin) and may run code; save them again with safe_serialization=True"
    } else {
        "it holds no diffusion_pytorch_model.safetensors or model.safetensors; download the folder again"
    };
    Err(model_fault(folder, reason.into()))
}

/// Opens [`weight_files`].
///
/// # Errors
/// As [`weight_files`] and [`Loader::open_parts`].
pub fn open_weights(folder: &Path, preferred: Preferred, device: &Device) -> Result<Loader> {
    let files = weight_files(folder, preferred)?;
    Loader::open_parts(&files, &folder.display().to_string(), device)
}

fn parts(folder: &Path, index: &Path) -> Result<Vec<PathBuf>> {
    let parts: Parts = read_json(index)?;
    let names: BTreeSet<String> = parts.weight_map.into_values().collect();
    let outside = |name: &&String| Path::new(name).components().count() != 1 || *name == "..";
    if let Some(name) = names.iter().find(outside) {
        return Err(model_fault(
            index,
            format!("{name:?} is not a file of this folder; restore the file of this model"),
        ));
    }
    let missing: Vec<&str> = names
        .iter()
        .filter(|name| !folder.join(name).is_file())
        .map(String::as_str)
        .collect();
    if !missing.is_empty() {
        return Err(model_fault(
            index,
            format!("{} missing; download the folder again", missing.join(", ")),
        ));
    }
    Ok(names.iter().map(|name| folder.join(name)).collect())
}
