//! BLIP's text decoder: BERT's blocks (Devlin et al. 2019), causal, each with cross-attention to the image (Li et al. 2022,
//! section 3.1).

use candle_core::{Device, IndexOp, Tensor};
use promptfed_nn::attention::{Mask, attention};
use promptfed_nn::layer_norm::AffineLayerNorm;
use promptfed_nn::linear::{Bias, Linear};
use promptfed_nn::load::Loader;

use super::config::TextConfig;
use crate::transformer::HiddenAct;
use crate::{Error, Result};

pub(super) struct Decoder {
    /// [vocabulary, d]
    words: Tensor,
    /// [positions, d]
    positions: Tensor,
    norm: AffineLayerNorm,
    blocks: Vec<Block>,
    transform: Linear,
    transform_norm: AffineLayerNorm,
    /// [d, vocabulary]
    output: Tensor,
    /// [vocabulary]
    output_bias: Tensor,
    heads: usize,
    activation: HiddenAct,
}

/// What every block sees of one image.
pub(super) struct Sight(Vec<(Tensor, Tensor)>);

struct Block {
    own: Attention,
    cross: Attention,
    inner: Linear,
    out: Linear,
    norm: AffineLayerNorm,
}

/// Attention, its output's projection, and the normalisation of the sum with its input.
struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    norm: AffineLayerNorm,
}

impl Attention {
    fn load(loader: &mut Loader, name: &str, d: usize, seen: usize, eps: f32) -> Result<Self> {
        let mut linear = |part: &str, inputs| {
            Linear::load(loader, &format!("{name}.{part}"), inputs, d, Bias::Present)
        };
        Ok(Self {
            query: linear("self.query", d)?,
            key: linear("self.key", seen)?,
            value: linear("self.value", seen)?,
            out: linear("output.dense", d)?,
            norm: AffineLayerNorm::load(loader, &format!("{name}.output.LayerNorm"), d, eps)?,
        })
    }

    fn sees(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
        Ok((self.key.forward(x)?, self.value.forward(x)?))
    }

    fn forward(
        &self,
        x: &Tensor,
        (key, value): &(Tensor, Tensor),
        heads: usize,
        mask: Mask,
    ) -> Result<Tensor> {
        let mixed = attention(
            &self.query.forward(x)?,
            key,
            value,
            heads,
            mask,
            self.query.precision(),
        )?;
        Ok(self.norm.forward(&self.out.forward_added(&mixed, x)?)?)
    }
}

impl Decoder {
    /// Takes the tensors `text_decoder.*`; `seen` is the width of image features.
    pub(super) fn load(loader: &mut Loader, config: &TextConfig, seen: usize) -> Result<Self> {
        const HEAD: &str = "text_decoder.cls.predictions";
        let (d, eps) = (config.hidden_size, config.layer_norm_eps);
        let at = |name: &str| format!("text_decoder.bert.{name}");
        let vocabulary = config.vocab_size;
        let words = loader.tensor(&at("embeddings.word_embeddings.weight"), &[vocabulary, d])?;
        let positions = loader.tensor(
            &at("embeddings.position_embeddings.weight"),
            &[config.max_position_embeddings, d],
        )?;
        let norm = AffineLayerNorm::load(loader, &at("embeddings.LayerNorm"), d, eps)?;
        let mut blocks = Vec::with_capacity(config.num_hidden_layers);
        for i in 0..config.num_hidden_layers {
            let at = |name: &str| format!("text_decoder.bert.encoder.layer.{i}.{name}");
            let inner = config.intermediate_size;
            blocks.push(Block {
                own: Attention::load(loader, &at("attention"), d, d, eps)?,
                cross: Attention::load(loader, &at("crossattention"), d, seen, eps)?,
                inner: Linear::load(loader, &at("intermediate.dense"), d, inner, Bias::Present)?,
                out: Linear::load(loader, &at("output.dense"), inner, d, Bias::Present)?,
                norm: AffineLayerNorm::load(loader, &at("output.LayerNorm"), d, eps)?,
            });
        }
        let transform = format!("{HEAD}.transform.dense");
        let transform_norm = format!("{HEAD}.transform.LayerNorm");
        let transform = Linear::load(loader, &transform, d, d, Bias::Present)?;
        let transform_norm = AffineLayerNorm::load(loader, &transform_norm, d, eps)?;
        // Files keep the output's tied weight and bias under one of their names or both.
        let weight = format!("{HEAD}.decoder.weight");
        let output = match loader.shape(&weight).is_some() {
            true => loader.tensor(&weight, &[vocabulary, d])?,
            false => words.clone(),
        };
        let bias = ["bias", "decoder.bias"].map(|name| format!("{HEAD}.{name}"));
        let kept = bias.iter().find(|name| loader.shape(name).is_some());
        let output_bias = loader.tensor(kept.unwrap_or(&bias[0]), &[vocabulary])?;
        loader.ignore(|name| bias.iter().any(|b| b == name));
        loader.ignore(|name| name.ends_with("embeddings.position_ids"));
        Ok(Self {
            words,
            positions,
            norm,
            blocks,
            transform,
            transform_norm,
            output: output.t()?.contiguous()?,
            output_bias,
            heads: config.num_attention_heads,
            activation: config.hidden_act,
        })
    }

    /// Most tokens of a caption.
    pub(super) fn longest(&self) -> usize {
        self.positions.dims()[0]
    }

    /// Prepares what the blocks see of image features [1, patches, d].
    pub(super) fn see(&self, image: &Tensor) -> Result<Sight> {
        let keys = self.blocks.iter().map(|block| block.cross.sees(image));
        Ok(Sight(keys.collect::<Result<_>>()?))
    }

    /// [ids, vocabulary]
    pub(super) fn logits(&self, ids: &[u32], sight: &Sight) -> Result<Tensor> {
        let vocabulary = self.words.dim(0)?;
        if ids.is_empty()
            || ids.len() > self.longest()
            || ids.iter().any(|id| *id as usize >= vocabulary)
        {
            return Err(Error::Input(format!(
                "{} ids; give 1 to {} below {vocabulary}",
                ids.len(),
                self.longest()
            )));
        }
        let x = self
            .words
            .index_select(&Tensor::new(ids, &Device::Cpu)?, 0)?
            .broadcast_add(&self.positions.i(..ids.len())?)?
            .unsqueeze(0)?;
        let mut x = self.norm.forward(&x)?;
        let act = self.activation.activation();
        for (block, seen) in self.blocks.iter().zip(&sight.0) {
            let own = block.own.sees(&x)?;
            x = block.own.forward(&x, &own, self.heads, Mask::Causal)?;
            x = block.cross.forward(&x, seen, self.heads, Mask::None)?;
            let h = block.inner.forward_activated(&x, act)?;
            x = block.norm.forward(&block.out.forward_added(&h, &x)?)?;
        }
        let h = self.transform.forward_activated(&x, act)?;
        let h = self.transform_norm.forward(&h)?.squeeze(0)?;
        Ok(h.matmul(&self.output)?.broadcast_add(&self.output_bias)?)
    }
}
