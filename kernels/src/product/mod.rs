//! Products of gathered rows and packed columns: what matrix products and convolutions are made of.

mod epilogue;
mod matrix;
mod packed;
mod rounded;
mod rows;
mod run;
mod transposed;
mod vectors;

#[cfg(target_arch = "x86_64")]
mod pairs;

pub use epilogue::{Epilogue, Write};
pub use packed::{MatrixView, PackedMatrix};

pub(crate) use epilogue::Target;
pub(crate) use matrix::rows_per_task;
pub(crate) use packed::{Segments, Source};
#[cfg(target_arch = "x86_64")]
pub(crate) use pairs::{SUMS, TILE};
pub(crate) use rounded::Round;
pub(crate) use rows::Rows;
pub(crate) use run::{Scratch, product};
pub(crate) use transposed::{Columns, TransposedSums};
