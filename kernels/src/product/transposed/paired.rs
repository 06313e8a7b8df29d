//! Pixels in pairs, made once for all lines of a kernel that moves by one pixel.
//!
//! The tap of line y and column x reads the same pairs as that of line 0 and column x, y lines further down: where the
//! lines of results are whole pairs, and their images whole tiles, it reads them where they lie.

use crate::aligned::Aligned;
use crate::avx512_bf16::{RoundToBf16, Vectors};
use crate::product::rows::Rows;
use crate::product::{TILE, TILE_COLUMNS, TILE_DEPTH};

/// Tiles of an image below which sums would be loaded and stored too often.
const LEAST_TILES: usize = 8;

/// The pairs of some rows.
#[derive(Default)]
pub(super) struct Paired {
    /// `[kernel columns, panels of 16 channels, images, tiles of the window]`
    tiles: Aligned<u16>,
    offsets: Vec<usize>,
}

/// How rows of results and the pixels they are made of lie.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    images: usize,
    /// Columns of the kernel.
    taps: usize,
    /// Panels of a pixel's channels.
    panels: usize,
    /// Lines of an image's window.
    lines: usize,
    /// Results in a line.
    pixels: usize,
    /// Of an image's results.
    tiles: usize,
}

impl Plan {
    /// For these rows; `None` where their pairs do not lie like that.
    pub(super) fn of<T>(rows: &Rows<'_, T>) -> Option<Self> {
        let channels = rows.pixel_step;
        let results = rows.lines * rows.pixels;
        let fits = rows.line_step == rows.segment_step
            && channels > 0
            && channels.is_multiple_of(TILE_COLUMNS)
            && rows.segment_len.is_multiple_of(channels)
            && rows.segments > 1
            && rows.pixels.is_multiple_of(2)
            && results.is_multiple_of(TILE_DEPTH)
            && results / TILE_DEPTH >= LEAST_TILES;
        fits.then(|| Self {
            images: rows.images,
            taps: rows.segment_len / channels,
            panels: channels / TILE_COLUMNS,
            lines: rows.lines + rows.segments - 1,
            pixels: rows.pixels,
            tiles: results / TILE_DEPTH,
        })
    }

    pub(super) fn images(&self) -> usize {
        self.images
    }

    /// Tiles of an image's results.
    pub(super) fn tiles(&self) -> usize {
        self.tiles
    }

    /// Values of an image's pairs for one tap and panel.
    fn image_len(&self) -> usize {
        (self.lines * self.pixels).div_ceil(TILE_DEPTH) * TILE
    }
}

impl Paired {
    /// Pairs the pixels of `rows`, whose [plan](Plan::of) it is.
    ///
    /// # Panics
    /// If a row reaches beyond its values.
    pub(super) fn make<T: RoundToBf16>(
        &mut self,
        vectors: Vectors,
        rows: &Rows<'_, T>,
        plan: Plan,
    ) {
        let image = plan.image_len();
        self.tiles
            .resize(plan.taps * plan.panels * plan.images * image);
        let window = Rows {
            lines: plan.lines,
            segments: 1,
            ..*rows
        };
        window.offsets(&mut self.offsets);
        let channels = rows.pixel_step;
        let all = self.tiles.chunks_exact_mut(plan.images * image);
        for (number, images) in all.enumerate() {
            let (tap, panel) = (number / plan.panels, number % plan.panels);
            let start = tap * channels + panel * TILE_COLUMNS;
            let from = rows.values.as_ptr().wrapping_add(start);
            let offsets = self.offsets.chunks_exact(plan.lines * plan.pixels);
            for (to, offsets) in images.chunks_exact_mut(image).zip(offsets) {
                let (tiles, _) = to.as_chunks_mut::<TILE>();
                for (tile, offsets) in tiles.iter_mut().zip(offsets.chunks(TILE_DEPTH)) {
                    // SAFETY: `Rows::offsets` has checked that each offset is followed by a run of all taps.
                    unsafe { vectors.interleave_rows(from, offsets, TILE_COLUMNS, tile) };
                }
            }
        }
    }

    /// What a panel of a row's values, counted over all segments, reads of an image.
    pub(super) fn panel(&self, plan: Plan, number: usize, image: usize) -> &[u16] {
        let per_line = plan.taps * plan.panels;
        let (line, panel) = (number / per_line, number % per_line);
        let start = (panel * plan.images + image) * plan.image_len();
        let pairs = line * plan.pixels / 2;
        &self.tiles[start + pairs * 2 * TILE_COLUMNS..][..plan.tiles * TILE]
    }
}
