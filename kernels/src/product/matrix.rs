//! Matrix products.

use rayon::prelude::*;

use super::epilogue::{Epilogue, Target};
use super::packed::PackedMatrix;
use super::rows::Rows;
use super::run::{Scratch, product};
use crate::Kernels;

impl Kernels {
    /// `output [n, columns] = epilogue(left [n, rows] * weights [rows, columns])`.
    ///
    /// # Panics
    /// If a slice has another length than these shapes, or the weights were packed for another
    /// instruction set.
    pub fn multiply(
        self,
        left: &[f32],
        weights: &PackedMatrix,
        epilogue: Epilogue<'_>,
        output: &mut [f32],
    ) {
        let (depth, columns) = (weights.rows(), weights.columns());
        assert_eq!(weights.set, self.set, "instruction set of the weights");
        assert!(left.len().is_multiple_of(depth), "values on the left");
        let count = left.len() / depth;
        assert_eq!(output.len(), count * columns, "values of the result");
        epilogue.check(columns, output.len());
        let per_task = rows_per_task(count, weights.bytes());
        output
            .par_chunks_mut(per_task * columns)
            .zip(left.par_chunks(per_task * depth))
            .enumerate()
            .for_each_init(Scratch::default, |scratch, (task, (output, left))| {
                let epilogue = epilogue.part(task * per_task * columns, output.len());
                let rows = Rows::of_matrix(left, depth);
                product(
                    &rows,
                    weights,
                    output,
                    Target::of_matrix(columns),
                    epilogue,
                    scratch,
                );
            });
    }
}

/// Rows for one task: enough to use a weight many times, few enough for several tasks for each thread, so that a thread
/// that another program slows down leaves its share to the others. Whole tiles of every instruction set.
///
/// A weight larger than the last-level cache's share of a thread is read from memory once per task, so that its tasks
/// may have more rows.
pub(crate) fn rows_per_task(rows: usize, weight_bytes: usize) -> usize {
    const LARGE: usize = 4 << 20;
    let tasks = 4 * rayon::current_num_threads();
    let most = if weight_bytes > LARGE { 768 } else { 192 };
    rows.div_ceil(tasks).next_multiple_of(48).clamp(48, most)
}
