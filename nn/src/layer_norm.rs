//! Layer normalisation without learned weights, plain or modulated per sample.

use candle_core::{CpuStorage, CustomOp1, CustomOp3, D, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use crate::fused::{gradients, values};
use crate::load::Loader;
use crate::vector::sum;

/// Layer normalisation over the last axis with learned scale and shift (Ba, Kiros and Hinton 2016, eq. 4).
pub struct AffineLayerNorm {
    eps: f32,
    /// [d]
    gamma: Tensor,
    /// [d]
    beta: Tensor,
}

impl AffineLayerNorm {
    /// Takes `name.weight` and `name.bias`, [d] each.
    ///
    /// # Errors
    /// See [`Loader::tensor`].
    pub fn load(loader: &mut Loader, name: &str, d: usize, eps: f32) -> crate::Result<Self> {
        Ok(Self {
            eps,
            gamma: loader.tensor(&format!("{name}.weight"), &[d])?,
            beta: loader.tensor(&format!("{name}.bias"), &[d])?,
        })
    }

    /// Normalises `x` [.., d].
    ///
    /// # Errors
    /// If the last axis has another length.
    pub fn forward(&self, x: &Tensor) -> crate::Result<Tensor> {
        Ok(layer_norm(x, self.eps)?
            .broadcast_mul(&self.gamma)?
            .broadcast_add(&self.beta)?)
    }
}

/// Layer normalisation over the last axis, without scale and shift: (x - mean) / sqrt(variance + eps)
/// with the biased variance (Ba, Kiros and Hinton 2016, eq. 4).
///
/// `x` is [.., d], f32. The result has the same shape.
pub fn layer_norm(x: &Tensor, eps: f32) -> Result<Tensor> {
    if x.device().is_cpu() {
        x.contiguous()?.apply_op1(LayerNorm { eps })
    } else {
        plain(x, eps)
    }
}

/// Layer normalisation followed by a scale and a shift of each sample: norm(x) (1 + scale) + shift, the
/// adaptive layer norm of diffusion transformers (Peebles and Xie 2023, section 3.2).
///
/// `x` is [batch, tokens, d], `scale` and `shift` are [batch, d], all f32. The result has the shape of `x`.
pub fn modulated_layer_norm(
    x: &Tensor,
    scale: &Tensor,
    shift: &Tensor,
    eps: f32,
) -> Result<Tensor> {
    let (batch, _, d) = x.dims3()?;
    for (name, tensor) in [("scale", scale), ("shift", shift)] {
        if tensor.dims() != [batch, d] {
            candle_core::bail!("{name} is {:?} and not [{batch}, {d}]", tensor.dims());
        }
    }
    if x.device().is_cpu() {
        x.contiguous()?.apply_op3(
            &scale.contiguous()?,
            &shift.contiguous()?,
            ModulatedLayerNorm { eps },
        )
    } else {
        modulated(x, scale, shift, eps)
    }
}

fn plain(x: &Tensor, eps: f32) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    centred.broadcast_div(&(variance + f64::from(eps))?.sqrt()?)
}

fn modulated(x: &Tensor, scale: &Tensor, shift: &Tensor, eps: f32) -> Result<Tensor> {
    plain(x, eps)?
        .broadcast_mul(&(scale + 1.0)?.unsqueeze(1)?)?
        .broadcast_add(&shift.unsqueeze(1)?)
}

/// Mean and reciprocal standard deviation of one row.
#[inline(always)]
fn moments(row: &[f32], eps: f32) -> (f32, f32) {
    let n = row.len() as f32;
    let mean = sum(row, |v| v) / n;
    let variance = sum(row, |v| (v - mean) * (v - mean)) / n;
    (mean, 1.0 / (variance + eps).sqrt())
}

struct LayerNorm {
    eps: f32,
}

impl CustomOp1 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = values(storage, layout)?;
        let d = layout.shape().dims().last().copied().unwrap_or(1).max(1);
        let mut out = vec![0f32; x.len()];
        let arch = pulp::Arch::new();
        out.par_chunks_mut(d)
            .zip(x.par_chunks(d))
            .with_min_len(32)
            .for_each(|(out, x)| {
                arch.dispatch(
                    #[inline(always)]
                    || {
                        let (mean, inverse) = moments(x, self.eps);
                        for (o, v) in out.iter_mut().zip(x) {
                            *o = (v - mean) * inverse;
                        }
                    },
                )
            });
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let mut all = gradients(&[x], gradient, |a| plain(&a[0], self.eps))?;
        Ok(all.remove(0))
    }
}

struct ModulatedLayerNorm {
    eps: f32,
}

impl CustomOp3 for ModulatedLayerNorm {
    fn name(&self) -> &'static str {
        "modulated-layer-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        scale: &CpuStorage,
        scale_layout: &Layout,
        shift: &CpuStorage,
        shift_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, tokens, d) = x_layout.shape().dims3()?;
        let x = values(x, x_layout)?;
        let (scale, shift) = (values(scale, scale_layout)?, values(shift, shift_layout)?);
        let mut out = vec![0f32; x.len()];
        let arch = pulp::Arch::new();
        out.par_chunks_mut((tokens * d).max(1))
            .zip(x.par_chunks((tokens * d).max(1)))
            .zip(scale.par_chunks(d.max(1)).zip(shift.par_chunks(d.max(1))))
            .for_each(|((out, x), (scale, shift))| {
                arch.dispatch(
                    #[inline(always)]
                    || {
                        for (out, x) in out.chunks_exact_mut(d).zip(x.chunks_exact(d)) {
                            let (mean, inverse) = moments(x, self.eps);
                            let values = x.iter().zip(scale.iter().zip(shift));
                            for (o, (v, (scale, shift))) in out.iter_mut().zip(values) {
                                *o = (v - mean) * inverse * (1.0 + scale) + shift;
                            }
                        }
                    },
                )
            });
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        scale: &Tensor,
        shift: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let mut all = gradients(&[x, scale, shift], gradient, |a| {
            modulated(&a[0], &a[1], &a[2], self.eps)
        })?;
        Ok((all[0].take(), all[1].take(), all[2].take()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fused::tests::{assert_close, assert_gradients_match, normal};

    #[test]
    fn plain_agrees_with_its_composite_form() {
        let x = normal(1, &[3, 5, 24]);
        assert_close(
            &layer_norm(&x, 1e-6).unwrap(),
            &plain(&x, 1e-6).unwrap(),
            1e-5,
        );
        assert_gradients_match(&[x], |a| layer_norm(&a[0], 1e-6), |a| plain(&a[0], 1e-6));
    }

    #[test]
    fn modulated_agrees_with_its_composite_form() {
        let inputs = [
            normal(1, &[3, 5, 24]),
            normal(2, &[3, 24]),
            normal(3, &[3, 24]),
        ];
        let fused = |a: &[Tensor]| modulated_layer_norm(&a[0], &a[1], &a[2], 1e-6);
        let composite = |a: &[Tensor]| modulated(&a[0], &a[1], &a[2], 1e-6);
        assert_close(&fused(&inputs).unwrap(), &composite(&inputs).unwrap(), 1e-5);
        assert_gradients_match(&inputs, fused, composite);
    }

    #[test]
    fn a_wrong_modulation_shape_is_an_error() {
        let x = normal(1, &[3, 5, 24]);
        assert!(
            modulated_layer_norm(&x, &normal(2, &[2, 24]), &normal(3, &[3, 24]), 1e-6).is_err()
        );
    }
}
