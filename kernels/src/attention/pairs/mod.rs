//! Attention by products of bf16 pairs, one block of scores after the other.

mod softmax;

use rayon::prelude::*;

use super::{Attention, Mask, Sequences};
use crate::product::{Rows, Scratch, Segments, Source, Target, product};
use crate::{Epilogue, Kernels, PackedMatrix, Precision, Write};

use softmax::Weights;

/// Queries of one task: whole tiles of every instruction set.
const QUERIES: usize = 96;

/// Keys of one block: scores of [`QUERIES`] queries fill less than half of a second-level cache.
const KEYS: usize = 768;

/// `output` of `attention`, whose slices have been checked.
pub(super) fn run(kernels: Kernels, attention: &Attention<'_>, output: &mut [f32]) {
    let Attention {
        query, heads, mask, ..
    } = *attention;
    let d = attention.row_len();
    let sequences = output.par_chunks_mut(query.tokens * d).enumerate();
    sequences.for_each(|(sequence, output)| {
        let memory: Vec<Memory> = (0..heads.count)
            .into_par_iter()
            .map(|head| Memory::new(kernels, attention, sequence, head * heads.width))
            .collect();
        let tasks = output.par_chunks_mut(QUERIES * d).enumerate();
        tasks.for_each_init(Buffers::default, |buffers, (task, output)| {
            let block = Queries {
                kernels,
                query,
                first: sequence * query.tokens + task * QUERIES,
                position: task * QUERIES,
                count: output.len() / d,
                width: heads.width,
                scale: attention.scale(),
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

/// Keys and values of one head, packed.
struct Memory {
    /// Keys as columns, and values as rows, of each block.
    blocks: Vec<(PackedMatrix, PackedMatrix)>,
}

impl Memory {
    fn new(kernels: Kernels, attention: &Attention<'_>, sequence: usize, column: usize) -> Self {
        let Attention { key, value, .. } = *attention;
        let (tokens, width) = (key.tokens, attention.heads.width);
        let blocks = (0..tokens).step_by(KEYS).map(|first| {
            let count = KEYS.min(tokens - first);
            let start = |s: Sequences<'_>| s.row(sequence * tokens + first) + column;
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
                PackedMatrix::with_segments(kernels, segments, source, Precision::Bf16)
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
    /// Of scores.
    scale: f32,
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
            start: self.query.row(self.first) + column,
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
                scale: self.scale,
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
