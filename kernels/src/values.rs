//! Values in f32 or bf16.

use std::borrow::Cow;
use std::ops::Range;

use half::bf16;
use rayon::prelude::*;

use crate::bf16::{from_f32, to_f32};

/// Values that a kernel reads. Products of bf16 weights round f32 values themselves: what only they read may as well be
/// kept in bf16, at half the memory.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// Single precision.
    F32(&'a [f32]),
    /// bfloat16.
    Bf16(&'a [bf16]),
}

/// Values that a kernel writes, rounded to nearest, ties to even, where they are bf16 (subnormal ones perhaps to zero).
#[derive(Debug)]
pub enum ValuesMut<'a> {
    /// Single precision.
    F32(&'a mut [f32]),
    /// bfloat16.
    Bf16(&'a mut [bf16]),
}

impl<'a> Values<'a> {
    /// How many.
    pub fn len(self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::Bf16(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    #[inline(always)]
    pub(crate) fn range(self, range: Range<usize>) -> Self {
        match self {
            Self::F32(values) => Self::F32(&values[range]),
            Self::Bf16(values) => Self::Bf16(&values[range]),
        }
    }

    /// All as f32.
    pub(crate) fn widened(self) -> Cow<'a, [f32]> {
        match self {
            Self::F32(values) => Cow::Borrowed(values),
            Self::Bf16(values) => Cow::Owned(values.iter().map(|v| v.widen()).collect()),
        }
    }
}

impl ValuesMut<'_> {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::Bf16(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies as many values, or writes zeros.
    pub(crate) fn fill_from(&mut self, source: Option<Values<'_>>) {
        match (self, source) {
            (Self::F32(to), None) => fill(to, 0.0),
            (Self::Bf16(to), None) => fill(to, bf16::ZERO),
            (Self::F32(to), Some(Values::F32(from))) => copy(from, to),
            (Self::F32(to), Some(Values::Bf16(from))) => copy(from, to),
            (Self::Bf16(to), Some(Values::F32(from))) => copy(from, to),
            (Self::Bf16(to), Some(Values::Bf16(from))) => copy(from, to),
        }
    }
}

impl<'a> From<&'a [f32]> for Values<'a> {
    fn from(values: &'a [f32]) -> Self {
        Self::F32(values)
    }
}

impl<'a> From<&'a Vec<f32>> for Values<'a> {
    fn from(values: &'a Vec<f32>) -> Self {
        Self::F32(values)
    }
}

impl<'a> From<&'a [bf16]> for Values<'a> {
    fn from(values: &'a [bf16]) -> Self {
        Self::Bf16(values)
    }
}

impl<'a> From<&'a Vec<bf16>> for Values<'a> {
    fn from(values: &'a Vec<bf16>) -> Self {
        Self::Bf16(values)
    }
}

impl<'a> From<&'a mut [f32]> for ValuesMut<'a> {
    fn from(values: &'a mut [f32]) -> Self {
        Self::F32(values)
    }
}

impl<'a> From<&'a mut Vec<f32>> for ValuesMut<'a> {
    fn from(values: &'a mut Vec<f32>) -> Self {
        Self::F32(values)
    }
}

impl<'a> From<&'a mut [bf16]> for ValuesMut<'a> {
    fn from(values: &'a mut [bf16]) -> Self {
        Self::Bf16(values)
    }
}

impl<'a> From<&'a mut Vec<bf16>> for ValuesMut<'a> {
    fn from(values: &'a mut Vec<bf16>) -> Self {
        Self::Bf16(values)
    }
}

/// One value in either format: f32 or [`half::bf16`].
pub trait Element: Copy + Send + Sync + Sealed {
    /// Not a number.
    const NAN: Self;

    /// Exact.
    #[doc(hidden)]
    fn widen(self) -> f32;

    /// The nearest.
    #[doc(hidden)]
    fn narrow(value: f32) -> Self;

    /// Writes what `write` makes of a row whose values it need not read; in `scratch` first where they are rounded.
    #[doc(hidden)]
    fn write(row: &mut [Self], scratch: &mut Vec<f32>, write: impl FnOnce(&mut [f32]));
}

impl Element for f32 {
    const NAN: f32 = f32::NAN;

    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }

    #[inline(always)]
    fn narrow(value: f32) -> Self {
        value
    }

    #[inline(always)]
    fn write(row: &mut [f32], _: &mut Vec<f32>, write: impl FnOnce(&mut [f32])) {
        write(row);
    }
}

impl Element for bf16 {
    const NAN: bf16 = bf16::NAN;

    #[inline(always)]
    fn widen(self) -> f32 {
        to_f32(self.to_bits())
    }

    #[inline(always)]
    fn narrow(value: f32) -> Self {
        Self::from_bits(from_f32(value))
    }

    #[inline(always)]
    fn write(row: &mut [bf16], scratch: &mut Vec<f32>, write: impl FnOnce(&mut [f32])) {
        scratch.resize(row.len(), 0.0);
        write(scratch);
        convert(scratch, row);
    }
}

/// For the traits of this crate alone.
pub trait Sealed {}
impl Sealed for f32 {}
impl Sealed for bf16 {}

/// Values of one task.
const TASK: usize = 1 << 16;

fn fill<T: Element>(to: &mut [T], value: T) {
    to.par_chunks_mut(TASK).for_each(|to| to.fill(value));
}

fn copy<S: Element, T: Element>(from: &[S], to: &mut [T]) {
    let tasks = to.par_chunks_mut(TASK).zip(from.par_chunks(TASK));
    tasks.for_each(|(to, from)| convert(from, to));
}

/// Writes each value in another format.
#[inline(always)]
pub(crate) fn convert<S: Element, T: Element>(from: &[S], to: &mut [T]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = T::narrow(from.widen());
    }
}
