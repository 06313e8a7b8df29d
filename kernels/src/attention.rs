//! Multi-head attention whose matrix of scores is never whole in memory.
//!
//! Blocks of keys are visited one after the other with a running maximum and sum (Milakov and Gimelshein
//! 2018, algorithm 3; Dao et al. 2022, algorithm 1).

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::product::{Rows, Scratch, Segments, Source, Target, product};
use crate::{Epilogue, Kernels, PackedMatrix, Precision, Write};

/// Queries of one task: whole tiles of every instruction set.
const QUERIES: usize = 96;

/// Keys of one block: scores of [`QUERIES`] queries fill less than half of a second-level cache.
const KEYS: usize = 768;

/// Rows of `heads * width` values inside a slice, those of one sequence after the other.
#[derive(Clone, Copy, Debug)]
pub struct Sequences<'a> {
    /// The values.
    pub values: &'a [f32],
    /// Rows per sequence.
    pub tokens: usize,
    /// From one row to the next.
    pub step: usize,
    /// Where the first row begins.
    pub start: usize,
}

impl<'a> Sequences<'a> {
    /// `[batch, tokens, d]` without gaps.
    pub fn dense(values: &'a [f32], tokens: usize, d: usize) -> Self {
        Self {
            values,
            tokens,
            step: d,
            start: 0,
        }
    }
}

/// Which keys a query sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// All.
    None,
    /// Those at its own position and before.
    Causal,
}

/// Heads and their width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// How many.
    pub count: usize,
    /// Values of one head.
    pub width: usize,
}

impl Kernels {
    /// `output [batch, queries, heads * width] = softmax(q k^T / sqrt(width)) v`, each head by itself (Vaswani et al.
    /// 2017, eq. 1).
    ///
    /// Products are made in `precision` where the processor multiplies bf16, otherwise in f32.
    ///
    /// # Panics
    /// If the sequences do not hold the batch that the output's length implies, or keys and values differ
    /// in number, or a causal mask meets fewer keys than queries.
    #[expect(
        clippy::too_many_arguments,
        reason = "three operands and four settings that no other operation shares"
    )]
    pub fn attention(
        self,
        query: Sequences<'_>,
        key: Sequences<'_>,
        value: Sequences<'_>,
        heads: Heads,
        mask: Mask,
        precision: Precision,
        output: &mut [f32],
    ) {
        let d = heads.count * heads.width;
        let per_sequence = query.tokens * d;
        assert!(per_sequence > 0 && key.tokens > 0, "an empty sequence");
        assert!(
            output.len().is_multiple_of(per_sequence),
            "values of the result"
        );
        assert_eq!(key.tokens, value.tokens, "keys and values");
        assert!(
            mask == Mask::None || key.tokens >= query.tokens,
            "keys of a causal mask"
        );
        let precision = if self.set.multiplies_bf16() {
            precision
        } else {
            Precision::F32
        };
        let blocks = output.par_chunks_mut(per_sequence).enumerate();
        blocks.for_each(|(sequence, output)| {
            let memory: Vec<Memory> = (0..heads.count)
                .into_par_iter()
                .map(|head| {
                    Memory::new(
                        self,
                        key,
                        value,
                        sequence,
                        head * heads.width,
                        heads.width,
                        precision,
                    )
                })
                .collect();
            let tasks = output.par_chunks_mut(QUERIES * d).enumerate();
            tasks.for_each_init(Buffers::default, |buffers, (task, output)| {
                let block = Queries {
                    kernels: self,
                    query,
                    first: sequence * query.tokens + task * QUERIES,
                    position: task * QUERIES,
                    count: output.len() / d,
                    width: heads.width,
                    mask,
                };
                for (head, memory) in memory.iter().enumerate() {
                    block.attend(memory, head * heads.width, buffers);
                    let rows = output.chunks_exact_mut(d);
                    for (row, sums) in rows.zip(buffers.sums.chunks_exact(heads.width)) {
                        row[head * heads.width..][..heads.width].copy_from_slice(sums);
                    }
                }
            });
        });
    }
}

/// Keys and values of one head, packed.
struct Memory {
    /// Keys as columns, and values as rows, of each block.
    blocks: Vec<(PackedMatrix, PackedMatrix)>,
}

impl Memory {
    fn new(
        kernels: Kernels,
        key: Sequences<'_>,
        value: Sequences<'_>,
        sequence: usize,
        column: usize,
        width: usize,
        precision: Precision,
    ) -> Self {
        let tokens = key.tokens;
        let blocks = (0..tokens).step_by(KEYS).map(|first| {
            let count = KEYS.min(tokens - first);
            let start = |s: Sequences<'_>| s.start + (sequence * tokens + first) * s.step + column;
            let channels: Vec<usize> = (0..width).map(|i| start(key) + i).collect();
            let keys = Source {
                values: key.values,
                rows: &channels,
                columns: count,
                column_step: key.step,
            };
            let rows: Vec<usize> = (0..count).map(|i| start(value) + i * value.step).collect();
            let values = Source {
                values: value.values,
                rows: &rows,
                columns: width,
                column_step: 1,
            };
            let pack = |source: Source<'_>| {
                let segments = Segments {
                    count: 1,
                    len: source.rows.len(),
                };
                PackedMatrix::with_segments(kernels, segments, source, precision)
            };
            (pack(keys), pack(values))
        });
        Self {
            blocks: blocks.collect(),
        }
    }
}

/// What one thread keeps from task to task.
#[derive(Default)]
struct Buffers {
    scratch: Scratch,
    /// `[queries, keys]`
    scores: Vec<f32>,
    /// `[queries, width]`
    sums: Vec<f32>,
    maxima: Vec<f32>,
    totals: Vec<f32>,
}

/// Consecutive queries of one sequence.
struct Queries<'a> {
    kernels: Kernels,
    query: Sequences<'a>,
    /// Their first row in all sequences, and in their own.
    first: usize,
    position: usize,
    count: usize,
    width: usize,
    mask: Mask,
}

impl Queries<'_> {
    /// Leaves the result of one head in `buffers.sums`.
    fn attend(&self, memory: &Memory, column: usize, buffers: &mut Buffers) {
        let Buffers {
            scratch,
            scores,
            sums,
            maxima,
            totals,
        } = buffers;
        sums.clear();
        sums.resize(self.count * self.width, 0.0);
        maxima.clear();
        maxima.resize(self.count, f32::NEG_INFINITY);
        totals.clear();
        totals.resize(self.count, 0.0);
        let rows = Rows {
            values: self.query.values,
            start: self.query.start + self.first * self.query.step + column,
            images: 1,
            image_step: 0,
            lines: 1,
            line_step: 0,
            pixels: self.count,
            pixel_step: self.query.step,
            segments: 1,
            segment_step: 0,
            segment_len: self.width,
        };
        for (number, (keys, values)) in memory.blocks.iter().enumerate() {
            let first_key = number * KEYS;
            if self.mask == Mask::Causal && first_key >= self.position + self.count {
                break;
            }
            let count = keys.columns();
            scores.resize(self.count * count, 0.0);
            let plain = Epilogue::default();
            product(
                &rows,
                keys,
                scores,
                Target::of_matrix(count),
                plain,
                scratch,
            );
            self.kernels.set.run(Weights {
                scores: &mut *scores,
                keys: count,
                scale: 1.0 / (self.width as f32).sqrt(),
                visible: match self.mask {
                    Mask::None => None,
                    Mask::Causal => Some(self.position as isize + 1 - first_key as isize),
                },
                maxima: &mut *maxima,
                totals: &mut *totals,
                sums: &mut *sums,
                width: self.width,
            });
            let weights = Rows::of_matrix(scores, count);
            let add = Epilogue {
                write: Write::Add,
                ..plain
            };
            product(
                &weights,
                values,
                sums,
                Target::of_matrix(self.width),
                add,
                scratch,
            );
        }
        for (row, total) in sums.chunks_exact_mut(self.width).zip(totals) {
            for sum in row {
                *sum /= *total;
            }
        }
    }
}

/// Turns a block of scores into weights relative to the running maximum, and rescales what was summed before.
struct Weights<'a> {
    /// `[queries, keys]`
    scores: &'a mut [f32],
    keys: usize,
    scale: f32,
    /// Keys of the block that the first query sees, one more for each later one; all if nothing.
    visible: Option<isize>,
    maxima: &'a mut [f32],
    totals: &'a mut [f32],
    sums: &'a mut [f32],
    width: usize,
}

impl WithSimd for Weights<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let rows = self.scores.chunks_exact_mut(self.keys);
        let running = self.maxima.iter_mut().zip(self.totals.iter_mut());
        let sums = self.sums.chunks_exact_mut(self.width);
        for (i, ((row, (maximum, total)), sums)) in rows.zip(running).zip(sums).enumerate() {
            let seen = self.visible.map_or(self.keys, |first| {
                usize::try_from(first + i as isize)
                    .unwrap_or(0)
                    .min(self.keys)
            });
            let (seen, hidden) = row.split_at_mut(seen);
            hidden.fill(0.0);
            if seen.is_empty() {
                continue;
            }
            let previous = *maximum;
            *maximum = previous.max(max(simd, seen));
            // 2^x is cheaper than e^x.
            let scale = self.scale * std::f32::consts::LOG2_E;
            let shrink = ((previous - *maximum) * scale).exp2();
            *total = *total * shrink + power(simd, seen, scale, *maximum);
            if shrink != 1.0 {
                for sum in sums {
                    *sum *= shrink;
                }
            }
        }
    }
}

#[inline(always)]
fn max<S: Simd>(simd: S, values: &[f32]) -> f32 {
    let (vectors, rest) = S::as_simd_f32s(values);
    let mut largest = [simd.splat_f32s(f32::NEG_INFINITY); 4];
    let (groups, single) = vectors.as_chunks::<4>();
    for group in groups {
        for (largest, value) in largest.iter_mut().zip(group) {
            *largest = simd.max_f32s(*largest, *value);
        }
    }
    for value in single {
        largest[0] = simd.max_f32s(largest[0], *value);
    }
    let pairs = [
        simd.max_f32s(largest[0], largest[1]),
        simd.max_f32s(largest[2], largest[3]),
    ];
    let whole = simd.reduce_max_f32s(simd.max_f32s(pairs[0], pairs[1]));
    rest.iter().fold(whole, |a, b| a.max(*b))
}

/// Replaces every value x by 2^(scale (x - maximum)) and sums them up.
#[inline(always)]
fn power<S: Simd>(simd: S, values: &mut [f32], scale: f32, maximum: f32) -> f32 {
    let offset = -scale * maximum;
    let (vectors, rest) = S::as_mut_simd_f32s(values);
    let (scale, offset) = (simd.splat_f32s(scale), simd.splat_f32s(offset));
    let mut totals = [simd.splat_f32s(0.0); 2];
    let (pairs, single) = vectors.as_chunks_mut::<2>();
    for pair in pairs {
        for (value, total) in pair.iter_mut().zip(&mut totals) {
            *value = exp2(simd, simd.mul_add_e_f32s(*value, scale, offset));
            *total = simd.add_f32s(*total, *value);
        }
    }
    for value in single {
        *value = exp2(simd, simd.mul_add_e_f32s(*value, scale, offset));
        totals[0] = simd.add_f32s(totals[0], *value);
    }
    let mut total = simd.reduce_sum_f32s(simd.add_f32s(totals[0], totals[1]));
    if !rest.is_empty() {
        let value = simd.mul_add_e_f32s(simd.partial_load_f32s(rest), scale, offset);
        simd.partial_store_f32s(rest, exp2(simd, value));
        for value in rest {
            total += *value;
        }
    }
    total
}

/// 2^x for x <= 0 with a relative error below 3e-7; 2^-126 and less become 2^-126.
///
/// The integer part goes into the exponent, the rest through the Taylor polynomial of degree 6 on [-1/2, 1/2].
#[inline(always)]
fn exp2<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    // Adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the low bits.
    let round = simd.splat_f32s(12_582_912.0);
    // NaN must survive: `max` returns its second argument where the first is NaN.
    let x = simd.max_f32s(simd.splat_f32s(-126.0), x);
    let shifted = simd.add_f32s(x, round);
    let r = simd.sub_f32s(x, simd.sub_f32s(shifted, round));
    let mut p = simd.splat_f32s(1.540_353_e-4);
    for coefficient in [
        1.333_355_8e-3,
        9.618_129e-3,
        5.550_411e-2,
        2.402_265e-1,
        std::f32::consts::LN_2,
        1.0,
    ] {
        p = simd.mul_add_e_f32s(p, r, simd.splat_f32s(coefficient));
    }
    let exponent =
        simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(23));
    simd.transmute_f32s_u32s(simd.add_u32s(simd.transmute_u32s_f32s(p), exponent))
}
