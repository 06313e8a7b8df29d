//! Right operands, rearranged once for the order in which they are read.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::aligned::{Aligned, Number};
#[cfg(target_arch = "x86_64")]
use crate::avx512_bf16::Vectors;
#[cfg(target_arch = "x86_64")]
use crate::product::TILE;
use crate::{InstructionSet, Kernels, Precision, bf16};

/// A matrix inside a slice: value (row, column) is at `row * row_step + column * column_step`.
#[derive(Clone, Copy, Debug)]
pub struct MatrixView<'a> {
    /// The values.
    pub values: &'a [f32],
    /// Rows: the length of the sums.
    pub rows: usize,
    /// Columns: results per row of the left operand.
    pub columns: usize,
    /// From one row to the next.
    pub row_step: usize,
    /// From one column to the next.
    pub column_step: usize,
}

impl<'a> MatrixView<'a> {
    /// `[rows, columns]`, row-major.
    ///
    /// # Panics
    /// If the slice does not hold whole rows.
    pub fn row_major(values: &'a [f32], columns: usize) -> Self {
        assert!(columns > 0 && values.len().is_multiple_of(columns), "rows");
        Self {
            values,
            rows: values.len() / columns,
            columns,
            row_step: columns,
            column_step: 1,
        }
    }

    /// The transpose of `[columns, rows]`, row-major: PyTorch's layout of linear weights.
    ///
    /// # Panics
    /// If the slice does not hold whole rows.
    pub fn transposed(values: &'a [f32], rows: usize) -> Self {
        assert!(rows > 0 && values.len().is_multiple_of(rows), "columns");
        Self {
            values,
            rows,
            columns: values.len() / rows,
            row_step: 1,
            column_step: rows,
        }
    }
}

/// A right operand inside a slice: value (row, column) is at `rows[row] + column * column_step`.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) rows: &'a [usize],
    pub(crate) columns: usize,
    /// At least 1.
    pub(crate) column_step: usize,
}

/// How the rows of a right operand fall into runs of the left one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segments {
    pub(crate) count: usize,
    pub(crate) len: usize,
}

/// A right operand, packed for one instruction set.
#[derive(Clone)]
pub struct PackedMatrix {
    pub(crate) set: InstructionSet,
    pub(crate) columns: usize,
    pub(crate) segments: Segments,
    pub(crate) panels: Panels,
}

/// Columns in groups; within a group row after row.
#[derive(Clone)]
pub(crate) enum Panels {
    /// `[panels, rows, vectors * lanes]`
    F32 {
        /// Vectors in one row of a panel.
        vectors: usize,
        values: Aligned<f32>,
    },
    /// The same in bf16, widened before use.
    Bf16 {
        vectors: usize,
        values: Aligned<u16>,
    },
    /// `[panels of 16 columns, segments, pairs of rows, 16, 2]` for bf16 instructions, each segment
    /// padded to whole tiles of 32 rows.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(dead_code, reason = "bf16 instructions are used on x86-64 only")
    )]
    Bf16Pairs { values: Aligned<u16> },
}

/// Columns of a panel of pairs, and rows of one tile of it.
pub(crate) const PAIR_COLUMNS: usize = 16;
#[cfg(target_arch = "x86_64")]
pub(crate) const PAIR_ROWS: usize = 32;

impl PackedMatrix {
    /// Packs a matrix for products by [`Kernels::multiply`].
    ///
    /// # Panics
    /// If the view reaches beyond its slice, or has no rows or columns.
    pub fn new(kernels: Kernels, matrix: MatrixView<'_>, precision: Precision) -> Self {
        let segments = Segments {
            count: 1,
            len: matrix.rows,
        };
        Self::from_view(kernels, segments, matrix, precision)
    }

    /// Packs a matrix whose rows fall into segments.
    pub(crate) fn from_view(
        kernels: Kernels,
        segments: Segments,
        matrix: MatrixView<'_>,
        precision: Precision,
    ) -> Self {
        // A wrapped product would pass for a place inside the values.
        let start = |row: usize| row.saturating_mul(matrix.row_step);
        let rows: Vec<usize> = (0..matrix.rows).map(start).collect();
        let source = Source {
            values: matrix.values,
            rows: &rows,
            columns: matrix.columns,
            column_step: matrix.column_step,
        };
        Self::with_segments(kernels, segments, source, precision)
    }

    /// Packs the matrix of a source.
    pub(crate) fn with_segments(
        kernels: Kernels,
        segments: Segments,
        source: Source<'_>,
        precision: Precision,
    ) -> Self {
        let set = kernels.instruction_set();
        let columns = source.columns;
        assert!(
            columns > 0 && segments.count * segments.len > 0,
            "an empty matrix"
        );
        assert_eq!(source.rows.len(), segments.count * segments.len, "rows");
        let reach = (columns - 1).checked_mul(source.column_step);
        let starts = reach.and_then(|reach| source.values.len().checked_sub(reach));
        let fits = |start: &usize| starts.is_some_and(|starts| *start < starts);
        assert!(source.rows.iter().all(fits), "a row beyond the values");
        let panels = match precision {
            #[cfg(target_arch = "x86_64")]
            Precision::Bf16 if set.multiplies_bf16() => Panels::Bf16Pairs {
                values: pairs(segments, source),
            },
            _ => {
                let Lanes { lanes, registers } = set.run(LanesOf);
                let vectors = vectors_per_panel(columns, lanes, registers);
                let width = vectors * lanes;
                match precision {
                    Precision::F32 => Panels::F32 {
                        vectors,
                        values: panels(source, width, |value| value),
                    },
                    Precision::Bf16 => Panels::Bf16 {
                        vectors,
                        values: panels(source, width, bf16::from_f32),
                    },
                }
            }
        };
        Self {
            set,
            columns,
            segments,
            panels,
        }
    }

    /// The length of the sums.
    pub fn rows(&self) -> usize {
        self.segments.count * self.segments.len
    }

    /// Results per row of the left operand.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Whether its products read left operands in bf16.
    pub(crate) fn reads_bf16(&self) -> bool {
        matches!(self.panels, Panels::Bf16Pairs { .. })
    }

    /// Groups of columns that tasks may share: those of pairs, otherwise all columns together.
    pub(crate) fn panels(&self) -> usize {
        match self.panels {
            Panels::F32 { .. } | Panels::Bf16 { .. } => 1,
            Panels::Bf16Pairs { .. } => self.columns.div_ceil(PAIR_COLUMNS),
        }
    }

    /// Bytes of the packed values.
    pub(crate) fn bytes(&self) -> usize {
        match &self.panels {
            Panels::F32 { values, .. } => size_of_val(&**values),
            Panels::Bf16 { values, .. } | Panels::Bf16Pairs { values } => size_of_val(&**values),
        }
    }
}

/// `[panels, rows, width]`.
fn panels<T: Number + Send>(
    source: Source<'_>,
    width: usize,
    convert: impl Fn(f32) -> T + Sync,
) -> Aligned<T> {
    let rows = source.rows.len();
    let mut values = Aligned::zeros(source.columns.div_ceil(width) * rows * width);
    let panels = values.par_chunks_exact_mut(rows * width).enumerate();
    panels.for_each(|(panel, block)| {
        let first = panel * width;
        let valid = (source.columns - first).min(width);
        for (to, start) in block.chunks_exact_mut(width).zip(source.rows) {
            let from = source.values[start + first * source.column_step..].iter();
            let from = from.step_by(source.column_step);
            for (to, value) in to[..valid].iter_mut().zip(from) {
                *to = convert(*value);
            }
        }
    });
    values
}

/// `[panels, segments, pairs of rows, 16, 2]`.
#[cfg(target_arch = "x86_64")]
fn pairs(segments: Segments, source: Source<'_>) -> Aligned<u16> {
    let tiles = segments.len.div_ceil(PAIR_ROWS);
    let panel = segments.count * tiles * TILE;
    let vectors = Vectors::detect();
    let mut values = Aligned::zeros(source.columns.div_ceil(PAIR_COLUMNS) * panel);
    let panels = values.par_chunks_exact_mut(panel).enumerate();
    panels.for_each(|(number, block)| {
        let first = number * PAIR_COLUMNS;
        let columns = (source.columns - first).min(PAIR_COLUMNS);
        let (block, _) = block.as_chunks_mut::<TILE>();
        for (segment, to) in source
            .rows
            .chunks(segments.len)
            .zip(block.chunks_mut(tiles))
        {
            for (rows, tile) in segment.chunks(PAIR_ROWS).zip(to) {
                pack_tile(vectors, source, rows, first, columns, tile);
            }
        }
    });
    values
}

/// Rows of a source, at most 32, from a column on.
#[cfg(target_arch = "x86_64")]
fn pack_tile(
    vectors: Vectors,
    source: Source<'_>,
    rows: &[usize],
    first: usize,
    columns: usize,
    tile: &mut [u16; TILE],
) {
    let Source {
        values,
        column_step,
        ..
    } = source;
    if column_step == 1 {
        let from = &values[first..];
        // SAFETY: `with_segments` has checked that every row has all its columns inside the values.
        unsafe { vectors.interleave_rows(from.as_ptr(), rows, columns, tile) };
        return;
    }
    let mut copied = [[0f32; PAIR_ROWS]; PAIR_COLUMNS];
    let mut done = 0;
    for run in rows.chunk_by(|row, next| *next == row + 1) {
        for (column, to) in copied.iter_mut().take(columns).enumerate() {
            let start = run[0] + (first + column) * column_step;
            to[done..done + run.len()].copy_from_slice(&values[start..start + run.len()]);
        }
        done += run.len();
    }
    vectors.interleave_columns(|column| &copied[column][..done], tile);
}

struct Lanes {
    lanes: usize,
    registers: usize,
}

struct LanesOf;

impl WithSimd for LanesOf {
    type Output = Lanes;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Lanes {
        Lanes {
            lanes: S::F32_LANES,
            registers: S::REGISTER_COUNT,
        }
    }
}

/// The vectors per panel that cost least: padding costs time, and so do panels so narrow that the
/// loads of the left operand outnumber the products.
fn vectors_per_panel(columns: usize, lanes: usize, registers: usize) -> usize {
    let costs = if registers >= 32 {
        [(2, 100), (3, 100), (1, 115), (5, 105)]
    } else {
        [(2, 100), (3, 102), (1, 135), (5, 108)]
    };
    let needed = columns.div_ceil(lanes);
    let cost = |(vectors, cost): &(usize, usize)| needed.next_multiple_of(*vectors) * cost;
    costs.iter().min_by_key(|c| cost(c)).map_or(1, |c| c.0)
}
