//! Products summed over rows: the gradient of a right operand.

#[cfg(target_arch = "x86_64")]
mod pairs;
mod vectors;

use super::packed::Segments;
use super::rounded::Rounded;
use super::run::Operand;
use crate::aligned::Aligned;
use crate::{InstructionSet, Precision, Values};
use vectors::TransposedProduct;

/// Some columns of a row-major matrix.
#[derive(Clone, Copy)]
pub(crate) struct Columns<V> {
    /// `[rows, stride]`
    pub(crate) values: V,
    /// Columns of the whole matrix.
    pub(crate) stride: usize,
    pub(crate) first: usize,
    pub(crate) count: usize,
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

/// `sums[k, column] = sum over rows of left[row, k] * right[row, column]`, over rows that come in parts.
pub(crate) struct TransposedSums {
    set: InstructionSet,
    segments: Segments,
    columns: usize,
    offsets: Vec<usize>,
    sums: Sums,
}

/// What the sums are made by.
enum Sums {
    Vectors {
        sums: Vec<f32>,
        panels: Aligned<f32>,
        /// The operands rounded to bf16, if that is the precision.
        precision: Precision,
        rounded: [Rounded; 2],
    },
    #[cfg(target_arch = "x86_64")]
    Pairs(pairs::PairSums),
}

impl TransposedSums {
    /// Zeros, for rows on the left of these segments and so many columns on the right.
    pub(crate) fn new(
        set: InstructionSet,
        segments: Segments,
        columns: usize,
        precision: Precision,
    ) -> Self {
        let sums = match precision {
            #[cfg(target_arch = "x86_64")]
            Precision::Bf16 if set.multiplies_bf16() => {
                Sums::Pairs(pairs::PairSums::new(segments, columns))
            }
            _ => Sums::Vectors {
                sums: vec![0.0; segments.count * segments.len * columns],
                panels: Aligned::default(),
                precision,
                rounded: Default::default(),
            },
        };
        Self {
            set,
            segments,
            columns,
            offsets: Vec::new(),
            sums,
        }
    }

    /// Adds the products of `rows` and the rows of `right`, as many.
    ///
    /// # Panics
    /// If the sizes differ from those of [`TransposedSums::new`], or the rows reach beyond their image.
    pub(crate) fn add(&mut self, rows: Operand<'_>, right: Columns<Values<'_>>) {
        assert_eq!(right.count, self.columns, "columns");
        assert!(right.first + right.count <= right.stride, "columns");
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

    /// `[segments * len, columns]`
    pub(crate) fn into_values(self) -> Vec<f32> {
        match self.sums {
            Sums::Vectors { sums, .. } => sums,
            #[cfg(target_arch = "x86_64")]
            Sums::Pairs(sums) => sums.into_values(),
        }
    }
}
