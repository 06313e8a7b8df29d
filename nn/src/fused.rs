//! Gradients of fused operations by their composite form.

use candle_core::{Result, Tensor, Var};

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
    // Without the operations that made them: nobody differentiates them again.
    let gradient = |var: &Var| store.get(var).map(Tensor::detach);
    Ok(vars.iter().map(gradient).collect())
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
