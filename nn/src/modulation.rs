//! The residual additions and activations of transformer blocks, fused with the bias that precedes them.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use crate::fused::{gradients, values};
use crate::vector::exp;

/// Gated residual addition x + gate (y + bias), the end of both halves of a block with adaptive layer norm
/// (Peebles and Xie 2023, section 3.2).
///
/// `x` and `y` are [batch, tokens, d], `bias` is [d], `gate` is [batch, d], all f32. The result has the shape of `x`.
pub fn gated_residual(x: &Tensor, y: &Tensor, bias: &Tensor, gate: &Tensor) -> Result<Tensor> {
    let (batch, tokens, d) = x.dims3()?;
    if y.dims() != [batch, tokens, d] || bias.dims() != [d] || gate.dims() != [batch, d] {
        candle_core::bail!(
            "a gated residual of {:?} takes no y {:?}, bias {:?}, gate {:?}",
            x.dims(),
            y.dims(),
            bias.dims(),
            gate.dims()
        );
    }
    let line = Tensor::stack(&[gate, &gate.broadcast_mul(bias)?], 1)?;
    if x.device().is_cpu() {
        x.contiguous()?
            .apply_op3(&y.contiguous()?, &line, GatedResidual)
    } else {
        gated(x, y, &line)
    }
}

/// x + line[0] y + line[1], `line` [batch, 2, d].
fn gated(x: &Tensor, y: &Tensor, line: &Tensor) -> Result<Tensor> {
    (x + y.broadcast_mul(&line.narrow(1, 0, 1)?)?)?.broadcast_add(&line.narrow(1, 1, 1)?)
}

/// GELU of x + bias in its tanh form: v / (1 + exp(-2 sqrt(2/pi) (v + 0.044715 v^3))) (Hendrycks and Gimpel
/// 2016, section 2, with tanh written as a logistic function).
///
/// `x` is [.., d], `bias` is [d], f32. The result has the shape of `x`.
pub fn bias_gelu(x: &Tensor, bias: &Tensor) -> Result<Tensor> {
    if x.dims().last() != Some(&bias.elem_count()) || bias.rank() != 1 {
        candle_core::bail!(
            "a bias of shape {:?} does not fit {:?}",
            bias.dims(),
            x.dims()
        );
    }
    if x.device().is_cpu() {
        x.contiguous()?.apply_op2(&bias.contiguous()?, BiasGelu)
    } else {
        composite_bias_gelu(x, bias)
    }
}

fn composite_bias_gelu(x: &Tensor, bias: &Tensor) -> Result<Tensor> {
    x.broadcast_add(bias)?.gelu()
}

#[inline(always)]
fn gelu(v: f32) -> f32 {
    const TWICE_SQRT_2_OVER_PI: f32 = 1.595_769;
    v / (1.0 + exp(-TWICE_SQRT_2_OVER_PI * (v + 0.044_715 * v * v * v)))
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
        line: &CpuStorage,
        line_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, tokens, d) = x_layout.shape().dims3()?;
        let sample = (tokens * d).max(1);
        let (x, y) = (values(x, x_layout)?, values(y, y_layout)?);
        let line = values(line, line_layout)?;
        let mut out = vec![0f32; x.len()];
        let arch = pulp::Arch::new();
        out.par_chunks_mut(sample)
            .zip(x.par_chunks(sample).zip(y.par_chunks(sample)))
            .zip(line.par_chunks((2 * d).max(1)))
            .for_each(|((out, (x, y)), line)| {
                let (gate, offset) = line.split_at(d);
                arch.dispatch(
                    #[inline(always)]
                    || {
                        let rows = x.chunks_exact(d).zip(y.chunks_exact(d));
                        for (out, (x, y)) in out.chunks_exact_mut(d).zip(rows) {
                            let sums = x.iter().zip(y).zip(gate.iter().zip(offset));
                            for (o, ((x, y), (gate, offset))) in out.iter_mut().zip(sums) {
                                *o = x + gate * y + offset;
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
        y: &Tensor,
        line: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let mut all = gradients(&[x, y, line], gradient, |a| gated(&a[0], &a[1], &a[2]))?;
        Ok((all[0].take(), all[1].take(), all[2].take()))
    }
}

struct BiasGelu;

impl CustomOp2 for BiasGelu {
    fn name(&self) -> &'static str {
        "bias-gelu"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, bias) = (values(x, x_layout)?, values(bias, bias_layout)?);
        let d = bias.len().max(1);
        let mut out = vec![0f32; x.len()];
        let arch = pulp::Arch::new();
        out.par_chunks_mut(d)
            .zip(x.par_chunks(d))
            .with_min_len(16)
            .for_each(|(out, x)| {
                arch.dispatch(
                    #[inline(always)]
                    || {
                        for (o, (v, b)) in out.iter_mut().zip(x.iter().zip(bias)) {
                            *o = gelu(v + b);
                        }
                    },
                )
            });
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let mut all = gradients(&[x, bias], gradient, |a| composite_bias_gelu(&a[0], &a[1]))?;
        Ok((all[0].take(), all[1].take()))
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
            normal(3, &[24]),
            normal(4, &[3, 24]),
        ];
        let fused = |a: &[Tensor]| gated_residual(&a[0], &a[1], &a[2], &a[3]);
        let composite = |a: &[Tensor]| {
            let sum = a[1].broadcast_add(&a[2])?;
            &a[0] + sum.broadcast_mul(&a[3].unsqueeze(1)?)?
        };
        assert_close(&fused(&inputs).unwrap(), &composite(&inputs).unwrap(), 1e-5);
        assert_gradients_match(&inputs, fused, composite);
    }

    #[test]
    fn bias_gelu_agrees_with_its_composite_form() {
        let inputs = [(normal(1, &[7, 5, 24]) * 4.0).unwrap(), normal(2, &[24])];
        let fused = |a: &[Tensor]| bias_gelu(&a[0], &a[1]);
        let composite = |a: &[Tensor]| composite_bias_gelu(&a[0], &a[1]);
        assert_close(&fused(&inputs).unwrap(), &composite(&inputs).unwrap(), 1e-5);
        assert_gradients_match(&inputs, fused, composite);
        for v in [f32::NAN, f32::INFINITY] {
            assert!(!gelu(v).is_finite());
        }
        assert_eq!(gelu(-1e4), 0.0);
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors() {
        let x = normal(1, &[3, 5, 24]);
        assert!(bias_gelu(&x, &normal(2, &[23])).is_err());
        assert!(gated_residual(&x, &x, &normal(2, &[23]), &normal(3, &[3, 24])).is_err());
        assert!(gated_residual(&x, &x, &normal(2, &[24]), &normal(3, &[2, 24])).is_err());
    }
}
