//! The sizes of a convolution, and how its gradient splits into convolutions of stride 1.

/// A square kernel's extent, stride and zero padding, in pixels; the same in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvolutionShape {
    /// The side of the kernel, at least 1.
    pub kernel: usize,
    /// The step between two applications of the kernel, at least 1.
    pub stride: usize,
    /// Zeros added on every side of the image.
    pub padding: usize,
}

impl ConvolutionShape {
    /// A `kernel` x `kernel` convolution with the padding that keeps the size at stride 1.
    pub const fn same(kernel: usize, stride: usize) -> Self {
        Self {
            kernel,
            stride,
            padding: kernel / 2,
        }
    }

    /// The extent of the result for an image of extent `size`; `None` if the kernel does not fit.
    pub fn output_size(self, size: usize) -> Option<usize> {
        let span = (size + 2 * self.padding).checked_sub(self.kernel)?;
        Some(span / self.stride + 1)
    }
}

/// A convolution of one image size and number of channels.
#[derive(Debug, Clone, Copy)]
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

    /// Rows of the weight matrix: `kernel * kernel * channels_in`.
    pub(super) fn depth(&self) -> usize {
        self.shape.kernel * self.shape.kernel * self.channels_in
    }
}

/// An image with a border of zeros.
#[derive(Debug, Clone, Copy)]
pub(super) struct Padding {
    pub(super) before: usize,
    pub(super) after: usize,
}

impl Padding {
    pub(super) fn is_none(self) -> bool {
        self.before == 0 && self.after == 0
    }

    pub(super) fn padded(self, size: usize) -> usize {
        self.before + size + self.after
    }

    pub(super) fn len(self, height: usize, width: usize, channels: usize) -> usize {
        self.padded(height) * self.padded(width) * channels
    }

    /// Copies `image` into the middle of `padded`, whose border must already be zero.
    pub(super) fn fill(
        self,
        image: &[f32],
        height: usize,
        width: usize,
        channels: usize,
        padded: &mut [f32],
    ) {
        let row = width * channels;
        let padded_row = self.padded(width) * channels;
        let rows = padded
            .chunks_exact_mut(padded_row)
            .skip(self.before)
            .take(height);
        for (to, from) in rows.zip(image.chunks_exact(row)) {
            to[self.before * channels..][..row].copy_from_slice(from);
        }
    }
}

/// Along one axis: the pixels `residue, residue + stride, ...` of the input, and the kernel taps
/// that carried them into the output.
///
/// Input pixel `i` reached output pixel `(i + padding - tap) / stride` through every tap for which
/// the division is exact, so the pixels of one residue class share their taps, and their gradient
/// is a convolution of stride 1 over the gradient of the output.
#[derive(Debug, Clone)]
pub(super) struct Phase {
    pub(super) residue: usize,
    /// How many input pixels belong to the class.
    pub(super) count: usize,
    /// Descending, so that the output pixels they reach ascend one by one.
    pub(super) taps: Vec<usize>,
    /// The output pixel that the first tap reaches from the first input pixel; may be negative.
    pub(super) first: isize,
}

pub(super) fn phases(shape: ConvolutionShape, size: usize) -> Vec<Phase> {
    let ConvolutionShape {
        kernel,
        stride,
        padding,
    } = shape;
    (0..stride.min(size))
        .map(|residue| {
            let taps: Vec<usize> = (0..kernel)
                .rev()
                .filter(|tap| (residue + padding + kernel * stride - tap).is_multiple_of(stride))
                .collect();
            let first = taps.first().map_or(0, |&tap| {
                (residue as isize + padding as isize - tap as isize) / stride as isize
            });
            Phase {
                residue,
                count: (size - residue).div_ceil(stride),
                taps,
                first,
            }
        })
        .collect()
}

/// The zeros that the gradient of the output needs around it so that every phase stays inside.
pub(super) fn gradient_padding(phases: &[Phase], size_out: usize) -> Padding {
    let mut padding = Padding {
        before: 0,
        after: 0,
    };
    for phase in phases.iter().filter(|p| !p.taps.is_empty()) {
        let last = phase.first + (phase.count + phase.taps.len()) as isize - 2;
        padding.before = padding.before.max((-phase.first).max(0) as usize);
        padding.after = padding
            .after
            .max((last - (size_out as isize - 1)).max(0) as usize);
    }
    padding
}
