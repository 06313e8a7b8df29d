//! A model folder in diffusers' layout: `model_index.json` and one folder for each component.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use candle_core::Device;
use promptfed_nn::load::Loader;
use promptfed_prompts::ContentHash;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// A model folder and what its `model_index.json` says is in it.
pub struct Folder {
    root: PathBuf,
    index: BTreeMap<String, serde_json::Value>,
}

impl Folder {
    /// Reads `model_index.json`.
    ///
    /// # Errors
    /// If it is missing, not JSON, or of a model without the components of Stable Diffusion.
    pub fn open(root: &Path) -> Result<Self> {
        let file = root.join("model_index.json");
        let folder = Self {
            index: read_json(&file)?,
            root: root.to_owned(),
        };
        let missing: Vec<&str> = ["unet", "vae", "text_encoder", "tokenizer", "scheduler"]
            .into_iter()
            .filter(|name| !folder.has(name))
            .collect();
        if !missing.is_empty() {
            let class = folder.index.get("_class_name").and_then(|v| v.as_str());
            return Err(model_fault(
                &file,
                format!(
                    "this {} has no {}; give a folder of Stable Diffusion 1, 2 or XL",
                    class.unwrap_or("model"),
                    missing.join(", ")
                ),
            ));
        }
        Ok(folder)
    }

    /// Whether `model_index.json` lists a component.
    pub fn has(&self, component: &str) -> bool {
        // An absent component is left out or listed as [null, null].
        self.index
            .get(component)
            .and_then(|entry| entry.get(1))
            .is_some_and(|class| class.is_string())
    }

    /// A switch of `model_index.json`; false where it is left out.
    pub fn switch(&self, key: &str) -> bool {
        self.index.get(key).and_then(|v| v.as_bool()) == Some(true)
    }

    /// The path of a file of a component.
    pub fn path(&self, component: &str, file: &str) -> PathBuf {
        self.root.join(component).join(file)
    }

    /// The configuration `component/config.json`.
    ///
    /// # Errors
    /// If the file is missing or a key has a value of another kind; the message names both.
    pub fn config<T: DeserializeOwned>(&self, component: &str) -> Result<T> {
        read_json(&self.path(component, "config.json"))
    }

    /// Opens the weights of a component, which may be in several files.
    ///
    /// # Errors
    /// If no safetensors file is there, or one of them cannot be read.
    pub fn weights(&self, component: &str, device: &Device) -> Result<Loader> {
        let folder = self.root.join(component);
        let files = weight_files(&folder)?;
        Ok(Loader::open_parts(
            &files,
            &folder.display().to_string(),
            device,
        )?)
    }

    /// A hash over the weights, configurations and tokenizers of `components`.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn hash(&self, components: &[&str]) -> Result<ContentHash> {
        let mut files = BTreeSet::new();
        for component in components {
            let folder = self.root.join(component);
            for entry in fs_err::read_dir(&folder)? {
                let path = entry?.path();
                let small = ["json", "txt"]
                    .iter()
                    .any(|e| path.extension() == Some(e.as_ref()));
                if small && path.is_file() {
                    files.insert(path);
                }
            }
            if let Ok(weights) = weight_files(&folder) {
                files.extend(weights);
            }
        }
        hash_files(files.iter())
    }
}

/// A hash over the contents of files, in order.
pub(super) fn hash_files<'a>(files: impl Iterator<Item = &'a PathBuf>) -> Result<ContentHash> {
    let mut all = blake3::Hasher::new();
    for file in files {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(fs_err::File::open(file)?)?;
        all.update(hasher.finalize().as_bytes());
    }
    Ok(ContentHash::from_bytes(*all.finalize().as_bytes()))
}

/// Reads a JSON file; the error names the file and the key.
pub(super) fn read_json<T: DeserializeOwned>(file: &Path) -> Result<T> {
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

/// What makes a file of a model folder unusable.
pub(super) fn model_fault(file: &Path, reason: String) -> Error {
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

/// The weights of a component: one file or the parts that an index names, full precision before f16 variants.
pub(super) fn weight_files(folder: &Path) -> Result<Vec<PathBuf>> {
    for stem in ["diffusion_pytorch_model", "model"] {
        for (single, index) in [
            ("safetensors", "safetensors.index.json"),
            ("fp16.safetensors", "fp16.safetensors.index.json"),
            ("fp16.safetensors", "safetensors.index.fp16.json"),
        ] {
            let file = folder.join(format!("{stem}.{single}"));
            if file.is_file() {
                return Ok(vec![file]);
            }
            let file = folder.join(format!("{stem}.{index}"));
            if file.is_file() {
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
    let files: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
    let missing: Vec<String> = names
        .into_iter()
        .filter(|name| !folder.join(name).is_file())
        .collect();
    if !missing.is_empty() {
        return Err(model_fault(
            index,
            format!("{} missing; download the folder again", missing.join(", ")),
        ));
    }
    Ok(files)
}
