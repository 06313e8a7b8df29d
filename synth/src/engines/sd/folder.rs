//! A model folder in diffusers' layout: `model_index.json` and one folder for each component.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use candle_core::Device;
use promptfed_nn::Precision;
use promptfed_nn::load::Loader;
use promptfed_nn::load::folder::{Preferred, open_weights, read_json};
use promptfed_prompts::ContentHash;

use super::keys::{Keys, Others};
use crate::Result;
use crate::error::model_fault;
use crate::hash::hash_files;

/// A model folder and what its `model_index.json` says is in it.
pub struct Folder {
    root: PathBuf,
    index: Others,
}

/// The switch of `model_index.json` by which no negative prompt means zeros in Stable Diffusion XL; on where it is left out.
pub(super) const ZERO_EMPTY: &str = "force_zeros_for_empty_prompt";

/// The components that are used, each with the classes of diffusers and transformers that it may be of. A scheduler of a class without
/// a sampler can be replaced by one that has.
const COMPONENTS: [(&str, &[&str]); 8] = [
    ("scheduler", &[]),
    ("text_encoder", &["CLIPTextModel"]),
    ("text_encoder_2", &["CLIPTextModelWithProjection"]),
    ("tokenizer", &["CLIPTokenizer", "CLIPTokenizerFast"]),
    ("tokenizer_2", &["CLIPTokenizer", "CLIPTokenizerFast"]),
    ("unet", &["UNet2DConditionModel"]),
    ("vae", &["AutoencoderKL"]),
    (ZERO_EMPTY, &[]),
];

/// The other keys of `model_index.json`.
const KEYS: Keys = Keys {
    fixed: &[("requires_aesthetics_score", "false")],
    harmless: &[
        "add_watermarker",
        "feature_extractor",
        "image_encoder",
        "requires_safety_checker",
        "safety_checker",
    ],
};

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
        match folder.fault() {
            None => Ok(folder),
            Some(reason) => Err(model_fault(&file, reason)),
        }
    }

    /// What the index says that is not offered.
    fn fault(&self) -> Option<String> {
        for (component, classes) in COMPONENTS {
            let Some(class) = self.class(component) else {
                continue;
            };
            if !classes.is_empty() && !classes.contains(&class.trim_start_matches("Flax")) {
                return Some(format!(
                    "its {component} is a {class}; only {} is offered",
                    classes[0]
                ));
            }
        }
        let is_known = |key: &str| COMPONENTS.iter().any(|(component, _)| *component == key);
        let others = self.index.iter().filter(|(key, value)| {
            // An absent component is left out or listed as [null, null].
            let is_absent = value
                .as_array()
                .is_some_and(|entry| entry.iter().all(serde_json::Value::is_null));
            !is_known(key) && !is_absent
        });
        KEYS.fault(&others.map(|(k, v)| (k.clone(), v.clone())).collect())
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether `model_index.json` lists a component.
    pub fn has(&self, component: &str) -> bool {
        self.class(component).is_some()
    }

    fn class(&self, component: &str) -> Option<&str> {
        self.index.get(component)?.get(1)?.as_str()
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
