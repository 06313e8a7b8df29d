//! Single operations on random values.

use anyhow::Result;
use promptfed_kernels::attention::{Attention, Heads, Mask, Sequences};
use promptfed_kernels::convolution::{Convolution, ConvolutionShape, PackedWeight};
use promptfed_kernels::{Epilogue, Kernels, MatrixView, PackedMatrix};
use promptfed_nn::noise::standard_normal;

use crate::Workload;

/// 3x3 convolution of one image of `size` x `size` pixels, as many channels out as in.
pub(crate) fn convolution(kernels: Kernels, channels: usize, size: usize) -> Result<Workload> {
    let shape = ConvolutionShape::same(3, 1);
    let convolution = Convolution::new(shape, [size, size, channels], channels)?;
    let weight = standard_normal(1, convolution.weight_len());
    let view = MatrixView::row_major(&weight, channels);
    let packed = PackedWeight::new(kernels, shape, view, kernels.preferred_precision());
    let image = standard_normal(2, size * size * channels);
    let bias = standard_normal(3, channels);
    let mut output = vec![0.0; image.len()];
    Ok(Box::new(move || {
        let epilogue = Epilogue {
            bias: Some(&bias),
            ..Epilogue::default()
        };
        convolution.forward(kernels, &image, &packed, epilogue, &mut output);
        Ok(())
    }))
}

/// `rows` x `inputs` times `inputs` x `outputs`, and a bias.
pub(crate) fn linear(
    kernels: Kernels,
    rows: usize,
    inputs: usize,
    outputs: usize,
) -> Result<Workload> {
    let weight = standard_normal(1, inputs * outputs);
    let view = MatrixView::row_major(&weight, outputs);
    let packed = PackedMatrix::new(kernels, view, kernels.preferred_precision());
    let left = standard_normal(2, rows * inputs);
    let bias = standard_normal(3, outputs);
    let mut output = vec![0.0; rows * outputs];
    Ok(Box::new(move || {
        let epilogue = Epilogue {
            bias: Some(&bias),
            ..Epilogue::default()
        };
        kernels.multiply(&left, &packed, epilogue, &mut output);
        Ok(())
    }))
}

/// Self-attention of one sequence.
pub(crate) fn attention(
    kernels: Kernels,
    count: usize,
    tokens: usize,
    width: usize,
) -> Result<Workload> {
    let [query, key, value] = [1, 2, 3].map(|seed| standard_normal(seed, tokens * count * width));
    let mut output = vec![0.0; query.len()];
    Ok(Box::new(move || {
        let [query, key, value] =
            [&query, &key, &value].map(|v| Sequences::dense(v, tokens, count * width));
        let attention = Attention {
            query,
            key,
            value,
            heads: Heads { count, width },
            mask: Mask::None,
            precision: kernels.preferred_precision(),
        };
        kernels.attention(attention, &mut output);
        Ok(())
    }))
}
