//! `unet/config.json`: the shape of the network.

use std::path::Path;

use promptfed_nn::load::folder::read_checked;
use serde::Deserialize;

use super::activation::TimeActivation;
use super::numbers::{PerLevel, Size};
use crate::Result;
use crate::engines::sd::keys::{Keys, Others};

/// The keys of a `unet/config.json` that change the network, with diffusers' defaults; the others are harmless or refused.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct UNetConfig {
    /// Height and width of the latents that the weights were trained on.
    pub sample_size: Size,
    /// Channels of the latents.
    pub in_channels: usize,
    /// Channels of the prediction.
    pub out_channels: usize,
    /// Whether cosines stand before sines in the embedding of the timestep.
    pub flip_sin_to_cos: bool,
    /// Shifts the frequencies of that embedding.
    pub freq_shift: f32,
    /// The way down.
    pub down_block_types: Vec<DownBlockType>,
    /// The bottom, where there is one.
    pub mid_block_type: Option<MidBlockType>,
    /// The way up.
    pub up_block_types: Vec<UpBlockType>,
    /// Channels of every level.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks of every level on the way down; one more on the way up.
    pub layers_per_block: PerLevel,
    /// Groups of the group normalisations.
    pub norm_num_groups: usize,
    /// Added to their variances in the residual blocks.
    pub norm_eps: f32,
    /// Width of a prompt's tokens.
    pub cross_attention_dim: PerLevel,
    /// Transformer blocks in a row.
    pub transformer_layers_per_block: PerLevel,
    /// Attention heads, in spite of its name (see diffusers issue 2011).
    pub attention_head_dim: PerLevel,
    /// Whether a transformer's way in and out are linear layers rather than convolutions of kernel 1.
    pub use_linear_projection: bool,
    /// What conditions the network beside timestep and tokens.
    pub addition_embed_type: Option<AdditionEmbedType>,
    /// Width of the embedding of one number of a picture's sizes.
    pub addition_time_embed_dim: Option<usize>,
    /// Width of the pooled prompt and of the embedded sizes together.
    pub projection_class_embeddings_input_dim: Option<usize>,
    /// Width of the embedded guidance scale, for networks that were distilled over guidance scales (Meng et al. 2023).
    pub time_cond_proj_dim: Option<usize>,
    /// Width of the embedded timestep; four times the channels of the first level where it is left out.
    pub time_embedding_dim: Option<usize>,
    /// What follows the two linear layers of the embedded timestep.
    pub timestep_post_act: Option<TimeActivation>,
    /// What follows the sum of all embeddings, before the SiLU of the residual blocks.
    pub time_embedding_act_fn: Option<TimeActivation>,
    #[serde(flatten)]
    others: Others,
}

impl Default for UNetConfig {
    fn default() -> Self {
        use DownBlockType::{CrossAttnDownBlock2D, DownBlock2D};
        use UpBlockType::{CrossAttnUpBlock2D, UpBlock2D};
        Self {
            sample_size: Size::One(64),
            in_channels: 4,
            out_channels: 4,
            flip_sin_to_cos: true,
            freq_shift: 0.0,
            down_block_types: vec![
                CrossAttnDownBlock2D,
                CrossAttnDownBlock2D,
                CrossAttnDownBlock2D,
                DownBlock2D,
            ],
            mid_block_type: Some(MidBlockType::UNetMidBlock2DCrossAttn),
            up_block_types: vec![
                UpBlock2D,
                CrossAttnUpBlock2D,
                CrossAttnUpBlock2D,
                CrossAttnUpBlock2D,
            ],
            block_out_channels: vec![320, 640, 1280, 1280],
            layers_per_block: PerLevel::Same(2),
            norm_num_groups: 32,
            norm_eps: 1e-5,
            cross_attention_dim: PerLevel::Same(1280),
            transformer_layers_per_block: PerLevel::Same(1),
            attention_head_dim: PerLevel::Same(8),
            use_linear_projection: false,
            addition_embed_type: None,
            addition_time_embed_dim: None,
            projection_class_embeddings_input_dim: None,
            time_cond_proj_dim: None,
            time_embedding_dim: None,
            timestep_post_act: None,
            time_embedding_act_fn: None,
            others: Others::new(),
        }
    }
}

/// A level on the way down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum DownBlockType {
    /// Residual blocks.
    DownBlock2D,
    /// Residual blocks, each with transformer blocks behind it.
    CrossAttnDownBlock2D,
}

/// The bottom of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum MidBlockType {
    /// A residual block, transformer blocks, a residual block.
    UNetMidBlock2DCrossAttn,
}

/// A level on the way up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum UpBlockType {
    /// Residual blocks.
    UpBlock2D,
    /// Residual blocks, each with transformer blocks behind it.
    CrossAttnUpBlock2D,
}

/// What conditions a network beside timestep and tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdditionEmbedType {
    /// The pooled prompt and the picture's sizes (Podell et al. 2023, section 2.2).
    TextTime,
}

/// The keys of diffusers' `UNet2DConditionModel` that are not read, and those that its `EMAModel` writes beside them.
const KEYS: Keys = Keys {
    fixed: &[
        ("act_fn", "\"silu\""),
        ("attention_type", "\"default\""),
        ("center_input_sample", "false"),
        ("class_embed_type", "null"),
        ("class_embeddings_concat", "false"),
        ("conv_in_kernel", "3"),
        ("conv_out_kernel", "3"),
        ("downsample_padding", "1"),
        ("dual_cross_attention", "false"),
        ("encoder_hid_dim", "null"),
        ("encoder_hid_dim_type", "null"),
        ("mid_block_scale_factor", "1"),
        // diffusers refuses it too: see its issue 2011.
        ("num_attention_heads", "null"),
        ("num_class_embeds", "null"),
        ("only_cross_attention", "false"),
        ("quantization_config", "null"),
        ("resnet_out_scale_factor", "1"),
        ("resnet_skip_time_act", "false"),
        ("resnet_time_scale_shift", "\"default\""),
        ("reverse_transformer_layers_per_block", "null"),
        ("time_embedding_type", "\"positional\""),
    ],
    harmless: &[
        // Of other blocks and embeddings than those that are offered.
        "addition_embed_type_num_heads",
        "cross_attention_norm",
        "mid_block_only_cross_attention",
        // Of training.
        "decay",
        "dropout",
        "inv_gamma",
        "min_decay",
        "optimization_step",
        "power",
        "update_after_step",
        "use_ema_warmup",
        // Attention scores are f32 in every precision.
        "upcast_attention",
    ],
};

impl UNetConfig {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// A key with an impossible value, or one that asks for a network that is not offered; the message names file and key.
    pub fn read(file: &Path) -> Result<Self> {
        Ok(read_checked(file, Self::fault)?)
    }

    /// Width of the timestep's embedding inside the network.
    pub fn time_width(&self) -> usize {
        self.time_embedding_dim
            .unwrap_or(4 * self.block_out_channels[0])
    }

    /// Attention heads of a level.
    pub fn heads(&self, level: usize) -> usize {
        self.attention_head_dim.at(level)
    }

    /// Whether the network is one of Stable Diffusion XL, which sees the pooled prompt and the picture's sizes.
    pub fn is_xl(&self) -> bool {
        self.addition_embed_type.is_some()
    }

    /// How many times smaller the lowest level is than the latents.
    pub fn reduction(&self) -> usize {
        1 << (self.block_out_channels.len() - 1)
    }

    fn fault(&self) -> Option<String> {
        if let Some(fault) = KEYS.fault(&self.others) {
            return Some(fault);
        }
        let levels = self.block_out_channels.len();
        if levels == 0
            || self.down_block_types.len() != levels
            || self.up_block_types.len() != levels
        {
            return Some(format!(
                "block_out_channels, down_block_types and up_block_types have {levels}, {} and {} entries; they have the same number",
                self.down_block_types.len(),
                self.up_block_types.len()
            ));
        }
        let lists = [
            ("layers_per_block", &self.layers_per_block),
            ("cross_attention_dim", &self.cross_attention_dim),
            (
                "transformer_layers_per_block",
                &self.transformer_layers_per_block,
            ),
            ("attention_head_dim", &self.attention_head_dim),
        ];
        for (key, list) in lists {
            if !list.fits(levels) {
                return Some(format!(
                    "{key} is {list}; it is a positive number or {levels} of them"
                ));
            }
        }
        if self.time_embedding_dim == Some(0) {
            return Some("time_embedding_dim is 0; it is a positive number".into());
        }
        for (level, channels) in self.block_out_channels.iter().enumerate() {
            let (groups, heads) = (self.norm_num_groups, self.heads(level));
            if groups == 0 || *channels == 0 || channels % groups != 0 || channels % heads != 0 {
                return Some(format!(
                    "block_out_channels has {channels}, which {groups} groups and {heads} heads do not divide"
                ));
            }
        }
        if !self.block_out_channels[0].is_multiple_of(2) {
            return Some("block_out_channels begins with an odd number".into());
        }
        if self.in_channels != 4 || self.out_channels != 4 {
            return Some(format!(
                "it has {} channels in and {} out; only text-to-image models with 4 and 4 are offered",
                self.in_channels, self.out_channels
            ));
        }
        match (self.addition_embed_type, self.addition_time_embed_dim) {
            (Some(AdditionEmbedType::TextTime), None | Some(0)) => {
                Some("addition_embed_type is text_time but addition_time_embed_dim is missing".into())
            }
            (Some(AdditionEmbedType::TextTime), _)
                if self.projection_class_embeddings_input_dim.is_none() =>
            {
                Some("addition_embed_type is text_time but projection_class_embeddings_input_dim is missing".into())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(keys: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.json");
        std::fs::write(&file, keys).unwrap();
        let error = UNetConfig::read(&file).unwrap_err().to_string();
        assert!(error.contains("config.json"), "{error}");
        error
    }

    #[test]
    fn what_is_not_offered_is_named_in_words() {
        for (keys, parts) in [
            (
                r#"{"num_attention_heads": 8}"#,
                ["num_attention_heads is 8", "only null"],
            ),
            (
                r#"{"class_embeddings_concat": true}"#,
                ["class_embeddings_concat", "only false"],
            ),
            (
                r#"{"layers_per_block": [0, 1, 2]}"#,
                ["layers_per_block is [0, 1, 2];", "4 of them"],
            ),
            (
                r#"{"layers_per_block": [[1], 2]}"#,
                ["key layers_per_block", "a list with one for each level"],
            ),
            (
                r#"{"sample_size": null}"#,
                ["key sample_size", "height and width"],
            ),
            (
                r#"{"timestep_post_act": "tanh"}"#,
                ["timestep_post_act", "no activation \"tanh\""],
            ),
            (
                r#"{"time_embedding_dim": 0}"#,
                ["time_embedding_dim is 0", "positive"],
            ),
            (
                r#"{"of_tomorrow": true}"#,
                ["of_tomorrow is not known", "take it out"],
            ),
        ] {
            let error = fault(keys);
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
            for debris in ["untagged", "Some(", "Each("] {
                assert!(!error.contains(debris), "{error}");
            }
        }
    }

    #[test]
    fn keys_of_training_and_of_other_blocks_are_harmless() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.json");
        let keys = r#"{"_name_or_path": "x", "dropout": 0.1, "decay": 0.9999, "upcast_attention": true,
            "addition_embed_type_num_heads": 64, "only_cross_attention": [false, false], "time_embedding_dim": 100,
            "time_embedding_act_fn": "Swish", "num_attention_heads": null}"#;
        std::fs::write(&file, keys).unwrap();
        let config = UNetConfig::read(&file).unwrap();
        assert_eq!(config.time_width(), 100);
        assert_eq!(config.time_embedding_act_fn, Some(TimeActivation::Silu));
        assert_eq!(config.timestep_post_act, None);
    }
}
