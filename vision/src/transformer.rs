//! The transformer block of CLIP's and BLIP's encoders: normalisation first (Radford et al. 2021, section 2.4).

use std::ops::Range;

use candle_core::{D, Tensor};
use promptfed_nn::attention::{Mask, attention};
use promptfed_nn::layer_norm::AffineLayerNorm;
use promptfed_nn::linear::{Bias, Linear};
use promptfed_nn::load::Loader;
use promptfed_nn::{Activation, Result};
use serde::Deserialize;

/// The shape of an encoder.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shape {
    pub(crate) width: usize,
    pub(crate) inner: usize,
    pub(crate) blocks: usize,
    pub(crate) heads: usize,
    pub(crate) activation: HiddenAct,
    pub(crate) eps: f32,
}

/// The activation inside a block, as configurations name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HiddenAct {
    /// x sigmoid(1.702 x), of OpenAI's models.
    QuickGelu,
    /// x Phi(x), of OpenCLIP's.
    Gelu,
}

impl HiddenAct {
    pub(crate) fn activation(self) -> Activation {
        match self {
            HiddenAct::QuickGelu => Activation::QuickGelu,
            HiddenAct::Gelu => Activation::GeluErf,
        }
    }
}

/// How the projections of attention are stored.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Layout {
    /// `q_proj`, `k_proj`, `v_proj`, `out_proj`: CLIP.
    Separate,
    /// `qkv`, `projection`: BLIP.
    Fused,
}

/// Blocks one after the other.
pub(crate) struct Blocks {
    blocks: Vec<Block>,
    shape: Shape,
}

struct Block {
    norm1: AffineLayerNorm,
    projections: Projections,
    out: Linear,
    norm2: AffineLayerNorm,
    fc1: Linear,
    fc2: Linear,
}

enum Projections {
    Separate([Box<Linear>; 3]),
    Fused(Linear),
}

impl Blocks {
    /// Takes the tensors `prefix.<block>.*`.
    pub(crate) fn load(
        loader: &mut Loader,
        prefix: &str,
        shape: Shape,
        layout: Layout,
    ) -> Result<Self> {
        let (d, inner) = (shape.width, shape.inner);
        let mut blocks = Vec::with_capacity(shape.blocks);
        for i in 0..shape.blocks {
            let at = |name: &str| format!("{prefix}.{i}.{name}");
            let mut linear = |name: &str, inputs, outputs| {
                Linear::load(loader, &at(name), inputs, outputs, Bias::Present)
            };
            let (projections, out) = match layout {
                Layout::Separate => (
                    Projections::Separate([
                        Box::new(linear("self_attn.q_proj", d, d)?),
                        Box::new(linear("self_attn.k_proj", d, d)?),
                        Box::new(linear("self_attn.v_proj", d, d)?),
                    ]),
                    linear("self_attn.out_proj", d, d)?,
                ),
                Layout::Fused => (
                    Projections::Fused(linear("self_attn.qkv", d, 3 * d)?),
                    linear("self_attn.projection", d, d)?,
                ),
            };
            let fc1 = linear("mlp.fc1", d, inner)?;
            let fc2 = linear("mlp.fc2", inner, d)?;
            blocks.push(Block {
                norm1: AffineLayerNorm::load(loader, &at("layer_norm1"), d, shape.eps)?,
                projections,
                out,
                norm2: AffineLayerNorm::load(loader, &at("layer_norm2"), d, shape.eps)?,
                fc1,
                fc2,
            });
        }
        Ok(Self { blocks, shape })
    }

    /// [batch, tokens, d] -> [batch, tokens, d]
    pub(crate) fn forward(&self, x: &Tensor, mask: Mask) -> Result<Tensor> {
        self.run(0..self.blocks.len(), x, mask)
    }

    /// [`Blocks::forward`] through some of them.
    pub(crate) fn run(&self, which: Range<usize>, x: &Tensor, mask: Mask) -> Result<Tensor> {
        let mut x = x.clone();
        for block in &self.blocks[which] {
            x = block.forward(&x, &self.shape, mask)?;
        }
        Ok(x)
    }
}

impl Block {
    fn forward(&self, x: &Tensor, shape: &Shape, mask: Mask) -> Result<Tensor> {
        let h = self.norm1.forward(x)?;
        let (q, k, v) = match &self.projections {
            Projections::Separate([q, k, v]) => (q.forward(&h)?, k.forward(&h)?, v.forward(&h)?),
            Projections::Fused(qkv) => {
                let all = qkv.forward(&h)?;
                let d = shape.width;
                let part = |i: usize| all.narrow(D::Minus1, i * d, d)?.contiguous();
                (part(0)?, part(1)?, part(2)?)
            }
        };
        let precision = self.out.precision();
        let mixed = attention(&q, &k, &v, shape.heads, mask, precision)?;
        let x = self.out.forward_added(&mixed, x)?;
        let act = shape.activation.activation();
        let h = self.fc1.forward_activated(&self.norm2.forward(&x)?, act)?;
        self.fc2.forward_added(&h, &x)
    }
}
