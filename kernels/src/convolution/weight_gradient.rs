//! The gradient of a convolution's weight.

use std::ops::Range;

#[cfg(target_arch = "x86_64")]
use half::bf16;
use rayon::prelude::*;

use super::geometry::Geometry;
use super::part::{View, Window, cut};
use crate::product::{Operand, Share, Shared, TransposedSums, by_pairs};
use crate::{Kernels, Precision, Values};

/// Values in all partial gradients together: each of them fits into a second-level cache.
const PARTIAL_SUMS: usize = 1 << 20;

/// Most shares of a batch, each with sums of its own.
const BATCH_SHARES: usize = 16;

/// Shares of the sums themselves where sums of their own for parts of the batch would not pay: those of 256 channels fit into a
/// second-level cache then.
const SUM_SHARES: usize = 8;

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
    let columns = g.channels_out;
    let segments = g.segments();
    let summed = |images_of: Range<usize>, share: Share| {
        let maps = [images, output_gradient];
        sums(kernels, g, maps, images_of, share, precision)
    };
    // The shares depend on the shapes alone, so that the order of summation, and with it the result,
    // does not depend on the number of threads.
    if len * 4 <= PARTIAL_SUMS && count > 1 {
        let shares = (PARTIAL_SUMS / len).min(BATCH_SHARES);
        let per_share = count.div_ceil(shares);
        let firsts: Vec<usize> = (0..count).step_by(per_share).collect();
        let partial: Vec<Vec<f32>> = firsts
            .into_par_iter()
            .map(|first| {
                let images_of = first..(first + per_share).min(count);
                let sums = summed(images_of, Share::All);
                let mut part = vec![0.0; len];
                // SAFETY: the part is this task's own.
                unsafe { sums.write(Shared::new(&mut part), columns) };
                part
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
    let set = kernels.instruction_set();
    let wanted = if len * 4 <= PARTIAL_SUMS {
        1
    } else {
        SUM_SHARES
    };
    let shares = TransposedSums::shares(set, segments, columns, precision, wanted);
    let gradient = Shared::new(gradient);
    shares.into_par_iter().for_each(|share| {
        let sums = summed(0..count, share);
        // SAFETY: no sum is in two shares.
        unsafe { sums.write(gradient, columns) };
    });
}

/// A share of the sums over some images.
fn sums(
    kernels: Kernels,
    g: &Geometry,
    [images, output_gradient]: [Values<'_>; 2],
    images_of: Range<usize>,
    share: Share,
    precision: Precision,
) -> TransposedSums {
    let set = kernels.instruction_set();
    let mut sums = TransposedSums::new(set, g.segments(), g.channels_out, share, precision);
    let mut window = Shown::new(kernels, precision);
    for part in cut(images_of, g.height_out, g.width_out, ROWS_PER_PASS) {
        let first = part.first_image * g.input_len();
        let inputs = images.range(first..first + part.images * g.input_len());
        let line = g.width_out * g.channels_out;
        let start = (part.first_image * g.height_out + part.first_line) * line;
        let right = output_gradient.range(start..start + part.images * part.lines * line);
        let shown = if g.is_product() && part.lines == g.height {
            inputs
        } else {
            let size = [g.height, g.width, g.channels_in];
            window.show(inputs, size, g.view(&part))
        };
        match shown {
            Values::F32(values) => {
                let rows = g.sweep(&part).rows(values);
                sums.add(Operand::Plain(&rows), right, g.channels_out);
            }
            Values::Bf16(values) => {
                let rows = g.sweep(&part).rows(values);
                sums.add(Operand::Bf16(&rows), right, g.channels_out);
            }
        }
    }
    sums
}

/// A window in the format that is multiplied.
enum Shown {
    Plain(Window<f32>),
    #[cfg(target_arch = "x86_64")]
    Rounded(Window<bf16>),
}

impl Shown {
    fn new(kernels: Kernels, precision: Precision) -> Self {
        match by_pairs(kernels.instruction_set(), precision) {
            #[cfg(target_arch = "x86_64")]
            true => Self::Rounded(Window::default()),
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
