//! Convolutions of whole batches, images shared out to threads.

use rayon::prelude::*;

use super::geometry::{Geometry, Padding, Phase, gradient_padding, phases};
use super::kernel::{Panels, Runs, Target, Write, multiply, multiply_transposed};

/// `output [n, ho, wo, co]` of `images [n, h, w, ci]` and `weight [kernel * kernel * ci, co]`.
pub(super) fn forward(g: &Geometry, images: &[f32], weight: &[f32], output: &mut [f32]) {
    let panels = Panels::new(weight, g.channels_out);
    let runs = input_runs(g);
    let padding = input_padding(g);
    let target = Target {
        start: 0,
        row_step: g.width_out * g.channels_out,
        pixel_step: g.channels_out,
    };
    let per_task = (images.len() / g.input_len()).div_ceil(TASKS).max(1);
    output
        .par_chunks_mut(per_task * g.output_len())
        .zip(images.par_chunks(per_task * g.input_len()))
        .for_each(|(output, images)| {
            let mut border = Border::new(padding, g.height, g.width, g.channels_in);
            let outputs = output.chunks_exact_mut(g.output_len());
            for (output, image) in outputs.zip(images.chunks_exact(g.input_len())) {
                let image = border.around(image);
                multiply(image, runs, &panels, output, target, Write::Replace);
            }
        });
}

/// The gradient of the images, `[n, h, w, ci]`, written or added to `gradient`.
pub(super) fn input_gradient(
    g: &Geometry,
    weight: &[f32],
    output_gradient: &[f32],
    gradient: &mut [f32],
    write: Write,
) {
    let rows = phases(g.shape, g.height);
    let columns = phases(g.shape, g.width);
    let vertical = gradient_padding(&rows, g.height_out);
    let horizontal = gradient_padding(&columns, g.width_out);
    let padding = Padding {
        before: vertical.before.max(horizontal.before),
        after: vertical.after.max(horizontal.after),
    };
    let phase_pairs = rows.len() * columns.len();
    let parts: Vec<GradientPart> = rows
        .iter()
        .flat_map(|row| columns.iter().map(move |column| (row, column)))
        .filter(|(row, column)| !row.taps.is_empty() && !column.taps.is_empty())
        .map(|(row, column)| GradientPart::new(g, padding, weight, row, column))
        .collect();
    // Pixels that no tap touched have gradient zero.
    let clear = write == Write::Replace && parts.len() < phase_pairs;

    let per_task = (gradient.len() / g.input_len()).div_ceil(TASKS).max(1);
    gradient
        .par_chunks_mut(per_task * g.input_len())
        .zip(output_gradient.par_chunks(per_task * g.output_len()))
        .for_each(|(gradient, outputs)| {
            let mut border = Border::new(padding, g.height_out, g.width_out, g.channels_out);
            let gradients = gradient.chunks_exact_mut(g.input_len());
            for (gradient, output) in gradients.zip(outputs.chunks_exact(g.output_len())) {
                if clear {
                    gradient.fill(0.0);
                }
                let output = border.around(output);
                for part in &parts {
                    multiply(
                        output,
                        part.runs,
                        &part.weights,
                        gradient,
                        part.target,
                        write,
                    );
                }
            }
        });
}

/// The gradient of the weight, `[kernel * kernel * ci, co]`.
pub(super) fn weight_gradient(
    g: &Geometry,
    images: &[f32],
    output_gradient: &[f32],
    gradient: &mut [f32],
) {
    let runs = input_runs(g);
    let padding = input_padding(g);
    let len = g.depth() * g.channels_out;
    let batch = images.len() / g.input_len();
    // Each part has its own sums. Their number depends on the shapes alone, so that the order of
    // summation, and with it the result, does not depend on the number of threads.
    let parts = (PARTIAL_SUMS / len).clamp(4, TASKS);
    let per_part = batch.div_ceil(parts).max(1);
    let per_pass = (PIXELS_PER_PASS / (g.height_out * g.width_out)).clamp(1, per_part);
    let partial: Vec<Vec<f32>> = images
        .par_chunks(per_part * g.input_len())
        .zip(output_gradient.par_chunks(per_part * g.output_len()))
        .map(|(images, outputs)| {
            let mut gradient = vec![0.0; len];
            let image_len = padding.len(g.height, g.width, g.channels_in);
            let mut padded = vec![0.0; per_pass * image_len];
            let passes = images.chunks(per_pass * g.input_len());
            for (images, outputs) in passes.zip(outputs.chunks(per_pass * g.output_len())) {
                let inputs = if padding.is_none() {
                    images
                } else {
                    let count = images.len() / g.input_len();
                    let pairs = padded.chunks_exact_mut(image_len);
                    for (to, image) in pairs.zip(images.chunks_exact(g.input_len())) {
                        padding.fill(image, g.height, g.width, g.channels_in, to);
                    }
                    &padded[..count * image_len]
                };
                multiply_transposed(
                    inputs,
                    image_len,
                    runs,
                    outputs,
                    g.channels_out,
                    &mut gradient,
                );
            }
            gradient
        })
        .collect();
    gradient.fill(0.0);
    for part in partial {
        for (sum, value) in gradient.iter_mut().zip(part) {
            *sum += value;
        }
    }
}

/// Most tasks a batch is cut into.
const TASKS: usize = 16;

/// Values in all partial weight gradients together: what a second-level cache holds.
const PARTIAL_SUMS: usize = 1 << 18;

/// Output pixels over which one tile of the weight gradient stays in registers.
const PIXELS_PER_PASS: usize = 256;

fn input_padding(g: &Geometry) -> Padding {
    Padding {
        before: g.shape.padding,
        after: g.shape.padding,
    }
}

/// The rows of a kernel window are runs of `kernel * ci` values of the padded image.
fn input_runs(g: &Geometry) -> Runs {
    let row = (g.width + 2 * g.shape.padding) * g.channels_in;
    Runs {
        start: 0,
        row_step: g.shape.stride * row,
        pixel_step: g.shape.stride * g.channels_in,
        segments: g.shape.kernel,
        segment_step: row,
        segment_len: g.shape.kernel * g.channels_in,
        height: g.height_out,
        width: g.width_out,
    }
}

/// The gradient of the input pixels of one residue class in each direction.
struct GradientPart {
    runs: Runs,
    weights: Panels<'static>,
    target: Target,
}

impl GradientPart {
    fn new(g: &Geometry, padding: Padding, weight: &[f32], rows: &Phase, columns: &Phase) -> Self {
        let (ci, co) = (g.channels_in, g.channels_out);
        let row = padding.padded(g.width_out) * co;
        let first_row = padding.before.saturating_add_signed(rows.first);
        let first_column = padding.before.saturating_add_signed(columns.first);
        let segment_len = columns.taps.len() * co;
        let mut transposed = vec![0.0; rows.taps.len() * segment_len * ci];
        for (depth, line) in transposed.chunks_exact_mut(ci).enumerate() {
            let (ky, within) = (rows.taps[depth / segment_len], depth % segment_len);
            let (kx, output_channel) = (columns.taps[within / co], within % co);
            let tap = (ky * g.shape.kernel + kx) * ci * co;
            for (channel, value) in line.iter_mut().enumerate() {
                *value = weight[tap + channel * co + output_channel];
            }
        }
        let weights = Panels::new(&transposed, ci).into_owned();
        Self {
            runs: Runs {
                start: first_row * row + first_column * co,
                row_step: row,
                pixel_step: co,
                segments: rows.taps.len(),
                segment_step: row,
                segment_len,
                height: rows.count,
                width: columns.count,
            },
            weights,
            target: Target {
                start: (rows.residue * g.width + columns.residue) * ci,
                row_step: g.shape.stride * g.width * ci,
                pixel_step: g.shape.stride * ci,
            },
        }
    }
}

/// One padded image, its zero border written once.
struct Border {
    padding: Padding,
    size: [usize; 3],
    padded: Vec<f32>,
}

impl Border {
    fn new(padding: Padding, height: usize, width: usize, channels: usize) -> Self {
        let len = if padding.is_none() {
            0
        } else {
            padding.len(height, width, channels)
        };
        Self {
            padding,
            size: [height, width, channels],
            padded: vec![0.0; len],
        }
    }

    fn around<'a>(&'a mut self, image: &'a [f32]) -> &'a [f32] {
        if self.padding.is_none() {
            return image;
        }
        let [height, width, channels] = self.size;
        self.padding
            .fill(image, height, width, channels, &mut self.padded);
        &self.padded
    }
}
