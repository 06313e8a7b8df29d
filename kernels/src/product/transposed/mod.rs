//! Products summed over rows: the gradient of a right operand.

#[cfg(target_arch = "x86_64")]
mod pairs;
mod vectors;

use super::packed::Segments;
use super::rounded::Rounded;
use super::rows::Rows;
use crate::aligned::Aligned;
use crate::{InstructionSet, Precision};
use vectors::TransposedProduct;

/// Some columns of a row-major matrix.
#[derive(Clone, Copy)]
pub(crate) struct Columns<'a> {
    pub(crate) values: &'a [f32],
    /// Columns of the whole matrix.
    pub(crate) stride: usize,
    pub(crate) first: usize,
    pub(crate) count: usize,
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
        /// The operands in bf16, if that is the precision.
        rounded: Option<[Rounded; 2]>,
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
        let vectors = |rounded| Sums::Vectors {
            sums: vec![0.0; segments.count * segments.len * columns],
            panels: Aligned::default(),
            rounded,
        };
        let sums = match precision {
            Precision::F32 => vectors(None),
            #[cfg(target_arch = "x86_64")]
            Precision::Bf16 if set.multiplies_bf16() => {
                Sums::Pairs(pairs::PairSums::new(segments, columns))
            }
            Precision::Bf16 => vectors(Some(Default::default())),
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
    pub(crate) fn add(&mut self, rows: &Rows<'_>, right: Columns<'_>) {
        let Segments { count, len } = self.segments;
        assert!(rows.segments == count && rows.segment_len == len, "rows");
        assert_eq!(right.count, self.columns, "columns");
        assert!(right.first + right.count <= right.stride, "columns");
        let expected = rows.len() * right.stride;
        assert_eq!(right.values.len(), expected, "values on the right");
        rows.offsets(&mut self.offsets);
        match &mut self.sums {
            Sums::Vectors {
                sums,
                panels,
                rounded,
            } => {
                let (mut rows, mut right) = (*rows, right);
                if let Some([left_rounded, right_rounded]) = rounded {
                    rows.values = left_rounded.of(self.set, rows.values);
                    right.values = right_rounded.of(self.set, right.values);
                }
                self.set.run(TransposedProduct {
                    rows: &rows,
                    offsets: &self.offsets,
                    right,
                    sums,
                    panels,
                });
            }
            #[cfg(target_arch = "x86_64")]
            Sums::Pairs(sums) => sums.add(self.set, rows, &self.offsets, right),
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
