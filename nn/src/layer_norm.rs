//! Layer normalisation without learned weights, plain or modulated per sample.

use candle_core::{CpuStorage, CustomOp1, CustomOp3, D, DType, Layout, Result, Shape, Tensor};
use promptfed_kernels::layer_norm::Modulation;
use promptfed_kernels::unspecified;

use crate::cpu::{self, slice};
use crate::fused::gradients;
use crate::load::Loader;

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

    /// Normalises `x` [.., d], f32 on the CPU.
    ///
    /// # Errors
    /// If the last axis has another length.
    pub fn forward(&self, x: &Tensor) -> crate::Result<Tensor> {
        self.forward_as(x, x.dtype())
    }

    /// [`AffineLayerNorm::forward`] in the format of the layer that reads the result.
    ///
    /// # Errors
    /// If the last axis has another length.
    pub fn forward_as(&self, x: &Tensor, dtype: DType) -> crate::Result<Tensor> {
        let d = self.gamma.elem_count();
        if x.dims().last() != Some(&d) {
            return Err(crate::Error::shapes("layer normalisation", x.dims(), &[d]));
        }
        if x.device().is_cpu() {
            let kernels = cpu::kernels()?;
            return Ok(cpu::read(&self.gamma, |scale| {
                cpu::read(&self.beta, |shift| {
                    cpu::map_f32(x, x.shape(), dtype, |x, output| {
                        let modulation = Modulation::Affine { scale, shift };
                        kernels.layer_norm(x, d, self.eps, modulation, output);
                    })
                })
            })???);
        }
        let normed = plain(&x.to_dtype(DType::F32)?, self.eps)?
            .broadcast_mul(&self.gamma)?
            .broadcast_add(&self.beta)?;
        Ok(normed.to_dtype(dtype)?)
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
/// `x` is [batch, tokens, d], `scale` and `shift` are [batch, d], all f32. The result has the shape of `x` and the format
/// `dtype`, f32 or that of the layer that reads it.
pub fn modulated_layer_norm(
    x: &Tensor,
    scale: &Tensor,
    shift: &Tensor,
    eps: f32,
    dtype: DType,
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
            ModulatedLayerNorm { eps, dtype },
        )
    } else {
        modulated(x, scale, shift, eps)?.to_dtype(dtype)
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

struct LayerNorm {
    eps: f32,
}

impl CustomOp1 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = slice(storage, layout)?;
        let d = layout.shape().dims().last().copied().unwrap_or(1).max(1);
        let mut out = unspecified(x.len());
        cpu::kernels()?.layer_norm(x, d, self.eps, Modulation::None, &mut out);
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let mut all = gradients(&[x], gradient, |a| plain(&a[0], self.eps))?;
        Ok(all.remove(0))
    }
}

struct ModulatedLayerNorm {
    eps: f32,
    dtype: DType,
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
        let (_, _, d) = x_layout.shape().dims3()?;
        let x = slice(x, x_layout)?;
        let (scale, shift) = (slice(scale, scale_layout)?, slice(shift, shift_layout)?);
        let modulation = Modulation::PerSample { scale, shift };
        let kernels = cpu::kernels()?;
        let output = cpu::written(x.len(), self.dtype, |output| {
            kernels.layer_norm(x, d, self.eps, modulation, output);
        })?;
        Ok((output, x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        scale: &Tensor,
        shift: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.to_dtype(DType::F32)?;
        let mut all = gradients(&[x, scale, shift], &gradient, |a| {
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
        let fused = |a: &[Tensor]| modulated_layer_norm(&a[0], &a[1], &a[2], 1e-6, DType::F32);
        let composite = |a: &[Tensor]| modulated(&a[0], &a[1], &a[2], 1e-6);
        assert_close(&fused(&inputs).unwrap(), &composite(&inputs).unwrap(), 1e-5);
        assert_gradients_match(&inputs, fused, composite);
    }

    #[test]
    fn a_wrong_modulation_shape_is_an_error() {
        let x = normal(1, &[3, 5, 24]);
        let (scale, shift) = (normal(2, &[2, 24]), normal(3, &[3, 24]));
        assert!(modulated_layer_norm(&x, &scale, &shift, 1e-6, DType::F32).is_err());
    }
}
