//! How a product is cut into tasks.

use std::ops::Range;

use super::packed::PackedMatrix;

/// Tasks for each thread: a thread that another program slows down leaves its share to the others.
const TASKS_PER_THREAD: usize = 4;

/// Rows of whole tiles of every instruction set.
const LEAST_ROWS: usize = 48;

/// Bytes of a left operand that stay in a second-level cache beside a part of the weight.
const LEFT_BYTES: usize = 576 << 10;

/// Most rows of a task of f32 products: enough to use a weight many times, more where a weight is larger than the last-level
/// cache's share of a thread and so read from memory once per task.
const MOST_ROWS: [usize; 2] = [192, 768];

/// A weight of more bytes is read from beyond the second-level cache once for every task that uses all of it.
const LARGE: usize = 1 << 20;

/// Rows of a task, and the shares of a weight's columns that different tasks work on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) rows: usize,
    /// Of panels.
    pub(crate) bands: Vec<Range<usize>>,
}

impl Grid {
    /// For `rows` and a weight; every row takes `row_bytes` bytes of a left operand in bf16 (of a convolution: of its window).
    pub(crate) fn new(rows: usize, row_bytes: usize, weight: &PackedMatrix) -> Self {
        let rows = rows.max(1);
        let tasks = TASKS_PER_THREAD * rayon::current_num_threads();
        let share = rows.div_ceil(tasks).next_multiple_of(LEAST_ROWS);
        if !weight.reads_bf16() {
            let most = MOST_ROWS[usize::from(weight.bytes() > 4 * LARGE)];
            return Self {
                rows: share.min(most),
                bands: bands(weight.panels(), 1),
            };
        }
        let most = (LEFT_BYTES / row_bytes / LEAST_ROWS).max(1) * LEAST_ROWS;
        if weight.bytes() <= LARGE || share >= most {
            return Self {
                rows: share.min(most),
                bands: bands(weight.panels(), 1),
            };
        }
        // Few rows: every task has many of them and a share of the columns, so that the weight is read fewer times.
        let per_task = rows.next_multiple_of(LEAST_ROWS).min(most);
        let wanted = tasks.div_ceil(rows.div_ceil(per_task));
        Self {
            rows: per_task,
            bands: bands(weight.panels(), wanted),
        }
    }
}

impl Grid {
    /// A task for each part of the rows, with its number, and each band; those of a part follow each other.
    pub(crate) fn tasks<'a, P>(&'a self, parts: &'a [P]) -> Vec<(usize, &'a P, Range<usize>)> {
        let numbered = parts.iter().enumerate();
        numbered
            .flat_map(|(number, part)| {
                let bands = self.bands.iter().cloned();
                bands.map(move |band| (number, part, band))
            })
            .collect()
    }
}

/// Cuts panels into at most `wanted` equal shares of an even number.
fn bands(panels: usize, wanted: usize) -> Vec<Range<usize>> {
    let per_band = panels.div_ceil(wanted).next_multiple_of(2);
    (0..panels)
        .step_by(per_band)
        .map(|first| first..(first + per_band).min(panels))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kernels, MatrixView, Precision};

    #[test]
    fn bands_cover_all_panels_once() {
        for panels in [1, 2, 3, 40, 63] {
            for wanted in [1, 3, 8, 100] {
                let bands = bands(panels, wanted);
                assert!(bands.len() <= wanted);
                let mut next = 0;
                for band in bands {
                    assert!(band.start == next && band.start.is_multiple_of(2));
                    next = band.end;
                }
                assert_eq!(next, panels);
            }
        }
    }

    #[test]
    fn tasks_have_whole_tiles_of_rows_and_large_weights_are_shared() {
        let kernels = Kernels::chosen().unwrap();
        let values = vec![0.0; 1024 * 1024];
        let view = MatrixView::row_major(&values, 1024);
        let weight = PackedMatrix::new(kernels, view, Precision::Bf16);
        for rows in [0, 1, 37, 300, 5000, 100_000] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build();
            let grid = pool.unwrap().install(|| Grid::new(rows, 2048, &weight));
            assert!(grid.rows >= LEAST_ROWS && grid.rows.is_multiple_of(LEAST_ROWS));
            assert_eq!(
                grid.bands.len() > 1,
                weight.reads_bf16() && rows <= 300,
                "{rows} rows"
            );
        }
    }
}
