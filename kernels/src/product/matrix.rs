//! Matrix products.

use rayon::prelude::*;

use super::epilogue::{Epilogue, Target};
use super::grid::Grid;
use super::packed::PackedMatrix;
use super::rows::Rows;
use super::run::{Operand, Product, Scratch};
use super::shared::Output;
use crate::{Kernels, Values, ValuesMut};

impl Kernels {
    /// `output [n, columns] = epilogue(left [n, rows] * weights [rows, columns])`.
    ///
    /// # Panics
    /// If a slice has another length than these shapes, or the weights were packed for another
    /// instruction set.
    pub fn multiply<'a>(
        self,
        left: impl Into<Values<'a>>,
        weights: &PackedMatrix,
        epilogue: Epilogue<'_>,
        output: impl Into<ValuesMut<'a>>,
    ) {
        let (left, output) = (left.into(), output.into());
        let (depth, columns) = (weights.rows(), weights.columns());
        assert_eq!(weights.set, self.set, "instruction set of the weights");
        assert!(left.len().is_multiple_of(depth), "values on the left");
        let count = left.len() / depth;
        assert_eq!(output.len(), count * columns, "values of the result");
        epilogue.check(columns, output.len());
        let grid = Grid::new(count, depth * size_of::<u16>(), weights);
        let firsts: Vec<usize> = (0..count).step_by(grid.rows).collect();
        let output = Output::new(output);
        grid.tasks(&firsts).into_par_iter().for_each_init(
            <(Scratch, Option<usize>)>::default,
            |(scratch, last), (part, &row, panels)| {
                let end = (row + grid.rows).min(count);
                let product = Product {
                    weights,
                    panels,
                    same_rows: last.replace(part) == Some(part),
                    output: output.range(row * columns..end * columns),
                    target: Target::of_matrix(columns),
                    epilogue: epilogue.part(columns, row * columns, (end - row) * columns),
                };
                // SAFETY: each task has rows or panels that no other has.
                unsafe {
                    match left.range(row * depth..end * depth) {
                        Values::F32(left) => {
                            let rows = Rows::of_matrix(left, depth);
                            product.run(Operand::Plain(&rows), scratch);
                        }
                        Values::Bf16(left) => {
                            let rows = Rows::of_matrix(left, depth);
                            product.run(Operand::Bf16(&rows), scratch);
                        }
                    }
                }
            },
        );
    }
}
