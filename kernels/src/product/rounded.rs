//! Left operands in bf16 where there are no bf16 instructions.

use half::bf16;
use pulp::{Simd, WithSimd};

use crate::values::Element;
use crate::{InstructionSet, Precision, Values};

/// f32 values rounded to bf16, as bf16 instructions would read them: the same precision gives the same results on every
/// processor but for the order of summation.
#[derive(Default)]
pub(crate) struct Rounded {
    values: Vec<f32>,
}

impl Rounded {
    /// `values` rounded.
    pub(crate) fn of(&mut self, set: InstructionSet, values: &[f32]) -> &[f32] {
        self.values.clear();
        self.values.extend_from_slice(values);
        set.run(Round(&mut self.values));
        &self.values
    }

    /// `values` as f32, rounded if `precision` is bf16.
    pub(crate) fn in_f32<'a>(
        &'a mut self,
        set: InstructionSet,
        values: Values<'a>,
        precision: Precision,
    ) -> &'a [f32] {
        match (values, precision) {
            (Values::F32(values), Precision::F32) => values,
            (Values::F32(values), Precision::Bf16) => self.of(set, values),
            (Values::Bf16(values), _) => self.widened(values),
        }
    }

    /// `values`, which are bf16 already.
    pub(crate) fn widened(&mut self, values: &[bf16]) -> &[f32] {
        self.values.clear();
        self.values.extend(values.iter().map(|value| value.widen()));
        &self.values
    }
}

/// Rounds every value to bf16.
pub(crate) struct Round<'a>(pub(crate) &'a mut [f32]);

impl WithSimd for Round<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for value in self.0 {
            *value = bf16::narrow(*value).widen();
        }
    }
}
