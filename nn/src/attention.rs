//! Multi-head attention over short sequences.

use candle_core::{CpuStorage, CustomOp2, D, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use crate::fused::{gradients, values};
use crate::vector::{exp, sum};

/// Values that are summed side by side: enough independent sums to hide the latency of an addition.
const BLOCK: usize = 32;

/// Multi-head self-attention without a mask: softmax(q k^T / sqrt(d / heads)) v per head (Vaswani et al. 2017, eq. 1).
///
/// `qkv` is [batch, tokens, 3 d] as one projection gives it (queries, keys, values side by side) before its `bias` [3 d]
/// is added. The result is [batch, tokens, d]. Scores are held for one query at a time: memory does not grow
/// with the square of the tokens.
pub fn self_attention(qkv: &Tensor, bias: &Tensor, heads: usize) -> Result<Tensor> {
    let (_, _, width) = qkv.dims3()?;
    if bias.dims() != [width] || heads == 0 || width % (3 * heads) != 0 {
        candle_core::bail!(
            "qkv {:?} and bias {:?} do not split into 3 x {heads} heads",
            qkv.dims(),
            bias.dims()
        );
    }
    if qkv.device().is_cpu() {
        qkv.contiguous()?
            .apply_op2(&bias.contiguous()?, SelfAttention { heads })
    } else {
        composite(qkv, bias, heads)
    }
}

/// Multi-head attention of queries [batch, m, d] over keys and values [batch, n, d]; the result is [batch, m, d].
pub fn cross_attention(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    heads: usize,
) -> Result<Tensor> {
    let split = |x: &Tensor| -> Result<Tensor> {
        let (batch, tokens, d) = x.dims3()?;
        x.reshape((batch, tokens, heads, d / heads))?
            .transpose(1, 2)?
            .contiguous()
    };
    let (q, k, v) = (split(query)?, split(key)?, split(value)?);
    let scale = 1.0 / (q.dim(D::Minus1)? as f64).sqrt();
    let scores = (q.matmul(&k.transpose(2, 3)?)? * scale)?;
    let shifted = scores
        .broadcast_sub(&scores.max_keepdim(D::Minus1)?)?
        .exp()?;
    let weights = shifted.broadcast_div(&shifted.sum_keepdim(D::Minus1)?)?;
    weights.matmul(&v)?.transpose(1, 2)?.flatten_from(2)
}

/// Which keys a query sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// All.
    None,
    /// Those at its own position and before.
    Causal,
}

/// Multi-head attention of queries [batch, m, heads * width] over keys and values [batch, n, heads * width]:
/// softmax(q k^T / sqrt(width)) v per head (Vaswani et al. 2017, eq. 1). The result has the shape of the queries.
///
/// # Errors
/// If the shapes do not fit, or a causal mask meets queries and keys of different number.
pub fn attention(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    heads: usize,
    mask: Mask,
) -> crate::Result<Tensor> {
    let (batch, m, d) = query.dims3()?;
    let n = key.dim(1)?;
    let fits = key.dims() == [batch, n, d] && value.dims() == key.dims();
    let splits = heads > 0 && d % heads == 0;
    if !fits || !splits || (mask == Mask::Causal && m != n) {
        return Err(crate::Error::shapes("attention", query.dims(), key.dims()));
    }
    if mask == Mask::None {
        return Ok(cross_attention(query, key, value, heads)?);
    }
    let split = |x: &Tensor| -> Result<Tensor> {
        x.reshape((batch, n, heads, d / heads))?
            .transpose(1, 2)?
            .contiguous()
    };
    let (q, k, v) = (split(query)?, split(key)?, split(value)?);
    let scale = 1.0 / ((d / heads) as f64).sqrt();
    let hidden: Vec<f32> = (0..n * n)
        .map(|i| {
            if i % n > i / n {
                f32::NEG_INFINITY
            } else {
                0.0
            }
        })
        .collect();
    let hidden = Tensor::from_vec(hidden, (n, n), query.device())?.to_dtype(query.dtype())?;
    let scores = (q.matmul(&k.transpose(2, 3)?)? * scale)?.broadcast_add(&hidden)?;
    let shifted = scores
        .broadcast_sub(&scores.max_keepdim(D::Minus1)?)?
        .exp()?;
    let weights = shifted.broadcast_div(&shifted.sum_keepdim(D::Minus1)?)?;
    Ok(weights.matmul(&v)?.transpose(1, 2)?.flatten_from(2)?)
}

fn composite(qkv: &Tensor, bias: &Tensor, heads: usize) -> Result<Tensor> {
    let parts = qkv.broadcast_add(bias)?.chunk(3, D::Minus1)?;
    cross_attention(&parts[0], &parts[1], &parts[2], heads)
}

struct SelfAttention {
    heads: usize,
}

impl CustomOp2 for SelfAttention {
    fn name(&self) -> &'static str {
        "self-attention"
    }

    fn cpu_fwd(
        &self,
        qkv: &CpuStorage,
        qkv_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (batch, tokens, width) = qkv_layout.shape().dims3()?;
        let (qkv, bias) = (values(qkv, qkv_layout)?, values(bias, bias_layout)?);
        let d = width / 3;
        let mut out = vec![0f32; batch * tokens * d];
        let arch = pulp::Arch::new();
        out.par_chunks_mut((tokens * d).max(1))
            .zip(qkv.par_chunks((tokens * width).max(1)))
            .for_each_init(
                || Scratch::new(tokens, d / self.heads),
                |scratch, (out, qkv)| {
                    arch.dispatch(
                        #[inline(always)]
                        || {
                            for head in 0..self.heads {
                                scratch.attend(qkv, bias, head, out, d);
                            }
                        },
                    )
                },
            );
        Ok((CpuStorage::F32(out), (batch, tokens, d).into()))
    }

    fn bwd(
        &self,
        qkv: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let mut all = gradients(&[qkv, bias], gradient, |a| {
            composite(&a[0], &a[1], self.heads)
        })?;
        Ok((all[0].take(), all[1].take()))
    }
}

/// One head's operands in the layout its loops want.
struct Scratch {
    tokens: usize,
    /// Tokens rounded up to whole blocks.
    padded: usize,
    /// Width of one head.
    width: usize,
    query: Vec<f32>,
    /// Keys by channel, [width, padded]; the columns past `tokens` stay 0.
    keys: Vec<f32>,
    /// [tokens, width]
    values: Vec<f32>,
    scores: Vec<f32>,
}

impl Scratch {
    fn new(tokens: usize, width: usize) -> Self {
        let padded = tokens.next_multiple_of(BLOCK);
        Self {
            tokens,
            padded,
            width,
            query: vec![0.0; width],
            keys: vec![0.0; width * padded],
            values: vec![0.0; tokens * width],
            scores: vec![0.0; padded],
        }
    }

    #[inline(always)]
    fn attend(&mut self, qkv: &[f32], bias: &[f32], head: usize, out: &mut [f32], d: usize) {
        let (width, start) = (self.width, head * self.width);
        let (query_bias, rest) = bias.split_at(d);
        let (key_bias, value_bias) = rest.split_at(d);
        for (j, row) in qkv.chunks_exact(3 * d).enumerate() {
            for c in 0..width {
                self.keys[c * self.padded + j] = row[d + start + c] + key_bias[start + c];
            }
            let values = &mut self.values[j * width..(j + 1) * width];
            let from = &row[2 * d + start..2 * d + start + width];
            for (v, (x, b)) in values.iter_mut().zip(from.iter().zip(&value_bias[start..])) {
                *v = x + b;
            }
        }
        let scale = 1.0 / (width as f32).sqrt();
        for (i, row) in qkv.chunks_exact(3 * d).enumerate() {
            let from = row[start..start + width].iter().zip(&query_bias[start..]);
            for (q, (x, b)) in self.query.iter_mut().zip(from) {
                *q = (x + b) * scale;
            }
            self.score();
            let total = self.softmax();
            self.mix(total, &mut out[i * d + start..i * d + start + width]);
        }
    }

    /// Scores of the query against every key.
    #[inline(always)]
    fn score(&mut self) {
        for (block, scores) in self
            .scores
            .as_chunks_mut::<BLOCK>()
            .0
            .iter_mut()
            .enumerate()
        {
            let mut lanes = [0f32; BLOCK];
            for (q, keys) in self.query.iter().zip(self.keys.chunks_exact(self.padded)) {
                let keys = &keys[block * BLOCK..(block + 1) * BLOCK];
                for (lane, k) in lanes.iter_mut().zip(keys) {
                    *lane += q * k;
                }
            }
            *scores = lanes;
        }
    }

    /// Turns scores into unnormalised weights and returns their sum.
    #[inline(always)]
    fn softmax(&mut self) -> f32 {
        let scores = &mut self.scores[..self.tokens];
        let top = scores
            .iter()
            .fold(f32::NEG_INFINITY, |a, b| if *b > a { *b } else { a });
        for s in scores.iter_mut() {
            *s = exp(*s - top);
        }
        sum(scores, |s| s)
    }

    #[inline(always)]
    fn mix(&self, total: f32, out: &mut [f32]) {
        let (blocks, rest) = out.as_chunks_mut::<BLOCK>();
        let first_of_rest = blocks.len() * BLOCK;
        for (block, out) in blocks.iter_mut().enumerate() {
            let mut lanes = [0f32; BLOCK];
            for (weight, values) in self.scores.iter().zip(self.values.chunks_exact(self.width)) {
                let values = &values[block * BLOCK..(block + 1) * BLOCK];
                for (lane, v) in lanes.iter_mut().zip(values) {
                    *lane += weight * v;
                }
            }
            for (o, lane) in out.iter_mut().zip(lanes) {
                *o = lane / total;
            }
        }
        for (c, o) in rest.iter_mut().enumerate() {
            let column = self
                .values
                .iter()
                .skip(first_of_rest + c)
                .step_by(self.width);
            let mixed: f32 = self.scores.iter().zip(column).map(|(w, v)| w * v).sum();
            *o = mixed / total;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fused::tests::{assert_close, assert_gradients_match, normal};

    #[test]
    fn agrees_with_its_composite_form() {
        for (batch, tokens, heads, width) in [
            (2, 20, 6, 64),
            (1, 24, 4, 32),
            (3, 7, 2, 5),
            (1, 1, 1, 8),
            (2, 68, 2, 12),
        ] {
            let d = heads * width;
            let inputs = [normal(1, &[batch, tokens, 3 * d]), normal(2, &[3 * d])];
            let fused = |a: &[Tensor]| self_attention(&a[0], &a[1], heads);
            let composite = |a: &[Tensor]| composite(&a[0], &a[1], heads);
            assert_close(&fused(&inputs).unwrap(), &composite(&inputs).unwrap(), 2e-5);
            assert_gradients_match(&inputs, fused, composite);
        }
    }

    #[test]
    fn large_scores_do_not_overflow() {
        let qkv = (normal(1, &[1, 9, 48]) * 1e3).unwrap();
        let out = self_attention(&qkv, &normal(2, &[48]), 2).unwrap();
        assert!(
            out.flatten_all()
                .unwrap()
                .to_vec1::<f32>()
                .unwrap()
                .iter()
                .all(|v| v.is_finite())
        );
    }

    #[test]
    fn widths_that_do_not_split_are_errors() {
        assert!(self_attention(&normal(1, &[1, 4, 36]), &normal(2, &[36]), 5).is_err());
        assert!(self_attention(&normal(1, &[1, 4, 36]), &normal(2, &[35]), 2).is_err());
    }
}
