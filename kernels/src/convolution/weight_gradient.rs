//! The gradient of a convolution's weight.

use rayon::prelude::*;

use super::geometry::Geometry;
use super::part::{Window, cut};
use crate::product::{Columns, Segments, TransposedSums};
use crate::{Kernels, Precision};

/// Values in all partial gradients together: each of them fits into a second-level cache.
const PARTIAL_SUMS: usize = 1 << 20;

/// Most shares of a batch, each with sums of its own.
const SHARES: usize = 16;

/// Shares of the columns of a weight so large that sums of their own would not pay.
const COLUMN_SHARES: usize = 4;

/// Rows per pass over a tile of sums.
const ROWS_PER_PASS: usize = 512;

/// The gradient of the weight, `[kernel * kernel * ci, co]`.
pub(super) fn run(
    kernels: Kernels,
    g: &Geometry,
    images: &[f32],
    output_gradient: &[f32],
    gradient: &mut [f32],
    precision: Precision,
) {
    let len = gradient.len();
    let count = images.len() / g.input_len();
    // The shares depend on the shapes alone, so that the order of summation, and with it the result,
    // does not depend on the number of threads.
    if len * 4 <= PARTIAL_SUMS && count > 1 {
        let shares = (PARTIAL_SUMS / len).min(SHARES);
        let per_share = count.div_ceil(shares);
        let firsts: Vec<usize> = (0..count).step_by(per_share).collect();
        let partial: Vec<Vec<f32>> = firsts
            .into_par_iter()
            .map(|first| {
                let share = first..(first + per_share).min(count);
                sums(
                    kernels,
                    g,
                    images,
                    output_gradient,
                    share,
                    0..g.channels_out,
                    precision,
                )
            })
            .collect();
        gradient.fill(0.0);
        for part in partial {
            for (sum, value) in gradient.iter_mut().zip(part) {
                *sum += value;
            }
        }
        return;
    }
    let per_share = g.channels_out.div_ceil(COLUMN_SHARES).next_multiple_of(32);
    let firsts: Vec<usize> = (0..g.channels_out).step_by(per_share).collect();
    let partial: Vec<(usize, Vec<f32>)> = firsts
        .into_par_iter()
        .map(|first| {
            let columns = first..(first + per_share).min(g.channels_out);
            (
                first,
                sums(
                    kernels,
                    g,
                    images,
                    output_gradient,
                    0..count,
                    columns,
                    precision,
                ),
            )
        })
        .collect();
    for (first, part) in partial {
        let width = part.len() / g.depth();
        let rows = gradient.chunks_exact_mut(g.channels_out);
        for (to, from) in rows.zip(part.chunks_exact(width)) {
            to[first..first + width].copy_from_slice(from);
        }
    }
}

/// The sums over some images for some columns, `[kernel * kernel * ci, columns]`.
fn sums(
    kernels: Kernels,
    g: &Geometry,
    images: &[f32],
    output_gradient: &[f32],
    share: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
    precision: Precision,
) -> Vec<f32> {
    let segments = Segments {
        count: g.shape.kernel,
        len: g.shape.kernel * g.channels_in,
    };
    let set = kernels.instruction_set();
    let mut sums = TransposedSums::new(set, segments, columns.len(), precision);
    let mut window = Window::<f32>::default();
    for part in cut(share, g.height_out, g.width_out, ROWS_PER_PASS) {
        let inputs = &images[part.first_image * g.input_len()..][..part.images * g.input_len()];
        let values = if g.is_product() && part.lines == g.height {
            inputs
        } else {
            let size = [g.height, g.width, g.channels_in];
            window.show_plain(inputs, size, g.view(&part));
            window.values()
        };
        let line = g.width_out * g.channels_out;
        let start = (part.first_image * g.height_out + part.first_line) * line;
        let right = Columns {
            values: &output_gradient[start..start + part.images * part.lines * line],
            stride: g.channels_out,
            first: columns.start,
            count: columns.len(),
        };
        sums.add(&g.sweep(&part).rows(values), right);
    }
    sums.into_values()
}
