//! Results of a convolution.

use rayon::prelude::*;

use super::geometry::Geometry;
use super::part::cut;
use super::worker::Worker;
use crate::product::{Grid, Output, PackedMatrix, Product, Target};
use crate::{Epilogue, Kernels, Values, ValuesMut};

pub(super) fn run(
    kernels: Kernels,
    g: &Geometry,
    images: Values<'_>,
    weight: &PackedMatrix,
    epilogue: Epilogue<'_>,
    output: ValuesMut<'_>,
) {
    assert_eq!(
        weight.set,
        kernels.instruction_set(),
        "instruction set of the weight"
    );
    if g.is_product() {
        return kernels.multiply(images, weight, epilogue, output);
    }
    let count = images.len() / g.input_len();
    let rows = count * g.height_out * g.width_out;
    let row_bytes = g.shape.stride * g.shape.stride * g.channels_in * size_of::<u16>();
    let grid = Grid::new(rows, row_bytes, weight);
    let parts = cut(0..count, g.height_out, g.width_out, grid.rows);
    let tasks = grid.tasks(&parts);
    let line = g.width_out * g.channels_out;
    let output = Output::new(output);
    tasks
        .into_par_iter()
        .for_each_init(Worker::default, |worker, (number, part, band)| {
            let first = part.first_image * g.input_len();
            let images = images.range(first..first + part.images * g.input_len());
            let size = [g.height, g.width, g.channels_in];
            let same_rows = worker.show(number, images, size, g.view(part), weight);
            let start = (part.first_image * g.height_out + part.first_line) * line;
            let len = part.images * part.lines * line;
            let product = Product {
                weights: weight,
                panels: band,
                same_rows,
                output: output.range(start..start + len),
                target: Target {
                    start: 0,
                    image_step: part.lines * line,
                    line_step: line,
                    pixel_step: g.channels_out,
                },
                epilogue: epilogue.part(g.channels_out, start, len),
            };
            // SAFETY: each task has lines or panels that no other has.
            unsafe { worker.multiply(g.sweep(part), &product) };
        });
}
