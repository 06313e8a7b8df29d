//! The sizes of a convolution, and how its gradient splits into convolutions of stride 1.

use crate::product::Segments;

/// Zeros around an image, in pixels; the same in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Padding {
    /// Above and to the left.
    pub before: usize,
    /// Below and to the right.
    pub after: usize,
}

impl Padding {
    /// `size` zeros on every side.
    pub const fn around(size: usize) -> Self {
        Self {
            before: size,
            after: size,
        }
    }
}

/// A square kernel's extent, stride and zero padding, in pixels; the same in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConvolutionShape {
    /// The side of the kernel, at least 1.
    pub kernel: usize,
    /// The step between two applications of the kernel, at least 1.
    pub stride: usize,
    /// Zeros around the image.
    pub padding: Padding,
}

impl ConvolutionShape {
    /// A `kernel` x `kernel` convolution with the padding that keeps the size at stride 1.
    pub const fn same(kernel: usize, stride: usize) -> Self {
        Self {
            kernel,
            stride,
            padding: Padding::around(kernel / 2),
        }
    }

    /// The extent of the result for an image of extent `size`; `None` if the kernel does not fit.
    pub fn output_size(self, size: usize) -> Option<usize> {
        let padded = self.padding.before + size + self.padding.after;
        let span = padded.checked_sub(self.kernel)?;
        Some(span.checked_div(self.stride)? + 1)
    }
}

/// A convolution of one image size and number of channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    pub(super) shape: ConvolutionShape,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels_in: usize,
    pub(super) channels_out: usize,
    pub(super) height_out: usize,
    pub(super) width_out: usize,
}

impl Geometry {
    pub(super) fn input_len(&self) -> usize {
        self.height * self.width * self.channels_in
    }

    pub(super) fn output_len(&self) -> usize {
        self.height_out * self.width_out * self.channels_out
    }

    /// Whether every pixel of a result is a product of the same pixel of the image alone.
    pub(super) fn is_product(&self) -> bool {
        self.shape == ConvolutionShape::same(1, 1)
    }

    /// How the values of a row on the left fall into lines of the kernel.
    pub(super) fn segments(&self) -> Segments {
        Segments {
            count: self.shape.kernel,
            len: self.shape.kernel * self.channels_in,
        }
    }

    /// Rows of the weight matrix: `kernel * kernel * channels_in`.
    pub(super) fn depth(&self) -> usize {
        self.shape.kernel * self.shape.kernel * self.channels_in
    }
}

/// Along one axis: the pixels `residue, residue + stride, ...` of one array, each the sum over `taps`
/// of a weight times one of consecutive pixels of another array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Phase {
    pub(super) residue: usize,
    /// Which tap of the kernel meets the first, second, ... of the consecutive pixels.
    pub(super) taps: Vec<usize>,
    /// The pixel of the other array that the first tap meets for pixel `residue`; may be negative.
    pub(super) first: isize,
}

/// The gradient of an image along one axis, as sums over the gradient of the output.
///
/// Input pixel `i` reached output pixel `(i + padding - tap) / stride` through every tap for which
/// the division is exact, so the pixels of one residue class share their taps, and their gradient
/// is a convolution of stride 1 over the gradient of the output.
pub(super) fn gradient_phases(shape: ConvolutionShape) -> Vec<Phase> {
    let ConvolutionShape {
        kernel,
        stride,
        padding,
    } = shape;
    (0..stride)
        .map(|residue| {
            // Descending, so that the output pixels they reach ascend one by one.
            let taps: Vec<usize> = (0..kernel)
                .rev()
                .filter(|tap| {
                    (residue + padding.before + kernel * stride - tap).is_multiple_of(stride)
                })
                .collect();
            let first = taps.first().map_or(0, |&tap| {
                (residue as isize + padding.before as isize - tap as isize) / stride as isize
            });
            Phase {
                residue,
                taps,
                first,
            }
        })
        .collect()
}
