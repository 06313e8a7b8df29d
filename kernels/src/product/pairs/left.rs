//! Left operands of bf16 products.

use half::bf16;
use half::slice::HalfFloatSliceExt;

use super::block::{Left, TILE, TILE_DEPTH, TILE_ROWS};
use super::strides::equal_steps;
use crate::aligned::Aligned;
use crate::avx512_bf16::{RoundToBf16, Vectors};
use crate::product::rows::Rows;

/// Rows as tiles where they lie; `None` if they are no whole tiles, or not at equal distances.
pub(super) fn in_place<'a>(rows: &Rows<'a, bf16>) -> Option<Left<'a>> {
    let shape = [rows.images, rows.lines, rows.pixels];
    let steps = [rows.image_step, rows.line_step, rows.pixel_step];
    let whole = rows.segment_len.is_multiple_of(TILE_DEPTH)
        && rows.len().is_multiple_of(TILE_ROWS)
        && equal_steps(shape, steps, TILE_ROWS);
    whole.then_some(Left {
        values: rows.values.reinterpret_cast(),
        row: rows.pixel_step,
        tile: TILE_DEPTH,
        segment: rows.segment_step,
        tiles: rows.segment_len / TILE_DEPTH,
        segments: rows.segments,
    })
}

/// Rows, which begin at `offsets`, copied to tiles of 16 rows x 32 values, each segment filled up with zeros; if they are
/// the `same` as before, they are there.
pub(super) fn gathered<'a, T: RoundToBf16>(
    rows: &Rows<'_, T>,
    offsets: &[usize],
    same: bool,
    to: &'a mut Aligned<u16>,
) -> Left<'a> {
    let tiles = rows.segment_len.div_ceil(TILE_DEPTH);
    let depth = rows.segments * tiles;
    to.resize(offsets.len().div_ceil(TILE_ROWS) * depth * TILE);
    if same {
        return Left::of_tiles(to, depth);
    }
    // What an earlier product left in rows beyond the last is finite or not, but their sums are not stored.
    let runs = offsets.iter().enumerate().flat_map(|(row, offset)| {
        let place = row / TILE_ROWS * depth * TILE + row % TILE_ROWS * TILE_DEPTH;
        (0..rows.segments).map(move |segment| {
            (
                offset + segment * rows.segment_step,
                place + segment * tiles * TILE,
            )
        })
    });
    Vectors::detect().gather(rows.values, runs, rows.segment_len, to);
    Left::of_tiles(to, depth)
}
