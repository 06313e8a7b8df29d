//! Keys and values, packed.

use super::super::{Attention, Sequences};
use super::tiling::Tiling;
use crate::aligned::Aligned;

/// Keys of one block: their scores and values stay in a first-level cache.
pub(super) const KEYS: usize = 96;

/// Keys and values of one head in the order in which they are read, rows in tiles of as many as fit registers.
pub(super) struct Memory {
    /// `[tiles of keys, width, keys of a tile]`
    pub(super) keys: Aligned<f32>,
    /// `[blocks, tiles of channels, keys of the block, channels of a tile]`
    pub(super) values: Aligned<f32>,
}

impl Memory {
    pub(super) fn new(
        tiling: Tiling,
        attention: &Attention<&[f32]>,
        sequence: usize,
        head: usize,
    ) -> Self {
        let width = attention.heads.width;
        let tokens = attention.key.tokens;
        let row = |of: &Sequences<&[f32]>, token: usize| {
            let start = of.row(sequence * tokens + token) + head * width;
            start..start + width
        };
        let tile = tiling.keys;
        let mut keys = Aligned::zeros(tokens.next_multiple_of(tile) * width);
        for (number, to) in keys.chunks_exact_mut(tile * width).enumerate() {
            let first = number * tile;
            for (i, token) in (first..tokens.min(first + tile)).enumerate() {
                let from = &attention.key.values[row(&attention.key, token)];
                for (to, value) in to.chunks_exact_mut(tile).zip(from) {
                    to[i] = *value;
                }
            }
        }
        let tile = tiling.channels;
        let padded = width.next_multiple_of(tile);
        let mut values = Aligned::zeros(tokens * padded);
        for (number, to) in values.chunks_mut(KEYS * padded).enumerate() {
            let count = to.len() / padded;
            for i in 0..count {
                let from = &attention.value.values[row(&attention.value, number * KEYS + i)];
                for (number, from) in from.chunks(tile).enumerate() {
                    to[(number * count + i) * tile..][..from.len()].copy_from_slice(from);
                }
            }
        }
        Self { keys, values }
    }
}
