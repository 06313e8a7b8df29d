//! bf16 products by AMX tiles or AVX-512 dot products of pairs, summed in f32.

use pulp::{Simd, WithSimd};

use super::epilogue::{Epilogue, Tile, finish};
use super::packed::{PAIR_COLUMNS, PAIR_ROWS};
use super::rows::Rows;
use crate::InstructionSet;
use crate::aligned::Aligned;
use crate::bf16;

/// Rows of the left operand in one tile.
const TILE_ROWS: usize = 16;
/// Values of a left tile, 16 rows x 32; of a right tile, 16 pairs x 16 columns x 2.
pub(crate) const TILE: usize = TILE_ROWS * PAIR_ROWS;
/// Sums of a tile, 16 rows x 16 columns.
pub(crate) const SUMS: usize = TILE_ROWS * PAIR_COLUMNS;

/// Memory for the left operand in bf16 and for sums.
#[derive(Default)]
pub(crate) struct PairScratch {
    left: Aligned<u16>,
    sums: Aligned<f32>,
}

/// The product of `rows` and the pairs in `values` into `output`.
pub(crate) struct PairProduct<'a> {
    pub(crate) set: InstructionSet,
    pub(crate) rows: &'a Rows<'a>,
    /// From [`Rows::offsets`] of `rows`.
    pub(crate) offsets: &'a [usize],
    /// From `Panels::Bf16Pairs`.
    pub(crate) values: &'a [u16],
    pub(crate) columns: usize,
    pub(crate) targets: &'a [usize],
    pub(crate) epilogue: Epilogue<'a>,
    pub(crate) output: &'a mut [f32],
}

/// Runs the product.
///
/// # Panics
/// If the processor lacks bf16 products.
pub(crate) fn product(mut product: PairProduct<'_>, scratch: &mut PairScratch) {
    let rows = product.rows;
    let tiles_deep = rows.segments * rows.segment_len.div_ceil(PAIR_ROWS);
    let tiles_down = product.offsets.len().div_ceil(TILE_ROWS);
    // An even number of tiles, so that the kernels may always take two.
    scratch
        .left
        .resize(tiles_down.next_multiple_of(2) * tiles_deep * TILE);
    scratch
        .sums
        .resize(2 * tiles_down.next_multiple_of(2) * SUMS);
    product.set.run(Convert {
        rows,
        offsets: product.offsets,
        tiles_deep,
        to: &mut scratch.left,
    });
    let multiplier = Multiplier::of(product.set);
    let panel = tiles_deep * TILE;
    let panels = product.values.len() / panel;
    for first in (0..panels).step_by(2) {
        // The last panel of an odd number is multiplied twice and stored once.
        let right = [first, (first + 1).min(panels - 1)]
            .map(|number| &product.values[number * panel..(number + 1) * panel]);
        let sums = scratch.sums.chunks_exact_mut(4 * SUMS);
        for (left, sums) in scratch.left.chunks_exact(2 * panel).zip(sums) {
            let (upper, lower) = left.split_at(panel);
            multiplier.multiply([upper, lower], right, sums);
        }
        product.set.run(Finish {
            product: &mut product,
            first,
            sums: &mut scratch.sums,
        });
    }
}

/// What multiplies two row tiles by two panels into `sums [2 panels, 2 row tiles, 16, 16]`.
pub(super) enum Multiplier {
    #[cfg(target_os = "linux")]
    Tiles(crate::amx::Tiles),
    Vectors,
}

impl Multiplier {
    /// # Panics
    /// If the processor lacks bf16 products.
    pub(super) fn of(set: InstructionSet) -> Self {
        assert!(
            set.multiplies_bf16() && set.is_available(),
            "bf16 instructions that this processor lacks"
        );
        #[cfg(target_os = "linux")]
        if set == InstructionSet::Amx {
            return Self::Tiles(crate::amx::Tiles::configure());
        }
        Self::Vectors
    }

    pub(super) fn multiply(&self, left: [&[u16]; 2], right: [&[u16]; 2], sums: &mut [f32]) {
        match self {
            #[cfg(target_os = "linux")]
            Self::Tiles(tiles) => tiles.multiply(left, right, sums),
            Self::Vectors => crate::avx512_bf16::multiply(left, right, sums),
        }
    }
}

/// Left rows to tiles of 16 rows x 32 bf16 values.
struct Convert<'a> {
    rows: &'a Rows<'a>,
    offsets: &'a [usize],
    tiles_deep: usize,
    to: &'a mut [u16],
}

impl WithSimd for Convert<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let rows = self.rows;
        let tiles = rows.segment_len.div_ceil(PAIR_ROWS);
        for (number, group) in self.to.chunks_exact_mut(self.tiles_deep * TILE).enumerate() {
            for i in 0..TILE_ROWS {
                let Some(offset) = self.offsets.get(number * TILE_ROWS + i) else {
                    // What an earlier product left here is finite or not, but its sums are not stored.
                    break;
                };
                for segment in 0..rows.segments {
                    let start = offset + segment * rows.segment_step;
                    let run = &rows.values[start..start + rows.segment_len];
                    for (t, run) in run.chunks(PAIR_ROWS).enumerate() {
                        let place = (segment * tiles + t) * TILE + i * PAIR_ROWS;
                        let to = &mut group[place..place + PAIR_ROWS];
                        for (to, value) in to.iter_mut().zip(run) {
                            *to = bf16::from_f32(*value);
                        }
                        to[run.len()..].fill(0);
                    }
                }
            }
        }
    }
}

/// Puts the sums of two panels into the output.
struct Finish<'a, 'b> {
    product: &'a mut PairProduct<'b>,
    first: usize,
    sums: &'a mut [f32],
}

impl WithSimd for Finish<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let product = self.product;
        let groups = product.targets.chunks(2 * TILE_ROWS);
        for (targets, sums) in groups.zip(self.sums.chunks_exact_mut(4 * SUMS)) {
            for (i, sums) in sums.chunks_exact_mut(2 * SUMS).enumerate() {
                let column = (self.first + i) * PAIR_COLUMNS;
                if column >= product.columns {
                    continue;
                }
                let tile = Tile {
                    sums,
                    stride: PAIR_COLUMNS,
                    column,
                    columns: (product.columns - column).min(PAIR_COLUMNS),
                };
                finish(tile, targets, &product.epilogue, product.output);
            }
        }
    }
}
