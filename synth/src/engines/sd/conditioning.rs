//! Prompts to what the UNet sees of them.

use candle_core::{Device, Tensor};
use promptfed_vision::text_encoder::{Features, Projection, TextEncoder, TextFeatures};

use super::faults::{all, both};
use super::folder::{Folder, ZERO_EMPTY};
use super::loading::LoadOptions;
use super::long_prompts::LongPrompts;
use super::lora::{Adapter, Network, Target};
use super::text_config::read_text_config;
use super::tokenizer::Tokenizer;
use super::unet::UNetConfig;
use crate::error::model_fault;
use crate::{Error, Result};

/// What the UNet sees of one prompt.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// The features of the tokens, those of all encoders side by side: [tokens, d].
    pub tokens: Tensor,
    /// The pooled features of the last encoder, where it has a projection: [d].
    pub pooled: Option<Tensor>,
}

/// A tokenizer and its encoder.
struct Stage {
    tokenizer: Tokenizer,
    encoder: TextEncoder,
    weights: blake3::Hash,
}

impl Stage {
    fn load(
        folder: &Folder,
        tokenizer: &str,
        network: Network,
        features: Features,
        adapters: &[Adapter],
        options: &LoadOptions,
    ) -> Result<Self> {
        let encoder = network.component();
        let file = folder.path(encoder, "config.json");
        let config = read_text_config(&file, features)?;
        let tokenizer =
            Tokenizer::open(&folder.path(tokenizer, ""), config.max_position_embeddings)?;
        if tokenizer.vocabulary() > config.vocab_size {
            return Err(model_fault(
                tokenizer.file(),
                format!(
                    "it has {} tokens and the text encoder {}; use the tokenizer of this model",
                    tokenizer.vocabulary(),
                    config.vocab_size
                ),
            ));
        }
        let mut loader = folder.weights(encoder, options.precision, &options.device)?;
        let target = Target {
            network,
            layers: 0,
            weights: &|| folder.weights(encoder, options.precision, &Device::Cpu),
        };
        let applied = target.apply(adapters, &mut loader);
        let applied = all(folder.root(), applied);
        let encoder = TextEncoder::load(&mut loader, &config, features, Projection::WherePresent)?;
        let weights = loader.finish().map_err(Error::from);
        let (_, weights) = both(folder.root(), applied, weights)?;
        Ok(Self {
            tokenizer,
            encoder,
            weights,
        })
    }
}

/// The text encoders of a model: one, or two for Stable Diffusion XL.
pub struct TextStages {
    stages: Vec<Stage>,
    /// Whether no negative prompt means zeros rather than an empty text.
    zero_without_negative: bool,
    long_prompts: LongPrompts,
}

impl TextStages {
    /// Loads tokenizers and encoders and checks that they fit the UNet.
    ///
    /// # Errors
    /// If a file is missing or not what it should be, or the widths do not fit the UNet.
    pub fn load(
        folder: &Folder,
        unet: &UNetConfig,
        adapters: &[Adapter],
        options: &LoadOptions,
    ) -> Result<Self> {
        let is_xl = folder.has("text_encoder_2");
        let names: &[(&str, Network)] = if is_xl {
            &[
                ("tokenizer", Network::TextEncoder),
                ("tokenizer_2", Network::TextEncoder2),
            ]
        } else {
            &[("tokenizer", Network::TextEncoder)]
        };
        let features = if is_xl {
            Features::Penultimate
        } else {
            Features::Last
        };
        let stages = names.iter().map(|(tokenizer, network)| {
            Stage::load(folder, tokenizer, *network, features, adapters, options)
        });
        let stages = all(folder.root(), stages)?;
        let stages = Self {
            stages,
            zero_without_negative: is_xl && folder.switch(ZERO_EMPTY).unwrap_or(true),
            long_prompts: options.long_prompts,
        };
        stages.check_widths(folder, unet)?;
        Ok(stages)
    }

    fn check_widths(&self, folder: &Folder, unet: &UNetConfig) -> Result<()> {
        let file = folder.path("unet", "config.json");
        let is_xl = self.stages.len() > 1;
        if is_xl != unet.is_xl() {
            let (is, encoders) = if is_xl {
                ("null", "two")
            } else {
                ("text_time", "one")
            };
            return Err(model_fault(
                &file,
                format!(
                    "addition_embed_type is {is} and model_index.json lists {encoders} of text_encoder and text_encoder_2; use the UNet and the encoders of the same model"
                ),
            ));
        }
        let width: usize = self.stages.iter().map(|s| s.encoder.width()).sum();
        if let Some(level) =
            (0..unet.block_out_channels.len()).find(|i| unet.cross_attention_dim.at(*i) != width)
        {
            return Err(model_fault(
                &file,
                format!(
                    "cross_attention_dim is {} and the text encoders give {width}; use the text encoders of this model",
                    unet.cross_attention_dim.at(level)
                ),
            ));
        }
        let pooled = self.stages.last().and_then(|s| s.encoder.pooled_width());
        let wanted = unet
            .projection_class_embeddings_input_dim
            .zip(unet.addition_time_embed_dim)
            .filter(|_| unet.addition_embed_type.is_some())
            .map(|(all, size)| all.saturating_sub(6 * size));
        if wanted.is_some() && wanted != pooled {
            return Err(model_fault(
                &file,
                format!(
                    "projection_class_embeddings_input_dim leaves {} for the pooled prompt and the text encoder gives {}; use the text encoders of this model",
                    wanted.unwrap_or(0),
                    pooled.map_or("none".into(), |p| p.to_string())
                ),
            ));
        }
        Ok(())
    }

    /// A hash over the weights of all encoders.
    pub(super) fn weights_hash(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        for stage in &self.stages {
            hasher.update(stage.weights.as_bytes());
        }
        hasher.finalize()
    }

    /// How many windows a prompt is read in: as many as it takes and are read, of the encoder that needs more.
    ///
    /// # Errors
    /// If the prompt cannot be tokenised.
    pub fn windows(&self, prompt: &str) -> Result<usize> {
        let most = self.long_prompts.most_windows();
        let mut windows = 1;
        if most > 1 {
            for stage in &self.stages {
                windows = windows.max(stage.tokenizer.windows(prompt)?);
            }
        }
        Ok(windows.min(most))
    }

    /// The ids that each encoder reads a prompt as, window behind window.
    ///
    /// # Errors
    /// If the prompt cannot be tokenised.
    pub fn token_ids(&self, prompt: &str) -> Result<Vec<Vec<u32>>> {
        let windows = self.windows(prompt)?;
        let ids = |stage: &Stage| Ok(stage.tokenizer.encode_in(prompt, windows)?.concat());
        self.stages.iter().map(ids).collect()
    }

    /// The end of a prompt that no encoder reads.
    pub fn cut<'t>(&self, prompt: &'t str) -> Option<&'t str> {
        let most = self.long_prompts.most_windows();
        let cuts: Option<Vec<&str>> = self
            .stages
            .iter()
            .map(|stage| stage.tokenizer.cut(prompt, most))
            .collect();
        cuts?.into_iter().min_by_key(|cut| cut.len())
    }

    /// Encodes a prompt in the windows that it takes.
    ///
    /// # Errors
    /// If the prompt cannot be tokenised.
    pub fn encode(&self, prompt: &str) -> Result<Prompt> {
        self.encode_in(prompt, self.windows(prompt)?)
    }

    /// Encodes a prompt in so many windows, 1 or more.
    ///
    /// # Errors
    /// If the prompt cannot be tokenised.
    pub fn encode_in(&self, prompt: &str, windows: usize) -> Result<Prompt> {
        let mut tokens = Vec::new();
        let mut last = None;
        for stage in &self.stages {
            let mut features = Vec::new();
            let mut first = None;
            // One after the other, so that no window depends on those beside it.
            for ids in stage.tokenizer.encode_in(prompt, windows)? {
                let TextFeatures { tokens: t, pooled } = stage.encoder.encode(&[ids])?;
                features.push(t.squeeze(0)?);
                first = first.or(pooled);
            }
            tokens.push(Tensor::cat(&features, 0)?);
            last = first;
        }
        Ok(Prompt {
            tokens: Tensor::cat(&tokens, 1)?,
            pooled: last.map(|p| p.squeeze(0)).transpose()?,
        })
    }

    /// What guidance leads away from without a negative prompt, in so many windows: an empty text, or zeros where the folder says so. An empty
    /// text that is asked for is never zeros, as in diffusers.
    ///
    /// # Errors
    /// If the empty text cannot be tokenised.
    pub fn encode_none(&self, windows: usize) -> Result<Prompt> {
        let encoded = self.encode_in("", windows)?;
        if !self.zero_without_negative {
            return Ok(encoded);
        }
        Ok(Prompt {
            tokens: encoded.tokens.zeros_like()?,
            pooled: encoded.pooled.map(|p| p.zeros_like()).transpose()?,
        })
    }
}
