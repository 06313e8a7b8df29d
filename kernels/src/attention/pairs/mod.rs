//! Attention by products of bf16 pairs, one block of scores after the other.

mod memory;
mod softmax;

use rayon::prelude::*;

use super::{Attention, Mask};
use crate::aligned::Aligned;
use crate::avx512_bf16::{RoundToBf16, Vectors};
use crate::product::{
    BLOCK_COLUMNS, BLOCK_ROWS, Left, Multiplier, Output, Shared, Start, Sums, TILE, TILE_COLUMNS,
    TILE_DEPTH, TILE_ROWS,
};
use crate::values::Element;
use crate::{Kernels, ValuesMut};

use memory::Memory;
use softmax::{Running, Weights};

/// Queries of one task: whole blocks.
const QUERIES: usize = 8 * BLOCK_ROWS;

/// Keys of one block of scores, in tiles: scores, weights, keys and values share a second-level cache.
const KEY_TILES: usize = 8;

/// `output` of `attention`, `len` values; the slices have been checked.
pub(super) fn run<T: RoundToBf16 + Element>(
    kernels: Kernels,
    attention: &Attention<&[T]>,
    output: Output<'_>,
    len: usize,
) {
    let Attention { query, heads, .. } = *attention;
    let sequences = len / (query.tokens * attention.row_len());
    let pairs = (0..sequences * heads.count).into_par_iter();
    pairs.for_each_init(Memory::default, |memory, number| {
        let (sequence, head) = (number / heads.count, number % heads.count);
        memory.pack(attention, sequence, head);
        let memory = &*memory;
        let tasks = (0..query.tokens).into_par_iter().step_by(QUERIES);
        tasks.for_each_init(Buffers::default, |buffers, first| {
            let multiplier = Multiplier::of(kernels.set);
            let end = (first + QUERIES).min(query.tokens);
            for first in (first..end).step_by(BLOCK_ROWS) {
                let block = Queries {
                    attention,
                    multiplier: &multiplier,
                    sequence,
                    head,
                    first,
                    count: (end - first).min(BLOCK_ROWS),
                };
                // SAFETY: these rows and this head are of this task alone.
                unsafe { block.attend(memory, buffers, output) };
            }
        });
    });
}

/// What one thread keeps from task to task.
#[derive(Default)]
struct Buffers {
    /// `[32 queries, width]`, so that scores are powers of two.
    scaled: Vec<f32>,
    /// `[2 row tiles, width tiles, 16, 32]`
    queries: Aligned<u16>,
    /// `[32 queries, keys of a block]`
    scores: Aligned<f32>,
    /// `[2 row tiles, key tiles, 16, 32]`
    weights: Aligned<u16>,
    /// `[32 queries, width in whole blocks of columns]`
    sums: Aligned<f32>,
}

/// Consecutive queries of one head of one sequence.
struct Queries<'a, T> {
    attention: &'a Attention<&'a [T]>,
    multiplier: &'a Multiplier,
    sequence: usize,
    head: usize,
    /// The first one's position in its sequence.
    first: usize,
    count: usize,
}

impl<T: RoundToBf16 + Element> Queries<'_, T> {
    /// # Safety
    /// Nothing else may read or write the columns of the head in the queries' rows of the output meanwhile.
    unsafe fn attend(&self, memory: &Memory, buffers: &mut Buffers, output: Output<'_>) {
        let Attention {
            query, heads, mask, ..
        } = *self.attention;
        let width = heads.width;
        let Buffers {
            scaled,
            queries,
            scores,
            weights,
            sums,
        } = buffers;
        let vectors = Vectors::detect();
        let width_tiles = width.div_ceil(TILE_DEPTH);
        queries.resize(2 * width_tiles * TILE);
        let token = self.sequence * query.tokens + self.first;
        let scale = self.attention.scale();
        scaled.clear();
        for i in 0..self.count {
            let start = query.row(token + i) + self.head * width;
            let row = &query.values[start..start + width];
            scaled.extend(row.iter().map(|value| value.widen() * scale));
        }
        let runs = (0..self.count).map(|i| {
            let place = i / TILE_ROWS * width_tiles * TILE + i % TILE_ROWS * TILE_DEPTH;
            (i * width, place)
        });
        vectors.gather(scaled, runs, width, queries);
        let queries = Left::of_tiles(queries, width_tiles);

        let padded = width.next_multiple_of(BLOCK_COLUMNS);
        sums.resize(BLOCK_ROWS * padded);
        sums.fill(0.0);
        let mut running = Running::new();
        for first_tile in (0..memory.count.div_ceil(TILE_DEPTH)).step_by(KEY_TILES) {
            let first_key = first_tile * TILE_DEPTH;
            if mask == Mask::Causal && first_key >= self.first + self.count {
                break;
            }
            let count = (memory.count - first_key).min(KEY_TILES * TILE_DEPTH);
            let tiles = count.div_ceil(TILE_DEPTH);
            let keys = tiles * TILE_DEPTH;
            scores.resize(BLOCK_ROWS * keys);
            weights.resize(BLOCK_ROWS * keys);
            for tile in 0..tiles {
                let place = tile * TILE_DEPTH;
                let sums = Sums {
                    values: Shared::new(scores),
                    places: [place, TILE_ROWS * keys + place],
                    row: keys,
                };
                let right = memory.keys(first_tile + tile);
                let places = [0, width_tiles * TILE];
                // SAFETY: the scores are this thread's own.
                unsafe {
                    self.multiplier
                        .multiply(&queries, places, right, Start::Zeros, sums)
                };
            }
            let block = Weights {
                scores: &scores[..self.count * keys],
                keys,
                tiles: &mut *weights,
                running: &mut running,
                sums: &mut *sums,
                width: padded,
            };
            block.run(vectors, |i| match mask {
                Mask::None => count,
                Mask::Causal => (self.first + i + 1).saturating_sub(first_key).min(count),
            });
            let weights = Left::of_tiles(weights, tiles);
            let panels = width.div_ceil(TILE_COLUMNS);
            for panel in (0..panels).step_by(2) {
                // The last panel of an odd number is multiplied twice and read once.
                let right = [panel, (panel + 1).min(panels - 1)]
                    .map(|panel| memory.values(panel, first_tile, tiles));
                let place = panel * TILE_COLUMNS;
                let sums = Sums {
                    values: Shared::new(sums),
                    places: [place, TILE_ROWS * padded + place],
                    row: padded,
                };
                let places = [0, tiles * TILE];
                // SAFETY: the sums are this thread's own.
                unsafe {
                    self.multiplier
                        .multiply(&weights, places, right, Start::Held, sums)
                };
            }
        }
        let d = self.attention.row_len();
        for (i, sums) in sums.chunks_exact(padded).take(self.count).enumerate() {
            let start = (token + i) * d + self.head * width;
            // SAFETY: as the caller promises.
            let to = unsafe { output.range(start..start + width).values() };
            let factor = 1.0 / running.total(i);
            let values = sums.iter().map(|sum| sum * factor);
            match to {
                ValuesMut::F32(to) => to.iter_mut().zip(values).for_each(|(to, v)| *to = v),
                ValuesMut::Bf16(to) => {
                    let to = to.iter_mut().zip(values);
                    to.for_each(|(to, v)| *to = Element::narrow(v));
                }
            }
        }
    }
}
