//! The residual addition that ends the halves of transformer blocks with adaptive layer norm.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use promptfed_kernels::unspecified;

use crate::cpu::{kernels, slice};
use crate::fused::gradients;

/// Gated residual addition x + gate y, the end of both halves of a block with adaptive layer norm
/// (Peebles and Xie 2023, section 3.2).
///
/// `x` and `y` are [batch, tokens, d], `gate` is [batch, d], all f32. The result has the shape of `x`.
pub fn gated_residual(x: &Tensor, y: &Tensor, gate: &Tensor) -> Result<Tensor> {
    let (batch, _, d) = x.dims3()?;
    if y.dims() != x.dims() || gate.dims() != [batch, d] {
        candle_core::bail!(
            "a gated residual of {:?} takes no y {:?}, gate {:?}",
            x.dims(),
            y.dims(),
            gate.dims()
        );
    }
    if x.device().is_cpu() {
        x.contiguous()?
            .apply_op3(&y.contiguous()?, &gate.contiguous()?, GatedResidual)
    } else {
        gated(x, y, gate)
    }
}

fn gated(x: &Tensor, y: &Tensor, gate: &Tensor) -> Result<Tensor> {
    x + y.broadcast_mul(&gate.unsqueeze(1)?)?
}

struct GatedResidual;

impl CustomOp3 for GatedResidual {
    fn name(&self) -> &'static str {
        "gated-residual"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        y: &CpuStorage,
        y_layout: &Layout,
        gate: &CpuStorage,
        gate_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, _, d) = x_layout.shape().dims3()?;
        let (x, y) = (slice(x, x_layout)?, slice(y, y_layout)?);
        let gate = slice(gate, gate_layout)?;
        let mut out = unspecified(x.len());
        if !out.is_empty() {
            kernels()?.gated_residual(x, y, gate, d, &mut out);
        }
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        y: &Tensor,
        gate: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let mut all = gradients(&[x, y, gate], gradient, |a| gated(&a[0], &a[1], &a[2]))?;
        Ok((all[0].take(), all[1].take(), all[2].take()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fused::tests::{assert_close, assert_gradients_match, normal};

    #[test]
    fn gated_residual_agrees_with_its_composite_form() {
        let inputs = [
            normal(1, &[3, 5, 24]),
            normal(2, &[3, 5, 24]),
            normal(3, &[3, 24]),
        ];
        let fused = |a: &[Tensor]| gated_residual(&a[0], &a[1], &a[2]);
        let composite = |a: &[Tensor]| gated(&a[0], &a[1], &a[2]);
        assert_close(&fused(&inputs).unwrap(), &composite(&inputs).unwrap(), 1e-5);
        assert_gradients_match(&inputs, fused, composite);
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors() {
        let x = normal(1, &[3, 5, 24]);
        assert!(gated_residual(&x, &x, &normal(3, &[2, 24])).is_err());
        assert!(gated_residual(&x, &normal(2, &[3, 4, 24]), &normal(3, &[3, 24])).is_err());
    }
}
