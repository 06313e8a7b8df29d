//! How a product is cut into tasks.

use std::ops::Range;

use super::packed::PackedMatrix;

/// Tasks for each thread: a thread that another program slows down leaves its share to the others.
const TASKS_PER_THREAD: usize = 4;

/// Rows of whole tiles of every instruction set.
const LEAST_ROWS: usize = 48;

/// Bytes of a left operand that stay in a second-level cache beside a part of the weight.
const LEFT_BYTES: usize = 576 << 10;

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
    /// For `rows` of `row_bytes` bytes and a weight.
    pub(crate) fn new(rows: usize, row_bytes: usize, weight: &PackedMatrix) -> Self {
        let tasks = TASKS_PER_THREAD * rayon::current_num_threads();
        let share = rows
            .div_ceil(tasks)
            .next_multiple_of(LEAST_ROWS)
            .max(LEAST_ROWS);
        if !weight.reads_halves() {
            let most = if weight.bytes() > 4 * LARGE { 768 } else { 192 };
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

/// Cuts panels into at most `wanted` equal shares of an even number.
fn bands(panels: usize, wanted: usize) -> Vec<Range<usize>> {
    let per_band = panels.div_ceil(wanted).next_multiple_of(2);
    (0..panels)
        .step_by(per_band)
        .map(|first| first..(first + per_band).min(panels))
        .collect()
}
