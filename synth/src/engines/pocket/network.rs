//! The image network: noisy patches, a time and a prompt to clean patches.

use candle_core::{Device, Tensor};
use promptfed_nn::Activation;
use promptfed_nn::attention::self_attention;
use promptfed_nn::layer_norm::modulated_layer_norm;
use promptfed_nn::linear::{Bias, Linear};
use promptfed_nn::load::Loader;

use super::config::Config;
use super::text::{EPS, TextFeatures};
use promptfed_nn::Result;

/// Sines, and as many cosines, that encode the time.
const FREQUENCIES: usize = 128;

struct Block {
    qkv: Linear,
    proj: Linear,
    fc1: Linear,
    fc2: Linear,
    /// Offsets of this block on the shared modulation, [1, 6 d].
    ada: Tensor,
}

pub(super) struct Network {
    d: usize,
    heads: usize,
    patches: usize,
    patch_values: usize,
    text_tokens: usize,
    patch_in: Linear,
    /// [patches, d]
    positions: Tensor,
    t1: Linear,
    t2: Linear,
    ada: Linear,
    blocks: Vec<Block>,
    ada_out: Linear,
    patch_out: Linear,
}

/// The prompts of one batch.
pub(super) struct Conditions {
    /// [batch, d]
    pooled: Tensor,
    /// [batch, text_tokens, d]
    tokens: Tensor,
    /// Those of the patches for each prompt, [batch, patches, d].
    positions: Tensor,
}

impl Network {
    pub(super) fn load(loader: &mut Loader, config: &Config) -> Result<Self> {
        let (d, values) = (config.d, config.patch_values());
        let patch_in = Linear::load(loader, "patch_in", values, d, Bias::Present)?;
        let positions = loader.tensor("pos", &[config.patches(), d])?;
        let blocks = (0..config.depth)
            .map(|i| {
                let name = |part: &str| format!("blocks.{i}.{part}");
                Ok(Block {
                    qkv: Linear::load(loader, &name("qkv"), d, 3 * d, Bias::Present)?,
                    proj: Linear::load(loader, &name("proj"), d, d, Bias::Present)?,
                    fc1: Linear::load(loader, &name("fc1"), d, 4 * d, Bias::Present)?,
                    fc2: Linear::load(loader, &name("fc2"), 4 * d, d, Bias::Present)?,
                    ada: loader.tensor(&name("ada"), &[6, d])?.reshape((1, 6 * d))?,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            d,
            heads: config.heads,
            patches: config.patches(),
            patch_values: values,
            text_tokens: config.text_tokens,
            patch_in,
            positions,
            t1: Linear::load(loader, "t1", 2 * FREQUENCIES, d, Bias::Present)?,
            t2: Linear::load(loader, "t2", d, d, Bias::Present)?,
            ada: Linear::load(loader, "ada", d, 6 * d, Bias::Present)?,
            blocks,
            ada_out: Linear::load(loader, "ada_out", d, 2 * d, Bias::Present)?,
            patch_out: Linear::load(loader, "patch_out", d, values, Bias::Present)?,
        })
    }

    /// Where the weights are.
    pub(super) fn device(&self) -> &Device {
        self.positions.device()
    }

    /// Puts the features of a batch's prompts side by side.
    pub(super) fn conditions<'a>(
        &self,
        prompts: impl Iterator<Item = &'a TextFeatures>,
    ) -> Result<Conditions> {
        let (mut pooled, mut tokens) = (Vec::new(), Vec::new());
        for prompt in prompts {
            pooled.extend_from_slice(&prompt.pooled);
            tokens.extend_from_slice(&prompt.tokens);
        }
        let batch = pooled.len() / self.d;
        let positions = self.positions.unsqueeze(0)?;
        let places = (batch, self.patches, self.d);
        Ok(Conditions {
            positions: positions.broadcast_as(places)?.contiguous()?,
            pooled: Tensor::from_vec(pooled, (batch, self.d), self.device())?,
            tokens: Tensor::from_vec(tokens, (batch, self.text_tokens, self.d), self.device())?,
        })
    }

    /// Predicts the clean patches of a batch at one time.
    ///
    /// `z` holds the noisy patches, [batch, patches, patch values]; `t` runs from 0 (noise) to 1 (image).
    pub(super) fn denoise(&self, z: Vec<f32>, t: f32, conditions: &Conditions) -> Result<Vec<f32>> {
        let batch = conditions.pooled.dim(0)?;
        let shape = (batch, self.patches, self.patch_values);
        let z = Tensor::from_vec(z, shape, self.device())?;
        let s = self.time(t)?.broadcast_add(&conditions.pooled)?.silu()?;
        let shared = self.ada.forward(&s)?;
        let patches = self.patch_in.forward_added(&z, &conditions.positions)?;
        let mut x = Tensor::cat(&[&conditions.tokens, &patches], 1)?;
        for (i, block) in self.blocks.iter().enumerate() {
            // Nothing reads the text tokens after the attention of the last block.
            let dropped = if i + 1 == self.blocks.len() {
                self.text_tokens
            } else {
                0
            };
            x = self.block(block, &x, &shared, dropped)?;
        }
        let out = self.ada_out.forward(&s)?;
        let (scale, shift) = (out.narrow(1, 0, self.d)?, out.narrow(1, self.d, self.d)?);
        let x = modulated_layer_norm(&x, &scale, &shift, EPS, self.patch_out.operand())?;
        Ok(self.patch_out.forward(&x)?.flatten_all()?.to_vec1()?)
    }

    /// One block; the first `dropped` tokens are left out of the result.
    fn block(&self, block: &Block, x: &Tensor, shared: &Tensor, dropped: usize) -> Result<Tensor> {
        let c = shared.broadcast_add(&block.ada)?;
        let part = |i: usize| c.narrow(1, i * self.d, self.d)?.contiguous();
        let kept = |x: &Tensor| x.narrow(1, dropped, x.dim(1)? - dropped)?.contiguous();
        let qkv = block.qkv.operand();
        let normed = modulated_layer_norm(x, &part(0)?, &part(1)?, EPS, qkv)?;
        let qkv = block.qkv.forward_as(&normed, Activation::None, qkv)?;
        let attended = self_attention(&qkv, self.heads, block.qkv.precision())?;
        let gate = part(2)?;
        let x = (block.proj).forward_gated(&kept(&attended)?, &gate, &kept(x)?)?;
        let normed = modulated_layer_norm(&x, &part(3)?, &part(4)?, EPS, block.fc1.operand())?;
        let hidden = block.fc2.operand();
        let hidden = block.fc1.forward_as(&normed, Activation::Gelu, hidden)?;
        block.fc2.forward_gated(&hidden, &part(5)?, &x)
    }

    /// Embedding of the time: cosines and sines of 1000 t at 128 geometric frequencies, through two layers, [1, d].
    fn time(&self, t: f32) -> Result<Tensor> {
        let angle =
            |i: usize| t * 1000.0 * (-(10_000f32.ln()) * i as f32 / FREQUENCIES as f32).exp();
        let cosines = (0..FREQUENCIES).map(|i| angle(i).cos());
        let features: Vec<f32> = cosines
            .chain((0..FREQUENCIES).map(|i| angle(i).sin()))
            .collect();
        let features = Tensor::from_vec(features, (1, 2 * FREQUENCIES), self.device())?;
        self.t2.forward(&self.t1.forward(&features)?.silu()?)
    }
}
