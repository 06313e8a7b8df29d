//! Products of gathered rows and packed columns: what matrix products and convolutions are made of.

mod epilogue;
mod grid;
mod matrix;
mod packed;
mod rounded;
mod rows;
mod run;
mod shared;
mod transposed;
mod vectors;

#[cfg(target_arch = "x86_64")]
mod pairs;

pub use epilogue::{Epilogue, Gate};
pub use packed::{MatrixView, PackedMatrix};

pub(crate) use epilogue::Target;
pub(crate) use grid::Grid;
pub(crate) use packed::{Segments, Source};
#[cfg(target_arch = "x86_64")]
pub(crate) use pairs::{
    BLOCK_COLUMNS, BLOCK_ROWS, Block, Left, Multiplier, Start, Sums, TILE, TILE_COLUMNS,
    TILE_DEPTH, TILE_ROWS,
};
pub(crate) use rounded::Round;
pub(crate) use rows::Rows;
pub(crate) use run::{Operand, Product, Scratch};
pub(crate) use shared::{Output, Shared};
pub(crate) use transposed::{Share, TransposedSums, by_pairs};
