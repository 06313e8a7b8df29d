//! BLIP's `config.json`; what a file leaves out is as in transformers.

use std::path::Path;

use promptfed_nn::load::folder::read_checked;
use serde::Deserialize;

use crate::Result;
use crate::image_encoder::VisionConfig;
use crate::transformer::HiddenAct;

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct BlipConfig {
    #[serde(default)]
    pub(super) text_config: TextConfig,
    #[serde(default = "vision")]
    pub(super) vision_config: VisionConfig,
}

fn vision() -> VisionConfig {
    VisionConfig {
        image_size: 384,
        patch_size: 16,
        ..VisionConfig::default()
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
    pub(super) fn read(file: &Path) -> Result<Self> {
        Ok(read_checked(file, Self::fault)?)
    }

    fn fault(&self) -> Option<String> {
        let text = &self.text_config;
        let (heads, d) = (text.num_attention_heads, text.hidden_size);
        if heads == 0 || d == 0 || !d.is_multiple_of(heads) {
            return Some(format!(
                "text_config: its {heads} heads do not divide hidden_size {d}; restore the file of this model"
            ));
        }
        if text.bos_token_id as usize >= text.vocab_size {
            return Some(format!(
                "text_config has bos_token_id {} outside the vocabulary; restore the file of this model",
                text.bos_token_id
            ));
        }
        self.vision_config.fault()
    }

    pub(super) fn vision_act(&self) -> HiddenAct {
        self.vision_config.hidden_act.unwrap_or(HiddenAct::Gelu)
    }
}
