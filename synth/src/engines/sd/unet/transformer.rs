//! Attention among the positions of a feature map, and from them to the tokens of the prompt.

use candle_core::{DType, Tensor};
use promptfed_nn::activation::geglu;
use promptfed_nn::attention::{Mask, attention};
use promptfed_nn::conv2d::Conv2d;
use promptfed_nn::convolution::ConvolutionShape;
use promptfed_nn::group_norm::GroupNorm;
use promptfed_nn::layer_norm::AffineLayerNorm;
use promptfed_nn::linear::{Bias, Linear};
use promptfed_nn::load::Loader;
use promptfed_nn::{Activation, Result};

/// The spatial transformer of Rombach et al. 2022, appendix E.2.1, beside a shortcut.
pub(super) struct Transformer {
    norm: GroupNorm,
    proj_in: Projection,
    blocks: Vec<Block>,
    proj_out: Projection,
}

/// Sizes of a transformer.
#[derive(Clone, Copy)]
pub(super) struct TransformerShape {
    pub(super) channels: usize,
    pub(super) groups: usize,
    pub(super) heads: usize,
    pub(super) depth: usize,
    /// Width of the prompt's tokens.
    pub(super) context: usize,
    pub(super) linear_projection: bool,
}

/// The same product, kept by some families as a linear layer and by others as a convolution of kernel 1.
enum Projection {
    Linear(Linear),
    Convolution(Conv2d),
}

impl Projection {
    fn load(loader: &mut Loader, name: &str, shape: &TransformerShape) -> Result<Self> {
        let d = shape.channels;
        Ok(if shape.linear_projection {
            Self::Linear(Linear::load(loader, name, d, d, Bias::Present)?)
        } else {
            let kernel = ConvolutionShape::same(1, 1);
            Self::Convolution(Conv2d::load(loader, name, kernel, d, d)?)
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Linear(layer) => layer.forward(x),
            Self::Convolution(layer) => layer.forward(x),
        }
    }

    fn forward_added(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        match self {
            Self::Linear(layer) => layer.forward_added(x, residual),
            Self::Convolution(layer) => layer.forward_added(x, residual),
        }
    }

    fn operand(&self) -> DType {
        match self {
            Self::Linear(layer) => layer.operand(),
            Self::Convolution(layer) => layer.operand(),
        }
    }
}

impl Transformer {
    pub(super) fn load(loader: &mut Loader, name: &str, shape: TransformerShape) -> Result<Self> {
        let proj_in = Projection::load(loader, &format!("{name}.proj_in"), &shape)?;
        let blocks = (0..shape.depth)
            .map(|i| Block::load(loader, &format!("{name}.transformer_blocks.{i}"), &shape))
            .collect::<Result<_>>()?;
        let norm = format!("{name}.norm");
        Ok(Self {
            norm: GroupNorm::load(loader, &norm, shape.groups, shape.channels, 1e-6)?,
            proj_in,
            blocks,
            proj_out: Projection::load(loader, &format!("{name}.proj_out"), &shape)?,
        })
    }

    /// `x` [n, h, w, channels], `context` [n, tokens, d] -> [n, h, w, channels].
    pub(super) fn forward(&self, x: &Tensor, context: &Tensor) -> Result<Tensor> {
        let (n, h, w, c) = x.dims4()?;
        let operand = self.proj_in.operand();
        let normed = self.norm.forward_as(x, Activation::None, operand)?;
        let mut tokens = self.proj_in.forward(&normed)?.reshape((n, h * w, c))?;
        for block in &self.blocks {
            tokens = block.forward(&tokens, context)?;
        }
        self.proj_out
            .forward_added(&tokens.reshape((n, h, w, c))?, x)
    }
}

struct Block {
    norm1: AffineLayerNorm,
    to_itself: Attention,
    norm2: AffineLayerNorm,
    to_prompt: Attention,
    norm3: AffineLayerNorm,
    /// Values, then gates, of the gated perceptron.
    gated: Linear,
    out: Linear,
}

impl Block {
    fn load(loader: &mut Loader, name: &str, shape: &TransformerShape) -> Result<Self> {
        let d = shape.channels;
        let at = |part: &str| format!("{name}.{part}");
        let norm = |loader: &mut Loader, part| AffineLayerNorm::load(loader, &at(part), d, 1e-5);
        Ok(Self {
            norm1: norm(loader, "norm1")?,
            to_itself: Attention::load(loader, &at("attn1"), d, d, shape.heads)?,
            norm2: norm(loader, "norm2")?,
            to_prompt: Attention::load(loader, &at("attn2"), d, shape.context, shape.heads)?,
            norm3: norm(loader, "norm3")?,
            gated: Linear::load(loader, &at("ff.net.0.proj"), d, 8 * d, Bias::Present)?,
            out: Linear::load(loader, &at("ff.net.2"), 4 * d, d, Bias::Present)?,
        })
    }

    fn forward(&self, x: &Tensor, context: &Tensor) -> Result<Tensor> {
        let h = self.norm1.forward_as(x, self.to_itself.query.operand())?;
        let x = self.to_itself.forward_added(&h, &h, x)?;
        let h = self.norm2.forward_as(&x, self.to_prompt.query.operand())?;
        let x = self.to_prompt.forward_added(&h, context, &x)?;
        let h = self.norm3.forward_as(&x, self.gated.operand())?;
        let h = geglu(&self.gated.forward(&h)?, self.out.operand())?;
        self.out.forward_added(&h, &x)
    }
}

struct Attention {
    heads: usize,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
}

impl Attention {
    fn load(
        loader: &mut Loader,
        name: &str,
        d: usize,
        context: usize,
        heads: usize,
    ) -> Result<Self> {
        let mut linear = |part: &str, inputs, bias| {
            Linear::load(loader, &format!("{name}.{part}"), inputs, d, bias)
        };
        Ok(Self {
            heads,
            query: linear("to_q", d, Bias::Absent)?,
            key: linear("to_k", context, Bias::Absent)?,
            value: linear("to_v", context, Bias::Absent)?,
            out: linear("to_out.0", d, Bias::Present)?,
        })
    }

    fn forward_added(&self, x: &Tensor, context: &Tensor, residual: &Tensor) -> Result<Tensor> {
        let operand = self.query.operand();
        let project = |layer: &Linear, x| layer.forward_as(x, Activation::None, operand);
        let mixed = attention(
            &project(&self.query, x)?,
            &project(&self.key, context)?,
            &project(&self.value, context)?,
            self.heads,
            Mask::None,
            self.query.precision(),
        )?;
        self.out.forward_added(&mixed, residual)
    }
}
