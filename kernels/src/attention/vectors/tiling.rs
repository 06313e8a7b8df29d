//! Tiles of sums that fit the registers.

use pulp::{Simd, WithSimd};

/// How sums are kept in registers: tiles of some rows times some vectors of queries.
#[derive(Clone, Copy)]
pub(super) struct Tiling {
    /// Queries in a vector.
    pub(super) lanes: usize,
    /// Vectors of queries in a panel.
    pub(super) vectors: usize,
    /// Keys in a tile.
    pub(super) keys: usize,
    /// Channels in a tile.
    pub(super) channels: usize,
}

pub(super) struct TilingOf {
    pub(super) queries: usize,
    pub(super) width: usize,
}

impl WithSimd for TilingOf {
    type Output = Tiling;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Tiling {
        let needed = self.queries.div_ceil(S::F32_LANES);
        if S::REGISTER_COUNT >= 32 {
            let costs = [(3, 100), (2, 105), (1, 130)];
            let cost = |(vectors, cost): &(usize, usize)| needed.next_multiple_of(*vectors) * cost;
            return Tiling {
                lanes: S::F32_LANES,
                vectors: costs.iter().min_by_key(|c| cost(c)).map_or(1, |c| c.0),
                keys: 8,
                channels: 8,
            };
        }
        let padded = |tile: usize| self.width.next_multiple_of(tile);
        Tiling {
            lanes: S::F32_LANES,
            vectors: needed.min(2),
            keys: 6,
            channels: if padded(5) < padded(6) { 5 } else { 6 },
        }
    }
}
