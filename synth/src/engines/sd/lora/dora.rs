//! DoRA: a weight whose rows have learned lengths.

use candle_core::{DType, Device, Tensor};
use promptfed_nn::Result;
use promptfed_nn::load::LowRank;

/// What makes of `weight` W [outputs, ..] the weight m (W + s B A) / |W + s B A|, with the lengths |.| of rows (Liu et al. 2024,
/// eq. 5, where they are columns; as peft merges it): B is `up` [outputs, rank, ..], A `down` [rank, ..], s the `scale` and m
/// the `lengths` [outputs, 1]. All are f32 on the CPU, and their sizes fit.
///
/// The change has no low rank and stands beside the identity, so that until it is added it takes as much memory as the weight.
pub(super) fn rescaled(
    weight: &Tensor,
    up: &Tensor,
    down: &Tensor,
    scale: f32,
    lengths: &Tensor,
) -> Result<LowRank> {
    let weight = weight.flatten_from(1)?;
    let product = up.flatten_from(1)?.matmul(&down.flatten_from(1)?)?;
    let changed = (&weight + (product * f64::from(scale))?)?;
    let found = changed.sqr()?.sum_keepdim(1)?.sqrt()?;
    let change = (changed.broadcast_mul(&lengths.div(&found)?)? - &weight)?;
    let (rows, columns) = change.dims2()?;
    let one = |n| Tensor::eye(n, DType::F32, &Device::Cpu);
    if rows < columns {
        LowRank::new(one(rows)?, change, 1.0)
    } else {
        LowRank::new(change, one(columns)?, 1.0)
    }
}
