//! By products of bf16 pairs of rows, summed in f32.
//!
//! The columns on the right become the rows of left tiles, which takes a transposition, and the rows on the left become
//! pairs, which takes none: they are the larger operand, as the same pixels come again for every tap of a kernel.

use pulp::{Simd, WithSimd};

use super::super::packed::{PAIR_COLUMNS, PAIR_ROWS, Segments};
use super::super::pairs::{Multiplier, SUMS, TILE};
use super::super::rows::Rows;
use super::Columns;
use crate::aligned::Aligned;
use crate::{InstructionSet, bf16};

/// Sums of 16 columns on the right times 16 values of the left rows, in tiles.
pub(super) struct PairSums {
    segments: Segments,
    columns: usize,
    /// `[pairs of panels, pairs of column tiles, 2, 2, 16 columns, 16 values]`
    tiles: Aligned<f32>,
    /// Of one pair of panels and one pair of column tiles.
    product: Aligned<f32>,
    /// `[column tiles, tiles of 32 rows, 16, 32]`
    right: Aligned<u16>,
    /// `[2 panels, tiles of 32 rows, 16 pairs, 16, 2]`
    left: Aligned<u16>,
}

impl PairSums {
    pub(super) fn new(segments: Segments, columns: usize) -> Self {
        let mut sums = Self {
            segments,
            columns,
            tiles: Aligned::default(),
            product: Aligned::zeros(4 * SUMS),
            right: Aligned::default(),
            left: Aligned::default(),
        };
        let blocks = sums.panels().div_ceil(2) * sums.column_pairs();
        sums.tiles.resize(blocks * 4 * SUMS);
        sums
    }

    /// Panels of 16 values in a segment.
    fn panels_per_segment(&self) -> usize {
        self.segments.len.div_ceil(PAIR_COLUMNS)
    }

    fn panels(&self) -> usize {
        self.segments.count * self.panels_per_segment()
    }

    /// Pairs of tiles of 16 columns.
    fn column_pairs(&self) -> usize {
        self.columns.div_ceil(2 * PAIR_COLUMNS)
    }

    /// Adds the products of `rows`, which begin at `offsets`, and the rows of `right`.
    ///
    /// # Panics
    /// If the processor lacks bf16 products.
    pub(super) fn add(
        &mut self,
        set: InstructionSet,
        rows: &Rows<'_>,
        offsets: &[usize],
        right: Columns<'_>,
    ) {
        let depth = offsets.len().div_ceil(PAIR_ROWS);
        let panel = depth * TILE;
        let (panels, per_segment) = (self.panels(), self.panels_per_segment());
        let column_pairs = self.column_pairs();
        self.right.resize(2 * column_pairs * panel);
        self.left.resize(2 * panel);
        set.run(Transpose {
            from: right,
            depth,
            to: &mut self.right,
        });
        let multiplier = Multiplier::of(set);
        let blocks = self.tiles.chunks_exact_mut(column_pairs * 4 * SUMS);
        for (pair, blocks) in blocks.enumerate() {
            for (i, to) in self.left.chunks_exact_mut(panel).enumerate() {
                // The last panel of an odd number is multiplied twice and read once.
                let number = (2 * pair + i).min(panels - 1);
                set.run(Pair {
                    rows,
                    offsets,
                    segment: number / per_segment,
                    first: number % per_segment * PAIR_COLUMNS,
                    to,
                });
            }
            let (first, second) = self.left.split_at(panel);
            let columns = self.right.chunks_exact(2 * panel);
            for (columns, sums) in columns.zip(blocks.chunks_exact_mut(4 * SUMS)) {
                let (upper, lower) = columns.split_at(panel);
                multiplier.multiply([upper, lower], [first, second], &mut self.product);
                for (sum, value) in sums.iter_mut().zip(&*self.product) {
                    *sum += value;
                }
            }
        }
    }

    /// `[segments * len, columns]`
    pub(super) fn into_values(self) -> Vec<f32> {
        let Segments { count, len } = self.segments;
        let (per_segment, column_pairs) = (self.panels_per_segment(), self.column_pairs());
        let mut values = vec![0.0; count * len * self.columns];
        for (row, to) in values.chunks_exact_mut(self.columns).enumerate() {
            let (segment, k) = (row / len, row % len);
            let panel = segment * per_segment + k / PAIR_COLUMNS;
            for (column, to) in to.iter_mut().enumerate() {
                let tile = column / PAIR_COLUMNS;
                let block = panel / 2 * column_pairs + tile / 2;
                let place = (block * 2 + panel % 2) * 2 + tile % 2;
                let line = place * PAIR_COLUMNS + column % PAIR_COLUMNS;
                *to = self.tiles[line * PAIR_COLUMNS + k % PAIR_COLUMNS];
            }
        }
        values
    }
}

/// Columns to the rows of left tiles.
struct Transpose<'a> {
    from: Columns<'a>,
    /// Tiles of 32 rows.
    depth: usize,
    to: &'a mut [u16],
}

impl WithSimd for Transpose<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let from = self.from;
        self.to.fill(0);
        for (number, row) in from.values.chunks_exact(from.stride).enumerate() {
            let place = number / PAIR_ROWS * TILE + number % PAIR_ROWS;
            let row = &row[from.first..from.first + from.count];
            let tiles = self.to.chunks_exact_mut(self.depth * TILE);
            for (row, to) in row.chunks(PAIR_COLUMNS).zip(tiles) {
                let to = to[place..].iter_mut().step_by(PAIR_ROWS);
                for (value, to) in row.iter().zip(to) {
                    *to = bf16::from_f32(*value);
                }
            }
        }
    }
}

/// A panel of 16 values of each row, two rows side by side.
struct Pair<'a> {
    rows: &'a Rows<'a>,
    offsets: &'a [usize],
    segment: usize,
    /// The first value in the segment.
    first: usize,
    to: &'a mut [u16],
}

impl WithSimd for Pair<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let start = self.segment * self.rows.segment_step + self.first;
        let valid = (self.rows.segment_len - self.first).min(PAIR_COLUMNS);
        let zeros = [0.0; PAIR_COLUMNS];
        let run = |offset: Option<&usize>| match offset {
            Some(offset) => &self.rows.values[offset + start..][..valid],
            None => &zeros[..valid],
        };
        let lines = self.to.chunks_exact_mut(2 * PAIR_COLUMNS).enumerate();
        for (number, to) in lines {
            let even = run(self.offsets.get(2 * number));
            let odd = run(self.offsets.get(2 * number + 1));
            for (to, (even, odd)) in to
                .as_chunks_mut::<2>()
                .0
                .iter_mut()
                .zip(even.iter().zip(odd))
            {
                *to = [bf16::from_f32(*even), bf16::from_f32(*odd)];
            }
            to[2 * valid..].fill(0);
        }
    }
}
