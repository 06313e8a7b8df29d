//! Keys and values as right operands.

use super::super::Attention;
use crate::aligned::Aligned;
use crate::avx512_bf16::{RoundToBf16, Vectors};
use crate::product::{TILE, TILE_COLUMNS, TILE_DEPTH};

/// Keys and values of one head of one sequence, packed.
#[derive(Default)]
pub(super) struct Memory {
    /// How many.
    pub(super) count: usize,
    /// `[key tiles, 2 panels of 16 keys, width tiles, 16 pairs of channels, 16 keys, 2]`
    keys: Aligned<u16>,
    /// `[panels of 16 channels, key tiles, 16 pairs of keys, 16 channels, 2]`
    values: Aligned<u16>,
    /// Tiles of 32 channels.
    width_tiles: usize,
}

impl Memory {
    /// Tiles of 32 keys.
    fn key_tiles(&self) -> usize {
        self.count.div_ceil(TILE_DEPTH)
    }

    /// Two panels of 16 keys.
    pub(super) fn keys(&self, tile: usize) -> [&[u16]; 2] {
        let panel = self.width_tiles * TILE;
        [2 * tile, 2 * tile + 1].map(|number| &self.keys[number * panel..][..panel])
    }

    /// A panel of 16 channels, `tiles` tiles of keys from `first` on.
    pub(super) fn values(&self, panel: usize, first: usize, tiles: usize) -> &[u16] {
        let start = panel * self.key_tiles() + first;
        &self.values[start * TILE..(start + tiles) * TILE]
    }

    /// Packs one head of one sequence.
    pub(super) fn pack<T: RoundToBf16>(
        &mut self,
        attention: &Attention<&[T]>,
        sequence: usize,
        head: usize,
    ) {
        let Attention {
            key, value, heads, ..
        } = *attention;
        let width = heads.width;
        self.count = key.tokens;
        self.width_tiles = width.div_ceil(TILE_DEPTH);
        let tiles = self.key_tiles();
        let panels = width.div_ceil(TILE_COLUMNS);
        self.keys.resize(2 * tiles * self.width_tiles * TILE);
        self.values.resize(panels * tiles * TILE);
        let vectors = Vectors::detect();
        let (to, _) = self.keys.as_chunks_mut::<TILE>();
        for (number, to) in to.iter_mut().enumerate() {
            let first = number / self.width_tiles * TILE_COLUMNS;
            let channel = number % self.width_tiles * TILE_DEPTH;
            let count = (width - channel).min(TILE_DEPTH);
            let column = |i| {
                if first + i >= key.tokens {
                    return &[][..];
                }
                let start = key.row(sequence * key.tokens + first + i) + head * width;
                &key.values[start + channel..][..count]
            };
            vectors.interleave_columns(column, to);
        }
        let (to, _) = self.values.as_chunks_mut::<TILE>();
        let first_row = sequence * value.tokens;
        let starts: Vec<usize> = (first_row..first_row + value.tokens)
            .map(|row| value.row(row) + head * width)
            .collect();
        let most = value.values.len().checked_sub(width);
        let inside = |start: &usize| most.is_some_and(|most| *start <= most);
        assert!(starts.iter().all(inside), "values reach beyond their slice");
        for (number, to) in to.iter_mut().enumerate() {
            let channel = number / tiles * TILE_COLUMNS;
            let first = number % tiles * TILE_DEPTH;
            let rows = &starts[first..(first + TILE_DEPTH).min(value.tokens)];
            let count = (width - channel).min(TILE_COLUMNS);
            // SAFETY: every row has `width` values inside the slice, by the assertion.
            unsafe {
                let from = value.values.as_ptr().add(channel);
                vectors.interleave_rows(from, rows, count, to);
            }
        }
    }
}
