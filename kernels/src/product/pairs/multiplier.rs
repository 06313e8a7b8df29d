//! Which instructions multiply a block.

use super::block::{Block, Left, Start, Sums};
use crate::InstructionSet;

/// What multiplies two row tiles by two panels.
pub(crate) enum Multiplier {
    #[cfg(target_os = "linux")]
    Tiles(crate::amx::Tiles),
    Vectors(crate::avx512_bf16::Vectors),
}

impl Multiplier {
    /// # Panics
    /// If the processor lacks bf16 products.
    pub(crate) fn of(set: InstructionSet) -> Self {
        assert!(
            set.multiplies_bf16() && set.is_available(),
            "bf16 instructions that this processor lacks"
        );
        #[cfg(target_os = "linux")]
        if set == InstructionSet::Amx {
            return Self::Tiles(crate::amx::Tiles::configure());
        }
        Self::Vectors(crate::avx512_bf16::Vectors::detect())
    }

    /// Sums of the row tiles at `places` of `left` times two panels.
    ///
    /// # Panics
    /// If tiles, panels or sums reach beyond their slices.
    ///
    /// # Safety
    /// Nothing else may read or write the block's sums meanwhile.
    pub(crate) unsafe fn multiply(
        &self,
        left: &Left<'_>,
        places: [usize; 2],
        right: [&[u16]; 2],
        start: Start<'_>,
        sums: Sums<'_>,
    ) {
        let block = Block::new(left, places, right, start, sums);
        // SAFETY: `Block::new` has checked that every address lies inside its slice, which outlives the call; the
        // caller promises that the sums are not shared.
        unsafe {
            match self {
                #[cfg(target_os = "linux")]
                Self::Tiles(tiles) => tiles.multiply(&block),
                Self::Vectors(vectors) => vectors.multiply(&block),
            }
        }
    }
}
