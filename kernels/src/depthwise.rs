//! Depthwise convolution: every channel by a kernel of its own (Howard et al. 2017, section 3.1).

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::convolution::ConvolutionShape;
use crate::{Activation, Kernels};

/// Channels whose sums stay in registers over all taps.
const LANES: usize = 16;

/// A depthwise convolution with its weight.
#[derive(Clone, Copy, Debug)]
pub struct Depthwise<'a> {
    /// The kernel, its stride and the zeros around the image.
    pub shape: ConvolutionShape,
    /// `[kernel * kernel, channels]`, kernel rows first.
    pub weight: &'a [f32],
    /// `[channels]`
    pub bias: &'a [f32],
    /// Applied to the sums.
    pub activation: Activation,
}

impl Kernels {
    /// `output [n, height_out, width_out, channels]` from `x [n, height, width, channels]`. Sums run over kernel rows, then columns, in f32.
    ///
    /// # Panics
    /// If the slices are not of these shapes, or the kernel does not fit into the padded image.
    pub fn depthwise(
        self,
        x: &[f32],
        [height, width]: [usize; 2],
        depthwise: Depthwise<'_>,
        output: &mut [f32],
    ) {
        let shape = depthwise.shape;
        let channels = depthwise.bias.len();
        let (Some(height_out), Some(width_out)) =
            (shape.output_size(height), shape.output_size(width))
        else {
            panic!("a kernel of {} does not fit", shape.kernel);
        };
        assert!(channels > 0, "channels");
        assert_eq!(
            depthwise.weight.len(),
            shape.kernel * shape.kernel * channels,
            "weight"
        );
        let (image, row) = (height * width * channels, width_out * channels);
        assert!(image > 0 && x.len().is_multiple_of(image), "images");
        assert_eq!(
            output.len(),
            x.len() / image * height_out * row,
            "values of the result"
        );
        output
            .par_chunks_mut(row)
            .enumerate()
            .for_each(|(line, output)| {
                self.instruction_set().run(Line {
                    x: &x[line / height_out * image..][..image],
                    top: (line % height_out * shape.stride) as isize
                        - shape.padding.before as isize,
                    size: [height, width],
                    depthwise,
                    output,
                });
            });
    }
}

/// One line of a result.
struct Line<'a> {
    /// The image.
    x: &'a [f32],
    /// The line of the image that the first row of the kernel meets; may lie above it.
    top: isize,
    size: [usize; 2],
    depthwise: Depthwise<'a>,
    output: &'a mut [f32],
}

impl WithSimd for Line<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self {
            x,
            top,
            size: [height, width],
            depthwise,
            output,
        } = self;
        let Depthwise {
            shape,
            weight,
            bias,
            activation,
        } = depthwise;
        let channels = bias.len();
        for (column, pixel) in output.chunks_exact_mut(channels).enumerate() {
            let left = (column * shape.stride) as isize - shape.padding.before as isize;
            let (rows, columns) = (
                inside(top, shape.kernel, height),
                inside(left, shape.kernel, width),
            );
            let taps = rows.flat_map(|row| columns.clone().map(move |column| (row, column)));
            let taps = taps.map(|(row, column)| {
                let place =
                    (top + row as isize) as usize * width + (left + column as isize) as usize;
                ((row * shape.kernel + column) * channels, place * channels)
            });
            let (blocks, rest) = pixel.as_chunks_mut::<LANES>();
            let first_of_rest = blocks.len() * LANES;
            for (block, sums) in blocks.iter_mut().enumerate() {
                let from = block * LANES;
                sums.copy_from_slice(&bias[from..][..LANES]);
                for (tap, place) in taps.clone() {
                    let (weight, x) = (&weight[tap + from..][..LANES], &x[place + from..][..LANES]);
                    for (sum, (w, x)) in sums.iter_mut().zip(weight.iter().zip(x)) {
                        *sum += w * x;
                    }
                }
            }
            rest.copy_from_slice(&bias[first_of_rest..]);
            for (tap, place) in taps {
                let (weight, x) = (&weight[tap + first_of_rest..], &x[place + first_of_rest..]);
                for (sum, (w, x)) in rest.iter_mut().zip(weight.iter().zip(x)) {
                    *sum += w * x;
                }
            }
        }
        activation.apply(output);
    }
}

/// The taps of a kernel of extent `kernel` at `start` that lie inside an image of extent `size`.
#[inline(always)]
fn inside(start: isize, kernel: usize, size: usize) -> std::ops::Range<usize> {
    let first = start.min(0).unsigned_abs().min(kernel);
    let last = (size as isize - start).clamp(first as isize, kernel as isize) as usize;
    first..last
}
