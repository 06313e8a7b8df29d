//! CLIP's `config.json`; what a file leaves out is as in transformers.

use promptfed_nn::load::folder::read_checked;
use serde::Deserialize;

use crate::Result;
use crate::image_encoder::VisionConfig;
use crate::keys::{self, Part};
use crate::section::Section;
use crate::text_encoder::{HiddenAct, TextConfig};

#[derive(Clone, Debug, PartialEq)]
pub(super) struct ClipConfig {
    pub(super) text_config: TextConfig,
    pub(super) vision_config: VisionConfig,
    pub(super) projection_dim: usize,
}

/// Old files have two sections for each encoder. The one whose name ends in `_dict` stands for all of the other, with its
/// defaults too: `CLIPConfig.__post_init__` in transformers.
#[derive(Deserialize)]
struct File {
    text_config: Option<TextConfig>,
    text_config_dict: Option<TextConfig>,
    vision_config: Option<VisionConfig>,
    vision_config_dict: Option<VisionConfig>,
    projection_dim: Option<usize>,
}

impl From<File> for ClipConfig {
    fn from(file: File) -> Self {
        let text = file.text_config_dict.or(file.text_config);
        let vision = file.vision_config_dict.or(file.vision_config);
        let projection_dim = file.projection_dim.unwrap_or(512);
        Self {
            text_config: TextConfig {
                projection_dim,
                ..text.unwrap_or_default()
            },
            vision_config: vision.unwrap_or_default(),
            projection_dim,
        }
    }
}

impl ClipConfig {
    /// `sections`: the same file, key by key.
    pub(super) fn read(sections: &Section) -> Result<Self> {
        keys::check(sections, Part::Clip)?;
        for (name, part) in [
            ("text_config", Part::ClipText),
            ("vision_config", Part::ClipVision),
        ] {
            let newer = sections.inner(&format!("{name}_dict"))?;
            if let Some(section) = newer.map_or_else(|| sections.inner(name), |s| Ok(Some(s)))? {
                keys::check(&section, part)?;
            }
        }
        let fault = |file: &File| {
            let text = file.text_config_dict.as_ref().or(file.text_config.as_ref());
            let vision = file
                .vision_config_dict
                .as_ref()
                .or(file.vision_config.as_ref());
            text.and_then(TextConfig::fault)
                .map(|reason| format!("text_config: {reason}"))
                .or_else(|| vision.and_then(VisionConfig::fault))
        };
        let file: File = read_checked(sections.file(), fault)?;
        Ok(file.into())
    }

    pub(super) fn vision_act(&self) -> HiddenAct {
        self.vision_config
            .hidden_act
            .unwrap_or(HiddenAct::QuickGelu)
    }
}
