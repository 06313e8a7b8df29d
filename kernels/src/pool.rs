//! Global average pooling.

use rayon::prelude::*;

use crate::values::Element;
use crate::{Kernels, Values, ValuesMut};

impl Kernels {
    /// `output [n, channels]`: the mean over the pixels of every image of `values [n, pixels, channels]`.
    ///
    /// # Panics
    /// If the slices do not fit each other.
    pub fn global_average<'a>(
        self,
        values: impl Into<Values<'a>>,
        shape: [usize; 2],
        output: &mut [f32],
    ) {
        match values.into() {
            Values::F32(values) => average(values, shape, output),
            Values::Bf16(values) => average(values, shape, output),
        }
    }

    /// The gradient of [`Kernels::global_average`]: `gradient [n, pixels, channels]`.
    ///
    /// # Panics
    /// If the slices do not fit each other.
    pub fn global_average_gradient<'a>(
        self,
        output_gradient: &[f32],
        shape: [usize; 2],
        gradient: impl Into<ValuesMut<'a>>,
    ) {
        match gradient.into() {
            ValuesMut::F32(gradient) => spread(output_gradient, shape, gradient),
            ValuesMut::Bf16(gradient) => spread(output_gradient, shape, gradient),
        }
    }
}

fn average<T: Element>(values: &[T], [pixels, channels]: [usize; 2], output: &mut [f32]) {
    assert_eq!(values.len(), output.len() * pixels, "values");
    let images = values.par_chunks_exact(pixels * channels);
    let outputs = output.par_chunks_exact_mut(channels);
    outputs.zip(images).for_each(|(output, image)| {
        output.fill(0.0);
        for pixel in image.chunks_exact(channels) {
            for (sum, v) in output.iter_mut().zip(pixel) {
                *sum += v.widen();
            }
        }
        for sum in output {
            *sum /= pixels as f32;
        }
    });
}

fn spread<T: Element>(output_gradient: &[f32], [pixels, channels]: [usize; 2], gradient: &mut [T]) {
    assert_eq!(gradient.len(), output_gradient.len() * pixels, "gradient");
    let images = gradient.par_chunks_exact_mut(pixels * channels);
    let outputs = output_gradient.par_chunks_exact(channels);
    outputs.zip(images).for_each(|(output, image)| {
        for pixel in image.chunks_exact_mut(channels) {
            for (g, o) in pixel.iter_mut().zip(output) {
                *g = T::narrow(o / pixels as f32);
            }
        }
    });
}
