//! CLIP's text encoder (Radford et al. 2021, section 2.4), as Stable Diffusion uses it.

use std::path::Path;

use candle_core::{Device, IndexOp, Tensor};
use promptfed_nn::attention::{Mask, attention};
use promptfed_nn::layer_norm::AffineLayerNorm;
use promptfed_nn::linear::{Bias, Linear};
use promptfed_nn::load::Loader;
use promptfed_nn::{Activation, Result};
use serde::Deserialize;

use super::folder::model_fault;

/// The shape of a text encoder, as its `config.json` says.
#[derive(Clone, Debug, PartialEq, Deserialize)]
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
    /// Most tokens of a prompt.
    pub max_position_embeddings: usize,
    /// The perceptron's activation.
    pub hidden_act: HiddenAct,
    /// Added to variances.
    #[serde(default = "default_eps")]
    pub layer_norm_eps: f32,
    /// Width of the pooled vector after its projection.
    #[serde(default = "default_projection")]
    pub projection_dim: usize,
    /// The token whose features are pooled; see [`TextEncoder::encode`] for 2.
    #[serde(default = "default_end")]
    pub eos_token_id: u32,
}

fn default_eps() -> f32 {
    1e-5
}

fn default_projection() -> usize {
    512
}

fn default_end() -> u32 {
    49407
}

/// The activation inside a text encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HiddenAct {
    /// x sigmoid(1.702 x), of OpenAI's models.
    QuickGelu,
    /// x Phi(x), of OpenCLIP's.
    Gelu,
}

impl HiddenAct {
    fn activation(self) -> Activation {
        match self {
            HiddenAct::QuickGelu => Activation::QuickGelu,
            HiddenAct::Gelu => Activation::GeluErf,
        }
    }
}

impl TextConfig {
    /// Checks what the layers rely on; `file` is where the configuration stands.
    ///
    /// # Errors
    /// If a size is zero or the heads do not divide the width.
    pub fn check(&self, file: &Path) -> crate::Result<()> {
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("max_position_embeddings", self.max_position_embeddings),
        ];
        if let Some((key, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return Err(model_fault(
                file,
                format!("{key} is 0; restore the file of this model"),
            ));
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Err(model_fault(
                file,
                format!(
                    "num_attention_heads {} does not divide hidden_size {}; restore the file of this model",
                    self.num_attention_heads, self.hidden_size
                ),
            ));
        }
        Ok(())
    }
}

/// Which features of the tokens the UNet was trained with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Features {
    /// Those of the last block, normalised: Stable Diffusion 1 and 2.
    Last,
    /// Those of the block before, as they are: Stable Diffusion XL.
    Penultimate,
}

/// What an encoder makes of prompts.
pub struct TextFeatures {
    /// [prompts, tokens, d]
    pub tokens: Tensor,
    /// The features of the end token, projected where the encoder has a projection: [prompts, d].
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
    blocks: Vec<Block>,
    final_norm: AffineLayerNorm,
    projection: Option<Linear>,
    device: Device,
}

struct Block {
    norm1: AffineLayerNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    norm2: AffineLayerNorm,
    fc1: Linear,
    fc2: Linear,
}

impl TextEncoder {
    /// Takes the encoder's tensors, `text_projection` among them where the file has it.
    ///
    /// # Errors
    /// See [`Loader::tensor`].
    pub fn load(loader: &mut Loader, config: &TextConfig, features: Features) -> Result<Self> {
        // Old files keep the numbers 0, 1, 2, .. as a tensor.
        loader.ignore(|name| name.ends_with("embeddings.position_ids") || name == "logit_scale");
        let nested = loader
            .remaining()
            .any(|name| name.starts_with("text_model."));
        let prefix = if nested { "text_model." } else { "" };
        let (d, inner) = (config.hidden_size, config.intermediate_size);
        let at = |name: &str| format!("{prefix}{name}");
        let kept = loader.activations();
        let tokens = loader
            .tensor(
                &at("embeddings.token_embedding.weight"),
                &[config.vocab_size, d],
            )?
            .to_dtype(kept)?;
        let positions = loader
            .tensor(
                &at("embeddings.position_embedding.weight"),
                &[config.max_position_embeddings, d],
            )?
            .to_dtype(kept)?;
        let mut blocks = Vec::with_capacity(config.num_hidden_layers);
        for i in 0..config.num_hidden_layers {
            let at = |name: &str| format!("{prefix}encoder.layers.{i}.{name}");
            let eps = config.layer_norm_eps;
            let mut linear = |name: &str, inputs, outputs| {
                Linear::load(loader, &at(name), inputs, outputs, Bias::Present)
            };
            let query = linear("self_attn.q_proj", d, d)?;
            let key = linear("self_attn.k_proj", d, d)?;
            let value = linear("self_attn.v_proj", d, d)?;
            let out = linear("self_attn.out_proj", d, d)?;
            let fc1 = linear("mlp.fc1", d, inner)?;
            let fc2 = linear("mlp.fc2", inner, d)?;
            blocks.push(Block {
                norm1: AffineLayerNorm::load(loader, &at("layer_norm1"), d, eps)?,
                query,
                key,
                value,
                out,
                norm2: AffineLayerNorm::load(loader, &at("layer_norm2"), d, eps)?,
                fc1,
                fc2,
            });
        }
        let final_norm =
            AffineLayerNorm::load(loader, &at("final_layer_norm"), d, config.layer_norm_eps)?;
        let projected = loader.shape("text_projection.weight").is_some();
        let projection = projected
            .then(|| {
                Linear::load(
                    loader,
                    "text_projection",
                    d,
                    config.projection_dim,
                    Bias::Absent,
                )
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

    /// Encodes prompts of one length in ids.
    ///
    /// Pooled are the features of the first `eos_token_id`. Configurations from before transformers 4.31 say 2 there,
    /// which no prompt holds: the largest id stands for it, as in transformers.
    ///
    /// # Errors
    /// If the prompts differ in length or an id is outside the vocabulary.
    pub fn encode(&self, prompts: &[Vec<u32>]) -> Result<TextFeatures> {
        let length = prompts.first().map_or(0, Vec::len);
        let ids = Tensor::from_vec(prompts.concat(), (prompts.len() * length,), &self.device)?;
        let d = self.config.hidden_size;
        let mut x = self
            .tokens
            .index_select(&ids, 0)?
            .reshape((prompts.len(), length, d))?
            .broadcast_add(&self.positions.i(..length)?)?;
        let mut before = x.clone();
        let act = self.config.hidden_act.activation();
        let last_matters = self.features == Features::Last || self.projection.is_some();
        for (i, block) in self.blocks.iter().enumerate() {
            before = x.clone();
            if i + 1 < self.blocks.len() || last_matters {
                x = block.forward(&x, self.config.num_attention_heads, act)?;
            }
        }
        let last = self.final_norm.forward(&x)?;
        let pooled = match &self.projection {
            None => None,
            Some(projection) => {
                let rows = prompts
                    .iter()
                    .enumerate()
                    .map(|(i, ids)| last.i((i, self.end_of(ids))))
                    .collect::<candle_core::Result<Vec<_>>>()?;
                Some(projection.forward(&Tensor::stack(&rows, 0)?)?)
            }
        };
        let tokens = match self.features {
            Features::Last => last,
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

impl Block {
    fn forward(&self, x: &Tensor, heads: usize, act: Activation) -> Result<Tensor> {
        let h = self.norm1.forward(x)?;
        let mixed = attention(
            &self.query.forward(&h)?,
            &self.key.forward(&h)?,
            &self.value.forward(&h)?,
            heads,
            Mask::Causal,
            self.query.precision(),
        )?;
        let x = self.out.forward_added(&mixed, x)?;
        let h = self.fc1.forward_activated(&self.norm2.forward(&x)?, act)?;
        self.fc2.forward_added(&h, &x)
    }
}
