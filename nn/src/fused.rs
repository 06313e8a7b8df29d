//! What the fused operations share: access to CPU storage, and gradients by their composite form.

use candle_core::{CpuStorage, Layout, Result, Tensor, Var};

/// The values of a contiguous f32 tensor on the CPU.
pub(crate) fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let all = storage.as_slice::<f32>()?;
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&all[start..end]),
        None => candle_core::bail!(
            "a fused operation needs contiguous tensors; call contiguous() first"
        ),
    }
}

/// Gradients of a fused operation with respect to its arguments, by running its `composite` form
/// and candle's own backward pass: slower than a fused backward pass and equal in meaning.
pub(crate) fn gradients(
    arguments: &[&Tensor],
    gradient: &Tensor,
    composite: impl FnOnce(&[Tensor]) -> Result<Tensor>,
) -> Result<Vec<Option<Tensor>>> {
    let vars = arguments
        .iter()
        .map(|argument| Var::from_tensor(&argument.detach()))
        .collect::<Result<Vec<_>>>()?;
    let inputs: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let weighted = (composite(&inputs)? * gradient)?.sum_all()?;
    let store = weighted.backward()?;
    Ok(vars.iter().map(|var| store.get(var).cloned()).collect())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use candle_core::Device;

    pub(crate) fn normal(seed: u64, shape: &[usize]) -> Tensor {
        let n = shape.iter().product();
        Tensor::from_vec(crate::noise::standard_normal(seed, n), shape, &Device::Cpu).unwrap()
    }

    pub(crate) fn assert_close(a: &Tensor, b: &Tensor, tolerance: f32) {
        assert_eq!(a.dims(), b.dims());
        let difference = (a - b).unwrap().abs().unwrap().max_all().unwrap();
        let difference = difference.to_scalar::<f32>().unwrap();
        assert!(difference <= tolerance, "off by {difference}");
    }

    /// Compares the gradients of a fused operation with those of its composite form, for a random upstream gradient.
    pub(crate) fn assert_gradients_match(
        inputs: &[Tensor],
        fused: impl Fn(&[Tensor]) -> Result<Tensor>,
        composite: impl Fn(&[Tensor]) -> Result<Tensor>,
    ) {
        let gradients_of = |f: &dyn Fn(&[Tensor]) -> Result<Tensor>| {
            let vars: Vec<Var> = inputs
                .iter()
                .map(|t| Var::from_tensor(t).unwrap())
                .collect();
            let tensors: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
            let out = f(&tensors).unwrap();
            let upstream = normal(99, out.dims());
            let store = (out * upstream)
                .unwrap()
                .sum_all()
                .unwrap()
                .backward()
                .unwrap();
            vars.iter()
                .map(|v| store.get(v).unwrap().clone())
                .collect::<Vec<_>>()
        };
        for (a, b) in gradients_of(&fused).iter().zip(gradients_of(&composite)) {
            assert_close(a, &b, 1e-4);
        }
    }
}
