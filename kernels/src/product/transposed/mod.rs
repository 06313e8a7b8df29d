//! Products summed over rows: the gradient of a right operand.

#[cfg(target_arch = "x86_64")]
mod paired;
#[cfg(target_arch = "x86_64")]
mod pairs;
mod vectors;

use std::ops::Range;

use super::packed::Segments;
use super::rounded::Rounded;
use super::run::Operand;
use super::shared::Shared;
use crate::aligned::Aligned;
use crate::{InstructionSet, Precision, Values};
use vectors::TransposedProduct;

/// Some columns of a row-major matrix.
#[derive(Clone, Copy)]
struct Columns<V> {
    /// `[rows, stride]`
    values: V,
    /// Columns of the whole matrix.
    stride: usize,
    first: usize,
    count: usize,
}

impl<V> Columns<V> {
    /// The same columns of other values.
    fn with<U>(&self, values: U) -> Columns<U> {
        Columns {
            values,
            stride: self.stride,
            first: self.first,
            count: self.count,
        }
    }
}

/// A part of the sums.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    All,
    /// Of some values of the left rows, all segments counted together: whole panels.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(dead_code, reason = "panels are for bf16 instructions")
    )]
    Values(Range<usize>),
    /// Of some columns on the right.
    Columns(Range<usize>),
}

/// Whether sums are made by bf16 instructions.
pub(crate) fn by_pairs(set: InstructionSet, precision: Precision) -> bool {
    precision == Precision::Bf16 && set.multiplies_bf16()
}

/// `sums[k, column] = sum over rows of left[row, k] * right[row, column]`, over rows that come in parts; those of one share.
pub(crate) struct TransposedSums {
    set: InstructionSet,
    segments: Segments,
    /// Of the values of a left row.
    values: Range<usize>,
    columns: Range<usize>,
    offsets: Vec<usize>,
    sums: Sums,
}

/// What the sums are made by.
enum Sums {
    Vectors {
        sums: Vec<f32>,
        panels: Aligned<f32>,
        precision: Precision,
        /// The operands as f32 values, rounded to bf16 if that is the precision.
        rounded: [Rounded; 2],
    },
    #[cfg(target_arch = "x86_64")]
    Pairs(pairs::PairSums),
}

impl TransposedSums {
    /// At most `wanted` shares of all sums, such that none repeats much of another's work.
    pub(crate) fn shares(
        set: InstructionSet,
        segments: Segments,
        columns: usize,
        precision: Precision,
        wanted: usize,
    ) -> Vec<Share> {
        #[cfg(target_arch = "x86_64")]
        if by_pairs(set, precision) {
            let values = pairs::shares(segments, wanted);
            return values.into_iter().map(Share::Values).collect();
        }
        let _ = (set, segments, precision);
        let per_share = columns.div_ceil(wanted).next_multiple_of(32);
        (0..columns)
            .step_by(per_share)
            .map(|first| Share::Columns(first..(first + per_share).min(columns)))
            .collect()
    }

    /// Zeros, for rows on the left of these segments and so many columns on the right.
    pub(crate) fn new(
        set: InstructionSet,
        segments: Segments,
        columns: usize,
        share: Share,
        precision: Precision,
    ) -> Self {
        let all = 0..segments.count * segments.len;
        let (values, columns) = match share {
            Share::All => (all, 0..columns),
            Share::Values(values) => (values, 0..columns),
            Share::Columns(columns) => (all, columns),
        };
        let sums = match precision {
            #[cfg(target_arch = "x86_64")]
            Precision::Bf16 if by_pairs(set, precision) => Sums::Pairs(pairs::PairSums::new(
                segments,
                values.clone(),
                columns.len(),
            )),
            _ => Sums::Vectors {
                sums: vec![0.0; values.len() * columns.len()],
                panels: Aligned::default(),
                precision,
                rounded: Default::default(),
            },
        };
        Self {
            set,
            segments,
            values,
            columns,
            offsets: Vec::new(),
            sums,
        }
    }

    /// Adds the products of `rows` and the rows of `right [rows, columns]`, as many.
    ///
    /// # Panics
    /// If the sizes differ from those of [`TransposedSums::new`], or the rows reach beyond their image.
    pub(crate) fn add(&mut self, rows: Operand<'_>, right: Values<'_>, columns: usize) {
        let right = Columns {
            values: right,
            stride: columns,
            first: self.columns.start,
            count: self.columns.len(),
        };
        assert!(self.columns.end <= columns, "columns");
        let [images, lines, pixels] = match rows {
            Operand::Plain(rows) => rows.prepare(self.segments, &mut self.offsets),
            Operand::Bf16(rows) => rows.prepare(self.segments, &mut self.offsets),
        };
        let expected = images * lines * pixels * right.stride;
        assert_eq!(right.values.len(), expected, "values on the right");
        match &mut self.sums {
            Sums::Vectors {
                sums,
                panels,
                precision,
                rounded: [for_rows, for_right],
            } => {
                let (set, precision) = (self.set, *precision);
                let right = right.with(for_right.in_f32(set, right.values, precision));
                let rows = match rows {
                    Operand::Plain(rows) => {
                        let values = Values::F32(rows.values);
                        rows.with(for_rows.in_f32(set, values, precision))
                    }
                    Operand::Bf16(rows) => rows.with(for_rows.widened(rows.values)),
                };
                set.run(TransposedProduct {
                    rows: &rows,
                    offsets: &self.offsets,
                    right,
                    sums,
                    panels,
                });
            }
            #[cfg(target_arch = "x86_64")]
            Sums::Pairs(sums) => match (rows, right.values) {
                (Operand::Plain(rows), Values::F32(values)) => {
                    sums.add(self.set, rows, &self.offsets, right.with(values));
                }
                (Operand::Plain(rows), Values::Bf16(values)) => {
                    sums.add(self.set, rows, &self.offsets, right.with(values));
                }
                (Operand::Bf16(rows), Values::F32(values)) => {
                    sums.add(self.set, rows, &self.offsets, right.with(values));
                }
                (Operand::Bf16(rows), Values::Bf16(values)) => {
                    sums.add(self.set, rows, &self.offsets, right.with(values));
                }
            },
        }
    }

    /// Writes the sums to their places in a matrix of all of them, of `columns` columns.
    ///
    /// # Panics
    /// If they reach beyond it.
    ///
    /// # Safety
    /// Nothing else may read or write this share's places meanwhile.
    pub(crate) unsafe fn write(&self, to: Shared<'_>, columns: usize) {
        let place = |value: usize| value * columns + self.columns.start;
        match &self.sums {
            Sums::Vectors { sums, .. } => {
                let rows = sums.chunks_exact(self.columns.len().max(1));
                for (value, row) in self.values.clone().zip(rows) {
                    let start = place(value);
                    // SAFETY: as the caller promises.
                    unsafe { to.range(start..start + row.len()).slice() }.copy_from_slice(row);
                }
            }
            #[cfg(target_arch = "x86_64")]
            Sums::Pairs(sums) => sums.for_each_part(|value, column, part| {
                let start = place(value) + column;
                // SAFETY: as the caller promises.
                let row = unsafe { to.range(start..start + part.len()).slice() };
                row.copy_from_slice(part);
            }),
        }
    }
}
