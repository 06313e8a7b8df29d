//! One training step on the CPU: forward by the batch's statistics, loss, backward.

use promptfed_nn::Precision;
use promptfed_nn::batch_norm::{AffineGradient, BatchStatistics, factors, update_running};
use promptfed_nn::convolution::{Convolution, ConvolutionShape, Write};
use promptfed_nn::cross_entropy::{CrossEntropy, cross_entropy};

use super::buffers::{Buffers, Maps};
use super::layout::{Head, Layout, NormalisedConvolution};
use super::state::State;
use crate::Result;

/// A batch of images and what they show.
pub(crate) struct Batch<'a> {
    /// `[n, size, size, 3]` in -1..=1.
    pub(crate) images: &'a [f32],
    /// `[n]`.
    pub(crate) labels: &'a [u32],
    /// `[n]`, the samples' weights in the loss.
    pub(crate) weights: Option<&'a [f32]>,
}

/// A classifier's layers with the memory for batches of one size.
pub(crate) struct Network<'a> {
    layout: &'a Layout,
    head: Convolution,
    buffers: Buffers,
}

impl<'a> Network<'a> {
    pub(super) fn new(layout: &'a Layout, batch: usize) -> Result<Self> {
        let Head {
            channels, ref bias, ..
        } = layout.head;
        Ok(Self {
            layout,
            // A linear map is a 1x1 convolution of an image with one pixel per sample.
            head: Convolution::new(
                ConvolutionShape::same(1, 1),
                [batch, 1, channels],
                bias.len(),
                Precision::F32,
            )?,
            buffers: Buffers::new(layout, batch),
        })
    }

    /// The loss of a batch; its gradient replaces `gradient`, the running statistics of `state` move.
    pub(crate) fn step(
        &mut self,
        state: &mut State,
        batch: &Batch<'_>,
        label_smoothing: f32,
        gradient: &mut [f32],
    ) -> CrossEntropy {
        self.forward(batch.images, &state.trained, Some(&mut state.statistics));
        let logits = &self.buffers.logits;
        let loss = cross_entropy(logits, batch.labels, batch.weights, label_smoothing);
        self.backward(batch.images, &state.trained, &loss.gradient, gradient);
        loss
    }

    /// The logits `[n, classes]` by the running statistics.
    pub(super) fn infer(&mut self, images: &[f32], state: &State) -> &[f32] {
        for layer in self.layers() {
            let maps = layer.1;
            maps.statistics
                .mean
                .copy_from_slice(&state.statistics[layer.0.mean.clone()]);
            maps.statistics
                .variance
                .copy_from_slice(&state.statistics[layer.0.variance.clone()]);
        }
        self.forward(images, &state.trained, None);
        &self.buffers.logits
    }

    fn layers(&mut self) -> impl Iterator<Item = (&NormalisedConvolution, &mut Maps)> {
        let stem = (&self.layout.stem, &mut self.buffers.stem);
        let blocks = self.layout.blocks.iter().zip(&mut self.buffers.blocks);
        std::iter::once(stem).chain(blocks.flat_map(|(block, maps)| {
            [
                (&block.first, &mut maps.first),
                (&block.second, &mut maps.second),
            ]
        }))
    }

    /// With `running` by the batch's own statistics, which move the running ones; without, by the
    /// statistics found in the buffers.
    fn forward(&mut self, images: &[f32], trained: &[f32], running: Option<&mut Vec<f32>>) {
        let Buffers {
            stem,
            blocks,
            pooled,
            logits,
            ..
        } = &mut self.buffers;
        let mut running = running.map(Vec::as_mut_slice);
        forward_layer(
            &self.layout.stem,
            images,
            None,
            stem,
            trained,
            running.as_deref_mut(),
        );
        let mut input: &[f32] = &stem.output;
        for (block, maps) in self.layout.blocks.iter().zip(blocks) {
            let residual = match &block.skip {
                Some((skip, weight)) => {
                    skip.forward(input, &trained[weight.clone()], &mut maps.skip);
                    &maps.skip
                }
                None => input,
            };
            let first = &mut maps.first;
            forward_layer(
                &block.first,
                input,
                None,
                first,
                trained,
                running.as_deref_mut(),
            );
            let (input_of_second, residual) = (&maps.first.output, Some(residual));
            let second = &mut maps.second;
            forward_layer(
                &block.second,
                input_of_second,
                residual,
                second,
                trained,
                running.as_deref_mut(),
            );
            input = &maps.second.output;
        }
        let head = &self.layout.head;
        head.pool.forward(input, pooled);
        self.head
            .forward(pooled, &trained[head.weight.clone()], logits);
        let bias = &trained[head.bias.clone()];
        for row in logits.chunks_exact_mut(bias.len()) {
            for (logit, bias) in row.iter_mut().zip(bias) {
                *logit += bias;
            }
        }
    }

    fn backward(
        &mut self,
        images: &[f32],
        trained: &[f32],
        logits_gradient: &[f32],
        gradient: &mut [f32],
    ) {
        let Buffers {
            stem,
            blocks,
            pooled,
            pooled_gradient,
            ..
        } = &mut self.buffers;
        let head = &self.layout.head;
        let to_weight = &mut gradient[head.weight.clone()];
        self.head
            .weight_gradient(pooled, logits_gradient, to_weight);
        let to_bias = &mut gradient[head.bias.clone()];
        to_bias.fill(0.0);
        for row in logits_gradient.chunks_exact(to_bias.len()) {
            for (sum, g) in to_bias.iter_mut().zip(row) {
                *sum += g;
            }
        }
        let weight = &trained[head.weight.clone()];
        let replace = Write::Replace;
        self.head
            .input_gradient(weight, logits_gradient, pooled_gradient, replace);
        if let Some(last) = blocks.last_mut() {
            let to = &mut last.second.gradient;
            head.pool.gradient(pooled_gradient, to);
        }

        for i in (0..blocks.len()).rev() {
            let block = &self.layout.blocks[i];
            let (before, rest) = blocks.split_at_mut(i);
            let maps = &mut rest[0];
            let input = match before.last_mut() {
                Some(previous) => &mut previous.second,
                None => &mut *stem,
            };
            backward_norm(&block.second, &mut maps.second, trained, gradient);
            block.second.convolution.weight_gradient(
                &maps.first.output,
                &maps.second.convolved,
                &mut gradient[block.second.weight.clone()],
            );
            block.second.convolution.input_gradient(
                &trained[block.second.weight.clone()],
                &maps.second.convolved,
                &mut maps.first.gradient,
                Write::Replace,
            );
            backward_norm(&block.first, &mut maps.first, trained, gradient);
            block.first.convolution.weight_gradient(
                &input.output,
                &maps.first.convolved,
                &mut gradient[block.first.weight.clone()],
            );
            block.first.convolution.input_gradient(
                &trained[block.first.weight.clone()],
                &maps.first.convolved,
                &mut input.gradient,
                Write::Replace,
            );
            let residual = &maps.second.gradient;
            match &block.skip {
                Some((skip, range)) => {
                    let to_weight = &mut gradient[range.clone()];
                    skip.weight_gradient(&input.output, residual, to_weight);
                    let weight = &trained[range.clone()];
                    skip.input_gradient(weight, residual, &mut input.gradient, Write::Add);
                }
                None => {
                    for (sum, g) in input.gradient.iter_mut().zip(residual) {
                        *sum += g;
                    }
                }
            }
        }
        backward_norm(&self.layout.stem, stem, trained, gradient);
        self.layout.stem.convolution.weight_gradient(
            images,
            &stem.convolved,
            &mut gradient[self.layout.stem.weight.clone()],
        );
    }
}

fn forward_layer(
    layer: &NormalisedConvolution,
    input: &[f32],
    residual: Option<&[f32]>,
    maps: &mut Maps,
    trained: &[f32],
    running: Option<&mut [f32]>,
) {
    let weight = &trained[layer.weight.clone()];
    layer
        .convolution
        .forward(input, weight, &mut maps.convolved);
    if let Some(running) = running {
        maps.statistics = layer.norm.statistics(&maps.convolved, layer.gamma.len());
        let (mean, variance) =
            running[layer.mean.start..layer.variance.end].split_at_mut(layer.mean.len());
        update_running(&maps.statistics, mean, variance);
    }
    let BatchStatistics { mean, variance, .. } = &maps.statistics;
    let (gamma, beta) = (&trained[layer.gamma.clone()], &trained[layer.beta.clone()]);
    let factors = factors(mean, variance, gamma, beta);
    let output = &mut maps.output;
    layer
        .norm
        .apply(&maps.convolved, &factors, residual, true, output);
}

/// Through ReLU and normalisation: `maps.gradient` becomes the gradient before the ReLU, which is
/// also the residual's, and `maps.convolved` the gradient of the convolution's result.
fn backward_norm(
    layer: &NormalisedConvolution,
    maps: &mut Maps,
    trained: &[f32],
    gradient: &mut [f32],
) {
    let AffineGradient { gamma, beta } = layer.norm.relu_gradient(
        &mut maps.convolved,
        &maps.output,
        &mut maps.gradient,
        &maps.statistics,
        &trained[layer.gamma.clone()],
    );
    gradient[layer.gamma.clone()].copy_from_slice(&gamma);
    gradient[layer.beta.clone()].copy_from_slice(&beta);
}
