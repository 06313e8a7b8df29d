//! By products of bf16 pairs of rows, summed in f32.
//!
//! The columns on the right become the rows of left tiles, which takes a transposition, and the rows on the left become
//! pairs, which takes none: they are the larger operand, as the same pixels come again for every tap of a kernel.

use super::super::packed::Segments;
use super::super::pairs::{
    BLOCK_COLUMNS, BLOCK_ROWS, Left, Multiplier, Start, Sums, TILE, TILE_COLUMNS, TILE_DEPTH,
    TILE_ROWS,
};
use super::super::rows::Rows;
use super::super::shared::Shared;
use super::Columns;
use crate::InstructionSet;
use crate::aligned::Aligned;
use crate::avx512_bf16::{RoundToBf16, Vectors};

/// Values in the sums of a block.
const BLOCK: usize = BLOCK_ROWS * BLOCK_COLUMNS;

/// Sums of the columns on the right times the values of the left rows, in blocks.
pub(super) struct PairSums {
    segments: Segments,
    columns: usize,
    /// `[pairs of panels, blocks of columns, 32 columns, 2 panels of 16 values]`
    sums: Aligned<f32>,
    /// `[column tiles, tiles of 32 rows, 16, 32]`
    right: Aligned<u16>,
    /// `[2 panels, tiles of 32 rows, 16 pairs, 16, 2]`
    left: Aligned<u16>,
}

impl PairSums {
    pub(super) fn new(segments: Segments, columns: usize) -> Self {
        let mut new = Self {
            segments,
            columns,
            sums: Aligned::default(),
            right: Aligned::default(),
            left: Aligned::default(),
        };
        let blocks = new.panels().div_ceil(2) * new.column_blocks();
        new.sums.resize(blocks * BLOCK);
        new
    }

    /// Panels of 16 values in a segment.
    fn panels_per_segment(&self) -> usize {
        self.segments.len.div_ceil(TILE_COLUMNS)
    }

    fn panels(&self) -> usize {
        self.segments.count * self.panels_per_segment()
    }

    fn column_blocks(&self) -> usize {
        self.columns.div_ceil(BLOCK_ROWS)
    }

    /// Adds the products of `rows`, which begin at `offsets`, and the rows of `right`.
    ///
    /// # Panics
    /// If the processor lacks bf16 products.
    pub(super) fn add<L: RoundToBf16, R: RoundToBf16>(
        &mut self,
        set: InstructionSet,
        rows: &Rows<'_, L>,
        offsets: &[usize],
        right: Columns<&[R]>,
    ) {
        let depth = offsets.len().div_ceil(TILE_DEPTH);
        if depth == 0 {
            return;
        }
        let panel = depth * TILE;
        let (panels, per_segment) = (self.panels(), self.panels_per_segment());
        let column_blocks = self.column_blocks();
        self.right.resize(2 * column_blocks * panel);
        self.left.resize(2 * panel);
        let vectors = Vectors::detect();
        transpose(vectors, right, depth, &mut self.right);
        let multiplier = Multiplier::of(set);
        let blocks = self.sums.chunks_exact_mut(column_blocks * BLOCK);
        for (pair, blocks) in blocks.enumerate() {
            for (i, to) in self.left.chunks_exact_mut(panel).enumerate() {
                // The last panel of an odd number is multiplied twice and read once.
                let number = (2 * pair + i).min(panels - 1);
                let first = number % per_segment * TILE_COLUMNS;
                let start = number / per_segment * rows.segment_step + first;
                let count = (rows.segment_len - first).min(TILE_COLUMNS);
                let (tiles, _) = to.as_chunks_mut::<TILE>();
                for (offsets, tile) in offsets.chunks(TILE_DEPTH).zip(tiles) {
                    // SAFETY: `Rows::offsets` has checked that every run of every row lies inside the values.
                    unsafe {
                        let from = rows.values.as_ptr().add(start);
                        vectors.interleave_rows(from, offsets, count, tile);
                    }
                }
            }
            let (first, second) = self.left.split_at(panel);
            let columns = Left::of_tiles(&self.right, depth);
            for (number, sums) in blocks.chunks_exact_mut(BLOCK).enumerate() {
                let sums = Sums {
                    values: Shared::new(sums),
                    places: [0, TILE_ROWS * BLOCK_COLUMNS],
                    row: BLOCK_COLUMNS,
                };
                let places = [2 * number * panel, (2 * number + 1) * panel];
                // SAFETY: the sums are borrowed for this block alone.
                unsafe {
                    multiplier.multiply(&columns, places, [first, second], Start::Held, sums);
                }
            }
        }
    }

    /// `[segments * len, columns]`
    pub(super) fn into_values(self) -> Vec<f32> {
        let Segments { count, len } = self.segments;
        let (per_segment, column_blocks) = (self.panels_per_segment(), self.column_blocks());
        let mut values = vec![0.0; count * len * self.columns];
        for (row, to) in values.chunks_exact_mut(self.columns).enumerate() {
            let (segment, k) = (row / len, row % len);
            let panel = segment * per_segment + k / TILE_COLUMNS;
            let line = panel % 2 * TILE_COLUMNS + k % TILE_COLUMNS;
            let blocks = &self.sums[panel / 2 * column_blocks * BLOCK..];
            for (column, to) in to.iter_mut().enumerate() {
                *to = blocks[column * BLOCK_COLUMNS + line];
            }
        }
        values
    }
}

/// Columns to the rows of left tiles, `[column tiles, depth, 16, 32]`.
fn transpose<T: RoundToBf16>(vectors: Vectors, from: Columns<&[T]>, depth: usize, to: &mut [u16]) {
    let rows = from.values.len() / from.stride;
    for (tile, to) in to.chunks_exact_mut(depth * TILE).enumerate() {
        let first = tile * TILE_COLUMNS;
        let count = from.count.saturating_sub(first).min(TILE_COLUMNS);
        let row = |row: usize| {
            if row < rows && count > 0 {
                &from.values[row * from.stride + from.first + first..][..count]
            } else {
                &[]
            }
        };
        let (tiles, _) = to.as_chunks_mut::<TILE>();
        for (number, tile) in tiles.iter_mut().enumerate() {
            vectors.transpose(|i| row(number * TILE_DEPTH + i), tile);
        }
    }
}
