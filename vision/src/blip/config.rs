//! BLIP's `config.json`; what a file leaves out is as in transformers.

use promptfed_nn::load::folder::{model_fault, read_json};
use serde::Deserialize;

use crate::Result;
use crate::image_encoder::VisionConfig;
use crate::keys::{self, Part};
use crate::section::Section;
use crate::transformer::HiddenAct;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct BlipConfig {
    pub(super) text_config: TextConfig,
    pub(super) vision_config: VisionConfig,
}

#[derive(Deserialize)]
struct File {
    text_config: Option<TextConfig>,
    vision_config: Option<BlipVision>,
}

/// A `vision_config` with BLIP's defaults for what it leaves out.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
struct BlipVision {
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    image_size: usize,
    patch_size: usize,
    hidden_act: HiddenAct,
    layer_norm_eps: f32,
}

impl Default for BlipVision {
    fn default() -> Self {
        Self {
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            image_size: 384,
            patch_size: 16,
            hidden_act: HiddenAct::Gelu,
            layer_norm_eps: 1e-5,
        }
    }
}

impl From<BlipVision> for VisionConfig {
    fn from(vision: BlipVision) -> Self {
        Self {
            hidden_size: vision.hidden_size,
            intermediate_size: vision.intermediate_size,
            num_hidden_layers: vision.num_hidden_layers,
            num_attention_heads: vision.num_attention_heads,
            image_size: vision.image_size,
            patch_size: vision.patch_size,
            hidden_act: Some(vision.hidden_act),
            layer_norm_eps: vision.layer_norm_eps,
        }
    }
}

impl From<File> for BlipConfig {
    fn from(file: File) -> Self {
        Self {
            text_config: file.text_config.unwrap_or_default(),
            vision_config: file.vision_config.unwrap_or_default().into(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct TextConfig {
    pub(super) vocab_size: usize,
    pub(super) hidden_size: usize,
    pub(super) intermediate_size: usize,
    pub(super) num_hidden_layers: usize,
    pub(super) num_attention_heads: usize,
    pub(super) max_position_embeddings: usize,
    pub(super) hidden_act: HiddenAct,
    pub(super) layer_norm_eps: f32,
    pub(super) bos_token_id: u32,
    pub(super) sep_token_id: u32,
}

impl Default for TextConfig {
    fn default() -> Self {
        Self {
            vocab_size: 30524,
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            max_position_embeddings: 512,
            hidden_act: HiddenAct::Gelu,
            layer_norm_eps: 1e-12,
            bos_token_id: 30522,
            sep_token_id: 102,
        }
    }
}

impl BlipConfig {
    /// `sections`: the same file, key by key.
    pub(super) fn read(sections: &Section) -> Result<Self> {
        keys::check(sections, Part::Blip)?;
        for (name, part) in [
            ("text_config", Part::BlipText),
            ("vision_config", Part::BlipVision),
        ] {
            if let Some(section) = sections.inner(name)? {
                keys::check(&section, part)?;
            }
        }
        let file: File = read_json(sections.file())?;
        let config = Self::from(file);
        match config.fault() {
            None => Ok(config),
            Some(reason) => Err(model_fault(sections.file(), reason).into()),
        }
    }

    fn fault(&self) -> Option<String> {
        let text = &self.text_config;
        let (heads, d) = (text.num_attention_heads, text.hidden_size);
        if heads == 0 || d == 0 || !d.is_multiple_of(heads) {
            return Some(format!(
                "text_config: its {heads} heads do not divide hidden_size {d}; restore the file of this model"
            ));
        }
        for (key, id) in [
            ("bos_token_id", text.bos_token_id),
            ("sep_token_id", text.sep_token_id),
        ] {
            if id as usize >= text.vocab_size {
                return Some(format!(
                    "text_config has {key} {id} outside the vocabulary of {}; restore the file of this model",
                    text.vocab_size
                ));
            }
        }
        if text.max_position_embeddings == 0 {
            return Some(
                "text_config has max_position_embeddings 0; restore the file of this model".into(),
            );
        }
        self.vision_config.fault()
    }

    pub(super) fn vision_act(&self) -> HiddenAct {
        self.vision_config.hidden_act.unwrap_or(HiddenAct::Gelu)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(config: &serde_json::Value) -> Result<BlipConfig> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        std::fs::write(&file, config.to_string()).unwrap();
        BlipConfig::read(&Section::read(&file).unwrap())
    }

    #[test]
    fn what_a_vision_config_leaves_out_is_blip_s() {
        let config = read(&json!({"vision_config": {"hidden_size": 96}})).unwrap();
        let vision = config.vision_config;
        assert_eq!((vision.image_size, vision.patch_size), (384, 16));
        assert_eq!(vision.hidden_size, 96);
        let config = read(&json!({"text_config": null, "vision_config": null})).unwrap();
        assert_eq!(config.text_config, TextConfig::default());
    }

    #[test]
    fn impossible_numbers_and_unknown_ways_are_told() {
        for (config, told) in [
            (
                json!({"text_config": {"sep_token_id": 40000}}),
                "sep_token_id 40000",
            ),
            (
                json!({"text_config": {"position_embedding_type": "relative_key"}}),
                "text_config.position_embedding_type",
            ),
            (
                json!({"vision_config": {"num_channels": 1}}),
                "vision_config.num_channels 1",
            ),
            (
                json!({"vision_config": {"patch_size": "a"}}),
                "vision_config.patch_size",
            ),
            (
                json!({"quantization_config": {"bits": 4}}),
                "quantization_config",
            ),
        ] {
            let error = read(&config).unwrap_err().to_string();
            assert!(
                error.contains(told) && error.contains("config.json"),
                "{error}"
            );
        }
    }
}
