//! The text encoder: a prompt's ids to what the image network sees of it.

use candle_core::{D, Tensor};
use promptfed_nn::attention::{Mask, attention, self_attention};
use promptfed_nn::layer_norm::layer_norm;
use promptfed_nn::linear::{Bias, Linear};
use promptfed_nn::load::Loader;
use promptfed_nn::{Activation, Result};

use super::config::Config;

pub(super) const EPS: f32 = 1e-6;

/// What the image network sees of one prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct TextFeatures {
    /// The prompt in one vector, [d].
    pub pooled: Vec<f32>,
    /// The prompt in a few tokens, [text_tokens, d].
    pub tokens: Vec<f32>,
}

struct Block {
    qkv: Linear,
    proj: Linear,
    fc1: Linear,
    fc2: Linear,
}

pub(super) struct TextEncoder {
    /// [vocab, width]
    embedding: Tensor,
    /// [length, width]
    positions: Tensor,
    blocks: Vec<Block>,
    /// [1, k, width]
    query: Tensor,
    kv: Linear,
    to_tokens: Linear,
    to_pooled: Linear,
    heads: usize,
}

impl TextEncoder {
    pub(super) fn load(loader: &mut Loader, config: &Config) -> Result<Self> {
        let (width, d, k) = (config.text_width, config.d, config.text_tokens);
        let embedding = loader.tensor("text.tok.weight", &[config.vocab, width])?;
        let positions = loader.tensor("text.pos", &[config.text_len, width])?;
        let blocks = (0..config.text_depth)
            .map(|i| {
                let name = |part: &str| format!("text.blocks.{i}.{part}");
                Ok(Block {
                    qkv: Linear::load(loader, &name("qkv"), width, 3 * width, Bias::Present)?,
                    proj: Linear::load(loader, &name("proj"), width, width, Bias::Present)?,
                    fc1: Linear::load(loader, &name("fc1"), width, 4 * width, Bias::Present)?,
                    fc2: Linear::load(loader, &name("fc2"), 4 * width, width, Bias::Present)?,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            embedding,
            positions,
            blocks,
            query: loader.tensor("text.query", &[k, width])?.unsqueeze(0)?,
            kv: Linear::load(loader, "text.kv", width, 2 * width, Bias::Present)?,
            to_tokens: Linear::load(loader, "text.to_tokens", width, d, Bias::Present)?,
            to_pooled: Linear::load(loader, "text.to_pooled", width, d, Bias::Present)?,
            heads: config.text_heads,
        })
    }

    /// Encodes one prompt of `text_len` ids. Prompts are encoded one at a time so that the matrix shapes, and with
    /// them the last bits of the result, never depend on other prompts.
    pub(super) fn encode(&self, ids: &[u32]) -> Result<TextFeatures> {
        let ids = Tensor::from_slice(ids, ids.len(), self.positions.device())?;
        let mut x = (self.embedding.index_select(&ids, 0)? + &self.positions)?.unsqueeze(0)?;
        for block in &self.blocks {
            let qkv = block.qkv.forward(&layer_norm(&x, EPS)?)?;
            let attended = self_attention(&qkv, self.heads, block.qkv.precision())?;
            x = block.proj.forward_added(&attended, &x)?;
            let normed = layer_norm(&x, EPS)?;
            let hidden = block.fc1.forward_activated(&normed, Activation::Gelu)?;
            x = block.fc2.forward_added(&hidden, &x)?;
        }
        let x = layer_norm(&x, EPS)?;
        let kv = self.kv.forward(&x)?.chunk(2, D::Minus1)?;
        let precision = self.kv.precision();
        let (key, value) = (&kv[0], &kv[1]);
        let tokens = attention(&self.query, key, value, self.heads, Mask::None, precision)?;
        Ok(TextFeatures {
            pooled: self
                .to_pooled
                .forward(&x.mean(1)?)?
                .flatten_all()?
                .to_vec1()?,
            tokens: self.to_tokens.forward(&tokens)?.flatten_all()?.to_vec1()?,
        })
    }
}
