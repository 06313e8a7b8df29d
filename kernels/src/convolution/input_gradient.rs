//! The gradient of a convolution's images.

use super::geometry::{Geometry, gradient_phases};
use super::phased::{PhasedWeight, Taps};
use crate::{Epilogue, Kernels, Precision, Values, ValuesMut};

/// The gradient `[n, h, w, ci]` of the images from the gradient of the output, `[n, ho, wo, co]`.
pub(super) fn run(
    kernels: Kernels,
    g: &Geometry,
    weight: &[f32],
    output_gradient: Values<'_>,
    gradient: ValuesMut<'_>,
    epilogue: Epilogue<'_>,
    precision: Precision,
) {
    let (kernel, ci, co) = (g.shape.kernel, g.channels_in, g.channels_out);
    let phases = gradient_phases(g.shape);
    let taps = Taps {
        values: weight,
        line_step: kernel * ci * co,
        tap_step: ci * co,
        in_step: 1,
        out_step: co,
        channels: [co, ci],
    };
    let weight = PhasedWeight::new(kernels, phases, taps, precision);
    let (outputs, inputs) = ([g.height_out, g.width_out], [g.height, g.width]);
    weight.run(output_gradient, outputs, epilogue, gradient, inputs);
}
