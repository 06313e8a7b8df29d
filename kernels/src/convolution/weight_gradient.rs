//! The gradient of a convolution's weight.

use rayon::prelude::*;

use super::geometry::Geometry;
use super::part::{Part, Sweep, View, Window};
use crate::Kernels;
use crate::product::{Columns, TransposedScratch, transposed_product};

/// Values in all partial gradients together: what a second-level cache holds.
const PARTIAL_SUMS: usize = 1 << 18;

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
) {
    let len = gradient.len();
    let count = images.len() / g.input_len();
    // The shares depend on the shapes alone, so that the order of summation, and with it the result,
    // does not depend on the number of threads.
    if len * 4 <= PARTIAL_SUMS && count > 1 {
        let shares = (PARTIAL_SUMS / len).clamp(4, SHARES);
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
    let per_share = g.channels_out.div_ceil(COLUMN_SHARES).next_multiple_of(48);
    let firsts: Vec<usize> = (0..g.channels_out).step_by(per_share).collect();
    let partial: Vec<(usize, Vec<f32>)> = firsts
        .into_par_iter()
        .map(|first| {
            let columns = first..(first + per_share).min(g.channels_out);
            (
                first,
                sums(kernels, g, images, output_gradient, 0..count, columns),
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
) -> Vec<f32> {
    let mut sums = vec![0.0; g.depth() * columns.len()];
    let mut window = Window::default();
    let mut scratch = TransposedScratch::default();
    let (kernel, stride) = (g.shape.kernel, g.shape.stride);
    let before = g.shape.padding.before;
    for part in passes(share, g.height_out, g.width_out) {
        let inputs = &images[part.first_image * g.input_len()..][..part.images * g.input_len()];
        let view = View {
            first_line: (part.first_line * stride) as isize - before as isize,
            lines: (part.lines - 1) * stride + kernel,
            first_pixel: -(before as isize),
            pixels: (g.width_out - 1) * stride + kernel,
        };
        let plain = kernel == 1 && stride == 1 && g.shape.padding.is_none();
        let values = if plain && part.lines == g.height {
            inputs
        } else {
            window.show(inputs, [g.height, g.width, g.channels_in], view)
        };
        let sweep = Sweep {
            stride,
            kernel: [kernel; 2],
            channels: g.channels_in,
            results: [part.images, part.lines, g.width_out],
            window: [view.lines, view.pixels],
            start: [0, 0],
        };
        let line = g.width_out * g.channels_out;
        let start = (part.first_image * g.height_out + part.first_line) * line;
        let right = Columns {
            values: &output_gradient[start..start + part.images * part.lines * line],
            stride: g.channels_out,
            first: columns.start,
            count: columns.len(),
        };
        let set = kernels.instruction_set();
        transposed_product(set, &sweep.rows(values), right, &mut sums, &mut scratch);
    }
    sums
}

/// Consecutive images or lines of about [`ROWS_PER_PASS`] rows.
fn passes(share: std::ops::Range<usize>, lines: usize, pixels: usize) -> Vec<Part> {
    let per_image = lines * pixels;
    if per_image <= ROWS_PER_PASS {
        let per_pass = ROWS_PER_PASS / per_image;
        let end = share.end;
        return share
            .step_by(per_pass)
            .map(|first_image| Part {
                first_image,
                images: per_pass.min(end - first_image),
                first_line: 0,
                lines,
            })
            .collect();
    }
    let per_pass = (ROWS_PER_PASS / pixels).max(1);
    share
        .flat_map(|first_image| {
            (0..lines).step_by(per_pass).map(move |first_line| Part {
                first_image,
                images: 1,
                first_line,
                lines: per_pass.min(lines - first_line),
            })
        })
        .collect()
}
