//! By products of bf16 pairs of rows, summed in f32.
//!
//! The columns on the right become the rows of left tiles, which takes a transposition, and the rows on the left become
//! pairs, which takes none: they are the larger operand, as the same pixels come again for every tap of a kernel.

use std::ops::Range;

use super::super::packed::Segments;
use super::super::pairs::{
    BLOCK_COLUMNS, BLOCK_ROWS, Left, Multiplier, Start, Sums, TILE, TILE_COLUMNS, TILE_DEPTH,
    TILE_ROWS,
};
use super::super::rows::Rows;
use super::super::shared::Shared;
use super::Columns;
use super::paired::{Paired, Plan};
use crate::InstructionSet;
use crate::aligned::Aligned;
use crate::avx512_bf16::{RoundToBf16, Vectors};

/// Values in the sums of a block.
const BLOCK: usize = BLOCK_ROWS * BLOCK_COLUMNS;

/// Panels of 16 values of a segment.
fn panels_per_segment(segments: Segments) -> usize {
    segments.len.div_ceil(TILE_COLUMNS)
}

/// The values of a panel: 16 of one segment, fewer at its end.
fn values_of(segments: Segments, panel: usize) -> Range<usize> {
    let per_segment = panels_per_segment(segments);
    let segment = panel / per_segment * segments.len;
    let first = panel % per_segment * TILE_COLUMNS;
    segment + first..segment + (first + TILE_COLUMNS).min(segments.len)
}

/// Cuts all values into at most `wanted` shares of whole pairs of panels.
pub(super) fn shares(segments: Segments, wanted: usize) -> Vec<Range<usize>> {
    let panels = segments.count * panels_per_segment(segments);
    let per_share = panels.div_ceil(wanted).next_multiple_of(2);
    (0..panels)
        .step_by(per_share)
        .map(|first| {
            let last = (first + per_share).min(panels) - 1;
            values_of(segments, first).start..values_of(segments, last).end
        })
        .collect()
}

/// Sums of the columns on the right times values of the left rows, in blocks.
pub(super) struct PairSums {
    segments: Segments,
    panels: Range<usize>,
    columns: usize,
    /// `[pairs of panels, blocks of columns, 32 columns, 2 panels of 16 values]`
    sums: Aligned<f32>,
    /// `[column tiles, tiles of 32 rows, 16, 32]`
    right: Aligned<u16>,
    /// `[2 panels, tiles of 32 rows, 16 pairs, 16, 2]`
    left: Aligned<u16>,
    paired: Paired,
}

impl PairSums {
    /// Zeros for the values of a share, which begin and end with panels.
    pub(super) fn new(segments: Segments, values: Range<usize>, columns: usize) -> Self {
        let per_segment = panels_per_segment(segments);
        let before = |value: usize| {
            let within = (value % segments.len).div_ceil(TILE_COLUMNS);
            value / segments.len * per_segment + within
        };
        let panels = before(values.start)..before(values.end);
        debug_assert!(
            panels.is_empty()
                || values_of(segments, panels.start).start == values.start
                    && values_of(segments, panels.end - 1).end == values.end,
            "whole panels"
        );
        let mut new = Self {
            segments,
            panels,
            columns,
            sums: Aligned::default(),
            right: Aligned::default(),
            left: Aligned::default(),
            paired: Paired::default(),
        };
        let blocks = new.panels.len().div_ceil(2) * new.column_blocks();
        new.sums.resize(blocks * BLOCK);
        new
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
        let vectors = Vectors::detect();
        self.right.resize(2 * self.column_blocks() * depth * TILE);
        transpose(vectors, right, depth, &mut self.right);
        let all = self.segments.count * panels_per_segment(self.segments);
        match Plan::of(rows) {
            // A few panels share no pairs.
            Some(plan) if self.panels == (0..all) => {
                self.paired.make(vectors, rows, plan);
                self.add_paired(set, plan, depth);
            }
            _ => self.add_panels(set, rows, offsets, depth),
        }
    }

    /// [`PairSums::add`] of panels that are made one pair after the other.
    fn add_panels<T: RoundToBf16>(
        &mut self,
        set: InstructionSet,
        rows: &Rows<'_, T>,
        offsets: &[usize],
        depth: usize,
    ) {
        let (multiplier, vectors) = (Multiplier::of(set), Vectors::detect());
        let panel = depth * TILE;
        let per_segment = panels_per_segment(self.segments);
        let all = self.panels.clone();
        let column_blocks = self.column_blocks();
        self.left.resize(2 * panel);
        let blocks = self.sums.chunks_exact_mut(column_blocks * BLOCK);
        for (pair, blocks) in blocks.enumerate() {
            for (i, to) in self.left.chunks_exact_mut(panel).enumerate() {
                // The last panel of an odd number is multiplied twice and read once.
                let number = (all.start + 2 * pair + i).min(all.end - 1);
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
                let places = [2 * number * panel, (2 * number + 1) * panel];
                add_block(&multiplier, &columns, places, [first, second], sums);
            }
        }
    }

    /// [`PairSums::add`] of pixels that are paired already, by image.
    fn add_paired(&mut self, set: InstructionSet, plan: Plan, depth: usize) {
        let multiplier = Multiplier::of(set);
        let panel = depth * TILE;
        let last = self.panels.end - 1;
        let column_blocks = self.column_blocks();
        let columns = Left::of_tiles(&self.right, plan.tiles());
        let blocks = self.sums.chunks_exact_mut(column_blocks * BLOCK);
        for (pair, blocks) in blocks.enumerate() {
            for (number, sums) in blocks.chunks_exact_mut(BLOCK).enumerate() {
                for image in 0..plan.images() {
                    let first = image * plan.tiles() * TILE;
                    let places = [2 * number, 2 * number + 1].map(|tile| tile * panel + first);
                    let right = [2 * pair, (2 * pair + 1).min(last)]
                        .map(|number| self.paired.panel(plan, number, image));
                    add_block(&multiplier, &columns, places, right, sums);
                }
            }
        }
    }

    /// Hands out the sums of each value, some columns at a time: the value, the first column, the sums.
    pub(super) fn for_each_part(&self, mut part: impl FnMut(usize, usize, &[f32])) {
        let column_blocks = self.column_blocks();
        let mut line = [0.0; BLOCK_ROWS];
        for (number, block) in self.sums.chunks_exact(BLOCK).enumerate() {
            let (pair, first) = (number / column_blocks, number % column_blocks * BLOCK_ROWS);
            let count = (self.columns - first).min(BLOCK_ROWS);
            for i in 0..2 {
                let panel = self.panels.start + 2 * pair + i;
                if panel >= self.panels.end {
                    continue;
                }
                for (k, value) in values_of(self.segments, panel).enumerate() {
                    let sums = block[i * TILE_COLUMNS + k..].iter().step_by(BLOCK_COLUMNS);
                    for (to, sum) in line.iter_mut().zip(sums) {
                        *to = *sum;
                    }
                    part(value, first, &line[..count]);
                }
            }
        }
    }
}

/// Adds the products of two row tiles and two panels to a block of sums.
fn add_block(
    multiplier: &Multiplier,
    columns: &Left<'_>,
    places: [usize; 2],
    panels: [&[u16]; 2],
    sums: &mut [f32],
) {
    let sums = Sums {
        values: Shared::new(sums),
        places: [0, TILE_ROWS * BLOCK_COLUMNS],
        row: BLOCK_COLUMNS,
    };
    // SAFETY: the sums are borrowed for this block alone.
    unsafe { multiplier.multiply(columns, places, panels, Start::Held, sums) };
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
