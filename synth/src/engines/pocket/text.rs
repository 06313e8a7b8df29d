//! The text encoder: a prompt's ids to what the image network sees of it.

use candle_core::{D, Device, Result, Tensor};
use promptfed_nn::attention::{cross_attention, self_attention};
use promptfed_nn::layer_norm::layer_norm;
use promptfed_nn::load::Loader;
use promptfed_nn::modulation::bias_gelu;

use super::config::Config;
use super::linear::Linear;

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
    pub(super) fn load(loader: &mut Loader, config: &Config) -> promptfed_nn::Result<Self> {
        let (width, d, k) = (config.text_width, config.d, config.text_tokens);
        let embedding = loader.tensor("text.tok.weight", &[config.vocab, width])?;
        let positions = loader.tensor("text.pos", &[config.text_len, width])?;
        let blocks = (0..config.text_depth)
            .map(|i| {
                let name = |part: &str| format!("text.blocks.{i}.{part}");
                Ok(Block {
                    qkv: Linear::load(loader, &name("qkv"), width, 3 * width)?,
                    proj: Linear::load(loader, &name("proj"), width, width)?,
                    fc1: Linear::load(loader, &name("fc1"), width, 4 * width)?,
                    fc2: Linear::load(loader, &name("fc2"), 4 * width, width)?,
                })
            })
            .collect::<promptfed_nn::Result<_>>()?;
        Ok(Self {
            embedding,
            positions,
            blocks,
            query: loader.tensor("text.query", &[k, width])?.unsqueeze(0)?,
            kv: Linear::load(loader, "text.kv", width, 2 * width)?,
            to_tokens: Linear::load(loader, "text.to_tokens", width, d)?,
            to_pooled: Linear::load(loader, "text.to_pooled", width, d)?,
            heads: config.text_heads,
        })
    }

    /// Encodes one prompt of `text_len` ids. Prompts are encoded one at a time so that the matrix shapes, and with
    /// them the last bits of the result, never depend on other prompts.
    pub(super) fn encode(&self, ids: &[u32]) -> Result<TextFeatures> {
        let ids = Tensor::from_slice(ids, ids.len(), &Device::Cpu)?;
        let mut x = (self.embedding.index_select(&ids, 0)? + &self.positions)?.unsqueeze(0)?;
        for block in &self.blocks {
            let qkv = block.qkv.product(&layer_norm(&x, EPS)?)?;
            let attended = self_attention(&qkv, &block.qkv.bias, self.heads)?;
            x = (x + block.proj.forward(&attended)?)?;
            let hidden = block.fc1.product(&layer_norm(&x, EPS)?)?;
            x = (x + block.fc2.forward(&bias_gelu(&hidden, &block.fc1.bias)?)?)?;
        }
        let x = layer_norm(&x, EPS)?;
        let kv = self.kv.forward(&x)?.chunk(2, D::Minus1)?;
        let tokens = cross_attention(&self.query, &kv[0], &kv[1], self.heads)?;
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
