//! Weights changed by the product of two small matrices.

use candle_core::Tensor;

use crate::{Error, Result};

/// What a low-rank adapter adds to a weight: scale x up x down (Hu et al. 2022, section 4.1, where it is
/// alpha / r B A).
pub struct LowRank {
    /// [out, rank], and ones behind for a convolution.
    up: Tensor,
    /// [rank, ..], the further axes those of the weight.
    down: Tensor,
    scale: f32,
}

impl LowRank {
    /// `up` [out, rank] (or [out, rank, 1, 1]) times `down` [rank, in] (or [rank, in, kernel, kernel]), both f32 on the CPU.
    ///
    /// # Errors
    /// If the ranks differ.
    pub fn new(up: Tensor, down: Tensor, scale: f32) -> Result<Self> {
        let misfit = || Error::shapes("a low-rank product", up.dims(), down.dims());
        match (up.dims(), down.dims()) {
            ([_, rank, rest @ ..], [same, _, ..])
                if rank == same && rest.iter().all(|n| *n == 1) => {}
            _ => return Err(misfit()),
        }
        Ok(Self { up, down, scale })
    }

    /// Whether the product has as many values as a weight of `shape`, row by row.
    pub(super) fn check(&self, shape: &[usize]) -> Result<()> {
        let rows = self.up.dims().first() == shape.first();
        let columns = self.down.dims().iter().skip(1).product::<usize>();
        if !rows || shape.iter().skip(1).product::<usize>() != columns {
            return Err(Error::shapes(
                "a low-rank change of the weight",
                &[self.up.dims()[0], columns],
                shape,
            ));
        }
        Ok(())
    }

    pub(super) fn add_to(&self, weight: &mut [f32]) -> Result<()> {
        let up = self.up.flatten_from(1)?;
        let down = self.down.flatten_from(1)?;
        let change = up.matmul(&down)?.flatten_all()?.to_vec1::<f32>()?;
        for (w, c) in weight.iter_mut().zip(change) {
            *w += self.scale * c;
        }
        Ok(())
    }
}
