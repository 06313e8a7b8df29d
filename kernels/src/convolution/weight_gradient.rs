//! The gradient of a convolution's weight.

#[cfg(target_arch = "x86_64")]
use half::bf16;
use rayon::prelude::*;

use super::geometry::Geometry;
use super::part::{View, Window, cut};
use crate::product::{Columns, Operand, Segments, TransposedSums};
use crate::{Kernels, Precision, Values};

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
    images: Values<'_>,
    output_gradient: Values<'_>,
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
    images: Values<'_>,
    output_gradient: Values<'_>,
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
    let mut window = Shown::new(kernels, precision);
    for part in cut(share, g.height_out, g.width_out, ROWS_PER_PASS) {
        let first = part.first_image * g.input_len();
        let inputs = images.range(first..first + part.images * g.input_len());
        let line = g.width_out * g.channels_out;
        let start = (part.first_image * g.height_out + part.first_line) * line;
        let right = Columns {
            values: output_gradient.range(start..start + part.images * part.lines * line),
            stride: g.channels_out,
            first: columns.start,
            count: columns.len(),
        };
        let shown = if g.is_product() && part.lines == g.height {
            inputs
        } else {
            let size = [g.height, g.width, g.channels_in];
            window.show(inputs, size, g.view(&part))
        };
        match shown {
            Values::F32(values) => {
                sums.add(Operand::Plain(&g.sweep(&part).rows(values)), right);
            }
            Values::Bf16(values) => {
                sums.add(Operand::Bf16(&g.sweep(&part).rows(values)), right);
            }
        }
    }
    sums.into_values()
}

/// A window in the format that is multiplied.
enum Shown {
    Plain(Window<f32>),
    #[cfg(target_arch = "x86_64")]
    Rounded(Window<bf16>),
}

impl Shown {
    fn new(kernels: Kernels, precision: Precision) -> Self {
        match precision {
            #[cfg(target_arch = "x86_64")]
            Precision::Bf16 if kernels.instruction_set().multiplies_bf16() => {
                Self::Rounded(Window::default())
            }
            _ => Self::Plain(Window::default()),
        }
    }

    fn show(&mut self, images: Values<'_>, size: [usize; 3], view: View) -> Values<'_> {
        match self {
            Self::Plain(window) => {
                window.show_plain(images, size, view);
                Values::F32(window.values())
            }
            #[cfg(target_arch = "x86_64")]
            Self::Rounded(window) => {
                window.show_rounded(images, size, view);
                Values::Bf16(window.values())
            }
        }
    }
}
