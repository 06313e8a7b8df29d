//! CLIP's text encoder (Radford et al. 2021, section 2.4), for CLIP itself and for Stable Diffusion.

use candle_core::{Device, IndexOp, Tensor};
use promptfed_nn::Result;
use promptfed_nn::attention::Mask;
use promptfed_nn::layer_norm::AffineLayerNorm;
use promptfed_nn::linear::{Bias, Linear};
use promptfed_nn::load::Loader;
use serde::Deserialize;

pub use crate::transformer::HiddenAct;
use crate::transformer::{Blocks, Layout, Shape};

/// The shape of a text encoder, as its `config.json` says; what the file leaves out is as in transformers.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct TextConfig {
    /// Entries of the vocabulary.
    pub vocab_size: usize,
    /// Width of a token.
    pub hidden_size: usize,
    /// Width inside a block's perceptron.
    pub intermediate_size: usize,
    /// Blocks.
    pub num_hidden_layers: usize,
    /// Attention heads; divides `hidden_size`.
    pub num_attention_heads: usize,
    /// Most tokens of a text.
    pub max_position_embeddings: usize,
    /// The perceptron's activation.
    pub hidden_act: HiddenAct,
    /// Added to variances.
    pub layer_norm_eps: f32,
    /// Width of the pooled vector after its projection.
    pub projection_dim: usize,
    /// The token whose features are pooled; see [`TextEncoder::encode`] for 2.
    pub eos_token_id: u32,
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
            projection_dim: 512,
            eos_token_id: 49407,
        }
    }
}

impl TextConfig {
    /// What makes the shape impossible, if anything.
    pub fn fault(&self) -> Option<String> {
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
        ];
        if let Some((key, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return Some(format!("{key} is 0; restore the file of this model"));
        }
        if self.max_position_embeddings < 3 {
            return Some(format!(
                "max_position_embeddings {} leaves no room for words; restore the file of this model",
                self.max_position_embeddings
            ));
        }
        let (heads, d) = (self.num_attention_heads, self.hidden_size);
        (!d.is_multiple_of(heads)).then(|| {
            format!(
                "its {heads} heads do not divide hidden_size {d}; restore the file of this model"
            )
        })
    }
}

/// Which features of the tokens are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Features {
    /// Those of the last block, normalised: CLIP, Stable Diffusion 1 and 2.
    Last,
    /// Those of the block before, as they are: Stable Diffusion XL.
    Penultimate,
}

/// Whether the pooled features are projected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Projection {
    /// A file without the projection is at fault: CLIP.
    Needed,
    /// As the file says: Stable Diffusion.
    WherePresent,
}

/// What an encoder makes of texts.
pub struct TextFeatures {
    /// [texts, tokens, d]
    pub tokens: Tensor,
    /// The features of the end token, projected, where the encoder has a projection: [texts, projection_dim].
    pub pooled: Option<Tensor>,
}

/// A text encoder with its weights.
pub struct TextEncoder {
    config: TextConfig,
    features: Features,
    /// [vocabulary, d]
    tokens: Tensor,
    /// [positions, d]
    positions: Tensor,
    blocks: Blocks,
    final_norm: AffineLayerNorm,
    projection: Option<Linear>,
    device: Device,
}

impl TextEncoder {
    /// Takes the tensors `text_model.*`, in old files of Stable Diffusion without that prefix, and `text_projection`.
    ///
    /// # Errors
    /// See [`Loader::tensor`].
    pub fn load(
        loader: &mut Loader,
        config: &TextConfig,
        features: Features,
        projection: Projection,
    ) -> Result<Self> {
        // Old files keep the numbers 0, 1, 2, .. as a tensor.
        loader.ignore(|name| name.ends_with("embeddings.position_ids") || name == "logit_scale");
        let bare = loader
            .remaining()
            .any(|name| name.starts_with("embeddings."));
        let prefix = if bare { "" } else { "text_model." };
        let (d, eps) = (config.hidden_size, config.layer_norm_eps);
        let at = |name: &str| format!("{prefix}{name}");
        let kept = loader.activations();
        let mut embedding = |name: &str, rows| {
            let name = at(&format!("embeddings.{name}.weight"));
            Ok::<_, promptfed_nn::Error>(loader.tensor(&name, &[rows, d])?.to_dtype(kept)?)
        };
        let tokens = embedding("token_embedding", config.vocab_size)?;
        let positions = embedding("position_embedding", config.max_position_embeddings)?;
        let shape = Shape {
            width: d,
            inner: config.intermediate_size,
            blocks: config.num_hidden_layers,
            heads: config.num_attention_heads,
            activation: config.hidden_act,
            eps,
        };
        let blocks = Blocks::load(loader, &at("encoder.layers"), shape, Layout::Separate)?;
        let final_norm = AffineLayerNorm::load(loader, &at("final_layer_norm"), d, eps)?;
        let projects =
            projection == Projection::Needed || loader.shape("text_projection.weight").is_some();
        let projection = projects
            .then(|| {
                let outputs = config.projection_dim;
                Linear::load(loader, "text_projection", d, outputs, Bias::Absent)
            })
            .transpose()?;
        Ok(Self {
            config: config.clone(),
            features,
            tokens,
            positions,
            blocks,
            final_norm,
            projection,
            device: loader.device().clone(),
        })
    }

    /// Width of a token's features.
    pub fn width(&self) -> usize {
        self.config.hidden_size
    }

    /// Width of the projected vector, where the encoder has a projection.
    pub fn pooled_width(&self) -> Option<usize> {
        self.projection.as_ref().map(|_| self.config.projection_dim)
    }

    /// Encodes texts of one length in ids.
    ///
    /// Pooled are the features of the first `eos_token_id`. Configurations from before transformers 4.31 say 2 there,
    /// which no text holds: the largest id stands for it, as in transformers.
    ///
    /// # Errors
    /// If the texts differ in length or an id is outside the vocabulary.
    pub fn encode(&self, texts: &[Vec<u32>]) -> Result<TextFeatures> {
        let length = texts.first().map_or(0, Vec::len);
        let ids = Tensor::from_vec(texts.concat(), (texts.len() * length,), &self.device)?;
        let x = self
            .tokens
            .index_select(&ids, 0)?
            .reshape((texts.len(), length, self.config.hidden_size))?
            .broadcast_add(&self.positions.i(..length)?)?;
        let last = self.config.num_hidden_layers - 1;
        let before = self.blocks.run(0..last, &x, Mask::Causal)?;
        if self.features == Features::Penultimate && self.projection.is_none() {
            return Ok(TextFeatures {
                tokens: before,
                pooled: None,
            });
        }
        let x = self.blocks.run(last..last + 1, &before, Mask::Causal)?;
        let normed = self.final_norm.forward(&x)?;
        let pooled = match &self.projection {
            None => None,
            Some(projection) => {
                let rows = texts
                    .iter()
                    .enumerate()
                    .map(|(i, ids)| normed.i((i, self.end_of(ids))))
                    .collect::<candle_core::Result<Vec<_>>>()?;
                Some(projection.forward(&Tensor::stack(&rows, 0)?)?)
            }
        };
        let tokens = match self.features {
            Features::Last => normed,
            Features::Penultimate => before,
        };
        Ok(TextFeatures { tokens, pooled })
    }

    fn end_of(&self, ids: &[u32]) -> usize {
        let end = match self.config.eos_token_id {
            2 => ids.iter().copied().max().unwrap_or(0),
            end => end,
        };
        ids.iter().position(|id| *id == end).unwrap_or(0)
    }
}
