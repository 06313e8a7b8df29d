//! Bands of lines: what one task of a convolution works on.

use std::ops::Range;

#[cfg(target_arch = "x86_64")]
use half::bf16;

use super::geometry::Geometry;
use crate::Values;
use crate::aligned::{Aligned, Number};
use crate::product::Rows;
use crate::values::convert;

/// Consecutive images, or consecutive lines of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) first_image: usize,
    pub(super) images: usize,
    pub(super) first_line: usize,
    pub(super) lines: usize,
}

/// Cuts images of `lines` x `pixels` rows into parts of about `wanted` rows.
pub(super) fn cut(images: Range<usize>, lines: usize, pixels: usize, wanted: usize) -> Vec<Part> {
    let per_image = lines * pixels;
    if per_image <= wanted {
        // Equal shares: of a few large parts one more than the threads share would leave them waiting for it.
        let parts = images.len().div_ceil(wanted / per_image).max(1);
        let per_part = images.len().div_ceil(parts).max(1);
        let end = images.end;
        return images
            .step_by(per_part)
            .map(|first_image| Part {
                first_image,
                images: per_part.min(end - first_image),
                first_line: 0,
                lines,
            })
            .collect();
    }
    let per_part = (wanted / pixels).clamp(1, lines);
    // Equal shares: a last part of one line would leave the threads waiting for it.
    let per_part = lines.div_ceil(lines.div_ceil(per_part));
    images
        .flat_map(|first_image| {
            (0..lines).step_by(per_part).map(move |first_line| Part {
                first_image,
                images: 1,
                first_line,
                lines: per_part.min(lines - first_line),
            })
        })
        .collect()
}

/// A window of lines of some images, copied between zeros.
pub(super) struct Window<T> {
    values: Aligned<T>,
}

impl<T> Default for Window<T> {
    fn default() -> Self {
        Self {
            values: Aligned::default(),
        }
    }
}

/// What a window shows: lines `first_line..first_line + lines` of every image, pixels from `first_pixel`
/// to `first_pixel + pixels`; those beyond the image are zero.
#[derive(Clone, Copy)]
pub(super) struct View {
    pub(super) first_line: isize,
    pub(super) lines: usize,
    pub(super) first_pixel: isize,
    pub(super) pixels: usize,
}

impl<T: Number> Window<T> {
    /// `[n, view.lines, view.pixels, channels]` of what was shown last.
    pub(super) fn values(&self) -> &[T] {
        &self.values
    }

    /// Shows `view` of `images [n, height, width, channels]` between zeros, the values as `copy` makes them.
    pub(super) fn show<S>(
        &mut self,
        images: &[S],
        [height, width, channels]: [usize; 3],
        view: View,
        zero: T,
        copy: impl Fn(&[S], &mut [T]),
    ) {
        let line = view.pixels * channels;
        let count = images.len() / (height * width * channels);
        self.values.resize(count * view.lines * line);
        let before = usize::try_from(-view.first_pixel)
            .unwrap_or(0)
            .min(view.pixels);
        let from = usize::try_from(view.first_pixel).unwrap_or(0).min(width);
        let shown = (view.pixels - before).min(width - from);
        for (number, to) in self.values.chunks_exact_mut(line).enumerate() {
            let (image, y) = (number / view.lines, number % view.lines);
            let source = view.first_line + y as isize;
            match usize::try_from(source) {
                Ok(source) if source < height => {
                    let start = ((image * height + source) * width + from) * channels;
                    let (left, rest) = to.split_at_mut(before * channels);
                    let (middle, right) = rest.split_at_mut(shown * channels);
                    left.fill(zero);
                    copy(&images[start..start + shown * channels], middle);
                    right.fill(zero);
                }
                _ => to.fill(zero),
            }
        }
    }
}

impl Window<f32> {
    /// [`Self::show`] of the values in f32.
    pub(super) fn show_plain(&mut self, images: Values<'_>, size: [usize; 3], view: View) {
        match images {
            Values::F32(images) => {
                self.show(images, size, view, 0.0, |from, to| to.copy_from_slice(from));
            }
            Values::Bf16(images) => self.show(images, size, view, 0.0, convert),
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl Window<bf16> {
    /// [`Self::show`] of the values in bf16.
    ///
    /// # Panics
    /// If the processor lacks bf16 instructions.
    pub(super) fn show_rounded(&mut self, images: Values<'_>, size: [usize; 3], view: View) {
        let zero = bf16::ZERO;
        match images {
            Values::F32(images) => {
                let vectors = crate::avx512_bf16::Vectors::detect();
                let narrow = |from: &[f32], to: &mut [bf16]| vectors.narrow(from, to);
                self.show(images, size, view, zero, narrow);
            }
            Values::Bf16(images) => {
                let copy = |from: &[bf16], to: &mut [bf16]| to.copy_from_slice(from);
                self.show(images, size, view, zero, copy);
            }
        }
    }
}

impl Geometry {
    /// What a part of the results is made of.
    pub(super) fn view(&self, part: &Part) -> View {
        let (kernel, stride) = (self.shape.kernel, self.shape.stride);
        let before = self.shape.padding.before as isize;
        View {
            first_line: (part.first_line * stride) as isize - before,
            lines: (part.lines - 1) * stride + kernel,
            first_pixel: -before,
            pixels: (self.width_out - 1) * stride + kernel,
        }
    }

    /// The rows of a part's results in its [view](Self::view).
    pub(super) fn sweep(&self, part: &Part) -> Sweep {
        let view = self.view(part);
        Sweep {
            stride: self.shape.stride,
            kernel: [self.shape.kernel; 2],
            channels: self.channels_in,
            results: [part.images, part.lines, self.width_out],
            window: [view.lines, view.pixels],
            start: [0, 0],
        }
    }
}

/// The rows of a `kernel_height` x `kernel_width` kernel that moves over a window by `stride`.
#[derive(Clone, Copy)]
pub(super) struct Sweep {
    pub(super) stride: usize,
    pub(super) kernel: [usize; 2],
    pub(super) channels: usize,
    /// `[images, lines, pixels]` of results.
    pub(super) results: [usize; 3],
    /// `[lines, pixels]` of the window.
    pub(super) window: [usize; 2],
    /// `[line, pixel]` in the window where the first kernel begins.
    pub(super) start: [usize; 2],
}

impl Sweep {
    pub(super) fn rows<T>(self, values: &[T]) -> Rows<'_, T> {
        let line = self.window[1] * self.channels;
        let [images, lines, pixels] = self.results;
        Rows {
            values,
            start: self.start[0] * line + self.start[1] * self.channels,
            images,
            image_step: self.window[0] * line,
            lines,
            line_step: self.stride * line,
            pixels,
            pixel_step: self.stride * self.channels,
            segments: self.kernel[0],
            segment_step: line,
            segment_len: self.kernel[1] * self.channels,
        }
    }
}
