//! Single operations on random values.

use anyhow::Result;
use half::bf16;
use promptfed_kernels::attention::{Attention, Heads, Mask, Sequences};
use promptfed_kernels::convolution::{Convolution, ConvolutionShape, PackedWeight};
use promptfed_kernels::{
    Epilogue, Kernels, MatrixView, PackedMatrix, Precision, Values, ValuesMut,
};
use promptfed_nn::noise::standard_normal;

use crate::Workload;

/// Operands and results in the precision of the products, as networks keep them and as PyTorch's are.
enum Map {
    F32(Vec<f32>),
    Bf16(Vec<bf16>),
}

impl Map {
    fn random(kernels: Kernels, seed: u64, len: usize) -> Self {
        let values = standard_normal(seed, len);
        match kernels.preferred_precision() {
            Precision::F32 => Self::F32(values),
            Precision::Bf16 => Self::Bf16(values.into_iter().map(bf16::from_f32).collect()),
        }
    }

    fn values(&self) -> Values<'_> {
        match self {
            Self::F32(values) => values.into(),
            Self::Bf16(values) => values.into(),
        }
    }

    fn values_mut(&mut self) -> ValuesMut<'_> {
        match self {
            Self::F32(values) => values.into(),
            Self::Bf16(values) => values.into(),
        }
    }
}

/// 3x3 convolution of one image of `size` x `size` pixels, as many channels out as in.
pub(crate) fn convolution(kernels: Kernels, channels: usize, size: usize) -> Result<Workload> {
    let shape = ConvolutionShape::same(3, 1);
    let convolution = Convolution::new(shape, [size, size, channels], channels)?;
    let weight = standard_normal(1, convolution.weight_len());
    let view = MatrixView::row_major(&weight, channels);
    let packed = PackedWeight::new(kernels, shape, view, kernels.preferred_precision());
    let image = Map::random(kernels, 2, size * size * channels);
    let bias = standard_normal(3, channels);
    let mut output = Map::random(kernels, 4, size * size * channels);
    Ok(Box::new(move || {
        let epilogue = Epilogue {
            bias: Some(&bias),
            ..Epilogue::default()
        };
        let (image, output) = (image.values(), output.values_mut());
        convolution.forward(kernels, image, &packed, epilogue, output);
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
    let left = Map::random(kernels, 2, rows * inputs);
    let bias = standard_normal(3, outputs);
    let mut output = Map::random(kernels, 4, rows * outputs);
    Ok(Box::new(move || {
        let epilogue = Epilogue {
            bias: Some(&bias),
            ..Epilogue::default()
        };
        kernels.multiply(left.values(), &packed, epilogue, output.values_mut());
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
    let d = count * width;
    let [query, key, value, mut output] =
        [1, 2, 3, 4].map(|seed| Map::random(kernels, seed, tokens * d));
    Ok(Box::new(move || {
        let [query, key, value] =
            [&query, &key, &value].map(|v| Sequences::dense(v.values(), tokens, d));
        let attention = Attention {
            query,
            key,
            value,
            heads: Heads { count, width },
            mask: Mask::None,
            precision: kernels.preferred_precision(),
        };
        kernels.attention(attention, output.values_mut());
        Ok(())
    }))
}
