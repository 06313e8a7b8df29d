//! The feature maps of one batch, kept from step to step: memory fresh from the system is slow to
//! touch for the first time.

use promptfed_nn::batch_norm::BatchStatistics;

use super::layout::{Layout, NormalisedConvolution};

/// The feature maps of a convolution and its normalisation.
pub(super) struct Maps {
    /// After the convolution; in the backward pass, its gradient.
    pub(super) convolved: Vec<f32>,
    /// After normalisation, residual and ReLU.
    pub(super) output: Vec<f32>,
    /// The gradient of `output`.
    pub(super) gradient: Vec<f32>,
    pub(super) statistics: BatchStatistics,
}

impl Maps {
    fn new(layer: &NormalisedConvolution, batch: usize) -> Self {
        let [height, width, channels] = layer.convolution.output();
        let len = batch * height * width * channels;
        Self {
            convolved: vec![0.0; len],
            output: vec![0.0; len],
            gradient: vec![0.0; len],
            statistics: BatchStatistics {
                mean: vec![0.0; channels],
                variance: vec![1.0; channels],
                pixels: 0,
            },
        }
    }
}

/// The feature maps of a residual block.
pub(super) struct BlockMaps {
    pub(super) first: Maps,
    pub(super) second: Maps,
    /// After the skip's convolution; empty for the identity.
    pub(super) skip: Vec<f32>,
}

/// All feature maps of a batch of one size.
pub(super) struct Buffers {
    pub(super) stem: Maps,
    pub(super) blocks: Vec<BlockMaps>,
    pub(super) pooled: Vec<f32>,
    pub(super) pooled_gradient: Vec<f32>,
    pub(super) logits: Vec<f32>,
}

impl Buffers {
    pub(super) fn new(layout: &Layout, batch: usize) -> Self {
        let blocks = layout.blocks.iter().map(|block| BlockMaps {
            first: Maps::new(&block.first, batch),
            second: Maps::new(&block.second, batch),
            skip: match &block.skip {
                Some((skip, _)) => vec![0.0; batch * skip.output().iter().product::<usize>()],
                None => Vec::new(),
            },
        });
        Self {
            stem: Maps::new(&layout.stem, batch),
            blocks: blocks.collect(),
            pooled: vec![0.0; batch * layout.head.channels],
            pooled_gradient: vec![0.0; batch * layout.head.channels],
            logits: vec![0.0; batch * layout.head.bias.len()],
        }
    }
}
