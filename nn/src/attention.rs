//! Multi-head attention.

use candle_core::{CpuStorage, CustomOp1, D, DType, Layout, Result, Shape, Tensor};
pub use promptfed_kernels::attention::Mask;
use promptfed_kernels::attention::{Attention, Heads, Sequences};

use crate::cpu::{self, either};
use crate::fused::gradients;
use crate::{Error, Precision};

/// Scores of images that are computed together where scores are whole: 1 GB in f32, of which a few copies live together. One image
/// may have more.
const MOST_SCORES: usize = 1 << 28;

/// Multi-head attention of queries [batch, m, heads * width] over keys and values [batch, n, heads * width]:
/// softmax(q k^T / sqrt(width)) v per head (Vaswani et al. 2017, eq. 1). The result has the shape and format of the queries.
///
/// On the CPU the scores are never whole in memory, and `precision` says how products are made where the processor
/// multiplies bf16. Scores and their softmax are f32 everywhere.
///
/// # Errors
/// If the shapes do not fit, or a causal mask meets queries and keys of different number.
pub fn attention(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    heads: usize,
    mask: Mask,
    precision: Precision,
) -> crate::Result<Tensor> {
    let (batch, m, d) = query.dims3()?;
    let n = key.dim(1)?;
    let fits = key.dims() == [batch, n, d] && value.dims() == key.dims();
    let splits = heads > 0 && d > 0 && d.is_multiple_of(heads) && m > 0 && n > 0;
    if !fits || !splits || (mask == Mask::Causal && m != n) {
        return Err(Error::shapes("attention", query.dims(), key.dims()));
    }
    if !query.device().is_cpu() {
        return Ok(composite(query, key, value, heads, mask)?);
    }
    let kernels = cpu::kernels()?;
    let heads = Heads {
        count: heads,
        width: d / heads,
    };
    Ok(cpu::read_either(key, |key| {
        cpu::read_either(value, |value| {
            cpu::map(query, query.shape(), query.dtype(), |query, output| {
                let attention = Attention {
                    query: Sequences::dense(query, m, d),
                    key: Sequences::dense(key, n, d),
                    value: Sequences::dense(value, n, d),
                    heads,
                    mask,
                    precision: cpu::packed(precision),
                };
                kernels.attention(attention, output);
            })
        })
    })???)
}

/// Multi-head self-attention without a mask.
///
/// `qkv` is [batch, tokens, 3 d] as one projection gives it: queries, keys, values side by side. The result is
/// [batch, tokens, d], in the same format. In f32 it has a gradient.
///
/// # Errors
/// If the width does not split into three times the heads.
pub fn self_attention(qkv: &Tensor, heads: usize, precision: Precision) -> Result<Tensor> {
    let (_, _, width) = qkv.dims3()?;
    if heads == 0 || !width.is_multiple_of(3 * heads) {
        candle_core::bail!("qkv {:?} does not split into 3 x {heads} heads", qkv.dims());
    }
    if qkv.device().is_cpu() {
        qkv.contiguous()?
            .apply_op1(SelfAttention { heads, precision })
    } else {
        composite_self_attention(qkv, heads)
    }
}

fn composite(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    heads: usize,
    mask: Mask,
) -> Result<Tensor> {
    composite_in_parts(query, key, value, heads, mask, MOST_SCORES)
}

/// As many images at a time as have `most_scores` scores, one at least.
fn composite_in_parts(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    heads: usize,
    mask: Mask,
    most_scores: usize,
) -> Result<Tensor> {
    let split = |x: &Tensor| -> Result<Tensor> {
        let (batch, tokens, d) = x.dims3()?;
        x.reshape((batch, tokens, heads, d / heads))?
            .transpose(1, 2)?
            .contiguous()
    };
    // Scores overflow in f16, of Stable Diffusion 2.1 without fail (`upcast_attention`).
    let (q, k, v) = (
        split(query)?.to_dtype(DType::F32)?,
        split(key)?.to_dtype(DType::F32)?,
        split(value)?,
    );
    let scores = heads * q.dim(2)? * k.dim(2)?;
    let images = (most_scores / scores.max(1)).max(1);
    let parts = (0..q.dim(0)?)
        .step_by(images)
        .map(|first| {
            let count = images.min(q.dim(0)? - first);
            let part = |x: &Tensor| x.narrow(0, first, count);
            mixed(&part(&q)?, &part(&k)?, &part(&v)?, mask)
        })
        .collect::<Result<Vec<_>>>()?;
    Tensor::cat(&parts, 0)?.transpose(1, 2)?.flatten_from(2)
}

/// Queries [n, heads, m, width] over keys and values: [n, heads, m, width].
fn mixed(q: &Tensor, k: &Tensor, v: &Tensor, mask: Mask) -> Result<Tensor> {
    let scale = 1.0 / (q.dim(D::Minus1)? as f64).sqrt();
    let mut scores = (q.matmul(&k.transpose(2, 3)?)? * scale)?;
    if mask == Mask::Causal {
        let n = k.dim(2)?;
        let hidden: Vec<f32> = (0..n * n)
            .map(|i| {
                if i % n > i / n {
                    f32::NEG_INFINITY
                } else {
                    0.0
                }
            })
            .collect();
        let hidden = Tensor::from_vec(hidden, (n, n), q.device())?;
        scores = scores.broadcast_add(&hidden)?;
    }
    let shifted = scores
        .broadcast_sub(&scores.max_keepdim(D::Minus1)?)?
        .exp()?;
    let weights = shifted.broadcast_div(&shifted.sum_keepdim(D::Minus1)?)?;
    weights.to_dtype(v.dtype())?.matmul(v)
}

fn composite_self_attention(qkv: &Tensor, heads: usize) -> Result<Tensor> {
    let parts = qkv.chunk(3, D::Minus1)?;
    composite(&parts[0], &parts[1], &parts[2], heads, Mask::None)
}

struct SelfAttention {
    heads: usize,
    precision: Precision,
}

impl CustomOp1 for SelfAttention {
    fn name(&self) -> &'static str {
        "self-attention"
    }

    fn cpu_fwd(&self, qkv: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (batch, tokens, width) = layout.shape().dims3()?;
        let qkv = either(qkv, layout)?;
        let dtype = cpu::dtype(qkv);
        let d = width / 3;
        let part = |i: usize| Sequences {
            values: qkv,
            tokens,
            step: width,
            start: i * d,
        };
        let attention = Attention {
            query: part(0),
            key: part(1),
            value: part(2),
            heads: Heads {
                count: self.heads,
                width: d / self.heads,
            },
            mask: Mask::None,
            precision: cpu::packed(self.precision),
        };
        let kernels = cpu::kernels()?;
        let output = cpu::written(batch * tokens * d, dtype, |output| {
            if !output.is_empty() {
                kernels.attention(attention, output);
            }
        })?;
        Ok((output, (batch, tokens, d).into()))
    }

    fn bwd(&self, qkv: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let mut all = gradients(&[qkv], gradient, |a| {
            composite_self_attention(&a[0], self.heads)
        })?;
        Ok(all[0].take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fused::tests::{assert_close, assert_gradients_match, normal};

    #[test]
    fn self_attention_agrees_with_its_composite_form() {
        for (tokens, d, heads) in [(20, 48, 4), (33, 24, 2), (1, 16, 1), (68, 384, 6)] {
            let qkv = [normal(1, &[2, tokens, 3 * d])];
            let fused = |a: &[Tensor]| self_attention(&a[0], heads, Precision::F32);
            let composite = |a: &[Tensor]| composite_self_attention(&a[0], heads);
            assert_close(&fused(&qkv).unwrap(), &composite(&qkv).unwrap(), 2e-5);
            assert_gradients_match(&qkv, fused, composite);
        }
    }

    #[test]
    fn attention_agrees_with_its_composite_form() {
        let (q, k, v) = (
            normal(1, &[2, 7, 24]),
            normal(2, &[2, 7, 24]),
            normal(3, &[2, 7, 24]),
        );
        for mask in [Mask::None, Mask::Causal] {
            let found = attention(&q, &k, &v, 3, mask, Precision::F32).unwrap();
            assert_close(&found, &composite(&q, &k, &v, 3, mask).unwrap(), 1e-5);
        }
        let whole = composite(&q, &k, &v, 3, Mask::Causal).unwrap();
        let parts = composite_in_parts(&q, &k, &v, 3, Mask::Causal, 1).unwrap();
        assert_close(&parts, &whole, 1e-6);
        let more = normal(4, &[2, 9, 24]);
        let found = attention(&q, &more, &more, 3, Mask::None, Precision::F32).unwrap();
        assert_close(
            &found,
            &composite(&q, &more, &more, 3, Mask::None).unwrap(),
            1e-5,
        );
        assert!(attention(&q, &more, &more, 3, Mask::Causal, Precision::F32).is_err());
        assert!(attention(&q, &k, &more, 3, Mask::None, Precision::F32).is_err());
        assert!(attention(&q, &k, &v, 5, Mask::None, Precision::F32).is_err());
    }

    #[test]
    fn scores_beyond_half_precision_do_not_overflow() {
        let x = Tensor::full(300f32, (1, 4, 64), &candle_core::Device::Cpu).unwrap();
        let x = x.to_dtype(DType::F16).unwrap();
        let mixed = composite(&x, &x, &x, 1, Mask::Causal).unwrap();
        assert_eq!(mixed.dtype(), DType::F16);
        let values: Vec<f32> = mixed
            .to_dtype(DType::F32)
            .and_then(|mixed| mixed.flatten_all()?.to_vec1())
            .unwrap();
        assert!(values.iter().all(|v| (v - 300.0).abs() < 1.0), "{values:?}");
    }

    #[test]
    fn widths_that_do_not_split_are_errors() {
        assert!(self_attention(&normal(1, &[1, 4, 36]), 5, Precision::F32).is_err());
    }
}
