//! What happens to a product's sums on their way into the result.

use half::bf16;
use pulp::Simd;

use super::rows::starts;
use crate::values::{Element, convert};
use crate::{Activation, Values, ValuesMut};

/// Factors of a product's rows.
#[derive(Clone, Copy, Debug)]
pub struct Gate<'a> {
    values: &'a [f32],
    rows: usize,
    /// The row that the first one of the output is.
    first_row: usize,
}

impl<'a> Gate<'a> {
    /// Row r is multiplied by line `r / rows` of `values [lines, columns]`.
    ///
    /// # Panics
    /// If `rows` is zero.
    pub fn new(values: &'a [f32], rows: usize) -> Self {
        assert!(rows > 0, "rows of the gate");
        Self {
            values,
            rows,
            first_row: 0,
        }
    }

    /// The factors of the row that begins at `target` in an output of `columns`.
    #[inline(always)]
    pub(crate) fn line(&self, target: usize, columns: usize) -> &'a [f32] {
        let row = self.first_row + target / columns;
        &self.values[row / self.rows * columns..][..columns]
    }
}

/// What is done with a product's sums while they are still in the cache:
/// `gate * activation(sum + bias) + residual`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// One value per column.
    pub bias: Option<&'a [f32]>,
    /// Applied to the sum and its bias.
    pub activation: Activation,
    /// Applied to the activation's result.
    pub gate: Option<Gate<'a>>,
    /// As long as the result and added after the gate.
    pub residual: Option<Values<'a>>,
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
        if let Some(gate) = self.gate {
            let lines = (output / columns).div_ceil(gate.rows);
            assert!(gate.values.len() >= lines * columns, "values of the gate");
        }
    }

    /// Whether results can be finished in an f32 output itself: without a gate, with an f32 residual at most, and that without
    /// an activation.
    pub(crate) fn keeps_no_sums(&self) -> bool {
        if self.gate.is_some() || matches!(self.residual, Some(Values::Bf16(_))) {
            return false;
        }
        self.activation == Activation::None || self.residual.is_none()
    }

    /// For the part of an output of `columns` that begins at `start` and has `len` values.
    pub(crate) fn part(&self, columns: usize, start: usize, len: usize) -> Self {
        Self {
            gate: self.gate.map(|gate| Gate {
                first_row: gate.first_row + start / columns,
                ..gate
            }),
            residual: self.residual.map(|all| all.range(start..start + len)),
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
        starts(self.start, shape, self.steps(), offsets);
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
    pub(crate) fn activate<S: Simd>(&mut self, simd: S, epilogue: &Epilogue<'_>) {
        if let Some(bias) = epilogue.bias {
            let bias = &bias[self.column..self.column + self.columns];
            for row in self.sums.chunks_mut(self.stride) {
                add(simd, &mut row[..self.columns], bias);
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

/// What follows a row of [activated](Tile::activate) sums in f32.
#[inline(always)]
pub(crate) fn complete<S: Simd>(
    simd: S,
    sums: &mut [f32],
    gate: Option<&[f32]>,
    residual: Option<Values<'_>>,
) {
    if let Some(gate) = gate {
        multiply(simd, sums, gate);
    }
    match residual {
        Some(Values::F32(residual)) => add(simd, sums, residual),
        Some(Values::Bf16(residual)) => add_widened(sums, residual),
        None => {}
    }
}

/// Puts a row of [complete] sums into its place in the output.
#[inline(always)]
pub(crate) fn put(sums: &[f32], to: ValuesMut<'_>) {
    match to {
        ValuesMut::F32(to) => to.copy_from_slice(sums),
        ValuesMut::Bf16(to) => convert(sums, to),
    }
}

/// Adds each value of `from`, which is as long.
#[inline(always)]
fn add_widened(to: &mut [f32], from: &[bf16]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += from.widen();
    }
}

/// Adds each value of `from`, which is as long.
#[inline(always)]
fn add<S: Simd>(simd: S, to: &mut [f32], from: &[f32]) {
    each(simd, to, from, |a, b| simd.add_f32s(a, b));
}

/// Multiplies by each value of `from`, which is as long.
#[inline(always)]
fn multiply<S: Simd>(simd: S, to: &mut [f32], from: &[f32]) {
    each(simd, to, from, |a, b| simd.mul_f32s(a, b));
}

#[inline(always)]
fn each<S: Simd>(
    simd: S,
    to: &mut [f32],
    from: &[f32],
    apply: impl Fn(S::f32s, S::f32s) -> S::f32s,
) {
    let (to, to_rest) = S::as_mut_simd_f32s(to);
    let (from, from_rest) = S::as_simd_f32s(from);
    for (to, from) in to.iter_mut().zip(from) {
        *to = apply(*to, *from);
    }
    if !to_rest.is_empty() {
        let value = apply(
            simd.partial_load_f32s(to_rest),
            simd.partial_load_f32s(from_rest),
        );
        simd.partial_store_f32s(to_rest, value);
    }
}
