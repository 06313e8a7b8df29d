//! CLIP's `config.json`; what a file leaves out is as in transformers.

use std::path::Path;

use promptfed_nn::load::folder::read_checked;
use serde::Deserialize;

use crate::Result;
use crate::image_encoder::VisionConfig;
use crate::text_encoder::{HiddenAct, TextConfig};

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

impl ClipConfig {
    pub(super) fn read(file: &Path) -> Result<Self> {
        let mut config = read_checked(file, Self::fault)?;
        config.text_config.projection_dim = config.projection_dim;
        Ok(config)
    }

    fn fault(&self) -> Option<String> {
        let text = self.text_config.fault();
        text.map(|reason| format!("text_config: {reason}"))
            .or_else(|| self.vision_config.fault())
    }

    pub(super) fn vision_act(&self) -> HiddenAct {
        self.vision_config
            .hidden_act
            .unwrap_or(HiddenAct::QuickGelu)
    }
}
