//! What happens to a product's sums on their way into the result.

use crate::Activation;

/// Whether results replace what a buffer holds or are added to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Write {
    /// Replace every value.
    #[default]
    Replace,
    /// Add to every value.
    Add,
}

/// What is done with a product's sums while they are still in the cache:
/// `activation(sum + bias) + residual`, written or added to the result.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// One value per column.
    pub bias: Option<&'a [f32]>,
    /// Applied to the sum and its bias.
    pub activation: Activation,
    /// As long as the result and added after the activation.
    pub residual: Option<&'a [f32]>,
    /// Whether the result replaces what the buffer holds.
    pub write: Write,
}

impl<'a> Epilogue<'a> {
    /// # Panics
    /// If a slice is not as long as it must be.
    pub(crate) fn check(&self, columns: usize, output: usize) {
        if let Some(bias) = self.bias {
            assert_eq!(bias.len(), columns, "values of the bias");
        }
        if let Some(residual) = self.residual {
            assert_eq!(residual.len(), output, "values of the residual");
        }
    }

    /// Whether the activation comes last, so that results need no memory but the output.
    pub(crate) fn keeps_no_sums(&self) -> bool {
        self.activation == Activation::None
            || (self.residual.is_none() && self.write == Write::Replace)
    }

    /// For the part of the output that begins at `start` and has `len` values.
    pub(crate) fn part(&self, start: usize, len: usize) -> Self {
        Self {
            residual: self.residual.map(|all| &all[start..start + len]),
            ..*self
        }
    }
}

/// Where the rows of a product go: row (image, line, pixel) begins at
/// `start + image * image_step + line * line_step + pixel * pixel_step`.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) start: usize,
    pub(crate) image_step: usize,
    pub(crate) line_step: usize,
    pub(crate) pixel_step: usize,
}

impl Target {
    /// The rows of a matrix, without gaps.
    pub(crate) fn of_matrix(columns: usize) -> Self {
        Self {
            start: 0,
            image_step: 0,
            line_step: 0,
            pixel_step: columns,
        }
    }

    /// From image to image, line to line, pixel to pixel.
    pub(crate) fn steps(&self) -> [usize; 3] {
        [self.image_step, self.line_step, self.pixel_step]
    }

    /// Writes where the rows of `images` x `lines` x `pixels` begin.
    pub(crate) fn offsets(&self, shape: [usize; 3], offsets: &mut Vec<usize>) {
        let [images, lines, pixels] = shape;
        offsets.clear();
        offsets.reserve(images * lines * pixels);
        for image in 0..images {
            for line in 0..lines {
                let first = self.start + image * self.image_step + line * self.line_step;
                offsets.extend((0..pixels).map(|pixel| first + pixel * self.pixel_step));
            }
        }
    }
}

/// Sums of some rows and columns, row after row, `stride` values apart.
pub(crate) struct Tile<'a> {
    pub(crate) sums: &'a mut [f32],
    pub(crate) stride: usize,
    /// The column of the whole product that the first one is.
    pub(crate) column: usize,
    /// Columns that are no padding.
    pub(crate) columns: usize,
}

impl Tile<'_> {
    /// Finishes the sums but for the residual.
    #[inline(always)]
    pub(crate) fn activate(&mut self, epilogue: &Epilogue<'_>) {
        if let Some(bias) = epilogue.bias {
            let bias = &bias[self.column..self.column + self.columns];
            for row in self.sums.chunks_mut(self.stride) {
                add(&mut row[..self.columns], bias);
            }
        }
        // Columns that are padding take part: whole vectors cost less than their ends.
        epilogue.activation.apply(self.sums);
    }

    /// Where a row goes whose target is `target`.
    pub(crate) fn range(&self, target: usize) -> std::ops::Range<usize> {
        let first = target + self.column;
        first..first + self.columns
    }
}

/// Puts a row of [activated](Tile::activate) sums into its place in the output.
#[inline(always)]
pub(crate) fn put(sums: &mut [f32], residual: Option<&[f32]>, write: Write, to: &mut [f32]) {
    if let Some(residual) = residual {
        add(sums, residual);
    }
    match write {
        Write::Replace => to.copy_from_slice(sums),
        Write::Add => add(to, sums),
    }
}

/// Adds each value of `from`, which is as long.
#[inline(always)]
fn add(to: &mut [f32], from: &[f32]) {
    // Arrays: a loop over a slice of unknown length decides anew for every short row how to go about it.
    let (to, to_rest) = to.as_chunks_mut::<16>();
    let (from, from_rest) = from.as_chunks::<16>();
    for (to, from) in to.iter_mut().zip(from) {
        for (to, from) in to.iter_mut().zip(from) {
            *to += *from;
        }
    }
    for (to, from) in to_rest.iter_mut().zip(from_rest) {
        *to += *from;
    }
}
