//! Two row tiles times two panels: what the bf16 instructions multiply at once.

use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};

use crate::product::Shared;
use crate::product::packed::{PAIR_COLUMNS, PAIR_ROWS};

/// Rows of the left operand in one tile.
pub(crate) const TILE_ROWS: usize = 16;
/// Values in one row of a left tile, rows in a panel's tile.
pub(crate) const TILE_DEPTH: usize = PAIR_ROWS;
/// Columns of a panel.
pub(crate) const TILE_COLUMNS: usize = PAIR_COLUMNS;
/// Values of a left tile, 16 rows x 32; of a right tile, 16 pairs x 16 columns x 2.
pub(crate) const TILE: usize = TILE_ROWS * TILE_DEPTH;
/// Rows of a block.
pub(crate) const BLOCK_ROWS: usize = 2 * TILE_ROWS;
/// Columns of a block.
pub(crate) const BLOCK_COLUMNS: usize = 2 * TILE_COLUMNS;

/// Where the values of row tiles lie: value k of row r in tile t of segment s at
/// `place + s * segment + t * tile + r * row + k`.
#[derive(Clone, Copy)]
pub(crate) struct Left<'a> {
    pub(crate) values: &'a [u16],
    pub(crate) row: usize,
    pub(crate) tile: usize,
    pub(crate) segment: usize,
    /// Tiles of a segment.
    pub(crate) tiles: usize,
    pub(crate) segments: usize,
}

impl<'a> Left<'a> {
    /// Tiles one after the other, `depth` for each 16 rows.
    pub(crate) fn of_tiles(values: &'a [u16], depth: usize) -> Self {
        Self {
            values,
            row: TILE_DEPTH,
            tile: TILE,
            segment: 0,
            tiles: depth,
            segments: 1,
        }
    }

    /// Values from the first one of a row tile to its last.
    fn reach(&self) -> usize {
        (self.segments - 1) * self.segment
            + (self.tiles - 1) * self.tile
            + (TILE_ROWS - 1) * self.row
            + TILE_DEPTH
    }
}

/// What sums begin with.
#[derive(Clone, Copy)]
pub(crate) enum Start<'a> {
    Zeros,
    /// A value for each column of the block.
    Columns(&'a [f32; BLOCK_COLUMNS]),
    /// What the place of the sums holds.
    Held,
}

/// Where sums go: column c of row r of tile i to `places[i] + r * row + c`.
#[derive(Clone, Copy)]
pub(crate) struct Sums<'a> {
    pub(crate) values: Shared<'a>,
    pub(crate) places: [usize; 2],
    pub(crate) row: usize,
}

impl Sums<'_> {
    /// Asks for the lines that will be written: on their way while the products are summed, they do not hold up the
    /// stores.
    pub(crate) fn prefetch(&self) {
        for place in self.places {
            for row in 0..TILE_ROWS {
                let line = self.values.start().wrapping_add(place + row * self.row);
                for line in [line, line.wrapping_add(TILE_COLUMNS)] {
                    // SAFETY: a prefetch reads no memory, whatever the address.
                    unsafe { _mm_prefetch::<_MM_HINT_ET0>(line.cast()) };
                }
            }
        }
    }
}

/// The operands as the instructions take them: addresses, and distances in bytes.
#[repr(C)]
pub(crate) struct Block {
    pub(crate) left: [*const u16; 2],
    pub(crate) left_row: usize,
    pub(crate) left_tile: usize,
    /// From the end of a segment's tiles to the next segment; wraps.
    pub(crate) left_jump: usize,
    /// Tiles one after the other.
    pub(crate) right: [*const u16; 2],
    pub(crate) tiles: usize,
    pub(crate) segments: usize,
    /// Null for zeros.
    pub(crate) start: [*const f32; 2],
    pub(crate) start_row: usize,
    pub(crate) sums: [*mut f32; 2],
    pub(crate) sums_row: usize,
}

impl Block {
    /// Row tiles at `places`, and two panels.
    ///
    /// # Panics
    /// If tiles, panels or sums reach beyond their slices.
    pub(crate) fn new(
        left: &Left<'_>,
        places: [usize; 2],
        right: [&[u16]; 2],
        start: Start<'_>,
        sums: Sums<'_>,
    ) -> Self {
        let depth = left.tiles * left.segments;
        assert!(depth > 0, "an empty product");
        for place in places {
            assert!(place + left.reach() <= left.values.len(), "left tiles");
        }
        for right in right {
            assert!(right.len() >= depth * TILE, "right tiles");
        }
        let reach = (TILE_ROWS - 1) * sums.row + BLOCK_COLUMNS;
        let sums_at = sums.places.map(|place| {
            assert!(place + reach <= sums.values.len(), "sums");
            sums.values.start().wrapping_add(place)
        });
        let (start, start_row) = match start {
            Start::Zeros => ([std::ptr::null(); 2], 0),
            Start::Columns(columns) => ([columns.as_ptr(); 2], 0),
            Start::Held => (sums_at.map(<*mut f32>::cast_const), sums.row),
        };
        let bytes = |values: usize| values * size_of::<u16>();
        Self {
            left: places.map(|place| left.values.as_ptr().wrapping_add(place)),
            left_row: bytes(left.row),
            left_tile: bytes(left.tile),
            left_jump: bytes(left.segment).wrapping_sub(left.tiles * bytes(left.tile)),
            right: right.map(<[u16]>::as_ptr),
            tiles: left.tiles,
            segments: left.segments,
            start,
            start_row: start_row * size_of::<f32>(),
            sums: sums_at,
            sums_row: sums.row * size_of::<f32>(),
        }
    }
}
