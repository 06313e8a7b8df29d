//! Activation functions that layers apply to their results.

use candle_core::{D, DType, Result, Tensor};
pub use promptfed_kernels::Activation;

use crate::cpu;

/// The function of every value, by candle's operations.
pub(crate) fn composite(activation: Activation, x: &Tensor) -> Result<Tensor> {
    match activation {
        Activation::None => Ok(x.clone()),
        Activation::Relu => relu(x),
        Activation::Relu6 => {
            let above = x.gt(6.0)?;
            above.where_cond(&(x.ones_like()? * 6.0)?, &relu(x)?)
        }
        Activation::Silu => x.silu(),
        Activation::Gelu => x.gelu(),
        Activation::GeluErf => x.gelu_erf(),
        Activation::QuickGelu => {
            let gate = ((x * -1.702)?.exp()? + 1.0)?.recip()?;
            x * gate
        }
    }
}

/// max(x, 0), and NaN where x is NaN, which candle's own loses.
///
/// # Errors
/// If memory runs out.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    x.lt(0.0)?.where_cond(&x.zeros_like()?, x)
}

/// What follows a layer's sums: the activation, then the residual.
pub(crate) fn finish(
    sums: &Tensor,
    activation: Activation,
    residual: Option<&Tensor>,
) -> Result<Tensor> {
    let result = composite(activation, sums)?;
    match residual {
        Some(residual) => result + residual,
        None => Ok(result),
    }
}

/// Whether a residual has the shape of a layer's result.
///
/// # Errors
/// If there is one and it has not.
pub(crate) fn check_residual(residual: Option<&Tensor>, shape: &[usize]) -> crate::Result<()> {
    match residual {
        Some(residual) if residual.dims() != shape => {
            Err(crate::Error::shapes("a residual", residual.dims(), shape))
        }
        _ => Ok(()),
    }
}

/// GEGLU: the first half of the last axis times GELU (exact) of the second (Shazeer 2020, eq. 5).
///
/// `x` is [.., 2 d], f32 on the CPU, the result [.., d] in the format of the layer that reads it.
///
/// # Errors
/// If the last axis is odd.
pub fn geglu(x: &Tensor, dtype: DType) -> crate::Result<Tensor> {
    let width = x.dim(D::Minus1)?;
    if width == 0 || !width.is_multiple_of(2) {
        return Err(crate::Error::shapes("GEGLU", x.dims(), &[2]));
    }
    let mut shape = x.dims().to_vec();
    if let Some(last) = shape.last_mut() {
        *last = width / 2;
    }
    if x.device().is_cpu() {
        let kernels = cpu::kernels()?;
        return Ok(cpu::map_f32(x, shape, dtype, |x, output| {
            kernels.gated(x, width / 2, Activation::GeluErf, output);
        })?);
    }
    let values = x.narrow(D::Minus1, 0, width / 2)?;
    let gates = x.narrow(D::Minus1, width / 2, width / 2)?.contiguous()?;
    Ok((values * gates.gelu_erf()?)?.to_dtype(dtype)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fused::tests::{assert_close, normal};

    #[test]
    fn geglu_agrees_with_its_composite_form() {
        let x = (normal(1, &[3, 5, 26]) * 2.0).unwrap();
        let gates = x.narrow(2, 13, 13).unwrap().gelu_erf().unwrap();
        let expected = (x.narrow(2, 0, 13).unwrap() * gates).unwrap();
        assert_close(&geglu(&x, DType::F32).unwrap(), &expected, 1e-5);
        assert!(geglu(&normal(1, &[3, 5]), DType::F32).is_err());
    }
}
