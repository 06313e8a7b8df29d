//! bf16 products by AMX tiles or AVX-512 dot products of pairs, summed in f32.

mod block;
mod left;
mod multiplier;
mod strides;

use std::ops::Range;

use half::bf16;
use pulp::{Simd, WithSimd};

use super::epilogue::{Epilogue, Target, Tile, complete};
use super::rows::Rows;
use super::{Output, Shared};
use crate::aligned::Aligned;
use crate::avx512_bf16::Vectors;
use crate::{Activation, InstructionSet};

pub(crate) use block::{BLOCK_COLUMNS, BLOCK_ROWS, Block, Left, Start, Sums};
pub(crate) use block::{TILE, TILE_COLUMNS, TILE_DEPTH, TILE_ROWS};
pub(crate) use multiplier::Multiplier;

use strides::equal_steps;

/// Memory for the left operand in bf16 and for sums.
#[derive(Default)]
pub(crate) struct PairScratch {
    left: Aligned<u16>,
    sums: Aligned<f32>,
}

/// A product with the pairs in `values`.
pub(crate) struct PairProduct<'a> {
    pub(crate) set: InstructionSet,
    /// From [`Rows::offsets`] of the rows.
    pub(crate) offsets: &'a [usize],
    /// From `Panels::Bf16Pairs`.
    pub(crate) values: &'a [u16],
    pub(crate) columns: usize,
    /// Which panels of the columns are made.
    pub(crate) panels: Range<usize>,
    /// The rows are those of the scratch's last product.
    pub(crate) same_rows: bool,
    pub(crate) target: Target,
    pub(crate) targets: &'a [usize],
    pub(crate) epilogue: Epilogue<'a>,
    pub(crate) output: Output<'a>,
}

impl PairProduct<'_> {
    /// Runs the product with f32 rows, rounded to bf16.
    ///
    /// # Panics
    /// If the processor lacks bf16 products.
    ///
    /// # Safety
    /// Nothing else may read or write the columns of the panels in the target rows meanwhile.
    pub(crate) unsafe fn run(&self, rows: &Rows<'_>, scratch: &mut PairScratch) {
        let PairScratch { left, sums } = scratch;
        let left = left::gathered(rows, self.offsets, self.same_rows, left);
        // SAFETY: as the caller promises.
        unsafe { self.multiply(rows, &left, tiles_of(left), sums) };
    }

    /// Runs the product with bf16 rows, where they lie if they can be read there.
    ///
    /// # Panics
    /// If the processor lacks bf16 products.
    ///
    /// # Safety
    /// As [`PairProduct::run`].
    pub(crate) unsafe fn run_bf16(&self, rows: &Rows<'_, bf16>, scratch: &mut PairScratch) {
        let PairScratch { left, sums } = scratch;
        // SAFETY: as the caller promises.
        unsafe {
            match left::in_place(rows) {
                Some(left) => {
                    let place = |tile: usize| self.offsets[tile * TILE_ROWS];
                    self.multiply(rows, &left, place, sums);
                }
                None => {
                    let left = left::gathered(rows, self.offsets, self.same_rows, left);
                    self.multiply(rows, &left, tiles_of(left), sums);
                }
            }
        }
    }

    /// # Safety
    /// As [`PairProduct::run`].
    unsafe fn multiply<T>(
        &self,
        rows: &Rows<'_, T>,
        left: &Left<'_>,
        place: impl Fn(usize) -> usize,
        sums: &mut Aligned<f32>,
    ) {
        sums.resize(BLOCK_ROWS * BLOCK_COLUMNS);
        let multiplier = Multiplier::of(self.set);
        let vectors = Vectors::detect();
        let panel = left.tiles * left.segments * TILE;
        let tiles = self.offsets.len().div_ceil(TILE_ROWS);
        let shape = [rows.images, rows.lines, rows.pixels];
        let even_targets = equal_steps(shape, self.target.steps(), TILE_ROWS);
        let plain = self.epilogue.activation == Activation::None
            && self.epilogue.gate.is_none()
            && self.epilogue.residual.is_none();
        // The bias comes first in every block, so that a row is rounded alike wherever it lies.
        let finish = Epilogue {
            bias: None,
            ..self.epilogue
        };
        for first in self.panels.clone().step_by(2) {
            // The last panel of an odd number is multiplied twice and stored once.
            let second = (first + 1).min(self.panels.end - 1);
            let right = [first, second].map(|number| &self.values[number * panel..][..panel]);
            let column = first * TILE_COLUMNS;
            let columns = ((second + 1) * TILE_COLUMNS).min(self.columns) - column;
            let mut first_sums = [0.0; BLOCK_COLUMNS];
            if let Some(bias) = self.epilogue.bias {
                first_sums[..columns].copy_from_slice(&bias[column..column + columns]);
            }
            let start = match self.epilogue.bias {
                Some(_) => Start::Columns(&first_sums),
                None => Start::Zeros,
            };
            for tile in (0..tiles).step_by(2) {
                let places = [tile, (tile + 1).min(tiles - 1)].map(&place);
                let row = tile * TILE_ROWS;
                let count = (self.offsets.len() - row).min(BLOCK_ROWS);
                let whole = count == BLOCK_ROWS && columns == BLOCK_COLUMNS;
                if let Output::F32(output) = self.output
                    && whole
                    && plain
                    && even_targets
                {
                    let sums = Sums {
                        values: output,
                        places: [row, row + TILE_ROWS].map(|row| self.targets[row] + column),
                        row: self.target.pixel_step,
                    };
                    sums.prefetch();
                    // SAFETY: the block's sums are columns of these panels in target rows.
                    unsafe { multiplier.multiply(left, places, right, start, sums) };
                    continue;
                }
                let block = Sums {
                    values: Shared::new(sums),
                    places: [0, TILE_ROWS * BLOCK_COLUMNS],
                    row: BLOCK_COLUMNS,
                };
                // SAFETY: the sums are this thread's own.
                unsafe { multiplier.multiply(left, places, right, start, block) };
                let sums = &mut sums[..count * BLOCK_COLUMNS];
                let targets = &self.targets[row..row + count];
                if !(plain && matches!(self.output, Output::Bf16(_))) {
                    self.set.run(Finish {
                        tile: Tile {
                            sums,
                            stride: BLOCK_COLUMNS,
                            column,
                            columns,
                        },
                        targets,
                        epilogue: &finish,
                        width: self.columns,
                        output: self.output,
                    });
                }
                if let Output::Bf16(output) = self.output {
                    let output = output.shifted(column);
                    // SAFETY: these columns of the target rows are this task's own.
                    unsafe { vectors.narrow_rows(sums, BLOCK_COLUMNS, columns, targets, output) };
                }
            }
        }
    }
}

/// Where a tile of gathered rows begins.
fn tiles_of(left: Left<'_>) -> impl Fn(usize) -> usize {
    let depth = left.tiles * left.segments;
    move |tile| tile * depth * TILE
}

/// Puts the sums of a block into the output; if that is bf16, leaves what is to be rounded in their place.
struct Finish<'a, 'b> {
    tile: Tile<'a>,
    targets: &'a [usize],
    epilogue: &'a Epilogue<'b>,
    /// Columns of the output.
    width: usize,
    /// The targets' columns of the tile are this task's own: [`PairProduct::run`].
    output: Output<'b>,
}

impl WithSimd for Finish<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            mut tile,
            targets,
            epilogue,
            width,
            output,
        } = self;
        tile.activate(simd, epilogue);
        for (i, target) in targets.iter().enumerate() {
            let range = tile.range(*target);
            let columns = tile.column..tile.column + tile.columns;
            let line = epilogue.gate.map(|gate| gate.line(*target, width));
            let gate = line.map(|line| &line[columns]);
            let residual = epilogue.residual.map(|all| all.range(range.clone()));
            let row = &mut tile.sums[i * tile.stride..][..tile.columns];
            complete(simd, row, gate, residual);
            if let Output::F32(output) = output {
                // SAFETY: nothing else reads or writes this task's columns.
                unsafe { output.range(range).slice() }.copy_from_slice(row);
            }
        }
    }
}
