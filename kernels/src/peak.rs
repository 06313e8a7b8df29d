//! How fast bf16 products can be at most.

use crate::Kernels;

/// Tiles along the depth of the products. One panel of so many tiles, which serves as both, one left tile, which serves as all,
/// and the sums fit into a first-level cache of 32 KiB.
#[cfg(target_arch = "x86_64")]
const DEPTH: usize = 24;

impl Kernels {
    /// Makes `blocks` products of two row tiles and two panels that never leave the first-level cache, on this thread, and
    /// returns how many floating-point operations that took; `None` where bf16 is not multiplied.
    ///
    /// For benchmarks: what the machine does at most.
    #[cfg(target_arch = "x86_64")]
    pub fn bf16_peak(self, blocks: usize) -> Option<u64> {
        use crate::aligned::Aligned;
        use crate::product::{
            BLOCK_COLUMNS, BLOCK_ROWS, Left, Multiplier, Shared, Start, Sums, TILE, TILE_DEPTH,
            TILE_ROWS,
        };
        if !self.set.multiplies_bf16() {
            return None;
        }
        let multiplier = Multiplier::of(self.set);
        let operands = Aligned::<u16>::zeros((DEPTH + 1) * TILE);
        let mut sums = Aligned::<f32>::zeros(BLOCK_ROWS * BLOCK_COLUMNS);
        let (left, panel) = operands.split_at(TILE);
        let left = Left {
            tile: 0,
            ..Left::of_tiles(left, DEPTH)
        };
        for _ in 0..blocks {
            let sums = Sums {
                values: Shared::new(&mut sums),
                places: [0, TILE_ROWS * BLOCK_COLUMNS],
                row: BLOCK_COLUMNS,
            };
            // SAFETY: the sums are this thread's own.
            unsafe { multiplier.multiply(&left, [0; 2], [panel; 2], Start::Held, sums) };
        }
        std::hint::black_box(&*sums);
        let products = blocks * DEPTH * TILE_DEPTH * BLOCK_ROWS * BLOCK_COLUMNS;
        Some(2 * products as u64)
    }

    /// `None`: bf16 is not multiplied here.
    #[cfg(not(target_arch = "x86_64"))]
    pub fn bf16_peak(self, _: usize) -> Option<u64> {
        None
    }
}
