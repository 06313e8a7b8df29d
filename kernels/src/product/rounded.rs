//! Left operands in bf16 where there are no bf16 instructions.

use pulp::{Simd, WithSimd};

use crate::{InstructionSet, bf16};

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
}

/// Rounds every value to bf16.
pub(crate) struct Round<'a>(pub(crate) &'a mut [f32]);

impl WithSimd for Round<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for value in self.0 {
            *value = bf16::to_f32(bf16::from_f32(*value));
        }
    }
}
