//! The attention of some queries.

use pulp::{Simd, WithSimd};

use super::super::{Attention, Mask};
use super::memory::{KEYS, Memory};
use super::softmax::weigh;
use super::tiling::Tiling;
use crate::aligned::Aligned;
use crate::product::Round;
use crate::{Precision, bf16};

/// What one thread keeps from task to task, for each panel of queries.
#[derive(Default)]
pub(super) struct Buffers {
    /// `[panels, width, lanes]`, scaled.
    queries: Aligned<f32>,
    /// `[keys, lanes]`, of one panel.
    scores: Aligned<f32>,
    /// `[panels, channels, lanes]`
    sums: Aligned<f32>,
    /// `[panels, lanes]`
    maxima: Aligned<f32>,
    /// `[panels, lanes]`
    totals: Aligned<f32>,
}

/// Consecutive queries of one sequence, all heads.
pub(super) struct Task<'a> {
    pub(super) tiling: Tiling,
    pub(super) attention: &'a Attention<&'a [f32]>,
    pub(super) memory: &'a [Memory],
    pub(super) sequence: usize,
    /// The first query.
    pub(super) first: usize,
    pub(super) buffers: &'a mut Buffers,
    /// `[queries, heads * width]`
    pub(super) output: &'a mut [f32],
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if S::REGISTER_COUNT >= 32 {
            match self.tiling.vectors {
                1 => self.run::<S, 1, 8, 8>(simd),
                2 => self.run::<S, 2, 8, 8>(simd),
                _ => self.run::<S, 3, 8, 8>(simd),
            }
        } else {
            match (self.tiling.vectors, self.tiling.channels) {
                (1, 5) => self.run::<S, 1, 6, 5>(simd),
                (1, _) => self.run::<S, 1, 6, 6>(simd),
                (_, 5) => self.run::<S, 2, 6, 5>(simd),
                _ => self.run::<S, 2, 6, 6>(simd),
            }
        }
    }
}

impl Task<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const K: usize, const C: usize>(mut self, simd: S) {
        let lanes = V * S::F32_LANES;
        let width = self.attention.heads.width;
        let padded = width.next_multiple_of(C);
        let count = self.output.len() / self.attention.row_len();
        let panels = count.div_ceil(lanes);
        let buffers = &mut *self.buffers;
        buffers.queries.resize(panels * width * lanes);
        buffers.scores.resize(KEYS.next_multiple_of(K) * lanes);
        buffers.sums.resize(panels * padded * lanes);
        buffers.maxima.resize(panels * lanes);
        buffers.totals.resize(panels * lanes);
        for (head, memory) in self.memory.iter().enumerate() {
            self.take_queries(head, lanes, count);
            self.buffers.sums.fill(0.0);
            self.buffers.maxima.fill(f32::NEG_INFINITY);
            self.buffers.totals.fill(0.0);
            for (number, values) in memory.values.chunks(KEYS * padded).enumerate() {
                let first_key = number * KEYS;
                let keys = values.len() / padded;
                let rows = keys.next_multiple_of(K);
                let block = Block {
                    first: first_key,
                    keys: &memory.keys[first_key * width..(first_key + rows) * width],
                    values,
                    count: keys,
                };
                for panel in 0..panels {
                    if self.attention.mask == Mask::Causal
                        && first_key >= self.first + (panel + 1) * lanes
                    {
                        continue;
                    }
                    self.visit::<S, V, K, C>(simd, block, panel);
                }
            }
            self.give_results(head, lanes, padded);
        }
    }

    /// The queries of a head into lanes.
    #[inline(always)]
    fn take_queries(&mut self, head: usize, lanes: usize, count: usize) {
        let query = self.attention.query;
        let width = self.attention.heads.width;
        let scale = self.attention.scale();
        let rounds = self.attention.precision == Precision::Bf16;
        self.buffers.queries.fill(0.0);
        for i in 0..count {
            let row = self.sequence * query.tokens + self.first + i;
            let from = &query.values[query.row(row) + head * width..][..width];
            let to = &mut self.buffers.queries[i / lanes * width * lanes + i % lanes..];
            for (to, value) in to.iter_mut().step_by(lanes).zip(from) {
                let value = if rounds {
                    bf16::to_f32(bf16::from_f32(*value))
                } else {
                    *value
                };
                *to = value * scale;
            }
        }
    }

    /// One block of keys for one panel of queries.
    #[inline(always)]
    fn visit<S: Simd, const V: usize, const K: usize, const C: usize>(
        &mut self,
        simd: S,
        block: Block<'_>,
        panel: usize,
    ) {
        let lanes = V * S::F32_LANES;
        let width = self.attention.heads.width;
        let Buffers {
            queries,
            scores,
            sums,
            maxima,
            totals,
        } = &mut *self.buffers;
        let queries = vectors::<S, V>(&queries[panel * width * lanes..][..width * lanes]);
        let tiles = block.keys.chunks_exact(K * width);
        let to = vectors_mut::<S, V>(scores).as_chunks_mut::<K>().0;
        for (to, keys) in to.iter_mut().zip(tiles) {
            let zero = [[simd.splat_f32s(0.0); V]; K];
            *to = multiply(simd, keys.as_chunks::<K>().0, queries, zero);
        }
        let scores = &mut scores[..block.count * lanes];
        if self.attention.mask == Mask::Causal {
            let first_query = self.first + panel * lanes;
            for (key, row) in scores.chunks_exact_mut(lanes).enumerate() {
                let hidden = (block.first + key).saturating_sub(first_query).min(lanes);
                row[..hidden].fill(f32::NEG_INFINITY);
            }
        }
        let maxima = &mut vectors_mut::<S, V>(&mut maxima[panel * lanes..][..lanes])[0];
        let totals = &mut vectors_mut::<S, V>(&mut totals[panel * lanes..][..lanes])[0];
        let shrink = weigh(simd, vectors_mut::<S, V>(scores), maxima, totals);
        if self.attention.precision == Precision::Bf16 {
            Round(scores).with_simd(simd);
        }
        let scores = vectors::<S, V>(scores);
        let padded = width.next_multiple_of(C);
        let sums = vectors_mut::<S, V>(&mut sums[panel * padded * lanes..][..padded * lanes]);
        let tiles = block.values.chunks_exact(block.count * C);
        for (sums, values) in sums.as_chunks_mut::<C>().0.iter_mut().zip(tiles) {
            let mut before = *sums;
            for row in &mut before {
                for (sum, shrink) in row.iter_mut().zip(&shrink) {
                    *sum = simd.mul_f32s(*sum, *shrink);
                }
            }
            *sums = multiply(simd, values.as_chunks::<C>().0, scores, before);
        }
    }

    /// The averages of a head out of the lanes.
    #[inline(always)]
    fn give_results(&mut self, head: usize, lanes: usize, padded: usize) {
        let width = self.attention.heads.width;
        let d = self.attention.row_len();
        for (i, row) in self.output.chunks_exact_mut(d).enumerate() {
            let (panel, lane) = (i / lanes, i % lanes);
            let total = self.buffers.totals[panel * lanes + lane];
            let sums = &self.buffers.sums[panel * padded * lanes + lane..];
            let to = &mut row[head * width..][..width];
            for (to, sum) in to.iter_mut().zip(sums.iter().step_by(lanes)) {
                *to = sum / total;
            }
        }
    }
}

/// Consecutive keys and their values.
#[derive(Clone, Copy)]
struct Block<'a> {
    /// The first key.
    first: usize,
    /// As in [`Memory::keys`].
    keys: &'a [f32],
    /// As in [`Memory::values`].
    values: &'a [f32],
    count: usize,
}

#[inline(always)]
fn vectors<S: Simd, const V: usize>(values: &[f32]) -> &[[S::f32s; V]] {
    S::as_simd_f32s(values).0.as_chunks::<V>().0
}

#[inline(always)]
fn vectors_mut<S: Simd, const V: usize>(values: &mut [f32]) -> &mut [[S::f32s; V]] {
    S::as_mut_simd_f32s(values).0.as_chunks_mut::<V>().0
}

/// `sums[i] + sum over k of left[k][i] * right[k]`. By value: sums behind a reference would be written back to memory
/// at every step.
#[inline(always)]
fn multiply<S: Simd, const V: usize, const R: usize>(
    simd: S,
    left: &[[f32; R]],
    right: &[[S::f32s; V]],
    mut sums: [[S::f32s; V]; R],
) -> [[S::f32s; V]; R] {
    for (left, right) in left.iter().zip(right) {
        for i in 0..R {
            let value = simd.splat_f32s(left[i]);
            for j in 0..V {
                sums[i][j] = simd.mul_add_e_f32s(value, right[j], sums[i][j]);
            }
        }
    }
    sums
}
