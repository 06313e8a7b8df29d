//! The vision transformer of CLIP and BLIP (Dosovitskiy et al. 2021).

use candle_core::Tensor;
use promptfed_nn::Result;
use promptfed_nn::attention::Mask;
use promptfed_nn::layer_norm::AffineLayerNorm;
use promptfed_nn::load::Loader;
use serde::Deserialize;

use crate::transformer::{Blocks, HiddenAct, Layout, Shape};

/// `vision_config`; what a file leaves out is as in transformers.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct VisionConfig {
    pub(crate) hidden_size: usize,
    pub(crate) intermediate_size: usize,
    pub(crate) num_hidden_layers: usize,
    pub(crate) num_attention_heads: usize,
    pub(crate) image_size: usize,
    pub(crate) patch_size: usize,
    pub(crate) hidden_act: Option<HiddenAct>,
    pub(crate) layer_norm_eps: f32,
}

impl Default for VisionConfig {
    fn default() -> Self {
        Self {
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            image_size: 224,
            patch_size: 32,
            hidden_act: None,
            layer_norm_eps: 1e-5,
        }
    }
}

impl VisionConfig {
    /// What makes the shape impossible, if anything.
    pub(crate) fn fault(&self) -> Option<String> {
        let sizes = [
            ("hidden_size", self.hidden_size),
            ("num_attention_heads", self.num_attention_heads),
            ("image_size", self.image_size),
            ("patch_size", self.patch_size),
        ];
        let zero = sizes.iter().find(|(_, size)| !(1..1 << 20).contains(size));
        if let Some((key, size)) = zero {
            return Some(format!(
                "vision_config has {key} {size}; restore the file of this model"
            ));
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads)
            || !self.image_size.is_multiple_of(self.patch_size)
        {
            return Some(
                "vision_config: the heads must divide hidden_size, and patch_size image_size; restore the file of this model"
                    .into(),
            );
        }
        None
    }
}

/// An encoder with its weights.
pub(crate) struct ImageEncoder {
    /// [patch * patch * 3, d]
    patches: Tensor,
    /// [d]
    bias: Tensor,
    /// [1, 1, d]
    class: Tensor,
    /// [1, 1 + patches, d]
    positions: Tensor,
    before: Option<AffineLayerNorm>,
    blocks: Blocks,
    after: AffineLayerNorm,
    side: usize,
    patch: usize,
}

impl ImageEncoder {
    /// Takes the tensors `vision_model.*`.
    pub(crate) fn load(
        loader: &mut Loader,
        config: &VisionConfig,
        activation: HiddenAct,
        layout: Layout,
    ) -> Result<Self> {
        let (d, p) = (config.hidden_size, config.patch_size);
        let count = (config.image_size / p).pow(2) + 1;
        let at = |name: &str| format!("vision_model.{name}");
        loader.ignore(|name| name.ends_with("embeddings.position_ids"));
        let (class, positions) = match layout {
            Layout::Separate => {
                loader.supply_zeros(&at("embeddings.patch_embedding.bias"), &[d]);
                let positions = at("embeddings.position_embedding.weight");
                (
                    loader.tensor(&at("embeddings.class_embedding"), &[d])?,
                    loader.tensor(&positions, &[count, d])?,
                )
            }
            Layout::Fused => (
                loader.tensor(&at("embeddings.class_embedding"), &[1, 1, d])?,
                loader.tensor(&at("embeddings.position_embedding"), &[1, count, d])?,
            ),
        };
        let weight = loader.tensor(&at("embeddings.patch_embedding.weight"), &[d, 3, p, p])?;
        // CLIP normalises before its blocks too; the misspelt name is the files'.
        let before = (layout == Layout::Separate)
            .then(|| AffineLayerNorm::load(loader, &at("pre_layrnorm"), d, config.layer_norm_eps))
            .transpose()?;
        let shape = Shape {
            width: d,
            inner: config.intermediate_size,
            blocks: config.num_hidden_layers,
            heads: config.num_attention_heads,
            activation,
            eps: config.layer_norm_eps,
        };
        Ok(Self {
            patches: weight
                .permute((2, 3, 1, 0))?
                .contiguous()?
                .reshape((p * p * 3, d))?,
            bias: loader.tensor(&at("embeddings.patch_embedding.bias"), &[d])?,
            class: class.reshape((1, 1, d))?,
            positions: positions.reshape((1, count, d))?,
            before,
            blocks: Blocks::load(loader, &at("encoder.layers"), shape, layout)?,
            after: AffineLayerNorm::load(loader, &at("post_layernorm"), d, config.layer_norm_eps)?,
            side: config.image_size,
            patch: p,
        })
    }

    /// Standardised images [n, side, side, 3] -> the features of the class and the patches before the last normalisation,
    /// [n, 1 + patches, d].
    pub(crate) fn forward(&self, images: &Tensor) -> Result<Tensor> {
        let n = images.dim(0)?;
        let (p, along) = (self.patch, self.side / self.patch);
        let d = self.bias.dim(0)?;
        let patches = images
            .reshape((n, along, p, along, p * 3))?
            .transpose(2, 3)?
            .contiguous()?
            .reshape((n * along * along, p * p * 3))?
            .matmul(&self.patches)?
            .broadcast_add(&self.bias)?
            .reshape((n, along * along, d))?;
        let class = self.class.broadcast_as((n, 1, d))?;
        let mut x =
            Tensor::cat(&[&class.contiguous()?, &patches], 1)?.broadcast_add(&self.positions)?;
        if let Some(norm) = &self.before {
            x = norm.forward(&x)?;
        }
        self.blocks.forward(&x, Mask::None)
    }

    /// The last normalisation.
    pub(crate) fn normalise(&self, x: &Tensor) -> Result<Tensor> {
        self.after.forward(x)
    }
}
