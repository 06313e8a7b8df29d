//! A model folder in diffusers' layout: `model_index.json` and one folder for each component.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use candle_core::Device;
use promptfed_nn::Precision;
use promptfed_nn::load::Loader;
use promptfed_nn::load::folder::{Preferred, open_weights, read_json};
use promptfed_prompts::ContentHash;

use crate::Result;
use crate::error::model_fault;
use crate::hash::hash_files;

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
        if root.is_dir() && !file.is_file() {
            let reason = "it is not there; give a folder in diffusers' layout".into();
            return Err(model_fault(&file, reason));
        }
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

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether `model_index.json` lists a component.
    pub fn has(&self, component: &str) -> bool {
        // An absent component is left out or listed as [null, null].
        self.index
            .get(component)
            .and_then(|entry| entry.get(1))
            .is_some_and(|class| class.is_string())
    }

    /// A switch of `model_index.json`, where it is there.
    pub fn switch(&self, key: &str) -> Option<bool> {
        Some(self.index.get(key)?.as_bool() == Some(true))
    }

    /// The path of a file of a component.
    pub fn path(&self, component: &str, file: &str) -> PathBuf {
        self.root.join(component).join(file)
    }

    /// Opens the weights of a component, which may be in several files.
    ///
    /// # Errors
    /// If no safetensors file is there, or one of them cannot be read.
    pub fn weights(
        &self,
        component: &str,
        precision: Precision,
        device: &Device,
    ) -> Result<Loader> {
        let preferred = Preferred::for_precision(precision);
        let loader = open_weights(&self.root.join(component), preferred, device)?;
        Ok(loader.with_precision(precision))
    }

    /// A hash over the configurations and tokenizers of the model.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn settings_hash(&self) -> Result<ContentHash> {
        let mut components = vec!["text_encoder", "tokenizer", "unet", "vae", "scheduler"];
        if self.has("text_encoder_2") {
            components.extend(["text_encoder_2", "tokenizer_2"]);
        }
        let mut files = BTreeSet::new();
        for component in components {
            let folder = self.root.join(component);
            for entry in fs_err::read_dir(&folder)? {
                let path = entry?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let settings = name.ends_with(".json") || name.ends_with(".txt");
                // The same weights may lie in one file or in parts that an index lists.
                if settings && !name.contains(".safetensors.index") && path.is_file() {
                    files.insert(path);
                }
            }
        }
        hash_files(files)
    }
}
