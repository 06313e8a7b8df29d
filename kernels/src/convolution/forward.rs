//! Results of a convolution.

use rayon::prelude::*;

use super::geometry::Geometry;
use super::part::{Window, parts, split};
use crate::product::{PackedMatrix, Scratch, Target, product};
use crate::{Epilogue, Kernels};

pub(super) fn run(
    kernels: Kernels,
    g: &Geometry,
    images: &[f32],
    weight: &PackedMatrix,
    epilogue: Epilogue<'_>,
    output: &mut [f32],
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
    let parts = parts(count, g.height_out, g.width_out, weight.bytes());
    let line = g.width_out * g.channels_out;
    let outputs = split(output, &parts, line);
    let tasks: Vec<_> = parts.into_iter().zip(outputs).collect();
    tasks.into_par_iter().for_each_init(
        <(Window, Scratch)>::default,
        |(window, scratch), (part, output)| {
            let images = &images[part.first_image * g.input_len()..][..part.images * g.input_len()];
            let size = [g.height, g.width, g.channels_in];
            let values = window.show(images, size, g.view(&part));
            let start = (part.first_image * g.height_out + part.first_line) * line;
            let target = Target {
                start: 0,
                image_step: part.lines * line,
                line_step: line,
                pixel_step: g.channels_out,
            };
            product(
                &g.sweep(&part).rows(values),
                weight,
                output,
                target,
                epilogue.part(start, output.len()),
                scratch,
            );
        },
    );
}
