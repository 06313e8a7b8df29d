//! CLIP's `config.json`; what a file leaves out is as in transformers.

use std::path::Path;

use serde::Deserialize;

use crate::Result;
use crate::folder::{fault, read_json};
use crate::image_encoder::VisionConfig;
use crate::transformer::{HiddenAct, Shape};

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct ClipConfig {
    #[serde(default)]
    pub(super) text_config: TextConfig,
    #[serde(default)]
    pub(super) vision_config: VisionConfig,
    #[serde(default = "projection")]
    pub(super) projection_dim: usize,
}

fn projection() -> usize {
    512
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
    pub(super) eos_token_id: u32,
}

impl Default for TextConfig {
    fn default() -> Self {
        Self {
            vocab_size: 49408,
            hidden_size: 512,
            intermediate_size: 2048,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            max_position_embeddings: 77,
            hidden_act: HiddenAct::QuickGelu,
            layer_norm_eps: 1e-5,
            eos_token_id: 49407,
        }
    }
}

impl ClipConfig {
    pub(super) fn read(file: &Path) -> Result<Self> {
        let config: Self = read_json(file)?;
        let text = &config.text_config;
        let heads = text.num_attention_heads;
        let reason =
            if heads == 0 || text.hidden_size == 0 || !text.hidden_size.is_multiple_of(heads) {
                Some(format!(
                    "text_config has {heads} heads for hidden_size {}, which they must divide",
                    text.hidden_size
                ))
            } else if text.max_position_embeddings < 3 {
                Some("text_config has no room for words (max_position_embeddings)".into())
            } else {
                config.vision_config.fault()
            };
        match reason {
            None => Ok(config),
            Some(reason) => Err(fault(
                file,
                format!("{reason}; restore the file of this model"),
            )),
        }
    }

    pub(super) fn vision_act(&self) -> HiddenAct {
        self.vision_config
            .hidden_act
            .unwrap_or(HiddenAct::QuickGelu)
    }

    pub(super) fn text_shape(&self) -> Shape {
        let text = &self.text_config;
        Shape {
            width: text.hidden_size,
            inner: text.intermediate_size,
            blocks: text.num_hidden_layers,
            heads: text.num_attention_heads,
            activation: text.hidden_act,
            eps: text.layer_norm_eps,
        }
    }
}
