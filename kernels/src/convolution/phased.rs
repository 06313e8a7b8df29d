//! Convolutions of stride 1 whose results interleave: what an image's gradient and an up-sampling
//! convolution are made of.

use rayon::prelude::*;

use super::geometry::Phase;
use super::part::{Sweep, View, cut};
use super::worker::Worker;
use crate::product::{Grid, Output, PackedMatrix, Product, Segments, Source, Target};
use crate::{Epilogue, InstructionSet, Kernels, Precision, Values, ValuesMut};

/// A kernel inside a slice: where its value for (line, tap, channel in, channel out) lies.
#[derive(Clone, Copy)]
pub(super) struct Taps<'a> {
    pub(super) values: &'a [f32],
    pub(super) line_step: usize,
    pub(super) tap_step: usize,
    pub(super) in_step: usize,
    pub(super) out_step: usize,
    /// In and out.
    pub(super) channels: [usize; 2],
}

/// The weights of every pair of phases, down and across.
#[derive(Clone)]
pub(super) struct PhasedWeight {
    /// Phases along each axis; there are as many as the results interleave.
    phases: Vec<Phase>,
    /// For each pair of phases, rows first; nothing where no tap meets a pixel.
    packed: Vec<Option<PackedMatrix>>,
    channels_in: usize,
    channels_out: usize,
}

impl PhasedWeight {
    /// Packs the taps of `weight`.
    pub(super) fn new(
        kernels: Kernels,
        phases: Vec<Phase>,
        weight: Taps<'_>,
        precision: Precision,
    ) -> Self {
        let [channels_in, channels_out] = weight.channels;
        let mut packed = Vec::new();
        for down in &phases {
            for across in &phases {
                let segments = Segments {
                    count: down.taps.len(),
                    len: across.taps.len() * channels_in,
                };
                packed.push((segments.count * segments.len > 0).then(|| {
                    let taps = down.taps.iter().flat_map(|y| {
                        let line = y * weight.line_step;
                        across.taps.iter().map(move |x| line + x * weight.tap_step)
                    });
                    let rows: Vec<usize> = taps
                        .flat_map(|tap| (0..channels_in).map(move |c| tap + c * weight.in_step))
                        .collect();
                    let source = Source {
                        values: weight.values,
                        rows: &rows,
                        columns: channels_out,
                        column_step: weight.out_step,
                    };
                    PackedMatrix::with_segments(kernels, segments, source, precision)
                }));
            }
        }
        Self {
            phases,
            packed,
            channels_in,
            channels_out,
        }
    }

    pub(super) fn instruction_set(&self) -> Option<InstructionSet> {
        self.packed.iter().flatten().map(|weight| weight.set).next()
    }

    pub(super) fn channels(&self) -> [usize; 2] {
        [self.channels_in, self.channels_out]
    }

    /// `output [n, height, width, channels_out]` from `images [n, h, w, channels_in]`.
    pub(super) fn run(
        &self,
        images: Values<'_>,
        [h, w]: [usize; 2],
        epilogue: Epilogue<'_>,
        mut output: ValuesMut<'_>,
        [height, width]: [usize; 2],
    ) {
        let stride = self.phases.len();
        let image_len = h * w * self.channels_in;
        let count = images.len() / image_len;
        // Lines in groups of one for every phase.
        let groups = height.div_ceil(stride);
        let Some(any) = self.packed.iter().flatten().next() else {
            return;
        };
        let row_bytes = self.channels_in * size_of::<u16>();
        let grid = Grid::new(count * groups * stride * width, row_bytes, any);
        let parts: Vec<_> = cut(0..count, groups, stride * width, grid.rows)
            .into_iter()
            .map(|mut part| {
                let end = ((part.first_line + part.lines) * stride).min(height);
                part.first_line *= stride;
                part.lines = end - part.first_line;
                part
            })
            .collect();
        let tasks = grid.tasks(&parts);
        let line = width * self.channels_out;
        let used = || self.phases.iter().filter(|phase| !phase.taps.is_empty());
        let first = used().map(|phase| phase.first).min().unwrap_or(0);
        let reach = used().map(|phase| phase.first + phase.taps.len() as isize);
        let reach = (reach.max().unwrap_or(0) - first) as usize;
        if self.packed.iter().any(Option::is_none) {
            // Pixels that no tap meets.
            output.fill_from(epilogue.residual);
        }
        let output = Output::new(output);
        tasks
            .into_par_iter()
            .for_each_init(Worker::default, |worker, (number, part, band)| {
                let first_value = part.first_image * image_len;
                let images = images.range(first_value..first_value + part.images * image_len);
                let view = View {
                    first_line: (part.first_line / stride) as isize + first,
                    lines: part.lines.div_ceil(stride) - 1 + reach,
                    first_pixel: first,
                    pixels: width.div_ceil(stride) - 1 + reach,
                };
                let start = (part.first_image * height + part.first_line) * line;
                let len = part.images * part.lines * line;
                worker.show(number, images, [h, w, self.channels_in], view, any);
                for (number, weight) in self.packed.iter().enumerate() {
                    let down = &self.phases[number / stride];
                    let across = &self.phases[number % stride];
                    let Some(weights) = weight else { continue };
                    if down.residue >= part.lines || across.residue >= width {
                        continue;
                    }
                    let lines = (part.lines - down.residue).div_ceil(stride);
                    let pixels = (width - across.residue).div_ceil(stride);
                    let sweep = Sweep {
                        stride: 1,
                        kernel: [down.taps.len(), across.taps.len()],
                        channels: self.channels_in,
                        results: [part.images, lines, pixels],
                        window: [view.lines, view.pixels],
                        start: [
                            (down.first - first) as usize,
                            (across.first - first) as usize,
                        ],
                    };
                    let product = Product {
                        weights,
                        panels: band.clone(),
                        same_rows: false,
                        output: output.range(start..start + len),
                        target: Target {
                            start: (down.residue * width + across.residue) * self.channels_out,
                            image_step: part.lines * line,
                            line_step: stride * line,
                            pixel_step: stride * self.channels_out,
                        },
                        epilogue: epilogue.part(self.channels_out, start, len),
                    };
                    // SAFETY: each task has lines or panels that no other has.
                    unsafe { worker.multiply(sweep, &product) };
                }
            });
    }
}
